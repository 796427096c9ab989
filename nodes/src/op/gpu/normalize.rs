//! Normalisation of bytes on a GPU.

use super::Gpu;
use anyhow::Result;
use candle_core::{DType, Tensor};
use glad_cuda::Memory;
use glad_cuda::normalize::{self, Frames, Scale};

/// `(x − mean) / std` of clips of bytes `[…, height, width, 3]`, in type `ty`.
pub(crate) fn normalize(gpu: &Gpu, clips: &Tensor, mean: [f32; 3], std: [f32; 3], ty: DType) -> Result<Tensor> {
    let clips = clips.contiguous()?;
    let shape = match clips.dims() {
        [frames @ .., height, width, _] => Frames {
            frames: frames.iter().product(),
            height: *height,
            width: *width,
        },
        dims => anyhow::bail!("clips have shape {dims:?}, and [… , height, width, 3] is needed"),
    };
    let mut y = gpu.fresh(clips.elem_count(), ty)?;
    let (x, scale) = (gpu.lend(&clips)?, Scale { mean, std });
    normalize::normalize(&gpu.cuda, &shape, x.input()?, &scale, 3, y.output())?;
    Ok(gpu.tensor(y, clips.shape()))
}
