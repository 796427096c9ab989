//! Recording, and graphs.

use super::{INVALID_HANDLE, INVALID_VALUE, NOT_SUPPORTED, SUCCESS, Status, on_card, on_stream};
use crate::queue::card;
use std::ffi::c_int;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamBeginCapture_v2(stream: u64, mode: u32) -> Status {
    const THREAD_LOCAL: u32 = 1;
    on_card(|card| match card.is_stream(stream) {
        false => INVALID_HANDLE,
        true if mode != THREAD_LOCAL => NOT_SUPPORTED,
        true => card.begin_recording(stream),
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamEndCapture(stream: u64, graph: *mut u64) -> Status {
    on_card(|card| {
        if !card.is_stream(stream) {
            return INVALID_HANDLE;
        }
        let ended = card.end_recording(stream);
        // SAFETY: the caller has room for a handle.
        unsafe { *graph = ended.unwrap_or(0) };
        ended.err().unwrap_or(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamIsCapturing(stream: u64, status: *mut u32) -> Status {
    on_card(|card| {
        if !card.is_stream(stream) {
            return INVALID_HANDLE;
        }
        // SAFETY: the caller has room for a number.
        unsafe { *status = card.graphs.status(stream) };
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphInstantiateWithFlags(ready: *mut u64, graph: u64, flags: u64) -> Status {
    const AUTO_FREE_ON_LAUNCH: u64 = 1;
    on_card(|card| {
        if flags & !AUTO_FREE_ON_LAUNCH != 0 {
            return INVALID_VALUE;
        }
        match card.instantiate(graph, flags == AUTO_FREE_ON_LAUNCH) {
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
    on_stream(stream, |card| match card.is_ready(ready) {
        true => SUCCESS,
        false => INVALID_VALUE,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphLaunch(ready: u64, stream: u64) -> Status {
    on_stream(stream, |card| card.launch(ready, stream))
}

// Dropped graphs are destroyed even if the device has failed.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphExecDestroy(ready: u64) -> Status {
    card().destroy_ready(ready)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphDestroy(graph: u64) -> Status {
    card().destroy_recorded(graph)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetGraphMemAttribute(_device: c_int, attribute: u32, value: *mut u64) -> Status {
    let card = card();
    let graphs = &card.memory.graphs;
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
    let mut card = card();
    let graphs = &mut card.memory.graphs;
    match (attribute, value) {
        (1, 0) => graphs.used_high = graphs.used,
        (3, 0) => graphs.held_high = graphs.held,
        _ => return INVALID_VALUE,
    }
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGraphMemTrim(_device: c_int) -> Status {
    card().memory.graphs.trim(0);
    SUCCESS
}

#[cfg(test)]
mod tests;
