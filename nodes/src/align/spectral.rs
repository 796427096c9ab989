//! `spectral`: the largest singular value of features.

use crate::input::per_reference;
use crate::loss::scalar::{Found, Scalar, Term};
use crate::op::linear::product;
use crate::op::svd::{on_host, svd};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Batch spectral penalisation (Chen et al., ICML 2019): the sum over references (a reference that names no stream is
/// one for each) of `σ₁²`, the square of the largest singular value of the features `F` `[R,D]`. Beside an adversary it
/// keeps directions that tell classes apart from being drowned by the most transferable one. The gradient is
/// `2 σ₁ u₁ v₁ᵀ`. The first vector comes from the smaller Gram matrix, decomposed on the host in float64 (on a GPU a
/// wait in each step): exact where power iterations are slow, and all else stays on the device.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spectral {}

impl Kind for Spectral {
    const NAME: &'static str = "spectral";
    const GROUP: Group = Group::Align;

    fn contract(&self, wiring: &Wiring) -> Contract {
        let types = per_reference(wiring.of("x"), |i| format!("?X{i}[R{i},D{i}]"));
        Contract::on(Side::Device)
            .many("x", &types, "features")
            .all_streams()
            .output("loss", "Loss[]", "the sum of the largest squared singular values")
            .whole_step()
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

/// `σ₁²` of `x` and its gradient.
fn largest(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let (rows, width) = x.dims2()?;
    let turned = x.t()?.contiguous()?;
    let wide = rows <= width;
    let (gram, n) = match wide {
        true => (product(x, x)?, rows),
        false => (product(&turned, &turned)?, width),
    };
    let first = svd(&on_host(&gram)?, n, n).left.swap_remove(0);
    let first: Vec<f32> = first.into_iter().map(|v| v as f32).collect();
    let first = Tensor::from_vec(first, (1, n), x.device())?;
    // u₁ᵀF = σ₁ v₁ᵀ, or F v₁ = σ₁ u₁.
    let (left, right) = match wide {
        true => {
            let right = product(&first, &turned)?;
            (first.t()?, right)
        }
        false => (product(x, &first)?, first),
    };
    let scaled = if wide { &right } else { &left };
    let square = scaled.sqr()?.sum_all()?;
    Ok((square, (left.broadcast_mul(&right)? * 2.0)?))
}

impl Term for Spectral {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let mut found = Found::nothing(step, inputs, 1)?;
        for (x, grad) in inputs.all("x").iter().zip(&mut found.grads) {
            if x.elem_count() == 0 {
                continue;
            }
            let (square, slope) = largest(x)?;
            found.outputs[0] = (&found.outputs[0] + square)?;
            *grad = Some(slope);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::op::svd::svd;
    use crate::testing::{Probe, device, f64s, normal, scalar, ty};
    use candle_core::Tensor;
    use serde_json::json;

    fn probe(widths: &[usize]) -> Probe {
        let types = widths.iter().map(|d| ty("Feature", &format!("B,{d}"))).collect();
        Probe::new("spectral", json!({}), &[("x", types)], &[]).unwrap()
    }

    #[test]
    fn matches_the_reference() {
        let x = Args::default().with("x", vec![normal(1, &[3, 5]), normal(2, &[6, 2]), normal(3, &[4, 4])]);
        probe(&[5, 2, 4]).check(&x, |x, _| {
            let of = |x: &[f64], d: usize| svd(x, x.len() / d, d).values[0].powi(2);
            vec![vec![of(&x[0], 5) + of(&x[1], 2) + of(&x[2], 4)]]
        });
    }

    #[test]
    fn known_values() {
        // [[3, 0], [4, 5]]: σ₁ = √45, u₁ = (1, 3)/√10, v₁ = (1, 1)/√2, so that 2 σ₁ u₁ v₁ᵀ = 3 (1, 3)ᵀ (1, 1).
        let f = Tensor::new(&[[3f32, 0.], [4., 5.]], &device()).unwrap();
        let x = Args::default().with("x", vec![f]);
        let mut p = probe(&[2]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert!((scalar(&out[0]) - 45.0).abs() < 1e-4);
        let g = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
        crate::testing::close("gradient", &f64s(g[0].as_ref().unwrap()), &[3., 3., 9., 9.], 1e-6);
    }

    #[test]
    fn no_rows_are_no_loss() {
        let x = Args::default().with("x", vec![normal(1, &[0, 3]), normal(1, &[2, 3])]);
        let mut p = probe(&[3, 3]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert!(scalar(&out[0]) > 0.0);
        let g = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
        assert!(g[0].is_none() && g[1].is_some());
    }
}
