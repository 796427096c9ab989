//! `concat`: concatenation of features.

use super::parts::{cut, join};
use crate::input::{known, per_reference};
use crate::{Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Concatenates features of the same sample: `[R,D1]`, `[R,D2]`, … become `[R,D1+D2+…]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concat {}

impl Kind for Concat {
    const NAME: &'static str = "concat";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, wiring: &Wiring) -> Contract {
        let n = wiring.of("x");
        let types = per_reference(n, |i| format!("?X{i}[R,D{i}]"));
        let sum = per_reference(n, |i| format!("D{i}")).join("+");
        Contract::on(Side::Device)
            .many("x", &types, "what is put side by side")
            .output("y", &format!("Feature[R,{sum}]"), "all of it")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let types = cx.inputs.get("x").map_or(&[][..], Vec::as_slice);
        let sizes = types.iter().map(|t| known(t, 1)).collect::<Result<_, _>>()?;
        Ok(Body::Compute(Box::new(SideBySide { sizes })))
    }
}

struct SideBySide {
    sizes: Vec<usize>,
}

impl Compute for SideBySide {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let parts: Vec<&Tensor> = inputs.flat().collect();
        Ok((vec![join(&parts, 1)?], Box::new(())))
    }

    fn backward(&self, step: &mut Step<'_>, _: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let Some(grad) = arrived(&mut grads, 0) else {
            return Ok(vec![None; self.sizes.len()]);
        };
        cut(&grad, 1, &self.sizes, step.wants)
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, normal, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        let types = [(
            "x",
            vec![ty("Feature", "B,2"), ty("Logits", "B,3"), ty("Feature", "B,1")],
        )];
        let mut p = Probe::new("concat", json!({}), &types, &[]).unwrap();
        assert_eq!(p.outputs[0].to_string(), "Feature[B,6]");
        let x = vec![normal(1, &[4, 2]), normal(2, &[4, 3]), normal(3, &[4, 1])];
        p.check(&Args::default().with("x", x), |x, _| {
            let row = |i: usize| [&x[0][2 * i..2 * i + 2], &x[1][3 * i..3 * i + 3], &x[2][i..i + 1]].concat();
            vec![(0..4).flat_map(row).collect()]
        });
    }

    #[test]
    fn a_part_with_nothing_in_it_has_a_gradient() {
        let of = |widths: [usize; 3], rows: usize| {
            let types = widths.map(|d| ty("Feature", &format!("B,{d}"))).to_vec();
            let mut p = Probe::new("concat", json!({}), &[("x", types)], &[]).unwrap();
            let x = widths.map(|d| normal(d as u64, &[rows, d])).to_vec();
            p.check(&Args::default().with("x", x), |x, _| {
                let row = |i: usize| {
                    x.iter()
                        .zip(widths)
                        .flat_map(move |(x, d)| x[d * i..d * (i + 1)].to_vec())
                };
                vec![(0..rows).flat_map(row).collect()]
            });
        };
        of([2, 0, 1], 3);
        of([0, 0, 0], 3);
        of([2, 3, 1], 0);
    }
}
