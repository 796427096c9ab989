//! `video_list`: the videos of a stream, by lists.

use super::classes::Classes;
use super::footage::ListedFootage;
use super::lists::Lists;
use crate::contract::*;
use anyhow::{Context, Result, anyhow};
use glad_mini::MiniConfig;
use glad_video::lists::{
    BadLine, Columns, ListEntry, ListError, ListFormat, ListOptions, Nearby, Scan, scan_list, variable,
};
use glad_video::{DecoderChoice, OpenOptions, Template, Watch};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The label of a video that has none.
const UNKNOWN: u32 = u32::MAX;

/// The videos of a stream, from annotation lists with a line for each video, and their labels.
///
/// A line is `path label`, `path frames label` (frames of the file), `path offset frames label` (a segment of the
/// file) or a bare path; which one, `format` says, or most lines tell. Labels are numbers from 0, or names of
/// `classes`, which may have several words; `-` and `-1` are none. After all columns of any list a word `b3:` with 64
/// hexadecimal digits may stand, the BLAKE3 of the file (`transcode` writes it): a file that is another one is a bad video.
/// Blank lines are passed over, and comments: lines that begin with `#` and a blank. Columns are separated by blanks, or all
/// by tabs, commas or semicolons, and a first line may name them. A path is a video file, or a folder of images, one a
/// frame; `~/` at its beginning is the home folder. Frames are counted when a video is opened: what a list says of whole
/// files is not relied on. `glad-run lint` goes through all lists of a graph.
///
/// Relative paths of parameters are meant from the folder of the graph file that gives them, of the command line from
/// the current folder, or, with `generate`, from the folder of the data that is made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoList {
    /// The list, one for all splits, or a table of lists by split: `{ train = "a.txt", test = "b.txt" }`.
    pub list: Lists,
    /// The folder that the paths in a list are relative to; without, the list's own.
    #[serde(default)]
    pub root: Option<String>,
    /// What kind of lists these are.
    #[serde(default)]
    pub format: ListFormat,
    /// The columns of the lists, where the lines leave it open, such as `"path offset frames label"` or `"path start
    /// stop label"` (frames by their numbers, the last included); `_` is a column to pass over.
    #[serde(default)]
    pub columns: Option<String>,
    /// File names of folders of images, with one number; by default `"img_%05d.jpg"`, of EPIC-KITCHENS
    /// `"frame_%010d.jpg"`.
    #[serde(default)]
    pub template: Option<String>,
    /// The number of a folder's first image; by default 0, of EPIC-KITCHENS 1.
    #[serde(default)]
    pub start_index: Option<usize>,
    /// Names of the classes, in order: a list, or a file with one on each line.
    #[serde(default)]
    pub classes: Option<Classes>,
    /// What decodes the files.
    #[serde(default)]
    pub backend: DecoderChoice,
    /// Minutes without a frame after which a video is taken for hanging: the run ends then, and names it. How long a video
    /// takes never makes it bad.
    #[serde(default = "ten")]
    pub stall_minutes: f64,
    /// Data to make on first use, in the cache folder (`GLAD_CACHE`, else the system's). Where all lists are given by
    /// absolute paths, or by the command line, none is made.
    #[serde(default)]
    pub generate: Option<Generate>,
}

fn ten() -> f64 {
    10.0
}

/// The longest time that can be asked for, in minutes.
const YEAR: f64 = 60.0 * 24.0 * 365.0;

/// Data that can be made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// The small procedural stand-in for Kinetics→BABEL; its settings. Lists: `source_train.txt`, `source_test.txt`,
    /// `target_train.txt`, `target_val.txt`, `target_test.txt`, `auxiliary_train.txt`, `auxiliary_test.txt`; class
    /// names: `classes.txt`, `auxiliary_classes.txt`.
    pub mini: MiniConfig,
}

impl VideoList {
    /// File names of a folder's images, in a list of this format.
    fn template(&self, format: ListFormat) -> Result<Template, String> {
        Template::parse(self.template.as_deref().unwrap_or(format.template()))
    }

    fn start_index(&self, format: ListFormat) -> usize {
        self.start_index.unwrap_or(format.start_index())
    }

    /// Data to make, where any list is of it.
    fn to_make(&self) -> Option<&MiniConfig> {
        let own = |(_, list): &(&str, &str)| Path::new(list).is_absolute();
        let needed = !self.list.distinct().iter().all(own);
        self.generate.as_ref().map(|g| &g.mini).filter(|_| needed)
    }
}

impl Kind for VideoList {
    const NAME: &'static str = "video_list";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        if let Some(columns) = &self.columns
            && let Err(e) = Columns::parse(columns)
        {
            problems.push(ParamProblem::new("columns", e));
        }
        if self.columns.is_some() && self.format != ListFormat::Auto {
            problems.push(
                ParamProblem::new("columns", "`format` says the columns already").help("leave one of the two out"),
            );
        }
        if let Err(e) = self.template(self.format) {
            problems.push(ParamProblem::new("template", e));
        }
        if !(self.stall_minutes > 0.0 && self.stall_minutes <= YEAR) {
            let message = "`stall_minutes` must be above 0, and no more than a year";
            problems.push(ParamProblem::new("stall_minutes", message));
        }
        if !self.backend.is_built() {
            problems.push(ParamProblem::new(
                "backend",
                "this program was built without FFmpeg: build it with `--features ffmpeg`, or take `auto`",
            ));
        }
        if let Some(Classes::Names(names)) = &self.classes {
            problems.extend(Classes::mistakes(names).map(|e| ParamProblem::new("classes", e)));
        }
        if let Some(Generate { mini }) = &self.generate
            && let Err(e) = mini.check()
        {
            problems.push(ParamProblem::new("generate.mini", e.to_string()));
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Host)
            .output("video", "Video[B]", "the video")
            .output("label", "Label[B]", "its class")
            .supervision()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Listed::new(self, cx.folder.clone()).map(|l| Body::Source(Box::new(l)))
    }
}

