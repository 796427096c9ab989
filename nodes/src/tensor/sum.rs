//! `sum`: the sum over clips.

use super::mean::Over;
use crate::input::{input, known};
use crate::{Body, BuildCx, Contract, Group, Kind, ParamProblem, Wiring};
use schemars::JsonSchema;
use serde::Deserialize;

/// The sum over dimension 1: of a video's clips, or of the scales of its relations.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sum {}

impl Kind for Sum {
    const NAME: &'static str = "sum";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Over::contract("the sum over the clips")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        known(input(cx, "x")?, 1)?;
        Ok(Body::Compute(Box::new(Over { mean: false })))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, normal, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for (n, d, rows) in [(1, 3, 2), (3, 2, 4), (3, 2, 0)] {
            let types = [("x", vec![ty("Feature", &format!("B,{n},{d}"))])];
            let mut p = Probe::new("sum", json!({}), &types, &[]).unwrap();
            assert_eq!(p.outputs[0].to_string(), format!("Feature[B,{d}]"));
            p.check(&Args::default().with("x", vec![normal(1, &[rows, n, d])]), |x, _| {
                let of = |r: &[f64]| (0..d).map(|j| r[j..].iter().step_by(d).sum()).collect::<Vec<f64>>();
                vec![x[0].chunks(n * d).flat_map(of).collect()]
            });
        }
    }
}
