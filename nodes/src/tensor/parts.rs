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

/// Splits `all` into tensors with these numbers of rows.
pub(crate) fn by_rows(all: &Tensor, rows: &[usize]) -> Result<Vec<Tensor>> {
    let mut at = 0;
    let cut = |n: &usize| {
        at += n;
        part(all, 0, at - n, *n)
    };
    rows.iter().map(cut).collect()
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

/// Cuts `all` along `dim` into parts of these sizes: what [`join`] put together. A part is only made where it is wanted.
pub(crate) fn cut(all: &Tensor, dim: usize, sizes: &[usize], wants: &[bool]) -> Result<Vec<Option<Tensor>>> {
    let mut at = 0;
    let mut parts = vec![];
    for (size, want) in sizes.iter().zip(wants) {
        parts.push(want.then(|| part(all, dim, at, *size)).transpose()?);
        at += size;
    }
    Ok(parts)
}

/// The sizes of dimension `dim`.
pub(crate) fn sizes(of: &[Tensor], dim: usize) -> Result<Vec<usize>> {
    Ok(of.iter().map(|t| t.dim(dim)).collect::<candle_core::Result<_>>()?)
}

/// A view of a shape without elements.
pub(crate) fn nothing(of: &Tensor, shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
    let none = (0..of.rank()).try_fold(of.clone(), |t, dim| t.narrow(dim, 0, 0))?;
    Ok(none.reshape(shape)?)
}
