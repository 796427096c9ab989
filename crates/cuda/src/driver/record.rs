//! CUDA graphs: work that is captured once and then launched many times.

use super::fault::{Doing, is_out_of_memory};
use super::gpu::CudaGpu;
use crate::{Error, Result};
use cudarc::driver::sys::CUgraphInstantiate_flags;
use cudarc::driver::sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
use cudarc::driver::{CudaGraph, CudaSlice, result};
use std::fmt;
use std::sync::Arc;

impl CudaGpu {
    /// Captures the work that `body` queues on the GPU's stream from this thread, without running it, and returns the graph
    /// together with `body`'s result. Kernel launches, convolutions, copies on the device, allocations and frees
    /// all become part of it. A launch costs one call, whatever the number of kernels, and reads and writes the
    /// recorded addresses, with whatever they contain at launch.
    ///
    /// **Run the same work once before**, so that kernels are loaded and plans of convolutions are chosen.
    ///
    /// **Memory allocated inside** has an address from the recording on, but exists only from a launch on, at the same address
    /// each time. What is freed inside exists only during a launch. What outlives the recording must not be dropped before
    /// the first launch; then it may be read, and freed by dropping it, now or inside of a later recording, which may be
    /// launched while the memory exists. What was not freed when the recording is launched again is freed by that launch, and
    /// allocated again: its contents are lost.
    ///
    /// **Not allowed inside**: waiting for the device, or querying its progress; copies to the host, and from memory of
    /// the host that is not page-locked (each launch would read it again, when it may be freed); freeing memory that was
    /// allocated outside of any recording; waiting for a copy on another stream; a convolution that was not run before;
    /// loading kernels. Other threads and streams may do all of that meanwhile, but must not use the GPU's stream.
    ///
    /// # Errors
    /// `body`'s; or the GPU is recording already; or something inside cannot be recorded. The GPU remains usable, but
    /// memory that was allocated inside and kept will never exist.
    pub fn record<R, E: From<Error>>(
        &self,
        body: impl FnOnce() -> std::result::Result<R, E>,
    ) -> std::result::Result<(Recorded, R), E> {
        let workspace = match self.is_recording() {
            true => None,
            false => self.lock_cudnn().hold_workspace(self.queue())?,
        };
        let recording = Recording::begin(self)?;
        let gave = body()?;
        match recording.end(workspace) {
            Ok(recorded) => Ok((recorded, gave)),
            Err(e) => {
                drop(gave);
                self.forget_errors();
                Err(e.into())
            }
        }
    }

    /// Clears the errors of frees that a failed recording refused; the next call would return them.
    fn forget_errors(&self) {
        let _ = self.context().check_err();
    }
}

/// A recording in progress. Dropping it ends it without a graph.
struct Recording<'a> {
    gpu: &'a CudaGpu,
    /// Whether the stream is capturing.
    open: bool,
}

impl Recording<'_> {
    fn begin(gpu: &CudaGpu) -> Result<Recording<'_>> {
        gpu.bind()?;
        if gpu.set_recording(true) {
            return Err(Error::Device(
                "the GPU is recording a CUDA graph, and cannot record another inside of it".into(),
            ));
        }
        let mut recording = Recording { gpu, open: false };
        // Thread-local mode: other threads may pin host memory and copy on another stream meanwhile.
        gpu.stream()
            .begin_capture(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .doing(|| "begin to record a CUDA graph".into())?;
        recording.open = true;
        Ok(recording)
    }

    fn end(mut self, workspace: Option<Arc<CudaSlice<u8>>>) -> Result<Recorded> {
        // An error of a drop inside would be returned by the next call, which must not be the one that ends the recording.
        let dropped = self.gpu.context().check_err();
        self.open = false;
        let doing = || {
            "record a CUDA graph (something in it cannot be recorded: waiting for the device, a copy to the host or from \
             memory of the host that is not page-locked, or freeing memory that was taken before)"
                .to_owned()
        };
        let graph = self
            .gpu
            .stream()
            .end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)
            .doing(doing)?
            .ok_or_else(|| Error::Device(format!("the CUDA driver failed to {}", doing())))?;
        dropped.doing(doing)?;
        Ok(Recorded {
            graph,
            gpu: self.gpu.clone(),
            _workspace: workspace,
        })
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if self.open {
            // As in `end`; and `body` may have bound another context.
            self.gpu.forget_errors();
            let _ = self.gpu.bind();
            // SAFETY: the stream is alive. It returns a graph that nothing else refers to, or, if the recording
            // failed, null.
            unsafe {
                if let Ok(graph) = result::stream::end_capture(self.gpu.stream().cu_stream())
                    && !graph.is_null()
                {
                    let _ = result::graph::destroy(graph);
                }
            }
            self.gpu.forget_errors();
        }
        self.gpu.set_recording(false);
    }
}

/// Work that was [recorded](CudaGpu::record). Dropping it destroys the graph; memory that it allocated and did not free stays
/// until that memory is dropped.
pub struct Recorded {
    graph: CudaGraph,
    gpu: CudaGpu,
    /// The workspace of its convolutions.
    _workspace: Option<Arc<CudaSlice<u8>>>,
}

// SAFETY: CUDA graphs are not tied to a thread, but only one thread at a time may use one: this is the only handle, and it is
// not Sync.
unsafe impl Send for Recorded {}

impl Recorded {
    /// Queues the graph, after all work queued before.
    ///
    /// # Errors
    /// The GPU is recording, or the driver fails; or something queued before failed.
    pub fn launch(&self) -> Result<()> {
        if self.gpu.is_recording() {
            return Err(Error::Device(
                "what was recorded cannot be launched inside of another recording".into(),
            ));
        }
        let mut launched = self.graph.launch();
        if is_out_of_memory(&launched) {
            // Graphs have their own pool: memory that the other one keeps is not available to them.
            self.gpu.release_kept()?;
            launched = self.graph.launch();
        }
        launched.doing(|| "launch a CUDA graph".into())?;
        self.gpu.count_launch();
        Ok(())
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // The graph is destroyed after this, on whichever thread runs the drop.
        let context = self.gpu.context();
        context.record_err(context.bind_to_thread());
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").finish_non_exhaustive()
    }
}
