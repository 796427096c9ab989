//! The lists of a `video_list`, read, and their videos.

use super::VideoList;
use super::paths::{from_home, home_and_rest, missing, without_detours};
use super::two_ways::two_ways;
use crate::contract::*;
use crate::data::classes::Classes;
use crate::data::footage::ListedFootage;
use anyhow::{Context, Result, anyhow};
use glad_video::lists::{Columns, ListEntry, ListError, ListFormat, ListOptions, Nearby, Scan, scan_list};
use glad_video::{Numbering, OpenOptions, Watch};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The label of a video that has none.
const UNKNOWN: u32 = u32::MAX;

/// The source of a stream.
pub(super) struct Listed {
    params: VideoList,
    columns: Option<Columns>,
    /// Where data that can be made is kept.
    cache: PathBuf,
    /// The folder that relative paths of parameters are meant from.
    base: PathBuf,
}

impl Listed {
    pub(super) fn new(params: &VideoList, folder: PathBuf) -> Result<Self, Vec<ParamProblem>> {
        let problem = |path: &str, e: String| vec![ParamProblem::new(path, e)];
        let columns = params.columns.as_deref().map(Columns::parse).transpose();
        let listed = Listed {
            columns: columns.map_err(|e| problem("columns", e))?,
            params: params.clone(),
            cache: PathBuf::new(),
            base: folder,
        };
        match params.to_make() {
            None => Ok(listed),
            Some(_) => match glad_mini::cache_dir() {
                Ok(cache) => Ok(listed.made_in(cache)),
                Err(e) => Err(problem("generate", e.to_string())),
            },
        }
    }

    /// With data that is made kept in `cache`.
    pub(super) fn made_in(mut self, cache: PathBuf) -> Self {
        if let Some(mini) = self.params.to_make() {
            self.base = glad_mini::folder(&cache, mini);
        }
        self.cache = cache;
        self
    }

    /// The message where data is wanted that has not been made yet; `None` where there is nothing to make.
    fn unmade(&self) -> Option<String> {
        let mini = self.params.to_make()?;
        (!glad_mini::is_complete(&self.base, mini))
            .then(|| format!("the small data set is made on first use, in {}", self.base.display()))
    }

    fn list(&self, split: &str) -> Result<PathBuf, SourceError> {
        match self.params.list.of(split) {
            Some(list) => Ok(without_detours(self.base.join(list))),
            None => Err(anyhow!(
                "there is no list for split `{split}`, only for {}",
                self.params.list.named()
            )
            .into()),
        }
    }

    fn class_names(&self) -> Result<Option<Vec<String>>, SourceError> {
        match &self.params.classes {
            None => Ok(None),
            Some(Classes::Names(names)) => Ok(Some(names.clone())),
            Some(Classes::File(file)) => Ok(Some(Classes::read(&self.classes_file(file))?)),
        }
    }

    /// Where the names of the classes are: next to the lists, or, where these are the user's (a finished run on other
    /// videos), still with the data that was made.
    fn classes_file(&self, file: &str) -> PathBuf {
        let beside = without_detours(self.base.join(file));
        let made = || {
            let mini = &self.params.generate.as_ref()?.mini;
            Some(glad_mini::folder(&glad_mini::cache_dir().ok()?, mini).join(file))
        };
        match beside.exists() {
            true => beside,
            false => made().filter(|file| file.exists()).unwrap_or(beside),
        }
    }

    fn options(&self, list: &Path) -> Result<ListOptions, SourceError> {
        if let Some(unmade) = self.unmade() {
            return Err(anyhow!("{} is not there yet: {unmade}", list.display()).into());
        }
        Ok(ListOptions {
            format: self.params.format,
            columns: self.columns.clone(),
            classes: self.class_names()?,
            first_frame: self.params.start_index(self.params.format),
        })
    }

    /// The folder that the paths of a list are relative to.
    fn root(&self, list: &Path) -> PathBuf {
        match &self.params.root {
            Some(root) => without_detours(self.base.join(root)),
            None => list.parent().map(Path::to_path_buf).unwrap_or_default(),
        }
    }

