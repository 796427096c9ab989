//! What recording needs of a GPU: tensors that stay where they are, and ways into them.

use super::Gpu;
use anyhow::Result;
use candle_core::{DType, Shape, Tensor};
use glad_cuda::driver::Recorded;
use glad_cuda::{Memory, Value, pointwise};

impl Gpu {
    /// Records what `body` asks of the GPU, and does none of it. The memory that is kept for tensors is given back before, since
    /// recordings cannot use it; this waits for the device.
    ///
    /// # Errors
    /// Those of `body`, or the driver refuses.
    pub fn record<R>(&self, body: impl FnOnce() -> Result<R>) -> Result<(Recorded, R)> {
        self.card.release_kept()?;
        self.card.record(body)
    }

    /// Whether a recording is being made.
    pub fn is_recording(&self) -> bool {
        self.card.is_recording()
    }

    /// A tensor that holds anything.
    pub fn room(&self, shape: impl Into<Shape>, ty: DType) -> Result<Tensor> {
        let shape = shape.into();
        Ok(self.tensor(self.fresh(shape.elem_count(), ty)?, shape))
    }

    /// A tensor with the numbers of another.
    pub fn copied(&self, tensor: &Tensor) -> Result<Tensor> {
        let mut copy = self.fresh(tensor.elem_count(), tensor.dtype())?;
        pointwise::cast(&self.card, self.lend(tensor)?.input()?, copy.output())?;
        Ok(self.tensor(copy, tensor.shape()))
    }

    /// Writes the numbers of a tensor into another, each f32 or bf16.
    pub fn copy_into(&self, from: &Tensor, to: &Tensor) -> Result<()> {
        let from = self.lend(from)?;
        self.change(to, |to| Ok(pointwise::cast(&self.card, from.input()?, to)?))
    }

    /// Fills a tensor with this multiple of another of its shape.
    pub fn set(&self, to: &Tensor, factor: f32, of: &Tensor) -> Result<()> {
        let of = self.lend(of)?;
        self.change(to, |to| {
            Ok(pointwise::scale(&self.card, Value::Host(factor), of.input()?, to)?)
        })
    }

    /// `sum += x` where the number of the tensor `add` is not 0, else `sum = x`.
    pub fn accumulate(&self, add: &Tensor, x: &Tensor, sum: &Tensor) -> Result<()> {
        let (add, x) = (self.lend(add)?, self.lend(x)?);
        self.change(sum, |sum| {
            Ok(pointwise::accumulate(&self.card, add.input()?, x.input()?, sum)?)
        })
    }
}
