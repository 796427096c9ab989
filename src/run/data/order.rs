//! Which videos a step takes: a function of the seed and the step alone, so that a resumed run goes on exactly.

use crate::graph::{Epoch, PhaseDef};
use anyhow::{Result, ensure};
use glad_nodes::Key;

/// The key below which all of a phase's random numbers are drawn.
pub fn draw_key(def: &PhaseDef, seed: u64) -> Key {
    let seed = def.seed.as_ref().map_or(seed, |s| s.value);
    Key::new(seed).name("phase").name(&def.name)
}

/// The order in which a phase goes through its lists.
///
/// An epoch is one pass over the list of one stream; the other streams run on across their own passes, each pass in a
/// fresh order. Only the last step of an epoch may be short, for all streams in proportion, unless such steps are left out.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    key: Key,
    streams: Vec<String>,
    sizes: Vec<usize>,
    /// Videos of each stream in a step that is not short.
    batches: Vec<usize>,
    /// The stream over whose list a pass is an epoch.
    leads: usize,
    steps_per_epoch: u64,
    drop_last: bool,
}

/// A video drawn for a slot of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drawn {
    /// The stream's pass over its list, from 0.
    pub pass: u64,
    /// The video's place in the list.
    pub video: usize,
}

impl Order {
    /// `key` is that of the phase; `sizes` are the lengths of the streams' lists, none of them 0, and `batches` how many videos
    /// of each a step takes.
    ///
    /// # Errors
    /// An epoch has no step: the list has fewer videos than a batch, and short steps are left out.
    pub(crate) fn new(
        key: Key,
        streams: &[String],
        sizes: &[usize],
        batches: &[usize],
        epoch: &Epoch,
    ) -> Result<Order> {
        let (leads, steps_per_epoch) = (epoch.stream(sizes, batches), epoch.steps(sizes, batches));
        ensure!(
            steps_per_epoch > 0,
            "an epoch has no step: stream {} has {} videos, a batch {}, and `drop_last` leaves short steps out",
            streams[leads],
            sizes[leads],
            batches[leads]
        );
        Ok(Order {
            key: key.name("order"),
            streams: streams.to_vec(),
            sizes: sizes.to_vec(),
            batches: batches.to_vec(),
            leads,
            steps_per_epoch,
            drop_last: epoch.drop_last,
        })
    }

    /// Steps in an epoch.
    pub(crate) fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// Videos of each stream in step `step`.
    pub(crate) fn lengths(&self, step: u64) -> Vec<usize> {
        let batch = self.batches[self.leads];
        let left = self.sizes[self.leads] - (step % self.steps_per_epoch) as usize * batch;
        let in_proportion = |own: &usize| match left < batch {
            true => (left * own).div_ceil(batch),
            false => *own,
        };
        self.batches.iter().map(in_proportion).collect()
    }

    /// Where `step` begins in the passes over a stream's list, one after the other.
    fn before(&self, stream: usize, step: u64) -> u64 {
        let (per, batch) = (self.steps_per_epoch, self.batches[stream] as u64);
        let of_epoch = match self.drop_last {
            // What its last step leaves out is not taken.
            true if stream == self.leads => self.sizes[stream] as u64,
            // The other streams have no end of an epoch, so nothing of them is left out.
            true => per * batch,
            false => (per - 1) * batch + self.lengths(per - 1)[stream] as u64,
        };
        (step / per) * of_epoch + (step % per) * batch
    }

    /// The videos of `step`, for each stream in order. `cache` keeps permutations between calls.
    pub(crate) fn draw(&self, step: u64, cache: &mut PassCache) -> Vec<Vec<Drawn>> {
        let lengths = self.lengths(step);
        (0..self.sizes.len())
            .map(|s| {
                let start = self.before(s, step);
                (start..start + lengths[s] as u64)
                    .map(|at| {
                        let size = self.sizes[s] as u64;
                        let (pass, i) = (at / size, (at % size) as usize);
                        Drawn {
                            pass,
                            video: cache.permutation(self, s, pass)[i],
                        }
                    })
                    .collect()
            })
            .collect()
    }
}

/// Names the video that replaces a bad one.
pub(crate) trait Replace: Sync {
    /// The video's place in the list, at attempt 1, 2, …
    fn replacement(&self, stream: usize, drawn: Drawn, attempt: u64) -> usize;
}

