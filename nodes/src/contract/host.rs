//! Nodes of the data side: one sample at a time, on worker threads.

use super::error::{DataError, SourceError};
use super::footage::{Frame, Video};
use super::lint::{ListScan, Listing};
use super::problem::ParamProblem;
use super::rng::Key;
use anyhow::{Result, anyhow, bail};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Channels of clips of pictures: red, green and blue.
pub const RGB: usize = 3;

/// Channels of clips of optical flow: motion across and down.
pub const FLOW: usize = 2;

/// A clip stack: `clips · frames` images of one size, and which clip has which.
///
/// Bytes are laid out `[N, T, H, W, C]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clips {
    /// `[N, T, H, W, C]`.
    pub shape: [usize; 5],
    /// The bytes.
    pub data: Vec<u8>,
}

/// Frame numbers of the clips of a video: `[N, T]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameIndex {
    /// Frames per clip, `T`.
    pub frames: usize,
    /// `N · T` numbers.
    pub data: Vec<usize>,
}

/// Rows of features of a video: `[N, D]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Rows, and numbers of each.
    pub shape: [usize; 2],
    /// `N · D` numbers, row by row.
    pub data: Vec<f32>,
}

/// Images to draw from, such as the backgrounds of the source videos; their sizes may differ. An image may be read
/// when it is asked for: tens of thousands need not fit the memory.
pub trait ImageBank: fmt::Debug + Send + Sync {
    /// How many images there are.
    fn count(&self) -> usize;
    /// Image `i`, below [`ImageBank::count`].
    ///
    /// # Errors
    /// The image cannot be read.
    fn image(&self, i: usize) -> Result<Frame, DataError>;
}

impl ImageBank for Vec<Frame> {
    fn count(&self) -> usize {
        self.len()
    }

    fn image(&self, i: usize) -> Result<Frame, DataError> {
        let there = self.len();
        let asked = || DataError::sample(format!("image {i} was asked for, but there are {there}"));
        self.get(i).cloned().ok_or_else(asked)
    }
}

/// What travels between nodes of the data side.
#[derive(Clone, Debug)]
pub enum HostValue {
    /// A video of a list: `Video[B]`; its optical flow, `Flow[B]`, or its features, `Sequence[B,D]`, before any is read.
    Video(Arc<Video>),
    /// A class: `Label[B]`.
    Label(u32),
    /// How many frames there are: `Length[B]`.
    Length(u32),
    /// Frame numbers: `FrameIndex[B,N,T]`.
    Index(Arc<FrameIndex>),
    /// Frames: `Clip[B,N,T,H,W,C]`.
    Clips(Arc<Clips>),
    /// Features that were read: `Feature[B,N,D]`.
    Features(Arc<Features>),
    /// Whether something is defined for this sample: `Mask[B]`.
    Mask(bool),
    /// A bank of images: `Images[]`.
    Images(Arc<dyn ImageBank>),
}

impl HostValue {
    /// Bytes that it holds on to.
    pub fn bytes(&self) -> usize {
        match self {
            HostValue::Index(i) => i.data.len() * 8,
            HostValue::Clips(c) => c.data.len(),
            HostValue::Features(f) => f.data.len() * 4,
            _ => 16,
        }
    }
}

/// The values that reach a call, by port.
#[derive(Clone, Debug)]
pub struct Args<V> {
    ports: Vec<(String, Vec<V>)>,
}

impl<V> Default for Args<V> {
    fn default() -> Self {
        Args { ports: vec![] }
    }
}

impl<V> Args<V> {
    /// Adds a port with its values.
    pub fn push(&mut self, port: impl Into<String>, values: Vec<V>) {
        self.ports.push((port.into(), values));
    }

    /// With a port added, for tests and hand-made calls.
    ///
    /// ```
    /// use glad_nodes::Args;
    /// let args = Args::default().with("x", vec![1, 2]).with("y", vec![3]);
    /// assert_eq!(args.all("x"), [1, 2]);
    /// assert_eq!(*args.one("y")?, 3);
    /// # anyhow::Ok(())
    /// ```
    #[must_use]
    pub fn with(mut self, port: &str, values: Vec<V>) -> Self {
        self.push(port, values);
        self
    }

