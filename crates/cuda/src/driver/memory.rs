//! Memory of a card, in the form that Candle's tensors hold.

use crate::{In, Memory, Number, Out};
use cudarc::driver::{CudaSlice, DevicePtr, DeviceRepr};
use half::bf16;

/// A type of number that device memory holds.
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

/// Memory that a card gave. The slice inside is what a Candle tensor is made of
/// (`CudaStorage::wrap_cuda_slice(slice, device)`).
#[derive(Debug)]
pub enum CardMemory {
    /// 32-bit floating point.
    F32(CudaSlice<f32>),
    /// bfloat16.
    Bf16(CudaSlice<bf16>),
    /// Bytes.
    U8(CudaSlice<u8>),
    /// 32-bit whole numbers.
    U32(CudaSlice<u32>),
}

impl Memory for CardMemory {
    fn input(&self) -> In<'_> {
        match self {
            CardMemory::F32(s) => whole(s),
            CardMemory::Bf16(s) => whole(s),
            CardMemory::U8(s) => whole(s),
            CardMemory::U32(s) => whole(s),
        }
    }

    fn output(&mut self) -> Out<'_> {
        match self {
            CardMemory::F32(s) => whole_mut(s),
            CardMemory::Bf16(s) => whole_mut(s),
            CardMemory::U8(s) => whole_mut(s),
            CardMemory::U32(s) => whole_mut(s),
        }
    }
}

/// Where a slice begins. Reading the address queues no wait and records no event, since a card's context does not track
/// its slices (see `Card::of`).
fn address<T>(slice: &CudaSlice<T>) -> u64 {
    slice.device_ptr(slice.stream()).0
}

/// All of a slice, to be read.
pub(super) fn whole<T: Element>(slice: &CudaSlice<T>) -> In<'_> {
    // SAFETY: the slice owns `len` numbers there, and is borrowed for as long.
    unsafe { In::new(address(slice), slice.len(), T::NUMBER) }
}

/// All of a slice, to be written.
pub(super) fn whole_mut<T: Element>(slice: &mut CudaSlice<T>) -> Out<'_> {
    // SAFETY: the slice owns `len` numbers there, and is borrowed mutably for as long.
    unsafe { Out::new(address(slice), slice.len(), T::NUMBER) }
}
