//! Videos: their frames, and their place in a list.

use super::defect::{Clue, Defect, Stated};
use super::error::DataError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Frames of one video, by index. Implementations are exact: frame `i` is the same bytes whatever else was asked.
pub trait Footage: Send + Sync {
    /// How many frames there are (of the segment, where the list names one).
    ///
    /// # Errors
    /// The file cannot be read.
    fn frame_count(&self) -> Result<usize, DataError>;
    /// The frames `wanted` (any order, repeats allowed), in that order; a repeated frame is decoded once and shared.
    /// All frames are RGB, 8 bits; of optical flow they have two channels, motion across and down.
    ///
    /// # Errors
    /// A frame is not there or damaged, or the file cannot be read.
    fn frames(&self, wanted: &[usize]) -> Result<Vec<Frame>, DataError>;
    /// The rows `wanted` (any order, repeats allowed) of a list of features, one after the other, in that order.
    ///
    /// # Errors
    /// There are frames and no features, a row is not there, or the file cannot be read.
    fn rows(&self, wanted: &[usize]) -> Result<Vec<f32>, DataError> {
        let _ = wanted;
        Err(DataError::sample("the video has frames, and no features"))
    }
    /// Reads what is there of `wanted`, frames or features, and keeps nothing.
    ///
    /// # Errors
    /// As [`Footage::frames`] or [`Footage::rows`].
    fn probe(&self, wanted: &[usize]) -> Result<(), DataError> {
        self.visit(wanted, &mut |_, _| Ok(()))
    }
    /// Passes each of the frames `wanted` to `take` once, with its number, in any order, as they are decoded: they are
    /// never held together. An error of `take` ends it.
    ///
    /// # Errors
    /// As [`Footage::frames`], and those of `take`.
    fn visit(
        &self,
        wanted: &[usize],
        take: &mut dyn FnMut(usize, Frame) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut once = wanted.to_vec();
        once.sort_unstable();
        once.dedup();
        for (i, frame) in once.iter().zip(self.frames(&once)?) {
            take(*i, frame)?;
        }
        Ok(())
    }
    /// What the list states about the frames; no file is looked at.
    fn stated(&self) -> Stated {
        Stated::default()
    }
    /// Where these are features: the video that they were computed from, where the list says it.
    fn origin(&self) -> Option<&Origin> {
        None
    }
    /// What decodes these frames, where the list's node names it: a file may be read by one decoder and not by another.
    fn backend(&self) -> &'static str {
        ""
    }
    /// The number of frames, or what is wrong with the file. Nothing is decoded.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn inspect(&self) -> Result<usize, Defect> {
        self.frame_count().map_err(|e| Defect::Unreadable(format!("{e:#}")))
    }
    /// What decides about the frames besides the path, the backend and [`Footage::stated`], such as the names of a folder's
    /// images: two videos that differ in none of these are looked at once.
    fn reading(&self) -> String {
        String::new()
    }
    /// What a reader may want to know of a sound file that was looked at or opened, such as which of several tracks is
    /// read.
    fn remark(&self) -> Option<String> {
        None
    }
    /// Where the file is not there: what may be meant by its path.
    fn clue(&self) -> Option<Clue> {
        None
    }
    /// Frames a second on average, where that is known.
    ///
    /// # Errors
    /// The file cannot be read.
    fn fps(&self) -> Result<Option<f64>, DataError> {
        Ok(None)
    }
    /// Where these frames are a segment: the footage of the whole file, and the number in it of the segment's first frame.
    fn whole(&self) -> Option<(Arc<dyn Footage>, usize)> {
        None
    }
    /// Names the content, for caches: another file, a changed file or another segment has another stamp. `None` where
    /// that is unknown, and then nothing is kept between runs.
    fn stamp(&self) -> Option<String> {
        None
    }
    /// Another modality of the same video, with a file of its own: its optical flow, where this has its pictures. A video is bad
    /// where one of the two is.
    fn other(&self) -> Option<&Arc<Video>> {
        None
    }
    /// A hash over what is in the file, read anew, where sizes do not tell one content from another: features of one network are
    /// as large as those of another. `None` where size and time are enough.
    fn content(&self) -> Option<String> {
        None
    }
    /// The images of a folder as they are now, without reading them; `None` where this is no folder of images. What is a
    /// file needs no answer: a comparison of runs looks at [`Video::path`].
    fn images(&self) -> Option<ImagesStamp> {
        None
    }
}

/// The video that features were computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file or folder.
    pub path: PathBuf,
    /// Its segment, where it is one.
    pub stated: Stated,
}

/// What distinguishes the images of a folder from others, without reading them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagesStamp {
    /// Bytes of all images together.
    pub bytes: u64,
    /// A hash over each image's name and bytes.
    pub sizes: String,
    /// A hash over each image's time of its last change.
    pub times: String,
}

/// One image, 8 bits a channel, rows top to bottom: RGB, or optical flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `height · width · 3` bytes; of optical flow `height · width · 2`.
    pub data: Arc<Vec<u8>>,
}

/// A video of a list.
#[derive(Clone)]
pub struct Video {
    /// Its place in the list, from 0.
    pub index: usize,
    /// The file or folder.
    pub path: PathBuf,
    /// The list line it comes from: `list.txt:12`.
    pub line: String,
    /// Its class, where the list has one.
    pub label: Option<usize>,
    /// Its frames.
    pub footage: Arc<dyn Footage>,
}

impl fmt::Debug for Video {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Video({}, {})", self.path.display(), self.line)
    }
}
