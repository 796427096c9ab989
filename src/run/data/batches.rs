//! Batches ahead of their use: a thread takes samples in order, stacks them, and sends them on their way to the device while
//! it computes on the batch before.

use super::feed::{BadVideo, Feed, FeedOptions, Recipe, Want, feed};
use super::stack::{Stacker, Staged};
use anyhow::{Context, Result, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A batch, or why there is none.
pub(crate) struct Ready {
    /// Videos that failed on the way.
    pub bad: Vec<BadVideo>,
    /// The batch.
    pub batch: Result<Staged>,
}

/// Batches, in order.
pub(crate) struct Batches {
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
    pub(crate) fn next(&mut self) -> Result<Ready> {
        let since = Instant::now();
        let got = self.ready.recv();
        self.waited += since.elapsed();
        got.ok().context("the data side ended early")
    }

    /// The next batch; `None` where it is not there and `give_up` decides not to wait for it any longer.
    ///
    /// # Errors
    /// There is none any more.
    pub(crate) fn next_unless(&mut self, give_up: impl Fn() -> bool) -> Result<Option<Ready>> {
        let since = Instant::now();
        let got = loop {
            match self.ready.recv_timeout(Duration::from_millis(100)) {
                Err(RecvTimeoutError::Timeout) if give_up() => break Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
                got => break got.map(Some),
            }
        };
        self.waited += since.elapsed();
        got.ok().context("the data side ended early")
    }

    /// Time that the consumer waited for batches.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Time that a finished batch waited for the consumer.
    pub(crate) fn held(&self) -> Duration {
        Duration::from_nanos(self.times.held.load(Ordering::Relaxed))
    }

    /// Time that the data side's threads worked, together.
    pub(crate) fn busy(&self) -> Duration {
        Duration::from_nanos(self.times.busy.load(Ordering::Relaxed))
    }
}

/// Runs the data side over `wants` while `consume` takes batches. `rows` are the samples of each stream in each batch; `wants`
/// come batch by batch, stream by stream. In addition to the samples that [`feed`] has in flight there is at most one batch that is
/// being stacked or waits to be taken. All threads have ended when it returns.
pub(crate) fn batches<R>(
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
///
/// # Errors
/// A video cannot be used, the samples do not stack, or the device fails.
pub(crate) fn again(
    recipe: &Recipe<'_>,
    stacker: &Stacker<'_>,
    rows: &[usize],
    wants: impl Iterator<Item = Want>,
) -> Result<Staged> {
    let mut stack = stacker.begin(rows);
    for want in wants {
        let made = recipe.make(want);
        if let Some(e) = made.fatal {
            return Err(e);
        }
        let name = || format!("a video of stream `{}` cannot be used", recipe.streams[want.stream]);
        stack.add(want.stream, made.sample.with_context(name)?)?;
    }
    stack.send()
}

#[cfg(test)]
mod tests {
    use super::super::order::{Drawn, Replace};
    use super::super::testing::{Data, other, video, want};
    use super::*;
    use crate::program::ValueId;
    use crate::run::staging::staging;
    use candle_core::{Device, Tensor};
    use std::collections::HashMap;

    const LABEL: ValueId = ValueId(3);
    const CLIPS: ValueId = ValueId(4);

    /// What batches of these sizes hold: labels and bytes; with the most samples that were begun and not yet taken.
    #[allow(clippy::type_complexity)]
    fn taken(sizes: &[usize], options: FeedOptions, replace: bool) -> (Vec<(Vec<u32>, Vec<u8>)>, usize) {
        let data = Data::twenty();
        let host = data.host();
        let recipe = data.recipe(&host, replace.then_some(&other as &dyn Replace));
        let staging = staging(&Device::Cpu).unwrap();
        let stacker = Stacker::new(&data.program, staging.as_ref()).unwrap();
        let rows = |n: &usize| vec![*n];
        let read = |values: HashMap<ValueId, Tensor>| {
            let n = values[&LABEL].dim(0).unwrap();
            assert_eq!(values[&CLIPS].dims(), [n, 1, 1, 2, 2, 1]);
            let bytes = values[&CLIPS].flatten_all().unwrap().to_vec1().unwrap();
            (values[&LABEL].to_vec1().unwrap(), bytes)
        };
        let total: usize = sizes.iter().sum();
        let (mut out, mut used, mut most) = (vec![], 0, 0);
        batches(
            &recipe,
            options,
            &stacker,
            sizes.iter().map(rows),
            (0..total).map(want),
            |made| {
                for n in sizes {
                    most = most.max(data.begun.load(Ordering::SeqCst).saturating_sub(used));
                    let staged = made.next().unwrap().batch.unwrap();
                    let videos: Vec<u32> = staged.videos[0].iter().map(|v| v.index as u32).collect();
                    let batch = read(staged.arrive().unwrap());
                    assert_eq!(videos, batch.0);
                    if replace {
                        // Made once more, a batch is the same.
                        let wants = (used..used + n).map(want);
                        let again = again(&recipe, &stacker, &[*n], wants).unwrap();
                        assert_eq!(read(again.arrive().unwrap()), batch);
                    }
                    out.push(batch);
                    used += n;
                    std::thread::sleep(Duration::from_micros(100));
                }
                let e = made.next().err().expect("there are no more");
                assert_eq!(e.to_string(), "the data side ended early");
            },
        );
        (out, most)
    }

    #[test]
    fn batches_hold_their_samples_in_order_and_no_more_than_allowed_wait() {
        let sizes = [4, 4, 4, 7, 1, 4, 4, 4, 4, 3, 5, 6];
        for (workers, ahead) in [(1, 1), (1, 8), (4, 5), (3, 16)] {
            let (out, most) = taken(&sizes, FeedOptions { workers, ahead }, false);
            let mut at = 0;
            for ((labels, bytes), n) in out.iter().zip(sizes) {
                // Videos that cannot be used are left out.
                let wanted = (at..at + n).map(|i| i as u32 % 20).filter(|v| v % 7 != 3);
                assert_eq!(*labels, wanted.collect::<Vec<_>>());
                assert_eq!(*bytes, labels.iter().flat_map(|v| [*v as u8; 4]).collect::<Vec<_>>());
                at += n;
            }
            let bound = ahead + sizes.iter().max().unwrap();
            assert!(most <= bound, "{most} samples are waiting where {bound} may");
        }
    }

    #[test]
    fn batches_are_the_same_for_any_number_of_workers() {
        let of = |workers, ahead| taken(&[4, 4, 4, 4, 4, 4], FeedOptions { workers, ahead }, true).0;
        assert_eq!(of(1, 2), of(4, 9));
    }

    #[test]
    fn what_does_not_stack_is_reported() {
        let data = Data::new([video(3, "v")]);
        let host = data.host();
        let recipe = data.recipe(&host, Some(&|_: usize, _: Drawn, _: u64| 0usize));
        let staging = staging(&Device::Cpu).unwrap();
        let stacker = Stacker::new(&data.program, staging.as_ref()).unwrap();
        let options = FeedOptions { workers: 2, ahead: 4 };
        let outcome = batches(
            &recipe,
            options,
            &stacker,
            std::iter::repeat_n(vec![2], 3),
            (0..6).map(|_| want(0)),
            |made| -> Result<()> {
                let ready = made.next()?;
                assert_eq!(ready.bad.len(), 17, "each attempt is reported");
                ready.batch.map(|_| ())
            },
        );
        let e = format!("{:#}", outcome.unwrap_err());
        assert_eq!(
            e,
            "no usable video for a slot of stream `source`; the last reason: node `work`: damaged"
        );
    }
}
