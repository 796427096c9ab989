//! Recording, and graphs.

use super::{INVALID_HANDLE, INVALID_VALUE, NOT_SUPPORTED, SUCCESS, Status, on_gpu, on_stream};
use crate::queue::gpu;
use std::ffi::c_int;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamBeginCapture_v2(stream: u64, mode: u32) -> Status {
    const THREAD_LOCAL: u32 = 1;
    on_gpu(|gpu| match gpu.is_stream(stream) {
        false => INVALID_HANDLE,
        true if mode != THREAD_LOCAL => NOT_SUPPORTED,
        true => gpu.begin_recording(stream),
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamEndCapture(stream: u64, graph: *mut u64) -> Status {
    on_gpu(|gpu| {
        if !gpu.is_stream(stream) {
            return INVALID_HANDLE;
        }
        let ended = gpu.end_recording(stream);
        // SAFETY: the caller has room for a handle.
        unsafe { *graph = ended.unwrap_or(0) };
        ended.err().unwrap_or(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamIsCapturing(stream: u64, status: *mut u32) -> Status {
    on_gpu(|gpu| {
        if !gpu.is_stream(stream) {
            return INVALID_HANDLE;
        }
        // SAFETY: the caller has room for a number.
        unsafe { *status = gpu.graphs.status(stream) };
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphInstantiateWithFlags(ready: *mut u64, graph: u64, flags: u64) -> Status {
    const AUTO_FREE_ON_LAUNCH: u64 = 1;
    on_gpu(|gpu| {
        if flags & !AUTO_FREE_ON_LAUNCH != 0 {
            return INVALID_VALUE;
        }
        match gpu.instantiate(graph, flags == AUTO_FREE_ON_LAUNCH) {
            Ok(handle) => {
                // SAFETY: the caller has room for a handle.
                unsafe { *ready = handle };
                SUCCESS
            }
            Err(refused) => refused,
        }
    })
}

/// Uploading needs no preparation here.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphUpload(ready: u64, stream: u64) -> Status {
    on_stream(stream, |gpu| match gpu.is_ready(ready) {
        true => SUCCESS,
        false => INVALID_VALUE,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphLaunch(ready: u64, stream: u64) -> Status {
    on_stream(stream, |gpu| gpu.launch(ready, stream))
}

// Dropped graphs are destroyed even if the device has failed.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphExecDestroy(ready: u64) -> Status {
    gpu().destroy_ready(ready)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphDestroy(graph: u64) -> Status {
    gpu().destroy_recorded(graph)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetGraphMemAttribute(_device: c_int, attribute: u32, value: *mut u64) -> Status {
    let gpu = gpu();
    let graphs = &gpu.memory.graphs;
    let number = match attribute {
        0 => graphs.used,
        1 => graphs.used_high,
        2 => graphs.held,
        3 => graphs.held_high,
        _ => return INVALID_VALUE,
    };
    // SAFETY: these attributes are 64-bit numbers.
    unsafe { *value = number as u64 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceSetGraphMemAttribute(_device: c_int, attribute: u32, value: *const u64) -> Status {
    // SAFETY: these attributes are 64-bit numbers.
    let value = unsafe { *value };
    let mut gpu = gpu();
    let graphs = &mut gpu.memory.graphs;
    match (attribute, value) {
        (1, 0) => graphs.used_high = graphs.used,
        (3, 0) => graphs.held_high = graphs.held,
        _ => return INVALID_VALUE,
    }
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGraphMemTrim(_device: c_int) -> Status {
    gpu().memory.graphs.trim(0);
    SUCCESS
}

#[cfg(test)]
mod tests;
