//! Keyed random streams.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::config::Range;

/// A random stream that depends on its key alone: equal keys give equal draws, no matter what was drawn
/// elsewhere.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `purpose` for video `index` of `split` under `seed`.
    pub(crate) fn new(seed: u64, split: &str, index: usize, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("glad mini data set: random streams");
        hasher.update(&seed.to_le_bytes());
        for name in [split, purpose] {
            // With the length before each name, no two keys run into each other.
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
        }
        hasher.update(&(index as u64).to_le_bytes());
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f32 {
        // An f32 represents 24 bits exactly.
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform between the bounds of `range`.
    pub(crate) fn within(&mut self, range: Range) -> f32 {
        self.uniform(range.0[0], range.0[1])
    }

    /// Uniform in the logarithm, between the bounds of `range`.
    pub(crate) fn log_within(&mut self, range: Range) -> f32 {
        self.uniform(range.0[0].ln(), range.0[1].ln()).exp()
    }

    /// Uniform over the integers `0..count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count as u32) as usize
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// -1 or 1.
    pub(crate) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { -1.0 } else { 1.0 }
    }

    /// Normal with mean 0 and the given standard deviation.
    pub(crate) fn normal(&mut self, std: f32) -> f32 {
        let z: f32 = self.0.sample(StandardNormal);
        std * z
    }

    /// One of `items`, with equal probability.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_separate_streams() {
        let draw = |seed, split, index, purpose| Stream::new(seed, split, index, purpose).0.next_u64();
        let base = draw(1, "source_train", 3, "figure");
        assert_eq!(base, draw(1, "source_train", 3, "figure"));
        for other in [
            draw(2, "source_train", 3, "figure"),
            draw(1, "source_test", 3, "figure"),
            draw(1, "source_train", 4, "figure"),
            draw(1, "source_train", 3, "background"),
            draw(1, "source_trai", 3, "nfigure"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn draws_have_the_stated_moments() {
        let mut stream = Stream::new(0, "test", 0, "moments");
        let n = 20_000;
        let mean = |draws: &[f32]| draws.iter().sum::<f32>() / n as f32;
        let uniform: Vec<f32> = (0..n).map(|_| stream.uniform(2.0, 6.0)).collect();
        assert!((mean(&uniform) - 4.0).abs() < 0.05 && uniform.iter().all(|u| (2.0..6.0).contains(u)));
        let normal: Vec<f32> = (0..n).map(|_| stream.normal(3.0)).collect();
        let variance = mean(&normal.iter().map(|z| z * z).collect::<Vec<_>>());
        assert!(mean(&normal).abs() < 0.1 && (variance - 9.0).abs() < 0.4, "{variance}");
        let log: Vec<f32> = (0..n).map(|_| stream.log_within(Range([1.0, 100.0])).ln()).collect();
        assert!((mean(&log) - 10f32.ln()).abs() < 0.05);
        let mut seen = [0; 5];
        (0..n).for_each(|_| seen[stream.below(5)] += 1);
        assert!(seen.iter().all(|&count: &i32| (count - 4000).abs() < 300), "{seen:?}");
    }
}
