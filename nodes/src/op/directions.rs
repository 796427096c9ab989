//! Rows divided by their Euclidean norms.

use crate::kernel::{floats, tensor};
use anyhow::Result;
use candle_core::{D, DType, Tensor};
use glad_ops::{buffer, directions};

/// The norm below which a row has no direction.
const SHORTEST: f64 = 1e-12;

/// Rows `[R, D]` and what they were divided by.
pub(crate) struct Directions {
    /// The rows of norm 1.
    pub rows: Tensor,
    /// `1 / ‖x‖` `[R, 1]`, and 0 for rows without a direction.
    inverse: Tensor,
}

impl Directions {
    /// Normalises rows, of which there is at least one value.
    pub(crate) fn of(x: &Tensor) -> Result<Directions> {
        if !x.device().is_cpu() {
            return Directions::by_candle(x);
        }
        let ((rows, width), x) = (x.dims2()?, x.contiguous()?);
        let (mut y, mut inverse) = (buffer(rows * width), buffer(rows));
        directions::forward(width, SHORTEST as f32, &floats(&x)?, &mut y, &mut inverse)?;
        Ok(Directions {
            rows: tensor(y, (rows, width), x.device())?,
            inverse: tensor(inverse, (rows, 1), x.device())?,
        })
    }

    fn by_candle(x: &Tensor) -> Result<Directions> {
        let norm = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        let long = norm.gt(SHORTEST as f32)?.to_dtype(DType::F32)?;
        let divisor = ((norm * &long)? + long.affine(-SHORTEST, SHORTEST)?)?;
        let inverse = divisor.recip()?;
        Ok(Directions {
            rows: x.broadcast_mul(&inverse)?,
            inverse: (inverse * long)?,
        })
    }

    /// The gradient of the rows before they were divided, from that of [`Self::rows`].
    pub(crate) fn backward(&self, grad: &Tensor) -> Result<Tensor> {
        if !grad.device().is_cpu() {
            let along = (&self.rows * grad)?.sum_keepdim(D::Minus1)?;
            let across = (grad - self.rows.broadcast_mul(&along)?)?;
            return Ok(across.broadcast_mul(&self.inverse)?);
        }
        let grad = grad.contiguous()?;
        let mut dx = buffer(grad.elem_count());
        let (y, inverse) = (floats(&self.rows)?, floats(&self.inverse)?);
        directions::backward(grad.dim(1)?, &y, &inverse, &floats(&grad)?, &mut dx)?;
        tensor(dx, grad.shape(), grad.device())
    }
}
