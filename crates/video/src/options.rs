//! How a video is opened.

use crate::{Checksum, DecoderChoice, Limits, Template, VideoIndex};

/// How to open a video.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// The index of an earlier opening of the same file with the same options: it is not parsed
    /// again.
    pub index: Option<VideoIndex>,
    /// What decodes a file.
    pub decoder: DecoderChoice,
    /// The checksum of the file, as a list has it: another file is an error. A file is read for it once in a process.
    pub checksum: Option<Checksum>,
    /// Frames to pass over at the beginning: frame 0 is this one of the file or folder.
    pub offset: usize,
    /// How many frames there are, from `offset` on; more than there are is an error. `None`: all.
    pub frames: Option<usize>,
    /// For a folder: the names of its files.
    pub template: Template,
    /// For a folder: the number of its first file, commonly 0 or 1.
    pub start_index: usize,
    /// Bounds on memory and work.
    pub limits: Limits,
}
