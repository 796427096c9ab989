//! Convolution → batch norm (→ + residual) (→ ReLU): the unit that residual networks are made of.

use super::counter::Counter;
use super::sequence::Part;
use crate::op::batch_norm::{self, Norm, update_running};
use crate::op::conv::ConvOp;
use crate::op::types::{Affine, Dx, Stats};
use crate::{Init, Role, Saved, Step, WeightSpec, kept};
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
    norm: Norm,
    /// The initial γ.
    gamma: f32,
}

/// What a backward pass needs from a forward pass, besides the input.
pub(crate) struct Kept {
    /// The convolution's output.
    y: Tensor,
    stats: Stats,
    /// Whether the statistics are those of this batch.
    batch: bool,
    /// The unit's output, if a residual was added.
    out: Option<Tensor>,
}

impl ConvBn {
    /// A 2-D unit of a square kernel, padded so that a stride of 1 keeps the size.
    pub(super) fn flat(name: &str, ci: usize, co: usize, kernel: usize, stride: usize, relu: bool) -> ConvBn {
        let shape = Conv::new_2d(1, [1, 1], ci, co, kernel, stride, kernel / 2);
        ConvBn {
            flat: true,
            ..ConvBn::solid(name, shape, relu)
        }
    }

    /// A 3-D unit.
    pub(super) fn solid(name: &str, shape: Conv, relu: bool) -> ConvBn {
        ConvBn {
            conv: ConvOp::new(shape, format!("{name}.conv.weight")),
            bn: format!("{name}.bn"),
            relu,
            flat: false,
            norm: Norm::TORCH,
            gamma: 1.0,
        }
    }

    /// With γ initially zero: the unit then outputs only its residual.
    pub(super) fn silent(self) -> ConvBn {
        ConvBn { gamma: 0.0, ..self }
    }

    /// The unit of Inception-v1: a convolution named `conv3d` with "same" padding, and other constants of the norm.
    pub(super) fn inception(name: &str, ci: usize, co: usize, kernel: usize, stride: usize) -> ConvBn {
        let shape = Conv::new_3d(1, [1; 3], ci, co, [kernel; 3], [stride; 3], [kernel / 2; 3]);
        let mut unit = ConvBn::solid(name, shape, true);
        unit.conv.weight = format!("{name}.conv3d.weight");
        unit.conv.same = true;
        unit.norm = Norm {
            eps: 1e-3,
            momentum: 0.01,
        };
        unit
    }

    /// The convolution's shape; its samples and input size have no meaning.
    pub(super) fn shape(&self) -> &Conv {
        &self.conv.shape
    }

    /// The convolution's shape on `n` samples of this size.
    pub(super) fn on(&self, n: usize, input: [usize; 3]) -> Conv {
        self.conv.on(n, input)
    }

    fn name(&self, what: &str) -> String {
        format!("{}.{what}", self.bn)
    }

    pub(super) fn weights(&self) -> Vec<WeightSpec> {
        let s = &self.conv.shape;
        let mut shape = vec![s.co, s.ci / s.groups];
        shape.extend_from_slice(if self.flat { &s.kernel[1..] } else { &s.kernel });
        let fan_out = s.co / s.groups * s.taps();
        let norm = |what: &str, v: f32, role| WeightSpec::new(self.name(what), &[s.co], Init::Constant(v), role);
        vec![
            WeightSpec::new(&self.conv.weight, &shape, Init::he(fan_out), Role::Weight),
            norm("weight", self.gamma, Role::Norm),
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

    /// The output for `x` `[N, T, H, W, ci]`. In training the statistics are the batch's, and update the running ones.
    pub(super) fn forward(&self, step: &mut Step<'_>, x: &Tensor, residual: Option<&Tensor>) -> Result<(Tensor, Kept)> {
        let (running, [gamma, beta]) = self.stored(step)?;
        let (y, found) = self.conv.forward(step, x, step.training)?;
        let stats = match found {
            Some(batch) => {
                if !step.again {
                    let rows = y.elem_count() / self.conv.shape.co;
                    let momentum = step.average.map_or(self.norm.momentum, |share| share as f32);
                    update_running(&running, &batch, rows, momentum)?;
                    step.weights.changed(&self.name("running_mean"))?;
                    step.weights.changed(&self.name("running_var"))?;
                }
                batch
            }
            None => running,
        };
        let out = batch_norm::forward(&y, &stats, &self.affine(&gamma, &beta), residual, self.relu)?;
        let kept = Kept {
            y,
            stats,
            batch: step.training,
            out: residual.map(|_| out.clone()),
        };
        Ok((out, kept))
    }

    fn affine<'a>(&self, gamma: &'a Tensor, beta: &'a Tensor) -> Affine<'a> {
        Affine {
            gamma,
            beta,
            eps: self.norm.eps,
        }
    }

    /// Recomputes the output of a pass without a residual: one pass over memory, while keeping it would take as much
    /// memory as the convolution's output.
    pub(super) fn output_again(&self, step: &Step<'_>, kept: &Kept) -> Result<Tensor> {
        let (_, [gamma, beta]) = self.stored(step)?;
        batch_norm::forward(&kept.y, &kept.stats, &self.affine(&gamma, &beta), None, self.relu)
    }

    /// Adds the gradients of the weights; returns those of `x` (see [`Dx`]) and of the residual. Takes `dout` by unique
    /// ownership and overwrites it.
    pub(super) fn backward(
        &self,
        step: &mut Step<'_>,
        kept: Kept,
        x: &Tensor,
        dout: Tensor,
        dx: Dx<'_>,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (_, [gamma, beta]) = self.stored(step)?;
        let Kept { y, stats, batch, out } = kept;
        let affine = self.affine(&gamma, &beta);
        let grads = batch_norm::backward(batch, &y, dout, &stats, &affine, out.as_ref(), self.relu)?;
        drop((y, out));
        for (what, grad) in [("weight", grads.gamma), ("bias", grads.beta)] {
            let name = self.name(what);
            if step.weights.trains(&name) {
                step.weights.add_grad(&name, grad)?;
            }
        }
        let dx = self.conv.backward(step, x, &grads.x, dx)?;
        Ok((dx, grads.residual))
    }

    /// A unit keeps its convolution's output.
    pub(crate) fn count_unit(&self, count: &mut Counter) {
        let shape = self.on(count.samples, count.size);
        count.conv(&shape);
        count.size = shape.output();
        count.channels = shape.co;
        count.keep(shape.output_len());
    }
}

impl Part for ConvBn {
    fn weights(&self) -> Vec<WeightSpec> {
        ConvBn::weights(self)
    }

    fn forward(&self, step: &mut Step<'_>, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (y, kept) = ConvBn::forward(self, step, x, None)?;
        Ok((y, Box::new((x.clone(), kept))))
    }

    fn backward(&self, step: &mut Step<'_>, saved: Saved, grad: Tensor, dx: bool) -> Result<Option<Tensor>> {
        let dx = if dx { Dx::New } else { Dx::Unwanted };
        let (x, kept) = *kept::<(Tensor, Kept)>(saved)?;
        Ok(ConvBn::backward(self, step, kept, &x, grad, dx)?.0)
    }

    fn count(&self, count: &mut Counter) {
        count.own.input = true;
        self.count_unit(count);
    }
}
