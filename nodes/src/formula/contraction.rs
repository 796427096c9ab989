//! Sums of products: one product of matrices wherever the product itself would be larger than its factors.

use super::numeric;
use super::typed::Axis;
use crate::op::matmul::{Form, differentiable};
use anyhow::Result;
use candle_core::Tensor;

/// A tensor and the axes that its dimensions are.
#[derive(Clone)]
pub(super) struct Named {
    pub tensor: Tensor,
    pub axes: Vec<Axis>,
}

impl Named {
    fn at(&self, axis: &Axis) -> Option<usize> {
        self.axes.iter().position(|a| a == axis)
    }

    /// With its dimensions in the order of `axes`; 1 for axes that it does not have.
    pub(super) fn aligned(&self, axes: &[Axis]) -> Result<Tensor> {
        let order: Vec<usize> = axes.iter().filter_map(|a| self.at(a)).collect();
        let mut tensor = match order.iter().enumerate().all(|(i, o)| i == *o) {
            true => self.tensor.clone(),
            false => self.tensor.permute(order)?,
        };
        for (i, axis) in axes.iter().enumerate() {
            if self.at(axis).is_none() {
                tensor = tensor.unsqueeze(i)?;
            }
        }
        Ok(tensor)
    }

    /// Without the axes in `over`, summed.
    pub(super) fn summed(&self, over: impl Fn(&Axis) -> bool) -> Result<Named> {
        let dims: Vec<usize> = (0..self.axes.len()).filter(|i| over(&self.axes[*i])).collect();
        if dims.is_empty() {
            return Ok(self.clone());
        }
        Ok(Named {
            tensor: numeric::sum(&self.tensor, &dims)?,
            axes: self.axes.iter().filter(|a| !over(a)).copied().collect(),
        })
    }

    /// As matrices `[batch, rows, columns]`, or `[batch, columns, rows]` (`true`) where that is closer to how it lies.
    fn matrices(&self, batch: &[Axis], rows: &[Axis], columns: &[Axis]) -> Result<(Tensor, bool)> {
        let first = |of: &[Axis]| of.iter().filter_map(|a| self.at(a)).min();
        let turned = first(columns) < first(rows);
        let (middle, last) = if turned { (columns, rows) } else { (rows, columns) };
        let tensor = self.aligned(&[batch, middle, last].concat())?.contiguous()?;
        let size = |of: &[Axis]| -> usize {
            of.iter()
                .filter_map(|a| self.at(a))
                .map(|i| self.tensor.dims()[i])
                .product()
        };
        Ok((tensor.reshape((size(batch), size(middle), size(last)))?, turned))
    }
}

/// The product of two values over all their axes, element by element.
pub(super) fn product(a: &Named, b: &Named) -> Result<Named> {
    let new = b.axes.iter().filter(|x| !a.axes.contains(x));
    let axes: Vec<Axis> = a.axes.iter().chain(new).copied().collect();
    let tensor = a.aligned(&axes)?.broadcast_mul(&b.aligned(&axes)?)?;
    Ok(Named { tensor, axes })
}

/// The sum of `a · b` over the axes `over`.
pub(super) fn contract(a: &Named, b: &Named, over: &[Axis]) -> Result<Named> {
    let a = a.summed(|x| over.contains(x) && !b.axes.contains(x))?;
    let b = b.summed(|x| over.contains(x) && !a.axes.contains(x))?;
    let (shared, rows): (Vec<Axis>, Vec<Axis>) = a.axes.iter().partition(|x| b.axes.contains(x));
    let columns: Vec<Axis> = b.axes.iter().filter(|x| !a.axes.contains(x)).copied().collect();
    let (inner, batch): (Vec<Axis>, Vec<Axis>) = shared.iter().partition(|x| over.contains(x));
    if rows.is_empty() || columns.is_empty() || inner.is_empty() {
        return product(&a, &b)?.summed(|x| over.contains(x));
    }
    let (left, left_turned) = a.matrices(&batch, &rows, &inner)?;
    let (right, right_turned) = b.matrices(&batch, &inner, &columns)?;
    let (left, form) = match (left_turned, right_turned) {
        (false, false) => (left, Form::Ab),
        (false, true) => (left, Form::Abt),
        (true, false) => (left, Form::Atb),
        (true, true) => (left.transpose(1, 2)?.contiguous()?, Form::Abt),
    };
    let tensor = differentiable(form, &left, &right)?;
    let sizes = |of: &Named, axes: &[Axis]| -> Vec<usize> {
        let at = axes.iter().filter_map(|x| of.at(x));
        at.map(|i| of.tensor.dims()[i]).collect()
    };
    let shape = [sizes(&a, &batch), sizes(&a, &rows), sizes(&b, &columns)].concat();
    Ok(Named {
        tensor: tensor.reshape(shape)?,
        axes: [batch, rows, columns].concat(),
    })
}

/// The sum of `(a − b)²` over the axes `over`, which both have: from squares and products of values around their mean, which
/// minimises cancellation, and is not below 0.
pub(super) fn distance(a: &Named, b: &Named, over: &[Axis]) -> Result<Named> {
    let centre = a.tensor.detach();
    let own: Vec<usize> = (0..a.axes.len()).filter(|i| !b.axes.contains(&a.axes[*i])).collect();
    let count: usize = own.iter().map(|d| centre.dims()[*d]).product();
    let centre = Named {
        tensor: numeric::sum(&centre, &own)?.affine(1.0 / count as f64, 0.0)?,
        axes: a.axes.iter().filter(|x| b.axes.contains(x)).copied().collect(),
    };
    let around = |x: &Named| -> Result<Named> {
        Ok(Named {
            tensor: x.tensor.broadcast_sub(&centre.aligned(&x.axes)?)?,
            axes: x.axes.clone(),
        })
    };
    let (a, b) = (around(a)?, around(b)?);
    let squares = |x: &Named| -> Result<Named> {
        let squared = Named {
            tensor: x.tensor.sqr()?,
            axes: x.axes.clone(),
        };
        squared.summed(|axis| over.contains(axis))
    };
    let (aa, bb, ab) = (squares(&a)?, squares(&b)?, contract(&a, &b, over)?);
    let sum = aa.aligned(&ab.axes)?.broadcast_add(&bb.aligned(&ab.axes)?)?;
    let found = (sum - ab.tensor.affine(2.0, 0.0)?)?;
    Ok(Named {
        tensor: numeric::unary(super::functions::Unary::Relu, &found)?,
        axes: ab.axes,
    })
}
