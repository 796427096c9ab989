//! Graphs: the work queued on a stream during capture, which runs at each launch.
//!
//! While a stream captures, calls that would wait for it, or that a launch could not repeat, invalidate the recording, as CUDA's
//! documentation states: from then on every call on the stream fails, and no graph results. CUDA allows some of these, but
//! none that glad uses on purpose: copies to the host and from host memory that is not page-locked, frees of memory that was
//! allocated before, work of another thread, and any wait or query on the capturing thread.

use crate::driver::{
    CAPTURE_INVALIDATED, CAPTURE_ISOLATION, CAPTURE_UNSUPPORTED, CAPTURE_WRONG_THREAD, CAPTURED_EVENT, ILLEGAL_STATE,
    INVALID_HANDLE, INVALID_VALUE, OUT_OF_MEMORY, SUCCESS, Status,
};
use crate::queue::{Gpu, Item, Work};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};

/// A stream in capture.
struct Recording {
    id: u64,
    thread: ThreadId,
    graph: Graph,
    broken: bool,
}

/// The recorded work. Allocations and frees are pieces of work like all others.
#[derive(Default)]
struct Graph {
    work: Vec<Work>,
    /// The addresses that it allocates, and those that it frees.
    takes: Vec<usize>,
    frees: Vec<usize>,
    launched: AtomicBool,
}

/// A graph that can be launched.
struct Ready {
    of: u64,
    graph: Arc<Graph>,
    /// Whether a launch frees the memory that the previous one left.
    frees_first: bool,
}

/// All recordings by their streams, and graphs by their handles.
#[derive(Default)]
pub(crate) struct Graphs {
    recordings: HashMap<u64, Recording>,
    recorded: HashMap<u64, Arc<Graph>>,
    ready: HashMap<u64, Ready>,
}

impl Graphs {
    /// The identifier of a stream's recording.
    pub(crate) fn recording(&self, stream: u64) -> Option<u64> {
        self.recordings.get(&stream).map(|r| r.id)
    }

    /// Adds work to a stream's recording.
    pub(crate) fn add(&mut self, stream: u64, work: Work) {
        if let Some(r) = self.recordings.get_mut(&stream) {
            r.graph.work.push(work);
        }
    }

    /// The status as `cuStreamIsCapturing` reports it: none, active or invalidated.
    pub(crate) fn status(&self, stream: u64) -> u32 {
        self.recordings.get(&stream).map_or(0, |r| 1 + u32::from(r.broken))
    }
}

/// Invalidates the recordings that `meant` selects, if any.
fn break_those(gpu: &mut Gpu, meant: impl Fn(u64, &Recording) -> bool, what: &str, status: Status) -> Status {
    let mut answer = SUCCESS;
    for (&stream, r) in &mut gpu.graphs.recordings {
        if !meant(stream, r) {
            continue;
        }
        answer = if r.broken { CAPTURE_INVALIDATED } else { status };
        if !r.broken {
            eprintln!("emulated GPU: a recording is broken by {what}");
            r.broken = true;
        }
    }
    answer
}

impl Gpu {
    /// Whether work may be queued on a stream: not if its recording is invalid, or is another thread's.
    pub(crate) fn may_work(&mut self, stream: u64) -> Status {
        let Some(r) = self.graphs.recordings.get(&stream) else {
            return SUCCESS;
        };
        if r.broken {
            return CAPTURE_INVALIDATED;
        }
        if r.thread != thread::current().id() {
            return self.break_recording(stream, "what another thread asks of its stream");
        }
        SUCCESS
    }

    /// Something that a stream cannot record.
    pub(crate) fn break_recording(&mut self, stream: u64, what: &str) -> Status {
        break_those(self, |s, _| s == stream, what, CAPTURE_UNSUPPORTED)
    }

    /// Invalidates this thread's recordings: something that no thread may do while it records.
    pub(crate) fn break_own(&mut self, what: &str) -> Status {
        let own = thread::current().id();
        break_those(self, |_, r| r.thread == own, what, CAPTURE_UNSUPPORTED)
    }

    /// Invalidates all recordings: something that waits for all streams.
    pub(crate) fn break_all(&mut self, what: &str) -> Status {
        break_those(self, |_, _| true, what, CAPTURE_UNSUPPORTED)
    }

    /// Whether an event may be waited for or queried.
    pub(crate) fn may_ask(&mut self, event: u64) -> Status {
        let what = "waiting for an event, or asking whether it is past";
        let captured = self.events.get(&event).and_then(|e| e.captured);
        let Some(id) = captured else {
            return self.break_own(what);
        };
        match break_those(self, |_, r| r.id == id, what, CAPTURED_EVENT) {
            SUCCESS => CAPTURED_EVENT,
            broken => broken,
        }
    }

    /// Whether a stream may wait for an event: both belong to one recording, or neither to any.
    pub(crate) fn may_wait(&mut self, stream: u64, event: u64) -> Status {
        let Some(e) = self.events.get(&event) else {
            return INVALID_HANDLE;
        };
        let (captured, is_recorded) = (e.captured, e.is_recorded());
        match (self.graphs.recording(stream), captured) {
            (None, None) => SUCCESS,
            (Some(own), Some(id)) if own == id => SUCCESS,
            (Some(_), None) if !is_recorded => SUCCESS,
            (Some(_), _) => {
                let what = "its stream's wait for what is not in it";
                break_those(self, |s, _| s == stream, what, CAPTURE_ISOLATION)
            }
            (None, Some(id)) => {
                let what = "another stream's wait for it, which would become part of it";
                match break_those(self, |_, r| r.id == id, what, CAPTURE_UNSUPPORTED) {
                    SUCCESS => CAPTURED_EVENT,
                    broken => broken,
                }
            }
        }
    }

