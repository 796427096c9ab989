//! Normalisation of clips of bytes.

use crate::launch::{Layout, THREADS, check, check_floats, check_len, divisor, holds, shape, variant, vector};
use crate::{Arg, Gpu, In, Number, Out, Result};

const OP: &str = "normalize";
const MODULE: &str = "normalize";

/// The shape of a batch of RGB frames: bytes `[frames, height, width, 3]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frames {
    /// Frames: those of all clips of all videos.
    pub frames: usize,
    /// Rows of pixels of a frame.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
}

/// Mean and standard deviation of red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The mean, which is subtracted.
    pub mean: [f32; 3],
    /// The standard deviation, by which the difference is divided.
    pub std: [f32; 3],
}

impl Scale {
    fn words(&self) -> [u32; 6] {
        let [[a, b, c], [d, e, f]] = [self.mean, self.std].map(|of| of.map(f32::to_bits));
        [a, b, c, d, e, f]
    }
}

/// `y = (x − mean) / std`, f32 or bf16 `[frames, height, width, channels]`; channels beyond the third (with which some
/// convolutions are faster) are zero. In f32 the result equals the host's, bit for bit.
///
/// # Errors
/// Fewer than 3 channels, or operands that do not fit.
pub fn normalize<G: Gpu>(
    gpu: &G,
    frames: &Frames,
    x: In<'_>,
    scale: &Scale,
    channels: usize,
    y: Out<'_>,
) -> Result<()> {
    check_floats(OP, "y", y.number())?;
    if channels < 3 {
        return Err(shape(OP, format!("red, green and blue do not fit {channels} channels")));
    }
    let rows = frames.frames * frames.height;
    check_len(OP, "y", y.len(), rows * frames.width * channels)?;
    check(OP, "x", holds!(x), rows * frames.width * 3, Number::U8)?;
    let vector = vector(y.number(), frames.width * channels, &[y.address()]);
    let kernel = variant!("normalize", y.number(), vector);
    let threads = Layout::new(OP, rows, frames.width * channels / vector, THREADS)?;
    if threads.is_empty() {
        return Ok(());
    }
    let args = [
        Arg::Address(x.address()),
        Arg::Address(y.address()),
        Arg::Words(&scale.words()),
        Arg::U32(threads.rows),
        // A row's values were checked to fit 32 bits above.
        Arg::U32(frames.width as u32),
        Arg::Words(&divisor(channels as u32)),
    ];
    // SAFETY: the arguments are the kernel's, and every length was checked.
    unsafe { gpu.launch(&threads.each(MODULE, kernel), &args) }
}
