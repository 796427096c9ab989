//! All that a run reads besides its graph: the videos of its lists and the files that weights start from, each by what
//! distinguishes it from another without reading videos.

use super::content::content_hash;
use super::progress::Progress;
use crate::check::runs;
use crate::graph::{Graph, bad_allowed};
use crate::program::{Call, Checked, Program, ValueId};
use anyhow::{Context, Result};
use glad_nodes::{Body, Defect, Head, Source, StartsFrom, Video};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// What a run reads.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Its lists, each once.
    pub lists: Vec<ListInput>,
    /// The files of weights that are there, by node.
    pub weights: Vec<WeightsInput>,
}

/// A list of videos.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListInput {
    /// Where it is read: `main videos@source`.
    pub used: Vec<String>,
    /// Whether optional views alone read it, which a run leaves out where it is not there.
    pub optional: bool,
    /// Its file, or whatever its lines are named after.
    pub file: String,
    /// The split that was asked for.
    pub split: String,
    /// Names of the classes, where known.
    pub classes: Option<Vec<String>>,
    /// What its content follows from, where it is generated: then its files have no path, time and place of their own.
    pub generated: Option<String>,
    /// How many videos there are.
    pub count: usize,
    /// A hash of all that identifies the data, for keys of shared results; `None` where that is unknown.
    #[serde(skip)]
    pub identity: Option<String>,
    /// The videos, in order.
    #[serde(skip)]
    pub videos: Vec<VideoInput>,
    /// Whether some program that reads it opens the files: a length may be the one that the list states.
    #[serde(skip)]
    pub opened: bool,
    /// The videos that are not there.
    #[serde(skip)]
    pub missing: Option<Missing>,
}

/// Videos of a list that are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// How many.
    pub count: usize,
    /// The first, with its line, and what may be meant.
    pub first: String,
}

/// A video of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoInput(
    /// The line of the list, from 1, where its lines are numbered.
    pub Option<u64>,
    /// The path, as the list and its root give it; of generated data below its folder.
    pub String,
    /// Its class.
    pub Option<u64>,
    /// The first frame of a segment.
    pub Option<u64>,
    /// Frames, as the list states.
    pub Option<u64>,
    /// The files.
    pub Option<FileInput>,
);

/// The file of a video, or the images of its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInput {
    /// Bytes.
    pub bytes: u64,
    /// Of a folder: a hash over each image's name and bytes. Of features, and of what is no file: what names the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<String>,
    /// The time of the last change: nanoseconds since 1970, or of a folder a hash over each image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The path with links resolved, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<String>,
}

/// A file that a node's weights start from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsInput {
    /// The node.
    pub node: String,
    /// The file.
    pub file: String,
    /// BLAKE3 of its bytes.
    pub hash: String,
}

/// Names the place where a program reads a list.
pub(super) fn place(program: &Program, call: &Call) -> String {
    let stream = call
        .stream
        .map(|s| format!("@{}", program.streams[s]))
        .unwrap_or_default();
    format!("{} {}{stream}", program.name, call.node)
}

impl Inputs {
    /// What the programs of a run read that are not in `left_out`. Data that can be generated has been, or its files count
    /// as absent.
    ///
    /// # Errors
    /// A list is malformed, or a file of weights cannot be read.
    pub fn of(graph: &Graph, checked: &Checked, left_out: &[(String, String)], progress: &Progress) -> Result<Inputs> {
        let taken = |p: &&Program| left_out.iter().all(|(name, _)| *name != p.name);
        progress.begin("looking at the files", 0, 0);
        let mut inputs = Inputs::default();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for program in runs(graph, checked).filter(taken) {
            let optional = graph.views.get(&program.name).is_some_and(|v| v.optional);
            inputs.add(program, optional, &mut seen)?;
        }
        progress.end("");
        Ok(inputs)
    }

