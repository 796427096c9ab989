//! GPU memory, in the form that Candle's tensors hold.

use crate::{In, Memory, Number, Out};
use cudarc::driver::{CudaSlice, DevicePtr, DeviceRepr};
use half::bf16;

/// A number type of device memory.
pub trait Element: DeviceRepr {
    /// Its name.
    const NUMBER: Number;
}

impl Element for f32 {
    const NUMBER: Number = Number::F32;
}
impl Element for bf16 {
    const NUMBER: Number = Number::Bf16;
}
impl Element for u8 {
    const NUMBER: Number = Number::U8;
}
impl Element for u32 {
    const NUMBER: Number = Number::U32;
}

/// Memory allocated on a GPU. The slice inside is what a Candle tensor is made of
/// (`CudaStorage::wrap_cuda_slice(slice, device)`).
#[derive(Debug)]
pub enum CudaMemory {
    /// 32-bit floating point.
    F32(CudaSlice<f32>),
    /// bfloat16.
    Bf16(CudaSlice<bf16>),
    /// Bytes.
    U8(CudaSlice<u8>),
    /// 32-bit unsigned integers.
    U32(CudaSlice<u32>),
}

impl Memory for CudaMemory {
    fn input(&self) -> In<'_> {
        match self {
            CudaMemory::F32(s) => whole(s),
            CudaMemory::Bf16(s) => whole(s),
            CudaMemory::U8(s) => whole(s),
            CudaMemory::U32(s) => whole(s),
        }
    }

    fn output(&mut self) -> Out<'_> {
        match self {
            CudaMemory::F32(s) => whole_mut(s),
            CudaMemory::Bf16(s) => whole_mut(s),
            CudaMemory::U8(s) => whole_mut(s),
            CudaMemory::U32(s) => whole_mut(s),
        }
    }
}

/// The address of a slice. Reading the address queues no wait and records no event, since a GPU's context does not track
/// its slices (see `CudaGpu::of`).
fn address<T>(slice: &CudaSlice<T>) -> u64 {
    slice.device_ptr(slice.stream()).0
}

/// All of a slice, for reading.
pub(super) fn whole<T: Element>(slice: &CudaSlice<T>) -> In<'_> {
    // SAFETY: the slice owns `len` values there, and is borrowed for the same lifetime.
    unsafe { In::new(address(slice), slice.len(), T::NUMBER) }
}

/// All of a slice, for writing.
pub(super) fn whole_mut<T: Element>(slice: &mut CudaSlice<T>) -> Out<'_> {
    // SAFETY: the slice owns `len` values there, and is mutably borrowed for the same lifetime.
    unsafe { Out::new(address(slice), slice.len(), T::NUMBER) }
}
