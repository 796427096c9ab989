//! Clips of bytes, mirrored, mixed with a background and made numbers about zero, in one pass.
//!
//! What a graph's `flip`, `bg_mix` and `normalize` do on the host, in that order: a background is not mirrored. Bytes are
//! the host's, and so are f32 numbers, bit for bit.

use crate::{Gpu, In, Out, Result};

/// The shape of a batch of RGB clips: bytes `[videos, frames, height, width, 3]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clips {
    /// Videos.
    pub videos: usize,
    /// Frames of a video: those of all its clips.
    pub frames: usize,
    /// Rows of pixels of a frame.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
}

/// Backgrounds to mix in (eq. 6 of the GLAD paper): a byte becomes `⌊((65536 − W)·x + W·b + 32768) / 65536⌋`.
#[derive(Clone, Copy, Debug)]
pub struct Mix<'a> {
    /// A background for every video: bytes `[videos, height, width, 3]`. Those of weight zero are not read.
    pub backgrounds: In<'a>,
    /// The weight of every video's background, W: u32 `[videos]`, 0 to 65536.
    pub weights: In<'a>,
}

/// What is done to bytes before they become numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes<'a> {
    /// The videos that are mirrored, left to right: bytes `[videos]`, those that are not 0.
    pub flips: Option<In<'a>>,
    /// What is mixed in after that.
    pub mix: Option<Mix<'a>>,
}

/// What is subtracted from red, green and blue, and what they are divided by then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Subtracted.
    pub mean: [f32; 3],
    /// Divided by.
    pub std: [f32; 3],
}

/// `y = (x − mean) / std`, f32 or bf16 `[videos, frames, height, width, channels]`; channels beyond the third (which some
/// convolutions are faster with) are zero.
///
/// # Errors
/// Fewer than 3 channels, or operands that do not fit.
pub fn normalize<G: Gpu>(
    gpu: &G,
    clips: &Clips,
    x: In<'_>,
    changes: &Changes<'_>,
    scale: &Scale,
    channels: usize,
    y: Out<'_>,
) -> Result<()> {
    let _ = (gpu, clips, x, changes, scale, channels, y);
    todo!()
}

/// The changes alone: bytes `y` of the same shape.
///
/// # Errors
/// Operands that do not fit.
pub fn change<G: Gpu>(gpu: &G, clips: &Clips, x: In<'_>, changes: &Changes<'_>, y: Out<'_>) -> Result<()> {
    let _ = (gpu, clips, x, changes, y);
    todo!()
}
