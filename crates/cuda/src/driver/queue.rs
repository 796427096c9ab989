//! The one stream of a GPU: memory is allocated and work queued on it, in order.

use super::fault::{Doing, bytes, is_out_of_memory};
use super::pool;
use crate::Result;
use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DeviceRepr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct Queue {
    stream: Arc<CudaStream>,
    /// Whether the stream is capturing a graph.
    recording: AtomicBool,
}

impl Queue {
    pub(super) fn new(stream: Arc<CudaStream>) -> Queue {
        Queue {
            stream,
            recording: AtomicBool::new(false),
        }
    }

    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    pub(super) fn context(&self) -> &Arc<CudaContext> {
        self.stream.context()
    }

    /// Binds the context to the calling thread, as every driver call requires.
    pub(super) fn bind(&self) -> Result<()> {
        self.context()
            .bind_to_thread()
            .doing(|| "go on (an earlier operation failed)".into())
    }

    pub(super) fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Acquire)
    }

    /// Returns whether it was recording before.
    pub(super) fn set_recording(&self, on: bool) -> bool {
        self.recording.swap(on, Ordering::AcqRel)
    }

    /// Waits until all queued work is done.
    pub(super) fn synchronize(&self) -> Result<()> {
        self.stream
            .synchronize()
            .doing(|| "finish what was queued on the device".into())
    }

    /// Returns freed memory that the pools keep to the device. Waits until all queued work is done.
    pub(super) fn release_kept(&self) -> Result<()> {
        self.synchronize()?;
        pool::trim(self.context())
    }

    /// Memory for `len` values of a type.
    pub(super) fn slice<T: DeviceRepr>(&self, len: usize) -> Result<CudaSlice<T>> {
        let size = len * size_of::<T>();
        // SAFETY: its contents are never read before they are written: kernels and copies get it as an output.
        // CUDA cannot allocate zero bytes, so a slice of length 0 holds one value.
        let take = || unsafe { self.stream.alloc::<T>(len.max(1)) };
        let mut slice = take();
        if is_out_of_memory(&slice) && !self.is_recording() {
            // Graphs have their own pool: memory that it keeps is not available here.
            self.release_kept()?;
            slice = take();
        }
        let slice = slice.doing(|| {
            let free = self
                .context()
                .mem_get_info()
                .map(|(free, total)| format!(" ({} of its {} are free)", bytes(free), bytes(total)))
                .unwrap_or_default();
            format!("give {} of the device's memory{free}", bytes(size))
        })?;
        if len > 0 {
            return Ok(slice);
        }
        // SAFETY: takes back the memory that `leak` released, with the requested length.
        Ok(unsafe { self.stream.upgrade_device_ptr(slice.leak(), 0) })
    }
}
