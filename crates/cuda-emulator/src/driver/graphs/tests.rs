//! Which calls invalidate a recording, made through the driver's functions.

// SAFETY of all: handles and memory come from earlier calls, and output pointers have room for the results.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::driver::{
    CAPTURE_INVALIDATED, CAPTURE_ISOLATION, CAPTURE_UNSUPPORTED, CAPTURE_WRONG_THREAD, CAPTURED_EVENT, CONTEXT,
    ILLEGAL_STATE, NOT_SUPPORTED, SUCCESS, Status,
};
use std::ffi::{c_char, c_uint, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::thread;

unsafe extern "C" {
    fn cuCtxSetCurrent(context: u64) -> Status;
    fn cuCtxSynchronize() -> Status;
    fn cuStreamCreate(stream: *mut u64, flags: c_uint) -> Status;
    fn cuStreamDestroy_v2(stream: u64) -> Status;
    fn cuStreamSynchronize(stream: u64) -> Status;
    fn cuStreamWaitEvent(stream: u64, event: u64, flags: c_uint) -> Status;
    fn cuStreamBeginCapture_v2(stream: u64, mode: u32) -> Status;
    fn cuStreamEndCapture(stream: u64, graph: *mut u64) -> Status;
    fn cuStreamIsCapturing(stream: u64, status: *mut u32) -> Status;
    fn cuGraphInstantiateWithFlags(ready: *mut u64, graph: u64, flags: u64) -> Status;
    fn cuGraphLaunch(ready: u64, stream: u64) -> Status;
    fn cuEventCreate(event: *mut u64, flags: c_uint) -> Status;
    fn cuEventRecord(event: u64, stream: u64) -> Status;
    fn cuEventQuery(event: u64) -> Status;
    fn cuEventSynchronize(event: u64) -> Status;
    fn cuMemAllocAsync(address: *mut u64, bytes: usize, stream: u64) -> Status;
    fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> Status;
    fn cuMemFreeAsync(address: u64, stream: u64) -> Status;
    fn cuMemFree_v2(address: u64) -> Status;
    fn cuMemHostAlloc(address: *mut *mut c_void, bytes: usize, flags: c_uint) -> Status;
    fn cuMemFreeHost(address: *mut c_void) -> Status;
    fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: u64) -> Status;
    fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) -> Status;
    fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: u64) -> Status;
    fn cuMemsetD8Async(at: u64, value: u8, bytes: usize, stream: u64) -> Status;
    fn cuModuleLoadData(module: *mut u64, image: *const c_char) -> Status;
}

/// A call of one thread may invalidate the recordings of all, so the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

const THREAD_LOCAL: u32 = 1;

/// The result that a call writes through its first argument.
fn made<T: Default>(make: impl FnOnce(*mut T) -> Status) -> T {
    let mut value = T::default();
    assert_eq!(make(&raw mut value), SUCCESS);
    value
}

/// A stream, with memory of 4 bytes, and an event that was recorded before.
struct Bench {
    stream: u64,
    at: u64,
    event: u64,
    pinned: usize,
}

impl Bench {
    fn new() -> Bench {
        unsafe {
            assert_eq!(cuCtxSetCurrent(CONTEXT), SUCCESS);
            let stream = made(|s| cuStreamCreate(s, 1));
            let at = made(|at| cuMemAllocAsync(at, 4, stream));
            let event = made(|e| cuEventCreate(e, 0));
            assert_eq!(cuEventRecord(event, stream), SUCCESS);
            let mut pinned = ptr::null_mut();
            assert_eq!(cuMemHostAlloc(&raw mut pinned, 4, 0), SUCCESS);
            Bench {
                stream,
                at,
                event,
                pinned: pinned as usize,
            }
        }
    }

    fn begin(&self) {
        assert_eq!(unsafe { cuStreamBeginCapture_v2(self.stream, THREAD_LOCAL) }, SUCCESS);
    }

    fn end(&self) -> (Status, u64) {
        let mut graph = 1;
        let status = unsafe { cuStreamEndCapture(self.stream, &raw mut graph) };
        (status, graph)
    }

    fn set(&self, value: u8) -> Status {
        unsafe { cuMemsetD8Async(self.at, value, 4, self.stream) }
    }

    fn read(&self) -> [u8; 4] {
        let mut bytes = [0; 4];
        let status = unsafe { cuMemcpyDtoHAsync_v2(bytes.as_mut_ptr().cast(), self.at, 4, self.stream) };
        assert_eq!(status, SUCCESS);
        bytes
    }

    fn status(&self) -> u32 {
        made(|status| unsafe { cuStreamIsCapturing(self.stream, status) })
    }

    /// Makes a call that is illegal during capture, and checks that the recording fails and that the stream remains usable.
    fn breaks(&self, what: &str, expected: Status, ask: impl FnOnce() -> Status) {
        self.begin();
        assert_eq!(self.set(1), SUCCESS);
        assert_eq!(self.status(), 1, "{what}");
        assert_eq!(ask(), expected, "{what}");
        assert_eq!(self.status(), 2, "{what}");
        assert_eq!(self.set(2), CAPTURE_INVALIDATED, "{what}");
        assert_eq!(self.end(), (CAPTURE_INVALIDATED, 0), "{what}");
        assert_eq!(self.status(), 0, "{what}");
        assert_eq!(self.set(3), SUCCESS, "{what}");
        assert_eq!(self.read(), [3; 4], "{what}");
    }
}