    /// The one value of `port`.
    ///
    /// # Errors
    /// Nothing is connected to the port, or more than one value.
    pub fn one(&self, port: &str) -> Result<&V> {
        match self.all(port) {
            [v] => Ok(v),
            v => bail!("port `{port}` has {} values where one is needed", v.len()),
        }
    }

    /// The value of an optional port.
    pub fn get(&self, port: &str) -> Option<&V> {
        self.all(port).first()
    }

    /// All values of `port`, in the order of the references.
    pub fn all(&self, port: &str) -> &[V] {
        self.ports
            .iter()
            .find(|(n, _)| n == port)
            .map_or(&[], |(_, v)| v.as_slice())
    }

    /// Ports and their values, in the contract's order. Flattened, this is the order of gradients.
    pub fn ports(&self) -> &[(String, Vec<V>)] {
        &self.ports
    }

    /// All values, flattened.
    pub fn flat(&self) -> impl Iterator<Item = &V> {
        self.ports.iter().flat_map(|(_, v)| v)
    }

    /// Index of the first value of `port` in the flattened order.
    pub fn offset(&self, port: &str) -> usize {
        self.ports
            .iter()
            .take_while(|(n, _)| n != port)
            .map(|(_, v)| v.len())
            .sum()
    }
}

impl Args<HostValue> {
    /// The video of `port`.
    ///
    /// # Errors
    /// Another kind of value arrives at the port.
    pub fn video(&self, port: &str) -> Result<&Arc<Video>> {
        match self.one(port)? {
            HostValue::Video(v) => Ok(v),
            v => bail!("port `{port}` has no video but {v:?}"),
        }
    }

    /// The frame numbers of `port`.
    ///
    /// # Errors
    /// Another kind of value arrives at the port.
    pub fn index(&self, port: &str) -> Result<&Arc<FrameIndex>> {
        match self.one(port)? {
            HostValue::Index(v) => Ok(v),
            v => bail!("port `{port}` has no frame numbers but {v:?}"),
        }
    }

    /// The clips of `port`.
    ///
    /// # Errors
    /// Another kind of value arrives at the port.
    pub fn clips(&self, port: &str) -> Result<&Arc<Clips>> {
        match self.one(port)? {
            HostValue::Clips(v) => Ok(v),
            v => bail!("port `{port}` has no clips but {v:?}"),
        }
    }
}

/// What a per-sample call knows.
#[derive(Clone, Copy, Debug)]
pub struct SampleCx {
    /// Names this node's random numbers for this sample, pass and attempt.
    pub key: Key,
    /// Whether this is training; samplers are deterministic where it is not.
    pub training: bool,
}

/// A node of the data side.
pub trait Stage: Send + Sync {
    /// Computes the outputs, in the contract's order.
    ///
    /// # Errors
    /// [`DataError::Sample`]: the video is bad, and is replaced and counted. [`DataError::Fatal`] ends the run.
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError>;
    /// Called when a view has gone through a stream's list: what leaves files behind completes them. `bad` are the places
    /// in `videos` of those that could not be used, with the reason. Returns lines to report.
    ///
    /// # Errors
    /// What it leaves cannot be written.
    fn finish(&self, videos: &[Arc<Video>], bad: &[(usize, String)]) -> Result<Vec<String>, DataError> {
        let _ = (videos, bad);
        Ok(vec![])
    }
}

