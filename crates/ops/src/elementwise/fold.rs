//! Sums and maxima of slices, in an order that depends on their length alone.

use crate::isa::{self, per_isa};

/// Numbers that are handled at once.
const LANES: usize = 16;

per_isa! {
    fn sum_of(x: &[f32]) -> f64 {
        let pieces = x.chunks_exact(LANES);
        let rest: f64 = pieces.remainder().iter().map(|x| f64::from(*x)).sum();
        let mut lanes = [0.0f64; LANES];
        for piece in pieces {
            for (lane, x) in lanes.iter_mut().zip(piece) {
                *lane += f64::from(*x);
            }
        }
        // Halves onto halves: a chain of sixteen additions takes longer than the loop above.
        let mut width = LANES / 2;
        while width > 0 {
            let (low, high) = lanes.split_at_mut(width);
            low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
            width /= 2;
        }
        lanes[0] + rest
    }
}

/// The larger one, or NaN.
#[inline(always)]
fn larger(most: f32, x: f32) -> f32 {
    if most < x || x.is_nan() { x } else { most }
}

per_isa! {
    fn largest_of(x: &[f32]) -> f32 {
        let pieces = x.chunks_exact(LANES);
        let rest = pieces.remainder().iter().fold(f32::NEG_INFINITY, |most, x| larger(most, *x));
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for piece in pieces {
            for (lane, x) in lanes.iter_mut().zip(piece) {
                *lane = larger(*lane, *x);
            }
        }
        lanes.into_iter().fold(rest, larger)
    }
}

per_isa! {
    fn add_to(x: &[f32], sums: &mut [f64]) {
        sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += f64::from(*x));
    }
}

per_isa! {
    fn most_of(x: &[f32], most: &mut [f64]) {
        for (most, x) in most.iter_mut().zip(x) {
            *most = f64::from(larger(*most as f32, *x));
        }
    }
}

/// Σ x, in f64.
pub fn sum(x: &[f32]) -> f64 {
    sum_of(isa::current(), x)
}

/// The largest of x, −∞ of none; NaN if one is.
pub fn largest(x: &[f32]) -> f32 {
    largest_of(isa::current(), x)
}

/// `sums += x`, element by element.
pub fn add(x: &[f32], sums: &mut [f64]) {
    add_to(isa::current(), x, sums);
}

/// `most = max(most, x)`, element by element; NaN if one is. `most` holds numbers that are f32.
pub fn most(x: &[f32], most: &mut [f64]) {
    most_of(isa::current(), x, most);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_maxima_match_loops() {
        for len in [0, 1, 15, 16, 17, 100, 256] {
            let x: Vec<f32> = (0..len).map(|i| ((i * 37) % 101) as f32 - 60.5).collect();
            assert_eq!(sum(&x), x.iter().map(|x| f64::from(*x)).sum::<f64>(), "{len}");
            assert_eq!(
                largest(&x),
                x.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                "{len}"
            );
            let (mut sums, mut maxima) = (vec![1.0; len], vec![-0.5; len]);
            add(&x, &mut sums);
            most(&x, &mut maxima);
            for (i, x) in x.iter().enumerate() {
                assert_eq!(sums[i], 1.0 + f64::from(*x));
                assert_eq!(maxima[i], f64::from(*x).max(-0.5));
            }
        }
    }

    #[test]
    fn nan_is_the_largest() {
        for at in [0, 5, 20, 34] {
            let mut x = vec![1.0; 35];
            x[at] = f32::NAN;
            assert!(largest(&x).is_nan() && sum(&x).is_nan(), "{at}");
            let mut most_of = vec![0.0; 35];
            most(&x, &mut most_of);
            most(&[2.0; 35], &mut most_of);
            assert!(most_of[at].is_nan() && most_of[(at + 1) % 35] == 2.0);
        }
    }
}
