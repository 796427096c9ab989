//! The features of a listed video: rows of an array, or a file for each row.

use crate::contract::*;
use crate::data::footage::{clue, files_of_folder, is_missing, not_there};
use crate::data::listing::INDEX;
use crate::model::{ArrayError, ArrayFile};
use anyhow::{Context, Result, bail, ensure};
use glad_video::lists::Nearby;
use glad_video::{Checksum, Template};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What the features of a list have in common.
pub(super) struct Layout {
    /// Numbers of a row.
    pub size: usize,
    pub key: Option<String>,
    /// Names of a folder's files.
    pub template: Option<Template>,
    pub start_index: usize,
    /// Where to look for a file that is not there.
    pub nearby: Nearby,
}

/// A file or folder, looked at when its number of rows is wanted.
pub(super) struct FeatureFootage {
    pub(super) path: PathBuf,
    pub(super) line: String,
    pub(super) layout: Arc<Layout>,
    stated: Stated,
    checksum: Option<Checksum>,
    origin: Option<Origin>,
    /// Rows of the file; they are counted once.
    rows: OnceLock<usize>,
}

impl FeatureFootage {
    pub(super) fn new(
        path: &Path,
        line: &str,
        layout: Arc<Layout>,
        stated: Stated,
        checksum: Option<Checksum>,
    ) -> Self {
        FeatureFootage {
            path: path.to_owned(),
            line: line.to_owned(),
            layout,
            stated,
            checksum,
            origin: None,
            rows: OnceLock::new(),
        }
    }

    /// Computed from this video, where it is known.
    pub(super) fn of(self, origin: Option<Origin>) -> Self {
        FeatureFootage { origin, ..self }
    }

    /// The folder's template, where the path is a folder.
    fn folder(&self) -> Result<Option<&Template>> {
        match (&self.layout.template, self.path.metadata()?.is_dir()) {
            (None, true) if self.path.join(INDEX).is_file() => bail!(
                "it is a folder of features with an index, which is a list: name it so (`list`, or --list of `glad-run predict`)"
            ),
            (template, true) => template
                .as_ref()
                .map(Some)
                .context("it is a folder: say by `template` what its files are called, such as \"img_%05d.t7\""),
            (Some(_), false) => bail!("it is a file, and `template` says that each video is a folder of files"),
            (None, false) => Ok(None),
        }
    }

    pub(super) fn file(&self, path: &Path) -> Result<ArrayFile, ArrayError> {
        ArrayFile::open(path, self.layout.key.as_deref(), self.layout.size)
    }

    /// Rows of the whole file or folder.
    fn whole(&self) -> Result<usize> {
        if let Some(n) = self.rows.get() {
            return Ok(*n);
        }
        let rows = match self.folder()? {
            None => {
                if let Some(expected) = self.checksum {
                    let found = Checksum::of(&self.path)?;
                    ensure!(
                        found == expected,
                        "its content is {found}, and the list says {expected}"
                    );
                }
                self.file(&self.path)?.rows()
            }
            Some(template) => {
                let first = self.layout.start_index;
                let there = |n: &usize| self.path.join(template.name(first.saturating_add(*n))).exists();
                let rows = (0..usize::MAX).take_while(there).count();
                let name = template.name(first);
                ensure!(
                    rows > 0,
                    "the folder has no {name}; look at `template` and `start_index`"
                );
                let one = self.file(&self.path.join(&name));
                let one = one.map_err(anyhow::Error::from).with_context(|| name.clone())?;
                ensure!(
                    one.rows() == 1,
                    "{name} has {} rows: a folder has a file for each row",
                    one.rows()
                );
                rows
            }
        };
        Ok(*self.rows.get_or_init(|| rows))
    }

    /// Rows of the segment, or what is wrong.
    fn count(&self) -> Result<std::result::Result<usize, Defect>> {
        let found = self.whole()?;
        let Some(offset) = self.stated.offset else {
            return Ok(Ok(found));
        };
        Ok(match self.stated.frames {
            _ if offset >= found => Err(Defect::Offset { offset, found }),
            Some(stated) if found - offset < stated => Err(Defect::Short {
                stated,
                found: found - offset,
            }),
            Some(stated) => Ok(stated),
            None => Ok(found - offset),
        })
    }

