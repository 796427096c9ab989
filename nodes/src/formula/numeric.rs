//! Functions of tensors whose gradients are those of the definition everywhere: at 0, at equal values, and where exponents
//! are large. All of them are made of Candle's operations.

use super::functions::Unary;
use anyhow::Result;
use candle_core::{DType, Tensor};

/// Numbers that are summed in f32; more are summed in f64.
const FEW: usize = 256;
/// The least length that `normalize` divides by, as PyTorch's.
pub(super) const SHORTEST: f64 = 1e-12;

/// A function of a number.
pub(super) fn of_number(function: Unary, x: f64) -> f64 {
    match function {
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Abs => x.abs(),
        Unary::Relu => x.max(0.0),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::LogSigmoid => x.min(0.0) - (-x.abs()).exp().ln_1p(),
        Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        Unary::Tanh => x.tanh(),
        Unary::Negative => -x,
        Unary::Not => 1.0 - x,
    }
}

/// A function of each element.
pub(super) fn unary(function: Unary, x: &Tensor) -> Result<Tensor> {
    Ok(match function {
        Unary::Exp => x.exp()?,
        Unary::Log => x.log()?,
        Unary::Sqrt => x.sqrt()?,
        // Candle's gradients of `abs` and `relu` are 1 at 0.
        Unary::Abs => (x * x.detach().sign()?)?,
        Unary::Relu => (x * positive(x)?)?,
        Unary::Sigmoid => log_sigmoid(x)?.exp()?,
        Unary::LogSigmoid => log_sigmoid(x)?,
        Unary::Softplus => log_sigmoid(&x.neg()?)?.neg()?,
        Unary::Tanh => x.tanh()?,
        Unary::Negative => x.neg()?,
        Unary::Not => x.affine(-1.0, 1.0)?,
    })
}

/// 1 where a number is above 0, else 0.
fn positive(x: &Tensor) -> Result<Tensor> {
    let x = x.detach();
    Ok(x.gt(&x.zeros_like()?)?.to_dtype(x.dtype())?)
}

/// ln σ(x) = −(m + ln(e^(−m) + e^(−x−m))) with m = max(−x, 0): no exponent is above 0.
fn log_sigmoid(x: &Tensor) -> Result<Tensor> {
    let minus = x.neg()?;
    let most = minus.detach().relu()?;
    let sum = (most.neg()?.exp()? + (minus - &most)?.exp()?)?;
    Ok((sum.log()? + most)?.neg()?)
}

/// x^e.
pub(super) fn power(x: &Tensor, e: f64) -> Result<Tensor> {
    Ok(match e {
        2.0 => x.sqr()?,
        1.0 => x.clone(),
        0.5 => x.sqrt()?,
        -1.0 => x.recip()?,
        0.0 => x.detach().ones_like()?,
        e => x.powf(e)?,
    })
}

/// The sum over `dims`, which stay with size 1. Over none it is `x`: of a scalar Candle would ask CUDA for no bytes, which it
/// cannot give.
fn sum_kept(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    if dims.is_empty() {
        return Ok(x.clone());
    }
    let count: usize = dims.iter().map(|d| x.dims()[*d]).product();
    Ok(match count > FEW {
        false => x.sum_keepdim(dims)?,
        true => x.to_dtype(DType::F64)?.sum_keepdim(dims)?.to_dtype(x.dtype())?,
    })
}

/// Without the dimensions `dims`, which have size 1.
fn without(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    let left = x.dims().iter().enumerate().filter(|(i, _)| !dims.contains(i));
    let shape: Vec<usize> = left.map(|(_, n)| *n).collect();
    Ok(x.reshape(shape)?)
}

/// The sum over `dims`.
pub(super) fn sum(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    without(&sum_kept(x, dims)?, dims)
}

/// The largest number along `dims`, a constant.
fn largest(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    let start = x.detach();
    Ok(dims.iter().try_fold(start, |most, d| most.max_keepdim(*d))?)
}

/// The largest (or smallest) number along `dims`. Of several equal ones each has an equal part of the gradient.
pub(super) fn extreme(x: &Tensor, dims: &[usize], largest_one: bool) -> Result<Tensor> {
    let most = match largest_one {
        true => largest(x, dims)?,
        false => largest(&x.neg()?, dims)?.neg()?,
    };
    let hit = x.detach().broadcast_eq(&most)?.to_dtype(x.dtype())?;
    let part = hit.broadcast_div(&sum_kept(&hit, dims)?)?;
    let mean = sum_kept(&(x * part)?, dims)?;
    // The value is the number itself, whatever the mean of equal numbers is rounded to.
    let value = (most + (&mean - mean.detach())?)?;
    without(&value, dims)
}

/// Numbers minus the largest along `dims`, and that one.
fn below_zero(x: &Tensor, dims: &[usize]) -> Result<(Tensor, Tensor)> {
    let most = largest(x, dims)?;
    Ok((x.broadcast_sub(&most)?, most))
}

