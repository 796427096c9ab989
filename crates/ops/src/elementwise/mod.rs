//! Functions of each element of slices, and sums and maxima of slices: the inner loops of formulas. Callers split long slices
//! into short ones, which stay in the first-level cache.
//!
//! All slices of a call have the length of the result; a longer one has a rest that is not read.

mod curves;
mod fold;

pub use fold::{add, largest, most, sum};

use crate::isa::{self, per_isa};

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unary {
    /// eˣ.
    Exp,
    /// ln x.
    Log,
    /// √x.
    Sqrt,
    /// |x|.
    Abs,
    /// 1, 0 or −1.
    Sign,
    /// x where it is above 0; else 0, or NaN where x is −∞ or NaN.
    Relu,
    /// 1 where x is above 0, else 0.
    Positive,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// ln σ(x).
    LogSigmoid,
    /// ln(1 + eˣ).
    Softplus,
    /// tanh x.
    Tanh,
    /// −x.
    Negative,
    /// 1 − x.
    Not,
}

/// A function of two numbers. Comparisons are 1 where they are true, else 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binary {
    /// a + b.
    Add,
    /// a − b.
    Sub,
    /// a · b.
    Mul,
    /// a / b.
    Div,
    /// The larger one; `a` where either is NaN.
    Larger,
    /// The smaller one; `a` where either is NaN.
    Smaller,
    /// What part of the gradient of [`Binary::Larger`] is that of `a`: 1, 0, or ½ of equal numbers.
    LargerShare,
    /// The same of [`Binary::Smaller`].
    SmallerShare,
    /// a < b.
    Less,
    /// a ≤ b.
    LessEqual,
    /// a > b.
    Greater,
    /// a ≥ b.
    GreaterEqual,
    /// a = b.
    Equal,
    /// a ≠ b.
    NotEqual,
}

#[inline(always)]
fn one(truth: bool) -> f32 {
    if truth { 1.0 } else { 0.0 }
}

/// The share of `a` in `y`, which is `a` or `b`.
#[inline(always)]
fn share(y: f32, a: f32, b: f32) -> f32 {
    one(y == a) / (1.0 + one(y == b))
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a < b { b } else { a }
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a > b { b } else { a }
}

#[inline(always)]
fn each(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = f(*x));
}

#[inline(always)]
fn each_two(a: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = f(*a, *b));
}

per_isa! {
    fn unary_of(f: Unary, x: &[f32], y: &mut [f32]) {
        match f {
            Unary::Exp => each(x, y, curves::exp),
            Unary::Log => each(x, y, curves::ln),
            Unary::Sqrt => each(x, y, f32::sqrt),
            Unary::Abs => each(x, y, f32::abs),
            Unary::Sign => each(x, y, |x| one(x > 0.0) - one(x < 0.0)),
            Unary::Relu => each(x, y, |x| x * one(x > 0.0)),
            Unary::Positive => each(x, y, |x| one(x > 0.0)),
            Unary::Sigmoid => each(x, y, curves::sigmoid),
            Unary::LogSigmoid => each(x, y, |x| -curves::softplus(-x)),
            Unary::Softplus => each(x, y, curves::softplus),
            Unary::Tanh => each(x, y, curves::tanh),
            Unary::Negative => each(x, y, |x| -x),
            Unary::Not => each(x, y, |x| 1.0 - x),
        }
    }
}

per_isa! {
    fn binary_of(f: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
        match f {
            Binary::Add => each_two(a, b, y, |a, b| a + b),
            Binary::Sub => each_two(a, b, y, |a, b| a - b),
            Binary::Mul => each_two(a, b, y, |a, b| a * b),
            Binary::Div => each_two(a, b, y, |a, b| a / b),
            Binary::Larger => each_two(a, b, y, larger),
            Binary::Smaller => each_two(a, b, y, smaller),
            Binary::LargerShare => each_two(a, b, y, |a, b| share(larger(a, b), a, b)),
            Binary::SmallerShare => each_two(a, b, y, |a, b| share(smaller(a, b), a, b)),
            Binary::Less => each_two(a, b, y, |a, b| one(a < b)),
            Binary::LessEqual => each_two(a, b, y, |a, b| one(a <= b)),
            Binary::Greater => each_two(a, b, y, |a, b| one(a > b)),
            Binary::GreaterEqual => each_two(a, b, y, |a, b| one(a >= b)),
            Binary::Equal => each_two(a, b, y, |a, b| one(a == b)),
            Binary::NotEqual => each_two(a, b, y, |a, b| one(a != b)),
        }
    }
}

per_isa! {
    fn select_of(c: &[f32], a: &[f32], b: &[f32], y: &mut [f32]) {
        for (((y, c), a), b) in y.iter_mut().zip(c).zip(a).zip(b) {
            *y = if *c >= 1.0 { *a } else { *b };
        }
    }
}

