//! The boundary between Candle's tensors and the kernels on slices.
//!
//! [`floats`] borrows the values of a CPU tensor without a copy, [`tensor`] makes a tensor from values. Everything that
//! depends on the device is behind the functions of [`crate::op`], which are the only users of this module besides the loops of
//! formulas (`crate::formula`).

use anyhow::{Context, Result, bail};
use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Shape, Storage, StorageRef, Tensor};
use std::cell::RefCell;
use std::ops::{Deref, Range};

/// The borrowed values of a tensor.
pub(crate) struct Floats<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

impl Deref for Floats<'_> {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => &[],
        }
    }
}

/// The values of an `f32` tensor on the CPU, in row-major order.
///
/// # Errors
/// The tensor is on another device, is of another type, or is not contiguous.
pub(crate) fn floats(tensor: &Tensor) -> Result<Floats<'_>> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(CpuStorage::F32(_)) => {}
        Storage::Cpu(_) => bail!("a tensor of {} came where f32 is needed", tensor.dtype().as_str()),
        _ => bail!("this operation runs on the CPU only so far: run with `--device cpu`"),
    }
    let (start, end) = layout
        .contiguous_offsets()
        .with_context(|| format!("a tensor of shape {:?} is not contiguous", tensor.dims()))?;
    Ok(Floats {
        storage,
        range: start..end,
    })
}

/// A tensor of these values.
///
/// # Errors
/// The number of values is not the shape's, or the device is out of memory.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape.into(), device)?)
}

struct Mutate<F>(RefCell<F>);

impl<F: FnMut(&mut [f32]) -> Result<()>> InplaceOp1 for Mutate<F> {
    fn name(&self) -> &'static str {
        "kernel"
    }
    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(values) = storage else {
            candle_core::bail!("a tensor of another type came where f32 is needed")
        };
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("a tensor that is not contiguous cannot be changed in place")
        };
        (self.0.borrow_mut())(&mut values[start..end]).map_err(candle_core::Error::wrap)
    }
}

/// Changes the values of a tensor in place. For tensors that the caller has just made, or that are meant to be changed
/// (weights, running statistics): other holders of the same storage see the change.
///
/// # Errors
/// As [`floats`], and those of `body`.
pub(crate) fn change(tensor: &Tensor, body: impl FnMut(&mut [f32]) -> Result<()>) -> Result<()> {
    Ok(tensor.inplace_op1(&Mutate(RefCell::new(body)))?)
}

/// The class numbers of a label tensor. Labels and masks of rows stay on the host, whatever the device: losses check and count
/// them there, and reading them from a device would wait for all its queued work.
///
/// # Errors
/// The tensor is not of type `u32`.
pub(crate) fn labels(tensor: &Tensor) -> Result<Vec<u32>> {
    if tensor.dtype() != DType::U32 {
        bail!("labels are u32, and {} came", tensor.dtype().as_str());
    }
    Ok(tensor.flatten_all()?.to_vec1()?)
}

/// The marks of a mask with `rows` of them: 1 for what counts, 0 for what does not. Masks are on the host, as [`labels`] are.
///
/// # Errors
/// The tensor is not of type `f32`, or has another number of marks.
pub(crate) fn marks(tensor: &Tensor, rows: usize) -> Result<Vec<f32>> {
    if tensor.elem_count() != rows {
        bail!("there are {} marks for {rows} rows", tensor.elem_count());
    }
    Ok(tensor.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lends_without_a_copy_and_honours_offsets() {
        let t = Tensor::arange(0f32, 6., &Device::Cpu).unwrap().reshape((3, 2)).unwrap();
        assert_eq!(&*floats(&t.narrow(0, 1, 2).unwrap()).unwrap(), &[2., 3., 4., 5.]);
        let e = floats(&t.t().unwrap()).err().unwrap().to_string();
        assert!(e.contains("not contiguous"), "{e}");
        let e = floats(&t.to_dtype(DType::F64).unwrap()).err().unwrap().to_string();
        assert!(e.contains("f64"), "{e}");
    }

    #[test]
    fn changes_in_place() {
        let t = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
        change(&t, |v| {
            v[3] = 7.0;
            Ok(())
        })
        .unwrap();
        assert_eq!(t.to_vec2::<f32>().unwrap(), vec![vec![0., 0.], vec![0., 7.]]);
        let e = change(&t, |_| bail!("of the test's own")).unwrap_err();
        assert!(format!("{e:#}").contains("of the test's own"), "{e:#}");
    }
}
