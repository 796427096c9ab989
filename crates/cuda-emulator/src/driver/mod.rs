//! The driver: the one device, its context and its memory pool.

mod graphs;
mod launch;
mod memory;
mod streams;

use crate::memory::TOTAL;
use crate::queue::{Gpu, gpu};
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::ptr;

pub(crate) type Status = u32;
pub(crate) const SUCCESS: Status = 0;
pub(crate) const INVALID_VALUE: Status = 1;
pub(crate) const OUT_OF_MEMORY: Status = 2;
const INVALID_DEVICE: Status = 101;
const INVALID_IMAGE: Status = 200;
const INVALID_CONTEXT: Status = 201;
pub(crate) const INVALID_HANDLE: Status = 400;
pub(crate) const ILLEGAL_STATE: Status = 401;
const NOT_FOUND: Status = 500;
const NOT_READY: Status = 600;
const LAUNCH_FAILED: Status = 719;
const NOT_SUPPORTED: Status = 801;
pub(crate) const CAPTURE_UNSUPPORTED: Status = 900;
pub(crate) const CAPTURE_INVALIDATED: Status = 901;
pub(crate) const CAPTURE_ISOLATION: Status = 905;
pub(crate) const CAPTURED_EVENT: Status = 907;
pub(crate) const CAPTURE_WRONG_THREAD: Status = 908;

/// The one context, as a handle.
const CONTEXT: u64 = 0x10;
/// The one memory pool, as a handle.
const POOL: u64 = 0x20;

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// Runs `act` on the emulated GPU, unless the thread has no context or the GPU has failed.
pub(crate) fn on_gpu(act: impl FnOnce(&mut Gpu) -> Status) -> Status {
    if CURRENT.get() != CONTEXT {
        return INVALID_CONTEXT;
    }
    let mut gpu = gpu();
    if gpu.fault.is_some() {
        return LAUNCH_FAILED;
    }
    let status = act(&mut gpu);
    match gpu.fault {
        Some(_) => LAUNCH_FAILED,
        None => status,
    }
}

/// The same for work on an existing stream, which may be in capture.
pub(crate) fn on_stream(stream: u64, act: impl FnOnce(&mut Gpu) -> Status) -> Status {
    on_gpu(|gpu| match gpu.is_stream(stream) {
        true => match gpu.may_work(stream) {
            SUCCESS => act(gpu),
            refused => refused,
        },
        false => INVALID_HANDLE,
    })
}

