//! Streams: queues of work, which run immediately or as late as CUDA allows.

use crate::capture::Graphs;
use crate::memory::Memory;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A piece of work on a stream. A recorded graph runs it several times.
pub(crate) type Work = Arc<dyn Fn(&mut Memory) -> Result<(), String> + Send + Sync>;

#[derive(Clone)]
pub(crate) enum Item {
    Work(Work),
    /// Completes an event, if this is still its latest record.
    Record {
        event: u64,
        record: u64,
    },
    /// Waits until the other stream has done this many items.
    Wait {
        stream: u64,
        done: u64,
    },
}

#[derive(Default)]
struct Stream {
    queue: VecDeque<Item>,
    /// The number of items done.
    done: u64,
}

impl Stream {
    fn asked(&self) -> u64 {
        self.done + self.queue.len() as u64
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub timed: bool,
    /// How often the event was recorded.
    record: u64,
    /// The stream and position of the last record: the event completes when the stream has reached it.
    at: Option<(u64, u64)>,
    pub past: Option<Instant>,
    asked: u32,
    /// The recording that it was recorded in last.
    pub captured: Option<u64>,
}

impl Event {
    pub(crate) fn is_recorded(&self) -> bool {
        self.at.is_some()
    }
}

pub(crate) struct Gpu {
    pub memory: Memory,
    pub graphs: Graphs,
    streams: HashMap<u64, Stream>,
    pub events: HashMap<u64, Event>,
    last: u64,
    late: bool,
    /// The first error: from then on every call fails, as on a GPU.
    pub fault: Option<String>,
}

/// Items that a stream holds before the oldest are run.
const ROOM: usize = 1024;
/// How often a query reports an event as pending that could be complete.
const PATIENCE: u32 = 2;

static GPU: LazyLock<Mutex<Gpu>> = LazyLock::new(|| {
    Mutex::new(Gpu::new(
        std::env::var("GLAD_EMULATOR").is_ok_and(|mode| mode == "late"),
    ))
});

pub(crate) fn gpu() -> MutexGuard<'static, Gpu> {
    GPU.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    pub(crate) fn new(late: bool) -> Gpu {
        Gpu {
            memory: Memory::new(),
            graphs: Graphs::default(),
            streams: HashMap::from([(0, Stream::default())]),
            events: HashMap::new(),
            last: 0x100,
            late,
            fault: None,
        }
    }

    /// A new handle.
    pub(crate) fn handle(&mut self) -> u64 {
        self.last += 16;
        self.last
    }

    pub(crate) fn new_stream(&mut self) -> u64 {
        let stream = self.handle();
        self.streams.insert(stream, Stream::default());
        stream
    }

    pub(crate) fn is_stream(&self, stream: u64) -> bool {
        self.streams.contains_key(&stream)
    }

    pub(crate) fn end_stream(&mut self, stream: u64) {
        self.finish(stream);
        self.streams.remove(&stream);
    }

    pub(crate) fn new_event(&mut self, timed: bool) -> u64 {
        let event = self.handle();
        let new = Event {
            timed,
            record: 0,
            at: None,
            past: None,
            asked: 0,
            captured: None,
        };
        self.events.insert(event, new);
        event
    }

    /// Puts an item at the end of a stream's queue.
    pub(crate) fn push(&mut self, stream: u64, item: Item) {
        let late = self.late;
        let Some(queue) = self.streams.get_mut(&stream) else {
            return;
        };
        queue.queue.push_back(item);
        let (asked, held) = (queue.asked(), queue.queue.len());
        if !late {
            self.run_to(stream, asked);
        } else if held > ROOM {
            self.run_to(stream, asked - ROOM as u64 / 2);
        }
    }

    /// Queues work, or adds it to the stream's recording.
    pub(crate) fn work(
        &mut self,
        stream: u64,
        what: String,
        work: impl Fn(&mut Memory) -> Result<(), String> + Send + Sync + 'static,
    ) {
        let work = move |memory: &mut Memory| work(memory).map_err(|e| format!("{what}: {e}"));
        let work = Arc::new(work);
        match self.graphs.recording(stream) {
            Some(_) => self.graphs.add(stream, work),
            None => self.push(stream, Item::Work(work)),
        }
    }

