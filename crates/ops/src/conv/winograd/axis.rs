//! The transforms along one axis, on vectors of channels: of a tile of source pixels, of products, of output gradients, and of
//! filters. Those called `wide` are for four taps and three outputs, the others for three and four.

use crate::simd::Simd;

/// The points ±a and ±b.
const A: f32 = 0.6875;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
/// What filters are divided by: the product of a point's distances to the others.
const N0: f32 = A2 * B2;
const NA: f32 = 2.0 * A2 * (A2 - B2);
const NB: f32 = 2.0 * B2 * (B2 - A2);

#[inline(always)]
unsafe fn c<S: Simd>(value: f32) -> S::V {
    // SAFETY: a number can be read from where it lies; the rest is the caller's promise.
    unsafe { S::splat(&value) }
}

/// `Bᵀ d`.
#[inline(always)]
pub(super) unsafe fn input<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
    // SAFETY: the caller's promise about the processor.
    unsafe {
        let even_a = S::fma(c::<S>(-B2), d[2], d[4]);
        let odd_a = S::fma(c::<S>(A), d[3], S::mul(c::<S>(-A * B2), d[1]));
        let even_b = S::fma(c::<S>(-A2), d[2], d[4]);
        let odd_b = S::fma(c::<S>(B), d[3], S::mul(c::<S>(-B * A2), d[1]));
        let (p, q) = (c::<S>(A2 * B2), c::<S>(-A2 - B2));
        [
            S::fma(p, d[0], S::fma(q, d[2], d[4])),
            S::add(even_a, odd_a),
            S::sub(even_a, odd_a),
            S::add(even_b, odd_b),
            S::sub(even_b, odd_b),
            S::fma(p, d[1], S::fma(q, d[3], d[5])),
        ]
    }
}

/// `Aᵀ m`.
#[inline(always)]
pub(super) unsafe fn output<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
    // SAFETY: the caller's promise about the processor.
    unsafe {
        let (sum_a, diff_a) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (sum_b, diff_b) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        [
            S::add(m[0], S::add(sum_a, sum_b)),
            S::fma(c::<S>(A), diff_a, S::mul(c::<S>(B), diff_b)),
            S::fma(c::<S>(A2), sum_a, S::mul(c::<S>(B2), sum_b)),
            S::fma(c::<S>(A2 * A), diff_a, S::fma(c::<S>(B2 * B), diff_b, m[5])),
        ]
    }
}

/// `A y`: the transpose of [`output`].
#[inline(always)]
pub(super) unsafe fn spread<S: Simd>(y: [S::V; 4]) -> [S::V; 6] {
    // SAFETY: the caller's promise about the processor.
    unsafe {
        let even_a = S::fma(c::<S>(A2), y[2], y[0]);
        let odd_a = S::fma(c::<S>(A2 * A), y[3], S::mul(c::<S>(A), y[1]));
        let even_b = S::fma(c::<S>(B2), y[2], y[0]);
        let odd_b = S::fma(c::<S>(B2 * B), y[3], S::mul(c::<S>(B), y[1]));
        [
            y[0],
            S::add(even_a, odd_a),
            S::sub(even_a, odd_a),
            S::add(even_b, odd_b),
            S::sub(even_b, odd_b),
            y[3],
        ]
    }
}

/// `G g`.
#[inline(always)]
pub(super) unsafe fn filter<S: Simd>(g: [S::V; 3]) -> [S::V; 6] {
    // SAFETY: the caller's promise about the processor.
    unsafe {
        let even_a = S::fma(c::<S>(A2 / NA), g[2], S::mul(c::<S>(1.0 / NA), g[0]));
        let odd_a = S::mul(c::<S>(A / NA), g[1]);
        let even_b = S::fma(c::<S>(B2 / NB), g[2], S::mul(c::<S>(1.0 / NB), g[0]));
        let odd_b = S::mul(c::<S>(B / NB), g[1]);
        [
            S::mul(c::<S>(1.0 / N0), g[0]),
            S::add(even_a, odd_a),
            S::sub(even_a, odd_a),
            S::add(even_b, odd_b),
            S::sub(even_b, odd_b),
            g[2],
        ]
    }
}

