//! Summaries of the lists that were read.

use crate::diag::lexical;
use crate::program::{Call, Program};
use glad_nodes::{Listing, Source};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// The summary of a list.
#[derive(Clone, Debug, Default)]
pub(in crate::check) struct Digest {
    /// The number of videos.
    pub videos: usize,
    /// The number of videos per label (`None`: without a label), and the line of the first.
    pub labels: BTreeMap<Option<usize>, (usize, String)>,
    /// The number of videos per length in frames as stated by the list; `None` where it states none.
    pub frames: BTreeMap<Option<usize>, usize>,
    /// What each video shows, by file; features, by the file of the video that they were computed from.
    pub shown: Vec<Shown>,
    /// The name of the list, as it stands in front of a line number.
    pub name: String,
    /// Class names, where known.
    pub classes: Option<Vec<String>>,
    /// Whether the labels are numbers, all of them, and not names.
    pub numbered: bool,
}

/// The frames of a file that a line of a list refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::check) struct Shown {
    /// A hash of the file's path.
    pub file: u64,
    /// The first frame.
    pub from: u32,
    /// The frame after the last.
    pub to: u32,
    /// The line.
    pub line: u32,
    /// Its label, or [`UNLABELLED`].
    pub label: u32,
}

/// The label of a video that has none.
const UNLABELLED: u32 = u32::MAX;

impl Shown {
    /// Its label, if it has one.
    pub(super) fn label(&self) -> Option<u32> {
        Some(self.label).filter(|label| *label != UNLABELLED)
    }
}

/// The list of a source for a split: the node and its parameters, and the split.
type Key = (String, String, String);

/// The lists that were read.
#[derive(Default)]
pub(in crate::check) struct Lists {
    read: HashMap<Key, Result<Digest, String>>,
    folders: HashMap<PathBuf, Folder>,
}

/// A folder that lists name files of.
struct Folder {
    /// By its path without links.
    real: PathBuf,
    /// The names in it that are links.
    links: HashSet<OsString>,
}

impl Folder {
    /// One listing instead of a request for each file: a list may name a million.
    fn read(path: &Path) -> Folder {
        let here = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let entries = std::fs::read_dir(here).into_iter().flatten().flatten();
        let links = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_symlink()));
        Folder {
            real: here.canonicalize().unwrap_or_else(|_| lexical(path)),
            links: links.map(|e| e.file_name()).collect(),
        }
    }
}

fn key(program: &Program, call: &Call) -> Key {
    (call.node.clone(), call.params.to_string(), program.split.clone())
}

impl Lists {
    /// Reads the list of a source call unless it has been read. An error is returned only the first time.
    ///
    /// # Errors
    /// The list cannot be read or is malformed.
    pub(crate) fn read(&mut self, program: &Program, call: &Call, source: &dyn Source) -> Result<(), String> {
        let key = key(program, call);
        if self.read.contains_key(&key) {
            return Ok(());
        }
        let mut digest = Digest::default();
        let read = source.each(&program.split, &mut |line| self.add(&mut digest, line));
        let digest = read.and_then(|()| {
            digest.shown.sort_unstable();
            digest.classes = source.classes()?;
            Ok(digest)
        });
        let digest = digest.map_err(|e| format!("{e:#}"));
        let answer = digest.as_ref().map(|_| ()).map_err(String::clone);
        self.read.insert(key, digest);
        answer
    }

    /// The list of a stream of a program, where it is valid.
    pub(crate) fn of(&self, program: &Program, stream: usize) -> Option<&Digest> {
        let call = &program.calls[*program.sources.get(stream)?];
        self.read.get(&key(program, call))?.as_ref().ok()
    }

    /// Counts one more line.
    fn add(&mut self, digest: &mut Digest, of: Listing<'_>) {
        if digest.videos == 0 {
            digest.name = of.list.display().to_string();
            digest.numbered = of.numbered;
        }
        digest.videos += 1;
        let line = || format!("{}:{}", of.list.display(), of.line);
        let entry = digest.labels.entry(of.label).or_insert_with(|| (0, line()));
        entry.0 += 1;
        *digest.frames.entry(of.stated.frames).or_default() += 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        // Features show what the video shows that they were computed from.
        let (path, stated) = of.origin.map_or((of.path, of.stated), |o| (o.path.as_path(), o.stated));
        let (from, to) = match (stated.offset, stated.frames) {
            (Some(from), Some(n)) => (number(from), number(from.saturating_add(n))),
            (Some(from), None) => (number(from), u32::MAX),
            (None, _) => (0, u32::MAX),
        };
        digest.shown.push(Shown {
            file: self.file(path),
            from,
            to,
            line: number(of.line),
            label: of.label.map_or(UNLABELLED, number),
        });
    }

