//! Paths as shown to users.

use std::path::{Component, Path, PathBuf};

/// `graphs/ablations/../full.toml` is `graphs/full.toml`, unless links make that another file.
pub(crate) fn simplified(path: &Path) -> PathBuf {
    let short = lexical(path);
    match (path.canonicalize(), short.canonicalize()) {
        (Ok(a), Ok(b)) if a != b => path.to_path_buf(),
        _ => short,
    }
}

/// A path without detours, as shown to users.
pub(crate) fn shown(path: &Path) -> String {
    simplified(path).display().to_string()
}

/// The path without `.` and `..`, by its text alone.
pub(crate) fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for c in path.components() {
        match c {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            c => out.push(c),
        }
    }
    out
}
