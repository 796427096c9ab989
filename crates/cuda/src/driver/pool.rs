//! The memory pools of a GPU: the driver's, and the device's second one for recorded graphs.

use super::fault::Doing;
use crate::{Error, Result};
use cudarc::driver::sys::{self, CUgraphMem_attribute as Graphs, CUmemPool_attribute as Pool};
use cudarc::driver::{CudaContext, result};

/// The most bytes in use at one time since [`reset_peaks`].
pub(super) fn peak_used(context: &CudaContext) -> Result<u64> {
    let (pool, graphs) = (
        Pool::CU_MEMPOOL_ATTR_USED_MEM_HIGH,
        Graphs::CU_GRAPH_MEM_ATTR_USED_MEM_HIGH,
    );
    Ok(of_pool(context, pool)? + of_graphs(context, graphs))
}

/// The most bytes in use or kept at one time since [`reset_peaks`].
pub(super) fn peak_held(context: &CudaContext) -> Result<u64> {
    let (pool, graphs) = (
        Pool::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH,
        Graphs::CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH,
    );
    Ok(of_pool(context, pool)? + of_graphs(context, graphs))
}

/// Returns freed memory to the device. All queued work has to be done.
pub(super) fn trim(context: &CudaContext) -> Result<()> {
    let pool = pool(context)?;
    // SAFETY: the pool is the device's; memory in use is not touched.
    unsafe { result::mem_pool::trim_to(pool, 0) }.doing(|| "give kept memory back to the device".into())?;
    // A device without graph memory returns an error.
    // SAFETY: the device is the context's; memory in use is not touched.
    let _ = unsafe { sys::cuDeviceGraphMemTrim(context.cu_device()) };
    Ok(())
}

/// Resets the peaks to the memory in use now.
pub(super) fn reset_peaks(context: &CudaContext) -> Result<()> {
    let pool = pool(context)?;
    // The only value that these attributes accept.
    let mut zero = 0_u64;
    for attribute in [
        Pool::CU_MEMPOOL_ATTR_USED_MEM_HIGH,
        Pool::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH,
    ] {
        // SAFETY: the pool is the device's, and these attributes are cuuint64_t.
        unsafe { result::mem_pool::set_attribute(pool, attribute, (&raw mut zero).cast()) }
            .doing(|| "reset the peaks of the device's memory".into())?;
    }
    for attribute in [
        Graphs::CU_GRAPH_MEM_ATTR_USED_MEM_HIGH,
        Graphs::CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH,
    ] {
        // As in `of_graphs`.
        // SAFETY: the device is the context's, and these attributes are cuuint64_t.
        let _ = unsafe { sys::cuDeviceSetGraphMemAttribute(context.cu_device(), attribute, (&raw mut zero).cast()) };
    }
    Ok(())
}

/// The pool that stream-ordered memory comes from.
fn pool(context: &CudaContext) -> Result<sys::CUmemoryPool> {
    if !context.has_async_alloc() {
        return Err(Error::Device("the device has no memory pools".into()));
    }
    // SAFETY: the device is the context's.
    unsafe { result::device::get_mem_pool(context.cu_device()) }.doing(|| "find the device's memory pool".into())
}

/// An attribute of the pool.
fn of_pool(context: &CudaContext, attribute: Pool) -> Result<u64> {
    let pool = pool(context)?;
    let mut bytes = 0_u64;
    // SAFETY: the pool is the device's, and the requested attributes are cuuint64_t.
    unsafe { result::mem_pool::get_attribute(pool, attribute, (&raw mut bytes).cast()) }
        .doing(|| "read the peak of the device's memory".into())?;
    Ok(bytes)
}

/// An attribute of the graphs' memory: 0 if the device or its driver has no such memory, which is no error.
fn of_graphs(context: &CudaContext, attribute: Graphs) -> u64 {
    let mut bytes = 0_u64;
    // SAFETY: the device is the context's, and the requested attributes are cuuint64_t.
    match unsafe { sys::cuDeviceGetGraphMemAttribute(context.cu_device(), attribute, (&raw mut bytes).cast()) }.result()
    {
        Ok(()) => bytes,
        Err(_) => 0,
    }
}

/// By default a pool returns everything to the system at every synchronisation.
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