#[test]
fn what_cannot_be_recorded_breaks_the_recording() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bench = Bench::new();
    let Bench {
        stream,
        at,
        event,
        pinned,
    } = bench;
    let mut host = [0_u8; 4];
    let to = host.as_mut_ptr().cast::<c_void>();
    let mut handle = 0;
    let out = &raw mut handle;
    unsafe {
        let no = CAPTURE_UNSUPPORTED;
        bench.breaks("waiting for the stream", no, || cuStreamSynchronize(stream));
        bench.breaks("waiting for another", no, || cuStreamSynchronize(0));
        bench.breaks("waiting for the device", no, || cuCtxSynchronize());
        bench.breaks("ending the stream", no, || cuStreamDestroy_v2(stream));
        bench.breaks("asking for an event", no, || cuEventQuery(event));
        bench.breaks("waiting for an event", no, || cuEventSynchronize(event));
        bench.breaks("an event in it", CAPTURED_EVENT, || {
            let own = made(|e| cuEventCreate(e, 0));
            assert_eq!(cuEventRecord(own, stream), SUCCESS);
            cuEventQuery(own)
        });
        bench.breaks("a wait for what is outside", CAPTURE_ISOLATION, || {
            cuStreamWaitEvent(stream, event, 0)
        });
        bench.breaks("a wait outside for it", no, || {
            let own = made(|e| cuEventCreate(e, 0));
            assert_eq!(cuEventRecord(own, stream), SUCCESS);
            // In its own stream it precedes the work queued now.
            assert_eq!(cuStreamWaitEvent(stream, own, 0), SUCCESS);
            cuStreamWaitEvent(0, own, 0)
        });
        bench.breaks("a copy to the host", no, || cuMemcpyDtoHAsync_v2(to, at, 4, stream));
        bench.breaks("the same, locked", no, || {
            cuMemcpyDtoHAsync_v2(pinned as *mut c_void, at, 4, stream)
        });
        bench.breaks("a copy from the host", no, || cuMemcpyHtoDAsync_v2(at, to, 4, stream));
        bench.breaks("a copy that waits", no, || cuMemcpyHtoD_v2(at, to, 4));
        bench.breaks("memory without a stream", no, || cuMemAlloc_v2(out, 4));
        bench.breaks("freeing without a stream", no, || cuMemFree_v2(at));
        bench.breaks("freeing what was there", no, || cuMemFreeAsync(at, stream));
        bench.breaks("freeing twice", no, || {
            let own = made(|own| cuMemAllocAsync(own, 4, stream));
            assert_eq!(cuMemFreeAsync(own, stream), SUCCESS);
            cuMemFreeAsync(own, stream)
        });
        bench.breaks("locking memory", no, || cuMemHostAlloc(&mut ptr::null_mut(), 4, 0));
        bench.breaks("unlocking memory", no, || cuMemFreeHost(pinned as *mut c_void));
        bench.breaks("loading kernels", no, || {
            cuModuleLoadData(out, c".version 8.0".as_ptr())
        });
        bench.breaks("another thread", no, || {
            thread::scope(|s| {
                let other = s.spawn(|| {
                    assert_eq!(cuCtxSetCurrent(CONTEXT), SUCCESS);
                    bench.set(4)
                });
                other.join().unwrap()
            })
        });
        bench.breaks("its end on another thread", CAPTURE_WRONG_THREAD, || {
            thread::scope(|s| {
                let other = s.spawn(|| {
                    assert_eq!(cuCtxSetCurrent(CONTEXT), SUCCESS);
                    bench.end().0
                });
                other.join().unwrap()
            })
        });
        bench.breaks("a launch", no, || {
            // The graph is not even looked up.
            cuGraphLaunch(0, stream)
        });
    }
}

#[test]
fn a_recording_begins_and_ends_once() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bench = Bench::new();
    assert_eq!(bench.end(), (ILLEGAL_STATE, 0));
    unsafe {
        assert_eq!(cuStreamBeginCapture_v2(0, THREAD_LOCAL), CAPTURE_UNSUPPORTED);
        assert_eq!(cuStreamBeginCapture_v2(bench.stream, 0), NOT_SUPPORTED);
        bench.begin();
        assert_eq!(cuStreamBeginCapture_v2(bench.stream, THREAD_LOCAL), ILLEGAL_STATE);
    }
    let (status, graph) = bench.end();
    assert_eq!(status, SUCCESS);
    assert_ne!(graph, 0, "nothing is a graph, too");
}

#[test]
fn others_go_on_while_a_stream_records() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bench = Bench::new();
    let other = Bench::new();
    assert_eq!(bench.set(9), SUCCESS);
    bench.begin();
    let from = bench.pinned as *mut u8;
    unsafe {
        assert_eq!(cuMemcpyHtoDAsync_v2(bench.at, from.cast(), 4, bench.stream), SUCCESS);
        // Work queued on another stream by this thread.
        assert_eq!(other.set(1), SUCCESS);
        thread::scope(|s| {
            s.spawn(|| {
                assert_eq!(cuCtxSetCurrent(CONTEXT), SUCCESS);
                let own = Bench::new();
                assert_eq!(own.set(2), SUCCESS);
                assert_eq!(cuStreamSynchronize(own.stream), SUCCESS);
                assert_eq!(own.read(), [2; 4]);
                assert_eq!(other.read(), [1; 4]);
                assert_eq!(cuEventQuery(own.event), SUCCESS);
                assert_eq!(cuMemFreeHost(own.pinned as *mut c_void), SUCCESS);
            });
        });
    }
    let (status, graph) = bench.end();
    assert_eq!(status, SUCCESS);
    assert_eq!(bench.read(), [9; 4]);
    // Each launch reads the host memory at that time.
    let ready = made(|ready| unsafe { cuGraphInstantiateWithFlags(ready, graph, 1) });
    for value in [5, 6] {
        unsafe {
            from.write_bytes(value, 4);
            assert_eq!(cuGraphLaunch(ready, bench.stream), SUCCESS);
        }
        assert_eq!(bench.read(), [value; 4]);
    }
}
