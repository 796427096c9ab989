//! Convolution in two and three dimensions, channels-last: activations are `[N, T, H, W, C]`, 2-D is `T = 1`.

use super::taps::{Taps, same_padding};
use super::types::{Dx, Stats};
use crate::kernel::{change, floats, tensor};
use crate::{Scope, Step};
use anyhow::{Result, anyhow};
use candle_core::{Tensor, TensorId};
use glad_ops::{Conv, Epilogue, Moments, PackedWeights, buffer, conv, norm};
use std::sync::Mutex;

/// Weights in the kernels' own order. For evaluation, where they do not change between batches, they are kept; in
/// training they are packed for each pass and dropped, because otherwise there would be three copies of each.
#[derive(Default)]
pub(crate) struct PackCache(Mutex<Option<Packed>>);

struct Packed {
    of: (u64, TensorId),
    conv: Conv,
    weights: PackedWeights,
}

/// The purpose that weights are packed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A forward pass of evaluation.
    Evaluation,
    /// A forward pass of training.
    Forward,
    /// The gradient of the input.
    Backward,
}

impl Purpose {
    /// The purpose of a forward pass.
    pub(crate) fn forward(step: &Step<'_>) -> Purpose {
        if step.training {
            Purpose::Forward
        } else {
            Purpose::Evaluation
        }
    }
}

impl PackCache {
    /// Runs `body` with the packed value of the weight `name`.
    pub(crate) fn with<R>(
        &self,
        scope: &Scope<'_>,
        name: &str,
        taps: &Taps,
        purpose: Purpose,
        body: impl FnOnce(&PackedWeights) -> Result<R>,
    ) -> Result<R> {
        let shape = &taps.conv;
        let value = scope.value(name)?;
        // A weight may be replaced (reset, resumed) or changed in place.
        let of = (scope.version(name)?, value.id());
        let mut cache = self
            .0
            .lock()
            .map_err(|_| anyhow!("an earlier call with `{name}` failed"))?;
        let fits = |p: &Packed| p.of == of && p.conv.same_weights(shape) && p.weights.isa() == glad_ops::isa::current();
        if let Some(p) = cache.as_ref().filter(|p| purpose == Purpose::Evaluation && fits(p)) {
            return body(&p.weights);
        }
        *cache = None;
        let values = floats(value)?;
        let weights = PackedWeights::part(shape, taps.source(), purpose == Purpose::Backward, &values)?;
        let result = body(&weights);
        if purpose == Purpose::Evaluation {
            *cache = Some(Packed {
                of,
                conv: *shape,
                weights,
            });
        }
        result
    }
}

/// A convolution, with the name of its weight `[co, ci / groups, kt, kh, kw]` (2-D: `[co, ci, kh, kw]`).
pub(crate) struct ConvOp {
    /// The shape; its samples and input size are those of the call.
    pub shape: Conv,
    /// The weight's name below the node.
    pub weight: String,
    /// The bias's name, if there is one.
    pub bias: Option<String>,
    /// Whether padding is TensorFlow's "same", which depends on the input's size.
    pub same: bool,
    packed: PackCache,
    #[cfg(feature = "cuda")]
    pub(super) filters: super::gpu::conv::FilterCache,
}

impl ConvOp {
    pub(crate) fn new(shape: Conv, weight: String) -> Self {
        ConvOp {
            shape,
            weight,
            bias: None,
            same: false,
            packed: PackCache::default(),
            #[cfg(feature = "cuda")]
            filters: Default::default(),
        }
    }

    /// The shape on `n` samples of this size.
    pub(crate) fn on(&self, n: usize, input: [usize; 3]) -> Conv {
        let mut shape = self.shape.on(n, input);
        if self.same {
            (shape.pad, shape.pad_end) = same_padding(input, shape.kernel, shape.stride);
        }
        shape
    }

    fn taps(&self, x: &Tensor) -> Result<Taps> {
        let (n, t, h, w, _) = x.dims5()?;
        Ok(Taps::of(self.on(n, [t, h, w])))
    }

    /// The output, and its statistics if `stats`.
    pub(crate) fn forward(&self, step: &Step<'_>, x: &Tensor, stats: bool) -> Result<(Tensor, Option<Stats>)> {
        on_gpu!(x, gpu => super::gpu::conv::forward(gpu, self, step, x, stats));
        let (scope, purpose) = (&step.weights, Purpose::forward(step));
        let taps = self.taps(x)?;
        let shape = &taps.conv;
        let (mut mean, mut var) = (buffer(shape.co), buffer(shape.co));
        let mut y = buffer(shape.output_len());
        let bias = self.bias.as_ref().map(|b| scope.value(b)).transpose()?;
        let bias = bias.map(floats).transpose()?;
        let epilogue = Epilogue {
            moments: stats.then_some(Moments {
                mean: &mut mean,
                var: &mut var,
            }),
            bias: bias.as_deref(),
            ..Epilogue::default()
        };
        let values = floats(x)?;
        self.packed.with(scope, &self.weight, &taps, purpose, |packed| {
            Ok(conv::forward(shape, &values, packed, epilogue, &mut y)?)
        })?;
        let [t, h, w] = shape.output();
        let device = x.device();
        let y = tensor(y, (shape.n, t, h, w, shape.co), device)?;
        let stats = match stats {
            true => Some(Stats {
                mean: tensor(mean, shape.co, device)?,
                var: tensor(var, shape.co, device)?,
            }),
            false => None,
        };
        Ok((y, stats))
    }

    /// Adds the gradients of weight and bias, and returns that of the input (`None` if it was added elsewhere).
    pub(crate) fn backward(&self, step: &mut Step<'_>, x: &Tensor, dy: &Tensor, dx: Dx<'_>) -> Result<Option<Tensor>> {
        on_gpu!(x, gpu => super::gpu::conv::backward(gpu, self, step, x, dy, dx));
        let scope = &mut step.weights;
        let taps = self.taps(x)?;
        let shape = &taps.conv;
        let dy_values = floats(dy)?;
        if scope.trains(&self.weight) {
            let mut dw = buffer(shape.weight_len());
            conv::backward_weight(shape, &floats(x)?, &dy_values, &mut dw)?;
            let dims = scope.value(&self.weight)?.dims().to_vec();
            scope.add_grad(&self.weight, tensor(taps.place(dw)?, dims, x.device())?)?;
        }
        if let Some(bias) = self.bias.as_ref().filter(|b| scope.trains(b)) {
            let mut db = buffer(shape.co);
            norm::channel_sums(&dy_values, shape.co, &mut db)?;
            scope.add_grad(bias, tensor(db, shape.co, x.device())?)?;
        }
        match dx {
            Dx::Unwanted => Ok(None),
            Dx::New => {
                let mut out = buffer(shape.input_len());
                self.packed
                    .with(scope, &self.weight, &taps, Purpose::Backward, |packed| {
                        Ok(conv::backward_input(shape, &dy_values, packed, false, &mut out)?)
                    })?;
                Ok(Some(tensor(out, x.shape(), x.device())?))
            }
            Dx::AddTo(sum) => {
                self.packed
                    .with(scope, &self.weight, &taps, Purpose::Backward, |packed| {
                        change(sum, |out| {
                            Ok(conv::backward_input(shape, &dy_values, packed, true, out)?)
                        })
                    })?;
                Ok(None)
            }
        }
    }
}
