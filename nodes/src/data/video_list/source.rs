//! The lists of a `video_list`, read, and their videos.

use super::VideoList;
use crate::contract::*;
use crate::data::classes::Classes;
use crate::data::flow::{Component, FlowFootage, Modality, segment};
use crate::data::footage::ListedFootage;
use crate::data::listing::{
    ListReader, argument, columns, from_home, home_and_rest, listed, missing, some, sound, stated, values,
    without_detours,
};
use anyhow::{Context, Result, anyhow};
use glad_video::lists::{ListEntry, ListFormat, Nearby, Scan};
use glad_video::{Numbering, OpenOptions, Template, Watch};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The source of a stream.
pub(super) struct Listed {
    params: VideoList,
    reader: ListReader,
    /// Where data that can be made is kept.
    cache: PathBuf,
}

impl Listed {
    pub(super) fn new(params: &VideoList, folder: PathBuf) -> Result<Self, Vec<ParamProblem>> {
        let listed = Listed {
            reader: ListReader {
                lists: params.list.clone(),
                root: params.root.clone(),
                format: params.format,
                columns: columns(params.columns.as_deref()).map_err(|p| vec![p])?,
                start_index: params.start_index,
                base: folder,
            },
            params: params.clone(),
            cache: PathBuf::new(),
        };
        match params.to_make() {
            None => Ok(listed),
            Some(_) => match glad_mini::cache_dir() {
                Ok(cache) => Ok(listed.made_in(cache)),
                Err(e) => Err(vec![ParamProblem::new("generate", e.to_string())]),
            },
        }
    }

    /// With data that is made kept in `cache`.
    pub(super) fn made_in(mut self, cache: PathBuf) -> Self {
        if let Some(mini) = self.params.to_make() {
            self.reader.base = glad_mini::folder(&cache, &mini);
        }
        self.cache = cache;
        self
    }

    /// How many videos the list of a split will have, where it has not been made yet.
    fn to_be_made(&self, split: &str) -> Option<usize> {
        self.unmade()?;
        let (mini, list) = (self.params.to_make()?, self.reader.list(split).ok()?);
        let made = |s: &&glad_mini::Split| list == self.reader.base.join(format!("{}.txt", s.name()));
        glad_mini::Split::ALL.iter().find(made).map(|s| mini.videos(*s))
    }

    /// The message where data is wanted that has not been made yet; `None` where there is nothing to make.
    fn unmade(&self) -> Option<String> {
        let mini = self.params.to_make()?;
        let base = &self.reader.base;
        (!glad_mini::is_complete(base, &mini))
            .then(|| format!("the small data set is made on first use, in {}", base.display()))
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
        let beside = without_detours(self.reader.base.join(file));
        let made = || {
            let mini = &self.params.generate.as_ref()?.mini;
            Some(glad_mini::folder(&glad_mini::cache_dir().ok()?, mini).join(file))
        };
        match beside.exists() {
            true => beside,
            false => made().filter(|file| file.exists()).unwrap_or(beside),
        }
    }

    /// The names that labels of a list may be.
    ///
    /// # Errors
    /// They cannot be read, or the data is not made yet.
    fn names(&self, list: &Path) -> Result<Option<Vec<String>>, SourceError> {
        match self.unmade() {
            Some(unmade) => Err(anyhow!("{} is not there yet: {unmade}", list.display()).into()),
            None => self.class_names(),
        }
    }

    /// The file that has the names of the classes, where one has them.
    fn file_of_classes(&self) -> Option<PathBuf> {
        match &self.params.classes {
            Some(Classes::File(file)) => Some(self.classes_file(file)),
            _ => None,
        }
    }

    /// What can be read of a list.
    fn read(&self, list: &Path) -> Result<Scan, SourceError> {
        let scan = self.reader.read(list, self.names(list)?, self.file_of_classes())?;
        match scan.format {
            ListFormat::FeatureIndex => Err(FileFault {
                role: "the list",
                file: list.to_owned(),
                what: "lists files of features, not videos".into(),
                advice: "`kind = \"feature_list\"` reads it".into(),
                lines: vec![],
            }
            .into()),
            _ => Ok(scan),
        }
    }

    /// Where the optical flow of the videos below `root` is, and how it is read.
    fn flow(&self, root: &Path, format: ListFormat, by_name: bool) -> Result<Flow> {
        let p = &self.params;
        let components = p.components(format).map_err(|p| anyhow!(p.message))?;
        let given = p.flow_root.as_deref().or(p.to_make().map(|_| glad_mini::FLOW_FOLDER));
        let below = root.to_owned();
        let root = match given {
            Some(folder) => without_detours(self.reader.base.join(folder)),
            None => below.clone(),
        };
        let first = p.flow_start_index.or(p.start_index);
        let start_index = first.unwrap_or(format.start_index());
        let others = components.iter().filter_map(Component::template).cloned();
        Ok(Flow {
            options: OpenOptions {
                decoder: p.backend,
                start_index,
                numbering: numbering(first, by_name),
                others: others.chain(p.template(format).ok()).collect(),
                prefix: "flow_",
                ..OpenOptions::default()
            },
            nearby: Arc::new(Nearby::new(root.clone())),
            components,
            root,
            below,
            stride: p.flow_stride.max(1),
        })
    }