/// A node that names the videos of a stream.
pub trait Source: Send + Sync {
    /// Reads the list of `split`. Malformed content is an error with all its places.
    ///
    /// # Errors
    /// The list is malformed or not there; [`SourceError::File`] where the file as a whole is of no use.
    fn videos(&self, split: &str) -> Result<Vec<Arc<Video>>, SourceError>;
    /// Reads what can be read of the list of `split`, and reports malformed lines next to it.
    ///
    /// # Errors
    /// The list cannot be read at all: [`SourceError::File`] names the file to blame, if it is one.
    fn scan(&self, split: &str) -> Result<ListScan, SourceError> {
        Ok(ListScan {
            videos: self.videos(split)?,
            ..ListScan::default()
        })
    }
    /// Passes each line of the list of `split` to `take`, in order, as [`Source::videos`] reads it, without making videos:
    /// lists may have millions of lines.
    ///
    /// # Errors
    /// As [`Source::videos`], before the first line is passed.
    fn each(&self, split: &str, take: &mut dyn FnMut(Listing<'_>)) -> Result<(), SourceError> {
        for video in self.videos(split)? {
            let (list, line) = video.line.rsplit_once(':').unwrap_or((&video.line, ""));
            take(Listing {
                list: Path::new(list),
                line: line.parse().unwrap_or(video.index + 1),
                path: &video.path,
                label: video.label,
                numbered: false,
                stated: video.footage.stated(),
                origin: video.footage.origin(),
            });
        }
        Ok(())
    }
    /// Looks at a few files of the list of `split` for what is wrong with all of them by a parameter, such as rows of another
    /// size: asked before anything runs, and only where the list is there and sound.
    ///
    /// # Errors
    /// The parameter that has to be another, and what to write.
    fn examine(&self, split: &str) -> Result<(), ParamProblem> {
        let _ = split;
        Ok(())
    }
    /// How many videos the list of `split` has, where that is known before anything runs: what is kept for each of them is made
    /// for so many. `None` where the list is not there or cannot be read.
    fn count(&self, split: &str) -> Option<usize> {
        let mut count = 0;
        self.each(split, &mut |_| count += 1).ok()?;
        Some(count)
    }
    /// The outputs for a video, in the contract's order.
    ///
    /// # Errors
    /// The video lacks what a port promises.
    fn values(&self, video: &Arc<Video>) -> Result<Vec<HostValue>, DataError>;
    /// Makes the data if it is of the kind that can be made, once, whole or not at all. `progress` is called with
    /// what is being done, and (done, of).
    ///
    /// # Errors
    /// The data cannot be made.
    fn ensure(&self, progress: &(dyn Fn(&str, usize, usize) + Sync)) -> Result<(), SourceError> {
        let _ = progress;
        Ok(())
    }
    /// Where the data of `split` is generated: the folder of its lists and videos, and all that its content depends on (the
    /// generator's version, parameters, seed).
    fn generated(&self, split: &str) -> Option<(PathBuf, String)> {
        let _ = split;
        None
    }
    /// Videos without labels of these files or folders, read as those of the lists are; no list is read.
    ///
    /// # Errors
    /// The source names its videos by lists alone.
    fn of_files(&self, paths: &[PathBuf]) -> Result<Vec<Arc<Video>>, SourceError> {
        let _ = paths;
        Err(anyhow!("this source of videos takes no single files, only its lists").into())
    }
    /// What is not there yet, for notes: `data/k400_train.txt is not there`, or that the first run will make it.
    /// Where [`Source::classes`] fails, what it lacks comes first.
    fn absent(&self) -> Vec<String>;
    /// The splits that there are.
    fn splits(&self) -> Vec<String>;
    /// Names of the classes, where known.
    ///
    /// # Errors
    /// The classes cannot be read.
    fn classes(&self) -> Result<Option<Vec<String>>, SourceError>;
}

/// What a node that takes a whole list may use.
pub struct PrepareCx<'a> {
    /// The videos of the list, in order.
    pub videos: Vec<Arc<Video>>,
    /// Where results may be kept between runs, by content; `None` where there is no such folder.
    pub cache: Option<&'a Path>,
    /// Called with (done, of) as the work goes on.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
    /// Called with what went wrong but does not stop the work, such as a video that was left out.
    pub warn: &'a (dyn Fn(&str) + Sync),
    /// Called with why a result could not be kept in `cache`; the work goes on without.
    pub uncached: &'a (dyn Fn(&anyhow::Error) + Sync),
}

/// A node that is computed once before a phase, from a whole list.
pub trait Resource: Send + Sync {
    /// Computes the outputs, in the contract's order.
    ///
    /// # Errors
    /// What it works on cannot be read.
    fn prepare(&self, cx: &PrepareCx<'_>) -> Result<Vec<HostValue>, DataError>;
}
