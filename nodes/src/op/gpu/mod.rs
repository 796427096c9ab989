//! The operations on a GPU: Candle's tensors are borrowed by the functions of `glad-cuda`, and created from memory that it
//! allocates. Each file is the counterpart of the one of the same name in [`crate::op`], which checks where its tensors are.

pub(super) mod adam;
pub(super) mod batch_norm;
pub(super) mod channels;
pub(super) mod conv;
pub(super) mod dropout;
pub(super) mod loss;
pub(super) mod normalize;
pub(super) mod pool;
mod record;
pub(super) mod scale;
pub(super) mod sgd;
pub(super) mod shift;

use anyhow::{Context, Result, bail};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::{CudaDType, CudaStorageSlice};
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, CudaDevice, CudaStorage, DType, Device, InplaceOp1, Layout, Shape, Storage, StorageRef};
use candle_core::{Tensor, cuda_backend::cudarc::driver::CudaSlice};
use glad_cuda::driver::{CudaGpu, CudaMemory, Element};
use glad_cuda::{Gpu as _, In, Number, Out};
use std::cell::RefCell;
use std::ops::Range;

/// A GPU, as Candle's device and as `glad-cuda`'s.
pub(crate) struct Gpu {
    cuda: CudaGpu,
    device: CudaDevice,
}

impl Gpu {
    /// The GPU that a tensor is on; `None` for the CPU.
    pub(crate) fn of(tensor: &Tensor) -> Result<Option<Gpu>> {
        Gpu::at(tensor.device())
    }

    /// The GPU of a device; `None` for the CPU.
    pub(crate) fn at(device: &Device) -> Result<Option<Gpu>> {
        let Device::Cuda(device) = device else {
            return Ok(None);
        };
        Ok(Some(Gpu {
            cuda: CudaGpu::of(&device.cuda_stream())?,
            device: device.clone(),
        }))
    }

    /// Memory for `len` values with arbitrary contents.
    fn fresh(&self, len: usize, ty: DType) -> Result<CudaMemory> {
        Ok(self.cuda.alloc(len, number(ty)?)?)
    }

    /// Makes a tensor from written memory.
    fn tensor(&self, memory: CudaMemory, shape: impl Into<Shape>) -> Tensor {
        let device = self.device.clone();
        let storage = match memory {
            CudaMemory::F32(s) => CudaStorage::wrap_cuda_slice(s, device),
            CudaMemory::Bf16(s) => CudaStorage::wrap_cuda_slice(s, device),
            CudaMemory::U8(s) => CudaStorage::wrap_cuda_slice(s, device),
            CudaMemory::U32(s) => CudaStorage::wrap_cuda_slice(s, device),
        };
        Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
    }

    /// The borrowed values of a tensor.
    ///
    /// # Errors
    /// The tensor is on another device, has a type that no kernel supports, or is not contiguous.
    fn lend<'a>(&'a self, tensor: &'a Tensor) -> Result<Lent<'a>> {
        let (storage, layout) = tensor.storage_and_layout();
        let (start, end) = layout
            .contiguous_offsets()
            .with_context(|| format!("a tensor of shape {:?} is not contiguous", tensor.dims()))?;
        if !matches!(&*storage, Storage::Cuda(_)) {
            bail!("a tensor of the CPU came where one of the GPU is needed");
        }
        Ok(Lent {
            cuda: &self.cuda,
            storage,
            part: start..end,
        })
    }

    /// Has `body` change the values of a tensor. For tensors that the caller has just made, or that are meant to be changed
    /// (weights, running statistics): other holders of the same storage see the change.
    ///
    /// # Errors
    /// As [`Gpu::lend`], and those of `body`.
    fn change(&self, tensor: &Tensor, body: impl FnMut(Out<'_>) -> Result<()>) -> Result<()> {
        let cuda = &self.cuda;
        Ok(tensor.inplace_op1(&Mutate {
            cuda,
            body: RefCell::new(body),
        })?)
    }

    /// Copies host values to the device.
    fn upload<T: candle_core::WithDType>(&self, values: &[T]) -> Result<Tensor> {
        Ok(Tensor::from_slice(
            values,
            values.len(),
            &Device::Cuda(self.device.clone()),
        )?)
    }
}

/// The kernels' number type.
fn number(ty: DType) -> Result<Number> {
    Ok(match ty {
        DType::F32 => Number::F32,
        DType::BF16 => Number::Bf16,
        DType::U8 => Number::U8,
        DType::U32 => Number::U32,
        other => bail!("there are no kernels for {}", other.as_str()),
    })
}

/// The borrowed values of a tensor.
struct Lent<'a> {
    cuda: &'a CudaGpu,
    storage: StorageRef<'a>,
    part: Range<usize>,
}

impl Lent<'_> {
    fn input(&self) -> Result<In<'_>> {
        let Storage::Cuda(storage) = &*self.storage else {
            bail!("a tensor of the CPU came where one of the GPU is needed");
        };
        match &storage.slice {
            CudaStorageSlice::F32(s) => self.part(s),
            CudaStorageSlice::BF16(s) => self.part(s),
            CudaStorageSlice::U8(s) => self.part(s),
            CudaStorageSlice::U32(s) => self.part(s),
            _ => bail!("there are no kernels for {}", storage.dtype().as_str()),
        }
    }

    fn part<'s, T: Element>(&self, slice: &'s CudaSlice<T>) -> Result<In<'s>> {
        Ok(self.cuda.input(slice, self.part.clone())?)
    }
}

struct Mutate<'a, F> {
    cuda: &'a CudaGpu,
    body: RefCell<F>,
}

impl<F: FnMut(Out<'_>) -> Result<()>> Mutate<'_, F> {
    fn run<T: Element + CudaDType>(&self, storage: &mut CudaStorage, part: Range<usize>) -> Result<()> {
        let out = self.cuda.output(storage.as_cuda_slice_mut::<T>()?, part)?;
        (self.body.borrow_mut())(out)
    }
}

impl<F: FnMut(Out<'_>) -> Result<()>> InplaceOp1 for Mutate<'_, F> {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        candle_core::bail!("a tensor of the CPU came where one of the GPU is needed")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> candle_core::Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("a tensor that is not contiguous cannot be changed in place")
        };
        match storage.dtype() {
            DType::F32 => self.run::<f32>(storage, start..end),
            DType::BF16 => self.run::<half::bf16>(storage, start..end),
            DType::U8 => self.run::<u8>(storage, start..end),
            DType::U32 => self.run::<u32>(storage, start..end),
            other => candle_core::bail!("there are no kernels for {}", other.as_str()),
        }
        .map_err(candle_core::Error::wrap)
    }
}
