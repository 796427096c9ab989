//! Device memory, page-locked host memory, and copies between them.

use super::streams::cuStreamSynchronize;
use super::{INVALID_VALUE, OUT_OF_MEMORY, SUCCESS, Status, on_stream, unrecorded};
use std::ffi::{c_uint, c_void};
use std::ptr;

const WAITING: &str = "a copy that waits for the device";

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocAsync(address: *mut u64, bytes: usize, stream: u64) -> Status {
    on_stream(stream, |gpu| {
        if bytes == 0 {
            return INVALID_VALUE;
        }
        if gpu.graphs.recording(stream).is_some() {
            return match gpu.record_take(stream, bytes) {
                Ok(at) => {
                    // SAFETY: the caller has room for an address.
                    unsafe { *address = at as u64 };
                    SUCCESS
                }
                Err(refused) => refused,
            };
        }
        let mut at = gpu.memory.alloc(bytes);
        if at.is_none() {
            // Queued frees have not happened yet.
            gpu.finish_all();
            at = gpu.memory.alloc(bytes);
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
    match unrecorded("taking memory without a stream", |_| SUCCESS) {
        // SAFETY: as for `cuMemAllocAsync`.
        SUCCESS => unsafe { cuMemAllocAsync(address, bytes, 0) },
        refused => refused,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFreeAsync(address: u64, stream: u64) -> Status {
    on_stream(stream, |gpu| {
        let at = address as usize;
        if gpu.graphs.recording(stream).is_some() {
            return gpu.record_free(stream, at);
        }
        if gpu.memory.is_given_up(at) {
            return INVALID_VALUE;
        }
        gpu.work(stream, "free".into(), move |memory| memory.free(at));
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFree_v2(address: u64) -> Status {
    unrecorded("freeing memory without a stream", |gpu| {
        gpu.finish_all();
        gpu.work(0, "free".into(), move |memory| memory.free(address as usize));
        gpu.finish(0);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostAlloc(address: *mut *mut c_void, bytes: usize, _flags: c_uint) -> Status {
    unrecorded("locking memory of the host", |gpu| {
        let mut pages = vec![0_u8; bytes];
        let at = pages.as_mut_ptr();
        gpu.memory.pinned.insert(at as usize, pages);
        // SAFETY: the caller has room for an address.
        unsafe { *address = at.cast() };
        SUCCESS
    })
}

/// The real function waits for the device.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFreeHost(address: *mut c_void) -> Status {
    unrecorded("freeing memory of the host, which waits for the device", |gpu| {
        gpu.finish_all();
        match gpu.memory.pinned.remove(&(address as usize)) {
            Some(_) => SUCCESS,
            None => INVALID_VALUE,
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: u64) -> Status {
    on_stream(stream, |gpu| {
        let from = from as usize;
        if gpu.memory.is_device(from) {
            return INVALID_VALUE;
        }
        let what = format!("copy of {bytes} bytes to the device");
        if gpu.memory.is_pinned(from, bytes) {
            gpu.work(stream, what, move |memory| {
                memory.check(to, bytes)?;
                if !memory.is_pinned(from, bytes) {
                    return Err("the host's memory that it reads is gone".into());
                }
                // SAFETY: both were checked.
                unsafe { ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes) };
                Ok(())
            });
        } else if gpu.graphs.recording(stream).is_some() {
            return gpu.break_recording(
                stream,
                &format!(
                    "a {what} from memory of the host that is not page-locked, which each launch would read again"
                ),
            );
        } else {
            // Pageable memory is read before the call returns.
            // SAFETY: the caller's promise.
            let read = unsafe { std::slice::from_raw_parts(from as *const u8, bytes) }.to_vec();
            gpu.work(stream, what, move |memory| {
                memory.check(to, bytes)?;
                // SAFETY: checked, and the bytes are owned.
                unsafe { ptr::copy_nonoverlapping(read.as_ptr(), to as *mut u8, bytes) };
                Ok(())
            });
        }
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) -> Status {
    match unrecorded(WAITING, |_| SUCCESS) {
        SUCCESS => {}
        refused => return refused,
    }
    // SAFETY: the caller's promise.
    let asked = unsafe { cuMemcpyHtoDAsync_v2(to, from, bytes, 0) };
    if asked != SUCCESS {
        return asked;
    }
    // SAFETY: an existing stream.
    unsafe { cuStreamSynchronize(0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: u64) -> Status {
    on_stream(stream, |gpu| {
        let to = to as usize;
        if gpu.memory.is_device(to) {
            return INVALID_VALUE;
        }
        if gpu.graphs.recording(stream).is_some() {
            return gpu.break_recording(stream, &format!("a copy of {bytes} bytes to the host"));
        }
        let pinned = gpu.memory.is_pinned(to, bytes);
        gpu.work(
            stream,
            format!("copy of {bytes} bytes from the device"),
            move |memory| {
                memory.check(from, bytes)?;
                if pinned && !memory.is_pinned(to, bytes) {
                    return Err("the host's memory that it writes is gone".into());
                }
                // SAFETY: checked, or the caller's promise until this call returns.
                unsafe { ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes) };
                Ok(())
            },
        );
        if !pinned {
            // A copy into pageable memory is done when the call returns.
            gpu.finish(stream);
        }
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> Status {
    match unrecorded(WAITING, |_| SUCCESS) {
        // SAFETY: the caller's promise.
        SUCCESS => unsafe { cuMemcpyDtoHAsync_v2(to, from, bytes, 0) },
        refused => refused,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: u64) -> Status {
    on_stream(stream, |gpu| {
        gpu.work(stream, format!("copy of {bytes} bytes on the device"), move |memory| {
            memory.check(from, bytes)?;
            memory.check(to, bytes)?;
            // SAFETY: both were checked.
            unsafe { ptr::copy(from as *const u8, to as *mut u8, bytes) };
            Ok(())
        });
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemsetD8Async(at: u64, value: u8, bytes: usize, stream: u64) -> Status {
    on_stream(stream, |gpu| {
        gpu.work(stream, format!("setting of {bytes} bytes"), move |memory| {
            memory.check(at, bytes)?;
            // SAFETY: checked.
            unsafe { (at as *mut u8).write_bytes(value, bytes) };
            Ok(())
        });
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemsetD8_v2(at: u64, value: u8, bytes: usize) -> Status {
    match unrecorded("setting memory without a stream", |_| SUCCESS) {
        // SAFETY: as for `cuMemsetD8Async`.
        SUCCESS => unsafe { cuMemsetD8Async(at, value, bytes, 0) },
        refused => refused,
    }
}
