//! How a video is opened.

use crate::{Checksum, DecoderChoice, Limits, Template, VideoIndex};

/// How to open a video.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// The index of an earlier opening of the same file with the same options: the file is not parsed
    /// again.
    pub index: Option<VideoIndex>,
    /// The decoder.
    pub decoder: DecoderChoice,
    /// The checksum of the file, as given by a list; a mismatch is an error. A file is hashed once per process.
    pub checksum: Option<Checksum>,
    /// Frames to skip at the beginning: frame 0 is this one of the file or folder.
    pub offset: usize,
    /// The number of frames from `offset` on; more than exist is an error. `None`: all.
    pub frames: Option<usize>,
    /// For a folder: the names of its files.
    pub template: Template,
    /// For a folder: what the names of the parameters `template` and `start_index` begin with, in messages.
    pub prefix: &'static str,
    /// For a folder: the names of other images in it, which are no frames, and no reason for a remark.
    pub others: Vec<Template>,
    /// For a folder: the number of its first file, commonly 0 or 1.
    pub start_index: usize,
    /// For a folder: where `start_index` comes from.
    pub numbering: Numbering,
    /// Bounds on memory and work.
    pub limits: Limits,
}

/// Where the number of a folder's first image comes from, and so what images before it mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Numbering {
    /// It is stated: images before it are left out on purpose, which the remark of the video reports.
    #[default]
    Stated,
    /// It is a default: a folder whose images begin one later, or before it, is an error, since all frames of a segment would be
    /// other ones than are meant.
    Assumed,
    /// The offset was computed from the numbers of images, so that the frames are the same whatever the first number is.
    ByName,
}