    pub(crate) fn begin_recording(&mut self, stream: u64) -> Status {
        if self.graphs.recordings.contains_key(&stream) {
            return ILLEGAL_STATE;
        }
        // The default stream cannot be captured.
        if stream == 0 {
            return CAPTURE_UNSUPPORTED;
        }
        let new = Recording {
            id: self.handle(),
            thread: thread::current().id(),
            graph: Graph::default(),
            broken: false,
        };
        self.graphs.recordings.insert(stream, new);
        SUCCESS
    }

    /// The graph that was recorded.
    pub(crate) fn end_recording(&mut self, stream: u64) -> Result<u64, Status> {
        let Some(r) = self.graphs.recordings.get(&stream) else {
            return Err(ILLEGAL_STATE);
        };
        if r.thread != thread::current().id() {
            break_those(
                self,
                |s, _| s == stream,
                "its end on another thread",
                CAPTURE_WRONG_THREAD,
            );
            return Err(CAPTURE_WRONG_THREAD);
        }
        let Some(r) = self.graphs.recordings.remove(&stream) else {
            return Err(ILLEGAL_STATE);
        };
        if r.broken {
            self.give_up(&r.graph);
            return Err(CAPTURE_INVALIDATED);
        }
        let graph = self.handle();
        self.graphs.recorded.insert(graph, Arc::new(r.graph));
        Ok(graph)
    }

    fn give_up(&mut self, graph: &Graph) {
        for &at in &graph.takes {
            self.memory.give_up(at);
        }
    }

    /// The address of an allocation in a stream's recording.
    pub(crate) fn record_take(&mut self, stream: u64, bytes: usize) -> Result<usize, Status> {
        let at = self.memory.reserve(bytes).ok_or(OUT_OF_MEMORY)?;
        if let Some(r) = self.graphs.recordings.get_mut(&stream) {
            r.graph.takes.push(at);
        }
        self.work(stream, format!("a graph's memory of {bytes} bytes"), move |memory| {
            memory.take(at)
        });
        Ok(at)
    }

    pub(crate) fn record_free(&mut self, stream: u64, at: usize) -> Status {
        let of_graphs = self.memory.is_of_graphs(at);
        let Some(r) = self.graphs.recordings.get_mut(&stream) else {
            return INVALID_HANDLE;
        };
        if !of_graphs {
            return self.break_recording(stream, "freeing memory that no recording took");
        }
        if r.graph.frees.contains(&at) {
            return self.break_recording(stream, "freeing memory twice");
        }
        r.graph.frees.push(at);
        self.work(stream, "a graph's free".into(), move |memory| memory.free(at));
        SUCCESS
    }

    pub(crate) fn instantiate(&mut self, of: u64, frees_first: bool) -> Result<u64, Status> {
        let graph = self.graphs.recorded.get(&of).ok_or(INVALID_VALUE)?.clone();
        let has_memory = !graph.takes.is_empty() || !graph.frees.is_empty();
        if has_memory && self.graphs.ready.values().any(|r| r.of == of) {
            eprintln!("emulated GPU: a graph with memory can be instantiated once");
            return Err(INVALID_VALUE);
        }
        let ready = self.handle();
        let new = Ready { of, graph, frees_first };
        self.graphs.ready.insert(ready, new);
        Ok(ready)
    }

    pub(crate) fn is_ready(&self, graph: u64) -> bool {
        self.graphs.ready.contains_key(&graph)
    }

    pub(crate) fn launch(&mut self, ready: u64, stream: u64) -> Status {
        if self.graphs.recording(stream).is_some() {
            return self.break_recording(stream, "the launch of a graph");
        }
        let Some(r) = self.graphs.ready.get(&ready) else {
            return INVALID_VALUE;
        };
        r.graph.launched.store(true, Ordering::Relaxed);
        let (graph, frees_first) = (r.graph.clone(), r.frees_first);
        if frees_first && !graph.takes.is_empty() {
            let graph = graph.clone();
            self.work(stream, "a graph's second launch".into(), move |memory| {
                let left = graph.takes.iter().filter(|&&at| memory.is_live(at)).copied();
                let left: Vec<usize> = left.collect();
                left.into_iter().try_for_each(|at| memory.free(at))
            });
        }
        for work in &graph.work {
            self.push(stream, Item::Work(work.clone()));
        }
        SUCCESS
    }

    /// Memory that its launches allocated stays until it is freed.
    pub(crate) fn destroy_ready(&mut self, ready: u64) -> Status {
        let gone = self.graphs.ready.remove(&ready).map(|r| r.graph);
        self.destroy(gone)
    }

    pub(crate) fn destroy_recorded(&mut self, graph: u64) -> Status {
        let gone = self.graphs.recorded.remove(&graph);
        self.destroy(gone)
    }

    fn destroy(&mut self, gone: Option<Arc<Graph>>) -> Status {
        let Some(graph) = gone else {
            return INVALID_VALUE;
        };
        // Neither the graph nor an executable made from it is left.
        if Arc::strong_count(&graph) == 1 && !graph.launched.load(Ordering::Relaxed) {
            self.give_up(&graph);
        }
        SUCCESS
    }
}

#[cfg(test)]
mod tests;
