//! Kernels by name, run with arguments as `cuLaunchKernel` takes them: for the emulated driver.

use crate::block::{self, Order};
use crate::shim::{self, Kernel};
use glad_cuda::Launch;
use std::ffi::c_void;

/// An entry point of a module.
#[derive(Clone, Copy)]
pub struct Entry(&'static Kernel);

impl Entry {
    /// The kernel with this name in one of the modules that `of` selects.
    pub fn find(name: &str, of: impl Fn(&str) -> bool) -> Option<Entry> {
        shim::kernels().find(|k| k.name() == name && of(k.module())).map(Entry)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The bytes of each parameter, and whether it is a pointer.
    pub fn parameters(self) -> impl Iterator<Item = (usize, bool)> {
        self.0.parameters().iter().map(|p| (p.size as usize, p.kind == b'p'))
    }

    /// Runs a grid.
    ///
    /// # Errors
    /// The grid exceeds CUDA's limits, or not all threads reach a barrier or shuffle.
    ///
    /// # Safety
    /// There are as many arguments as parameters; each points to as many bytes as the parameter has, and pointers among them
    /// point to what the kernel reads and writes.
    pub unsafe fn run(self, grid: [u32; 3], block: [u32; 3], arguments: &[*const c_void]) -> Result<(), String> {
        let launch = Launch {
            module: self.0.module(),
            kernel: self.0.name(),
            grid,
            block,
        };
        crate::check_size(&launch)?;
        let [nx, ny, nz] = grid;
        for z in 0..nz {
            for y in 0..ny {
                for x in 0..nx {
                    // SAFETY: the caller's promise.
                    unsafe { block::run(self.0, arguments, &launch, [x, y, z], Order::Forward) }
                        .map_err(|e| format!("block [{x}, {y}, {z}]: {e}"))?;
                }
            }
        }
        Ok(())
    }
}
