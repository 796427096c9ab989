//! The lists of a stream, read; what their lines name is made by each source.

mod paths;
mod two_ways;

pub(super) use self::paths::{from_home, home_and_rest, missing, without_detours};
use self::two_ways::two_ways;
use super::lists::Lists;
use crate::contract::*;
use anyhow::{Context, Result, anyhow};
use glad_video::lists::{Columns, ListEntry, ListError, ListFormat, ListOptions, Scan, scan_list};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The label of a video that has none.
const UNKNOWN: u32 = u32::MAX;

/// A folder of features is named instead of this file in it.
pub(super) const INDEX: &str = "index.csv";

/// Lists by split, and how they are read.
pub(super) struct ListReader {
    pub lists: Lists,
    /// The folder that the paths in a list are relative to; without, the list's own.
    pub root: Option<String>,
    pub format: ListFormat,
    pub columns: Option<Columns>,
    /// The number of a folder's first file, where it is given.
    pub start_index: Option<usize>,
    /// The folder that relative paths of parameters are meant from.
    pub base: PathBuf,
}

/// The columns of a list, as a parameter has them.
pub(super) fn columns(text: Option<&str>) -> Result<Option<Columns>, ParamProblem> {
    let columns = text.map(Columns::parse).transpose();
    columns.map_err(|e| ParamProblem::new("columns", e))
}

/// What is wrong with the parameters `columns` and `format` together.
pub(super) fn problems(text: Option<&str>, format: ListFormat) -> Vec<ParamProblem> {
    let mut problems: Vec<ParamProblem> = columns(text).err().into_iter().collect();
    if text.is_some() && format != ListFormat::Auto {
        problems
            .push(ParamProblem::new("columns", "`format` says the columns already").help("leave one of the two out"));
    }
    problems
}

impl ListReader {
    /// The list of a split.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn list(&self, split: &str) -> Result<PathBuf, SourceError> {
        match self.lists.of(split) {
            Some(list) => Ok(self.file(list)),
            None => Err(anyhow!("there is no list for split `{split}`, only for {}", self.lists.named()).into()),
        }
    }

    /// The file of a list: of a folder, its index.
    fn file(&self, list: &str) -> PathBuf {
        let file = self.base.join(list);
        let index = file.join(INDEX);
        without_detours(if index.is_file() { index } else { file })
    }

    /// The indices of the lists that are folders of features.
    pub(super) fn indices(&self) -> impl Iterator<Item = PathBuf> {
        let folders = self
            .lists
            .distinct()
            .into_iter()
            .map(|(_, list)| self.base.join(list).join(INDEX));
        folders.filter(|index| index.is_file()).map(without_detours)
    }

    /// The number of a folder's first file, in a list of this format.
    pub(super) fn start_index(&self, format: ListFormat) -> usize {
        self.start_index.unwrap_or(format.start_index())
    }

    /// The folder that the paths of a list are relative to.
    pub(super) fn root(&self, list: &Path) -> PathBuf {
        match &self.root {
            Some(root) => without_detours(self.base.join(root)),
            None => list.parent().map(Path::to_path_buf).unwrap_or_default(),
        }
    }

    /// What can be read of a list, whose labels may be names of `classes`, of the file `named`.
    ///
    /// # Errors
    /// [`SourceError::File`]: the file as a whole is of no use, or that of the classes is not for these lists.
    pub(super) fn read(
        &self,
        list: &Path,
        classes: Option<Vec<String>>,
        named: Option<PathBuf>,
    ) -> Result<Scan, SourceError> {
        let fault = |what: String, advice: &str| FileFault {
            role: "the list",
            file: list.to_owned(),
            what,
            advice: advice.into(),
            lines: vec![],
        };
        let options = ListOptions {
            format: self.format,
            columns: self.columns.clone(),
            classes,
            first_frame: self.start_index(self.format),
        };
        let mut scan = scan_list(list, &options).map_err(|e| match e {
            ListError::Io { cause, .. } => fault(
                format!("cannot read the list: {cause}"),
                "put it there, or correct its path (`list`)",
            ),
            ListError::NotAList { what, .. } => {
                let (what, advice) = what.0.split_once(": ").unwrap_or((what.0.as_str(), ""));
                fault(what.to_owned(), advice)
            }
            e => fault(e.to_string(), ""),
        })?;
        if let Some(fault) = named.and_then(|file| self.other_classes(list, &scan, &options, file)) {
            return Err(fault.into());
        }
        if let Some(at) = two_ways(&scan, &self.root(list)) {
            scan.leave_open(at);
        }
        Ok(scan)
    }

    /// That the file of the classes is to blame, where no label of any list is one of its classes.
    fn other_classes(&self, list: &Path, scan: &Scan, options: &ListOptions, file: PathBuf) -> Option<FileFault> {
        let label = scan.foreign.as_deref()?;
        let sound = |(_, other): (&str, &str)| {
            let other = self.file(other);
            let labelled = |s: Scan| s.entries.iter().any(|e| e.label.is_some());
            other != list && scan_list(&other, options).is_ok_and(labelled)
        };
        if self.lists.distinct().into_iter().any(sound) {
            return None;
        }
        let first = options.classes.as_ref()?.first()?;
        Some(FileFault {
            role: "the names of the classes",
            file,
            // The same for all lists, of which it is reported once.
            what: format!("has no class that the lists have: its first is {first:?}, and they have {label:?}"),
            advice: "write the names of the classes as the lists have them, one a line, in the order of their numbers from 0"
                .into(),
            lines: vec![],
        })
    }

    /// Passes each line of a list that was read to `take`.
    pub(super) fn each(&self, list: &Path, scan: &Scan, take: &mut dyn FnMut(Listing<'_>)) {
        let root = self.root(list);
        for e in scan.entries.iter() {
            take(Listing {
                list,
                line: e.line,
                path: &root.join(from_home(e.path)),
                label: e.label,
                numbered: scan.numbered,
                stated: stated(&e),
                origin: origin(&e, &root).as_ref(),
            });
        }
    }

    /// Each list with a split that it is for, and that it is not there, if so.
    pub(super) fn missing(&self) -> impl Iterator<Item = (&str, Option<String>)> {
        let lists = self.lists.distinct().into_iter();
        lists.map(|(split, list)| (split, missing(&self.file(list))))
    }
}

