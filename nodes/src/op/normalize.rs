//! Normalisation of bytes.

use crate::kernel::tensor;
use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};
use rayon::prelude::*;

/// Pixels that a thread handles at a time.
const CHUNK: usize = 1 << 14;

/// `(x − mean) / std` of every channel of clips of bytes `[…, 3]`, in type `ty`: the CPU has f32, a GPU bf16 too.
pub(crate) fn normalize(clips: &Tensor, mean: [f32; 3], std: [f32; 3], ty: DType) -> Result<Tensor> {
    on_gpu!(clips, gpu => super::gpu::normalize::normalize(gpu, clips, mean, std, ty));
    ensure!(ty == DType::F32, "the CPU computes in f32, not in {}", ty.as_str());
    let bytes = clips.flatten_all()?.to_vec1::<u8>()?;
    // The value of every byte in every channel.
    let table: [[f32; 256]; 3] = std::array::from_fn(|c| std::array::from_fn(|x| (x as f32 - mean[c]) / std[c]));
    let mut out = vec![0f32; bytes.len()];
    out.par_chunks_mut(CHUNK * 3)
        .zip(bytes.par_chunks(CHUNK * 3))
        .for_each(|(out, bytes)| {
            for (out, pixel) in out.chunks_exact_mut(3).zip(bytes.chunks_exact(3)) {
                for c in 0..3 {
                    out[c] = table[c][pixel[c] as usize];
                }
            }
        });
    tensor(out, clips.shape(), clips.device())
}
