//! Elementwise operations.

use crate::launch::{Layout, THREADS, check, check_floats, check_len, holds, line, shape, variant, vector, vector_of};
use crate::{Arg, Gpu, In, Number, Out, Result, Value};

const MODULE: &str = "pointwise";

/// Launches `threads` of a kernel, if there are any.
///
/// # Safety
/// As [`Gpu::launch`].
unsafe fn run<G: Gpu>(gpu: &G, op: &'static str, kernel: &'static str, threads: usize, args: &[Arg<'_>]) -> Result<()> {
    match threads {
        0 => Ok(()),
        // SAFETY: the caller's promise.
        _ => unsafe { gpu.launch(&line(op, MODULE, kernel, threads)?, args) },
    }
}

/// `y = x`, each f32 or bf16 (round to nearest, ties to even).
///
/// # Errors
/// Operands that do not fit.
pub fn cast<G: Gpu>(gpu: &G, x: In<'_>, y: Out<'_>) -> Result<()> {
    const OP: &str = "cast";
    check_floats(OP, "x", x.number())?;
    check_floats(OP, "y", y.number())?;
    check_len(OP, "y", y.len(), x.len())?;
    let kernels = match (x.number(), y.number()) {
        (Number::F32, Number::Bf16) => ["pointwise_narrow", "pointwise_narrow_x8"],
        (Number::Bf16, Number::F32) => ["pointwise_widen", "pointwise_widen_x8"],
        // Multiplying by one copies.
        _ => return scale(gpu, Value::Host(1.0), x, y),
    };
    let vector = vector_of(Number::Bf16, &[x.address(), y.address()]);
    let args = [
        Arg::Address(x.address()),
        Arg::Address(y.address()),
        Arg::U64(x.len() as u64),
    ];
    let kernel = kernels[usize::from(vector > 1)];
    // SAFETY: the arguments are the kernel's, and `x` and `y` are of one length.
    unsafe { run(gpu, OP, kernel, x.len().div_ceil(vector), &args) }
}

/// `y = factor · x`; both f32 or both bf16. A factor on the device is f32 `[1]`. The gradient of a gradient reversal layer is
/// this with −λ.
///
/// # Errors
/// Operands that do not fit.
pub fn scale<G: Gpu>(gpu: &G, factor: Value<'_, f32>, x: In<'_>, y: Out<'_>) -> Result<()> {
    const OP: &str = "scaling";
    check_floats(OP, "x", x.number())?;
    check(OP, "y", holds!(y), x.len(), x.number())?;
    let (factor_at, by_value) = match factor {
        Value::Host(factor) => (0, factor),
        Value::Device(factor) => {
            check(OP, "factor", holds!(factor), 1, Number::F32)?;
            (factor.address(), 0.0)
        }
    };
    let vector = vector_of(x.number(), &[x.address(), y.address()]);
    let kernel = variant!("pointwise_scale", x.number(), vector);
    let args = [
        Arg::Address(factor_at),
        Arg::F32(by_value),
        Arg::Address(x.address()),
        Arg::Address(y.address()),
        Arg::U64(x.len() as u64),
    ];
    // SAFETY: the arguments are the kernel's, and `x` and `y` are of one length.
    unsafe { run(gpu, OP, kernel, x.len().div_ceil(vector), &args) }
}

/// `y += x` where the number at `add` is not 0, else `y = x`; all f32. In a recording the same launch can start a sum and
/// continue it.
///
/// # Errors
/// Operands that do not fit.
pub fn accumulate<G: Gpu>(gpu: &G, add: In<'_>, x: In<'_>, y: Out<'_>) -> Result<()> {
    const OP: &str = "sum";
    check(OP, "add", holds!(add), 1, Number::F32)?;
    check(OP, "x", holds!(x), x.len(), Number::F32)?;
    check(OP, "y", holds!(y), x.len(), Number::F32)?;
    let vector = vector_of(Number::F32, &[x.address(), y.address()]);
    let kernel = ["pointwise_accumulate_f32", "pointwise_accumulate_f32x4"][usize::from(vector > 1)];
    let args = [
        Arg::Address(add.address()),
        Arg::Address(x.address()),
        Arg::Address(y.address()),
        Arg::U64(x.len() as u64),
    ];
    // SAFETY: the arguments are the kernel's, and `x` and `y` are of one length.
    unsafe { run(gpu, OP, kernel, x.len().div_ceil(vector), &args) }
}

/// `y += bias` for every row of `y` `[rows, channels]`, f32 or bf16, with f32 `bias` `[channels]`: the last step of a
/// convolution without a norm.
///
/// # Errors
/// Operands that do not fit.
pub fn bias<G: Gpu>(gpu: &G, channels: usize, bias: In<'_>, y: Out<'_>) -> Result<()> {
    const OP: &str = "bias";
    check_floats(OP, "y", y.number())?;
    check(OP, "bias", holds!(bias), channels, Number::F32)?;
    if !y.len().is_multiple_of(channels.max(1)) || (channels == 0 && !y.is_empty()) {
        let message = format!("{} values are not rows of {channels} channels", y.len());
        return Err(shape(OP, message));
    }
    if y.is_empty() {
        return Ok(());
    }
    let vector = vector(y.number(), channels, &[y.address()]);
    let threads = Layout::new(OP, y.len() / channels, channels / vector, THREADS)?;
    let args = [
        Arg::Address(bias.address()),
        Arg::Address(y.address()),
        Arg::U32(threads.rows),
        Arg::U32(channels as u32),
    ];
    let launch = threads.each(MODULE, variant!("pointwise_bias", y.number(), vector));
    // SAFETY: the arguments are the kernel's, and every length was checked.
    unsafe { gpu.launch(&launch, &args) }
}
