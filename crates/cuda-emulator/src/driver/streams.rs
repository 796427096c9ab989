//! Streams and events.

use super::{CAPTURED_EVENT, INVALID_HANDLE, NOT_READY, SUCCESS, Status, on_gpu, on_stream};
use crate::queue::Gpu;
use std::ffi::c_uint;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreate(stream: *mut u64, _flags: c_uint) -> Status {
    on_gpu(|gpu| {
        // SAFETY: the caller has room for a handle.
        unsafe { *stream = gpu.new_stream() };
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamDestroy_v2(stream: u64) -> Status {
    on_gpu(|gpu| {
        if !gpu.is_stream(stream) {
            return INVALID_HANDLE;
        }
        match gpu.break_recording(stream, "the end of its stream") {
            SUCCESS => {
                gpu.end_stream(stream);
                SUCCESS
            }
            refused => refused,
        }
    })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn cuStreamSynchronize(stream: u64) -> Status {
    on_gpu(|gpu| {
        if !gpu.is_stream(stream) {
            return INVALID_HANDLE;
        }
        let what = "waiting for a stream";
        match gpu.break_recording(stream, what) {
            SUCCESS => {}
            refused => return refused,
        }
        let refused = gpu.break_own(what);
        if refused == SUCCESS {
            gpu.finish(stream);
        }
        refused
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamWaitEvent(stream: u64, event: u64, _flags: c_uint) -> Status {
    on_stream(stream, |gpu| {
        let refused = gpu.may_wait(stream, event);
        if refused == SUCCESS {
            gpu.wait(stream, event);
        }
        refused
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventCreate(event: *mut u64, flags: c_uint) -> Status {
    const DISABLE_TIMING: c_uint = 2;
    on_gpu(|gpu| {
        // SAFETY: the caller has room for a handle.
        unsafe { *event = gpu.new_event(flags & DISABLE_TIMING == 0) };
        SUCCESS
    })
}

fn on_event(event: u64, act: impl FnOnce(&mut Gpu) -> Status) -> Status {
    on_gpu(|gpu| match gpu.events.contains_key(&event) {
        true => act(gpu),
        false => INVALID_HANDLE,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventDestroy_v2(event: u64) -> Status {
    on_event(event, |gpu| {
        gpu.events.remove(&event);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventRecord(event: u64, stream: u64) -> Status {
    on_stream(stream, |gpu| {
        if !gpu.events.contains_key(&event) {
            return INVALID_HANDLE;
        }
        gpu.record(event, stream);
        SUCCESS
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventQuery(event: u64) -> Status {
    on_event(event, |gpu| match gpu.may_ask(event) {
        SUCCESS if gpu.query(event) => SUCCESS,
        SUCCESS => NOT_READY,
        refused => refused,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventSynchronize(event: u64) -> Status {
    on_event(event, |gpu| {
        let refused = gpu.may_ask(event);
        if refused == SUCCESS {
            gpu.reach(event);
        }
        refused
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: u64, end: u64) -> Status {
    on_event(start, |gpu| {
        let (Some(a), Some(b)) = (gpu.events.get(&start), gpu.events.get(&end)) else {
            return INVALID_HANDLE;
        };
        if !a.timed || !b.timed {
            return INVALID_HANDLE;
        }
        if a.captured.is_some() || b.captured.is_some() {
            return CAPTURED_EVENT;
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
    // SAFETY: as for `cuEventElapsedTime_v2`.
    unsafe { cuEventElapsedTime_v2(milliseconds, start, end) }
}
