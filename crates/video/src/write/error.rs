//! Errors while a video is written.

use std::path::PathBuf;

use super::MAX_SIDE;

/// An error while a video is written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The picture size is odd, zero or too large.
    #[error(
        "{}: cannot write {width}x{height} pixels as H.264 4:2:0: width and height must be even and from 2 to {MAX_SIDE}; crop or pad the frames",
        path.display()
    )]
    Size {
        /// The requested file.
        path: PathBuf,
        /// The requested width in pixels.
        width: usize,
        /// The requested height in pixels.
        height: usize,
    },
    /// An option or the frame rate is out of range.
    #[error("{}: {what}", path.display())]
    Option {
        /// The requested file.
        path: PathBuf,
        /// What is out of range, and the range.
        what: String,
    },
    /// A frame is not `height * width * 3` bytes long.
    #[error(
        "{}: frame {frame} has {got} bytes, but {width}x{height} RGB needs {expected}",
        path.display()
    )]
    FrameLength {
        /// The file being written.
        path: PathBuf,
        /// Index of the frame, from 0.
        frame: usize,
        /// Width of the video, in pixels.
        width: usize,
        /// Height of the video, in pixels.
        height: usize,
        /// Bytes a frame needs.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// `VideoWriter::finish` was called before any frame was added.
    #[error("{}: a video needs at least one frame", path.display())]
    Empty {
        /// The requested file.
        path: PathBuf,
    },
    /// The file could not be created, written or renamed.
    #[error("{}: cannot write: {cause}", path.display())]
    Io {
        /// The file being written.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The encoder, the colour conversion or the container rejected a frame.
    #[error("{}: cannot encode frame {frame}: {what}", path.display())]
    Encode {
        /// The file being written.
        path: PathBuf,
        /// Index of the frame, from 0.
        frame: usize,
        /// The library's error.
        what: String,
    },
}
