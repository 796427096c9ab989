//! Convolution weights between PyTorch's layout, which glad stores, and the channels-last one that cuDNN's fast kernels take.

use crate::launch::{check, check_floats, check_len, holds, line, shape};
use crate::{Arg, Error, Gpu, In, Number, Out, Result, pointwise};

const OP: &str = "layout of weights";
const MODULE: &str = "layout";

/// The shape of a convolution's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filters {
    /// Output channels.
    pub co: usize,
    /// Input channels of each output channel (those of its group).
    pub ci: usize,
    /// Taps: kt · kh · kw.
    pub taps: usize,
    /// Input channels of the channels-last weights: `ci`, or more, padded with zeros.
    pub padded: usize,
}

impl Filters {
    /// The weights of a convolution, without padding.
    pub fn of(conv: &glad_ops::Conv) -> Filters {
        let ci = conv.ci / conv.groups.max(1);
        Filters {
            co: conv.co,
            ci,
            taps: conv.taps(),
            padded: ci,
        }
    }

    /// Values in PyTorch's layout.
    pub fn len(&self) -> usize {
        self.co * self.ci * self.taps
    }

    /// Whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values in the channels-last layout.
    pub fn padded_len(&self) -> usize {
        self.co * self.taps * self.padded
    }
}

/// f32 weights `[co, ci, kt, kh, kw]` to `y` `[co, kt, kh, kw, padded]`, f32 or bf16.
///
/// # Errors
/// Fewer padded channels than channels, or operands that do not fit.
pub fn channels_last<G: Gpu>(gpu: &G, filters: &Filters, weights: In<'_>, y: Out<'_>) -> Result<()> {
    check(OP, "weights", holds!(weights), filters.len(), Number::F32)?;
    check_floats(OP, "y", y.number())?;
    check_len(OP, "y", y.len(), filters.padded_len())?;
    if filters.padded < filters.ci {
        return Err(too_narrow(filters));
    }
    if y.is_empty() {
        return Ok(());
    }
    if filters.taps == 1 && filters.padded == filters.ci {
        return pointwise::cast(gpu, weights, y);
    }
    let kernel = match y.number() {
        Number::Bf16 => "layout_channels_last_bf16",
        _ => "layout_channels_last_f32",
    };
    run(gpu, kernel, filters, weights.address(), y.address(), y.len())
}

/// Gradients `[co, kt, kh, kw, padded]`, f32 or bf16, to f32 `grad` `[co, ci, kt, kh, kw]`.
///
/// # Errors
/// As [`channels_last`].
pub fn channels_first<G: Gpu>(gpu: &G, filters: &Filters, dy: In<'_>, grad: Out<'_>) -> Result<()> {
    check_floats(OP, "dy", dy.number())?;
    check_len(OP, "dy", dy.len(), filters.padded_len())?;
    check(OP, "grad", holds!(grad), filters.len(), Number::F32)?;
    if filters.padded < filters.ci {
        return Err(too_narrow(filters));
    }
    if grad.is_empty() {
        return Ok(());
    }
    if filters.taps == 1 && filters.padded == filters.ci {
        return pointwise::cast(gpu, dy, grad);
    }
    let kernel = match dy.number() {
        Number::Bf16 => "layout_channels_first_bf16",
        _ => "layout_channels_first_f32",
    };
    run(gpu, kernel, filters, dy.address(), grad.address(), grad.len())
}

fn too_narrow(filters: &Filters) -> Error {
    let Filters { ci, padded, .. } = filters;
    shape(OP, format!("{ci} input channels do not fit {padded} padded ones"))
}

/// Launches one thread for each of the `n` values of the result.
fn run<G: Gpu>(gpu: &G, kernel: &'static str, filters: &Filters, from: u64, to: u64, n: usize) -> Result<()> {
    let most = filters.len().max(filters.padded_len());
    if u32::try_from(most).is_err() {
        return Err(shape(OP, format!("{most} weights are more than 2³²")));
    }
    let args = [
        Arg::Address(from),
        Arg::Address(to),
        Arg::U32(filters.ci as u32),
        Arg::U32(filters.taps as u32),
        Arg::U32(filters.padded as u32),
        Arg::U32(n as u32),
    ];
    // SAFETY: the arguments are the kernel's, and the lengths are the shape's.
    unsafe { gpu.launch(&line(OP, MODULE, kernel, n)?, &args) }
}
