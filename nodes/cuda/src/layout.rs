//! Convolution weights between PyTorch's layout, which glad keeps, and the channels-last one that cuDNN's fast kernels take.

use crate::{Gpu, In, Out, Result};

/// The shape of a convolution's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filters {
    /// Output channels.
    pub co: usize,
    /// Input channels that each of them sees (those of its group).
    pub ci: usize,
    /// Taps: kt · kh · kw.
    pub taps: usize,
    /// Input channels of the channels-last weights: `ci`, or more, the rest being zeros.
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

    /// Numbers in PyTorch's layout.
    pub fn len(&self) -> usize {
        self.co * self.ci * self.taps
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers in the channels-last layout.
    pub fn padded_len(&self) -> usize {
        self.co * self.taps * self.padded
    }
}

/// f32 weights `[co, ci, kt, kh, kw]` to `y` `[co, kt, kh, kw, padded]`, f32 or bf16.
///
/// # Errors
/// Fewer padded channels than there are, or operands that do not fit.
pub fn channels_last<G: Gpu>(gpu: &G, filters: &Filters, weights: In<'_>, y: Out<'_>) -> Result<()> {
    let _ = (gpu, filters, weights, y);
    todo!()
}

/// Gradients `[co, kt, kh, kw, padded]`, f32 or bf16, to f32 `grad` `[co, ci, kt, kh, kw]`.
///
/// # Errors
/// As [`channels_last`].
pub fn channels_first<G: Gpu>(gpu: &G, filters: &Filters, dy: In<'_>, grad: Out<'_>) -> Result<()> {
    let _ = (gpu, filters, dy, grad);
    todo!()
}
