//! The graph files inside the program: all of `graphs/`, so that the program works without a checkout.
//!
//! A built-in file is named by its path below `graphs/` without `.toml`; in files and messages the name starts with
//! `glad:` (`glad:lib/order`), on the command line the prefix may be omitted where no file has the name. Its path is
//! `glad:/lib/order.toml`, so that relative paths in it lead to other built-in files.

use crate::tree::Role;
use std::path::{Component, Path, PathBuf};

const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The prefix of the name of a built-in file.
const PREFIX: &str = "glad:";

/// The folder of built-in settings; `--setting mini` is short for `--setting settings/mini`.
const SETTINGS: &str = "settings/";

/// A graph file inside the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its path below `graphs/`, without `.toml`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// The role of a built-in file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// It runs: `glad-run NAME`.
    Graph,
    /// The layer below a graph: `--setting NAME`.
    Setting,
    /// A node of other graphs: `kind = "glad:NAME"`.
    Composite,
}

impl BuiltIn {
    /// Its role.
    pub fn used_as(&self) -> Use {
        match self.text.lines().any(|l| l.trim_end() == "[composite]") {
            _ if self.name.starts_with(SETTINGS) => Use::Setting,
            true => Use::Composite,
            false => Use::Graph,
        }
    }

    /// Its name as the command line takes it: a setting's without `settings/`.
    pub fn short(&self) -> &'static str {
        self.name.strip_prefix(SETTINGS).unwrap_or(self.name)
    }
}

/// All built-in files, by name.
pub fn built_ins() -> impl Iterator<Item = BuiltIn> {
    FILES.iter().map(|(name, text)| BuiltIn { name, text })
}

/// The built-in file of this name.
pub fn built_in(name: &str) -> Option<BuiltIn> {
    built_ins().find(|b| b.name == name)
}

/// The name in the path of a built-in file, whether it exists or not; `None` for other paths.
pub(crate) fn name_of(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = vec![];
    for part in path.strip_prefix(PREFIX).ok()?.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::ParentDir if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            Component::ParentDir => parts.push(".."),
            _ => {}
        }
    }
    let name = parts.join("/");
    Some(name.strip_suffix(".toml").unwrap_or(&name).to_string())
}

/// The path of a built-in file.
pub(super) fn path_of(name: &str) -> PathBuf {
    let name = name.trim_start_matches('/');
    Path::new(PREFIX).join(format!("{}.toml", name.strip_suffix(".toml").unwrap_or(name)))
}

