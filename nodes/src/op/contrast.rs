//! The contrastive loss of rows, from their products.

use super::linear::product;
use super::matmul::Form;
use crate::kernel::{floats, tensor};
use anyhow::Result;
use candle_core::{D, DType, Tensor};
use glad_ops::{buffer, contrast};

/// `Σ_rq w_rq (ln Σ_c e^{s_rc} − s_rq)` of rows `z` `[n, d]` with `s = z zᵀ / temperature + closed`, and its gradient with
/// respect to s, `[n, n]`; `closed` and the weights w `[n, n]` are as in [`contrast::forward`].
pub(crate) fn forward(z: &Tensor, temperature: f64, closed: Vec<f32>, weights: Vec<f32>) -> Result<(Tensor, Tensor)> {
    let (n, device) = (z.dim(0)?, z.device());
    let products = product(z, z)?;
    if device.is_cpu() {
        let mut slope = floats(&products)?.to_vec();
        let loss = contrast::forward(n, (1.0 / temperature) as f32, &closed, &weights, &mut slope)?;
        return Ok((Tensor::new(loss as f32, device)?, tensor(slope, (n, n), device)?));
    }
    let square = |values: Vec<f32>| Tensor::from_vec(values, (n, n), device);
    let scores = ((products / temperature)? + square(closed)?)?;
    let log_p = candle_nn::ops::log_softmax(&scores, D::Minus1)?;
    let weights = square(weights)?;
    let loss = (&weights * &log_p)?.to_dtype(DType::F64)?.sum_all()?.neg()?;
    let share = weights.sum_keepdim(D::Minus1)?;
    let slope = (log_p.exp()?.broadcast_mul(&share)? - weights)?;
    Ok((loss.to_dtype(DType::F32)?, slope))
}

/// The gradient of `z`, from the loss's gradient, a scalar, and what [`forward`] gave.
pub(crate) fn backward(z: &Tensor, temperature: f64, slope: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (n, d) = z.dims2()?;
    if z.device().is_cpu() {
        let factor = floats(grad)?[0] / temperature as f32;
        let mut both = buffer(n * n);
        contrast::both_ways(n, factor, &floats(slope)?, &mut both)?;
        let z = z.contiguous()?;
        return tensor(
            Form::Ab.multiply([1, n, n, d], &both, &floats(&z)?)?,
            (n, d),
            z.device(),
        );
    }
    let both = ((slope + slope.t()?)? / temperature)?;
    Ok(product(&both, &z.t()?)?.broadcast_mul(grad)?)
}
