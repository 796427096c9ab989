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
    /// For a folder: the number of its first file, commonly 0 or 1.
    pub start_index: usize,
    /// Bounds on memory and work.
    pub limits: Limits,
}
