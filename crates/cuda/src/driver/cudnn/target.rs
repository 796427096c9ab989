//! The target of a plan: the device of a handle, or (without one) the description of a device.

use super::descriptor::{Descriptor, Fault, accepted};
use cudarc::cudnn::sys::cudnnBackendAttributeName_t::*;
use cudarc::cudnn::sys::{self, cudnnHandle_t};
use cudarc::driver::CudaStream;
use std::ptr;

/// The device that plans are made for.
pub(super) enum Target {
    /// The device of this process.
    Device(Handle),
    /// A described device, which need not be present: plans can be made for it but not run, so tests run anywhere.
    #[cfg(test)]
    Described(Descriptor),
}

impl Target {
    /// The device of a stream, on which plans then run.
    pub(super) fn of(stream: &CudaStream) -> Fault<Target> {
        Handle::new(stream).map(Target::Device)
    }

    /// Sets the device of an operation graph.
    pub(super) fn on_graph(&self, graph: Descriptor) -> Fault<Descriptor> {
        match self {
            // SAFETY: the handle is alive, and lives as long as the plans made with it: both are `Cudnn`'s.
            Target::Device(h) => unsafe { graph.handle(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, h.0) },
            #[cfg(test)]
            Target::Described(_) => Ok(graph),
        }
    }

    /// Sets the device of a heuristics query, which otherwise is the graph's.
    pub(super) fn on_heuristics(&self, question: Descriptor) -> Fault<Descriptor> {
        match self {
            Target::Device(_) => Ok(question),
            #[cfg(test)]
            Target::Described(d) => question.child(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, d),
        }
    }

    /// Sets the device of a plan.
    pub(super) fn on_plan(&self, plan: Descriptor) -> Fault<Descriptor> {
        match self {
            // SAFETY: as above.
            Target::Device(h) => unsafe { plan.handle(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, h.0) },
            #[cfg(test)]
            Target::Described(d) => plan.child(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, d),
        }
    }

    /// Runs a plan.
    pub(super) fn run(&self, plan: &Descriptor, pack: &Descriptor) -> Fault<()> {
        match self {
            Target::Device(h) => {
                // SAFETY: both are finalised; the addresses in the pack are of live memory of the sizes that the plan was
                // made for, which the three functions of `conv` guarantee.
                let status = unsafe { sys::cudnnBackendExecute(h.0, plan.raw(), pack.raw()) };
                accepted(status, || "run a plan".into())
            }
            #[cfg(test)]
            Target::Described(_) => Err("there is no device".into()),
        }
    }
}

/// cuDNN's state for one stream.
pub(super) struct Handle(cudnnHandle_t);

// SAFETY: any thread may use a handle, one at a time: it is behind the mutex of `CudaGpu`.
unsafe impl Send for Handle {}

impl Handle {
    /// The context is bound to this thread.
    fn new(stream: &CudaStream) -> Fault<Handle> {
        let mut handle = ptr::null_mut();
        // SAFETY: cuDNN writes one handle.
        let status = unsafe { sys::cudnnCreate(&raw mut handle) };
        accepted(status, || "start".into())?;
        let handle = Handle(handle);
        // cuDNN's stream is the runtime's cudaStream_t, which is the driver's CUstream.
        // SAFETY: the stream is alive, and outlives the handle: `CudaGpu` has both.
        let status = unsafe { sys::cudnnSetStream(handle.0, stream.cu_stream().cast()) };
        accepted(status, || "use a stream".into())?;
        Ok(handle)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: created by `new`, and destroyed only here.
        let _ = unsafe { sys::cudnnDestroy(self.0) };
    }
}
