//! A GPU instead of the device in this process, for the same tests.

use cudarc::driver::{CudaContext, CudaSlice, CudaStream};
use glad_cuda::driver::{CudaGpu, CudaMemory, Element};
use glad_cuda::{Arg, Gpu, In, Launch, Memory, Number, Out, Result};
use half::bf16;
use std::sync::{Arc, LazyLock};

static STREAM: LazyLock<Arc<CudaStream>> =
    LazyLock::new(|| CudaContext::new(0).expect("a GPU").new_stream().expect("a stream"));

/// The GPU.
pub(crate) struct Host(CudaGpu);

impl Host {
    pub(crate) fn new() -> Host {
        Host(CudaGpu::of(&STREAM).expect("the GPU"))
    }

    /// The GPU again: it runs threads in an unspecified order.
    pub(crate) fn reversed() -> Host {
        Host::new()
    }

    pub(crate) fn put<T: Copied>(&self, numbers: &[T]) -> HostMemory {
        let mut memory = self.alloc(numbers.len(), T::NUMBER).expect("memory of the GPU");
        if !numbers.is_empty() {
            STREAM
                .memcpy_htod(numbers, T::slice_mut(&mut memory.0))
                .expect("a copy to the GPU");
        }
        memory
    }
}

impl Gpu for Host {
    type Memory = HostMemory;

    fn alloc(&self, len: usize, number: Number) -> Result<HostMemory> {
        self.0.alloc(len, number).map(HostMemory)
    }

    unsafe fn launch(&self, launch: &Launch, args: &[Arg<'_>]) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.0.launch(launch, args) }
    }
}

/// Memory of the GPU.
pub(crate) struct HostMemory(CudaMemory);

impl HostMemory {
    pub(crate) fn numbers<T: Copied>(&self) -> Vec<T> {
        STREAM.clone_dtoh(T::slice(&self.0)).expect("a copy from the GPU")
    }

    pub(crate) fn write<T: Copied>(&mut self, numbers: &[T]) {
        STREAM
            .memcpy_htod(numbers, T::slice_mut(&mut self.0))
            .expect("a copy to the GPU");
    }

    pub(crate) fn input_from(&self, skip: usize) -> In<'_> {
        let all = self.0.input();
        let address = all.address() + (skip * all.number().size()) as u64;
        // SAFETY: a part of memory that is borrowed for the same lifetime.
        unsafe { In::new(address, all.len() - skip, all.number()) }
    }

    pub(crate) fn output_from(&mut self, skip: usize) -> Out<'_> {
        let all = self.0.output();
        let address = all.address() + (skip * all.number().size()) as u64;
        // SAFETY: a part of memory that is mutably borrowed for the same lifetime.
        unsafe { Out::new(address, all.len() - skip, all.number()) }
    }
}

impl Memory for HostMemory {
    fn input(&self) -> In<'_> {
        self.0.input()
    }

    fn output(&mut self) -> Out<'_> {
        self.0.output()
    }
}

/// Element types that are copied to and from the GPU.
pub(crate) trait Copied: Element + Clone + Default {
    fn slice(memory: &CudaMemory) -> &CudaSlice<Self>;
    fn slice_mut(memory: &mut CudaMemory) -> &mut CudaSlice<Self>;
}

macro_rules! copied {
    ($ty:ty, $variant:ident) => {
        impl Copied for $ty {
            fn slice(memory: &CudaMemory) -> &CudaSlice<Self> {
                match memory {
                    CudaMemory::$variant(slice) => slice,
                    other => panic!("memory of another type: {other:?}"),
                }
            }

            fn slice_mut(memory: &mut CudaMemory) -> &mut CudaSlice<Self> {
                match memory {
                    CudaMemory::$variant(slice) => slice,
                    other => panic!("memory of another type: {other:?}"),
                }
            }
        }
    };
}

copied!(f32, F32);
copied!(bf16, Bf16);
copied!(u8, U8);
copied!(u32, U32);
