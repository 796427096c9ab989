//! The contrastive loss of products of rows, and its gradient.

use crate::elementwise::{self, Unary};
use crate::error::{Result, check_len};
use crate::isa::{self, per_isa};
use crate::parallel::{self, Shared};
use crate::scratch;

const OP: &str = "contrastive loss";
/// Rows and columns of a square that is turned at once.
const SQUARE: usize = 16;

/// `Σ_rq w_rq (ln Σ_c e^{s_rc} − s_rq)` with `s = factor · products + closed`, all `[rows, rows]`, where `closed` is 0 for a
/// candidate of the row, and far below every score for what is none. `products` become `∂/∂s`, which is
/// `softmax(s)_rq Σ_q w_rq − w_rq`.
///
/// # Errors
/// Lengths that do not fit.
pub fn forward(rows: usize, factor: f32, closed: &[f32], weights: &[f32], products: &mut [f32]) -> Result<f64> {
    for (name, len) in [
        ("products", products.len()),
        ("closed", closed.len()),
        ("weights", weights.len()),
    ] {
        check_len(OP, name, len, rows * rows)?;
    }
    let isa = isa::current();
    let mut losses = vec![0.0f64; rows];
    let (of_row, products) = (Shared::new(&mut losses), Shared::new(products));
    parallel::run(rows, rows * rows, |r| {
        let at = r * rows;
        // SAFETY: rows are disjoint.
        let (s, loss) = unsafe { (products.part(at, rows), of_row.part(r, 1)) };
        let (closed, weights) = (&closed[at..at + rows], &weights[at..at + rows]);
        open(isa, factor, closed, s);
        let most = elementwise::largest(s);
        let (share, along) = below(isa, most, weights, s);
        let mut e = scratch::take(rows);
        elementwise::unary(Unary::Exp, s, &mut e);
        let sum = elementwise::sum(&e);
        loss[0] = share * sum.ln() - along;
        slope(isa, (share / sum) as f32, &e, weights, s);
    });
    Ok(losses.iter().sum())
}

/// `factor · (slope + slopeᵀ)` `[rows, rows]`: what rows are multiplied by for their gradient.
///
/// # Errors
/// Lengths that do not fit.
pub fn both_ways(rows: usize, factor: f32, slope: &[f32], both: &mut [f32]) -> Result<()> {
    check_len(OP, "slope", slope.len(), rows * rows)?;
    check_len(OP, "both", both.len(), rows * rows)?;
    let both = Shared::new(both);
    parallel::run(rows.div_ceil(SQUARE), rows * rows, |i| {
        let (first, end) = (i * SQUARE, ((i + 1) * SQUARE).min(rows));
        // SAFETY: bands of rows are disjoint.
        let band = unsafe { both.part(first * rows, (end - first) * rows) };
        for from in (0..rows).step_by(SQUARE) {
            let to = (from + SQUARE).min(rows);
            for r in first..end {
                let into = &mut band[(r - first) * rows..][from..to];
                for ((both, here), q) in into.iter_mut().zip(&slope[r * rows + from..]).zip(from..) {
                    *both = factor * (here + slope[q * rows + r]);
                }
            }
        }
    });
    Ok(())
}

per_isa! {
    fn open(factor: f32, closed: &[f32], s: &mut [f32]) {
        s.iter_mut().zip(closed).for_each(|(s, closed)| *s = factor * *s + closed);
    }
}

// Subtracts the largest from a row; returns Σ w and Σ w s.
per_isa! {
    fn below(most: f32, weights: &[f32], s: &mut [f32]) -> (f64, f64) {
        const LANES: usize = 8;
        let (mut share, mut along) = ([0.0f64; LANES], [0.0f64; LANES]);
        let mut pieces = s.chunks_exact_mut(LANES);
        let of = weights.chunks_exact(LANES);
        let rest = of.remainder();
        for (s, w) in (&mut pieces).zip(of) {
            for i in 0..LANES {
                s[i] -= most;
                share[i] += f64::from(w[i]);
                along[i] += f64::from(w[i]) * f64::from(s[i]);
            }
        }
        for (s, w) in pieces.into_remainder().iter_mut().zip(rest) {
            *s -= most;
            share[0] += f64::from(*w);
            along[0] += f64::from(*w) * f64::from(*s);
        }
        (share.iter().sum(), along.iter().sum())
    }
}

per_isa! {
    fn slope(share: f32, e: &[f32], weights: &[f32], s: &mut [f32]) {
        for ((s, e), w) in s.iter_mut().zip(e).zip(weights) {
            *s = share * e - w;
        }
    }
}