    /// Makes the videos of a list.
    fn opener<'a>(&self, list: &'a Path, root: PathBuf, format: ListFormat, by_name: bool) -> Result<Opener<'a>> {
        let flow = match self.params.has(Modality::Flow) {
            true => Some(self.flow(&root, format, by_name)?),
            false => None,
        };
        let others = flow.iter().flat_map(|f| f.templates()).cloned().collect();
        Ok(Opener {
            list,
            flow,
            rgb: self.params.has(Modality::Rgb),
            options: OpenOptions {
                others,
                decoder: self.params.backend,
                template: self.params.template(format).map_err(anyhow::Error::msg)?,
                start_index: self.reader.start_index(format),
                numbering: numbering(self.params.start_index, by_name),
                ..OpenOptions::default()
            },
            watch: Watch {
                limit: Duration::from_secs_f64(60.0 * self.params.stall_minutes),
            },
            nearby: Arc::new(Nearby::new(root.clone())),
            root,
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
    root: PathBuf,
    options: OpenOptions,
    watch: Watch,
    nearby: Arc<Nearby>,
    /// Whether its pictures are read.
    rgb: bool,
    flow: Option<Flow>,
}

/// What the optical flow of the videos of a list has in common.
struct Flow {
    components: [Component; 2],
    /// The folder of the folders of the videos.
    root: PathBuf,
    /// What the paths of the videos are named from.
    below: PathBuf,
    nearby: Arc<Nearby>,
    options: OpenOptions,
    stride: usize,
}

impl Flow {
    fn templates(&self) -> impl Iterator<Item = &Template> {
        self.components.iter().filter_map(Component::template)
    }

    /// The folder of a video's flow: below `root` as the video is below its own, or, of a video elsewhere, where that is.
    fn folder(&self, path: &Path) -> PathBuf {
        let whole = |p: &Path| std::path::absolute(p).unwrap_or_else(|_| p.to_owned());
        let (path_whole, below, root) = (whole(path), whole(&self.below), whole(&self.root));
        let inner = path
            .strip_prefix(&self.below)
            .or_else(|_| path_whole.strip_prefix(below));
        let inner = inner.or_else(|_| path_whole.strip_prefix(root)).unwrap_or(&path_whole);
        self.root.join(without_ending(inner))
    }
}

/// A path without the ending of a video file. Names of folders may have dots, too.
fn without_ending(path: &Path) -> PathBuf {
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    match ending.is_some_and(|e| glad_video::lists::VIDEO_ENDINGS.contains(&e.as_str())) {
        true => path.with_extension(""),
        false => path.to_owned(),
    }
}

/// Where the number of a folder's first image comes from.
fn numbering(stated: Option<usize>, by_name: bool) -> Numbering {
    match stated {
        Some(_) => Numbering::Stated,
        None if by_name => Numbering::ByName,
        None => Numbering::Assumed,
    }
}

impl Opener<'_> {
    fn video(&self, (index, entry): (usize, ListEntry<'_>)) -> Arc<Video> {
        let path = self.root.join(from_home(entry.path));
        let line = format!("{}:{}", self.list.display(), entry.line);
        let options = OpenOptions {
            offset: entry.offset.unwrap_or(0),
            // The number of frames of a whole file is read from the file.
            frames: entry.offset.and(entry.frames),
            checksum: entry.checksum,
            ..self.options.clone()
        };
        let stated = stated(&entry);
        let flow = self.flow.as_ref().map(|flow| {
            let folder = flow.folder(&path);
            Arc::new(Video {
                index,
                footage: Arc::new(self.flow(flow, &folder, &line, stated)),
                path: folder,
                line: line.clone(),
                label: entry.label,
            })
        });
        if let (Some(flow), false) = (&flow, self.rgb) {
            return flow.clone();
        }
        let footage = ListedFootage::new(path.clone(), line.clone(), options, stated, self.watch);
        let footage = footage.near(self.nearby.clone(), home_and_rest(entry.path));
        Arc::new(Video {
            index,
            footage: Arc::new(footage.with_flow(flow)),
            path,
            line,
            label: entry.label,
        })
    }

    /// The flow of a video.
    fn flow(&self, flow: &Flow, folder: &Path, line: &str, stated: Stated) -> FlowFootage {
        let stated = segment(stated, flow.stride);
        let part = |component: &Component| {
            let options = OpenOptions {
                offset: stated.offset.unwrap_or(0),
                frames: stated.offset.and(stated.frames),
                template: component.template().cloned().unwrap_or_default(),
                ..flow.options.clone()
            };
            let part = ListedFootage::new(component.path(folder), line.to_owned(), options, stated, self.watch);
            part.near(flow.nearby.clone(), None)
        };
        FlowFootage::new(folder.to_owned(), line.to_owned(), flow.components.each_ref().map(part))
    }
}

impl Source for Listed {
    fn videos(&self, split: &str) -> Result<Vec<Arc<Video>>, SourceError> {
        let list = self.reader.list(split)?;
        let scan = sound(&list, self.read(&list)?)?;
        let opener = self.opener(&list, self.reader.root(&list), scan.format, by_name(&scan))?;
        Ok(scan.entries.iter().enumerate().map(|e| opener.video(e)).collect())
    }

    fn scan(&self, split: &str) -> Result<ListScan, SourceError> {
        let list = self.reader.list(split)?;
        let scan = self.read(&list)?;
        let opener = self.opener(&list, self.reader.root(&list), scan.format, by_name(&scan))?;
        Ok(listed(&list, scan, |e| opener.video(e)))
    }

    fn each(&self, split: &str, take: &mut dyn FnMut(Listing<'_>)) -> Result<(), SourceError> {
        let list = self.reader.list(split)?;
        self.reader.each(&list, &sound(&list, self.read(&list)?)?, take);
        Ok(())
    }

    fn examine(&self, split: &str) -> Result<(), ParamProblem> {
        let list = self.reader.list(split);
        let Some((list, scan)) = list.ok().and_then(|list| Some((list.clone(), self.read(&list).ok()?))) else {
            return Ok(());
        };
        let Ok(opener) = self.opener(&list, self.reader.root(&list), scan.format, by_name(&scan)) else {
            return Ok(());
        };
        let mut looked = some(scan.entries.len())
            .filter_map(|i| Some(opener.video((i, scan.entries.get(i)?))))
            .map(|video| (video.path.is_dir(), video.footage.inspect(), video));
        // One that is sound shows that the parameters are right.
        match looked.next() {
            Some((true, Err(Defect::Unreadable(why)), first))
                if looked.all(|(folder, look, _)| folder && matches!(look, Err(Defect::Unreadable(_)))) =>
            {
                let p = ParamProblem::new("template", format!("{}: {why}", first.line));
                Err(p.help("no folder of this list that was looked at can be read"))
            }
            _ => Ok(()),
        }
    }

    fn count(&self, split: &str) -> Option<usize> {
        let mut count = 0;
        match self.to_be_made(split) {
            Some(videos) => count = videos,
            None => self.each(split, &mut |_| count += 1).ok()?,
        }
        Some(count)
    }

    fn values(&self, video: &Arc<Video>) -> Result<Vec<HostValue>, DataError> {
        let mut values = values(video)?;
        // With flow alone the label is first, and the video is its flow.
        if !self.params.has(Modality::Rgb) {
            values.reverse();
        } else if let Some(flow) = video.footage.other() {
            values.push(HostValue::Video(flow.clone()));
        }
        Ok(values)
    }

    fn ensure(&self, progress: &(dyn Fn(&str, usize, usize) + Sync)) -> Result<(), SourceError> {
        let Some(mini) = self.params.to_make() else {
            return Ok(());
        };
        glad_mini::generate(&self.cache, &mini, &|p| match p {
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
        let (list, base) = (self.reader.list(split).ok()?, &self.reader.base);
        // A list of one's own may lie in that folder, too.
        let made = |split: &glad_mini::Split| list == base.join(format!("{}.txt", split.name()));
        let own = glad_mini::Split::ALL.iter().any(made) && self.reader.root(&list) == *base;
        own.then(|| (base.clone(), format!("mini {}", glad_mini::identity(&mini))))
    }

    fn of_files(&self, paths: &[PathBuf]) -> Result<Vec<Arc<Video>>, SourceError> {
        let mut opener = self.opener(Path::new("argument"), PathBuf::new(), self.params.format, false)?;
        if let Some(flow) = &mut opener.flow {
            // A file below the folder of the lists has its flow where those of the lists have it.
            let first = self.reader.lists.distinct().into_iter().next();
            let list = first.map(|(split, _)| self.reader.list(split)).transpose()?;
            let below = list.map(|list| self.reader.root(&list)).unwrap_or_default();
            if self.params.flow_root.is_none() && self.params.to_make().is_none() {
                flow.root.clone_from(&below);
            }
            flow.below = below;
        }
        let video = |at| Ok(opener.video(argument(at)?));
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
        for (_, gone) in self.reader.missing() {
            absent.extend(gone);
        }
        absent
    }

    fn splits(&self) -> Vec<String> {
        self.reader.lists.splits()
    }

    fn classes(&self) -> Result<Option<Vec<String>>, SourceError> {
        match self.unmade() {
            Some(_) if matches!(self.params.classes, Some(Classes::File(_))) => Ok(None),
            _ => self.class_names(),
        }
    }
}
