//! Which videos a step takes: a function of the seed and the step alone, so that a resumed run goes on exactly.

use crate::graph::PhaseDef;
use glad_nodes::Key;

/// The key below which all of a phase's random numbers are drawn.
pub fn draw_key(def: &PhaseDef, seed: u64) -> Key {
    let seed = def.seed.as_ref().map_or(seed, |s| s.value);
    Key::new(seed).name("phase").name(&def.name)
}

/// The order in which a phase goes through its lists.
///
/// An epoch is one pass over the first stream; the other streams run on across their own passes, each pass in a
/// fresh order. Only the last step of an epoch may be short, for all streams alike.
#[derive(Clone, Debug)]
pub struct Order {
    key: Key,
    streams: Vec<String>,
    sizes: Vec<usize>,
    batch: usize,
}

/// A video drawn for a slot of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The stream's pass over its list, from 0.
    pub pass: u64,
    /// The video's place in the list.
    pub video: usize,
}

impl Order {
    /// `key` is that of the phase; `sizes` are the lengths of the streams' lists, none of them 0.
    pub fn new(key: Key, streams: &[String], sizes: &[usize], batch: usize) -> Order {
        Order {
            key: key.name("order"),
            streams: streams.to_vec(),
            sizes: sizes.to_vec(),
            batch,
        }
    }

    /// Steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.sizes[0].div_ceil(self.batch) as u64
    }

    /// Videos of each stream in step `step`.
    pub fn length(&self, step: u64) -> usize {
        let done = (step % self.steps_per_epoch()) as usize * self.batch;
        self.batch.min(self.sizes[0] - done)
    }

    /// Videos of each stream in the steps before `step`.
    fn before(&self, step: u64) -> u64 {
        let per = self.steps_per_epoch();
        (step / per) * self.sizes[0] as u64 + (step % per) * self.batch as u64
    }

    /// The videos of `step`, for each stream in order. `cache` keeps permutations between calls.
    pub fn draw(&self, step: u64, cache: &mut PassCache) -> Vec<Vec<Drawn>> {
        let (start, n) = (self.before(step), self.length(step) as u64);
        (0..self.sizes.len())
            .map(|s| {
                (start..start + n)
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
pub trait Replace: Sync {
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
pub struct PassCache(Vec<(usize, u64, Vec<usize>)>);

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
    use proptest::prelude::*;

    fn order(sizes: &[usize], batch: usize) -> Order {
        let names: Vec<String> = (0..sizes.len()).map(|i| format!("s{i}")).collect();
        Order::new(Key::new(1), &names, sizes, batch)
    }

    #[test]
    fn an_epoch_is_a_pass_over_the_first_stream() {
        let o = order(&[10, 4], 4);
        assert_eq!(o.steps_per_epoch(), 3);
        assert_eq!((0..6).map(|k| o.length(k)).collect::<Vec<_>>(), [4, 4, 2, 4, 4, 2]);
        let mut cache = PassCache::default();
        let mut seen: Vec<usize> = (0..3)
            .flat_map(|k| o.draw(k, &mut cache)[0].clone())
            .map(|d| d.video)
            .collect();
        seen.sort();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_replacement_depends_on_all_that_names_it_and_may_be_any_video() {
        let of = |key: u64, stream, pass, video, attempt| {
            let names = ["a".to_string(), "b".to_string()];
            let order = Order::new(Key::new(key), &names, &[1000, 1000], 4);
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
                    prop_assert_eq!(row.len(), o.length(k));
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