    fn read(&self, wanted: &[usize]) -> Result<Vec<f32>> {
        let first = self.stated.offset.unwrap_or(0);
        let mut out = Vec::with_capacity(wanted.len() * self.layout.size);
        match self.folder()? {
            None => {
                let mut file = self.file(&self.path)?;
                for row in wanted {
                    file.read(first + row, &mut out)?;
                }
            }
            Some(template) => {
                for row in wanted {
                    let name = template.name(self.layout.start_index.saturating_add(first + row));
                    let mut read = || self.file(&self.path.join(&name))?.read(0, &mut out);
                    read().with_context(|| name.clone())?;
                }
            }
        }
        Ok(out)
    }

    /// `e` with the line of the list and the file.
    fn error(&self, e: &anyhow::Error) -> DataError {
        let text = format!("{}: {}: {e:#}", self.line, self.path.display());
        match self.is_gone() {
            true => not_there(text, self.clue()),
            false => DataError::sample(text),
        }
    }

    /// The number of a folder's file that has the first row.
    fn first(&self) -> usize {
        self.layout.start_index.saturating_add(self.stated.offset.unwrap_or(0))
    }

    /// Whether there is neither a file nor a folder.
    fn is_gone(&self) -> bool {
        self.path.metadata().is_err_and(|e| is_missing(&e))
    }
}

impl Footage for FeatureFootage {
    fn frame_count(&self) -> Result<usize, DataError> {
        let count = self.count().map_err(|e| self.error(&e))?;
        count.map_err(|d| DataError::sample(format!("{}: {} {d}", self.line, self.path.display())))
    }

    fn frames(&self, _: &[usize]) -> Result<Vec<Frame>, DataError> {
        Err(DataError::sample(format!(
            "{}: {} has features, and no frames",
            self.line,
            self.path.display()
        )))
    }

    fn rows(&self, wanted: &[usize]) -> Result<Vec<f32>, DataError> {
        let count = self.frame_count()?;
        if let Some(beyond) = wanted.iter().find(|i| **i >= count) {
            return Err(DataError::sample(format!(
                "{}: {} has no row {beyond}, but {count}",
                self.line,
                self.path.display()
            )));
        }
        self.read(wanted).map_err(|e| self.error(&e))
    }

    fn probe(&self, wanted: &[usize]) -> Result<(), DataError> {
        self.rows(wanted).map(drop)
    }

    fn stated(&self) -> Stated {
        self.stated
    }

    fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    fn inspect(&self) -> Result<usize, Defect> {
        match self.count() {
            Ok(Ok(found)) => match self.stated.frames {
                Some(stated) if found < stated => Err(Defect::Short { stated, found }),
                _ => Ok(found),
            },
            Ok(Err(defect)) => Err(defect),
            Err(_) if self.is_gone() => Err(Defect::Missing),
            Err(e) => Err(Defect::Unreadable(format!("{}: {e:#}", self.path.display()))),
        }
    }

    fn reading(&self) -> String {
        let Layout {
            size,
            key,
            template,
            start_index,
            ..
        } = &*self.layout;
        let template = template.as_ref().map(|t| t.name(*start_index));
        format!("{size} {key:?} {template:?} {:?}", self.checksum)
    }

    fn clue(&self) -> Option<Clue> {
        clue(&self.layout.nearby, &self.path, self.stated)
    }

    fn content(&self) -> Option<String> {
        let mut hash = blake3::Hasher::new();
        match self.folder().ok()? {
            None => sample(&self.path, &mut hash)?,
            Some(template) => {
                let (first, rows) = (self.first(), self.frame_count().ok()?);
                let mut some = vec![0, rows / 2, rows.saturating_sub(1)];
                some.dedup();
                for row in some {
                    sample(&self.path.join(template.name(first.saturating_add(row))), &mut hash)?;
                }
            }
        }
        Some(hash.finalize().to_hex().to_string())
    }

    fn images(&self) -> Option<ImagesStamp> {
        let template = self.folder().ok()??;
        let first = self.first();
        let rows = self.stated.offset.and(self.stated.frames).unwrap_or(usize::MAX);
        files_of_folder(&self.path, template, first..first.saturating_add(rows))
    }
}

/// How much of a file's beginning, middle and end is hashed: what another network computes differs everywhere, and features of a
/// data set may be too large to be read for each run.
const SAMPLED: u64 = 64 << 10;

/// Adds the beginning, the middle and the end of a file.
fn sample(path: &Path, hash: &mut blake3::Hasher) -> Option<()> {
    let mut file = glad_video::open_file(path).ok()?;
    let bytes = file.metadata().ok()?.len();
    for from in [0, bytes / 2, bytes.saturating_sub(SAMPLED)] {
        file.seek(SeekFrom::Start(from)).ok()?;
        hash.update_reader((&mut file).take(SAMPLED)).ok()?;
    }
    Some(())
}
