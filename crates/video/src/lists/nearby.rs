//! Suggestions for a missing path: the same file under a name that differs in the usual ways.

use super::separator::has_ending;
use super::words::skeleton;
use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of names kept for all folders together.
const NAMES: usize = 2_000_000;

/// Maximum number of a folder's entries that are compared with a name.
const ENTRIES: usize = 10_000;

/// Maximum number of path components that are examined.
const PARTS: usize = 24;

/// Marks that people write between columns.
const PARTING: [char; 10] = [',', ';', ':', '=', '|', '，', '；', '：', '、', '→'];

/// Maximum number of words, or marks, after a path that are examined.
const WORDS: usize = 8;

/// Searches for the missing files of a list. Folders are read once and cached.
#[derive(Debug)]
pub struct Nearby {
    root: PathBuf,
    folders: Mutex<Folders>,
}

#[derive(Debug, Default)]
struct Folders {
    read: HashMap<PathBuf, Arc<Folder>>,
    names: usize,
}

/// The names in a folder.
#[derive(Debug, Default)]
struct Folder {
    /// By name without case and punctuation.
    whole: HashMap<String, Vec<String>>,
    /// The same without the extension.
    stems: HashMap<String, Vec<String>>,
}

/// A suggestion for a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clue {
    /// The existing files.
    pub found: Vec<PathBuf>,
    /// What to write; the same for all lines with the same error.
    pub advice: String,
}

impl Clue {
    fn new(found: PathBuf, advice: impl Into<String>) -> Self {
        Self {
            found: vec![found],
            advice: advice.into(),
        }
    }

    fn only(advice: &str) -> Self {
        Self {
            found: vec![],
            advice: advice.to_owned(),
        }
    }
}

