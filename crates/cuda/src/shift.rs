//! The temporal shift of TSM (Lin, Gan and Han, 2019), as in [`glad_ops::shift`]: the first `1 / fold` of the channels
//! take the value of the next frame, the next `1 / fold` that of the frame before, zero at the ends, the rest stay.
//!
//! Operands are activations `[n, t, pixels, channels]`, all f32 or all bf16.

use crate::launch::{Layout, THREADS, check, check_floats, check_len, divisor, holds, shape, variant, vector};
use crate::{Arg, Gpu, In, Out, Result};
pub use glad_ops::Shift;

const OP: &str = "temporal shift";
const MODULE: &str = "shift";

/// Shifts `x` into `y`.
///
/// # Errors
/// Fewer than two parts to divide the channels into, or operands that do not fit the shape.
pub fn forward<G: Gpu>(gpu: &G, shift: &Shift, x: In<'_>, y: Out<'_>) -> Result<()> {
    run(gpu, shift, ("x", x), ("y", y), 1, false)
}

/// Shifts the gradient back: `dy` into `dx`.
///
/// # Errors
/// As [`forward`].
pub fn backward<G: Gpu>(gpu: &G, shift: &Shift, dy: In<'_>, dx: Out<'_>) -> Result<()> {
    run(gpu, shift, ("dy", dy), ("dx", dx), -1, false)
}

/// Adds the gradient, shifted back, to `dx`.
///
/// # Errors
/// As [`forward`].
pub fn backward_add<G: Gpu>(gpu: &G, shift: &Shift, dy: In<'_>, dx: Out<'_>) -> Result<()> {
    run(gpu, shift, ("dy", dy), ("dx", dx), -1, true)
}

/// The first fold reads the frame `ahead`, the second the one before.
fn run<G: Gpu>(
    gpu: &G,
    shift: &Shift,
    (from_name, from): (&'static str, In<'_>),
    (to_name, to): (&'static str, Out<'_>),
    ahead: i32,
    add: bool,
) -> Result<()> {
    if shift.fold < 2 {
        let message = format!(
            "1/{} of the channels cannot move both ways: fold must be 2 or more",
            shift.fold
        );
        return Err(shape(OP, message));
    }
    check_floats(OP, from_name, from.number())?;
    check_len(OP, from_name, from.len(), shift.numel())?;
    check(OP, to_name, holds!(to), shift.numel(), from.number())?;
    if shift.numel() == 0 {
        return Ok(());
    }
    let (channels, folded) = (shift.channels, shift.folded());
    // All channels of a vector must move together.
    let all = vector(from.number(), channels, &[from.address(), to.address()]);
    let vector = if folded.is_multiple_of(all) { all } else { 1 };
    let rows = shift.n * shift.t * shift.pixels;
    let threads = Layout::new(OP, rows, channels / vector, THREADS)?;
    let kernel = match add {
        true => variant!("shift_add", from.number(), vector),
        false => variant!("shift", from.number(), vector),
    };
    let args = [
        Arg::Address(from.address()),
        Arg::Address(to.address()),
        // Neither is more than the rows, which were checked to fit.
        Arg::Words(&divisor(shift.t as u32)),
        Arg::Words(&divisor(shift.pixels as u32)),
        Arg::U32(folded as u32),
        Arg::I32(ahead),
        Arg::U32(threads.rows),
        Arg::U32(channels as u32),
    ];
    // SAFETY: the arguments are the kernel's, and the lengths are the shape's.
    unsafe { gpu.launch(&threads.each(MODULE, kernel), &args) }
}
