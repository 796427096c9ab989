//! Exponential moving averages of weights, one pass over a parameter.

use crate::error::{Result, check_len};
use crate::isa::{self, per_isa};
use crate::parallel::{self, Shared, chunk_of};

const OP: &str = "moving average";
const CHUNK: usize = 1 << 14;

/// `average = decay · average + (1 − decay) · weights`: the teacher of Tarvainen & Valpola (NeurIPS 2017), whose α is `decay`.
///
/// # Errors
/// Lengths that differ.
pub fn follow(decay: f64, weights: &[f32], average: &mut [f32]) -> Result<()> {
    let len = average.len();
    check_len(OP, "weights", weights.len(), len)?;
    let (isa, keep, share) = (isa::current(), decay as f32, (1.0 - decay) as f32);
    let average = Shared::new(average);
    parallel::run(len.div_ceil(CHUNK), len, |i| {
        let (at, len) = chunk_of(len, CHUNK, i);
        // SAFETY: chunks are disjoint.
        update(isa, keep, share, &weights[at..at + len], unsafe {
            average.part(at, len)
        });
    });
    Ok(())
}

per_isa! {
    fn update(keep: f32, share: f32, weights: &[f32], average: &mut [f32]) {
        average.iter_mut().zip(weights).for_each(|(a, w)| *a = keep * *a + share * *w);
    }
}
