//! The sliced Wasserstein discrepancy. Sorting is a product with a matrix that has one 1 in each row, made from comparisons
//! of all pairs: without gathering, alike on every device, and its transpose is the gradient.

use crate::Key;
use crate::op::linear::product;
use anyhow::Result;
use candle_core::{D, DType, Device, Tensor};

/// Directions of length 1, `[count, classes]`, drawn from `key`.
pub(super) fn directions(key: Key, count: usize, classes: usize, device: &Device) -> Result<Tensor> {
    let mut draw = key.rng();
    let all: Vec<f64> = (0..count * classes).map(|_| draw.normal()).collect();
    let unit = all.chunks(classes).flat_map(|d| {
        let length = d.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
        d.iter().map(move |v| (v / length) as f32)
    });
    Ok(Tensor::from_vec(unit.collect::<Vec<_>>(), (count, classes), device)?)
}

/// The discrepancy of probabilities `p` and `q` along the rows of `directions`, and its gradients with respect to both.
pub(super) fn discrepancy(p: &Tensor, q: &Tensor, directions: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
    let (of_p, order_p) = sorted(&product(directions, p)?)?;
    let (of_q, order_q) = sorted(&product(directions, q)?)?;
    let gap = (of_p - of_q)?;
    let count = gap.elem_count() as f64;
    let slope = (&gap * (2.0 / count))?.unsqueeze(2)?;
    let back = |order: &Tensor| -> Result<Tensor> {
        let along = order.broadcast_mul(&slope)?.sum(1)?;
        product(&along.t()?, &directions.t()?)
    };
    Ok((
        (gap.sqr()?.sum_all()? / count)?,
        back(&order_p)?,
        back(&order_q)?.neg()?,
    ))
}

/// Each row of `x` `[lines, rows]` in ascending order, and the matrices `[lines, place, row]` that order them. Equal values
/// keep their order.
fn sorted(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let (lines, rows) = x.dims2()?;
    let cube = (lines, rows, rows);
    let own = x.unsqueeze(2)?.broadcast_as(cube)?.contiguous()?;
    let other = x.unsqueeze(1)?.broadcast_as(cube)?.contiguous()?;
    let earlier: Vec<f32> = (0..rows * rows)
        .map(|i| f32::from(u8::from(i % rows < i / rows)))
        .collect();
    let earlier = Tensor::from_vec(earlier, (1, rows, rows), x.device())?;
    let below = other.lt(&own)?.to_dtype(DType::F32)?;
    let equal = other.eq(&own)?.to_dtype(DType::F32)?.broadcast_mul(&earlier)?;
    let place = (below + equal)?.sum(D::Minus1)?;
    let places: Vec<f32> = (0..rows).map(|i| i as f32).collect();
    let places = Tensor::from_vec(places, (1, rows, 1), x.device())?.broadcast_as(cube)?;
    let place = place.unsqueeze(1)?.broadcast_as(cube)?.contiguous()?;
    let order = place.eq(&places.contiguous()?)?.to_dtype(DType::F32)?;
    Ok((order.broadcast_mul(&x.unsqueeze(1)?)?.sum(D::Minus1)?, order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::softmax::{softmax, through};
    use crate::testing::losses_golden::{agree, golden, tensor};
    use crate::testing::{device, f64s};

    /// The case gives the directions.
    #[test]
    fn golden_values() {
        let case = golden("sliced_wasserstein");
        let (given, shape) = case.values("proj");
        let (classes, count) = (shape[0], shape[1]);
        let column = |j: usize| (0..classes).map(|i| given[i * count + j]).collect::<Vec<_>>();
        let unit = (0..count).flat_map(|j| {
            let length = column(j).iter().map(|v| v * v).sum::<f64>().sqrt();
            column(j).into_iter().map(move |v| v / length)
        });
        let directions = tensor(&unit.collect::<Vec<_>>(), &[count, classes]);
        let (p, q) = (softmax(&case.input("a")).unwrap(), softmax(&case.input("b")).unwrap());
        let (loss, dp, dq) = discrepancy(&p, &q, &directions).unwrap();
        agree("loss", &f64s(&loss), &case.output("loss"));
        agree("a", &f64s(&through(&p, &dp).unwrap()), &case.grad("a").unwrap());
        agree("b", &f64s(&through(&q, &dq).unwrap()), &case.grad("b").unwrap());
    }

    #[test]
    fn sorts_with_equal_values() {
        let x = Tensor::new(&[[3f32, 1., 2., 1.], [0., 0., 0., -1.]], &device()).unwrap();
        let (y, order) = sorted(&x).unwrap();
        assert_eq!(f64s(&y), [1., 1., 2., 3., -1., 0., 0., 0.]);
        // Every row has one place.
        assert_eq!(f64s(&order.sum(1).unwrap()), [1.0; 8]);
        assert_eq!(f64s(&order.sum(2).unwrap()), [1.0; 8]);
    }

    #[test]
    fn directions_are_the_keys() {
        let of = |key: Key| f64s(&directions(key, 3, 4, &device()).unwrap());
        let key = Key::new(5);
        assert_eq!(of(key), of(key));
        assert_ne!(of(key), of(key.index(1)));
        for d in of(key).chunks(4) {
            assert!((d.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-6);
        }
        // More directions begin with the same.
        let more = f64s(&directions(key, 5, 4, &device()).unwrap());
        assert_eq!(more[..12], of(key)[..]);
    }
}
