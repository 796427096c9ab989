//! What a card's memory comes from: the driver's pool, and another of the device for what recorded graphs take.

use super::card::Card;
use super::fault::Doing;
use crate::{Error, Result};
use cudarc::driver::sys::{self, CUgraphMem_attribute as Graphs, CUmemPool_attribute as Pool};
use cudarc::driver::{CudaContext, result};

impl Card {
    /// The most bytes that tensors and workspaces held at a time since the last [`reset_peak`](Self::reset_peak) (Candle's
    /// too; not what CUDA and its libraries keep for themselves). It is at most so much where there are recorded graphs: of
    /// theirs is counted what is mapped for one of them, whether it works or not, and the two peaks, which are added, may have
    /// been at different times.
    ///
    /// # Errors
    /// The device has no memory pools.
    pub fn peak_bytes(&self) -> Result<u64> {
        let (pool, graphs) = (
            Pool::CU_MEMPOOL_ATTR_USED_MEM_HIGH,
            Graphs::CU_GRAPH_MEM_ATTR_USED_MEM_HIGH,
        );
        Ok(of_pool(self.context(), pool)? + of_graphs(self.context(), graphs))
    }

    /// As [`peak_bytes`](Self::peak_bytes), with freed memory that is kept.
    ///
    /// # Errors
    /// The device has no memory pools.
    pub fn peak_held_bytes(&self) -> Result<u64> {
        let (pool, graphs) = (
            Pool::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH,
            Graphs::CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH,
        );
        Ok(of_pool(self.context(), pool)? + of_graphs(self.context(), graphs))
    }

    /// Gives freed memory that is kept back to the card, for other programs. Waits until all that was queued is done.
    ///
    /// # Errors
    /// The device has no memory pools, or something queued before failed.
    pub fn release_kept(&self) -> Result<()> {
        self.synchronize()?;
        let pool = pool(self.context())?;
        // SAFETY: the pool is the device's; what is in use stays.
        unsafe { result::mem_pool::trim_to(pool, 0) }.doing(|| "give kept memory back to the device".into())?;
        // A device that keeps none for graphs refuses.
        // SAFETY: the device is the context's; what is in use stays.
        let _ = unsafe { sys::cuDeviceGraphMemTrim(self.context().cu_device()) };
        Ok(())
    }

    /// Counts [`peak_bytes`](Self::peak_bytes) and [`peak_held_bytes`](Self::peak_held_bytes) anew from what is taken now.
    ///
    /// # Errors
    /// The device has no memory pools.
    pub fn reset_peak(&self) -> Result<()> {
        let pool = pool(self.context())?;
        // The one value that these attributes may be set to.
        let mut zero = 0_u64;
        for attribute in [
            Pool::CU_MEMPOOL_ATTR_USED_MEM_HIGH,
            Pool::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH,
        ] {
            // SAFETY: the pool is the device's, and these attributes are cuuint64_t.
            unsafe { result::mem_pool::set_attribute(pool, attribute, (&raw mut zero).cast()) }
                .doing(|| "reset the peaks of the device's memory".into())?;
        }
        let device = self.context().cu_device();
        for attribute in [
            Graphs::CU_GRAPH_MEM_ATTR_USED_MEM_HIGH,
            Graphs::CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH,
        ] {
            // As in `of_graphs`.
            // SAFETY: the device is the context's, and these attributes are cuuint64_t.
            let _ = unsafe { sys::cuDeviceSetGraphMemAttribute(device, attribute, (&raw mut zero).cast()) };
        }
        Ok(())
    }
}

/// The pool that stream-ordered memory comes from.
fn pool(context: &CudaContext) -> Result<sys::CUmemoryPool> {
    if !context.has_async_alloc() {
        return Err(Error::Device("the device has no memory pools".into()));
    }
    // SAFETY: the device is the context's.
    unsafe { result::device::get_mem_pool(context.cu_device()) }.doing(|| "find the device's memory pool".into())
}

/// A number of the pool's.
fn of_pool(context: &CudaContext, attribute: Pool) -> Result<u64> {
    let pool = pool(context)?;
    let mut bytes = 0_u64;
    // SAFETY: the pool is the device's, and the attributes that are asked for are cuuint64_t.
    unsafe { result::mem_pool::get_attribute(pool, attribute, (&raw mut bytes).cast()) }
        .doing(|| "read the peak of the device's memory".into())?;
    Ok(bytes)
}

/// A number of the memory that graphs take: none where the device or its driver has no such memory, which is no error.
fn of_graphs(context: &CudaContext, attribute: Graphs) -> u64 {
    let mut bytes = 0_u64;
    // SAFETY: the device is the context's, and the attributes that are asked for are cuuint64_t.
    match unsafe { sys::cuDeviceGetGraphMemAttribute(context.cu_device(), attribute, (&raw mut bytes).cast()) }.result()
    {
        Ok(()) => bytes,
        Err(_) => 0,
    }
}

/// By default a pool gives everything back to the system whenever the device is waited for.
pub(super) fn keep_freed_memory(context: &CudaContext) -> Result<()> {
    if !context.has_async_alloc() {
        return Ok(());
    }
    let pool = pool(context)?;
    let mut all = u64::MAX;
    // SAFETY: the pool is the device's, and this attribute is a cuuint64_t.
    unsafe { result::mem_pool::set_attribute(pool, Pool::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, (&raw mut all).cast()) }
        .doing(|| "have the device's memory pool keep freed memory".into())
}
