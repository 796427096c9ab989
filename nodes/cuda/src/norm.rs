//! Batch normalisation fused with what follows it, as [`glad_ops::norm`] has it:
//! `y = relu(γ (x − mean) / √(var + ε) + β + residual)` (Ioffe and Szegedy, 2015).
//!
//! Activations are `[rows, channels]`, f32 or bf16; statistics, γ, β and their gradients are f32 `[channels]`.

use crate::launch::{Layout, THREADS, check, check_floats, check_len, holds, shape, variant, vector};
use crate::{Arg, Gpu, In, Launch, Memory, Number, Out, Result};

const OP: &str = "batch norm";
const MODULE: &str = "norm";

/// What normalises each channel; everything is f32 `[channels]`.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// The mean: the batch's in training, the running one in evaluation.
    pub mean: In<'a>,
    /// The variance; the batch's is the biased one.
    pub var: In<'a>,
    /// The scale γ.
    pub gamma: In<'a>,
    /// The offset β.
    pub beta: In<'a>,
    /// ε, 1e-5 as a rule.
    pub eps: f32,
    /// Whether negative results become zero.
    pub relu: bool,
}

/// What the backward pass needs, and gives, where a residual was added; both are activations `[rows, channels]`.
#[derive(Debug)]
pub struct Residual<'a> {
    /// The output of the forward pass.
    pub y: In<'a>,
    /// Takes the gradient of `x`.
    pub dx: Out<'a>,
}

/// Mean and biased variance of each channel of `x` `[rows, channels]`, to f32 `[channels]`. Sums are taken about the first
/// row, so that a large mean costs no precision.
///
/// # Errors
/// No rows, or operands that do not fit.
pub fn moments<G: Gpu>(gpu: &G, x: In<'_>, channels: usize, mean: Out<'_>, var: Out<'_>) -> Result<()> {
    let _ = (gpu, x, channels, mean, var);
    todo!()
}

/// Moves running statistics towards those of a batch of `rows`, in place:
/// `running = (1 − momentum) · running + momentum · batch`, with the variance made unbiased, as in PyTorch.
///
/// # Errors
/// Operands that do not fit, or no rows.
pub fn update_running<G: Gpu>(
    gpu: &G,
    mean: In<'_>,
    var: In<'_>,
    rows: usize,
    momentum: f32,
    running_mean: Out<'_>,
    running_var: Out<'_>,
) -> Result<()> {
    let _ = (gpu, mean, var, rows, momentum, running_mean, running_var);
    todo!()
}

impl BatchNorm<'_> {
    /// `y = relu(γ (x − mean) / √(var + ε) + β + residual)`. `x`, `residual` and `y` are activations `[rows, channels]`.
    ///
    /// # Errors
    /// Operands that do not fit.
    pub fn forward<G: Gpu>(&self, gpu: &G, x: In<'_>, residual: Option<In<'_>>, y: Out<'_>) -> Result<()> {
        let _ = (gpu, x, residual, y);
        todo!()
    }

    /// The gradients. `grad` is that of the output, and becomes that of `x`; with a residual it becomes that of the
    /// residual, and `residual.dx` takes that of `x`. With `batch` the mean and the variance are those of `x` and carry
    /// gradient (training); without they are constants (evaluation, frozen statistics). `dgamma` and `dbeta` are written,
    /// not added to.
    ///
    /// # Errors
    /// Operands that do not fit.
    #[allow(clippy::too_many_arguments, reason = "as the CPU's, and the device")]
    pub fn backward<G: Gpu>(
        &self,
        gpu: &G,
        batch: bool,
        x: In<'_>,
        grad: Out<'_>,
        residual: Option<Residual<'_>>,
        dgamma: Out<'_>,
        dbeta: Out<'_>,
    ) -> Result<()> {
        let _ = (gpu, batch, x, grad, residual, dgamma, dbeta);
        todo!()
    }
}

/// The sum of each channel of `x` `[rows, channels]`, to f32 `[channels]`: the gradient of a bias.
///
/// # Errors
/// No rows, or operands that do not fit.
pub fn channel_sums<G: Gpu>(gpu: &G, x: In<'_>, channels: usize, sums: Out<'_>) -> Result<()> {
    let _ = (gpu, x, channels, sums);
    todo!()
}
