//! Dropout with masks that depend on a key and a value's index alone.
//!
//! Random bits come from Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//! 2011): block `i` of key `k` gives those of values `4i .. 4i + 4`. Nothing is kept for the backward pass.

use crate::error::{Result, check_len, shape};
use crate::isa::{self, per_isa};
use crate::parallel::{self, Shared, chunk_of};

const OP: &str = "dropout";
const CHUNK: usize = 1 << 12;

/// Four random words: Philox4x32 of ten rounds.
#[inline(always)]
fn philox(key: u64, counter: u64) -> [u32; 4] {
    let mut k = [key as u32, (key >> 32) as u32];
    let mut x = [counter as u32, (counter >> 32) as u32, 0, 0];
    for _ in 0..10 {
        let a = u64::from(x[0]) * 0xD251_1F53;
        let b = u64::from(x[2]) * 0xCD9E_8D57;
        x = [
            (b >> 32) as u32 ^ x[1] ^ k[0],
            b as u32,
            (a >> 32) as u32 ^ x[3] ^ k[1],
            a as u32,
        ];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    x
}

per_isa! {
    fn mask(key: u64, first: usize, below: u32, scale: f32, x: &[f32], y: &mut [f32]) {
        for (i, (x, y)) in x.chunks(4).zip(y.chunks_mut(4)).enumerate() {
            let words = philox(key, (first / 4 + i) as u64);
            for ((x, y), word) in x.iter().zip(y).zip(words) {
                *y = if word >= below { x * scale } else { 0.0 };
            }
        }
    }
}

/// `y = x / (1 − p)` where value `i` of `key` is kept, which has probability `1 − p`, else 0. The gradient is the same
/// function of the gradient, with the same `key` and `p`.
///
/// # Errors
/// `p` outside `[0, 1)`, or lengths that differ.
pub fn dropout(key: u64, p: f32, x: &[f32], y: &mut [f32]) -> Result<()> {
    if !(0.0..1.0).contains(&p) {
        return Err(shape(OP, format!("a probability of {p} is not in [0, 1)")));
    }
    check_len(OP, "y", y.len(), x.len())?;
    // Exact for any `f32` p: 2³² · p has at most 24 significant bits.
    let below = (f64::from(p) * 4_294_967_296.0) as u32;
    let scale = 1.0 / (1.0 - p);
    let isa = isa::current();
    let y = Shared::new(y);
    parallel::run(x.len().div_ceil(CHUNK), x.len(), |i| {
        let (at, len) = chunk_of(x.len(), CHUNK, i);
        // SAFETY: chunks are disjoint, and `y` is as long as `x`.
        let y = unsafe { y.part(at, len) };
        mask(isa, key, at, below, scale, &x[at..at + len], y);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_known_answers() {
        assert_eq!(philox(0, 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    }
}
