//! Cutting tensors and putting them together, on any device: CUDA cannot allocate zero bytes, so a tensor without elements
//! is a view.

use anyhow::Result;
use candle_core::Tensor;

/// `len` of dimension `dim` from `from` on, contiguous.
pub(crate) fn part(all: &Tensor, dim: usize, from: usize, len: usize) -> Result<Tensor> {
    let mut shape = all.dims().to_vec();
    shape[dim] = len;
    match shape.contains(&0) {
        true => nothing(all, shape),
        false => Ok(all.narrow(dim, from, len)?.contiguous()?),
    }
}

/// Concatenates tensors along `dim`.
pub(crate) fn join(parts: &[&Tensor], dim: usize) -> Result<Tensor> {
    match parts {
        [first, ..] if parts.iter().all(|p| p.elem_count() == 0) => {
            let mut shape = first.dims().to_vec();
            shape[dim] = parts.iter().map(|p| p.dim(dim)).sum::<candle_core::Result<usize>>()?;
            nothing(first, shape)
        }
        parts => Ok(Tensor::cat(parts, dim)?),
    }
}

/// A view of a shape without elements.
pub(crate) fn nothing(of: &Tensor, shape: Vec<usize>) -> Result<Tensor> {
    let none = (0..of.rank()).try_fold(of.clone(), |t, dim| t.narrow(dim, 0, 0))?;
    Ok(none.reshape(shape)?)
}
