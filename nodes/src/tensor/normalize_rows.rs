//! `normalize_rows`: features of length 1.

use super::parts::nothing;
use crate::op::directions::Directions;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Divides each row by its Euclidean norm: `y = x / max(‖x‖, 10⁻¹²)`, so that products of rows are cosines. The gradient is
/// `(g − y⟨y, g⟩) / ‖x‖`; a row shorter than 10⁻¹² has no direction, and its gradient is 0.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NormalizeRows {}

impl Kind for NormalizeRows {
    const NAME: &'static str = "normalize_rows";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,D]", "features")
            .output("y", "?X[R,D]", "the same with norm 1")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Divide)))
    }
}

struct Divide;

impl Compute for Divide {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        if x.elem_count() == 0 {
            return Ok((vec![nothing(x, x.shape())?], Box::new(None::<Directions>)));
        }
        let found = Directions::of(x)?;
        Ok((vec![found.rows.clone()], Box::new(Some(found))))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let found = kept::<Option<Directions>>(saved)?;
        Ok(vec![match (arrived(&mut grads, 0), *found) {
            (Some(g), Some(found)) => Some(found.backward(&g)?),
            (g, _) => g,
        }])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::golden::{Case, cotangent, near};
    use crate::testing::{Probe, device, f64s, normal, ty};
    use candle_core::Tensor;
    use serde_json::json;

    fn probe(d: usize) -> Probe {
        let types = [("x", vec![ty("Feature", &format!("B,{d}"))])];
        Probe::new("normalize_rows", json!({}), &types, &[]).unwrap()
    }

    #[test]
    fn golden_values() {
        let case = Case::of(include_str!("../../tests/golden/methods.json"), "normalize_rows");
        let x = Args::default().with("x", vec![case.input("x")]);
        let mut p = probe(3);
        let (out, saved) = p.forward_kept(&x).unwrap();
        near("y", &out[0], &case.output("y"));
        let dx = p.backward(&x, saved, vec![Some(cotangent(&out[0]))]).unwrap();
        near("dx", dx[0].as_ref().unwrap(), &case.grad("x"));
    }

    #[test]
    fn matches_the_reference() {
        for (rows, d) in [(3, 4), (2, 1), (0, 3)] {
            probe(d).check(&Args::default().with("x", vec![normal(1, &[rows, d])]), |x, _| {
                let unit = |row: &[f64]| {
                    let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
                    row.iter().map(|v| v / norm).collect::<Vec<_>>()
                };
                vec![x[0].chunks(d).flat_map(unit).collect()]
            });
        }
    }

    #[test]
    fn a_row_of_zeros_stays_and_has_no_gradient() {
        let x = Tensor::new(&[[0f32, 0.], [3., 4.]], &device()).unwrap();
        let x = Args::default().with("x", vec![x]);
        let mut p = probe(2);
        let (out, saved) = p.forward_kept(&x).unwrap();
        let y = f64s(&out[0]);
        assert_eq!(y[..2], [0.0, 0.0]);
        assert!((y[2] - 0.6).abs() < 1e-6 && (y[3] - 0.8).abs() < 1e-6, "{y:?}");
        let g = normal(4, &[2, 2]);
        let dx = p.backward(&x, saved, vec![Some(g)]).unwrap();
        assert_eq!(f64s(dx[0].as_ref().unwrap())[..2], [0.0, 0.0]);
    }
}
