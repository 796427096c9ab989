//! The driver: devices, memory, streams, events, modules and launches.

use crate::memory::TOTAL;
use crate::queue::{Card, card};
use glad_cuda_host::Entry;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::{LazyLock, Mutex, PoisonError};

pub type Status = u32;
pub const SUCCESS: Status = 0;
const INVALID_VALUE: Status = 1;
const OUT_OF_MEMORY: Status = 2;
const INVALID_DEVICE: Status = 101;
const INVALID_IMAGE: Status = 200;
const INVALID_CONTEXT: Status = 201;
const INVALID_HANDLE: Status = 400;
const NOT_FOUND: Status = 500;
const NOT_READY: Status = 600;
const LAUNCH_FAILED: Status = 719;
const NOT_SUPPORTED: Status = 801;

/// The one context, as a handle.
const CONTEXT: u64 = 0x10;
/// The one memory pool, as a handle.
const POOL: u64 = 0x20;

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// The entry points of a loaded module: names in its PTX, or, where it is a stand-in without any, those of Candle.
struct Module {
    own: Option<HashSet<String>>,
}

static MODULES: LazyLock<Mutex<HashMap<u64, Module>>> = LazyLock::new(Mutex::default);
static FUNCTIONS: LazyLock<Mutex<HashMap<u64, Entry>>> = LazyLock::new(Mutex::default);

/// How the names of Candle's modules begin, in the list of kernels.
const CANDLE: &str = "candle/";

/// Does something on the card, unless the thread has no context or the card has failed.
pub fn on_card(act: impl FnOnce(&mut Card) -> Status) -> Status {
    if CURRENT.get() != CONTEXT {
        return INVALID_CONTEXT;
    }
    let mut card = card();
    if card.fault.is_some() {
        return LAUNCH_FAILED;
    }
    let status = act(&mut card);
    match card.fault {
        Some(_) => LAUNCH_FAILED,
        None => status,
    }
}

