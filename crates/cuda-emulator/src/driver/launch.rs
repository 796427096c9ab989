//! Modules and launches of kernels.

use super::{
    INVALID_HANDLE, INVALID_IMAGE, INVALID_VALUE, NOT_FOUND, NOT_SUPPORTED, SUCCESS, Status, on_gpu, on_stream,
    unrecorded,
};
use glad_cuda_host::Entry;
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, c_char, c_uint, c_void};
use std::ptr;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The entry points of a loaded module: the names in its PTX, or, for a placeholder without any, those of Candle.
struct Module {
    own: Option<HashSet<String>>,
}

static MODULES: LazyLock<Mutex<HashMap<u64, Module>>> = LazyLock::new(Mutex::default);
static FUNCTIONS: LazyLock<Mutex<HashMap<u64, Entry>>> = LazyLock::new(Mutex::default);

/// The prefix of Candle's modules in the list of kernels.
const CANDLE: &str = "candle/";

/// The names of the entry points in a text of PTX.
fn entries(ptx: &str) -> HashSet<String> {
    ptx.split(".entry")
        .skip(1)
        .map(|rest| {
            let name = rest.trim_start();
            let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
            name[..end.unwrap_or(name.len())].to_owned()
        })
        .collect()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadData(module: *mut u64, image: *const c_char) -> Status {
    // SAFETY: the caller passes text that ends with a zero.
    let Ok(text) = (unsafe { CStr::from_ptr(image) }).to_str() else {
        return INVALID_IMAGE;
    };
    if !text.contains(".version") {
        return INVALID_IMAGE;
    }
    let own = entries(text);
    unrecorded("loading kernels", |gpu| {
        let handle = gpu.handle();
        let own = (!own.is_empty()).then_some(own);
        MODULES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(handle, Module { own });
        // SAFETY: the caller has room for a handle.
        unsafe { *module = handle };
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut u64,
    image: *const c_char,
    _count: c_uint,
    _options: *mut u32,
    _values: *mut *mut c_void,
) -> Status {
    // SAFETY: as in `cuModuleLoadData`.
    unsafe { cuModuleLoadData(module, image) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleUnload(module: u64) -> Status {
    match MODULES.lock().unwrap_or_else(PoisonError::into_inner).remove(&module) {
        Some(_) => SUCCESS,
        None => INVALID_HANDLE,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunction(function: *mut u64, module: u64, name: *const c_char) -> Status {
    // SAFETY: the caller passes text that ends with a zero.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let own = match MODULES.lock().unwrap_or_else(PoisonError::into_inner).get(&module) {
        None => return INVALID_HANDLE,
        Some(Module { own }) => own.as_ref().map(|own| own.contains(&*name)),
    };
    let (glads, candles) = (
        |module: &str| !module.starts_with(CANDLE),
        |module: &str| module.starts_with(CANDLE),
    );
    let found = match own {
        Some(false) => None,
        // From a module of glad, or from Candle's if these were compiled.
        Some(true) => Entry::find(&name, glads).or_else(|| Entry::find(&name, candles)),
        None => {
            let found = Entry::find(&name, candles);
            if found.is_none() {
                eprintln!("emulated GPU: there is no kernel `{name}` of Candle in it");
            }
            found
        }
    };
    let Some(entry) = found else {
        return NOT_FOUND;
    };
    on_gpu(|gpu| {
        let handle = gpu.handle();
        FUNCTIONS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(handle, entry);
        // SAFETY: the caller has room for a handle.
        unsafe { *function = handle };
        SUCCESS
    })
}

fn function(handle: u64) -> Option<Entry> {
    FUNCTIONS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&handle)
        .copied()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncGetParamInfo(handle: u64, index: usize, offset: *mut usize, size: *mut usize) -> Status {
    let Some(entry) = function(handle) else {
        return INVALID_HANDLE;
    };
    let Some((bytes, _)) = entry.parameters().nth(index) else {
        return INVALID_VALUE;
    };
    // SAFETY: the caller has room for two numbers.
    unsafe {
        // The offset is not used.
        *offset = 0;
        *size = bytes;
    }
    SUCCESS
}

/// The bytes of an argument, aligned for any type.
type Argument = Vec<u128>;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchKernel(
    handle: u64,
    gx: c_uint,
    gy: c_uint,
    gz: c_uint,
    bx: c_uint,
    by: c_uint,
    bz: c_uint,
    _shared: c_uint,
    stream: u64,
    arguments: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Status {
    let Some(entry) = function(handle) else {
        return INVALID_HANDLE;
    };
    if !extra.is_null() {
        return NOT_SUPPORTED;
    }
    let mut values: Vec<Argument> = Vec::new();
    let mut pointers = Vec::new();
    for (i, (size, is_pointer)) in entry.parameters().enumerate() {
        let mut value = vec![0_u128; size.div_ceil(16)];
        // SAFETY: the caller passes as many arguments as the kernel has parameters, each of its size.
        unsafe {
            let from = *arguments.add(i);
            ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast(), size);
        }
        if is_pointer {
            pointers.push((i, value[0] as u64));
        }
        values.push(value);
    }
    on_stream(stream, |gpu| {
        gpu.work(stream, format!("kernel `{}`", entry.name()), move |memory| {
            for &(i, at) in &pointers {
                if at != 0 {
                    memory.check(at, 0).map_err(|e| format!("argument {i}: {e}"))?;
                }
            }
            let arguments: Vec<*const c_void> = values.iter().map(|v| v.as_ptr().cast()).collect();
            // SAFETY: the arguments are copies of the parameters' sizes; the start of each pointer's memory was checked, and
            // past the end of memory are guard pages.
            unsafe { entry.run([gx, gy, gz], [bx, by, bz], &arguments) }
        });
        SUCCESS
    })
}

/// As above.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoad(_module: *mut u64, _path: *const c_char) -> Status {
    NOT_SUPPORTED
}