    /// Identifies a file by its path without links.
    fn file(&mut self, path: &Path) -> u64 {
        let mut hasher = DefaultHasher::new();
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => {
                if !self.folders.contains_key(folder) {
                    self.folders.insert(folder.to_path_buf(), Folder::read(folder));
                }
                let folder = &self.folders[folder];
                let link = folder.links.contains(name).then(|| path.canonicalize().ok()).flatten();
                match link.as_deref().map(|real| (real.parent(), real.file_name())) {
                    Some((Some(folder), Some(name))) => (folder, name).hash(&mut hasher),
                    _ => (folder.real.as_path(), name).hash(&mut hasher),
                }
            }
            _ => path.hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// The lines of `of` whose frames overlap those of a line of `among`, each with that line. Both are sorted.
pub(super) fn common(of: &[Shown], among: &[Shown]) -> Vec<(Shown, Shown)> {
    let mut found = vec![];
    let (mut i, mut j) = (0, 0);
    while let (Some(a), Some(b)) = (of.get(i), among.get(j)) {
        if a.file != b.file {
            if a.file < b.file { i += 1 } else { j += 1 }
        } else if b.to <= a.from {
            j += 1;
        } else if a.to <= b.from {
            i += 1;
        } else {
            found.push((*a, *b));
            i += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(file: u64, from: u32, to: u32, line: u32) -> Shown {
        Shown {
            file,
            from,
            to,
            line,
            label: 0,
        }
    }

    #[test]
    fn segments_of_a_file_that_overlap_are_common() {
        let whole = |file, line| shown(file, 0, u32::MAX, line);
        let lines = |of: &[Shown], among: &[Shown]| -> Vec<(u32, u32)> {
            common(of, among).iter().map(|(a, b)| (a.line, b.line)).collect()
        };
        assert_eq!(
            lines(&[whole(1, 1), whole(3, 2)], &[whole(2, 7), whole(3, 8)]),
            [(2, 8)]
        );
        // Two in a row, then one that begins inside the last, then a whole file around all.
        let segments = [shown(5, 0, 10, 1), shown(5, 10, 20, 2), shown(5, 30, 40, 3)];
        assert_eq!(lines(&segments, &[shown(5, 19, 30, 9)]), [(2, 9)]);
        assert_eq!(lines(&segments, &[whole(5, 9)]), [(1, 9), (2, 9), (3, 9)]);
        assert_eq!(lines(&[whole(5, 9)], &segments), [(9, 1)]);
        assert!(lines(&segments, &[shown(5, 20, 30, 9)]).is_empty());
        // A long one that begins first, and a short one inside it.
        let among = [shown(5, 0, 100, 1), shown(5, 1, 2, 2)];
        assert_eq!(
            lines(&[shown(5, 50, 60, 8), shown(5, 90, 99, 9)], &among),
            [(8, 1), (9, 1)]
        );
    }

    #[test]
    fn a_file_is_the_same_by_whatever_way() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let mut lists = Lists::default();
        let mut file = |path: &str| lists.file(&dir.path().join(path));
        assert_eq!(file("a/x.mp4"), file("a/b/../x.mp4"));
        assert_eq!(file("a/x.mp4"), file("./a/./x.mp4"));
        assert_ne!(file("a/x.mp4"), file("a/y.mp4"));
        assert_ne!(file("a/x.mp4"), file("a/b/x.mp4"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            std::fs::write(dir.path().join("a/b/x.mp4"), "").unwrap();
            std::fs::create_dir(dir.path().join("c")).unwrap();
            symlink("../a/b/x.mp4", dir.path().join("c/y.mp4")).unwrap();
            symlink("y.mp4", dir.path().join("c/z.mp4")).unwrap();
            symlink("a", dir.path().join("d")).unwrap();
            symlink("nowhere.mp4", dir.path().join("c/broken.mp4")).unwrap();
            let mut lists = Lists::default();
            let mut file = |path: &str| lists.file(&dir.path().join(path));
            assert_eq!(file("c/y.mp4"), file("a/b/x.mp4"));
            assert_eq!(file("c/z.mp4"), file("d/b/x.mp4"));
            assert_ne!(file("c/broken.mp4"), file("c/nowhere.mp4"));
        }
    }
}