/// The same, on a stream that there is.
pub fn on_stream(stream: u64, act: impl FnOnce(&mut Card) -> Status) -> Status {
    on_card(|card| match card.is_stream(stream) {
        true => act(card),
        false => INVALID_HANDLE,
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
        NOT_FOUND => (c"CUDA_ERROR_NOT_FOUND", c"named symbol not found"),
        NOT_READY => (c"CUDA_ERROR_NOT_READY", c"device not ready"),
        LAUNCH_FAILED => (c"CUDA_ERROR_LAUNCH_FAILED", c"unspecified launch failure"),
        NOT_SUPPORTED => (c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported"),
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
    let text = c"glad's emulated card".to_bytes_with_nul();
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
        // Multiprocessors: a number that divides nothing.
        16 => 7,
        // Compute capability, an Ampere's.
        75 => 8,
        76 => 0,
        // Memory pools.
        115 => 1,
        other => {
            eprintln!("emulated card: it does not know device attribute {other}");
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
    let card = card();
    let memory = &card.memory;
    let number = match attribute {
        5 => memory.held,
        6 => memory.held_high,
        7 => memory.used,
        8 => memory.used_high,
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
    let mut card = card();
    let memory = &mut card.memory;
    match (attribute, value) {
        // What is kept when the device is waited for: all, here.
        (4, _) => {}
        (6, 0) => memory.held_high = memory.held,
        (8, 0) => memory.used_high = memory.used,
        _ => return INVALID_VALUE,
    }
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolTrimTo(pool: u64, keep: usize) -> Status {
    if pool != POOL {
        return INVALID_HANDLE;
    }
    let mut card = card();
    let memory = &mut card.memory;
    memory.held = memory.held.min(keep.max(memory.used.next_multiple_of(2 << 20)));
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
    on_card(|card| {
        card.finish_all();
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Status {
    let card = card();
    // SAFETY: the caller has room for two numbers.
    unsafe {
        *free = TOTAL - card.memory.used;
        *total = TOTAL;
    }
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocAsync(address: *mut u64, bytes: usize, stream: u64) -> Status {
    on_stream(stream, |card| {
        if bytes == 0 {
            return INVALID_VALUE;
        }
        let mut at = card.memory.alloc(bytes);
        if at.is_none() {
            // What is freed in a queue is not free yet.
            card.finish_all();
            at = card.memory.alloc(bytes);
        }
        let Some(at) = at else {
            return OUT_OF_MEMORY;
        };
        // SAFETY: the caller has room for an address.
        unsafe { *address = at as u64 };
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> Status {
    // SAFETY: as there.
    unsafe { cuMemAllocAsync(address, bytes, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFreeAsync(address: u64, stream: u64) -> Status {
    on_stream(stream, |card| {
        card.work(stream, "free".into(), move |memory| memory.free(address as usize));
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFree_v2(address: u64) -> Status {
    on_card(|card| {
        card.finish_all();
        card.work(0, "free".into(), move |memory| memory.free(address as usize));
        card.finish(0);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostAlloc(address: *mut *mut c_void, bytes: usize, _flags: c_uint) -> Status {
    on_card(|card| {
        let mut pages = vec![0_u8; bytes];
        let at = pages.as_mut_ptr();
        card.memory.pinned.insert(at as usize, pages);
        // SAFETY: the caller has room for an address.
        unsafe { *address = at.cast() };
        SUCCESS
    })
}

/// The real one waits for the device.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFreeHost(address: *mut c_void) -> Status {
    on_card(|card| {
        card.finish_all();
        match card.memory.pinned.remove(&(address as usize)) {
            Some(_) => SUCCESS,
            None => INVALID_VALUE,
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: u64) -> Status {
    on_stream(stream, |card| {
        let from = from as usize;
        if card.memory.is_device(from) {
            return INVALID_VALUE;
        }
        let what = format!("copy of {bytes} bytes to the device");
        if card.memory.is_pinned(from, bytes) {
            card.work(stream, what, move |memory| {
                memory.check(to, bytes)?;
                if !memory.is_pinned(from, bytes) {
                    return Err("the host's memory that it reads is gone".into());
                }
                // SAFETY: both were looked up.
                unsafe { ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes) };
                Ok(())
            });
        } else {
            // Other memory is read before the call returns.
            // SAFETY: the caller's promise.
            let read = unsafe { std::slice::from_raw_parts(from as *const u8, bytes) }.to_vec();
            card.work(stream, what, move |memory| {
                memory.check(to, bytes)?;
                // SAFETY: looked up; and the bytes are ours.
                unsafe { ptr::copy_nonoverlapping(read.as_ptr(), to as *mut u8, bytes) };
                Ok(())
            });
        }
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) -> Status {
    // SAFETY: the caller's promise.
    let asked = unsafe { cuMemcpyHtoDAsync_v2(to, from, bytes, 0) };
    if asked != SUCCESS {
        return asked;
    }
    // SAFETY: a stream that there is.
    unsafe { cuStreamSynchronize(0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: u64) -> Status {
    on_stream(stream, |card| {
        let to = to as usize;
        if card.memory.is_device(to) {
            return INVALID_VALUE;
        }
        let pinned = card.memory.is_pinned(to, bytes);
        card.work(
            stream,
            format!("copy of {bytes} bytes from the device"),
            move |memory| {
                memory.check(from, bytes)?;
                if pinned && !memory.is_pinned(to, bytes) {
                    return Err("the host's memory that it writes is gone".into());
                }
                // SAFETY: looked up, or the caller's promise until this call returns.
                unsafe { ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes) };
                Ok(())
            },
        );
        if !pinned {
            // Into other memory the copy is done when the call returns.
            card.finish(stream);
        }
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> Status {
    // SAFETY: the caller's promise.
    unsafe { cuMemcpyDtoHAsync_v2(to, from, bytes, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: u64) -> Status {
    on_stream(stream, |card| {
        card.work(stream, format!("copy of {bytes} bytes on the device"), move |memory| {
            memory.check(from, bytes)?;
            memory.check(to, bytes)?;
            // SAFETY: both were looked up.
            unsafe { ptr::copy(from as *const u8, to as *mut u8, bytes) };
            Ok(())
        });
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemsetD8Async(at: u64, value: u8, bytes: usize, stream: u64) -> Status {
    on_stream(stream, |card| {
        card.work(stream, format!("setting of {bytes} bytes"), move |memory| {
            memory.check(at, bytes)?;
            // SAFETY: looked up.
            unsafe { (at as *mut u8).write_bytes(value, bytes) };
            Ok(())
        });
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemsetD8_v2(at: u64, value: u8, bytes: usize) -> Status {
    // SAFETY: as there.
    unsafe { cuMemsetD8Async(at, value, bytes, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreate(stream: *mut u64, _flags: c_uint) -> Status {
    on_card(|card| {
        // SAFETY: the caller has room for a handle.
        unsafe { *stream = card.new_stream() };
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamDestroy_v2(stream: u64) -> Status {
    on_stream(stream, |card| {
        card.end_stream(stream);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamSynchronize(stream: u64) -> Status {
    on_stream(stream, |card| {
        card.finish(stream);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamIsCapturing(stream: u64, status: *mut u32) -> Status {
    on_stream(stream, |_| {
        // SAFETY: the caller has room for a number.
        unsafe { *status = 0 };
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamWaitEvent(stream: u64, event: u64, _flags: c_uint) -> Status {
    on_stream(stream, |card| {
        if !card.events.contains_key(&event) {
            return INVALID_HANDLE;
        }
        card.wait(stream, event);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventCreate(event: *mut u64, flags: c_uint) -> Status {
    const DISABLE_TIMING: c_uint = 2;
    on_card(|card| {
        // SAFETY: the caller has room for a handle.
        unsafe { *event = card.new_event(flags & DISABLE_TIMING == 0) };
        SUCCESS
    })
}

fn on_event(event: u64, act: impl FnOnce(&mut Card) -> Status) -> Status {
    on_card(|card| match card.events.contains_key(&event) {
        true => act(card),
        false => INVALID_HANDLE,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventDestroy_v2(event: u64) -> Status {
    on_event(event, |card| {
        card.events.remove(&event);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventRecord(event: u64, stream: u64) -> Status {
    on_event(event, |card| match card.is_stream(stream) {
        true => {
            card.record(event, stream);
            SUCCESS
        }
        false => INVALID_HANDLE,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventQuery(event: u64) -> Status {
    on_event(event, |card| match card.query(event) {
        true => SUCCESS,
        false => NOT_READY,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventSynchronize(event: u64) -> Status {
    on_event(event, |card| {
        card.reach(event);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: u64, end: u64) -> Status {
    on_event(start, |card| {
        let (Some(a), Some(b)) = (card.events.get(&start), card.events.get(&end)) else {
            return INVALID_HANDLE;
        };
        if !a.timed || !b.timed {
            return INVALID_HANDLE;
        }
        let (Some(a), Some(b)) = (a.past, b.past) else {
            return NOT_READY;
        };
        let seconds = match b.checked_duration_since(a) {
            Some(later) => later.as_secs_f64(),
            None => -(a - b).as_secs_f64(),
        };
        // SAFETY: the caller has room for a number.
        unsafe { *milliseconds = (seconds * 1e3) as f32 };
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, start: u64, end: u64) -> Status {
    // SAFETY: as there.
    unsafe { cuEventElapsedTime_v2(milliseconds, start, end) }
}

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
    // SAFETY: the caller gives text that ends with a zero.
    let Ok(text) = (unsafe { CStr::from_ptr(image) }).to_str() else {
        return INVALID_IMAGE;
    };
    if !text.contains(".version") {
        return INVALID_IMAGE;
    }
    let own = entries(text);
    on_card(|card| {
        let handle = card.handle();
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
    // SAFETY: as there.
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
    // SAFETY: the caller gives text that ends with a zero.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    let found = match modules.get(&module) {
        None => return INVALID_HANDLE,
        Some(Module { own: Some(own) }) if !own.contains(&*name) => None,
        Some(Module { own: Some(_) }) => Entry::find(&name, |module| !module.starts_with(CANDLE)),
        Some(Module { own: None }) => {
            let found = Entry::find(&name, |module| module.starts_with(CANDLE));
            if found.is_none() {
                eprintln!("emulated card: there is no kernel `{name}` of Candle in it");
            }
            found
        }
    };
    let Some(entry) = found else {
        return NOT_FOUND;
    };
    on_card(|card| {
        let handle = card.handle();
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
        // Nobody asks where it is.
        *offset = 0;
        *size = bytes;
    }
    SUCCESS
}

/// The bytes of an argument, aligned as those of any type.
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
        // SAFETY: the caller gives as many arguments as the kernel has parameters, each of its size.
        unsafe {
            let from = *arguments.add(i);
            ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast(), size);
        }
        if is_pointer {
            pointers.push((i, value[0] as u64));
        }
        values.push(value);
    }
    on_stream(stream, |card| {
        card.work(stream, format!("kernel `{}`", entry.name()), move |memory| {
            for &(i, at) in &pointers {
                if at != 0 {
                    memory.check(at, 0).map_err(|e| format!("argument {i}: {e}"))?;
                }
            }
            let arguments: Vec<*const c_void> = values.iter().map(|v| v.as_ptr().cast()).collect();
            // SAFETY: the arguments are copies of the parameters' sizes; where pointers begin was looked up, and behind the end of
            // memory are pages that stop who touches them.
            unsafe { entry.run([gx, gy, gz], [bx, by, bz], &arguments) }
        });
        SUCCESS
    })
}

/// What Candle has in its program and glad never calls.
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

/// As above.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoad(_module: *mut u64, _path: *const c_char) -> Status {
    NOT_SUPPORTED
}
