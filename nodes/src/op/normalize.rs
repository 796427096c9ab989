//! Normalisation of bytes.

use crate::kernel::tensor;
use anyhow::{Result, bail, ensure};
use candle_core::{DType, Tensor};
use rayon::prelude::*;

/// Pixels that a thread handles at a time.
const CHUNK: usize = 1 << 14;

/// `(x − mean) / std` of every channel of clips of bytes `[…, C]`, in type `ty`: the CPU has f32, a GPU bf16 too.
pub(crate) fn normalize(clips: &Tensor, mean: &[f32], std: &[f32], ty: DType) -> Result<Tensor> {
    on_gpu!(clips, gpu => super::gpu::normalize::normalize(gpu, clips, mean, std, ty));
    ensure!(ty == DType::F32, "the CPU computes in f32, not in {}", ty.as_str());
    let bytes = clips.flatten_all()?.to_vec1::<u8>()?;
    // The value of every byte in every channel.
    let channel = |(mean, std): (&f32, &f32)| -> [f32; 256] { std::array::from_fn(|x| (x as f32 - mean) / std) };
    let table: Vec<[f32; 256]> = mean.iter().zip(std).map(channel).collect();
    let mut out = vec![0f32; bytes.len()];
    match table.as_slice() {
        [r, g, b] => look_up(&mut out, &bytes, [r, g, b]),
        [u, v] => look_up(&mut out, &bytes, [u, v]),
        _ => bail!("clips of 2 or 3 channels are normalised, not of {}", table.len()),
    }
    tensor(out, clips.shape(), clips.device())
}

/// The value of each byte, in pixels of `C` channels.
fn look_up<const C: usize>(out: &mut [f32], bytes: &[u8], table: [&[f32; 256]; C]) {
    out.par_chunks_mut(CHUNK * C)
        .zip(bytes.par_chunks(CHUNK * C))
        .for_each(|(out, bytes)| {
            for (out, pixel) in out.chunks_exact_mut(C).zip(bytes.chunks_exact(C)) {
                for c in 0..C {
                    out[c] = table[c][pixel[c] as usize];
                }
            }
        });
}
