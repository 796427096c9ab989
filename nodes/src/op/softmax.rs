//! The softmax of rows, what losses take of it, and their gradients.

use anyhow::Result;
use candle_core::{D, DType, Tensor};

/// The probabilities of scores `[rows, classes]`.
pub(crate) fn softmax(z: &Tensor) -> Result<Tensor> {
    Ok(candle_nn::ops::softmax(z, D::Minus1)?)
}

/// The gradient of the scores, `p ⊙ (dp − ⟨dp, p⟩)`, from that of their probabilities `p`.
pub(crate) fn through(p: &Tensor, dp: &Tensor) -> Result<Tensor> {
    let along = (dp * p)?.sum_keepdim(D::Minus1)?;
    Ok((p * dp.broadcast_sub(&along)?)?)
}

/// `−Σ p ln(p + eps)` of the softmax of each row, `[rows, 1]`, and its gradient with respect to the scores.
pub(crate) fn entropy(z: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
    let log_p = candle_nn::ops::log_softmax(z, D::Minus1)?;
    let p = log_p.exp()?;
    if eps == 0.0 {
        let h = (&p * &log_p)?.sum_keepdim(D::Minus1)?.neg()?;
        // ∂H/∂z = −p (ln p + H)
        let dz = (p * log_p.broadcast_add(&h)?)?.neg()?;
        return Ok((h, dz));
    }
    let shifted = (&p + eps)?;
    let log = shifted.log()?;
    let h = (&p * &log)?.sum_keepdim(D::Minus1)?.neg()?;
    let dp = (log + (&p / shifted)?)?.neg()?;
    Ok((h, through(&p, &dp)?))
}

/// 1 at the largest of each row, the first of equal ones, and 0 elsewhere.
pub(crate) fn one_hot_of_best(z: &Tensor) -> Result<Tensor> {
    let (rows, classes) = z.dims2()?;
    let best = z.argmax(D::Minus1)?.reshape((rows, 1))?.broadcast_as((rows, classes))?;
    let numbers = Tensor::arange(0u32, classes as u32, z.device())?;
    let numbers = numbers.reshape((1, classes))?.broadcast_as((rows, classes))?;
    Ok(best.contiguous()?.eq(&numbers.contiguous()?)?.to_dtype(DType::F32)?)
}
