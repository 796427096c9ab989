//! Exponents and logarithms of single numbers as plain arithmetic, which compiles to vectors: with the library's functions a
//! loop over them has one call for each number. Errors are below three units in the last place.

/// Adding it rounds to a whole number, which is then in the low bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 as a number of few bits and the rest, so that whole multiples of it are subtracted without an error.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// From here on eˣ is infinite.
const MOST: f32 = 88.722_84;
/// Up to here it is 0.
const LEAST: f32 = -104.0;

/// 2ⁿ for |n| ≤ 126.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// eˣ: 2ⁿ eʳ with |r| ≤ ln 2 / 2, where eʳ is its Taylor series.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let inside = if x > MOST { MOST } else { x };
    let inside = if inside < LEAST { LEAST } else { inside };
    let rounded = inside * std::f32::consts::LOG2_E + ROUND;
    let n = (rounded.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let whole = rounded - ROUND;
    let r = (inside - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let mut e = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        e = e * r + factor;
    }
    // In two steps: 2ⁿ itself may be too large or too small for a number. NaN has any n.
    let half = (n >> 1).clamp(-126, 126);
    let rest = n.wrapping_sub(half).clamp(-126, 126);
    let y = e * power_of_two(half) * power_of_two(rest);
    if x > MOST { f32::INFINITY } else { y }
}

/// 2 artanh(s) for |s| ≤ 1/3, by its series.
#[inline(always)]
fn twice_artanh(s: f32) -> f32 {
    let z = s * s;
    let mut sum = 1.0 / 15.0;
    for factor in [1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 0.2, 1.0 / 3.0] {
        sum = sum * z + factor;
    }
    2.0 * s + 2.0 * s * (z * sum)
}

/// ln x: n ln 2 + ln m with m in [√½, √2), where ln m = 2 artanh((m − 1)/(m + 1)).
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    // Numbers below the smallest normal one are made larger.
    let small = x < f32::MIN_POSITIVE;
    let (scaled, shift) = if small { (x * 8_388_608.0, -23.0) } else { (x, 0.0) };
    let lowest = std::f32::consts::FRAC_1_SQRT_2.to_bits();
    let bits = scaled.to_bits().wrapping_sub(lowest);
    let n = ((bits as i32) >> 23) as f32 + shift;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(lowest));
    let y = (twice_artanh((m - 1.0) / (m + 1.0)) + n * LN_2_LOW) + n * LN_2_HIGH;
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 || x.is_nan() { f32::NAN } else { y };
    if x == f32::INFINITY { x } else { y }
}

/// ln(1 + e) for e in [0, 1].
#[inline(always)]
fn ln_1p(e: f32) -> f32 {
    twice_artanh(e / (2.0 + e))
}

/// 1/(1 + e⁻ˣ).
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// ln(1 + eˣ).
#[inline(always)]
pub(super) fn softplus(x: f32) -> f32 {
    (if x < 0.0 { 0.0 } else { x }) + ln_1p(exp(-x.abs()))
}

/// tanh x: near 0 by Lambert's continued fraction, since 1 − e^(−2x) has few digits there.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let z = x * x;
    let near = x / (1.0 + z / (3.0 + z / (5.0 + z / (7.0 + z / 9.0))));
    let e = exp(-2.0 * x.abs());
    let far = ((1.0 - e) / (1.0 + e)).copysign(x);
    if x.abs() < 0.6 { near } else { far }
}

/// xⁿ by squaring.
#[inline(always)]
pub(super) fn whole_power(x: f32, n: i32) -> f32 {
    let (mut y, mut square, mut left) = (1.0, x, n.unsigned_abs());
    while left > 0 {
        if left & 1 == 1 {
            y *= square;
        }
        square *= square;
        left >>= 1;
    }
    if n < 0 { 1.0 / y } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with f64 over many numbers: relative errors, in units in the last place.
    fn near(name: &str, of: fn(f32) -> f32, exact: fn(f64) -> f64, range: [f32; 2], most: f64) {
        let mut worst = (0.0, 0.0);
        for i in 0..=200_000 {
            let x = range[0] + (range[1] - range[0]) * (i as f32 / 200_000.0);
            let (found, want) = (f64::from(of(x)), exact(f64::from(x)));
            let unit = f64::from(f32::EPSILON) * want.abs().max(f64::from(f32::MIN_POSITIVE));
            let error = (found - want).abs() / unit;
            if error > worst.0 {
                worst = (error, x);
            }
        }
        assert!(worst.0 <= most, "{name} at {}: {} units", worst.1, worst.0);
    }

    #[test]
    fn close_to_f64() {
        near("exp", exp, f64::exp, [-103.0, 88.7], 2.0);
        near("exp", exp, f64::exp, [-1.0, 1.0], 2.0);
        near("ln", ln, f64::ln, [1e-3, 0.9], 3.0);
        near("ln", ln, f64::ln, [0.9, 1.1], 3.0);
        near("ln", ln, f64::ln, [1.1, 1e9], 3.0);
        near("ln", ln, f64::ln, [1e-45, 1e-37], 3.0);
        near("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp()), [-87.0, 40.0], 3.0);
        near(
            "softplus",
            softplus,
            |x| x.max(0.0) + (-x.abs()).exp().ln_1p(),
            [-87.0, 40.0],
            3.0,
        );
        near("tanh", tanh, f64::tanh, [-10.0, 10.0], 3.0);
        near("tanh", tanh, f64::tanh, [1e-6, 1e-2], 3.0);
        near("x^-7", |x| whole_power(x, -7), |x| x.powi(-7), [0.5, 2.0], 8.0);
    }

    #[test]
    fn ends_of_the_range() {
        let all = [exp, ln, sigmoid, softplus, tanh];
        assert!(all.iter().all(|f| f(f32::NAN).is_nan()));
        let inf = f32::INFINITY;
        assert_eq!([exp(inf), exp(-inf), exp(0.0), exp(-200.0)], [inf, 0.0, 1.0, 0.0]);
        assert_eq!([ln(inf), ln(0.0), ln(-0.0), ln(1.0)], [inf, -inf, -inf, 0.0]);
        assert!(ln(-1.0).is_nan() && ln(-inf).is_nan());
        assert_eq!([sigmoid(inf), sigmoid(-inf), sigmoid(0.0)], [1.0, 0.0, 0.5]);
        assert_eq!([softplus(inf), softplus(-inf)], [inf, 0.0]);
        assert_eq!([tanh(inf), tanh(-inf), tanh(0.0)], [1.0, -1.0, 0.0]);
        assert_eq!(
            [whole_power(-2.0, 3), whole_power(5.0, 0), whole_power(0.0, -1)],
            [-8.0, 1.0, inf]
        );
    }
}
