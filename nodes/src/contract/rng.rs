//! Keyed randomness: every draw is a function of what it is for, never of when or where it happens.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Names a stream of random numbers: a hash of (seed, node, stream, phase, pass, sample, attempt, …).
///
/// Dropping a node or a phase changes no other node's key, and threads change nothing.
///
/// ```
/// use glad_nodes::Key;
/// let key = Key::new(1).name("backbone").index(7);
/// assert_eq!(key.rng().bits(), Key::new(1).name("backbone").index(7).rng().bits());
/// assert_ne!(key, Key::new(2).name("backbone").index(7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a run.
    pub fn new(seed: u64) -> Key {
        Key(*blake3::Hasher::new()
            .update(b"glad key v1")
            .update(&seed.to_le_bytes())
            .finalize()
            .as_bytes())
    }

    /// A key below this one, by name.
    pub fn name(&self, name: &str) -> Key {
        self.extend(0, name.as_bytes())
    }

    /// A key below this one, by number.
    pub fn index(&self, i: u64) -> Key {
        self.extend(1, &i.to_le_bytes())
    }

    /// The key's own number, for masks that are functions of (key, element).
    pub fn word(&self) -> u64 {
        u64::from_le_bytes(self.0[..8].try_into().expect("8 of 32 bytes"))
    }

    /// The random numbers of this key, from their start.
    pub fn rng(&self) -> Draw {
        Draw(ChaCha8Rng::from_seed(self.0))
    }

    fn extend(&self, tag: u8, bytes: &[u8]) -> Key {
        Key(*blake3::Hasher::new()
            .update(&self.0)
            .update(&[tag])
            .update(bytes)
            .finalize()
            .as_bytes())
    }
}

/// Random numbers of one [`Key`].
#[derive(Clone, Debug)]
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// A uniform 64-bit number.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1), with 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n, without bias. `n` must be at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n.max(1) as u64;
        let (mut hi, mut lo) = wide(self.bits(), n);
        // Lemire's method: reject the few low products that would favour some results.
        let threshold = n.wrapping_neg() % n;
        while lo < threshold {
            (hi, lo) = wide(self.bits(), n);
        }
        hi as usize
    }

    /// Whether an event of probability `p` happens.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A standard normal number (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        let u = 1.0 - self.unit();
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A uniform permutation of 0..n (Fisher–Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut v: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            v.swap(i, self.below(i + 1));
        }
        v
    }
}

fn wide(a: u64, b: u64) -> (u64, u64) {
    let p = a as u128 * b as u128;
    ((p >> 64) as u64, p as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_path() {
        let a = Key::new(1).name("bg_mix").index(7);
        assert_eq!(a, Key::new(1).name("bg_mix").index(7));
        for other in [
            Key::new(2).name("bg_mix").index(7),
            Key::new(1).name("bg_mi").index(7),
            Key::new(1).name("bg_mix").index(8),
            Key::new(1).index(7).name("bg_mix"),
        ] {
            assert_ne!(a, other);
        }
        assert_eq!(a.rng().bits(), a.rng().bits());
    }

    #[test]
    fn draws_cover_their_range() {
        let mut d = Key::new(3).rng();
        let mut seen = [0usize; 5];
        for _ in 0..5000 {
            seen[d.below(5)] += 1;
        }
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
        let mut p = d.permutation(9);
        p.sort();
        assert_eq!(p, (0..9).collect::<Vec<_>>());
        let mean = (0..4000).map(|_| d.normal()).sum::<f64>() / 4000.0;
        assert!(mean.abs() < 0.1);
    }
}
