//! Losses and their gradients in one call, as [`glad_ops::loss`] has them: softmax cross-entropy and binary cross-entropy with
//! logits.
//!
//! The mean is `Σ weight · loss / Σ weight`, zero if no row counts, to f32 `[1]`. Invalid values that only the device sees
//! (a label that is no class, a target outside `[0, 1]`, a weight that is negative or not finite) make it NaN.

use crate::launch::{THREADS, WARP, check, check_floats, check_len, check_number, holds, line, shape};
use crate::{Arg, Gpu, In, Launch, Memory, Number, Out, Result};

const MODULE: &str = "loss";
/// Warps of a block.
const WARPS: usize = THREADS / WARP;
/// Maximum number of blocks: heads are small.
const BLOCKS: usize = 128;

/// A mean of losses, per block and then in total.
struct Mean<M> {
    op: &'static str,
    blocks: usize,
    partial: M,
    rows: Arg<'static>,
    weights: Arg<'static>,
    grad: Arg<'static>,
}

impl<M: Memory> Mean<M> {
    /// The mean over `rows`, of which a block takes `together` at a time.
    #[allow(clippy::too_many_arguments, reason = "what both losses have in common")]
    fn new<G: Gpu<Memory = M>>(
        op: &'static str,
        gpu: &G,
        rows: usize,
        together: usize,
        logits: In<'_>,
        weights: Option<In<'_>>,
        loss: &Out<'_>,
        grad: Option<&Out<'_>>,
    ) -> Result<Self> {
        check_floats(op, "logits", logits.number())?;
        check(op, "loss", holds!(loss), 1, Number::F32)?;
        if let Some(weights) = weights {
            check(op, "weights", holds!(weights), rows, Number::F32)?;
        }
        if let Some(grad) = grad {
            check(op, "grad", holds!(grad), logits.len(), logits.number())?;
        }
        let blocks = rows.div_ceil(together).min(BLOCKS);
        let count = u32::try_from(rows).ok().filter(|rows| *rows <= 1 << 31);
        Ok(Mean {
            op,
            blocks,
            // A sum is of 64 bits: two words.
            partial: gpu.alloc(2 * blocks, Number::U32)?,
            rows: Arg::U32(count.ok_or_else(|| shape(op, format!("{rows} rows are more than 2³¹")))?),
            weights: Arg::Address(weights.map_or(0, |w| w.address())),
            grad: Arg::Address(grad.map_or(0, Out::address)),
        })
    }

    fn partial(&self) -> Arg<'static> {
        Arg::Address(self.partial.input().address())
    }

    /// Launches the kernel of a loss, and then the one that adds up the blocks' sums.
    ///
    /// # Safety
    /// As [`Gpu::launch`].
    unsafe fn run<G: Gpu>(self, gpu: &G, kernel: &'static str, args: &[Arg<'_>], loss: &Out<'_>) -> Result<()> {
        if self.blocks > 0 {
            let launch = Launch {
                grid: [self.blocks as u32, 1, 1],
                ..line(self.op, MODULE, kernel, THREADS)?
            };
            // SAFETY: the caller's promise.
            unsafe { gpu.launch(&launch, args)? };
        }
        let args = [
            self.partial(),
            Arg::U32(self.blocks as u32),
            self.weights,
            self.rows,
            Arg::Address(loss.address()),
        ];
        // SAFETY: the arguments are the kernel's, and their lengths were checked when `self` was made.
        unsafe { gpu.launch(&line(self.op, MODULE, "loss_finish", THREADS)?, &args) }
    }
}

/// Cross-entropy of the softmax of `logits` `[rows, classes]`, f32 or bf16, with u32 `labels` `[rows]`, with label smoothing
/// ε: `(1 − ε) · −log p[label] + ε / classes · Σ −log p`, as in PyTorch. f32 `weights` `[rows]` (usually a mask) sets how
/// much each row counts; the label of a row of weight zero is ignored. `grad`, of the logits' type and length, receives
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
    const OP: &str = "cross-entropy";
    let rows = labels.len();
    if classes == 0 {
        return Err(shape(OP, "the number of classes is zero"));
    }
    check_number(OP, "labels", labels.number(), Number::U32)?;
    check_len(OP, "logits", logits.len(), rows * classes)?;
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(shape(OP, format!("a label smoothing of {smoothing} is not in [0, 1]")));
    }
    let mean = Mean::new(OP, gpu, rows, WARPS, logits, weights, &loss, grad.as_ref())?;
    let kernel = match logits.number() {
        Number::Bf16 => "loss_cross_entropy_bf16",
        _ => "loss_cross_entropy_f32",
    };
    let args = [
        Arg::Address(logits.address()),
        Arg::Address(labels.address()),
        mean.weights,
        mean.rows,
        Arg::U32(u32::try_from(classes).map_err(|_| shape(OP, format!("{classes} classes are too many")))?),
        Arg::F32(smoothing),
        mean.grad,
        mean.partial(),
    ];
    // SAFETY: the arguments are the kernel's, and every length was checked; `partial` holds a sum for each block.
    unsafe { mean.run(gpu, kernel, &args, &loss) }
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
    const OP: &str = "binary cross-entropy";
    let rows = logits.len();
    check(OP, "targets", holds!(targets), rows, Number::F32)?;
    let mean = Mean::new(OP, gpu, rows, THREADS, logits, weights, &loss, grad.as_ref())?;
    let kernel = match logits.number() {
        Number::Bf16 => "loss_bce_with_logits_bf16",
        _ => "loss_bce_with_logits_f32",
    };
    let args = [
        Arg::Address(logits.address()),
        Arg::Address(targets.address()),
        mean.weights,
        mean.rows,
        mean.grad,
        mean.partial(),
    ];
    // SAFETY: the arguments are the kernel's, and every length was checked; `partial` holds a sum for each block.
    unsafe { mean.run(gpu, kernel, &args, &loss) }
}
