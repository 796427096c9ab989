//! Adam and AdamW, one pass over a parameter.

use crate::error::{Result, check_len};
use crate::isa::{self, per_isa};
use crate::parallel::{self, Shared, chunk_of};
use crate::sgd::{INFINITE, magnitude};
use std::sync::atomic::{AtomicBool, Ordering};

const OP: &str = "adam";
const CHUNK: usize = 1 << 14;

/// One step of Adam (Kingma & Ba, ICLR 2015, Algorithm 1) or AdamW (Loshchilov & Hutter, ICLR 2019, Algorithm 2), with
/// PyTorch's semantics: `d = clip_scale · grad` (Adam adds `weight_decay · w`; AdamW begins with `w −= lr · weight_decay · w`);
/// `m = β₁ m + (1 − β₁) d`; `v = β₂ v + (1 − β₂) d²`; in step t, counted from 1,
/// `w −= lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// The learning rate, with the parameter's own multiplier in it.
    pub lr: f64,
    /// β₁ and β₂, each from 0 to below 1.
    pub betas: [f64; 2],
    /// ε, outside of the root.
    pub eps: f64,
    /// The weight decay.
    pub weight_decay: f64,
    /// Decoupled weight decay (AdamW); else the decay is part of the gradient (L2).
    pub decoupled: bool,
    /// The factor of the gradients that clips them by their norm; else 1.
    pub clip_scale: f64,
}

/// The constants of one step in single precision. They are computed in double: 1 − β₂ of a β₂ in single precision would be
/// wrong in the fifth digit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The factor of the gradients.
    pub clip: f32,
    /// L2: the share of the weight that is added to its gradient.
    pub l2: f32,
    /// The share of the weight that decoupled decay leaves.
    pub keep: f32,
    /// 1 − β₁.
    pub first: f32,
    /// β₂.
    pub second_keep: f32,
    /// 1 − β₂.
    pub second: f32,
    /// lr / (1 − β₁ᵗ).
    pub step: f32,
    /// √(1 − β₂ᵗ), by which the second moment's root is divided.
    pub root: f32,
    /// ε.
    pub eps: f32,
}

impl Adam {
    /// The constants of step `t`, counted from 1.
    pub fn rates(&self, t: u64) -> Rates {
        let [b1, b2] = self.betas;
        // Far below the largest count both powers are 0 for every β that is not 1 in double precision, or nearly so.
        let t = i32::try_from(t).unwrap_or(i32::MAX);
        let decay = |here: bool, factor: f64| if here { factor * self.weight_decay } else { 0.0 };
        Rates {
            clip: self.clip_scale as f32,
            l2: decay(!self.decoupled, 1.0) as f32,
            keep: (1.0 - decay(self.decoupled, self.lr)) as f32,
            first: (1.0 - b1) as f32,
            second_keep: b2 as f32,
            second: (1.0 - b2) as f32,
            step: (self.lr / (1.0 - b1.powi(t))) as f32,
            root: (1.0 - b2.powi(t)).sqrt() as f32,
            eps: self.eps as f32,
        }
    }

    /// Takes step `t`, counted from 1: updates `weights` and their moments `first` and `second`, which are 0 before the first
    /// step. Returns whether all weights and second moments are finite now.
    ///
    /// # Errors
    /// Lengths that differ.
    pub fn step(
        &self,
        t: u64,
        grad: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        weights: &mut [f32],
    ) -> Result<bool> {
        let len = weights.len();
        check_len(OP, "grad", grad.len(), len)?;
        check_len(OP, "first", first.len(), len)?;
        check_len(OP, "second", second.len(), len)?;
        let (isa, rates) = (isa::current(), self.rates(t));
        let (first, second, weights) = (Shared::new(first), Shared::new(second), Shared::new(weights));
        let finite = AtomicBool::new(true);
        parallel::run(len.div_ceil(CHUNK), len, |i| {
            let (at, len) = chunk_of(len, CHUNK, i);
            // SAFETY: chunks are disjoint.
            let (first, second, weights) =
                unsafe { (first.part(at, len), second.part(at, len), weights.part(at, len)) };
            if update(isa, rates, &grad[at..at + len], first, second, weights) >= INFINITE {
                finite.store(false, Ordering::Relaxed);
            }
        });
        Ok(finite.into_inner())
    }
}

// Returns the largest magnitude of a weight or second moment. An infinite second moment would stop its weight for good, and the
// weight would not show it.
per_isa! {
    fn update(r: Rates, grad: &[f32], first: &mut [f32], second: &mut [f32], weights: &mut [f32]) -> u32 {
        let mut most = 0;
        let moments = first.iter_mut().zip(second);
        for ((grad, (m, v)), w) in grad.iter().zip(moments).zip(weights) {
            let d = r.clip * grad + r.l2 * *w;
            *m += r.first * (d - *m);
            *v = r.second_keep * *v + r.second * (d * d);
            *w = r.keep * *w - r.step * (*m / (v.sqrt() / r.root + r.eps));
            most = most.max(magnitude(*w)).max(magnitude(*v));
        }
        most
    }
}