impl Nearby {
    /// For a list whose paths are relative to `root`.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            folders: Mutex::default(),
        }
    }

    /// The folder that the list's paths are relative to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A suggestion for a missing path that was written from the home folder, as `start` and `rest`; `path` is the whole path.
    pub fn clue_from_home(&self, start: &str, rest: &str, path: &Path) -> Option<Clue> {
        let found = self.root.join(rest);
        if !rest.is_empty() && found.exists() {
            let advice = format!(
                "the paths are relative to `root`, or the list's folder, not to the home folder: take `{start}` away"
            );
            return Some(Clue::new(found, advice));
        }
        self.spelled(path.to_str()?)
    }

    /// A suggestion for `written`, a missing path; `numbers` are the columns after it.
    pub fn clue(&self, written: &str, numbers: &[usize]) -> Option<Clue> {
        if written.trim().is_empty() {
            return None;
        }
        let there = |text: &str| {
            let path = self.root.join(text);
            (!text.is_empty() && path.exists()).then_some(path)
        };
        if let Some((scheme, rest)) = written.split_once("://")
            && scheme.len() > 1
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
        {
            let rest = rest.strip_prefix("localhost").unwrap_or(rest);
            let plain = decoded(rest).unwrap_or_else(|| rest.to_owned());
            return Some(match scheme.eq_ignore_ascii_case("file") {
                false => Clue::only("these are addresses of a network: fetch the files, and write their paths"),
                true => Clue {
                    found: there(&plain).into_iter().collect(),
                    advice: "write the paths without `file://`".into(),
                },
            });
        }
        if written.starts_with(['$', '%', '~']) && !self.root.join(written.split(['/', '\\']).next()?).exists() {
            return Some(Clue::only(
                "variables and `~name` are not replaced in lists (`~/` and `$HOME/` are): write the path out",
            ));
        }
        let slashed = written.replace('\\', "/");
        let edge = |c: char| {
            c.is_whitespace()
                || PARTING.contains(&c)
                || matches!(c, '"' | '\'' | '`' | '“' | '”' | '‘' | '’' | '„' | '«' | '»')
        };
        let bare = written.trim_matches(edge);
        let after_first = written
            .split_once(char::is_whitespace)
            .map_or("", |(_, rest)| rest.trim());
        // Without one more word after the path each time.
        let shorter = std::iter::successors(Some(written), |text| {
            Some(text.rsplit_once(char::is_whitespace)?.0.trim_end())
        });
        let before_words = shorter
            .skip(1)
            .take(WORDS)
            .flat_map(|text| [text, text.trim_end_matches(PARTING)]);
        let before_marks = written.match_indices(PARTING).take(WORDS).map(|(at, _)| &written[..at]);
        let with_numbers = (1..=numbers.len()).map(|n| {
            let words: Vec<String> = numbers[..n].iter().map(usize::to_string).collect();
            format!("{written} {}", words.join(" "))
        });
        let simple = [
            (slashed.clone(), "the paths have backslashes: write `/`"),
            (
                bare.to_owned(),
                "take the commas, colons or other marks, or quotes, around the paths away",
            ),
            (
                bare.replace('\\', "/"),
                "take the marks around the paths away, and write `/` for backslashes",
            ),
            (
                decoded(written).unwrap_or_default(),
                "write the names as they are, not as in web addresses (`%20`)",
            ),
            (
                after_first.to_owned(),
                "what stands before the path is a column of its own: say so (`columns = \"_ path label\"`)",
            ),
        ];
        let after_path = before_words.map(|text| {
            (
                text.to_owned(),
                "what stands after the path is a column of its own: say which columns there are (`columns`)",
            )
        });
        let marked = before_marks.map(|text| {
            (
                text.to_owned(),
                "the mark after the path separates no columns: write a blank instead, or a tab, comma, semicolon or bar on all \
                 lines",
            )
        });
        let numbered = with_numbers
            .map(|text| (text, "the number at the end belongs to the name: say which columns there are, such as `columns = \"path label\"`"));
        simple
            .into_iter()
            .chain(after_path)
            .chain(marked)
            .chain(numbered)
            .filter(|(text, _)| text != written)
            .find_map(|(text, advice)| Some(Clue::new(there(&text)?, advice)))
            .or_else(|| self.elsewhere(&slashed))
            .or_else(|| self.spelled(&slashed))
            .or_else(|| {
                let drive = written.as_bytes().get(1) == Some(&b':') && written.as_bytes()[0].is_ascii_alphabetic();
                drive
                    .then(|| Clue::only("these are paths of Windows: write them from the list's folder, or say `root`"))
            })
    }

    /// The same path in another folder.
    fn elsewhere(&self, written: &str) -> Option<Clue> {
        let path = Path::new(written);
        if path.is_relative() {
            let bases = [std::env::current_dir().ok(), self.root.parent().map(Path::to_path_buf)];
            for base in bases.into_iter().flatten() {
                let found = base.join(path);
                if base != self.root && found.exists() {
                    let advice = format!(
                        "the paths are meant from another folder: say `root = \"{}\"`",
                        base.display()
                    );
                    return Some(Clue::new(found, advice));
                }
            }
        }
        let parts: Vec<&str> = written.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
        (1..parts.len().min(PARTS)).find_map(|from| {
            let found = self.root.join(parts[from..].join("/"));
            let dropped = parts[..from].join("/");
            let advice =
                format!("the paths begin with what `root`, or the list's folder, has already: take `{dropped}/` away");
            found.exists().then(|| Clue::new(found, advice))
        })
    }

    /// The same path in other spelling, or with another extension.
    fn spelled(&self, written: &str) -> Option<Clue> {
        let path = self.root.join(written);
        let parts: Vec<Component<'_>> = path.components().collect();
        let mut at = PathBuf::new();
        let mut other = false;
        for (i, part) in parts.iter().enumerate() {
            let next = at.join(part);
            if next.exists() {
                at = next;
                continue;
            }
            let name = part.as_os_str().to_str()?;
            let folder = self.folder(&at)?;
            if let Some([same]) = folder.whole.get(&skeleton(name)).map(Vec::as_slice) {
                at.push(same);
                other = true;
                continue;
            }
            if i + 1 < parts.len() {
                return None;
            }
            let stem = stem(name);
            let mut names = folder.stems.get(&skeleton(stem)).cloned().unwrap_or_default();
            names.sort();
            let advice = match names.as_slice() {
                [] => return None,
                [one] if self::stem(one) == one.as_str() => {
                    "the files are folders of frames: write their names without an ending".to_owned()
                }
                [one, ..] => format!(
                    "write the names with their endings, `.{}`",
                    one.rsplit('.').next().unwrap_or_default()
                ),
            };
            return Some(Clue {
                found: names.iter().take(2).map(|n| at.join(n)).collect(),
                advice,
            });
        }
        other.then(|| {
            Clue::new(
                at,
                "write the names as they are spelled on the disk (case, blanks, accents; macOS writes an accent as a character of \
                 its own)",
            )
        })
    }

    fn folder(&self, path: &Path) -> Option<Arc<Folder>> {
        let lock = || -> MutexGuard<'_, Folders> { self.folders.lock().unwrap_or_else(PoisonError::into_inner) };
        let mut folders = lock();
        if let Some(known) = folders.read.get(path) {
            return Some(known.clone());
        }
        let room = NAMES.saturating_sub(folders.names);
        let here = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let mut folder = Folder::default();
        let mut count = 0;
        for entry in fs::read_dir(here).ok()?.flatten().take(room) {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            count += 1;
            folder
                .stems
                .entry(skeleton(stem(&name)))
                .or_default()
                .push(name.clone());
            folder.whole.entry(skeleton(&name)).or_default().push(name);
        }
        folders.names += count;
        let folder = Arc::new(folder);
        folders.read.insert(path.to_owned(), folder.clone());
        Some(folder)
    }
}

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

