//! Sources of frames.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use crate::{RgbFrame, VideoError};

/// Takes a decoded frame, or why it could not be had, and says whether to go on.
pub type Sink<'a> = dyn FnMut(usize, Result<RgbFrame, VideoError>) -> ControlFlow<()> + 'a;

/// A source of frames. The crate's own are made by [`Video::open`](crate::Video::open); another one (a decoder from
/// elsewhere, a generator) becomes a [`Video`](crate::Video) through [`Video::from_backend`](crate::Video::from_backend).
pub trait Backend: fmt::Debug + Send + Sync {
    /// The file or folder, for messages.
    fn path(&self) -> &Path;
    /// Number of frames.
    fn frame_count(&self) -> usize;
    /// Width and height of every frame, upright, in pixels.
    fn size(&self) -> (usize, usize);
    /// Frames a second on average, if the source knows.
    fn fps(&self) -> Option<f64>;
    /// Decodes `frames`, ascending, without repeats and all below [`Backend::frame_count`], and
    /// gives each to `sink` once, in any order. The same frame is always the same bytes.
    ///
    /// # Errors
    /// Only what concerns the source as a whole; what concerns a frame goes to `sink`.
    fn decode(&self, frames: &[usize], sink: &mut Sink<'_>) -> Result<(), VideoError>;
}
