//! Operations on numbers one by one.

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

/// `y = x`, each f32 or bf16 (to the nearest, of two equally near ones the even one).
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

/// `y += x`; both f32 or both bf16.
///
/// # Errors
/// Operands that do not fit.
pub fn add<G: Gpu>(gpu: &G, x: In<'_>, y: Out<'_>) -> Result<()> {
    const OP: &str = "addition";
    check_floats(OP, "x", x.number())?;
    check(OP, "y", holds!(y), x.len(), x.number())?;
    let vector = vector_of(x.number(), &[x.address(), y.address()]);
    let kernel = variant!("pointwise_add", x.number(), vector);
    let args = [
        Arg::Address(x.address()),
        Arg::Address(y.address()),
        Arg::U64(x.len() as u64),
    ];
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

/// `y += bias` for every row of `y` `[rows, channels]`, f32 or bf16, with f32 `bias` `[channels]` where there is one; then
/// what is negative becomes zero if `relu`. What a linear layer or a convolution without a norm ends with.
///
/// # Errors
/// Operands that do not fit.
pub fn bias<G: Gpu>(gpu: &G, channels: usize, bias: Option<In<'_>>, relu: bool, y: Out<'_>) -> Result<()> {
    const OP: &str = "bias";
    check_floats(OP, "y", y.number())?;
    if let Some(bias) = bias {
        check(OP, "bias", holds!(bias), channels, Number::F32)?;
    }
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
        Arg::Address(bias.map_or(0, |b| b.address())),
        Arg::U32(relu.into()),
        Arg::Address(y.address()),
        Arg::U32(threads.rows),
        Arg::U32(channels as u32),
    ];
    let launch = threads.each(MODULE, variant!("pointwise_bias", y.number(), vector));
    // SAFETY: the arguments are the kernel's, and every length was checked.
    unsafe { gpu.launch(&launch, &args) }
}

/// The gradient before a ReLU, in place: zero where its output `y` is; both f32 or both bf16.
///
/// # Errors
/// Operands that do not fit.
pub fn relu_backward<G: Gpu>(gpu: &G, y: In<'_>, grad: Out<'_>) -> Result<()> {
    const OP: &str = "relu backward";
    check_floats(OP, "y", y.number())?;
    check(OP, "grad", holds!(grad), y.len(), y.number())?;
    let vector = vector_of(y.number(), &[y.address(), grad.address()]);
    let kernel = variant!("pointwise_relu_backward", y.number(), vector);
    let args = [
        Arg::Address(y.address()),
        Arg::Address(grad.address()),
        Arg::U64(y.len() as u64),
    ];
    // SAFETY: the arguments are the kernel's, and `y` and `grad` are of one length.
    unsafe { run(gpu, OP, kernel, y.len().div_ceil(vector), &args) }
}

/// Sets `flag`, u32 `[1]`, to 1 if any number of `x` (f32 or bf16) is infinite or not a number; else leaves it as it is.
///
/// # Errors
/// Operands that do not fit.
pub fn not_finite<G: Gpu>(gpu: &G, x: In<'_>, flag: Out<'_>) -> Result<()> {
    const OP: &str = "search for what is not finite";
    check_floats(OP, "x", x.number())?;
    check(OP, "flag", holds!(flag), 1, Number::U32)?;
    let vector = vector_of(x.number(), &[x.address()]);
    let kernel = variant!("pointwise_not_finite", x.number(), vector);
    let args = [
        Arg::Address(x.address()),
        Arg::Address(flag.address()),
        Arg::U64(x.len() as u64),
    ];
    // SAFETY: the arguments are the kernel's, and every length was checked.
    unsafe { run(gpu, OP, kernel, x.len().div_ceil(vector), &args) }
}
