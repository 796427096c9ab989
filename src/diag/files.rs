//! The texts that an experiment was read from, and places in them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One of the [`Files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

impl FileId {
    /// The place before its first byte.
    pub fn start(self) -> Place {
        Place { file: self, span: 0..0 }
    }
}

/// A stretch of one file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// Bytes of its text.
    pub span: Range<usize>,
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub place: Place,
}

impl<T> Spanned<T> {
    /// A value written at `place`.
    pub fn new(value: T, place: Place) -> Self {
        Spanned { value, place }
    }
}

#[derive(Clone, Debug)]
struct File {
    name: String,
    path: Option<PathBuf>,
    text: Arc<str>,
}

/// All texts that were read: graph files, and values given with `--set`.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: Vec<File>,
}

impl Files {
    /// Adds the text of a file.
    pub fn add_file(&mut self, path: &Path, text: &str) -> FileId {
        self.push(path.display().to_string(), Some(path.to_path_buf()), text)
    }

    /// Adds the text of a file that is shown under a name other than its path.
    pub fn add_named(&mut self, name: &str, path: &Path, text: &str) -> FileId {
        self.push(name.to_string(), Some(path.to_path_buf()), text)
    }

    /// Adds a text that is not in a file, such as a `--set` of the command line.
    pub fn add_text(&mut self, name: &str, text: &str) -> FileId {
        self.push(name.to_string(), None, text)
    }

    fn push(&mut self, name: String, path: Option<PathBuf>, text: &str) -> FileId {
        self.files.push(File {
            name,
            path,
            text: text.into(),
        });
        FileId(self.files.len() as u32 - 1)
    }

    /// The file's name as shown to users.
    pub fn name(&self, file: FileId) -> &str {
        &self.files[file.0 as usize].name
    }

    /// The file's path; `None` for what came from the command line.
    pub fn path(&self, file: FileId) -> Option<&Path> {
        self.files[file.0 as usize].path.as_deref()
    }

    /// The folder that relative paths in the file are resolved against.
    pub fn folder(&self, file: FileId) -> PathBuf {
        match self.path(file).and_then(Path::parent) {
            Some(p) => p.to_path_buf(),
            None => PathBuf::new(),
        }
    }

    /// The file's text.
    pub fn text(&self, file: FileId) -> &Arc<str> {
        &self.files[file.0 as usize].text
    }

    /// Line and column of a place, from 1.
    pub fn line_column(&self, place: &Place) -> (usize, usize) {
        let text = self.text(place.file);
        let before = &text[..place.span.start.min(text.len())];
        let line = before.matches('\n').count() + 1;
        (line, before.chars().rev().take_while(|c| *c != '\n').count() + 1)
    }

    /// `file:line`, as messages and `explain` write it.
    pub fn at(&self, place: &Place) -> String {
        match self.path(place.file) {
            Some(_) => format!("{}:{}", self.name(place.file), self.line_column(place).0),
            None => self.name(place.file).to_string(),
        }
    }
}
