//! Convolution on a GPU: cuDNN's, on channels-last weights.

use super::{Gpu, batch_norm};
use crate::op::conv::ConvOp;
use crate::op::types::{Dx, Stats};
use crate::{Precision, Scope, Step};
use anyhow::{Result, anyhow};
use candle_core::{DType, Tensor, TensorId};
use glad_cuda::driver::conv::{self, Precision as Factors};
use glad_cuda::layout::{self, Filters};
use glad_cuda::{In, Memory, norm, pointwise};
use glad_ops::Conv;
use std::sync::Mutex;

/// Channels-last weights in the type of the activations. They are kept until the weights change: both passes of
/// a step use the same.
#[derive(Default)]
pub(crate) struct FilterCache(Mutex<Option<Kept>>);

struct Kept {
    of: (u64, TensorId, DType),
    filters: Tensor,
}

impl FilterCache {
    /// Runs `body` with the filters of the weight `name` for activations of type `ty`.
    fn with<R>(
        &self,
        gpu: &Gpu,
        scope: &Scope<'_>,
        name: &str,
        shape: &Conv,
        ty: DType,
        body: impl FnOnce(In<'_>) -> Result<R>,
    ) -> Result<R> {
        let value = scope.value(name)?;
        let of = (scope.version(name)?, value.id(), ty);
        let make = || -> Result<Tensor> {
            let filters = Filters::of(shape);
            let mut made = gpu.fresh(filters.padded_len(), ty)?;
            layout::channels_last(&gpu.cuda, &filters, gpu.lend(value)?.input()?, made.output())?;
            Ok(gpu.tensor(made, filters.padded_len()))
        };
        if gpu.is_recording() {
            // Recomputed in each pass: when a recording runs, the weights have changed.
            let filters = make()?;
            return body(gpu.lend(&filters)?.input()?);
        }
        let mut cache = self
            .0
            .lock()
            .map_err(|_| anyhow!("an earlier call with `{name}` failed"))?;
        if cache.as_ref().is_none_or(|kept| kept.of != of) {
            *cache = None;
            *cache = Some(Kept { of, filters: make()? });
        }
        match &*cache {
            Some(kept) => body(gpu.lend(&kept.filters)?.input()?),
            None => Err(anyhow!("there are no filters of `{name}`")),
        }
    }
}

/// The precision of the products.
fn factors(step: &Step<'_>, ty: DType) -> Factors {
    match (ty, step.precision) {
        (DType::BF16, _) => Factors::Bf16,
        (_, Precision::Tf32) => Factors::Tf32,
        _ => Factors::F32,
    }
}

fn shape_of(op: &ConvOp, x: &Tensor) -> Result<Conv> {
    let (n, t, h, w, _) = x.dims5()?;
    Ok(op.on(n, [t, h, w]))
}

pub(crate) fn forward(
    gpu: &Gpu,
    op: &ConvOp,
    step: &Step<'_>,
    x: &Tensor,
    stats: bool,
) -> Result<(Tensor, Option<Stats>)> {
    let scope = &step.weights;
    let shape = shape_of(op, x)?;
    let ty = x.dtype();
    let mut y = gpu.fresh(shape.output_len(), ty)?;
    let values = gpu.lend(x)?;
    op.filters.with(gpu, scope, &op.weight, &shape, ty, |filters| {
        let (x, y) = (values.input()?, y.output());
        Ok(conv::forward(&gpu.cuda, &shape, factors(step, ty), x, filters, y)?)
    })?;
    if let Some(bias) = &op.bias {
        let bias = gpu.lend(scope.value(bias)?)?;
        pointwise::bias(&gpu.cuda, shape.co, bias.input()?, y.output())?;
    }
    let [t, h, w] = shape.output();
    let y = gpu.tensor(y, (shape.n, t, h, w, shape.co));
    let stats = stats.then(|| batch_norm::moments(gpu, &y, shape.co)).transpose()?;
    Ok((y, stats))
}

pub(crate) fn backward(
    gpu: &Gpu,
    op: &ConvOp,
    step: &mut Step<'_>,
    x: &Tensor,
    dy: &Tensor,
    dx: Dx<'_>,
) -> Result<Option<Tensor>> {
    let shape = shape_of(op, x)?;
    let ty = x.dtype();
    let factors = factors(step, ty);
    let dy = gpu.lend(dy)?;
    let scope = &mut step.weights;
    if scope.trains(&op.weight) {
        let filters = Filters::of(&shape);
        let mut dw = gpu.fresh(filters.padded_len(), ty)?;
        conv::backward_weight(
            &gpu.cuda,
            &shape,
            factors,
            gpu.lend(x)?.input()?,
            dy.input()?,
            dw.output(),
        )?;
        let mut grad = gpu.fresh(filters.len(), DType::F32)?;
        layout::channels_first(&gpu.cuda, &filters, dw.input(), grad.output())?;
        let dims = scope.value(&op.weight)?.dims().to_vec();
        scope.add_grad(&op.weight, gpu.tensor(grad, dims))?;
    }
    if let Some(bias) = op.bias.as_ref().filter(|b| scope.trains(b)) {
        let mut db = gpu.fresh(shape.co, DType::F32)?;
        norm::channel_sums(&gpu.cuda, dy.input()?, shape.co, db.output())?;
        scope.add_grad(bias, gpu.tensor(db, shape.co))?;
    }
    match dx {
        Dx::Unwanted => Ok(None),
        Dx::New => {
            let mut out = gpu.fresh(shape.input_len(), ty)?;
            op.filters.with(gpu, scope, &op.weight, &shape, ty, |filters| {
                let (dy, dx) = (dy.input()?, out.output());
                Ok(conv::backward_input(
                    &gpu.cuda, &shape, factors, dy, filters, dx, false,
                )?)
            })?;
            Ok(Some(gpu.tensor(out, x.shape())))
        }
        Dx::AddTo(sum) => {
            op.filters.with(gpu, scope, &op.weight, &shape, ty, |filters| {
                gpu.change(sum, |dx| {
                    let dy = dy.input()?;
                    Ok(conv::backward_input(&gpu.cuda, &shape, factors, dy, filters, dx, true)?)
                })
            })?;
            Ok(None)
        }
    }
}
