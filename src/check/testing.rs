//! Helpers of the tests of the checks.

use super::{absent, check};
use crate::diag::{Problem, Problems, Severity};
use crate::graph::Graph;
use crate::load::load_text;
use crate::program::Checked;
use std::fmt::Write;
use std::path::Path;

/// An overlay on the whole method, as if it were stored next to it.
pub(super) fn graph(overlay: &str) -> Graph {
    let text = format!("extends = \"full.toml\"\n{overlay}");
    load_text("overlay.toml", &text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"))
}

fn try_check(graph: &Graph) -> Result<Checked, Problems> {
    check(graph, &glad_nodes::registry())
}

/// The messages of a severity.
fn of(problems: &[Problem], severity: Severity) -> Vec<String> {
    let found = problems.iter().filter(|p| p.severity == severity);
    found.map(|p| p.message.clone()).collect()
}

/// The warnings for an overlay that is accepted.
pub(super) fn warnings(overlay: &str) -> Vec<String> {
    let checked = try_check(&graph(overlay)).unwrap_or_else(|p| panic!("{p}"));
    of(&checked.notes.list, Severity::Warning)
}

/// The notes for an overlay that is accepted.
pub(super) fn notes(overlay: &str) -> Vec<String> {
    let checked = try_check(&graph(overlay)).unwrap_or_else(|p| panic!("{p}"));
    of(&checked.notes.list, Severity::Note)
}

/// The errors for an overlay that is refused.
pub(super) fn errors(overlay: &str) -> Vec<String> {
    match try_check(&graph(overlay)) {
        Ok(_) => panic!("accepted: {overlay}"),
        Err(p) => of(&p.list, Severity::Error),
    }
}

/// A list with this many videos and these labels, repeated in turn.
pub(super) fn list(name: &str, videos: usize, labels: &[&str]) -> String {
    let mut text = String::new();
    for i in 0..videos {
        writeln!(text, "{name}/{i}.mp4 {}", labels[i % labels.len()]).expect("writing to a string");
    }
    text
}

/// The problems between a user's graph and lists: the whole method over two classes, with valid lists of eight videos
/// except for those given. `overlay` begins inside the node of the lists; keys of the graph itself (`select`, `oracle`,
/// `drop`) may stand anywhere in it.
pub(super) fn lists(given: &[(&str, &str)], overlay: &str) -> Problems {
    let dir = tempfile::tempdir().expect("a folder");
    let sound = [
        ("source_train", list("source", 8, &["0", "1"])),
        ("source_test", list("source_test", 8, &["0", "1"])),
        ("target_train", list("target", 8, &["-"])),
        ("target_test", list("target_test", 8, &["0", "1"])),
    ];
    for (name, text) in sound.iter().map(|(n, t)| (*n, t.as_str())).chain(given.iter().copied()) {
        std::fs::write(dir.path().join(name).with_extension("txt"), text).expect("written");
    }
    let graphs = Path::new(env!("CARGO_MANIFEST_DIR")).join("graphs");
    let (top, overlay): (Vec<&str>, Vec<&str>) = overlay
        .lines()
        .partition(|l| ["select =", "oracle =", "drop ="].iter().any(|k| l.starts_with(k)));
    let (top, overlay) = (top.join("\n"), overlay.join("\n"));
    let text = format!(
        "{top}\nextends = \"{0}/full.toml\"\nset.setting = \"{0}/settings/own_videos.toml\"\n[replace.nodes.videos]\nkind = \
         \"video_list\"\nsource.list = {{ train = \"source_train.txt\", val = \"source_test.txt\", test = \"source_test.txt\" }}\n\
         target.list = {{ train = \"target_train.txt\", val = \"target_test.txt\", test = \"target_test.txt\" }}\n{overlay}",
        graphs.display()
    );
    let graph = load_text("own.toml", &text, dir.path()).unwrap_or_else(|p| panic!("{p}"));
    let checked = try_check(&graph).unwrap_or_else(|p| panic!("{p}"));
    absent(&graph, &checked, false)
}

/// The errors between a graph and lists.
pub(super) fn list_errors(given: &[(&str, &str)], overlay: &str) -> Vec<String> {
    of(&lists(given, overlay).list, Severity::Error)
}

/// The warnings about a graph and lists, which are accepted.
pub(super) fn list_warnings(given: &[(&str, &str)], overlay: &str) -> Vec<String> {
    let found = lists(given, overlay);
    assert!(!found.has_errors(), "{found}");
    of(&found.list, Severity::Warning)
}

/// The problems between a graph of heads on features and its lists: DANN over two classes, with the indices of folders that are
/// given by name, sound ones for the others, and files next to the folders. `overlay` is laid over it.
pub(super) fn features(given: &[(&str, &str)], files: &[(&str, Vec<u8>)], overlay: &str) -> Problems {
    let dir = tempfile::tempdir().expect("a folder");
    let index = |name: &str| {
        let row = |i: usize| format!("/videos/{name}/{i}.mp4,{},{i}.npy,3x64\n", i % 12);
        format!("video,label,file,shape\n{}", (0..32).map(row).collect::<String>())
    };
    let sound = ["source_train", "source_test", "target_train", "target_test"].map(|name| (name, index(name)));
    for (name, text) in sound.iter().map(|(n, t)| (*n, t.as_str())).chain(given.iter().copied()) {
        let folder = dir.path().join("features").join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("index.csv"), text).expect("written");
    }
    for (name, bytes) in files {
        let file = dir.path().join("features").join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, bytes).expect("written");
    }
    let graphs = Path::new(env!("CARGO_MANIFEST_DIR")).join("graphs");
    let lists = |stream: &str| {
        format!(
            "{stream}.list = {{ train = \"features/{stream}_train\", val = \"features/{stream}_test\", test = \
             \"features/{stream}_test\" }}\n"
        )
    };
    let (videos, rest) = overlay
        .strip_prefix("[nodes.videos]\n")
        .map_or(("", overlay), |videos| (videos, ""));
    let text = format!(
        "extends = \"{}/dann_features.toml\"\n[replace.nodes.videos]\nkind = \"feature_list\"\nsize = \"D\"\n{}{}{videos}\n{rest}",
        graphs.display(),
        lists("source"),
        lists("target")
    );
    let graph = load_text("own.toml", &text, dir.path()).unwrap_or_else(|p| panic!("{p}"));
    let checked = try_check(&graph).unwrap_or_else(|p| panic!("{p}"));
    absent(&graph, &checked, false)
}
