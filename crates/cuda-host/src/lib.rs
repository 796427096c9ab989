//! A [`Gpu`] that runs in this process, so that glad's kernels can be tested on a machine without a GPU.
//!
//! The sources of the kernels (`crates/cuda/kernels`) are compiled as C++ with a shim in place of CUDA (`shim/`). [`Host`] runs a
//! grid block by block, and a block's threads one after the other, each up to the next barrier or the end, on separate
//! stacks. It is stricter than a GPU, and returns an error for
//!
//! * arguments that differ from the kernel's parameters in number, type or size;
//! * grids and blocks beyond CUDA's limits;
//! * a barrier, or a shuffle, that not all threads reach;
//! * a write past the end or before the beginning of an allocation.
//!
//! Memory begins as NaN (as bytes, 255), so that reading uninitialised memory shows in the result. A dependence on the order in
//! which threads run shows if [`Host::reversed`] gives different bits.
//!
//! With the environment variable `GLAD_SANITIZE=undefined` (or `address`, with the feature `sanitizer`) the kernels are
//! compiled with the sanitizer of that name:
//! `GLAD_SANITIZE=undefined cargo test --release -p glad-cuda-host --target-dir target/sanitize`.

mod block;
mod entry;
mod memory;
mod shim;

use block::Order;
pub use entry::Entry;
use glad_cuda::{Arg, Error, Gpu, Launch, Number, Result};
use memory::Zones;
pub use memory::{HostMemory, Plain};
use std::ffi::c_void;
use std::rc::Rc;

/// A device in this process. It is not shared between threads; each test has its own.
#[derive(Debug)]
pub struct Host {
    order: Order,
    last: u32,
    zones: Rc<Zones>,
}

impl Host {
    /// A device on which the threads of a block run in index order.
    pub fn new() -> Host {
        Host {
            order: Order::Forward,
            last: u32::MAX,
            zones: Rc::default(),
        }
    }

    /// A device on which they run in the opposite order.
    pub fn reversed() -> Host {
        Host {
            order: Order::Backward,
            ..Host::new()
        }
    }

    /// A device that runs only the last `blocks` of a grid along x: to test the indices of tensors that are too large to process
    /// in full.
    pub fn of_the_last(blocks: u32) -> Host {
        Host {
            last: blocks,
            ..Host::new()
        }
    }

    /// Allocates memory with these values.
    pub fn put<T: Plain>(&self, numbers: &[T]) -> HostMemory {
        let mut memory = HostMemory::new(&self.zones, numbers.len(), T::NUMBER);
        memory.write(numbers);
        memory
    }
}

impl Default for Host {
    fn default() -> Host {
        Host::new()
    }
}

/// CUDA's limits: blocks along each axis, threads of a block along each axis and in total.
const GRID: [u32; 3] = [(1 << 31) - 1, 65_535, 65_535];
const BLOCK: [u32; 3] = [1024, 1024, 64];
const THREADS: u32 = 1024;

fn check_size(launch: &Launch) -> std::result::Result<(), String> {
    let Launch { grid, block, .. } = launch;
    for axis in 0..3 {
        if !(1..=GRID[axis]).contains(&grid[axis]) {
            return Err(format!("a grid of {grid:?} blocks has to be 1 to {GRID:?}"));
        }
        if !(1..=BLOCK[axis]).contains(&block[axis]) {
            return Err(format!("a block of {block:?} threads has to be 1 to {BLOCK:?}"));
        }
    }
    match block.iter().product::<u32>() {
        all if all > THREADS => Err(format!(
            "a block of {block:?} holds {all} threads; {THREADS} is the most"
        )),
        _ => Ok(()),
    }
}

impl Gpu for Host {
    type Memory = HostMemory;

    fn alloc(&self, len: usize, number: Number) -> Result<HostMemory> {
        Ok(HostMemory::new(&self.zones, len, number))
    }

    unsafe fn launch(&self, launch: &Launch, args: &[Arg<'_>]) -> Result<()> {
        let printed = |message: String| Error::Device(format!("{}/{}: {message}", launch.module, launch.kernel));
        check_size(launch).map_err(printed)?;
        let kernel = shim::kernels()
            .find(|k| (k.module(), k.name()) == (launch.module, launch.kernel))
            .ok_or_else(|| printed("there is no such kernel".into()))?;
        kernel.check(args).map_err(printed)?;
        let pointers: Vec<*const c_void> = args.iter().map(address_of).collect();
        let [nx, ny, nz] = launch.grid;
        for z in 0..nz {
            for y in 0..ny {
                for x in nx.saturating_sub(self.last)..nx {
                    // SAFETY: the arguments fit the parameters, and point where the caller promises.
                    unsafe { block::run(kernel, &pointers, launch, [x, y, z], self.order) }
                        .map_err(|e| printed(format!("block [{x}, {y}, {z}]: {e}")))?;
                }
            }
        }
        self.zones.check().map_err(printed)
    }
}

/// The address of an argument's value, as `cuLaunchKernel` takes it.
fn address_of(arg: &Arg<'_>) -> *const c_void {
    match arg {
        Arg::Address(a) | Arg::U64(a) => std::ptr::from_ref(a).cast(),
        Arg::U32(a) => std::ptr::from_ref(a).cast(),
        Arg::I32(a) => std::ptr::from_ref(a).cast(),
        Arg::F32(a) => std::ptr::from_ref(a).cast(),
        Arg::Words(words) => words.as_ptr().cast(),
    }
}