struct Listed {
    params: VideoList,
    columns: Option<Columns>,
    /// Where data that can be made is kept.
    cache: PathBuf,
    /// The folder that relative paths of parameters are meant from.
    base: PathBuf,
}

impl Listed {
    fn new(params: &VideoList, folder: PathBuf) -> Result<Self, Vec<ParamProblem>> {
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
    fn made_in(mut self, cache: PathBuf) -> Self {
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
        let scan = scan_list(list, &self.options(list)?).map_err(|e| match e {
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
        Ok(scan)
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
                ..OpenOptions::default()
            },
            watch: Watch {
                limit: Duration::from_secs_f64(60.0 * self.params.stall_minutes),
            },
            nearby: Arc::new(Nearby::new(root.to_owned())),
        })
    }
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
            footage: Arc::new(footage.near(self.nearby.clone())),
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

    fn absent(&self, files: bool) -> Vec<String> {
        if let Some(unmade) = self.unmade() {
            return vec![unmade];
        }
        let mut absent = vec![];
        if let Some(Classes::File(file)) = &self.params.classes {
            absent.extend(missing(&self.classes_file(file)));
        }
        for (split, list) in self.params.list.distinct() {
            absent.extend(missing(&self.base.join(list)));
            // What is wrong with a list itself is reported by `videos`.
            if files && let Ok(videos) = self.videos(split) {
                let bad = videos.par_iter().filter_map(|v| v.footage.frame_count().err());
                absent.extend(bad.map(|e| format!("{e:#}")).collect::<Vec<_>>());
            }
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

/// A line whose numbers were read as columns, where a file is there whose name ends in one or more of them: `take 12 0`, and
/// the folder `take 12`. Of a label by name nothing is open.
fn two_ways(scan: &Scan, root: &Path) -> Option<BadLine> {
    let columns: Vec<&str> = scan.columns.split(' ').collect();
    let [_, after @ ..] = columns.as_slice() else {
        return None;
    };
    scan.first.iter().find_map(|(line, text)| {
        // Where each word ends.
        let mut ends: Vec<usize> = vec![];
        for word in text.split_whitespace() {
            ends.push(word.as_ptr() as usize - text.as_ptr() as usize + word.len());
        }
        let entry = scan.entries.iter().take(scan.first.len()).find(|e| e.line == *line);
        let path = match entry {
            // A label may have several words.
            Some(e) => ends.iter().position(|end| text[..*end] == *e.path)?,
            None => ends.len().checked_sub(after.len() + 1)?,
        };
        let name = |n: usize| &text[..ends[path + n]];
        let last = ends.len() - 1 - path;
        let is_number = |n: usize| name(n).rsplit(char::is_whitespace).next().is_some_and(|w| w.parse::<u64>().is_ok());
        let mut taken = (1..=after.len().min(last)).take_while(|n| is_number(*n));
        let longer = taken.find(|n| root.join(from_home(name(*n))).exists())?;
        let rest = ["path", "path label", "path frames label"].get(after.len() - longer)?;
        let numbers = match (longer, after) {
            (1, ["label"]) => "its label",
            (_, ["frames", ..]) if longer == 1 => "its number of frames",
            (_, ["frames", ..]) => "its number of frames and its label",
            _ => "its segment",
        };
        Some(BadLine {
            line: *line,
            reason: format!(
                "can be read in two ways, and so can all lines: `{}`, which is there (then say `columns = \"{rest}\"`), or \
                 `{}` and {numbers} (then say `columns = \"{}\"`)",
                name(longer),
                name(0),
                scan.columns
            ),
        })
    })
}

/// `settings/../data` as `data`, where links do not make that another folder: these paths are read by people.
fn without_detours(path: PathBuf) -> PathBuf {
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

/// A path with `~/` or `$HOME/` at its beginning replaced by the home folder.
fn from_home(path: &str) -> Cow<'_, Path> {
    let rest = ["~/", "$HOME/", "${HOME}/"]
        .iter()
        .find_map(|start| path.strip_prefix(start));
    match (rest, std::env::home_dir()) {
        (Some(rest), Some(home)) if !home.as_os_str().is_empty() => home.join(rest).into(),
        _ => Path::new(path).into(),
    }
}

/// That a file is not there.
fn missing(path: &Path) -> Option<String> {
    let why = || variable(path).map_or(String::new(), |advice| format!("; {advice}"));
    (!path.exists()).then(|| format!("{} is not there{}", path.display(), why()))
}

#[cfg(test)]
mod tests;
