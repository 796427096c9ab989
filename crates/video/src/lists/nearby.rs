//! Suggestions for a missing path: the same file under a name that differs in the usual ways.

use super::separator::has_ending;
use super::words::skeleton;
use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of names kept for all folders together.
const NAMES: usize = 2_000_000;

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
mod tests;
