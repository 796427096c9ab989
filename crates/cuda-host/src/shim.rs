//! The C++ side: `shim/shim.h`.

use glad_cuda::Arg;
use std::ffi::{CStr, c_char, c_void};

#[repr(C)]
pub(crate) struct Parameter {
    pub(crate) kind: u8,
    pub(crate) size: u32,
}

/// An entry point, as the shim lists it.
#[repr(C)]
pub(crate) struct Kernel {
    module: *const c_char,
    name: *const c_char,
    parameters: *const Parameter,
    count: u32,
    function: *const c_void,
    call: *const c_void,
    next: *const Kernel,
}

// SAFETY: constants of the shim, made before `main`.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

unsafe extern "C" {
    fn glad_host_kernels() -> *const Kernel;
    fn glad_host_begin_block(grid: *const [u32; 3], block: *const [u32; 3], at: *const [u32; 3]);
    fn glad_host_become(thread: *const [u32; 3]);
    fn glad_host_call(kernel: *const Kernel, arguments: *const *const c_void);
}

/// All kernels.
pub(crate) fn kernels() -> impl Iterator<Item = &'static Kernel> {
    // SAFETY: the list is made before `main` and never changed; it ends with null.
    let at = |kernel: *const Kernel| unsafe { kernel.as_ref() };
    // SAFETY: a function without conditions.
    let first = at(unsafe { glad_host_kernels() });
    std::iter::successors(first, move |kernel| at(kernel.next))
}

impl Kernel {
    /// The file that it is in, without the ending.
    pub(crate) fn module(&self) -> &'static str {
        // SAFETY: a string literal of the shim.
        unsafe { CStr::from_ptr(self.module) }.to_str().unwrap_or("?")
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        // SAFETY: a string literal of the shim.
        unsafe { CStr::from_ptr(self.name) }.to_str().unwrap_or("?")
    }

    /// Its parameters.
    pub(crate) fn parameters(&self) -> &'static [Parameter] {
        // SAFETY: a constant array of that length.
        unsafe { std::slice::from_raw_parts(self.parameters, self.count as usize) }
    }

    /// Checks the arguments against its parameters.
    pub(crate) fn check(&self, args: &[Arg<'_>]) -> Result<(), String> {
        let parameters = self.parameters();
        if parameters.len() != args.len() {
            return Err(format!("it takes {} arguments, not {}", parameters.len(), args.len()));
        }
        for (i, (parameter, arg)) in parameters.iter().zip(args).enumerate() {
            let (kind, size) = match arg {
                Arg::Address(_) => (b'p', 8),
                Arg::U32(_) => (b'u', 4),
                Arg::I32(_) => (b'i', 4),
                Arg::U64(_) => (b'l', 8),
                Arg::F32(_) => (b'f', 4),
                Arg::Words(words) => (b'w', size_of_val(*words)),
            };
            if (parameter.kind, parameter.size as usize) != (kind, size) {
                let takes = char::from(parameter.kind);
                return Err(format!(
                    "argument {i} is {arg:?} of {size} bytes, and the parameter of kind `{takes}` has {}",
                    parameter.size
                ));
            }
        }
        Ok(())
    }

    /// Runs one thread.
    ///
    /// # Safety
    /// [`Kernel::check`] accepted the arguments that these are the addresses of, and pointers among them point to what
    /// the kernel reads and writes.
    pub(crate) unsafe fn call(&self, arguments: &[*const c_void]) {
        // SAFETY: the caller's promise.
        unsafe { glad_host_call(self, arguments.as_ptr()) }
    }
}

/// Sets the sizes of the grid and of a block, and which block runs on this thread.
pub(crate) fn begin_block(grid: [u32; 3], block: [u32; 3], at: [u32; 3]) {
    // SAFETY: three words each, which are copied.
    unsafe { glad_host_begin_block(&grid, &block, &at) }
}

/// Sets which thread of the block runs.
pub(crate) fn become_thread(thread: [u32; 3]) {
    // SAFETY: three words, which are copied.
    unsafe { glad_host_become(&thread) }
}
