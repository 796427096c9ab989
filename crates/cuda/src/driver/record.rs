//! Work that is recorded once and launched from then on: CUDA graphs.

use super::card::Card;
use super::fault::{Doing, is_out_of_memory};
use crate::{Error, Result};
use cudarc::driver::sys::CUgraphInstantiate_flags;
use cudarc::driver::sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
use cudarc::driver::{CudaGraph, CudaSlice, result};
use std::fmt;
use std::sync::Arc;

impl Card {
    /// Records what `body` asks of the card's stream on this thread, does none of it, and gives it ready to be launched, with
    /// what `body` gave. Launches of kernels, convolutions, copies on the device, memory that is taken and memory that is
    /// freed all become part of it. A launch costs one call, whatever the number of kernels, and reads and writes the
    /// addresses that were recorded; what is in them then is another matter.
    ///
    /// **Run the same once before**, so that kernels are loaded and plans of convolutions are chosen.
    ///
    /// **Memory that is taken inside** has an address from the recording on, but is there from a launch on, at the same address
    /// each time. What is freed inside is there during a launch alone. What outlives the recording must not be dropped before
    /// the first launch; then it may be read, and freed by dropping it, now or inside of a later recording, which may be
    /// launched whenever it is there. What was not freed when the recording is launched again is freed by that launch, and
    /// taken anew: its numbers are gone.
    ///
    /// **What may not happen inside**: waiting for the device, or asking how far it is; copies to the host, and from memory of
    /// the host that is not page-locked (each launch would read it again, when it may be gone); freeing memory that was taken
    /// outside of any recording; waiting for a copy on another stream; a convolution that was never run; loading kernels.
    /// Other threads and streams may do all of that meanwhile, but must leave the card's stream alone.
    ///
    /// # Errors
    /// `body`'s; or the card is recording already; or something inside cannot be recorded. The card can be used as before, but
    /// memory that was taken inside and kept somewhere is not there and never will be.
    pub fn record<R, E: From<Error>>(
        &self,
        body: impl FnOnce() -> std::result::Result<R, E>,
    ) -> std::result::Result<(Recorded, R), E> {
        let workspace = match self.is_recording() {
            true => None,
            false => self.lock_cudnn().hold_workspace(self)?,
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

    /// Frees of memory that a broken recording took were refused, which the next call would tell.
    fn forget_errors(&self) {
        let _ = self.context().check_err();
    }
}

/// A recording that goes on. Dropped, it ends and leaves nothing.
struct Recording<'a> {
    card: &'a Card,
    /// Whether the stream records.
    open: bool,
}

impl Recording<'_> {
    fn begin(card: &Card) -> Result<Recording<'_>> {
        card.bind()?;
        if card.set_recording(true) {
            return Err(Error::Device(
                "the card is recording a CUDA graph, and cannot record another inside of it".into(),
            ));
        }
        let mut recording = Recording { card, open: false };
        // Calls of other threads are none of its business: they lock memory of the host, and copy on another stream.
        card.stream()
            .begin_capture(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .doing(|| "begin to record a CUDA graph".into())?;
        recording.open = true;
        Ok(recording)
    }

    fn end(mut self, workspace: Option<Arc<CudaSlice<u8>>>) -> Result<Recorded> {
        // What a drop inside was refused is told by the next call, which must not be the one that ends the recording.
        let dropped = self.card.context().check_err();
        self.open = false;
        let doing = || {
            "record a CUDA graph (something in it cannot be recorded: waiting for the device, a copy to the host or from \
             memory of the host that is not page-locked, or freeing memory that was taken before)"
                .to_owned()
        };
        let graph = self
            .card
            .stream()
            .end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)
            .doing(doing)?
            .ok_or_else(|| Error::Device(format!("the CUDA driver failed to {}", doing())))?;
        dropped.doing(doing)?;
        Ok(Recorded {
            graph,
            card: self.card.clone(),
            _workspace: workspace,
        })
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if self.open {
            // As in `end`; and what was inside may have bound another context.
            self.card.forget_errors();
            let _ = self.card.bind();
            // SAFETY: the stream is alive. What it gives is a graph that nobody else knows, or, where the recording is
            // broken, nothing.
            unsafe {
                if let Ok(graph) = result::stream::end_capture(self.card.stream().cu_stream())
                    && !graph.is_null()
                {
                    let _ = result::graph::destroy(graph);
                }
            }
            self.card.forget_errors();
        }
        self.card.set_recording(false);
    }
}

/// Work that was [recorded](Card::record). Dropped, it is gone, but what it took and did not free stays until it is dropped.
pub struct Recorded {
    graph: CudaGraph,
    card: Card,
    /// What its convolutions work in.
    _workspace: Option<Arc<CudaSlice<u8>>>,
}

// SAFETY: CUDA's graphs belong to no thread, but one thread at a time may use one: this is the only handle, and it is not Sync.
unsafe impl Send for Recorded {}

impl Recorded {
    /// Queues what was recorded, behind all that was queued before.
    ///
    /// # Errors
    /// The card is recording, or the driver refuses; or something queued before failed.
    pub fn launch(&self) -> Result<()> {
        if self.card.is_recording() {
            return Err(Error::Device(
                "what was recorded cannot be launched inside of another recording".into(),
            ));
        }
        let mut launched = self.graph.launch();
        if is_out_of_memory(&launched) {
            // Graphs have a pool of their own: what the other keeps is not theirs.
            self.card.release_kept()?;
            launched = self.graph.launch();
        }
        launched.doing(|| "launch a CUDA graph".into())?;
        self.card.count_launch();
        Ok(())
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // The graph is destroyed behind this, on whatever thread it is.
        let context = self.card.context();
        context.record_err(context.bind_to_thread());
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").finish_non_exhaustive()
    }
}
