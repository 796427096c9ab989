//! Batch normalisation fused with what follows it, as [`glad_ops::norm`] has it:
//! `y = relu(γ (x − mean) / √(var + ε) + β + residual)` (Ioffe and Szegedy, 2015).
//!
//! Activations are `[rows, channels]`, f32 or bf16; statistics, γ, β and their gradients are f32 `[channels]`.

use crate::launch::{Layout, THREADS, check, check_floats, holds, line, shape, variant, vector};
use crate::{Arg, Gpu, In, Launch, Memory, Number, Out, Result};

const OP: &str = "batch norm";
const MODULE: &str = "norm";

/// Parameters and statistics of a normalisation; every tensor is f32 `[channels]`.
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
    /// ε, 1e-5 usually.
    pub eps: f32,
    /// Whether negative results become zero.
    pub relu: bool,
}

/// Inputs and outputs of the backward pass where a residual was added; both are activations `[rows, channels]`.
#[derive(Debug)]
pub struct Residual<'a> {
    /// The output of the forward pass.
    pub y: In<'a>,
    /// Receives the gradient of `x`.
    pub dx: Out<'a>,
}

/// Mean and biased variance of each channel of `x` `[rows, channels]`, to f32 `[channels]`. Sums are taken relative to the first
/// row, so that a large mean costs no precision.
///
/// # Errors
/// No rows, or operands that do not fit.
pub fn moments<G: Gpu>(gpu: &G, x: In<'_>, channels: usize, mean: Out<'_>, var: Out<'_>) -> Result<()> {
    let (rows, layout, vector) = lay(x, channels, &[x.address()])?;
    check(OP, "mean", holds!(mean), channels, Number::F32)?;
    check(OP, "var", holds!(var), channels, Number::F32)?;
    let partial = sums(gpu, &layout, channels)?;
    let launch = layout.in_turns(MODULE, variant!("norm_moments", x.number(), vector));
    let sums = Arg::Address(partial.input().address());
    let (x_at, count) = (Arg::Address(x.address()), [Arg::U32(rows), Arg::U32(channels as u32)]);
    // SAFETY: the arguments are the kernel's, and every length was checked; `partial` holds two sums for each block.
    unsafe { gpu.launch(&launch, &[x_at, count[0], count[1], sums])? };
    let finish = finish(variant!("norm_moments_finish", x.number(), 1), channels);
    let blocks = Arg::U32(layout.turns() as u32);
    let to = [Arg::Address(mean.address()), Arg::Address(var.address())];
    // SAFETY: as above.
    unsafe { gpu.launch(&finish, &[sums, blocks, x_at, count[0], count[1], to[0], to[1]]) }
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
    let channels = mean.len();
    check(OP, "mean", holds!(mean), channels, Number::F32)?;
    check(OP, "var", holds!(var), channels, Number::F32)?;
    check(OP, "running_mean", holds!(running_mean), channels, Number::F32)?;
    check(OP, "running_var", holds!(running_var), channels, Number::F32)?;
    if rows == 0 {
        return Err(shape(OP, "running statistics of no rows"));
    }
    if channels == 0 {
        return Ok(());
    }
    // One row has no unbiased variance; PyTorch raises an error in training, here the biased one (zero) is used.
    let unbias = rows as f32 / (rows - 1).max(1) as f32;
    let launch = line(OP, MODULE, "norm_update_running", channels)?;
    let args = [
        Arg::Address(mean.address()),
        Arg::Address(var.address()),
        Arg::U32(channels as u32),
        Arg::F32(unbias),
        Arg::F32(momentum),
        Arg::Address(running_mean.address()),
        Arg::Address(running_var.address()),
    ];
    // SAFETY: the arguments are the kernel's, and all four hold `channels` numbers.
    unsafe { gpu.launch(&launch, &args) }
}

