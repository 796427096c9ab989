//! Worker threads that make samples ahead of their use, in the order of their use.
//!
//! A planner thread names the samples in order, workers make them in any order, the consumer gets them in order.
//! A sample may only be begun with a permit, and a permit comes back when a sample is used: so there are never more
//! than `ahead` samples in memory, whatever the speeds.

use super::host::{HostSide, Sample};
use super::order::{Drawn, Replace};
use anyhow::Result;
use crossbeam_channel::{Receiver, Sender, bounded};
use glad_nodes::{DataError, Key, Video};
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
pub(crate) struct Want {
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
pub(crate) struct Made {
    /// The sample, of the video drawn or of one that replaces it; `None` where none could be used.
    pub sample: Option<Sample>,
    /// Videos that failed on the way.
    pub bad: Vec<BadVideo>,
    /// What says nothing about a video and ends the run.
    pub(super) fatal: Option<anyhow::Error>,
}

/// How a sample is made from what was drawn.
pub(crate) struct Recipe<'a> {
    /// The calls.
    pub host: &'a HostSide<'a>,
    /// The lists, by stream.
    pub lists: &'a [Vec<Arc<Video>>],
    /// Names of the streams.
    pub streams: &'a [String],
    /// The phase's key.
    pub key: Key,
    /// What replaces a bad video; `None` where bad videos are left out (views).
    pub replace: Option<&'a dyn Replace>,
}

/// The key below which the nodes of a sample draw: that of the phase or view, the stream, its pass over its list, the
/// video's place in the list, and how often others were tried in its place.
pub fn sample_key(key: Key, stream: &str, pass: u64, video: usize, attempt: u64) -> Key {
    let key = key.name("sample").name(stream);
    key.index(pass).index(video as u64).index(attempt)
}

/// Attempts to replace a bad video before the slot is given up.
const ATTEMPTS: u64 = 16;

impl Recipe<'_> {
    /// Makes a sample.
    pub(crate) fn make(&self, want: Want) -> Made {
        let mut bad = vec![];
        let mut video = want.drawn.video;
        for attempt in 0..=ATTEMPTS {
            let stream = &self.streams[want.stream];
            let key = sample_key(self.key, stream, want.drawn.pass, want.drawn.video, attempt);
            match self.host.sample(want.stream, &self.lists[want.stream][video], key) {
                Ok(sample) => {
                    return Made {
                        sample: Some(sample),
                        bad,
                        fatal: None,
                    };
                }
                Err(DataError::Sample(e)) => bad.push(BadVideo {
                    stream: want.stream,
                    video,
                    reason: format!("{e:#}"),
                }),
                // Only what is known to be the video's fault replaces it.
                Err(e) => {
                    return Made {
                        sample: None,
                        bad,
                        fatal: Some(e.into_anyhow()),
                    };
                }
            }
            match self.replace {
                Some(r) => video = r.replacement(want.stream, want.drawn, attempt + 1),
                None => break,
            }
        }
        Made {
            sample: None,
            bad,
            fatal: None,
        }
    }
}

/// Finished samples, in order.
pub(super) struct Feed {
    made: Receiver<(u64, Made)>,
    permits: Sender<()>,
    waiting: BTreeMap<u64, Made>,
    next: u64,
    busy: Arc<AtomicU64>,
}

impl Feed {
    /// The next sample, or `None` when all were taken.
    ///
    /// # Errors
    /// What ends the run. It is reported as soon as it is known, whatever samples are still to come before it.
    pub(super) fn next(&mut self) -> Result<Option<Made>> {
        loop {
            if let Some(m) = self.waiting.remove(&self.next) {
                self.next += 1;
                // The planner is gone once all is planned; then nothing waits for permits.
                let _ = self.permits.try_send(());
                return Ok(Some(m));
            }
            let Ok((i, mut m)) = self.made.recv() else {
                return Ok(None);
            };
            if let Some(e) = m.fatal.take() {
                return Err(e);
            }
            self.waiting.insert(i, m);
        }
    }

    /// Time that the workers worked, together.
    pub(super) fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Ordering::Relaxed))
    }
}