per_isa! {
    fn whole_power_of(x: &[f32], n: i32, factor: f32, y: &mut [f32]) {
        each(x, y, |x| factor * curves::whole_power(x, n));
    }
}

/// `y = f(x)`.
pub fn unary(f: Unary, x: &[f32], y: &mut [f32]) {
    unary_of(isa::current(), f, x, y);
}

/// `y = f(a, b)`.
pub fn binary(f: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
    binary_of(isa::current(), f, a, b, y);
}

/// `y = a` where `c` is 1 (or more), else `b`.
pub fn select(c: &[f32], a: &[f32], b: &[f32], y: &mut [f32]) {
    select_of(isa::current(), c, a, b, y);
}

/// `y = factor · xᵉ`. Whole exponents up to 64 are products; others are the library's, number by number.
pub fn power(factor: f64, x: &[f32], e: f64, y: &mut [f32]) {
    let factor = factor as f32;
    match e.fract() == 0.0 && e.abs() <= 64.0 {
        true => whole_power_of(isa::current(), x, e as i32, factor, y),
        false => each(x, y, |x| factor * x.powf(e as f32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    const X: [f32; 7] = [-3.0, -0.5, -0.0, 0.0, 0.25, 1.0, f32::NAN];

    #[test]
    fn every_instruction_set_has_the_same_bits() {
        let x: Vec<f32> = (0..1003).map(|i| (i as f32 - 500.0) * 0.173).collect();
        let z: Vec<f32> = x.iter().map(|x| x * x - 40.0).collect();
        let all = || {
            let mut found = vec![];
            let mut y = vec![0.0; x.len()];
            for f in [
                Unary::Exp,
                Unary::Log,
                Unary::Sigmoid,
                Unary::Softplus,
                Unary::Tanh,
                Unary::Relu,
            ] {
                unary(f, &x, &mut y);
                found.extend(y.iter().map(|y| y.to_bits()));
            }
            for f in [Binary::Div, Binary::Larger, Binary::SmallerShare, Binary::GreaterEqual] {
                binary(f, &x, &z, &mut y);
                found.extend(y.iter().map(|y| y.to_bits()));
            }
            found.push(sum(&x).to_bits() as u32);
            found.push(largest(&z).to_bits());
            found
        };
        let of = |isa| crate::isa::with(isa, all);
        for isa in Isa::available() {
            let same = of(isa).iter().zip(of(Isa::Portable)).all(|(a, b)| {
                // NaN may have any sign.
                *a == b || f32::from_bits(*a).is_nan() && f32::from_bits(b).is_nan()
            });
            assert!(same, "{isa}");
        }
    }

    #[test]
    fn signs_comparisons_and_shares() {
        let of = |f| {
            let mut y = [9.0; 6];
            unary(f, &X, &mut y);
            y
        };
        assert_eq!(of(Unary::Sign), [-1.0, -1.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(of(Unary::Relu), [0.0, 0.0, 0.0, 0.0, 0.25, 1.0]);
        assert_eq!(of(Unary::Positive), [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(of(Unary::Not), [4.0, 1.5, 1.0, 1.0, 0.75, 0.0]);
        let two = |f| {
            let mut y = [9.0; 6];
            binary(f, &X, &[-3.0, 1.0, 0.0, -1.0, 0.25, f32::NAN], &mut y);
            y
        };
        assert_eq!(two(Binary::Larger), [-3.0, 1.0, 0.0, 0.0, 0.25, 1.0]);
        assert_eq!(two(Binary::LargerShare), [0.5, 0.0, 0.5, 1.0, 0.5, 1.0]);
        assert_eq!(two(Binary::SmallerShare), [0.5, 1.0, 0.5, 0.0, 0.5, 1.0]);
        assert_eq!(two(Binary::Less), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(two(Binary::GreaterEqual), [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(two(Binary::NotEqual), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        let mut y = [0.0; 3];
        select(&[1.0, 0.0, 0.5], &[1.0; 3], &[2.0, f32::NAN, 3.0], &mut y);
        assert_eq!(format!("{y:?}"), "[1.0, NaN, 3.0]");
    }

    #[test]
    fn powers() {
        let of = |factor, e, x: f32| {
            let mut y = [0.0];
            power(factor, &[x], e, &mut y);
            y[0]
        };
        assert_eq!(
            [of(2.0, 3.0, -2.0), of(1.0, -2.0, 4.0), of(1.0, 0.0, 0.0)],
            [-16.0, 0.0625, 1.0]
        );
        assert_eq!([of(1.0, 0.5, 9.0), of(1.5, 2.5, 4.0)], [3.0, 48.0]);
        assert!(of(1.0, 0.5, -1.0).is_nan());
    }
}
