//! What recording needs from a GPU: tensors that stay in place, and ways to write to them.

use super::Gpu;
use anyhow::Result;
use candle_core::{DType, Shape, Tensor};
use glad_cuda::driver::Recorded;
use glad_cuda::{Memory, Value, pointwise};

impl Gpu {
    /// Captures the GPU work of `body` in a CUDA graph, without running it. Memory that the pool keeps is released first, because
    /// recordings cannot use it; this waits for the device.
    ///
    /// # Errors
    /// Those of `body`, or the driver fails.
    pub(crate) fn record<R>(&self, body: impl FnOnce() -> Result<R>) -> Result<(Recorded, R)> {
        self.cuda.release_kept()?;
        self.cuda.record(body)
    }

    /// Whether GPU work is being captured.
    pub(crate) fn is_recording(&self) -> bool {
        self.cuda.is_recording()
    }

    /// A tensor with arbitrary contents.
    pub(crate) fn room(&self, shape: impl Into<Shape>, ty: DType) -> Result<Tensor> {
        let shape = shape.into();
        Ok(self.tensor(self.fresh(shape.elem_count(), ty)?, shape))
    }

    /// A copy of a tensor.
    pub(crate) fn copied(&self, tensor: &Tensor) -> Result<Tensor> {
        let mut copy = self.fresh(tensor.elem_count(), tensor.dtype())?;
        pointwise::cast(&self.cuda, self.lend(tensor)?.input()?, copy.output())?;
        Ok(self.tensor(copy, tensor.shape()))
    }

    /// Writes the values of a tensor into another, each f32 or bf16.
    pub(crate) fn copy_into(&self, from: &Tensor, to: &Tensor) -> Result<()> {
        let from = self.lend(from)?;
        self.change(to, |to| Ok(pointwise::cast(&self.cuda, from.input()?, to)?))
    }

    /// Fills a tensor with this multiple of another of its shape.
    pub(crate) fn set(&self, to: &Tensor, factor: f32, of: &Tensor) -> Result<()> {
        let of = self.lend(of)?;
        self.change(to, |to| {
            Ok(pointwise::scale(&self.cuda, Value::Host(factor), of.input()?, to)?)
        })
    }

    /// `sum += x` if the value of the tensor `add` is not 0, else `sum = x`.
    pub(crate) fn accumulate(&self, add: &Tensor, x: &Tensor, sum: &Tensor) -> Result<()> {
        let (add, x) = (self.lend(add)?, self.lend(x)?);
        self.change(sum, |sum| {
            Ok(pointwise::accumulate(&self.cuda, add.input()?, x.input()?, sum)?)
        })
    }
}