/// ln Σ eˣ over `dims`.
pub(super) fn logsumexp(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    let (below, most) = below_zero(x, dims)?;
    let sum = sum_kept(&below.exp()?, dims)?;
    without(&(sum.log()? + most)?, dims)
}

/// eˣ / Σ eˣ along `dims`.
pub(super) fn softmax(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    let e = below_zero(x, dims)?.0.exp()?;
    Ok(e.broadcast_div(&sum_kept(&e, dims)?)?)
}

/// The logarithm of [`softmax`].
pub(super) fn log_softmax(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    let below = below_zero(x, dims)?.0;
    let sum = sum_kept(&below.exp()?, dims)?;
    Ok(below.broadcast_sub(&sum.log()?)?)
}

/// √Σx² over `dims`, which stay with size 1; its gradient is 0 where it is 0.
fn length(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    let squares = sum_kept(&x.sqr()?, dims)?;
    let none = squares.detach();
    let none = none.eq(&none.zeros_like()?)?.to_dtype(x.dtype())?;
    Ok(((squares + &none)?.sqrt()? - none)?)
}

/// √Σx² over `dims`.
pub(super) fn norm(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    without(&length(x, dims)?, dims)
}

/// x / max(√Σx², 1e-12) along `dims`.
pub(super) fn normalize(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    let length = length(x, dims)?;
    let least = length.detach().ones_like()?.affine(SHORTEST, 0.0)?;
    Ok(x.broadcast_div(&length.maximum(&least)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, device, f64s};
    use candle_core::Var;

    /// The value of each element, and its derivative.
    fn slope(x: &[f32], f: impl Fn(&Tensor) -> Result<Tensor>) -> (Vec<f64>, Vec<f64>) {
        let x = Var::from_slice(x, x.len(), &device()).unwrap();
        let y = f(&x).unwrap();
        let sum = if y.rank() == 0 { y.clone() } else { y.sum_all().unwrap() };
        let grads = sum.backward().unwrap();
        (f64s(&y), f64s(grads.get(&x).unwrap()))
    }

    #[test]
    fn functions_are_right_where_they_bend_and_far_out() {
        let x = [-90.0, -20.0, -1.0, 0.0, 0.5, 30.0, 90.0];
        let f64 = |f: fn(f64) -> f64| x.iter().map(|x| f(f64::from(*x))).collect::<Vec<_>>();
        let sigmoid = f64(|x| 1.0 / (1.0 + (-x).exp()));
        let (y, d) = slope(&x, |x| unary(Unary::Sigmoid, x));
        close("σ", &y, &sigmoid, 1e-6);
        close(
            "σ'",
            &d,
            &sigmoid.iter().map(|s| s * (1.0 - s)).collect::<Vec<_>>(),
            1e-5,
        );
        let (y, d) = slope(&x, |x| unary(Unary::LogSigmoid, x));
        close("ln σ", &y, &f64(|x| of_number(Unary::LogSigmoid, x)), 1e-6);
        close("ln σ'", &d, &f64(|x| 1.0 / (1.0 + x.exp())), 1e-6);
        let (y, d) = slope(&x, |x| unary(Unary::Softplus, x));
        close("softplus", &y, &f64(|x| of_number(Unary::Softplus, x)), 1e-6);
        close("softplus'", &d, &sigmoid, 1e-6);
        assert_eq!(
            slope(&x, |x| unary(Unary::Relu, x)).1,
            [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
        );
        let signs = [-1.0, -1.0, -1.0, 0.0, 1.0, 1.0, 1.0];
        assert_eq!(slope(&x, |x| unary(Unary::Abs, x)).1, signs);
    }

    #[test]
    fn equal_numbers_share_the_gradient_of_the_largest() {
        let (y, d) = slope(&[3.0, 1.0, 3.0, 3.0], |x| extreme(x, &[0], true));
        assert_eq!(y, [3.0]);
        close("parts", &d, &[1.0 / 3.0, 0.0, 1.0 / 3.0, 1.0 / 3.0], 1e-6);
        let (y, d) = slope(&[3.0, 1.0], |x| extreme(x, &[0], false));
        assert_eq!((y, d), (vec![1.0], vec![0.0, 1.0]));
        let (y, d) = slope(&[0.0, 0.0], |x| norm(x, &[0]));
        assert_eq!((y, d), (vec![0.0], vec![0.0, 0.0]));
        let (y, d) = slope(&[3.0, 4.0], |x| norm(x, &[0]));
        close("norm", &y, &[5.0], 1e-6);
        close("norm'", &d, &[0.6, 0.8], 1e-6);
    }

    #[test]
    fn long_sums_are_as_exact_as_short_ones() {
        let x = vec![0.1f32; 3_000_000];
        let y = f64s(&sum(&Tensor::from_slice(&x, x.len(), &device()).unwrap(), &[0]).unwrap());
        close("sum", &y, &[f64::from(0.1f32) * 3e6], 1e-6);
    }
}
