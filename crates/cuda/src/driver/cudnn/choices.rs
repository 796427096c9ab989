//! Caches the chosen plans in a file: one line for each problem.

use crate::{Error, Result};
use cudarc::cudnn::result::get_version;
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::descriptor::Fault;

/// A plan's position in the heuristics' list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The mode of the heuristics, as an index into `MODES`.
    pub mode: usize,
    /// The position in that mode's list.
    pub rank: usize,
    /// The engine found there.
    pub engine: i64,
}

/// The choices of one device with one version of cuDNN: other devices and versions have other lists.
pub(super) struct Choices {
    path: PathBuf,
    header: String,
    lines: HashMap<String, Choice>,
    /// Whether the file begins with this header, so that lines can be appended.
    continues: bool,
}

impl Choices {
    /// Reads a file's choices; none if there is no file, or if it is another device's.
    pub(super) fn open(path: &Path, device: &str) -> Result<Choices> {
        let header = format!("plans of cuDNN {} on {device}", get_version());
        // A named pipe would block.
        let text = match fs::metadata(path).map(|there| there.is_file()) {
            Ok(true) => fs::read_to_string(path),
            Ok(false) => return Err(Error::Device(format!("{}: it is not a file", path.display()))),
            Err(e) => Err(e),
        };
        let text = match text {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::Device(format!("{}: {e}", path.display()))),
        };
        // A line without its newline is incomplete.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = whole.split('\n');
        let continues = text.ends_with('\n') && lines.next() == Some(&header);
        let lines = if continues {
            lines.filter_map(parse).collect()
        } else {
            HashMap::new()
        };
        Ok(Choices {
            path: path.to_owned(),
            header,
            lines,
            continues,
        })
    }

    pub(super) fn get(&self, problem: &str) -> Option<Choice> {
        self.lines.get(problem).copied()
    }

    /// Adds a choice to the file.
    pub(super) fn keep(&mut self, problem: &str, choice: Choice) -> Fault<()> {
        let Choice { mode, rank, engine } = choice;
        let mut line = format!("{problem}\t{mode}\t{rank}\t{engine}\n");
        let mut options = fs::OpenOptions::new();
        if self.continues {
            options.append(true);
        } else {
            line = format!("{}\n{line}", self.header);
            options.write(true).create(true).truncate(true);
        }
        options
            .open(&self.path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|e| format!("{}: {e}", self.path.display()))?;
        self.continues = true;
        self.lines.insert(problem.to_owned(), choice);
        Ok(())
    }
}

fn parse(line: &str) -> Option<(String, Choice)> {
    let mut parts = line.split('\t');
    let problem = parts.next()?.to_owned();
    let choice = Choice {
        mode: parts.next()?.parse().ok()?,
        rank: parts.next()?.parse().ok()?,
        engine: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some((problem, choice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_outlive_the_process_and_a_cut_off_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plans.txt");
        let one = Choice {
            mode: 0,
            rank: 7,
            engine: 62,
        };
        let two = Choice { rank: 0, ..one };
        let mut choices = Choices::open(&path, "a GPU").unwrap();
        assert_eq!(choices.get("a"), None);
        choices.keep("a", one).unwrap();
        choices.keep("b", two).unwrap();
        let again = Choices::open(&path, "a GPU").unwrap();
        assert_eq!((again.get("a"), again.get("b")), (Some(one), Some(two)));

        // Another GPU has other lists: its choices start a new file.
        let mut other = Choices::open(&path, "another GPU").unwrap();
        assert_eq!(other.get("a"), None);
        other.keep("c", one).unwrap();
        assert_eq!(Choices::open(&path, "a GPU").unwrap().get("a"), None);

        // A process that was killed while writing.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}d\t0\t1")).unwrap();
        let mut cut = Choices::open(&path, "another GPU").unwrap();
        assert_eq!((cut.get("c"), cut.get("d")), (None, None));
        cut.keep("e", two).unwrap();
        assert_eq!(Choices::open(&path, "another GPU").unwrap().get("e"), Some(two));
    }
}