    pub(crate) fn record(&mut self, event: u64, stream: u64) {
        let captured = self.graphs.recording(stream);
        let at = self.streams.get(&stream).map(|s| (stream, s.asked() + 1));
        if let Some(e) = self.events.get_mut(&event) {
            e.record += 1;
            e.at = at.filter(|_| captured.is_none());
            e.past = None;
            e.asked = 0;
            e.captured = captured;
            let record = e.record;
            if captured.is_none() {
                self.push(stream, Item::Record { event, record });
            }
        }
    }

    pub(crate) fn wait(&mut self, stream: u64, event: u64) {
        // An event that was never recorded is complete.
        if let Some((other, done)) = self.events.get(&event).and_then(|e| e.at) {
            self.push(stream, Item::Wait { stream: other, done });
        }
    }

    /// Whether an event is complete. Repeated queries return the true state in the end.
    pub(crate) fn query(&mut self, event: u64) -> bool {
        let Some(e) = self.events.get_mut(&event) else {
            return true;
        };
        if e.at.is_none() || e.past.is_some() {
            return true;
        }
        e.asked += 1;
        if e.asked > PATIENCE {
            self.reach(event);
            return true;
        }
        false
    }

    /// Runs what an event waits for.
    pub(crate) fn reach(&mut self, event: u64) {
        if let Some((stream, done)) = self.events.get(&event).and_then(|e| e.at) {
            self.run_to(stream, done);
        }
    }

    pub(crate) fn finish(&mut self, stream: u64) {
        if let Some(asked) = self.streams.get(&stream).map(Stream::asked) {
            self.run_to(stream, asked);
        }
    }

    pub(crate) fn finish_all(&mut self) {
        let mut all: Vec<u64> = self.streams.keys().copied().collect();
        // The newest first, so that late copies run as late as possible.
        all.sort_unstable_by(|a, b| b.cmp(a));
        for stream in all {
            self.finish(stream);
        }
    }

    fn run_to(&mut self, stream: u64, done: u64) {
        loop {
            let Some(queue) = self.streams.get_mut(&stream) else {
                return;
            };
            if queue.done >= done {
                return;
            }
            let Some(item) = queue.queue.pop_front() else {
                return;
            };
            queue.done += 1;
            match item {
                Item::Work(work) => {
                    if self.fault.is_none()
                        && let Err(why) = work(&mut self.memory)
                    {
                        eprintln!("emulated GPU: {why}");
                        self.fault = Some(why);
                    }
                }
                Item::Record { event, record } => {
                    if let Some(e) = self.events.get_mut(&event).filter(|e| e.record == record) {
                        e.past = Some(Instant::now());
                    }
                }
                Item::Wait { stream, done } => self.run_to(stream, done),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which two streams write; the host waits for the second, which waits for the first or not.
    fn order(late: bool, wait: bool) -> Vec<&'static str> {
        let mut gpu = Gpu::new(late);
        let (copies, computing) = (gpu.new_stream(), gpu.new_stream());
        let printed = Arc::new(Mutex::new(Vec::<&str>::new()));
        let say = |gpu: &mut Gpu, stream, word: &'static str| {
            let printed = printed.clone();
            gpu.work(stream, word.into(), move |_| {
                printed.lock().unwrap().push(word);
                Ok(())
            });
        };
        say(&mut gpu, copies, "copy");
        let event = gpu.new_event(false);
        gpu.record(event, copies);
        if wait {
            gpu.wait(computing, event);
        }
        say(&mut gpu, computing, "compute");
        gpu.finish(computing);
        let printed = printed.lock().unwrap();
        printed.clone()
    }

    #[test]
    fn a_missing_wait_shows_where_streams_run_late() {
        assert_eq!(order(false, false), ["copy", "compute"]);
        assert_eq!(order(true, true), ["copy", "compute"]);
        assert_eq!(order(true, false), ["compute"]);
    }

    #[test]
    fn an_event_is_past_when_its_stream_has_come_there() {
        let mut gpu = Gpu::new(true);
        let stream = gpu.new_stream();
        let event = gpu.new_event(true);
        assert!(gpu.query(event), "never recorded");
        gpu.record(event, stream);
        assert!(!gpu.query(event));
        gpu.reach(event);
        assert!(gpu.query(event));
    }

    #[test]
    fn nothing_runs_after_a_fault() {
        let mut gpu = Gpu::new(false);
        gpu.work(0, "first".into(), |_| Err("it is wrong".into()));
        gpu.work(0, "second".into(), |_| panic!("it ran"));
        assert_eq!(gpu.fault.as_deref(), Some("first: it is wrong"));
    }
}
