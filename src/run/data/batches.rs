//! Batches ahead of their use: a thread takes samples in order, stacks them, and sends them on their way to the device while
//! it computes on the batch before.

use super::feed::{BadVideo, Feed, FeedOptions, Recipe, Want, feed};
use super::stack::{Stacker, Staged};
use anyhow::{Context, Result, bail};
use crossbeam_channel::{Receiver, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A batch, or why there is none.
pub struct Ready {
    /// Videos that failed on the way.
    pub bad: Vec<BadVideo>,
    /// The batch.
    pub batch: Result<Staged>,
}

/// Batches, in order.
pub struct Batches {
    ready: Receiver<Ready>,
    waited: Duration,
    times: Arc<Times>,
}

/// Nanoseconds.
#[derive(Default)]
struct Times {
    busy: AtomicU64,
    held: AtomicU64,
}

impl Batches {
    /// The next batch.
    ///
    /// # Errors
    /// There is none any more.
    pub fn next(&mut self) -> Result<Ready> {
        let since = Instant::now();
        let got = self.ready.recv();
        self.waited += since.elapsed();
        got.ok().context("the data side ended early")
    }

    /// Time that the consumer waited for batches.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Time that a finished batch waited for the consumer.
    pub fn held(&self) -> Duration {
        Duration::from_nanos(self.times.held.load(Ordering::Relaxed))
    }

    /// Time that the data side's threads worked, together.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.times.busy.load(Ordering::Relaxed))
    }
}

/// Runs the data side over `wants` while `consume` takes batches. `rows` are the samples of each stream in each batch; `wants`
/// come batch by batch, stream by stream. Beside the samples that [`feed`] has in flight there is at most one batch that is
/// being stacked or waits to be taken. All threads have ended when it returns.
pub fn batches<R>(
    recipe: &Recipe<'_>,
    options: FeedOptions,
    stacker: &Stacker<'_>,
    rows: impl Iterator<Item = Vec<usize>> + Send,
    wants: impl Iterator<Item = Want> + Send,
    consume: impl FnOnce(&mut Batches) -> R,
) -> R {
    // Without room: a batch is handed over, or waits in the hands of the thread that has stacked it.
    let (done, ready) = bounded::<Ready>(0);
    let times = Arc::new(Times::default());
    let theirs = times.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            feed(recipe, options, wants, |made| {
                let mut stacking = Duration::ZERO;
                for rows in rows {
                    let next = gather(recipe, made, stacker, &rows, &mut stacking);
                    let busy = made.busy() + stacking;
                    theirs.busy.store(busy.as_nanos() as u64, Ordering::Relaxed);
                    let (last, since) = (next.batch.is_err(), Instant::now());
                    let taken = done.send(next);
                    theirs
                        .held
                        .fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
                    if last || taken.is_err() {
                        break;
                    }
                }
            });
        });
        let mut batches = Batches {
            ready,
            waited: Duration::ZERO,
            times,
        };
        let r = consume(&mut batches);
        drop(batches);
        r
    })
}

/// Stacks the next samples, so many of each stream.
fn gather(
    recipe: &Recipe<'_>,
    made: &mut Feed,
    stacker: &Stacker<'_>,
    rows: &[usize],
    stacking: &mut Duration,
) -> Ready {
    let mut bad = vec![];
    let mut all = || -> Result<Staged> {
        let mut stack = stacker.begin(rows);
        for (stream, n) in rows.iter().enumerate() {
            for _ in 0..*n {
                let m = made.next()?.context("the data side ended early")?;
                let reason = m.bad.last().map_or("none".to_string(), |b| b.reason.clone());
                bad.extend(m.bad);
                let since = Instant::now();
                match m.sample {
                    Some(sample) => stack.add(stream, sample)?,
                    None if recipe.replace.is_none() => {}
                    None => bail!(
                        "no usable video for a slot of stream `{}`; the last reason: {reason}",
                        recipe.streams[stream]
                    ),
                }
                *stacking += since.elapsed();
            }
        }
        let since = Instant::now();
        let staged = stack.send();
        *stacking += since.elapsed();
        staged
    };
    let batch = all();
    Ready { bad, batch }
}

/// The batch of these wants once more, made on this thread.
pub fn again(
    recipe: &Recipe<'_>,
    stacker: &Stacker<'_>,
    rows: &[usize],
    wants: impl Iterator<Item = Want>,
) -> Result<Staged> {
    let mut stack = stacker.begin(rows);
    for want in wants {
        let sample = recipe.make(want).sample;
        let name = || format!("a video of stream `{}` cannot be used", recipe.streams[want.stream]);
        stack.add(want.stream, sample.with_context(name)?)?;
    }
    stack.send()
}