impl Replace for Order {
    fn replacement(&self, stream: usize, drawn: Drawn, attempt: u64) -> usize {
        self.key
            .name(&self.streams[stream])
            .name("replacement")
            .index(drawn.pass)
            .index(drawn.video as u64)
            .index(attempt)
            .rng()
            .below(self.sizes[stream])
    }
}

impl<F: Fn(usize, Drawn, u64) -> usize + Sync> Replace for F {
    fn replacement(&self, stream: usize, drawn: Drawn, attempt: u64) -> usize {
        self(stream, drawn, attempt)
    }
}

/// The permutations of the passes that are being used.
#[derive(Default)]
pub(crate) struct PassCache(Vec<(usize, u64, Vec<usize>)>);

impl PassCache {
    fn permutation(&mut self, order: &Order, stream: usize, pass: u64) -> &[usize] {
        if let Some(i) = self.0.iter().position(|(s, p, _)| *s == stream && *p == pass) {
            return &self.0[i].2;
        }
        self.0.retain(|(s, p, _)| *s != stream || *p + 1 >= pass);
        let key = order.key.name(&order.streams[stream]).index(pass);
        let p = key.rng().permutation(order.sizes[stream]);
        self.0.push((stream, pass, p));
        &self.0.last().expect("pushed above").2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Files, Spanned};
    use crate::graph::EpochOver;
    use proptest::prelude::*;

    fn order(sizes: &[usize], batch: usize) -> Order {
        let names: Vec<String> = (0..sizes.len()).map(|i| format!("s{i}")).collect();
        Order::new(Key::new(1), &names, sizes, &vec![batch; sizes.len()], &Epoch::default()).unwrap()
    }