/// A list that is sound as a whole and not empty.
///
/// # Errors
/// It is not.
pub(super) fn sound(list: &Path, scan: Scan) -> Result<Scan, SourceError> {
    let scan = scan.whole(list).map_err(anyhow::Error::from)?;
    if scan.entries.is_empty() {
        return Err(anyhow!("{}: the list names no videos", list.display()).into());
    }
    Ok(scan)
}

/// How many entries of a list are looked at for what is wrong with all.
const LOOKED_AT: usize = 8;

/// Some of `n` entries, spread evenly, the first and the last among them.
pub(super) fn some(n: usize) -> impl Iterator<Item = usize> {
    let of = n.min(LOOKED_AT);
    (0..of).map(move |i| i * (n - 1) / (of - 1).max(1))
}

/// What a line states about its frames.
pub(super) fn stated(entry: &ListEntry<'_>) -> Stated {
    Stated {
        offset: entry.offset,
        frames: entry.frames,
    }
}

/// The video that the features of a line were computed from, relative to the `root` of its list.
pub(super) fn origin(entry: &ListEntry<'_>, root: &Path) -> Option<Origin> {
    let origin = entry.origin?;
    Some(Origin {
        path: root.join(from_home(origin.path)),
        stated: Stated {
            offset: origin.offset,
            frames: origin.frames,
        },
    })
}

/// All of a list that was read, for reports.
pub(super) fn listed(list: &Path, scan: Scan, video: impl Fn((usize, ListEntry<'_>)) -> Arc<Video>) -> ListScan {
    let malformed = scan.bad.iter().map(|b| Malformed {
        line: format!("{}:{}", list.display(), b.line),
        reason: b.reason.clone(),
    });
    ListScan {
        videos: scan.entries.iter().enumerate().map(video).collect(),
        malformed: malformed.collect(),
        undecided: scan.undecided,
        numbered: scan.numbered,
        columns: scan.columns,
        notes: scan.notes,
        file: Some(list.to_owned()),
    }
}

/// A video, and its label as a value.
///
/// # Errors
/// The label is too large.
pub(super) fn values(video: &Arc<Video>) -> Result<Vec<HostValue>, DataError> {
    let label = match video.label {
        Some(l) => u32::try_from(l).ok().filter(|l| *l != UNKNOWN),
        None => Some(UNKNOWN),
    };
    let label = label.with_context(|| format!("{}: the label is too large", video.line))?;
    Ok(vec![HostValue::Video(video.clone()), HostValue::Label(label)])
}

/// A file that a command names, as a list would have it.
///
/// # Errors
/// Its path is no text.
pub(super) fn argument((index, path): (usize, &PathBuf)) -> Result<(usize, ListEntry<'_>)> {
    let path = path
        .to_str()
        .with_context(|| format!("{} is no text", path.display()))?;
    let entry = ListEntry {
        path,
        label: None,
        frames: None,
        offset: None,
        checksum: None,
        origin: None,
        line: index + 1,
    };
    Ok((index, entry))
}