    /// What can be read of a list.
    fn read(&self, list: &Path) -> Result<Scan, SourceError> {
        let fault = |what: String, advice: &str| FileFault {
            role: "the list",
            file: list.to_owned(),
            what,
            advice: advice.into(),
            lines: vec![],
        };
        let options = self.options(list)?;
        let scan = scan_list(list, &options).map_err(|e| match e {
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
        match self.other_classes(list, &scan, &options) {
            Some(fault) => Err(fault.into()),
            None => Ok(scan),
        }
    }

    /// That the file of the classes is to blame, where no label of any list is one of its classes.
    fn other_classes(&self, list: &Path, scan: &Scan, options: &ListOptions) -> Option<FileFault> {
        let label = scan.foreign.as_deref()?;
        let Some(Classes::File(file)) = &self.params.classes else {
            return None;
        };
        let sound = |(_, other): (&str, &str)| {
            let other = without_detours(self.base.join(other));
            let labelled = |s: Scan| s.entries.iter().any(|e| e.label.is_some());
            other != list && scan_list(&other, options).is_ok_and(labelled)
        };
        if self.params.list.distinct().into_iter().any(sound) {
            return None;
        }
        let first = options.classes.as_ref()?.first()?;
        Some(FileFault {
            role: "the names of the classes",
            file: self.classes_file(file),
            // The same for all lists, of which it is reported once.
            what: format!("has no class that the lists have: its first is {first:?}, and they have {label:?}"),
            advice: "write the names of the classes as the lists have them, one a line, in the order of their numbers from 0"
                .into(),
            lines: vec![],
        })
    }

    /// All of a list that is sound.
    fn sound(&self, list: &Path, root: &Path) -> Result<Scan, SourceError> {
        let mut scan = self.read(list)?;
        if let Some(at) = two_ways(&scan, root) {
            scan.leave_open(at);
        }
        let scan = scan.whole(list).map_err(anyhow::Error::from)?;
        if scan.entries.is_empty() {
            return Err(anyhow!("{}: the list names no videos", list.display()).into());
        }
        Ok(scan)
    }

    /// Makes the videos of a list.
    fn opener<'a>(&'a self, list: &'a Path, root: &'a Path, scan: &Scan) -> Result<Opener<'a>> {
        Ok(Opener {
            list,
            root,
            options: OpenOptions {
                decoder: self.params.backend,
                template: self.params.template(scan.format).map_err(anyhow::Error::msg)?,
                start_index: self.params.start_index(scan.format),
                numbering: match self.params.start_index {
                    Some(_) => Numbering::Stated,
                    None if by_name(scan) => Numbering::ByName,
                    None => Numbering::Assumed,
                },
                ..OpenOptions::default()
            },
            watch: Watch {
                limit: Duration::from_secs_f64(60.0 * self.params.stall_minutes),
            },
            nearby: Arc::new(Nearby::new(root.to_owned())),
        })
    }
}

/// Whether a list gives segments by the numbers of their images.
fn by_name(scan: &Scan) -> bool {
    let of_table = scan.format == ListFormat::EpicKitchens && !scan.columns.is_empty();
    of_table || scan.columns.split(' ').any(|column| column == "start")
}

/// What the videos of a list have in common.
struct Opener<'a> {
    list: &'a Path,
    root: &'a Path,
    options: OpenOptions,
    watch: Watch,
    nearby: Arc<Nearby>,
}

impl Opener<'_> {
    fn video(&self, index: usize, entry: ListEntry<'_>) -> Arc<Video> {
        let path = self.root.join(from_home(entry.path));
        let line = format!("{}:{}", self.list.display(), entry.line);
        let options = OpenOptions {
            offset: entry.offset.unwrap_or(0),
            // The number of frames of a whole file is read from the file.
            frames: entry.offset.and(entry.frames),
            checksum: entry.checksum,
            ..self.options.clone()
        };
        let stated = Stated {
            offset: entry.offset,
            frames: entry.frames,
        };
        let footage = ListedFootage::new(path.clone(), line.clone(), options, stated, self.watch);
        Arc::new(Video {
            index,
            footage: Arc::new(footage.near(self.nearby.clone(), home_and_rest(entry.path))),
            path,
            line,
            label: entry.label,
        })
    }
}

impl Source for Listed {
    fn videos(&self, split: &str) -> Result<Vec<Arc<Video>>, SourceError> {
        let list = self.list(split)?;
        let root = self.root(&list);
        let scan = self.sound(&list, &root)?;
        let opener = self.opener(&list, &root, &scan)?;
        Ok(scan
            .entries
            .iter()
            .enumerate()
            .map(|(i, e)| opener.video(i, e))
            .collect())
    }

