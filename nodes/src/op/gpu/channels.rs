//! Concatenation of channels on a GPU. (Candle's own copies of parts read their shapes from host memory, which cannot be
//! recorded.)

use super::Gpu;
use anyhow::{Context, Result};
use candle_core::Tensor;
use glad_cuda::Memory;
use glad_cuda::channels::{Channels, copy};

/// Rows and channels of a tensor.
fn rows(x: &Tensor) -> Result<[usize; 2]> {
    let channels = *x.dims().last().context("a number has no channels")?;
    Ok([x.elem_count() / channels.max(1), channels])
}

pub(crate) fn join(gpu: &Gpu, parts: &[Tensor]) -> Result<Tensor> {
    let first = parts.first().context("no channels to join")?;
    let mut of = 0;
    for x in parts {
        of += rows(x)?[1];
    }
    let [n, _] = rows(first)?;
    let mut y = gpu.fresh(n * of, first.dtype())?;
    let mut at = 0;
    for x in parts {
        let [n, channels] = rows(x)?;
        let from = Channels { of: channels, first: 0 };
        let to = Channels { of, first: at };
        copy(
            &gpu.cuda,
            [n, channels],
            (from, gpu.lend(x)?.input()?),
            (to, y.output()),
        )?;
        at += channels;
    }
    let mut dims = first.dims().to_vec();
    dims.pop();
    dims.push(of);
    Ok(gpu.tensor(y, dims))
}

pub(crate) fn part(gpu: &Gpu, all: &Tensor, first: usize, n: usize) -> Result<Tensor> {
    let [lines, of] = rows(all)?;
    let mut y = gpu.fresh(lines * n, all.dtype())?;
    let to = Channels { of: n, first: 0 };
    let from = Channels { of, first };
    copy(&gpu.cuda, [lines, n], (from, gpu.lend(all)?.input()?), (to, y.output()))?;
    let mut dims = all.dims().to_vec();
    dims.pop();
    dims.push(n);
    Ok(gpu.tensor(y, dims))
}
