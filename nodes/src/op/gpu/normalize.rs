//! Normalisation of bytes on a GPU.

use super::Gpu;
use anyhow::Result;
use candle_core::{DType, Tensor};
use glad_cuda::Memory;
use glad_cuda::normalize::{self, Frames, Scale};

/// `(x − mean) / std` of clips of bytes `[…, height, width, C]`, in type `ty`. Optical flow, of two channels, goes by Candle's
/// operations: it is a third less than RGB, and seldom.
pub(crate) fn normalize(gpu: &Gpu, clips: &Tensor, mean: &[f32], std: &[f32], ty: DType) -> Result<Tensor> {
    let clips = clips.contiguous()?;
    let (Ok(mean), Ok(std)) = (<[f32; 3]>::try_from(mean), <[f32; 3]>::try_from(std)) else {
        let row = |of: &[f32]| Tensor::new(of, clips.device());
        let x = clips.to_dtype(DType::F32)?;
        return Ok(x.broadcast_sub(&row(mean)?)?.broadcast_div(&row(std)?)?.to_dtype(ty)?);
    };
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
