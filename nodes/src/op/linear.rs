//! The linear layer, `y = x Wᵀ + b`, over the last dimension of a matrix.

use super::conv::{PackCache, Purpose};
use super::taps::Taps;
use crate::kernel::{floats, tensor};
use crate::{Scope, Step};
use anyhow::Result;
use candle_core::Tensor;
use glad_ops::{Conv, Linear, buffer, linear};

/// A linear layer with its weights' names: `W` `[outputs, inputs]` and, if named, `b` `[outputs]`.
pub(crate) struct LinearOp {
    pub inputs: usize,
    pub outputs: usize,
    pub weight: String,
    pub bias: Option<String>,
    packed: PackCache,
}

impl LinearOp {
    pub(crate) fn new(inputs: usize, outputs: usize, weight: String, bias: Option<String>) -> Self {
        LinearOp {
            inputs,
            outputs,
            weight,
            bias,
            packed: PackCache::default(),
        }
    }

    fn shape(&self, rows: usize) -> Linear {
        Linear {
            rows,
            inputs: self.inputs,
            outputs: self.outputs,
        }
    }

    fn as_conv(&self) -> Taps {
        Taps::of(Conv::new_2d(1, [1, 1], self.inputs, self.outputs, 1, 1, 0))
    }

    /// `y` `[rows, outputs]` of `x` `[rows, inputs]`; with `relu`, negative values become 0.
    pub(crate) fn forward(&self, step: &Step<'_>, x: &Tensor, relu: bool) -> Result<Tensor> {
        let scope = &step.weights;
        if !x.device().is_cpu() {
            return self.forward_by_candle(scope, x, relu);
        }
        let rows = x.dim(0)?;
        let mut y = buffer(rows * self.outputs);
        let bias = self.bias.as_ref().map(|b| scope.value(b)).transpose()?;
        let bias = bias.map(floats).transpose()?;
        let x_values = floats(x)?;
        let (shape, bias) = (self.shape(rows), bias.as_deref());
        if !step.training && shape.packs() {
            self.packed
                .with(scope, &self.weight, &self.as_conv(), Purpose::Evaluation, |packed| {
                    Ok(shape.forward_packed(&x_values, packed, bias, relu, &mut y)?)
                })?;
        } else {
            shape.forward(&x_values, &floats(scope.value(&self.weight)?)?, bias, relu, &mut y)?;
        }
        tensor(y, (rows, self.outputs), x.device())
    }

    /// Adds the gradients of the weights to `scope`, and returns that of `x` if `want`.
    pub(crate) fn backward(
        &self,
        scope: &mut Scope<'_>,
        x: &Tensor,
        dy: &Tensor,
        want: bool,
    ) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        if !x.device().is_cpu() {
            return self.backward_by_candle(scope, x, &dy, want);
        }
        let rows = x.dim(0)?;
        let shape = self.shape(rows);
        if scope.trains(&self.weight) {
            let mut dw = buffer(self.outputs * self.inputs);
            shape.backward_weight(&floats(x)?, &floats(&dy)?, &mut dw)?;
            scope.add_grad(&self.weight, tensor(dw, (self.outputs, self.inputs), x.device())?)?;
        }
        if let Some(bias) = self.bias.as_ref().filter(|b| scope.trains(b)) {
            let mut db = buffer(self.outputs);
            shape.backward_bias(&floats(&dy)?, &mut db)?;
            scope.add_grad(bias, tensor(db, self.outputs, x.device())?)?;
        }
        if !want {
            return Ok(None);
        }
        let mut dx = buffer(rows * self.inputs);
        shape.backward_input(&floats(&dy)?, &floats(scope.value(&self.weight)?)?, &mut dx)?;
        Ok(Some(tensor(dx, (rows, self.inputs), x.device())?))
    }

    /// On other devices: their libraries multiply matrices well, and heads are small.
    fn forward_by_candle(&self, scope: &Scope<'_>, x: &Tensor, relu: bool) -> Result<Tensor> {
        let mut y = x.matmul(&scope.value(&self.weight)?.t()?)?;
        if let Some(bias) = &self.bias {
            y = y.broadcast_add(scope.value(bias)?)?;
        }
        Ok(if relu { y.relu()? } else { y })
    }

    fn backward_by_candle(&self, scope: &mut Scope<'_>, x: &Tensor, dy: &Tensor, want: bool) -> Result<Option<Tensor>> {
        if scope.trains(&self.weight) {
            scope.add_grad(&self.weight, dy.t()?.matmul(x)?)?;
        }
        if let Some(bias) = self.bias.as_ref().filter(|b| scope.trains(b)) {
            scope.add_grad(bias, dy.sum(0)?)?;
        }
        if !want {
            return Ok(None);
        }
        Ok(Some(dy.matmul(scope.value(&self.weight)?)?))
    }

    /// Multiply-adds for `rows` rows.
    pub(crate) fn macs(&self, rows: usize) -> u64 {
        (rows * self.inputs * self.outputs) as u64
    }
}

/// `a bᵀ` of `[n, k]` and `[m, k]`.
pub(crate) fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    if !a.device().is_cpu() {
        return Ok(a.matmul(&b.t()?)?);
    }
    let ((n, k), m) = (a.dims2()?, b.dim(0)?);
    let shape = linear::Linear {
        rows: n,
        inputs: k,
        outputs: m,
    };
    let mut y = buffer(n * m);
    shape.forward(&floats(&a)?, &floats(&b)?, None, false, &mut y)?;
    tensor(y, (n, m), a.device())
}