/// Whether `text` names a built-in file in the form that files use.
pub(super) fn is_named(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The name of a built-in file in the form that files use.
pub(super) fn written(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// What `text`, written in a file of `folder`, refers to: a built-in file, a path in the home folder, else one relative
/// to `folder`.
pub(crate) fn resolve(folder: &Path, text: &str) -> PathBuf {
    if let Some(name) = text.strip_prefix(PREFIX) {
        return path_of(name);
    }
    let path = folder.join(home(text));
    name_of(&path).map_or(path, |name| path_of(&name))
}

/// Expands `~` and `~/…` to the home folder.
pub(crate) fn home(text: &str) -> PathBuf {
    let rest = match text.strip_prefix('~') {
        Some("") => "",
        Some(rest) if rest.starts_with('/') => rest.trim_start_matches('/'),
        _ => return PathBuf::from(text),
    };
    match std::env::home_dir() {
        Some(home) if rest.is_empty() => home,
        Some(home) => home.join(rest),
        None => PathBuf::from(text),
    }
}

/// What a path of the command line refers to: a file wins over a built-in one of the same name.
pub(crate) fn from_command_line(path: &Path, role: Role) -> PathBuf {
    let Some(text) = path.to_str() else {
        return path.to_path_buf();
    };
    if is_named(text) {
        return resolve(Path::new(""), text);
    }
    let path = home(text);
    let is_file = path.exists() && !path.is_dir();
    match named(text, role) {
        Some(built_in) if !is_file => path_of(built_in.name),
        _ => path,
    }
}

fn named(text: &str, role: Role) -> Option<BuiltIn> {
    match role {
        Role::Setting => {
            built_in(&format!("{SETTINGS}{text}")).or_else(|| built_in(text).filter(|b| b.used_as() == Use::Setting))
        }
        _ => built_in(text),
    }
}

/// Suggestions for the name of a built-in file that does not exist, in a file.
pub(super) fn meant(name: &str) -> Option<String> {
    let last = |n: &str| n.rsplit('/').next().unwrap_or(n).to_string();
    let elsewhere = built_ins().find(|b| last(b.name) == last(name)).map(|b| b.name);
    let near = || {
        built_ins()
            .map(|b| (strsim::damerau_levenshtein(name, b.name), b.name))
            .filter(|(edits, known)| *edits <= known.len().max(name.len()) / 4)
            .min()
            .map(|n| n.1)
    };
    elsewhere.or_else(near).map(written)
}

/// The built-in file with the same last part of the path, as `../lib/order.toml` has of `glad:lib/order`.
pub(super) fn same_file_name(path: &Path) -> Option<BuiltIn> {
    let name = path.file_stem()?.to_str()?;
    let is = |b: &BuiltIn| b.name.rsplit('/').next() == Some(name);
    let folder = path.parent().and_then(Path::file_name);
    let of_folder = |b: &BuiltIn| folder.is_some_and(|f| f == b.name.split('/').rev().nth(1).unwrap_or("graphs"));
    built_ins().filter(is).max_by_key(of_folder)
}

/// The names that the command line accepts for files of this role.
pub(super) fn names_for(role: Role) -> Vec<&'static str> {
    let of = |b: &BuiltIn| match role {
        Role::Setting => b.used_as() == Use::Setting,
        _ => b.used_as() == Use::Graph,
    };
    built_ins().filter(of).map(|b| b.short()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_graph_files_are_inside() {
        for name in ["full", "settings/mini", "lib/order", "ablations/2a_all"] {
            let file = format!("{}/graphs/{name}.toml", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(file).unwrap();
            assert_eq!(built_in(name).unwrap().text, text);
        }
        let uses = ["full", "settings/smoke", "lib/flip"].map(|n| built_in(n).unwrap().used_as());
        assert_eq!(uses, [Use::Graph, Use::Setting, Use::Composite]);
        assert_eq!(built_in("settings/smoke").unwrap().short(), "smoke");
    }

    #[test]
    fn relative_paths_lead_to_other_built_in_files() {
        let name = |folder: &str, text: &str| name_of(&resolve(Path::new(folder), text));
        assert_eq!(name("here", "glad:lib/order").as_deref(), Some("lib/order"));
        assert_eq!(name("here", "glad:lib/order.toml").as_deref(), Some("lib/order"));
        assert_eq!(
            name("glad:/settings", "../lib/order.toml").as_deref(),
            Some("lib/order")
        );
        assert_eq!(name("glad:/settings", "glad:full").as_deref(), Some("full"));
        assert_eq!(
            name("glad:/", "../../etc/x.toml").as_deref(),
            Some("../../etc/x"),
            "it stays unknown"
        );
        assert_eq!(name("glad:/", "/etc/x.toml"), None);
        assert_eq!(name("here", "../lib/order.toml"), None);
    }

    #[test]
    fn the_home_folder() {
        let home_folder = std::env::home_dir().unwrap();
        assert_eq!(home("~/a/b.txt"), home_folder.join("a/b.txt"));
        assert_eq!(home("~//a"), home_folder.join("a"));
        assert_eq!(home("~"), home_folder);
        for other in ["a/~/b", "~other/b", "./~", "a~"] {
            assert_eq!(home(other), Path::new(other));
        }
    }

    #[test]
    fn a_file_wins() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("full");
        assert_eq!(from_command_line(&at, Role::Graph), at);
        let lead = |text: &str, role| name_of(&from_command_line(Path::new(text), role));
        assert_eq!(lead("full", Role::Graph).as_deref(), Some("full"));
        assert_eq!(lead("smoke", Role::Setting).as_deref(), Some("settings/smoke"));
        assert_eq!(lead("settings/smoke", Role::Setting).as_deref(), Some("settings/smoke"));
        assert_eq!(
            lead("ablations/2a_all", Role::With).as_deref(),
            Some("ablations/2a_all")
        );
        assert_eq!(lead("smoke", Role::Graph), None);
        assert_eq!(lead("Cargo.toml", Role::Graph), None);
        assert_eq!(lead("./full", Role::Graph), None, "that is a path");
    }

    #[test]
    fn what_was_meant() {
        assert_eq!(meant("lib/ordr").as_deref(), Some("glad:lib/order"));
        assert_eq!(meant("smoke").as_deref(), Some("glad:settings/smoke"));
        assert_eq!(meant("something_else"), None);
        let same = |p: &str| same_file_name(Path::new(p)).map(|b| b.name);
        assert_eq!(same("../lib/order.toml"), Some("lib/order"));
        assert_eq!(same("graphs/full.toml"), Some("full"));
        assert_eq!(same("my/own.toml"), None);
    }
}
