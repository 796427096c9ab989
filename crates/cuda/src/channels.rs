//! Channel concatenation of an Inception module, and the split of its gradient.

use crate::launch::{Layout, THREADS, check, check_floats, count, holds, shape, variant, vector};
use crate::{Arg, Gpu, In, Out, Result};

const OP: &str = "copy of channels";
const MODULE: &str = "channels";

/// Some channels of a tensor `[rows, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Channels of the tensor.
    pub of: usize,
    /// The first channel of the part.
    pub first: usize,
}

/// Copies `channels` of each of `rows` rows of `x` to their place in `y`, whose other channels are unchanged; both f32 or both
/// bf16.
///
/// # Errors
/// Channels that a tensor does not have, or operands that do not fit.
pub fn copy<G: Gpu>(
    gpu: &G,
    [rows, channels]: [usize; 2],
    (from, x): (Channels, In<'_>),
    (to, y): (Channels, Out<'_>),
) -> Result<()> {
    check_floats(OP, "x", x.number())?;
    check(OP, "x", holds!(x), rows * from.of, x.number())?;
    check(OP, "y", holds!(y), rows * to.of, x.number())?;
    for at in [from, to] {
        if at.first + channels > at.of {
            let Channels { of, first } = at;
            return Err(shape(
                OP,
                format!("{channels} channels from number {first} on, of {of}"),
            ));
        }
    }
    let size = x.number().size();
    let [x_at, y_at] = [
        x.address() + (from.first * size) as u64,
        y.address() + (to.first * size) as u64,
    ];
    // If their bitwise OR is a multiple of a power of two, all of them are.
    let vector = vector(x.number(), channels | from.of | to.of, &[x_at, y_at]);
    let threads = Layout::new(OP, rows, channels / vector, THREADS)?;
    if threads.is_empty() {
        return Ok(());
    }
    let args = [
        Arg::Address(x_at),
        Arg::Address(y_at),
        Arg::U32(threads.rows),
        Arg::U32(count(OP, channels)?),
        Arg::U32(count(OP, from.of)?),
        Arg::U32(count(OP, to.of)?),
    ];
    let launch = threads.each(MODULE, variant!("channels_copy", x.number(), vector));
    // SAFETY: the arguments are the kernel's; lengths and places were checked.
    unsafe { gpu.launch(&launch, &args) }
}
