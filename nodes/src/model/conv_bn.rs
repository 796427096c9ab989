//! Convolution → batch norm (→ + residual) (→ ReLU): the unit that residual networks are made of.

use crate::op::batch_norm::{self, Affine, update_running};
use crate::op::conv::{ConvOp, Dx, Stats};
use crate::{Init, Role, Step, WeightSpec};
use anyhow::Result;
use candle_core::Tensor;
use glad_ops::Conv;

/// A convolution without bias and its batch norm. Weights are named as in mmaction: `{name}.conv.weight`,
/// `{name}.bn.weight`, `.bias`, `.running_mean`, `.running_var`.
pub(crate) struct ConvBn {
    conv: ConvOp,
    bn: String,
    relu: bool,
    /// Whether the convolution's weight has no time axis: `[co, ci, kh, kw]`.
    flat: bool,
}

/// What a backward pass needs of a forward pass.
pub(crate) struct Kept {
    x: Tensor,
    /// The convolution's output.
    y: Tensor,
    stats: Stats,
    /// Whether the statistics are those of this batch.
    batch: bool,
    /// The unit's output, where a residual was added.
    out: Option<Tensor>,
}

impl ConvBn {
    /// A 2-D unit of a square kernel, padded so that a stride of 1 keeps the size.
    pub fn flat(name: &str, ci: usize, co: usize, kernel: usize, stride: usize, relu: bool) -> ConvBn {
        let shape = Conv::new_2d(1, [1, 1], ci, co, kernel, stride, kernel / 2);
        ConvBn {
            conv: ConvOp::new(shape, format!("{name}.conv.weight")),
            bn: format!("{name}.bn"),
            relu,
            flat: true,
        }
    }

    /// The convolution's shape; its samples and input size mean nothing.
    pub fn shape(&self) -> &Conv {
        &self.conv.shape
    }

    fn name(&self, what: &str) -> String {
        format!("{}.{what}", self.bn)
    }

    pub fn weights(&self) -> Vec<WeightSpec> {
        let s = &self.conv.shape;
        let mut shape = vec![s.co, s.ci / s.groups];
        shape.extend_from_slice(if self.flat { &s.kernel[1..] } else { &s.kernel });
        let fan_out = s.co / s.groups * s.taps();
        let norm = |what: &str, v: f32, role| WeightSpec::new(self.name(what), &[s.co], Init::Constant(v), role);
        vec![
            WeightSpec::new(&self.conv.weight, &shape, Init::he(fan_out), Role::Weight),
            norm("weight", 1.0, Role::Norm),
            norm("bias", 0.0, Role::Norm),
            norm("running_mean", 0.0, Role::Buffer),
            norm("running_var", 1.0, Role::Buffer),
        ]
    }

    fn stored(&self, step: &Step<'_>) -> Result<(Stats, [Tensor; 2])> {
        let value = |what| step.weights.value(&self.name(what)).cloned();
        let running = Stats {
            mean: value("running_mean")?,
            var: value("running_var")?,
        };
        Ok((running, [value("weight")?, value("bias")?]))
    }

    /// The output for `x` `[N, T, H, W, ci]`. In training the statistics are the batch's, and move the running ones.
    /// `dx`: a gradient of `x` will be asked for.
    pub fn forward(
        &self,
        step: &mut Step<'_>,
        x: &Tensor,
        residual: Option<&Tensor>,
        dx: bool,
    ) -> Result<(Tensor, Kept)> {
        let (running, [gamma, beta]) = self.stored(step)?;
        let (y, found) = self
            .conv
            .forward(&step.weights, x, dx && step.backward, step.training)?;
        let stats = match found {
            Some(batch) => {
                let rows = y.elem_count() / self.conv.shape.co;
                let moved = update_running(&running, &batch, rows)?;
                step.weights.set_buffer(&self.name("running_mean"), moved.mean)?;
                step.weights.set_buffer(&self.name("running_var"), moved.var)?;
                batch
            }
            None => running,
        };
        let affine = Affine {
            gamma: &gamma,
            beta: &beta,
        };
        let out = batch_norm::forward(&y, &stats, &affine, residual, self.relu)?;
        let kept = Kept {
            x: x.clone(),
            y,
            stats,
            batch: step.training,
            out: residual.map(|_| out.clone()),
        };
        Ok((out, kept))
    }

    /// Adds the gradients of the weights; gives those of `x` (see [`Dx`]) and of the residual.
    pub fn backward(
        &self,
        step: &mut Step<'_>,
        kept: Kept,
        dout: &Tensor,
        dx: Dx<'_>,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (_, [gamma, beta]) = self.stored(step)?;
        let affine = Affine {
            gamma: &gamma,
            beta: &beta,
        };
        let Kept {
            x,
            y,
            stats,
            batch,
            out,
        } = kept;
        let grads = batch_norm::backward(batch, &y, dout, &stats, &affine, out.as_ref(), self.relu)?;
        drop((y, out));
        for (what, grad) in [("weight", grads.gamma), ("bias", grads.beta)] {
            let name = self.name(what);
            if step.weights.trains(&name) {
                step.weights.add_grad(&name, grad)?;
            }
        }
        let dx = self.conv.backward(&mut step.weights, &x, &grads.x, dx)?;
        Ok((dx, grads.residual))
    }
}
