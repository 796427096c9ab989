//! Sources of frames.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use crate::{RgbFrame, VideoError};

/// Receives a decoded frame or its error, and returns whether to continue.
pub type Sink<'a> = dyn FnMut(usize, Result<RgbFrame, VideoError>) -> ControlFlow<()> + 'a;

/// A source of frames. [`Video::open`](crate::Video::open) creates the crate's own; another one (an external
/// decoder, a generator) becomes a [`Video`](crate::Video) through [`Video::from_backend`](crate::Video::from_backend).
pub trait Backend: fmt::Debug + Send + Sync {
    /// The file or folder, for messages.
    fn path(&self) -> &Path;
    /// Number of frames.
    fn frame_count(&self) -> usize;
    /// Width and height of every frame, upright, in pixels.
    fn size(&self) -> (usize, usize);
    /// Frames a second on average, if known.
    fn fps(&self) -> Option<f64>;
    /// Looks at what opening has not read, without decoding: each image of a folder.
    ///
    /// # Errors
    /// The first damage found.
    fn examine(&self) -> Result<(), VideoError> {
        Ok(())
    }
    /// Decodes `frames`, ascending, without repeats and all below [`Backend::frame_count`], and
    /// passes each to `sink` once, in any order. The same frame is always the same bytes.
    ///
    /// # Errors
    /// Only errors of the source as a whole; errors of a frame go to `sink`.
    fn decode(&self, frames: &[usize], sink: &mut Sink<'_>) -> Result<(), VideoError>;
}
