//! Clips of bytes, mirrored, mixed with a background and made numbers about zero, in one pass.
//!
//! What a graph's `flip`, `bg_mix` and `normalize` do on the host, in that order: a background is not mirrored. Bytes are
//! the host's, and so are f32 numbers, bit for bit.

use crate::launch::{Layout, THREADS, check, check_floats, check_len, divisor, holds, shape, variant, vector};
use crate::{Arg, Gpu, In, Number, Out, Result};

const OP: &str = "normalize";
const MODULE: &str = "normalize";

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

impl Clips {
    fn pixels(&self) -> usize {
        self.videos * self.frames * self.height * self.width
    }

    /// As the kernels take them; nothing is more than the rows are, which were counted, or than a row is.
    fn words(&self) -> Vec<u32> {
        let rows = divisor((self.frames * self.height) as u32);
        [&rows[..], &divisor(self.height as u32), &[self.width as u32]].concat()
    }
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

impl Scale {
    fn words(&self) -> [u32; 6] {
        let [[a, b, c], [d, e, f]] = [self.mean, self.std].map(|of| of.map(f32::to_bits));
        [a, b, c, d, e, f]
    }
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
    check_floats(OP, "y", y.number())?;
    if channels < 3 {
        return Err(shape(OP, format!("red, green and blue do not fit {channels} channels")));
    }
    check_len(OP, "y", y.len(), clips.pixels() * channels)?;
    let vector = vector(y.number(), clips.width * channels, &[y.address()]);
    let kernel = variant!("normalize", y.number(), vector);
    let threads = lay(clips, clips.width * channels / vector)?;
    let [flips, backgrounds, weights] = check_bytes(clips, x, changes)?;
    if threads.is_empty() {
        return Ok(());
    }
    let args = [
        Arg::Address(x.address()),
        Arg::Address(y.address()),
        Arg::Words(&clips.words()),
        flips,
        backgrounds,
        weights,
        Arg::Words(&scale.words()),
        Arg::U32(threads.rows),
        Arg::Words(&divisor(channels as u32)),
    ];
    // SAFETY: the arguments are the kernel's, and every length was checked.
    unsafe { gpu.launch(&threads.each(MODULE, kernel), &args) }
}

/// The changes alone: bytes `y` of the same shape.
///
/// # Errors
/// Operands that do not fit.
pub fn change<G: Gpu>(gpu: &G, clips: &Clips, x: In<'_>, changes: &Changes<'_>, y: Out<'_>) -> Result<()> {
    check(OP, "y", holds!(y), clips.pixels() * 3, Number::U8)?;
    let line = clips.width * 3;
    let wide = line.is_multiple_of(8) && y.address().is_multiple_of(8);
    let (kernel, lanes) = match wide {
        true => ("normalize_change_u8x8", line / 8),
        false => ("normalize_change_u8", line),
    };
    let threads = lay(clips, lanes)?;
    let [flips, backgrounds, weights] = check_bytes(clips, x, changes)?;
    if threads.is_empty() {
        return Ok(());
    }
    let args = [
        Arg::Address(x.address()),
        Arg::Address(y.address()),
        Arg::Words(&clips.words()),
        flips,
        backgrounds,
        weights,
        Arg::U32(threads.rows),
    ];
    // SAFETY: the arguments are the kernel's, and every length was checked.
    unsafe { gpu.launch(&threads.each(MODULE, kernel), &args) }
}

/// Threads for every row of pixels, and `lanes` along it.
fn lay(clips: &Clips, lanes: usize) -> Result<Layout> {
    Layout::new(OP, clips.videos * clips.frames * clips.height, lanes, THREADS)
}

/// Checks what is read, and gives the addresses of flips, backgrounds and their weights.
fn check_bytes(clips: &Clips, x: In<'_>, changes: &Changes<'_>) -> Result<[Arg<'static>; 3]> {
    check(OP, "x", holds!(x), clips.pixels() * 3, Number::U8)?;
    let mut addresses = [Arg::Address(0); 3];
    if let Some(flips) = changes.flips {
        check(OP, "flips", holds!(flips), clips.videos, Number::U8)?;
        addresses[0] = Arg::Address(flips.address());
    }
    if let Some(Mix { backgrounds, weights }) = changes.mix {
        let bytes = clips.videos * clips.height * clips.width * 3;
        check(OP, "backgrounds", holds!(backgrounds), bytes, Number::U8)?;
        check(OP, "weights", holds!(weights), clips.videos, Number::U32)?;
        addresses[1] = Arg::Address(backgrounds.address());
        addresses[2] = Arg::Address(weights.address());
    }
    Ok(addresses)
}