    /// What the phases of a graph read, for their keys.
    ///
    /// # Errors
    /// A list is malformed, or a file of weights cannot be read.
    pub fn of_phases(checked: &Checked) -> Result<Inputs> {
        let mut inputs = Inputs::default();
        let mut seen = HashMap::new();
        for program in checked.phases.values() {
            inputs.add(program, false, &mut seen)?;
            let view = program.refresh.as_ref().and_then(|(view, _)| checked.views.get(view));
            view.map(|view| inputs.add(view, false, &mut seen)).transpose()?;
        }
        Ok(inputs)
    }

    fn add(&mut self, program: &Program, optional: bool, seen: &mut HashMap<String, usize>) -> Result<()> {
        for (c, call) in program.calls.iter().enumerate() {
            match &program.bodies[call.body] {
                Body::Source(source) => {
                    let place = place(program, call);
                    let same = format!(
                        "{} {:?} {} {}",
                        call.node,
                        call.stream.map(|s| &program.streams[s]),
                        program.split,
                        call.params
                    );
                    let at = match seen.get(&same) {
                        Some(at) => *at,
                        None => {
                            let list = list(source.as_ref(), &program.split).with_context(|| place.clone())?;
                            self.lists.push(ListInput { optional, ..list });
                            self.lists.len() - 1
                        }
                    };
                    seen.insert(same, at);
                    self.lists[at].optional &= optional;
                    self.lists[at].opened |= opens(program, c);
                    self.lists[at].used.push(place);
                }
                Body::Compute(compute) => {
                    let new = self.weights.iter().all(|w| w.node != call.node);
                    if let Some(StartsFrom::File(file)) = compute.starts_from()
                        && new
                        && file.is_file()
                    {
                        self.weights.push(WeightsInput {
                            node: call.node.clone(),
                            file: file.display().to_string(),
                            hash: content_hash(file).with_context(|| format!("weights of `{}`", call.node))?,
                        });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The list that is read at `place`.
    pub fn at(&self, place: &str) -> Option<&ListInput> {
        self.lists.iter().find(|l| l.used.iter().any(|u| u == place))
    }

    /// A hash of the content alone: labels, segments, names and sizes of files, classes, weights. It is the same for data that
    /// lies elsewhere.
    pub fn content(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for list in self.lists.iter().filter(|l| !l.optional) {
            field(
                &mut hash,
                &format!(
                    "{:?} {:?} {:?} {}",
                    list.used,
                    list.classes,
                    list.generated,
                    list.videos.len()
                ),
            );
            for VideoInput(_, path, label, offset, frames, file) in &list.videos {
                let name = Path::new(path)
                    .file_name()
                    .map_or(path.as_str().into(), |n| n.to_string_lossy());
                let file = file.as_ref().map(|f| (f.bytes, &f.parts));
                field(&mut hash, &format!("{name} {label:?} {offset:?} {frames:?} {file:?}"));
            }
        }
        for w in &self.weights {
            field(&mut hash, &format!("{} {}", w.node, w.hash));
        }
        hash.finalize().to_hex().to_string()
    }

    /// Why a run that reads this would end, where more videos of a list are not there than the `share` of it that may be bad: a
    /// line for each such list.
    pub fn too_many_missing(&self, share: f64) -> Option<String> {
        let too_many = |list: &ListInput| {
            let Missing { count, first } = list.missing.as_ref().filter(|_| list.opened)?;
            let (of, most) = (list.videos.len(), bad_allowed(share, list.videos.len()));
            (*count > most).then(|| {
                format!(
                    "\n  {count} of the {of} videos of {} are not there, more than the {most} that bad_videos = {share} allows; the \
                     first is {first}",
                    list.named()
                )
            })
        };
        let lists: String = self.lists.iter().filter_map(too_many).collect();
        (!lists.is_empty()).then(|| {
            format!(
                "videos are missing, and nothing was run{lists}\n  correct the paths or put the videos there; glad-run lint shows \
                 all that are missing, and names that are nearly the same"
            )
        })
    }

    /// Gives the memory of the videos back, once they are written down.
    pub fn forget_videos(&mut self) {
        self.lists.iter_mut().for_each(|l| l.videos = vec![]);
    }
}

/// Whether what a source's videos are passed to opens their files. A view of lengths may read the lists alone.
fn opens(program: &Program, source: usize) -> bool {
    let is_video = |id: &ValueId| {
        let value = &program.values[id.0];
        value.call == source && matches!(value.ty.head, Head::Video | Head::Flow | Head::Sequence)
    };
    let takes = |call: &&Call| call.inputs.iter().any(|(_, ids)| ids.iter().any(is_video));
    let mut given = program
        .calls
        .iter()
        .filter(takes)
        .flat_map(|call| call.outputs.iter().flatten());
    given.any(|id| program.values[id.0].ty.head != Head::Length)
}

impl ListInput {
    /// `the list data/a.txt (main videos@source, split train)`.
    pub(super) fn named(&self) -> String {
        let used = self.used.first().map_or("", String::as_str);
        format!("the list {} ({used}, split {})", self.file, self.split)
    }

    /// Whether a program of which this holds reads it.
    pub(super) fn is_read_by(&self, program: impl Fn(&str) -> bool) -> bool {
        self.used
            .iter()
            .any(|place| program(place.split(' ').next().unwrap_or_default()))
    }

    /// See [`ListInput::identity`].
    fn identify(&self) -> Option<String> {
        let mut hash = blake3::Hasher::new();
        for VideoInput(_, path, label, offset, frames, file) in &self.videos {
            let file = file.as_ref()?;
            field(&mut hash, file.real.as_ref().unwrap_or(path));
            let FileInput { bytes, parts, time, .. } = file;
            field(
                &mut hash,
                &format!("{label:?} {offset:?} {frames:?} {bytes} {parts:?} {time:?}"),
            );
        }
        Some(hash.finalize().to_hex().to_string())
    }
}

/// Adds text that cannot run into the next.
fn field(hash: &mut blake3::Hasher, text: &str) {
    hash.update(&(text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

/// The list of a split. Of generated data that is not there yet, its name alone.
fn list(source: &dyn Source, split: &str) -> Result<ListInput> {
    let generated = source.generated(split);
    let mut list = ListInput {
        split: split.to_owned(),
        ..ListInput::default()
    };
    if let Some((_, by)) = &generated {
        list.generated = Some(by.clone());
        list.file = format!("split {split}");
        // Its files are held to what was generated, so they need not be there yet.
        list.identity = Some(format!("generated {by}"));
    }
    if !source.absent().is_empty() {
        return Ok(list);
    }
    let videos = source.videos(split)?;
    list.classes = source.classes()?;
    list.count = videos.len();
    let base = generated.as_ref().map(|(base, _)| base.as_path());
    if let (Some(first), None) = (videos.first(), base) {
        list.file = first
            .line
            .rsplit_once(':')
            .map_or(first.line.as_str(), |(file, _)| file)
            .to_owned();
    }
    let folders = real_folders(&videos);
    list.videos = videos.par_iter().map(|v| video(v, base, &folders)).collect();
    list.missing = missing(&videos, &list.videos);
    if list.identity.is_none() {
        list.identity = list.identify();
    }
    Ok(list)
}

/// How many videos are not there, of those that have no file, and what is wrong with the first. One of a third party may be
/// no file, and sound.
fn missing(videos: &[Arc<Video>], inputs: &[VideoInput]) -> Option<Missing> {
    let without = videos.par_iter().zip(inputs).filter(|(_, input)| input.5.is_none());
    let gone: Vec<&Arc<Video>> = without
        .map(|(video, _)| video)
        .filter_map(|video| {
            let mut files = std::iter::once(video).chain(video.footage.other());
            files.find(|file| matches!(file.footage.inspect(), Err(Defect::Missing)))
        })
        .collect();
    let first = gone.first()?;
    let why = first.footage.frame_count().err();
    Some(Missing {
        count: gone.len(),
        first: why.map_or_else(|| first.line.clone(), |e| format!("{e:#}")),
    })
}

/// The folders of videos, with links resolved: resolving each video's whole path would look at every folder above it.
fn real_folders(videos: &[Arc<Video>]) -> HashMap<PathBuf, Option<PathBuf>> {
    let all = videos.iter().flat_map(|v| std::iter::once(v).chain(v.footage.other()));
    let folders: HashSet<&Path> = all.filter_map(|v| v.path.parent()).collect();
    let real = |folder: &Path| {
        let named = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        (folder.to_path_buf(), named.canonicalize().ok())
    };
    folders.into_par_iter().map(real).collect()
}

fn video(video: &Video, base: Option<&Path>, folders: &HashMap<PathBuf, Option<PathBuf>>) -> VideoInput {
    let path = match base {
        Some(base) => video.path.strip_prefix(base).unwrap_or(&video.path),
        None => &video.path,
    };
    let text = path.to_string_lossy().into_owned();
    let mut file = file(video, folders);
    if let Some(f) = &mut file {
        if base.is_some() {
            // It is held to what was generated.
            (f.time, f.real) = (None, None);
        } else if f.real.as_ref() == Some(&text) {
            f.real = None;
        }
    }
    let stated = video.footage.stated();
    let number = |n: Option<usize>| n.map(|n| n as u64);
    VideoInput(
        video.line.rsplit_once(':').and_then(|(_, n)| n.parse().ok()),
        text,
        number(video.label),
        number(stated.offset),
        number(stated.frames),
        file,
    )
}

/// The file of a video, and of its other modality, as they are now; `None` where one is not there, or its content is unknown.
fn file(video: &Video, folders: &HashMap<PathBuf, Option<PathBuf>>) -> Option<FileInput> {
    let one = file_of_one(video, folders)?;
    let Some(other) = video.footage.other() else {
        return Some(one);
    };
    let two = file_of_one(other, folders)?;
    let path = |video: &Video| video.path.to_string_lossy().into_owned();
    let both = |a: Option<String>, b: Option<String>| match (a, b) {
        (None, None) => None,
        (a, b) => Some(format!("{} {}", a.unwrap_or_default(), b.unwrap_or_default())),
    };
    let real = |input: &FileInput, video| input.real.clone().unwrap_or_else(|| path(video));
    Some(FileInput {
        bytes: one.bytes + two.bytes,
        real: Some(format!("{}\n{}", real(&one, video), real(&two, other))),
        parts: both(one.parts, two.parts),
        time: both(one.time, two.time),
    })
}

fn file_of_one(video: &Video, folders: &HashMap<PathBuf, Option<PathBuf>>) -> Option<FileInput> {
    let named = |parts: Option<String>| FileInput {
        bytes: 0,
        parts,
        time: None,
        real: None,
    };
    let Ok(mut meta) = video.path.symlink_metadata() else {
        // What is no file may still be able to name its content.
        return video.footage.stamp().map(|stamp| named(Some(stamp)));
    };
    let folder = video.path.parent().and_then(|p| folders.get(p)?.as_ref());
    let mut real = folder
        .zip(video.path.file_name())
        .map(|(folder, name)| folder.join(name));
    if meta.is_symlink() {
        real = Some(video.path.canonicalize().ok()?);
        meta = video.path.metadata().ok()?;
    }
    let real = real.map(|p| p.to_string_lossy().into_owned());
    if meta.is_dir() {
        let images = video.footage.images()?;
        return Some(FileInput {
            bytes: images.bytes,
            parts: Some(images.sizes + &video.footage.content().unwrap_or_default()),
            time: Some(images.times),
            real,
        });
    }
    let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(FileInput {
        bytes: meta.len(),
        time: Some(modified.as_nanos().to_string()),
        real,
        ..named(video.footage.content())
    })
}