/// Runs workers over `wants` while `consume` takes what they make. All threads have ended when it returns.
pub(super) fn feed<R>(
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
            // Where the system starts no more threads, fewer do the same.
            let _ = std::thread::Builder::new().spawn_scoped(scope, move || {
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
        let mut f = Feed {
            made,
            permits,
            waiting: BTreeMap::new(),
            next: 0,
            busy,
        };
        let r = consume(&mut f);
        drop(f);
        r
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Data, other, video, want};
    use super::*;
    use crate::program::ValueId;
    use glad_nodes::HostValue;

    /// The labels that `n` wants gave, in order, with the bad videos; and the most samples in flight at a time.
    fn labels(n: usize, options: FeedOptions, replace: bool) -> (Vec<Option<u32>>, Vec<usize>, usize) {
        let data = Data::twenty();
        let host = data.host();
        let recipe = data.recipe(&host, replace.then_some(&other as &dyn Replace));
        let (mut out, mut bad, mut most) = (vec![], vec![], 0);
        feed(&recipe, options, (0..n).map(want), |made| {
            while let Some(m) = {
                // begun but not yet taken (without replacement, a sample begins once)
                most = most.max(data.begun.load(Ordering::SeqCst) - out.len());
                made.next().unwrap()
            } {
                bad.extend(m.bad.iter().map(|b| b.video));
                out.push(m.sample.map(|s| match s.values[&ValueId(1)] {
                    HostValue::Label(l) => l,
                    _ => unreachable!("the stage gives labels"),
                }));
                std::thread::sleep(Duration::from_micros(50));
            }
            assert!(made.busy() > Duration::ZERO);
        });
        (out, bad, most)
    }

    #[test]
    fn samples_come_in_order_and_never_more_than_allowed() {
        for (workers, ahead) in [(1, 1), (1, 8), (4, 5), (3, 16)] {
            let (out, bad, most) = labels(120, FeedOptions { workers, ahead }, false);
            let wanted: Vec<Option<u32>> = (0..120)
                .map(|i| i % 20)
                .map(|v| (v % 7 != 3).then_some(v as u32))
                .collect();
            assert_eq!(out, wanted);
            assert_eq!(bad.len(), 120 / 20 * 3);
            assert!(most <= ahead, "{most} samples in flight where {ahead} are allowed");
        }
    }

    #[test]
    fn what_is_no_fault_of_the_video_ends_the_run() {
        let path = |i| if i == 12 { "hangs.mp4" } else { "v" };
        let data = Data::new((0..20).map(|i| video(i, path(i))));
        let host = data.host();
        let recipe = data.recipe(&host, Some(&|_: usize, _: Drawn, _: u64| 0usize));
        let options = FeedOptions { workers: 3, ahead: 4 };
        let outcome = feed(&recipe, options, (0..20).map(want), |made| -> Result<usize> {
            let mut taken = 0;
            while made.next()?.is_some() {
                taken += 1;
            }
            Ok(taken)
        });
        let e = format!("{:#}", outcome.unwrap_err());
        assert!(e.contains("hangs.mp4: nothing came of it"), "{e}");
    }

    #[test]
    fn attempts_are_counted_until_a_video_can_be_used_or_the_slot_is_given_up() {
        let data = Data::twenty();
        let host = data.host();
        let asked = std::sync::Mutex::new(vec![]);
        // Videos 3, 10 and 17 are bad.
        let replace = |stream: usize, drawn: Drawn, attempt: u64| {
            asked.lock().unwrap().push((stream, drawn.video, attempt));
            [10, 17, 3, 5][attempt as usize - 1]
        };
        let recipe = data.recipe(&host, Some(&replace));
        let made = recipe.make(want(3));
        assert_eq!(made.sample.unwrap().video.index, 5);
        let videos: Vec<usize> = made.bad.iter().map(|b| b.video).collect();
        assert_eq!(videos, [3, 10, 17, 3]);
        assert_eq!(made.bad[1].reason, "node `work`: damaged");
        assert_eq!(
            asked.into_inner().unwrap(),
            [(0, 3, 1), (0, 3, 2), (0, 3, 3), (0, 3, 4)]
        );

        let always = |_: usize, _: Drawn, _: u64| 10;
        let made = data.recipe(&host, Some(&always)).make(want(3));
        assert!(made.sample.is_none());
        assert_eq!(made.bad.len(), 1 + ATTEMPTS as usize);
        let made = data.recipe(&host, None).make(want(3));
        assert!(made.sample.is_none());
        assert_eq!(made.bad.len(), 1, "a view leaves it out");
    }

    #[test]
    fn a_sample_has_a_key_of_all_that_names_it() {
        let key = |seed: u64, stream, pass, video, attempt| sample_key(Key::new(seed), stream, pass, video, attempt);
        let one = key(1, "a", 2, 3, 0);
        assert_eq!(one, key(1, "a", 2, 3, 0));
        for other in [
            key(2, "a", 2, 3, 0),
            key(1, "b", 2, 3, 0),
            key(1, "a", 3, 3, 0),
            key(1, "a", 2, 4, 0),
            key(1, "a", 2, 3, 1),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_bad_video_is_replaced_in_the_same_way_by_any_number_of_workers() {
        let one = labels(80, FeedOptions { workers: 1, ahead: 2 }, true);
        let four = labels(80, FeedOptions { workers: 4, ahead: 9 }, true);
        assert_eq!((&one.0, &one.1), (&four.0, &four.1));
        assert!(one.0.iter().all(Option::is_some));
        assert!(!one.1.is_empty());
    }
}
