//! Bytes from the host to the device while it computes.

use super::fault::{Doing, bytes};
use super::gpu::CudaGpu;
use crate::{Error, Result};
use cudarc::driver::{CudaContext, CudaEvent, CudaSlice, CudaStream, result};
use std::collections::VecDeque;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sends batches of bytes on a stream of its own, from page-locked ("pinned") memory, which the device reads directly.
///
/// Fill a [`buffer`](Self::buffer), [`send`](Self::send) it before the step that runs meanwhile, and
/// [`arrive`](Sent::arrive) when the batch is needed. Clones of an `Upload` share its buffers and stream.
#[derive(Clone)]
pub struct Upload(Arc<Shared>);

struct Shared {
    gpu: CudaGpu,
    stream: Arc<CudaStream>,
    buffers: Mutex<Buffers>,
}

#[derive(Default)]
struct Buffers {
    idle: Vec<Pages>,
    /// In use by a copy, each until its event.
    busy: VecDeque<(Arc<CudaEvent>, Pages)>,
}

impl Upload {
    /// Creates a stream for copies, next to the GPU's own.
    ///
    /// # Errors
    /// The driver fails.
    pub fn new(gpu: &CudaGpu) -> Result<Upload> {
        let stream = gpu.context().new_stream().doing(|| "make a stream for copies".into())?;
        Ok(Upload(Arc::new(Shared {
            gpu: gpu.clone(),
            stream,
            buffers: Mutex::default(),
        })))
    }

    /// A buffer of `len` bytes with arbitrary contents: one whose copy is done, or a new one. It may be filled on any thread, and
    /// is reused if it is dropped unsent.
    ///
    /// # Errors
    /// The host has no pinned memory left.
    pub fn buffer(&self, len: usize) -> Result<Pinned> {
        self.0.gpu.bind()?;
        let mut buffers = self.0.buffers();
        buffers.recycle()?;
        // The smallest that is large enough; a last batch is smaller than the others.
        let best = buffers
            .idle
            .iter()
            .enumerate()
            .filter(|(_, p)| p.size >= len)
            .min_by_key(|(_, p)| p.size)
            .map(|(i, _)| i);
        let pages = match best {
            Some(i) => buffers.idle.swap_remove(i),
            None => {
                // Of a size that is no longer used.
                buffers.idle.clear();
                Pages::new(self.0.gpu.context(), len)?
            }
        };
        Ok(Pinned {
            pages: ManuallyDrop::new(pages),
            len,
            owner: self.0.clone(),
        })
    }

    /// Queues the copy of a buffer, and returns at once.
    ///
    /// # Errors
    /// The device has no memory left, or the driver fails.
    pub fn send(&self, buffer: Pinned) -> Result<Sent> {
        self.0.gpu.bind()?;
        let len = buffer.len;
        let queue = self.0.stream.cu_stream();
        let doing = || format!("copy {} to the device", bytes(len));
        // Allocated on the copy's stream, so that the copy waits for no computation.
        // SAFETY: the stream is alive. CUDA cannot allocate zero bytes.
        let address = unsafe { result::malloc_async(queue, len.max(1)) }
            .doing(|| format!("give {} of the device's memory", bytes(len)))?;
        let copied = (|| {
            if len > 0 {
                // SAFETY: `address` has `len` bytes from here on in this stream; the buffer's pages are kept, and not
                // reused, until the event below has completed.
                unsafe { result::memcpy_htod_async(address, &buffer[..], queue) }.doing(doing)?;
            }
            self.0.stream.record_event(None).doing(doing)
        })();
        let event = match copied {
            Ok(event) => Arc::new(event),
            Err(e) => {
                // A copy may have been queued: its source and destination must outlive it.
                let _ = self.0.stream.synchronize();
                // SAFETY: allocated above, and not shared.
                let _ = unsafe { result::free_async(address, queue) };
                return Err(e);
            }
        };
        let pages = buffer.into_pages();
        self.0.buffers().busy.push_back((event.clone(), pages));
        Ok(Sent {
            address,
            len,
            event,
            owner: self.0.clone(),
        })
    }
}

impl Shared {
    fn buffers(&self) -> MutexGuard<'_, Buffers> {
        // A panic elsewhere leaves the lists valid.
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The pages of copies in flight are freed below.
        let _ = self.stream.synchronize();
    }
}