/// A name without its extension.
fn stem(name: &str) -> &str {
    match has_ending(name) {
        true => name.rsplit_once('.').map_or(name, |(stem, _)| stem),
        false => name,
    }
}

/// Without `%20` and its like; `None` if there are none.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = || {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            u8::from_str_radix(digits, 16).ok()
        };
        match (first, code()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|t| t != text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files found, relative to the root, and the advice.
    fn clue(files: &[&str], written: &str, numbers: &[usize]) -> Option<(Vec<String>, String)> {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match file.ends_with('/') {
                true => fs::create_dir_all(path).unwrap(),
                false => fs::write(path, "").unwrap(),
            }
        }
        let clue = Nearby::new(root.clone()).clue(written, numbers)?;
        let name = |p: &PathBuf| p.strip_prefix(&root).unwrap_or(p).display().to_string();
        Some((clue.found.iter().map(name).collect(), clue.advice))
    }

    #[test]
    fn names_that_differ_as_lists_differ() {
        let there = [
            "v/a.mp4",
            "v/b c.mp4",
            "v/caf\u{e9}.mp4",
            "v/Walk/x.avi",
            "v/d/",
            "v/e.avi",
            "v/e.mp4",
        ];
        for (written, found, word) in [
            (r"v\a.mp4", "v/a.mp4", "backslashes"),
            ("v/a.mp4,", "v/a.mp4", "commas"),
            ("“v/a.mp4”", "v/a.mp4", "quotes"),
            (r"'v\a.mp4';", "v/a.mp4", "backslashes"),
            ("v/b%20c.mp4", "v/b c.mp4", "%20"),
            ("v/a", "v/a.mp4", "with their endings, `.mp4`"),
            ("v/a.avi", "v/a.mp4", "with their endings, `.mp4`"),
            ("v/d.mp4", "v/d", "without an ending"),
            ("v/A.MP4", "v/a.mp4", "spelled on the disk"),
            ("V/walk/x.avi", "v/Walk/x.avi", "spelled on the disk"),
            ("v/b_c.mp4", "v/b c.mp4", "spelled on the disk"),
            ("v/cafe\u{301}.mp4", "v/caf\u{e9}.mp4", "spelled on the disk"),
            ("v/\u{200b}a.mp4", "v/a.mp4", "spelled on the disk"),
            (r"V\WALK\x", "v/Walk/x.avi", "with their endings, `.avi`"),
            ("0 v/a.mp4", "v/a.mp4", "before the path is a column"),
            ("v/a.mp4 walk", "v/a.mp4", "after the path is a column"),
            ("v/a.mp4 0.0 1.5 walk", "v/a.mp4", "after the path is a column"),
            ("v/b c.mp4 00:01 00:05 walk", "v/b c.mp4", "after the path is a column"),
            ("v/a.mp4:", "v/a.mp4", "colons"),
            ("v/a.mp4: walk", "v/a.mp4", "after the path is a column"),
            (
                "v/a.mp4=walk",
                "v/a.mp4",
                "the mark after the path separates no columns",
            ),
            (
                "v/a.mp4，walk",
                "v/a.mp4",
                "the mark after the path separates no columns",
            ),
            (
                "v/b c.mp4→riding a bike",
                "v/b c.mp4",
                "the mark after the path separates no columns",
            ),
            ("/home/me/data/v/a.mp4", "v/a.mp4", "take `home/me/data/` away"),
            (r"C:\data\v\a.mp4", "v/a.mp4", "take `C:/data/` away"),
            ("data/v/a.mp4", "v/a.mp4", "`root = "),
        ] {
            let (paths, advice) = clue(&there, written, &[]).unwrap_or_else(|| panic!("{written}"));
            // from the parent folder, if both begin with the root's name
            let paths = paths.join(" ");
            assert!(
                paths == found || paths.ends_with(&format!("data/{found}")),
                "{written}: {paths}"
            );
            assert!(advice.contains(word), "{written}: {advice}");
        }
        let (paths, _) = clue(&there, "v/e", &[]).unwrap();
        assert_eq!(paths, ["v/e.avi", "v/e.mp4"]);
        assert_eq!(clue(&there, "v/f.mp4", &[]), None);
        assert_eq!(clue(&there, "w/f.mp4", &[3]), None);
        assert_eq!(clue(&[], "", &[]), None);
    }

    #[test]
    fn paths_from_home_that_are_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("data/v")).unwrap();
        fs::create_dir_all(dir.path().join("home/v")).unwrap();
        fs::write(dir.path().join("data/v/a.mp4"), "").unwrap();
        fs::write(dir.path().join("home/v/B.mp4"), "").unwrap();
        let nearby = Nearby::new(dir.path().join("data"));
        let of = |rest: &str| nearby.clue_from_home("~/", rest, &dir.path().join("home").join(rest));
        let clue = of("v/a.mp4").unwrap();
        assert_eq!(clue.found, [dir.path().join("data/v/a.mp4")]);
        assert!(
            clue.advice.ends_with("not to the home folder: take `~/` away"),
            "{}",
            clue.advice
        );
        assert_eq!(of("v/b.mp4").unwrap().found, [dir.path().join("home/v/B.mp4")]);
        assert_eq!(of("v/c.mp4"), None);
    }

    #[test]
    fn folders_whose_names_end_in_numbers() {
        let (paths, advice) = clue(&["take 12/", "take 13 4/"], "take", &[12]).unwrap();
        assert!(
            paths == ["take 12"] && advice.contains("`columns = \"path label\"`"),
            "{paths:?} {advice}"
        );
        assert_eq!(
            clue(&["take 12/", "take 13 4/"], "take", &[13, 4]).unwrap().0,
            ["take 13 4"]
        );
    }

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

    #[test]
    fn addresses_and_variables() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a b.mp4"), "").unwrap();
        let nearby = Nearby::new("elsewhere".into());
        let of = |text: &str| nearby.clue(text, &[]).unwrap();
        let file = of(&format!("file://{}/a%20b.mp4", dir.path().display()));
        assert_eq!(file.found, [dir.path().join("a b.mp4")]);
        assert!(file.advice.contains("without `file://`"));
        assert!(of("https://example.org/a.mp4").advice.contains("fetch the files"));
        assert!(of("s3://bucket/a.mp4").advice.contains("fetch the files"));
        for text in ["$DATA/a.mp4", "${DATA}/a.mp4", "%USERPROFILE%\\a.mp4", "~anna/a.mp4"] {
            assert!(of(text).advice.contains("write the path out"), "{text}");
        }
        assert!(of(r"D:\videos\a.mp4").advice.contains("paths of Windows"));
    }
}
