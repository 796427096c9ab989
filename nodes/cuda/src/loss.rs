//! Losses and their gradients in one go, as [`glad_ops::loss`] has them: softmax cross-entropy and binary cross-entropy with
//! logits.
//!
//! The mean is `Σ weight · loss / Σ weight`, zero where no row counts, to f32 `[1]`. What only the device sees to be wrong
//! (a label that is no class, a target outside `[0, 1]`, a weight that is negative or not finite) makes it NaN.

use crate::{Gpu, In, Out, Result};

/// Cross-entropy of the softmax of `logits` `[rows, classes]`, f32 or bf16, with u32 `labels` `[rows]`, with label smoothing
/// ε: `(1 − ε) · −log p[label] + ε / classes · Σ −log p`, as in PyTorch. f32 `weights` `[rows]` (a mask, as a rule) says how
/// much each row counts; the label of a row of weight zero is not looked at. `grad`, of the logits' type and length, takes
/// the gradient of the mean.
///
/// # Errors
/// A smoothing outside `[0, 1]`, no classes, or operands that do not fit.
#[allow(clippy::too_many_arguments, reason = "as the CPU's, and the device")]
pub fn cross_entropy<G: Gpu>(
    gpu: &G,
    logits: In<'_>,
    classes: usize,
    labels: In<'_>,
    smoothing: f32,
    weights: Option<In<'_>>,
    loss: Out<'_>,
    grad: Option<Out<'_>>,
) -> Result<()> {
    let _ = (gpu, logits, classes, labels, smoothing, weights, loss, grad);
    todo!()
}

/// Binary cross-entropy of the sigmoid of `logits` `[rows]`, f32 or bf16, with f32 `targets` `[rows]` in `[0, 1]`.
/// `weights`, `loss` and `grad` are as in [`cross_entropy`].
///
/// # Errors
/// Operands that do not fit.
pub fn bce_with_logits<G: Gpu>(
    gpu: &G,
    logits: In<'_>,
    targets: In<'_>,
    weights: Option<In<'_>>,
    loss: Out<'_>,
    grad: Option<Out<'_>>,
) -> Result<()> {
    let _ = (gpu, logits, targets, weights, loss, grad);
    todo!()
}
