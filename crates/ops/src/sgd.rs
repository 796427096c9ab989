//! Stochastic gradient descent with momentum, one pass over a parameter, and norms of gradients.

use crate::error::{Result, check_len};
use crate::isa::{self, per_isa};
use crate::parallel::{self, Shared, chunk_of};
use std::sync::atomic::{AtomicBool, Ordering};

const OP: &str = "sgd";
const CHUNK: usize = 1 << 14;

/// One step of SGD, with PyTorch's meaning: `d = clip_scale · grad + weight_decay · w`;
/// `buffer = momentum · buffer + d` (at the first step `d`); `w −= lr · buffer`, or with `nesterov`
/// `w −= lr · (d + momentum · buffer)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// The learning rate, with the parameter's own multiplier in it.
    pub lr: f32,
    /// The momentum; with 0 the buffer is not used.
    pub momentum: f32,
    /// The weight decay.
    pub weight_decay: f32,
    /// Whether Nesterov's momentum is used.
    pub nesterov: bool,
    /// Factor of the gradients, which clips them by their norm; otherwise 1.
    pub clip_scale: f32,
}

impl Sgd {
    /// Updates `weights` and `buffer`; at the `first` step the buffer's contents do not matter. Returns whether all weights are
    /// finite afterwards.
    ///
    /// # Errors
    /// Lengths that differ; without momentum `buffer` may be empty.
    pub fn step(&self, first: bool, grad: &[f32], buffer: &mut [f32], weights: &mut [f32]) -> Result<bool> {
        check_len(OP, "grad", grad.len(), weights.len())?;
        let isa = isa::current();
        let len = weights.len();
        let chunks = len.div_ceil(CHUNK);
        let weights = Shared::new(weights);
        let finite = AtomicBool::new(true);
        let note = |most: u32| {
            if most >= INFINITE {
                finite.store(false, Ordering::Relaxed);
            }
        };
        if self.momentum == 0.0 {
            parallel::run(chunks, len, |i| {
                let (at, len) = chunk_of(len, CHUNK, i);
                // SAFETY: chunks are disjoint.
                note(plain(isa, *self, &grad[at..at + len], unsafe { weights.part(at, len) }));
            });
            return Ok(finite.into_inner());
        }
        check_len(OP, "buffer", buffer.len(), len)?;
        let buffer = Shared::new(buffer);
        let keep = if first { 0.0 } else { self.momentum };
        parallel::run(chunks, len, |i| {
            let (at, len) = chunk_of(len, CHUNK, i);
            // SAFETY: chunks are disjoint.
            let (buffer, weights) = unsafe { (buffer.part(at, len), weights.part(at, len)) };
            if first {
                // The buffer may hold anything, even NaN, which must not enter the result.
                buffer.fill(0.0);
            }
            note(with_momentum(isa, *self, keep, &grad[at..at + len], buffer, weights));
        });
        Ok(finite.into_inner())
    }
}

/// The bits of infinity. Without their sign, those of finite numbers are below, those of NaN above.
pub(crate) const INFINITE: u32 = f32::INFINITY.to_bits();

/// The bits of a number without its sign.
#[inline(always)]
pub(crate) fn magnitude(x: f32) -> u32 {
    x.to_bits() & !(1 << 31)
}

// Both return the largest magnitude of a weight: a maximum of integers, which may be taken in any order.
per_isa! {
    fn plain(sgd: Sgd, grad: &[f32], weights: &mut [f32]) -> u32 {
        let mut most = 0;
        for (grad, w) in grad.iter().zip(weights) {
            *w -= sgd.lr * (sgd.clip_scale * grad + sgd.weight_decay * *w);
            most = most.max(magnitude(*w));
        }
        most
    }
}

per_isa! {
    fn with_momentum(sgd: Sgd, keep: f32, grad: &[f32], buffer: &mut [f32], weights: &mut [f32]) -> u32 {
        let mut most = 0;
        let Sgd { lr, momentum, weight_decay, nesterov, clip_scale } = sgd;
        let all = grad.iter().zip(buffer).zip(weights);
        if nesterov {
            all.for_each(|((grad, buffer), w)| {
                let d = clip_scale * grad + weight_decay * *w;
                *buffer = keep * *buffer + d;
                *w -= lr * (d + momentum * *buffer);
                most = most.max(magnitude(*w));
            });
        } else {
            all.for_each(|((grad, buffer), w)| {
                *buffer = keep * *buffer + (clip_scale * grad + weight_decay * *w);
                *w -= lr * *buffer;
                most = most.max(magnitude(*w));
            });
        }
        most
    }
}

/// `Σ x²`, with the same bits for any number of threads.
pub fn squared_norm(x: &[f32]) -> f64 {
    let isa = isa::current();
    let chunks = x.len().div_ceil(CHUNK);
    let mut sums = vec![0.0f64; chunks];
    let shared = Shared::new(&mut sums);
    parallel::run(chunks, x.len(), |i| {
        let (at, len) = chunk_of(x.len(), CHUNK, i);
        let sum = squares(isa, &x[at..at + len]);
        // SAFETY: each task writes one sum, and there are `chunks`.
        unsafe { *shared.ptr().add(i) = sum };
    });
    sums.iter().sum()
}

per_isa! {
    fn squares(x: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 16];
        let pieces = x.chunks_exact(16);
        let rest: f64 = pieces.remainder().iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        for piece in pieces {
            for (lane, &x) in lanes.iter_mut().zip(piece) {
                *lane += f64::from(x) * f64::from(x);
            }
        }
        lanes.iter().sum::<f64>() + rest
    }
}
