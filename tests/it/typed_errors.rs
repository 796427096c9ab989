//! Errors are matched on by their type: nothing in `src` and `nodes/src` looks for one in a chain of causes, where a variant
//! that is wrapped once more, or forgotten, is missed without a word.

use crate::common::repository;
use crate::layers::files;

/// Downcasts of what is no error, with the number of them: what a panic carries, and what a forward pass kept.
const OTHERS: [(&str, usize); 2] = [("src/run/data/host.rs", 2), ("nodes/src/contract/saved.rs", 1)];

/// The lines of code that ask for the type of a value behind a trait object.
fn downcasts(code: &str) -> Vec<usize> {
    let mut found = vec![];
    for (i, line) in code.lines().enumerate() {
        let asks = line.contains("downcast") || line.contains(".is::<");
        if asks && !line.trim_start().starts_with("//") {
            found.push(i + 1);
        }
    }
    found
}

#[test]
fn no_error_is_found_by_a_downcast() {
    let root = repository();
    let mut wrong = vec![];
    for folder in ["src", "nodes/src"] {
        for path in files(&root.join(folder)) {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let found = downcasts(&std::fs::read_to_string(&path).unwrap());
            let allowed = OTHERS.iter().find(|(file, _)| *file == name).map_or(0, |(_, n)| *n);
            if found.len() != allowed {
                wrong.push(format!("{name}: lines {found:?}, where {allowed} are known"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_downcast_is_seen() {
    let code =
        "// no downcast\nlet a = e.downcast_ref::<A>();\nif e.chain().any(|c| c.is::<B>()) {}\nlet c = a.is_some();";
    assert_eq!(downcasts(code), [2, 3]);
}
