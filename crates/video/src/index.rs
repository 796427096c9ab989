//! The index of a video: the bytes that each frame needs.

use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::{DecoderChoice, Limits, Sink, VideoError};

/// Where the frames of a video are: display order, decoding order, key frames. Made when a video
/// is opened; with a kept index the same file can be opened again without parsing.
///
/// Cheap to clone. About 20 bytes a frame for a video file; almost nothing for a folder.
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
    /// Frames a second on average, if known.
    fn fps(&self) -> Option<f64> {
        None
    }
    /// A remark on a valid file.
    fn remark(&self) -> Option<&str> {
        None
    }
    /// Whether it indexes a folder: only the requested frames, and without a modification time.
    fn is_folder(&self) -> bool {
        false
    }
    /// Looks at every image of a folder without decoding it; the tables of a file were read when it was indexed.
    fn examine(&self, _: &Place) -> Result<(), VideoError> {
        Ok(())
    }
    /// Decodes `frames`, ascending and each at most once, and passes each to `sink`.
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

/// Identifies the state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}