    #[test]
    fn an_epoch_is_a_pass_over_the_first_stream() {
        let o = order(&[10, 4], 4);
        assert_eq!(o.steps_per_epoch(), 3);
        let lengths: Vec<Vec<usize>> = (0..6).map(|k| o.lengths(k)).collect();
        assert_eq!(lengths, [4, 4, 2, 4, 4, 2].map(|n| vec![n; 2]));
        let mut cache = PassCache::default();
        let mut seen: Vec<usize> = (0..3)
            .flat_map(|k| o.draw(k, &mut cache)[0].clone())
            .map(|d| d.video)
            .collect();
        seen.sort();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    /// An order whose epochs are passes over the longest list, without their short steps.
    fn longest(sizes: &[usize], batch: usize) -> Result<Order> {
        let names: Vec<String> = (0..sizes.len()).map(|i| format!("s{i}")).collect();
        let epoch = Epoch {
            over: Some(Spanned::new(
                EpochOver::Longest,
                Files::default().add_text("", "").start(),
            )),
            drop_last: true,
        };
        Order::new(Key::new(1), &names, sizes, &vec![batch; sizes.len()], &epoch)
    }

    #[test]
    fn streams_may_have_batches_of_their_own() {
        let names = ["a", "b"].map(String::from);
        let of = |sizes: &[usize], batches: &[usize], drop_last| {
            let epoch = Epoch { over: None, drop_last };
            Order::new(Key::new(1), &names, sizes, batches, &epoch).unwrap()
        };
        // Ten videos, four at a time: the last step has half of them, and half of the other stream's three, rounded up.
        let o = of(&[10, 7], &[4, 3], false);
        let lengths: Vec<Vec<usize>> = (0..6).map(|k| o.lengths(k)).collect();
        assert_eq!(lengths, [[4, 3], [4, 3], [2, 2], [4, 3], [4, 3], [2, 2]]);
        // Nothing is left out of either stream, or comes twice in a pass.
        for (o, steps) in [(o, 30), (of(&[9, 5], &[2, 3], false), 30)] {
            let mut cache = PassCache::default();
            let all: Vec<Vec<Vec<Drawn>>> = (0..steps).map(|k| o.draw(k, &mut cache)).collect();
            for s in 0..2 {
                let of_stream: Vec<Drawn> = all.iter().flat_map(|step| step[s].clone()).collect();
                for (i, d) in of_stream.iter().enumerate() {
                    assert_eq!(d.pass, (i / o.sizes[s]) as u64, "stream {s}, video {i}");
                }
                let mut once: Vec<usize> = of_stream[..o.sizes[s]].iter().map(|d| d.video).collect();
                once.sort();
                assert_eq!(once, (0..o.sizes[s]).collect::<Vec<_>>());
            }
        }
        // With whole steps alone the first stream starts anew with each epoch, and the other goes on.
        let o = of(&[10, 7], &[4, 3], true);
        assert_eq!(o.steps_per_epoch(), 2);
        assert!((0..9).all(|k| o.lengths(k) == [4, 3]));
        assert_eq!((0..5).map(|k| o.before(0, k)).collect::<Vec<_>>(), [0, 4, 10, 14, 20]);
        assert_eq!((0..5).map(|k| o.before(1, k)).collect::<Vec<_>>(), [0, 3, 6, 9, 12]);
    }

    #[test]
    fn short_steps_may_be_left_out() {
        let o = longest(&[3, 10], 4).unwrap();
        assert_eq!(o.steps_per_epoch(), 2);
        assert!((0..20).all(|k| o.lengths(k) == [4, 4]));
        let mut cache = PassCache::default();
        let rows: Vec<Vec<Vec<Drawn>>> = (0..6).map(|k| o.draw(k, &mut cache)).collect();
        // Each epoch is a pass of the longest list, of which two videos are left out.
        let passes = rows.iter().map(|r| r[1].iter().map(|d| d.pass).collect::<Vec<_>>());
        assert_eq!(
            passes.collect::<Vec<_>>(),
            [[0; 4], [0; 4], [1; 4], [1; 4], [2; 4], [2; 4]]
        );
        // Of the other nothing is.
        let of_first: Vec<u64> = rows.iter().flat_map(|r| r[0].iter().map(|d| d.pass)).collect();
        assert_eq!(of_first, (0..24).map(|i| i / 3).collect::<Vec<_>>());
        let e = longest(&[3, 3], 4).unwrap_err();
        assert_eq!(
            e.to_string(),
            "an epoch has no step: stream s0 has 3 videos, a batch 4, and `drop_last` leaves short steps out"
        );
    }

    #[test]
    fn a_replacement_depends_on_all_that_names_it_and_may_be_any_video() {
        let of = |key: u64, stream, pass, video, attempt| {
            let names = ["a".to_string(), "b".to_string()];
            let order = Order::new(Key::new(key), &names, &[1000, 1000], &[4, 4], &Epoch::default()).unwrap();
            order.replacement(stream, Drawn { pass, video }, attempt)
        };
        let one = of(1, 0, 2, 3, 1);
        assert_eq!(of(1, 0, 2, 3, 1), one);
        for other in [
            of(2, 0, 2, 3, 1),
            of(1, 1, 2, 3, 1),
            of(1, 0, 1, 3, 1),
            of(1, 0, 2, 4, 1),
            of(1, 0, 2, 3, 2),
        ] {
            assert_ne!(other, one);
        }
        let order = order(&[5], 2);
        let mut seen = [0usize; 5];
        for attempt in 1..=2000 {
            seen[order.replacement(0, Drawn { pass: 0, video: 2 }, attempt)] += 1;
        }
        assert!(seen.iter().all(|n| (320..480).contains(n)), "{seen:?}");
    }

    #[test]
    fn few_passes_are_kept_at_a_time() {
        let o = order(&[10, 4], 4);
        let mut cache = PassCache::default();
        for k in 0..50 {
            o.draw(k, &mut cache);
            assert!(cache.0.len() <= 6, "{} passes at step {k}", cache.0.len());
        }
    }

    proptest! {
        #[test]
        fn every_stream_sees_every_video_once_a_pass(a in 1usize..30, b in 1usize..30, batch in 1usize..9) {
            let o = order(&[a, b], batch);
            let mut cache = PassCache::default();
            let mut count = std::collections::HashMap::new();
            for k in 0..200 {
                for (s, row) in o.draw(k, &mut cache).into_iter().enumerate() {
                    prop_assert_eq!(row.len(), o.lengths(k)[s]);
                    for d in row {
                        *count.entry((s, d.pass, d.video)).or_insert(0) += 1;
                    }
                }
            }
            prop_assert!(count.values().all(|n| *n == 1));
            // starting in the middle draws the same
            prop_assert_eq!(o.draw(137, &mut PassCache::default()), o.draw(137, &mut cache));
        }
    }
}