/// The same for calls that no thread may make while it records.
pub(crate) fn unrecorded(what: &str, act: impl FnOnce(&mut Gpu) -> Status) -> Status {
    on_gpu(|gpu| match gpu.break_own(what) {
        SUCCESS => act(gpu),
        refused => refused,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuInit(_flags: c_uint) -> Status {
    SUCCESS
}

fn name_of(status: Status) -> (&'static CStr, &'static CStr) {
    match status {
        SUCCESS => (c"CUDA_SUCCESS", c"no error"),
        INVALID_VALUE => (c"CUDA_ERROR_INVALID_VALUE", c"invalid argument"),
        OUT_OF_MEMORY => (c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory"),
        INVALID_DEVICE => (c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal"),
        INVALID_IMAGE => (c"CUDA_ERROR_INVALID_IMAGE", c"device kernel image is invalid"),
        INVALID_CONTEXT => (c"CUDA_ERROR_INVALID_CONTEXT", c"invalid device context"),
        INVALID_HANDLE => (c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle"),
        ILLEGAL_STATE => (
            c"CUDA_ERROR_ILLEGAL_STATE",
            c"the operation cannot be performed in the present state",
        ),
        NOT_FOUND => (c"CUDA_ERROR_NOT_FOUND", c"named symbol not found"),
        NOT_READY => (c"CUDA_ERROR_NOT_READY", c"device not ready"),
        LAUNCH_FAILED => (c"CUDA_ERROR_LAUNCH_FAILED", c"unspecified launch failure"),
        NOT_SUPPORTED => (c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported"),
        CAPTURE_UNSUPPORTED => (
            c"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
            c"operation not permitted when stream is capturing",
        ),
        CAPTURE_INVALIDATED => (
            c"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
            c"operation failed due to a previous error during capture",
        ),
        CAPTURE_ISOLATION => (
            c"CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
            c"dependency created on uncaptured work in another stream",
        ),
        CAPTURED_EVENT => (
            c"CUDA_ERROR_CAPTURED_EVENT",
            c"operation not permitted on an event last recorded in a capturing stream",
        ),
        CAPTURE_WRONG_THREAD => (
            c"CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
            c"attempt to terminate a thread-local capture sequence from another thread",
        ),
        _ => (c"CUDA_ERROR_UNKNOWN", c"unknown error"),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorName(status: Status, text: *mut *const c_char) -> Status {
    // SAFETY: the caller has room for a pointer.
    unsafe { *text = name_of(status).0.as_ptr() };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorString(status: Status, text: *mut *const c_char) -> Status {
    // SAFETY: the caller has room for a pointer.
    unsafe { *text = name_of(status).1.as_ptr() };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Status {
    // SAFETY: the caller has room for a number.
    unsafe { *count = 1 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> Status {
    if ordinal != 0 {
        return INVALID_DEVICE;
    }
    // SAFETY: the caller has room for a number.
    unsafe { *device = 0 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, room: c_int, _device: c_int) -> Status {
    let text = c"glad's emulated GPU".to_bytes_with_nul();
    if usize::try_from(room).is_ok_and(|room| room >= text.len()) {
        // SAFETY: the caller has that much room.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr().cast(), name, text.len()) };
        return SUCCESS;
    }
    INVALID_VALUE
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: u32, _device: c_int) -> Status {
    let known = match attribute {
        // Threads of a block, and of a warp.
        1 => 1024,
        10 => 32,
        // Multiprocessors: an odd number, so that no size is a multiple by accident.
        16 => 7,
        // Compute capability, an Ampere's.
        75 => 8,
        76 => 0,
        // Memory pools.
        115 => 1,
        other => {
            eprintln!("emulated GPU: it does not know device attribute {other}");
            return INVALID_VALUE;
        }
    };
    // SAFETY: the caller has room for a number.
    unsafe { *value = known };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetMemPool(pool: *mut u64, _device: c_int) -> Status {
    // SAFETY: the caller has room for a handle.
    unsafe { *pool = POOL };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolGetAttribute(pool: u64, attribute: u32, value: *mut u64) -> Status {
    if pool != POOL {
        return INVALID_HANDLE;
    }
    let gpu = gpu();
    let pool = &gpu.memory.pool;
    let number = match attribute {
        5 => pool.held,
        6 => pool.held_high,
        7 => pool.used,
        8 => pool.used_high,
        _ => return INVALID_VALUE,
    };
    // SAFETY: these attributes are 64-bit numbers.
    unsafe { *value = number as u64 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolSetAttribute(pool: u64, attribute: u32, value: *const u64) -> Status {
    if pool != POOL {
        return INVALID_HANDLE;
    }
    // SAFETY: these attributes are 64-bit numbers.
    let value = unsafe { *value };
    let mut gpu = gpu();
    let pool = &mut gpu.memory.pool;
    match (attribute, value) {
        // The release threshold: here all memory is kept.
        (4, _) => {}
        (6, 0) => pool.held_high = pool.held,
        (8, 0) => pool.used_high = pool.used,
        _ => return INVALID_VALUE,
    }
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolTrimTo(pool: u64, keep: usize) -> Status {
    if pool != POOL {
        return INVALID_HANDLE;
    }
    gpu().memory.pool.trim(keep);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut u64, _device: c_int) -> Status {
    // SAFETY: the caller has room for a handle.
    unsafe { *context = CONTEXT };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRelease_v2(_device: c_int) -> Status {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxDestroy_v2(_context: u64) -> Status {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetCurrent(context: *mut u64) -> Status {
    // SAFETY: the caller has room for a handle.
    unsafe { *context = CURRENT.get() };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxSetCurrent(context: u64) -> Status {
    if context != CONTEXT && context != 0 {
        return INVALID_CONTEXT;
    }
    CURRENT.set(context);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxSynchronize() -> Status {
    on_gpu(|gpu| match gpu.break_all("waiting for the device") {
        SUCCESS => {
            gpu.finish_all();
            SUCCESS
        }
        refused => refused,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Status {
    let gpu = gpu();
    // SAFETY: the caller has room for two numbers.
    unsafe {
        *free = TOTAL - gpu.memory.used();
        *total = TOTAL;
    }
    SUCCESS
}

/// Functions that Candle links and glad never calls.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyPeerAsync(
    _to: u64,
    _at: u64,
    _from: u64,
    _of: u64,
    _bytes: usize,
    _stream: u64,
) -> Status {
    NOT_SUPPORTED
}