    fn scan(&self, split: &str) -> Result<ListScan, SourceError> {
        let list = self.list(split)?;
        let root = self.root(&list);
        let mut scan = self.read(&list)?;
        if let Some(at) = two_ways(&scan, &root) {
            scan.leave_open(at);
        }
        let opener = self.opener(&list, &root, &scan)?;
        let malformed = scan.bad.iter().map(|b| Malformed {
            line: format!("{}:{}", list.display(), b.line),
            reason: b.reason.clone(),
        });
        let entries = scan.entries.iter().enumerate();
        Ok(ListScan {
            videos: entries.map(|(i, e)| opener.video(i, e)).collect(),
            malformed: malformed.collect(),
            undecided: scan.undecided,
            numbered: scan.numbered,
            columns: scan.columns.clone(),
            notes: scan.notes.clone(),
            file: Some(list.clone()),
        })
    }

    fn each(&self, split: &str, take: &mut dyn FnMut(Listing<'_>)) -> Result<(), SourceError> {
        let list = self.list(split)?;
        let root = self.root(&list);
        let scan = self.sound(&list, &root)?;
        for e in scan.entries.iter() {
            take(Listing {
                list: &list,
                line: e.line,
                path: &root.join(from_home(e.path)),
                label: e.label,
                numbered: scan.numbered,
                stated: Stated {
                    offset: e.offset,
                    frames: e.frames,
                },
            });
        }
        Ok(())
    }

    fn values(&self, video: &Arc<Video>) -> Result<Vec<HostValue>, DataError> {
        let label = match video.label {
            Some(l) => u32::try_from(l).ok().filter(|l| *l != UNKNOWN),
            None => Some(UNKNOWN),
        };
        let label = label.with_context(|| format!("{}: the label is too large", video.line))?;
        Ok(vec![HostValue::Video(video.clone()), HostValue::Label(label)])
    }

    fn ensure(&self, progress: &(dyn Fn(&str, usize, usize) + Sync)) -> Result<(), SourceError> {
        let Some(mini) = self.params.to_make() else {
            return Ok(());
        };
        glad_mini::generate(&self.cache, mini, &|p| match p {
            glad_mini::Progress::Altered { file, kept } => {
                let kept = kept.display();
                let text = format!(
                    "{file} of the small data set was altered: it is made again, and the altered one is {kept}"
                );
                progress(&text, 0, 0);
            }
            glad_mini::Progress::Waiting => progress("waiting for another process that makes the data", 0, 0),
            glad_mini::Progress::Videos { done, total } => progress("making the small data set", done, total),
        })
        .with_context(|| {
            format!(
                "the data set cannot be made in the cache {} (the environment variable GLAD_CACHE names another folder)",
                self.cache.display()
            )
        })?;
        Ok(())
    }

    fn generated(&self, split: &str) -> Option<(PathBuf, String)> {
        let mini = self.params.to_make()?;
        let list = self.list(split).ok()?;
        // A list of one's own may lie in that folder, too.
        let made = |split: &glad_mini::Split| list == self.base.join(format!("{}.txt", split.name()));
        let own = glad_mini::Split::ALL.iter().any(made) && self.root(&list) == self.base;
        let by = serde_json::to_string(mini).ok()?;
        own.then(|| (self.base.clone(), format!("mini {} {by}", glad_mini::GENERATOR_VERSION)))
    }

    fn of_files(&self, paths: &[PathBuf]) -> Result<Vec<Arc<Video>>, SourceError> {
        let scan = Scan {
            format: self.params.format,
            ..Scan::default()
        };
        let opener = self.opener(Path::new("argument"), Path::new(""), &scan)?;
        let video = |(index, path): (usize, &PathBuf)| {
            let path = path
                .to_str()
                .with_context(|| format!("{} is no text", path.display()))?;
            let entry = ListEntry {
                path,
                label: None,
                frames: None,
                offset: None,
                checksum: None,
                line: index + 1,
            };
            Ok(opener.video(index, entry))
        };
        paths.iter().enumerate().map(video).collect()
    }

    fn absent(&self) -> Vec<String> {
        if let Some(unmade) = self.unmade() {
            return vec![unmade];
        }
        let mut absent = vec![];
        if let Some(Classes::File(file)) = &self.params.classes {
            absent.extend(missing(&self.classes_file(file)));
        }
        for (_, list) in self.params.list.distinct() {
            absent.extend(missing(&self.base.join(list)));
        }
        absent
    }

    fn splits(&self) -> Vec<String> {
        self.params.list.splits()
    }

    fn classes(&self) -> Result<Option<Vec<String>>, SourceError> {
        match self.unmade() {
            Some(_) if matches!(self.params.classes, Some(Classes::File(_))) => Ok(None),
            _ => self.class_names(),
        }
    }
}
