//! The index of a video: which bytes each frame needs.

use std::fmt;
use std::fs::Metadata;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::VideoError;
use crate::folder::FolderIndex;
use crate::h264::H264Index;

/// Where the frames of a video are: display order, decoding order, key frames. Made when a video
/// is opened; kept by the caller, it lets the same file be opened again without being parsed.
///
/// Cheap to clone. About 20 bytes a frame for a video file; nothing to speak of for a folder.
#[derive(Clone)]
pub struct VideoIndex(pub(crate) Arc<Indexed>);

pub(crate) struct Indexed {
    pub stamp: Stamp,
    pub content: Content,
}

pub(crate) enum Content {
    H264(H264Index),
    #[cfg(feature = "ffmpeg")]
    Av(crate::ffmpeg::AvIndex),
    Folder(FolderIndex),
}

impl Content {
    pub fn frame_count(&self) -> usize {
        match self {
            Self::H264(h) => h.frames.len(),
            #[cfg(feature = "ffmpeg")]
            Self::Av(a) => a.frames.len(),
            Self::Folder(f) => f.count,
        }
    }
}

impl fmt::Debug for VideoIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VideoIndex({} frames)", self.0.content.frame_count())
    }
}

impl VideoIndex {
    pub(crate) fn new(stamp: Stamp, content: Content) -> Self {
        Self(Arc::new(Indexed { stamp, content }))
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
