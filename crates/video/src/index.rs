//! The index of a video: which bytes each frame needs.

use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::{DecoderChoice, Limits, Sink, VideoError};

/// Where the frames of a video are: display order, decoding order, key frames. Made when a video
/// is opened; kept by the caller, it lets the same file be opened again without being parsed.
///
/// Cheap to clone. About 20 bytes a frame for a video file; nothing to speak of for a folder.
#[derive(Clone)]
pub struct VideoIndex(Arc<Indexed>);

struct Indexed {
    stamp: Stamp,
    content: Box<dyn Index>,
}

/// The tables of one kind of source.
pub(crate) trait Index: Send + Sync {
    /// Number of frames.
    fn frame_count(&self) -> usize;
    /// Width and height of an upright frame.
    fn size(&self) -> (usize, usize);
    /// Frames a second on average, if that is known.
    fn fps(&self) -> Option<f64> {
        None
    }
    /// What a reader may want to know of a sound file.
    fn remark(&self) -> Option<&str> {
        None
    }
    /// Whether it is of a folder: of the frames that were asked for alone, and without a time of its own.
    fn is_folder(&self) -> bool {
        false
    }
    /// Decodes `frames`, ascending and each at most once, and gives each to `sink`.
    fn decode(&self, place: &Place, frames: &[usize], sink: &mut Sink<'_>) -> Result<(), VideoError>;
}

/// Where the bytes are, and how they are decoded.
#[derive(Debug)]
pub(crate) struct Place {
    pub path: PathBuf,
    #[cfg_attr(not(feature = "ffmpeg"), allow(dead_code))]
    pub decoder: DecoderChoice,
    pub limits: Limits,
}

impl fmt::Debug for VideoIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VideoIndex({} frames)", self.content().frame_count())
    }
}

impl VideoIndex {
    pub(crate) fn new(stamp: Stamp, content: impl Index + 'static) -> Self {
        Self(Arc::new(Indexed {
            stamp,
            content: Box::new(content),
        }))
    }

    pub(crate) fn content(&self) -> &dyn Index {
        self.0.content.as_ref()
    }

    /// An error if the file is no longer the one that was indexed.
    pub(crate) fn check(&self, path: &Path, now: Stamp) -> Result<(), VideoError> {
        if self.0.stamp == now {
            Ok(())
        } else {
            Err(VideoError::Changed { path: path.to_owned() })
        }
    }
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}
