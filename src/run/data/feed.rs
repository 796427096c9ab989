//! Worker threads that make samples ahead of their use, in the order of their use.
//!
//! A planner thread names the samples in order, workers make them in any order, the consumer gets them in order.
//! A sample may only be begun with a permit, and a permit comes back when a sample is used: so there are never more
//! than `ahead` samples in memory, whatever the speeds.

use super::host::{HostSide, Sample};
use super::order::Drawn;
use crossbeam_channel::{Receiver, Sender, bounded};
use glad_nodes::{Key, Video};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How the data side is run.
#[derive(Clone, Copy, Debug)]
pub struct FeedOptions {
    /// Worker threads.
    pub workers: usize,
    /// Samples made ahead at most.
    pub ahead: usize,
}

/// A sample to make.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// Its stream, an index into the program's.
    pub stream: usize,
    /// What was drawn.
    pub drawn: Drawn,
}

/// A video that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadVideo {
    /// Its stream.
    pub stream: usize,
    /// Its place in the list.
    pub video: usize,
    /// Why.
    pub reason: String,
}

/// A finished [`Want`].
#[derive(Debug)]
pub struct Made {
    /// What was asked for.
    pub want: Want,
    /// The sample, of the video drawn or of one that replaces it; `None` where none could be had.
    pub sample: Option<Sample>,
    /// Videos that failed on the way.
    pub bad: Vec<BadVideo>,
}

/// How a sample is made from what was drawn.
pub struct Recipe<'a> {
    /// The calls.
    pub host: &'a HostSide<'a>,
    /// The lists, by stream.
    pub lists: &'a [Vec<Arc<Video>>],
    /// Names of the streams.
    pub streams: &'a [String],
    /// The phase's key.
    pub key: Key,
    /// The video that replaces a bad one (stream, drawn, attempt); `None` where bad videos are left out (views).
    pub replace: Option<&'a (dyn Fn(usize, Drawn, u64) -> usize + Sync)>,
}

/// Attempts to replace a bad video before the slot is given up.
const ATTEMPTS: u64 = 16;

impl Recipe<'_> {
    fn make(&self, want: Want) -> Made {
        let mut bad = vec![];
        let mut video = want.drawn.video;
        for attempt in 0..=ATTEMPTS {
            let key = self
                .key
                .name("sample")
                .name(&self.streams[want.stream])
                .index(want.drawn.pass)
                .index(want.drawn.video as u64)
                .index(attempt);
            match self.host.sample(want.stream, &self.lists[want.stream][video], key) {
                Ok(sample) => return Made { want, sample: Some(sample), bad },
                Err(e) => bad.push(BadVideo { stream: want.stream, video, reason: format!("{e:#}") }),
            }
            match self.replace {
                Some(f) => video = f(want.stream, want.drawn, attempt + 1),
                None => break,
            }
        }
        Made { want, sample: None, bad }
    }
}

/// Finished samples, in order.
pub struct Feed {
    made: Receiver<(u64, Made)>,
    permits: Sender<()>,
    waiting: BTreeMap<u64, Made>,
    next: u64,
    idle: Duration,
    busy: Arc<AtomicU64>,
    most: usize,
}

impl Feed {
    /// The next sample, or `None` when all were taken.
    pub fn next(&mut self) -> Option<Made> {
        loop {
            if let Some(m) = self.waiting.remove(&self.next) {
                self.next += 1;
                // The planner is gone once all is planned; then nobody waits for permits.
                let _ = self.permits.try_send(());
                return Some(m);
            }
            let since = Instant::now();
            let got = self.made.recv();
            self.idle += since.elapsed();
            let (i, m) = got.ok()?;
            self.waiting.insert(i, m);
            self.most = self.most.max(self.waiting.len() + self.made.len());
        }
    }

    /// Time that the consumer waited for samples.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Time that the workers worked, together.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Ordering::Relaxed))
    }

    /// The most finished samples that waited at a time.
    pub fn most(&self) -> usize {
        self.most
    }
}

/// Runs workers over `wants` while `consume` takes what they make. All threads have ended when it returns.
pub fn feed<R>(
    recipe: &Recipe<'_>,
    options: FeedOptions,
    wants: impl Iterator<Item = Want> + Send,
    consume: impl FnOnce(&mut Feed) -> R,
) -> R {
    let ahead = options.ahead.max(1);
    let (permits, permitted) = bounded::<()>(ahead);
    for _ in 0..ahead {
        permits.send(()).expect("the channel has room for all permits");
    }
    let (jobs, todo) = bounded::<(u64, Want)>(options.workers.max(1));
    let (done, made) = bounded::<(u64, Made)>(ahead);
    let busy = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for (i, want) in wants.enumerate() {
                if permitted.recv().is_err() || jobs.send((i as u64, want)).is_err() {
                    break;
                }
            }
        });
        for _ in 0..options.workers.max(1) {
            let (todo, done, busy) = (todo.clone(), done.clone(), busy.clone());
            scope.spawn(move || {
                for (i, want) in todo {
                    let since = Instant::now();
                    let m = recipe.make(want);
                    busy.fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
                    if done.send((i, m)).is_err() {
                        break;
                    }
                }
            });
        }
        drop((todo, done));
        let mut f = Feed { made, permits, waiting: BTreeMap::new(), next: 0, idle: Duration::ZERO, busy, most: 0 };
        let r = consume(&mut f);
        drop(f);
        r
    })
}