/// The threads for `x`, its rows, and the values that a thread loads at once.
fn lay(x: In<'_>, channels: usize, addresses: &[u64]) -> Result<(u32, Layout, usize)> {
    check_floats(OP, "x", x.number())?;
    if channels == 0 || x.is_empty() || !x.len().is_multiple_of(channels) {
        let message = format!("{} values are not rows of {channels} channels", x.len());
        return Err(shape(OP, message));
    }
    let vector = vector(x.number(), channels, addresses);
    let layout = Layout::new(OP, x.len() / channels, channels / vector, THREADS)?;
    Ok((layout.rows, layout, vector))
}

/// Allocates two sums for each channel and block.
fn sums<G: Gpu>(gpu: &G, layout: &Layout, channels: usize) -> Result<G::Memory> {
    gpu.alloc(2 * channels * layout.turns(), Number::F32)
}

/// Channels of a block of the kernels that add these up.
const WIDE: usize = 8;

/// The launch of one of them.
fn finish(kernel: &'static str, channels: usize) -> Launch {
    Launch {
        module: MODULE,
        kernel,
        grid: [channels.div_ceil(WIDE) as u32, 1, 1],
        block: [WIDE as u32, (THREADS / WIDE) as u32, 1],
    }
}

impl BatchNorm<'_> {
    /// The number of channels, checked to be that of every tensor.
    fn check(&self) -> Result<usize> {
        let channels = self.gamma.len();
        check(OP, "mean", holds!(self.mean), channels, Number::F32)?;
        check(OP, "var", holds!(self.var), channels, Number::F32)?;
        check(OP, "gamma", holds!(self.gamma), channels, Number::F32)?;
        check(OP, "beta", holds!(self.beta), channels, Number::F32)?;
        Ok(channels)
    }

    fn args(&self) -> [Arg<'static>; 5] {
        [
            Arg::Address(self.mean.address()),
            Arg::Address(self.var.address()),
            Arg::Address(self.gamma.address()),
            Arg::Address(self.beta.address()),
            Arg::F32(self.eps),
        ]
    }

    /// `y = relu(γ (x − mean) / √(var + ε) + β + residual)`. `x`, `residual` and `y` are activations `[rows, channels]`.
    ///
    /// # Errors
    /// Operands that do not fit.
    pub fn forward<G: Gpu>(&self, gpu: &G, x: In<'_>, residual: Option<In<'_>>, y: Out<'_>) -> Result<()> {
        let channels = self.check()?;
        let residual_at = residual.map_or(0, |r| r.address());
        let (rows, layout, vector) = lay(x, channels, &[x.address(), residual_at, y.address()])?;
        check(OP, "y", holds!(y), x.len(), x.number())?;
        if let Some(residual) = residual {
            check(OP, "residual", holds!(residual), x.len(), x.number())?;
        }
        let launch = layout.in_turns(MODULE, variant!("norm_forward", x.number(), vector));
        let [mean, var, gamma, beta, eps] = self.args();
        let args = [
            Arg::Address(x.address()),
            Arg::Address(residual_at),
            Arg::Address(y.address()),
            mean,
            var,
            gamma,
            beta,
            eps,
            Arg::U32(self.relu.into()),
            Arg::U32(rows),
            Arg::U32(channels as u32),
        ];
        // SAFETY: the arguments are the kernel's, and every length was checked.
        unsafe { gpu.launch(&launch, &args) }
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
        let channels = self.check()?;
        let (y_at, dx_at) = match &residual {
            Some(Residual { y, dx }) => (y.address(), dx.address()),
            None => (0, grad.address()),
        };
        let (rows, layout, vector) = lay(x, channels, &[x.address(), grad.address(), y_at, dx_at])?;
        check(OP, "grad", holds!(grad), x.len(), x.number())?;
        check(OP, "dgamma", holds!(dgamma), channels, Number::F32)?;
        check(OP, "dbeta", holds!(dbeta), channels, Number::F32)?;
        if let Some(Residual { y, dx }) = &residual {
            check(OP, "residual.y", holds!(y), x.len(), x.number())?;
            check(OP, "residual.dx", holds!(dx), x.len(), x.number())?;
        }
        let partial = sums(gpu, &layout, channels)?;
        let factors = gpu.alloc(2 * channels, Number::F32)?;
        let (partial, factors) = (
            Arg::Address(partial.input().address()),
            Arg::Address(factors.input().address()),
        );
        let (x_at, grad_at) = (Arg::Address(x.address()), Arg::Address(grad.address()));
        let [mean, var, gamma, beta, eps] = self.args();
        let (rows_of, channels_of) = (Arg::U32(rows), Arg::U32(channels as u32));
        // With a residual, the first pass stores the gradient before the ReLU; otherwise each pass recomputes it from x.
        let masked = self.relu && residual.is_none();
        let (kernel, args): (_, &[Arg<'_>]) = match (self.relu, residual.is_some()) {
            (true, true) => (
                variant!("norm_grad_sums_residual", x.number(), vector),
                &[x_at, grad_at, Arg::Address(y_at), mean, rows_of, channels_of, partial],
            ),
            (true, false) => (
                variant!("norm_grad_sums_relu", x.number(), vector),
                &[
                    x_at,
                    grad_at,
                    mean,
                    var,
                    gamma,
                    beta,
                    eps,
                    rows_of,
                    channels_of,
                    partial,
                ],
            ),
            (false, _) => (
                variant!("norm_grad_sums", x.number(), vector),
                &[x_at, grad_at, mean, rows_of, channels_of, partial],
            ),
        };
        // SAFETY: the arguments are the kernel's, and every length was checked; `partial` holds two sums for each block.
        unsafe { gpu.launch(&layout.in_turns(MODULE, kernel), args)? };
        let args = [
            partial,
            Arg::U32(layout.turns() as u32),
            var,
            gamma,
            eps,
            Arg::F32(if batch { 1.0 / rows as f32 } else { 0.0 }),
            channels_of,
            Arg::Address(dgamma.address()),
            Arg::Address(dbeta.address()),
            factors,
        ];
        // SAFETY: as above; `factors` holds two for each channel.
        unsafe { gpu.launch(&finish("norm_grad_finish", channels), &args)? };
        let kernel = match masked {
            true => variant!("norm_input_grad_relu", x.number(), vector),
            false => variant!("norm_input_grad", x.number(), vector),
        };
        let args = [
            x_at,
            grad_at,
            Arg::Address(dx_at),
            mean,
            var,
            gamma,
            beta,
            eps,
            factors,
            rows_of,
            channels_of,
        ];
        // SAFETY: as above.
        unsafe { gpu.launch(&layout.in_turns(MODULE, kernel), &args) }
    }
}

/// The sum of each channel of `x` `[rows, channels]`, to f32 `[channels]`: the gradient of a bias.
///
/// # Errors
/// No rows, or operands that do not fit.
pub fn channel_sums<G: Gpu>(gpu: &G, x: In<'_>, channels: usize, sums: Out<'_>) -> Result<()> {
    let (rows, layout, vector) = lay(x, channels, &[x.address()])?;
    check(OP, "sums", holds!(sums), channels, Number::F32)?;
    let partial = self::sums(gpu, &layout, channels)?;
    let partial = Arg::Address(partial.input().address());
    let launch = layout.in_turns(MODULE, variant!("norm_channel_sums", x.number(), vector));
    let channels_of = Arg::U32(channels as u32);
    // SAFETY: the arguments are the kernel's, and every length was checked; `partial` holds two sums for each block.
    unsafe {
        gpu.launch(
            &launch,
            &[Arg::Address(x.address()), Arg::U32(rows), channels_of, partial],
        )?
    };
    let finish = finish("norm_channel_sums_finish", channels);
    let blocks = Arg::U32(layout.turns() as u32);
    // SAFETY: as above.
    unsafe { gpu.launch(&finish, &[partial, blocks, channels_of, Arg::Address(sums.address())]) }
}
