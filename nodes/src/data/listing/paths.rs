//! Paths as lists and parameters have them.

use glad_video::lists::meant;
use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

/// `settings/../data` as `data`, where links do not make that another folder: these paths are read by people.
pub(in crate::data) fn without_detours(path: PathBuf) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if matches!(short.components().next_back(), Some(Component::Normal(_))) => {
                short.pop();
            }
            Component::CurDir => {}
            part => short.push(part),
        }
    }
    // A file that is not there has a folder that may be.
    let real = |p: &Path| {
        p.canonicalize()
            .or_else(|_| p.parent().unwrap_or(p).canonicalize())
            .ok()
    };
    if short.as_os_str().is_empty() || real(&short) != real(&path) {
        path
    } else {
        short
    }
}

/// A path that begins with the home folder as `~/` or `$HOME/`: that, and the rest.
pub(in crate::data) fn home_and_rest(path: &str) -> Option<(&'static str, &str)> {
    let starts = ["~/", "$HOME/", "${HOME}/"].into_iter();
    starts
        .filter_map(|start| Some((start, path.strip_prefix(start)?)))
        .next()
}

/// A path with `~/` or `$HOME/` at its beginning replaced by the home folder.
pub(in crate::data) fn from_home(path: &str) -> Cow<'_, Path> {
    match (home_and_rest(path), std::env::home_dir()) {
        (Some((_, rest)), Some(home)) if !home.as_os_str().is_empty() => home.join(rest).into(),
        _ => Path::new(path).into(),
    }
}

/// That a file is not there.
pub(in crate::data) fn missing(path: &Path) -> Option<String> {
    let why = || meant(path).map_or(String::new(), |advice| format!("; {advice}"));
    (!path.exists()).then(|| format!("{} is not there{}", path.display(), why()))
}