impl Buffers {
    /// Recycles the pages whose copies are done.
    fn recycle(&mut self) -> Result<()> {
        while let Some((event, _)) = self.busy.front() {
            if !event.try_is_complete().doing(|| "copy a batch to the device".into())? {
                break;
            }
            self.idle.extend(self.busy.pop_front().map(|(_, pages)| pages));
        }
        Ok(())
    }
}

/// A buffer of page-locked bytes, to be filled and sent.
pub struct Pinned {
    /// Moved out when the buffer is dropped or sent.
    pages: ManuallyDrop<Pages>,
    len: usize,
    owner: Arc<Shared>,
}

impl Pinned {
    fn into_pages(self) -> Pages {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped and not used again; its owner is dropped here, its pages are moved out.
        unsafe {
            std::ptr::drop_in_place(&raw mut this.owner);
            ManuallyDrop::take(&mut this.pages)
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: taken only here, and `self` is not used afterwards.
        let pages = unsafe { ManuallyDrop::take(&mut self.pages) };
        self.owner.buffers().idle.push(pages);
    }
}

impl Deref for Pinned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the pages have at least `len` bytes, which were set when they were made, and no copy is reading them.
        unsafe { slice::from_raw_parts(self.pages.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Pinned {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and only this buffer uses them.
        unsafe { slice::from_raw_parts_mut(self.pages.start.as_ptr(), self.len) }
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Page-locked memory of the host.
struct Pages {
    start: NonNull<u8>,
    size: usize,
    context: Arc<CudaContext>,
}

// SAFETY: plain memory, with one owner.
unsafe impl Send for Pages {}
// SAFETY: nothing changes through a shared reference.
unsafe impl Sync for Pages {}

impl Pages {
    fn new(context: &Arc<CudaContext>, size: usize) -> Result<Pages> {
        let size = size.max(1);
        context.bind_to_thread().doing(|| "choose the device".into())?;
        // Not write-combined: the code that composes clips also reads them.
        // SAFETY: the memory is freed only by `drop`.
        let start = unsafe { result::malloc_host(size, 0) }
            .doing(|| format!("lock {} of the host's memory for copies", bytes(size)))?;
        let start = NonNull::new(start.cast::<u8>())
            .ok_or_else(|| Error::Device("the CUDA driver gave no memory of the host".into()))?;
        // SAFETY: `size` bytes begin there. They are zeroed so that they can be borrowed as `&[u8]`.
        unsafe { start.write_bytes(0, size) };
        Ok(Pages {
            start,
            size,
            context: context.clone(),
        })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.context.record_err(self.context.bind_to_thread());
        // SAFETY: allocated by `malloc_host`, and no copy reads it: pages with a copy in flight are in `Buffers::busy`.
        let freed = unsafe { result::free_host(self.start.as_ptr().cast()) };
        self.context.record_err(freed);
    }
}

/// A batch whose copy is in flight.
pub struct Sent {
    address: u64,
    len: usize,
    event: Arc<CudaEvent>,
    owner: Arc<Shared>,
}

impl Sent {
    /// Makes the GPU's stream (not the host) wait for the copy, and returns the bytes, which are then like all other memory
    /// of that stream.
    ///
    /// # Errors
    /// The driver fails.
    pub fn arrive(self) -> Result<CudaSlice<u8>> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped and not used again; each field is moved out once.
        let (event, owner) = unsafe {
            (
                std::ptr::read(&raw const this.event),
                std::ptr::read(&raw const this.owner),
            )
        };
        receive(this.address, this.len, &event, &owner)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        // Unused: freed after the copy.
        let _ = receive(self.address, self.len, &self.event, &self.owner);
    }
}

/// Moves memory from the copy's stream to the GPU's. On an error it leaks, because the device is then unusable.
fn receive(address: u64, len: usize, event: &CudaEvent, owner: &Shared) -> Result<CudaSlice<u8>> {
    let stream = owner.gpu.stream();
    stream
        .wait(event)
        .doing(|| "have the computation wait for a batch".into())?;
    // SAFETY: `address` has `len` bytes, has no other owner, and was allocated and written before the event that this
    // stream waits for. It is freed on this stream, after its uses: memory may be freed on another stream than it was
    // allocated on, if the order is guaranteed.
    Ok(unsafe { stream.upgrade_device_ptr(address, len) })
}
