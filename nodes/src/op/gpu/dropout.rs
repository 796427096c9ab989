//! Dropout on a GPU, with the masks of the CPU.

use super::Gpu;
use crate::Key;
use anyhow::Result;
use candle_core::Tensor;
use glad_cuda::{Memory, Value, dropout};

pub(crate) fn dropout(gpu: &Gpu, key: Key, p: f64, x: &Tensor) -> Result<Tensor> {
    let mut y = gpu.fresh(x.elem_count(), x.dtype())?;
    let key = Value::Host(key.word());
    dropout::dropout(&gpu.cuda, key, p as f32, gpu.lend(x)?.input()?, y.output())?;
    Ok(gpu.tensor(y, x.shape()))
}
