//! What may be meant by a path of a graph, or of the command line, that is not there.

use std::fs;
use std::path::Path;

/// Maximum number of a folder's entries that are compared with a name.
const ENTRIES: usize = 10_000;

/// What to write instead of a path of a graph that is not there, where a part of it is meant as a variable or as somebody's
/// home folder.
fn variable(path: &Path) -> Option<&'static str> {
    let meant = |part: &str| {
        let between = part.strip_prefix('%').and_then(|rest| rest.strip_suffix('%'));
        part.starts_with('~') || part.len() > 1 && part.starts_with('$') || between.is_some_and(|name| !name.is_empty())
    };
    let mut parts = path.components().filter_map(|part| part.as_os_str().to_str());
    parts
        .any(meant)
        .then_some("variables and `~name` are not replaced (`~/` at the beginning is): write the path out")
}

/// What may be meant by a path of a graph or of the command line that is not there.
pub fn meant(path: &Path) -> Option<String> {
    if let Some(advice) = variable(path) {
        return Some(advice.to_owned());
    }
    let text = path.to_str()?;
    if text.contains('\\') {
        let slashed = text.replace('\\', "/");
        return Some(match Path::new(&slashed).exists() {
            true => format!("paths are written with `/`: {slashed} is there"),
            false => "paths are written with `/`, not with `\\`".to_owned(),
        });
    }
    let folder = match path.parent()? {
        here if here.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    let name = path.file_name()?.to_str()?.to_lowercase();
    let edits = |other: &str| strsim::damerau_levenshtein(&name, &other.to_lowercase());
    let letters = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).chars().count();
    let near = fs::read_dir(folder).ok()?.take(ENTRIES).filter_map(|entry| {
        let other = entry.ok()?.file_name().into_string().ok()?;
        let edits = edits(&other);
        // More than a third of the letters is another name.
        (3 * edits <= letters(&name).max(letters(&other))).then_some((edits, other))
    });
    near.min().map(|(_, other)| format!("did you mean `{other}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_in_paths_of_graphs() {
        for path in [
            "a/$USER/b.txt",
            "/data/${X}/b.txt",
            "~anna/b.txt",
            "%USERPROFILE%/b.txt",
        ] {
            assert!(variable(Path::new(path)).is_some(), "{path}");
        }
        for path in ["a/b$.txt", "a/$/b.txt", "50%/b.txt", "a~/b.txt", "/a/b.txt"] {
            assert!(variable(Path::new(path)).is_none(), "{path}");
        }
    }

    #[test]
    fn paths_of_graphs_that_are_nearly_right() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("data")).unwrap();
        for name in ["source_train.txt", "source_test.txt", "classes.txt"] {
            fs::write(at("data").join(name), "").unwrap();
        }
        let of = |name: &str| meant(&at(name));
        let there = |name: &str| Some(format!("did you mean `{name}`?"));
        assert_eq!(of("data/source_trian.txt"), there("source_train.txt"));
        assert_eq!(of("data/Source_Test.txt"), there("source_test.txt"));
        assert_eq!(of("data/class.txt"), there("classes.txt"));
        assert_eq!(of("data/w.pth"), None);
        fs::write(at("data/a.txt"), "").unwrap();
        assert_eq!(of("data/c.txt"), None);
        let slashed = at("data/classes.txt").display().to_string();
        assert_eq!(
            of("data\\classes.txt"),
            Some(format!("paths are written with `/`: {slashed} is there"))
        );
        assert_eq!(
            of("data\\c.txt"),
            Some("paths are written with `/`, not with `\\`".into())
        );
        assert_eq!(of("dat/classes.txt"), None);
        assert!(of("~anna/c.txt").is_some_and(|advice| advice.contains("write the path out")));
    }
}