/// `Gᵀ u`: the transpose of [`filter`].
#[inline(always)]
pub(super) unsafe fn filter_grad<S: Simd>(u: [S::V; 6]) -> [S::V; 3] {
    // SAFETY: the caller's promise about the processor.
    unsafe {
        let (sum_a, diff_a) = (S::add(u[1], u[2]), S::sub(u[1], u[2]));
        let (sum_b, diff_b) = (S::add(u[3], u[4]), S::sub(u[3], u[4]));
        let first = S::fma(c::<S>(1.0 / NA), sum_a, S::mul(c::<S>(1.0 / NB), sum_b));
        let last = S::fma(c::<S>(A2 / NA), sum_a, S::fma(c::<S>(B2 / NB), sum_b, u[5]));
        [
            S::fma(c::<S>(1.0 / N0), u[0], first),
            S::fma(c::<S>(A / NA), diff_a, S::mul(c::<S>(B / NB), diff_b)),
            last,
        ]
    }
}

/// `Aᵀ m` of three outputs.
#[inline(always)]
pub(super) unsafe fn output_wide<S: Simd>(m: [S::V; 6]) -> [S::V; 3] {
    // SAFETY: the caller's promise about the processor.
    unsafe {
        let (sum_a, diff_a) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (sum_b, diff_b) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        [
            S::add(m[0], S::add(sum_a, sum_b)),
            S::fma(c::<S>(A), diff_a, S::mul(c::<S>(B), diff_b)),
            S::fma(c::<S>(A2), sum_a, S::fma(c::<S>(B2), sum_b, m[5])),
        ]
    }
}

/// `A y`: the transpose of [`output_wide`].
#[inline(always)]
pub(super) unsafe fn spread_wide<S: Simd>(y: [S::V; 3]) -> [S::V; 6] {
    // SAFETY: the caller's promise about the processor.
    unsafe {
        let (even_a, odd_a) = (S::fma(c::<S>(A2), y[2], y[0]), S::mul(c::<S>(A), y[1]));
        let (even_b, odd_b) = (S::fma(c::<S>(B2), y[2], y[0]), S::mul(c::<S>(B), y[1]));
        [
            y[0],
            S::add(even_a, odd_a),
            S::sub(even_a, odd_a),
            S::add(even_b, odd_b),
            S::sub(even_b, odd_b),
            y[2],
        ]
    }
}

/// `G g` of four taps.
#[inline(always)]
pub(super) unsafe fn filter_wide<S: Simd>(g: [S::V; 4]) -> [S::V; 6] {
    // SAFETY: the caller's promise about the processor.
    unsafe {
        let even_a = S::fma(c::<S>(A2 / NA), g[2], S::mul(c::<S>(1.0 / NA), g[0]));
        let odd_a = S::fma(c::<S>(A2 * A / NA), g[3], S::mul(c::<S>(A / NA), g[1]));
        let even_b = S::fma(c::<S>(B2 / NB), g[2], S::mul(c::<S>(1.0 / NB), g[0]));
        let odd_b = S::fma(c::<S>(B2 * B / NB), g[3], S::mul(c::<S>(B / NB), g[1]));
        [
            S::mul(c::<S>(1.0 / N0), g[0]),
            S::add(even_a, odd_a),
            S::sub(even_a, odd_a),
            S::add(even_b, odd_b),
            S::sub(even_b, odd_b),
            g[3],
        ]
    }
}

/// `Gᵀ u`: the transpose of [`filter_wide`].
#[inline(always)]
pub(super) unsafe fn filter_grad_wide<S: Simd>(u: [S::V; 6]) -> [S::V; 4] {
    // SAFETY: the caller's promise about the processor.
    unsafe {
        let (sum_a, diff_a) = (S::add(u[1], u[2]), S::sub(u[1], u[2]));
        let (sum_b, diff_b) = (S::add(u[3], u[4]), S::sub(u[3], u[4]));
        let first = S::fma(c::<S>(1.0 / NA), sum_a, S::mul(c::<S>(1.0 / NB), sum_b));
        let last = S::fma(c::<S>(A2 * A / NA), diff_a, S::fma(c::<S>(B2 * B / NB), diff_b, u[5]));
        [
            S::fma(c::<S>(1.0 / N0), u[0], first),
            S::fma(c::<S>(A / NA), diff_a, S::mul(c::<S>(B / NB), diff_b)),
            S::fma(c::<S>(A2 / NA), sum_a, S::mul(c::<S>(B2 / NB), sum_b)),
            last,
        ]
    }
}
