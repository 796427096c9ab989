//! Maximum, average and global average pooling, channels-last, as [`glad_ops::pool`] has them.
//!
//! `x` and `dx` are activations `[n, t, h, w, channels]`, `y` and `dy` `[n, t', h', w', channels]`, of f32 or bf16.

use crate::launch::{
    Layout, THREADS, WARP, check, check_floats, check_len, check_number, count, divisor, holds, variant, vector,
};
use crate::{Arg, Gpu, In, Number, Out, Result};
pub use glad_ops::Pool;

const OP: &str = "pooling";
const MODULE: &str = "pool";

/// The threads for the pixels of one side, and the channels that each handles.
struct Threads {
    threads: Layout,
    vector: usize,
    channels: usize,
}

impl Threads {
    /// The same where a byte for each value is moved as well: as many at once, or else one by one.
    fn with_bytes(self, address: u64) -> Result<Threads> {
        if address.is_multiple_of(self.vector as u64) {
            return Ok(self);
        }
        let threads = Layout::new(OP, self.threads.rows as usize, self.channels, THREADS)?;
        Ok(Threads {
            threads,
            vector: 1,
            ..self
        })
    }
}

/// Checks both sides, and lays threads over that of size `side`.
fn lay(
    pool: &Pool,
    (input, x): (&'static str, In<'_>),
    (output, y): (&'static str, In<'_>),
    side: [usize; 3],
    addresses: &[u64],
) -> Result<Threads> {
    pool.validate()?;
    check_floats(OP, input, x.number())?;
    check_len(OP, input, x.len(), pool.input_len())?;
    check(OP, output, holds!(y), pool.output_len(), x.number())?;
    // The kernels add these along an axis.
    for a in 0..3 {
        count(OP, pool.input[a] + pool.pad[a] + pool.stride[a])?;
    }
    count(OP, pool.input_len() / pool.channels)?;
    let vector = vector(x.number(), pool.channels, addresses);
    let pixels = pool.n * side.iter().product::<usize>();
    Ok(Threads {
        threads: Layout::new(OP, pixels, pool.channels / vector, THREADS)?,
        vector,
        channels: pool.channels,
    })
}

/// The shape as the kernels expect it: sizes of the input and the output and the window's step, as divisors; sizes of the
/// window and of the leading padding.
fn words(pool: &Pool) -> Vec<u32> {
    let divided = [pool.input, pool.output(), pool.stride].concat();
    let plain = [pool.kernel, pool.pad].concat();
    let divided = divided.into_iter().flat_map(|n| divisor(n as u32));
    divided.chain(plain.into_iter().map(|n| n as u32)).collect()
}

fn average<G: Gpu>(gpu: &G, pool: &Pool, layout: &Threads, kernel: &'static str, from: u64, to: u64) -> Result<()> {
    let args = [
        Arg::Address(from),
        Arg::Address(to),
        Arg::Words(&words(pool)),
        Arg::F32(1.0 / pool.kernel.iter().product::<usize>() as f32),
        Arg::U32(layout.threads.rows),
        Arg::U32(pool.channels as u32),
    ];
    // SAFETY: the arguments are the kernel's, and the caller has checked the lengths.
    unsafe { gpu.launch(&layout.threads.each(MODULE, kernel), &args) }
}

/// `y = max` over windows; `index`, u8 and as long as `y`, receives the position of the maximum in its window (time-major),
/// for the backward pass. The first of equals wins; NaN wins over everything.
///
/// # Errors
/// The shape makes no sense, or operands that do not fit it.
pub fn max_forward<G: Gpu>(gpu: &G, pool: &Pool, x: In<'_>, y: Out<'_>, index: Out<'_>) -> Result<()> {
    let layout = lay(
        pool,
        ("x", x),
        ("y", y.read()),
        pool.output(),
        &[x.address(), y.address()],
    )?;
    check(OP, "index", holds!(index), pool.output_len(), Number::U8)?;
    let layout = layout.with_bytes(index.address())?;
    let launch = layout
        .threads
        .each(MODULE, variant!("pool_max_forward", x.number(), layout.vector));
    let args = [
        Arg::Address(x.address()),
        Arg::Address(y.address()),
        Arg::Address(index.address()),
        Arg::Words(&words(pool)),
        Arg::U32(layout.threads.rows),
        Arg::U32(pool.channels as u32),
    ];
    // SAFETY: the arguments are the kernel's, and the lengths are the shape's.
    unsafe { gpu.launch(&launch, &args) }
}

