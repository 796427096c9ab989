//! A copy of a built-in file that may be placed anywhere: files that it refers to are named by `glad:`.

use super::builtin::{BuiltIn, name_of, resolve, written};
use super::{builtin, raw};
use crate::diag::{Files, Place};
use crate::tree::{Tree, TreeValue, basic_string};
use std::path::Path;

/// The text of `built_in` as a user's file: files that it names are built-in ones, and data paths are relative to the
/// folder of the copy.
pub fn copy_of(built_in: BuiltIn) -> String {
    let mut files = Files::default();
    let path = builtin::path_of(built_in.name);
    let file = files.add_named(built_in.name, &path, built_in.text);
    let tree = raw::parse(file, built_in.text, &mut vec![]);
    let mut changes = vec![];
    changed(&tree, &files.folder(file), &mut vec![], &mut changes);
    changes.sort_by_key(|(place, _)| std::cmp::Reverse(place.span.start));
    let mut text = built_in.text.to_string();
    for (place, new) in changes {
        text.replace_range(place.span, &basic_string(&new));
    }
    // The schema for editors exists only next to the built-in file.
    match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#:schema ./") => rest.to_string(),
        _ => text,
    }
}

/// The strings of a file that would resolve differently from another folder.
fn changed<'t>(t: &'t Tree, folder: &Path, path: &mut Vec<&'t str>, found: &mut Vec<(Place, String)>) {
    match &t.value {
        TreeValue::Table(entries) => {
            for (key, value) in entries {
                path.push(key);
                changed(value, folder, path, found);
                path.pop();
            }
        }
        TreeValue::Array(items) => items.iter().for_each(|t| changed(t, folder, path, found)),
        TreeValue::String(s) => {
            let of_file = match path.as_slice() {
                ["extends"] | ["setting"] | ["set", "setting"] => true,
                [.., "nodes", _, "kind"] => s.ends_with(".toml"),
                _ => false,
            };
            let new = match (name_of(&resolve(folder, s)), s.strip_prefix("../")) {
                (Some(name), _) if of_file => written(&name),
                (_, Some(rest)) if !of_file => rest.trim_start_matches("../").to_string(),
                _ => return,
            };
            found.push((t.place.clone(), new));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{LoadOptions, Use, built_ins, effective, load};

    /// Without the data folders.
    fn without_folders(text: &str) -> String {
        let lines = text.lines().filter(|l| !l.starts_with("folder = "));
        lines.map(|l| format!("{l}\n")).collect()
    }

    #[test]
    fn copies_mean_the_same_in_any_folder() {
        let dir = tempfile::tempdir().unwrap();
        let loaded = |options: &LoadOptions| match load(options) {
            Ok(graph) => without_folders(&effective(&graph)),
            Err(p) => panic!("{options:?}: {p}"),
        };
        for b in built_ins() {
            let path = dir.path().join(format!("{}.toml", b.short().replace('/', "-")));
            std::fs::write(&path, copy_of(b)).unwrap();
            let (copied, built_in) = match b.used_as() {
                Use::Graph => (LoadOptions::of(&path), LoadOptions::of(b.name)),
                Use::Setting => {
                    // Those with a second modality are for graphs that use it.
                    let graph = if b.name.ends_with("_flow") {
                        "methods/mm_sada"
                    } else {
                        "full"
                    };
                    let with = |setting| LoadOptions {
                        setting: Some(setting),
                        ..LoadOptions::of(graph)
                    };
                    (with(path), with(b.short().into()))
                }
                Use::Composite => continue,
            };
            // Where the node of a list is in another built-in file, its path is in the folder of the copy.
            let copied = loaded(&copied).replace(&format!("{}/", dir.path().display()), "");
            // Long paths change how a table is written.
            let read = |text: &str| raw::parse(Files::default().add_text("", text), text, &mut vec![]);
            let built_in = loaded(&built_in);
            assert!(read(&copied).same(&read(&built_in)), "{}\n{copied}\n{built_in}", b.name);
        }
    }

    #[test]
    fn what_a_copy_names() {
        let copy = |name: &str| copy_of(built_ins().find(|b| b.name == name).unwrap());
        let full = copy("full");
        assert!(full.contains("setting  = \"glad:settings/mini\"") && full.contains("kind   = \"glad:lib/order\""));
        assert!(full.starts_with("# GLAD"), "{}", &full[..200]);
        assert!(
            copy("methods/cdan").starts_with("# CDAN")
                && copy("methods/cdan").contains("extends    = \"glad:source_only\"")
        );
        assert!(copy("settings/kinetics_babel_tsm").contains("train = \"data/k400_train.txt\""));
        assert!(!copy("gap").contains("\"../"));
    }
}
