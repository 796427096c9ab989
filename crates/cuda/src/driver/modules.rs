//! The kernels of this crate, loaded into a context.

use super::fault::Doing;
use crate::{Arg, Error, Launch, Result};
use cudarc::driver::CudaContext;
use cudarc::driver::sys::{self, CUfunction, CUjit_option, CUmodule};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::{Arc, PoisonError, RwLock};

/// Name and PTX of each file of `kernels/`, as build.rs compiled them. The text ends with a zero byte.
static SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/modules.rs"));

/// A kernel, with the sizes of its parameters.
struct Kernel {
    function: CUfunction,
    params: Vec<usize>,
}

/// All modules of a context.
pub(super) struct Modules {
    context: Arc<CudaContext>,
    modules: Vec<(&'static str, CUmodule)>,
    kernels: RwLock<HashMap<(&'static str, &'static str), Kernel>>,
}

// SAFETY: handles of the driver, usable on any thread once the context is bound.
unsafe impl Send for Modules {}
// SAFETY: as above; the table has a lock.
unsafe impl Sync for Modules {}

impl Modules {
    /// Translates all kernels for the device and loads them. The driver caches compiled kernels on disk, so this takes seconds
    /// the first time and little afterwards.
    ///
    /// # Errors
    /// The driver is older than the compiler, or the device than the kernels' architecture.
    pub(super) fn load(context: &Arc<CudaContext>) -> Result<Modules> {
        context.bind_to_thread().doing(|| "choose the device".into())?;
        let mut all = Modules {
            context: context.clone(),
            modules: Vec::with_capacity(SOURCES.len()),
            kernels: RwLock::default(),
        };
        for &(name, ptx) in SOURCES {
            all.modules.push((name, load(name, ptx)?));
        }
        Ok(all)
    }

    /// The kernel of a launch, checked to take arguments of these sizes.
    ///
    /// # Errors
    /// There is no such kernel, or it takes other arguments.
    pub(super) fn kernel(&self, launch: &Launch, args: &[Arg<'_>]) -> Result<CUfunction> {
        let key = (launch.module, launch.kernel);
        // A panic elsewhere leaves the table valid: an entry is inserted complete.
        if let Some(kernel) = self.kernels.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return kernel.takes(launch, args);
        }
        let kernel = self.find(launch)?;
        let function = kernel.takes(launch, args)?;
        self.kernels
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, kernel);
        Ok(function)
    }

    fn find(&self, launch: &Launch) -> Result<Kernel> {
        let Launch { module, kernel, .. } = launch;
        let missing = |what: &str| Error::Device(format!("there is no {what} in glad's kernels"));
        let &(_, handle) = self
            .modules
            .iter()
            .find(|(name, _)| name == module)
            .ok_or_else(|| missing(&format!("file {module}.cu")))?;
        let name = CString::new(*kernel).map_err(|_| missing(&format!("kernel {kernel:?}")))?;
        self.context.bind_to_thread().doing(|| "choose the device".into())?;
        let mut function = ptr::null_mut();
        // SAFETY: the module is loaded, and the name ends with a zero byte.
        unsafe { sys::cuModuleGetFunction(&raw mut function, handle, name.as_ptr()) }
            .result()
            .doing(|| format!("find the kernel `{kernel}` in {module}.cu"))?;
        let mut params = Vec::new();
        let (mut offset, mut size) = (0, 0);
        // SAFETY: the function is valid; past the last parameter the driver returns an error.
        while unsafe { sys::cuFuncGetParamInfo(function, params.len(), &raw mut offset, &raw mut size) }
            .result()
            .is_ok()
        {
            params.push(size);
        }
        Ok(Kernel { function, params })
    }
}

impl Drop for Modules {
    fn drop(&mut self) {
        self.context.record_err(self.context.bind_to_thread());
        for &(_, module) in &self.modules {
            // SAFETY: loaded by `load`, and its functions are dropped with the table.
            let unloaded = unsafe { sys::cuModuleUnload(module) }.result();
            self.context.record_err(unloaded);
        }
    }
}

impl Kernel {
    /// A launch with wrong arguments would read out of bounds, so they are checked.
    fn takes(&self, launch: &Launch, args: &[Arg<'_>]) -> Result<CUfunction> {
        let sizes = args.iter().map(size);
        if sizes.clone().eq(self.params.iter().copied()) {
            return Ok(self.function);
        }
        Err(Error::Device(format!(
            "`{}` of {}.cu takes parameters of {:?} bytes and was given {:?}",
            launch.kernel,
            launch.module,
            self.params,
            sizes.collect::<Vec<_>>()
        )))
    }
}

fn size(arg: &Arg<'_>) -> usize {
    match arg {
        Arg::Address(_) | Arg::U64(_) => 8,
        Arg::U32(_) | Arg::I32(_) | Arg::F32(_) => 4,
        Arg::Words(words) => size_of_val(*words),
    }
}

/// Loads a module; on failure the error contains the driver compiler's log.
fn load(name: &str, ptx: &'static str) -> Result<CUmodule> {
    const LOG: usize = 8192;
    let mut log = vec![0_u8; LOG];
    let mut options = [
        CUjit_option::CU_JIT_ERROR_LOG_BUFFER,
        CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
    ];
    let mut values = [log.as_mut_ptr().cast::<c_void>(), ptr::without_provenance_mut(LOG)];
    let mut module = ptr::null_mut();
    // SAFETY: a context is bound; the text ends with a zero byte; the options are a buffer and its size, by value, as the
    // driver expects.
    let loaded = unsafe {
        sys::cuModuleLoadDataEx(
            &raw mut module,
            ptx.as_ptr().cast(),
            2,
            options.as_mut_ptr(),
            values.as_mut_ptr(),
        )
    };
    loaded.result().doing(|| {
        let end = log.iter().position(|&b| b == 0).unwrap_or(LOG);
        let printed = String::from_utf8_lossy(&log[..end]);
        format!(
            "load glad's kernels `{name}` (a driver older than the CUDA toolkit that they were compiled with cannot){}{}",
            if printed.trim().is_empty() { "" } else { ":\n" },
            printed.trim()
        )
    })?;
    Ok(module)
}