/// `dx`: each output's gradient goes to its maximum, which `index` from [`max_forward`] names.
///
/// # Errors
/// As [`max_forward`].
pub fn max_backward<G: Gpu>(gpu: &G, pool: &Pool, dy: In<'_>, index: In<'_>, dx: Out<'_>) -> Result<()> {
    let layout = lay(
        pool,
        ("dx", dx.read()),
        ("dy", dy),
        pool.input,
        &[dx.address(), dy.address()],
    )?;
    check(OP, "index", holds!(index), pool.output_len(), Number::U8)?;
    let layout = layout.with_bytes(index.address())?;
    let launch = layout
        .threads
        .each(MODULE, variant!("pool_max_backward", dy.number(), layout.vector));
    let args = [
        Arg::Address(dy.address()),
        Arg::Address(index.address()),
        Arg::Address(dx.address()),
        Arg::Words(&words(pool)),
        Arg::U32(layout.threads.rows),
        Arg::U32(pool.channels as u32),
    ];
    // SAFETY: the arguments are the kernel's, and the lengths are the shape's.
    unsafe { gpu.launch(&launch, &args) }
}

/// `y = Σ x / window` over windows; the padding counts as zeros, as is PyTorch's default.
///
/// # Errors
/// As [`max_forward`].
pub fn average_forward<G: Gpu>(gpu: &G, pool: &Pool, x: In<'_>, y: Out<'_>) -> Result<()> {
    let layout = lay(
        pool,
        ("x", x),
        ("y", y.read()),
        pool.output(),
        &[x.address(), y.address()],
    )?;
    let kernel = variant!("pool_average_forward", x.number(), layout.vector);
    average(gpu, pool, &layout, kernel, x.address(), y.address())
}

/// `dx` of [`average_forward`].
///
/// # Errors
/// As [`max_forward`].
pub fn average_backward<G: Gpu>(gpu: &G, pool: &Pool, dy: In<'_>, dx: Out<'_>) -> Result<()> {
    let layout = lay(
        pool,
        ("dx", dx.read()),
        ("dy", dy),
        pool.input,
        &[dx.address(), dy.address()],
    )?;
    let kernel = variant!("pool_average_backward", dy.number(), layout.vector);
    average(gpu, pool, &layout, kernel, dy.address(), dx.address())
}

/// The mean over all positions: activations `x` `[n, positions, channels]`, of f32 or bf16, to f32 `y` `[n, channels]`.
///
/// # Errors
/// An empty shape, or operands that do not fit it.
pub fn global_mean<G: Gpu>(gpu: &G, n: usize, positions: usize, channels: usize, x: In<'_>, y: Out<'_>) -> Result<()> {
    glad_ops::pool::check_global(n, positions, channels, ("x", x.len()), ("y", y.len()))?;
    check_floats(OP, "x", x.number())?;
    check_number(OP, "y", y.number(), Number::F32)?;
    let vector = vector(x.number(), channels, &[x.address()]);
    // One warp wide, so that there are many rows, which share the positions of a sample.
    let threads = Layout::new(OP, n, channels / vector, WARP)?;
    let launch = threads.each_in_block(MODULE, variant!("pool_global_mean", x.number(), vector));
    let args = [
        Arg::Address(x.address()),
        Arg::Address(y.address()),
        Arg::U32(count(OP, positions)?),
        Arg::F32(1.0 / positions as f32),
        Arg::U32(channels as u32),
    ];
    // SAFETY: the arguments are the kernel's, and the lengths are the shape's.
    unsafe { gpu.launch(&launch, &args) }
}

/// `dx` of [`global_mean`], f32 or bf16, from f32 `dy`.
///
/// # Errors
/// As [`global_mean`].
pub fn global_mean_backward<G: Gpu>(
    gpu: &G,
    n: usize,
    positions: usize,
    channels: usize,
    dy: In<'_>,
    dx: Out<'_>,
) -> Result<()> {
    glad_ops::pool::check_global(n, positions, channels, ("dx", dx.len()), ("dy", dy.len()))?;
    check_floats(OP, "dx", dx.number())?;
    check_number(OP, "dy", dy.number(), Number::F32)?;
    let vector = vector(dx.number(), channels, &[dx.address(), dy.address()]);
    let threads = Layout::new(OP, n * positions, channels / vector, THREADS)?;
    let launch = threads.each(MODULE, variant!("pool_global_mean_backward", dx.number(), vector));
    let args = [
        Arg::Address(dy.address()),
        Arg::Address(dx.address()),
        Arg::Words(&divisor(count(OP, positions)?)),
        Arg::F32(1.0 / positions as f32),
        Arg::U32(threads.rows),
        Arg::U32(channels as u32),
    ];
    // SAFETY: the arguments are the kernel's, and the lengths are the shape's.
    unsafe { gpu.launch(&launch, &args) }
}
