//! Estimates of the means of a kernel.

use anyhow::Result;
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// How the means of the kernel are estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Estimate {
    /// Over all pairs, rows with themselves included: never negative.
    #[default]
    Biased,
    /// Over pairs of different rows.
    Unbiased,
    /// Over pairs of neighbouring rows alone, the last one next to the first: the linear-time estimate.
    Linear,
}

impl Estimate {
    /// What each pair of rows, those of the source first, adds to the discrepancy: `[n, n]`, symmetric.
    pub(super) fn weights(self, ns: usize, nt: usize, device: &Device) -> Result<Tensor> {
        let n = ns + nt;
        if self == Estimate::Biased {
            let of = |i: usize| if i < ns { 1.0 / ns as f32 } else { -1.0 / nt as f32 };
            let each = Tensor::from_vec((0..n).map(of).collect::<Vec<_>>(), (n, 1), device)?;
            return Ok(each.broadcast_mul(&each.t()?)?);
        }
        let mut w = vec![0f64; n * n];
        match self {
            Estimate::Linear => {
                let share = 0.5 / ns.max(1) as f64;
                for i in 0..ns {
                    let next = (i + 1) % ns;
                    for (a, b, sign) in [
                        (i, next, 1.0),
                        (ns + i, ns + next, 1.0),
                        (i, ns + next, -1.0),
                        (next, ns + i, -1.0),
                    ] {
                        w[a * n + b] += sign * share;
                        w[b * n + a] += sign * share;
                    }
                }
            }
            _ => {
                let within = |n: usize| 1.0 / (n * n.saturating_sub(1)) as f64;
                for (p, w) in w.iter_mut().enumerate().filter(|(p, _)| p / n != p % n) {
                    *w = match (p / n < ns, p % n < ns) {
                        (true, true) => within(ns),
                        (false, false) => within(nt),
                        _ => -1.0 / (ns * nt) as f64,
                    };
                }
            }
        }
        let w: Vec<f32> = w.into_iter().map(|v| v as f32).collect();
        Ok(Tensor::from_vec(w, (n, n), device)?)
    }
}
