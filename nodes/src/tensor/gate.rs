//! `gate`: values multiplied by what another part of the network says of them.

use crate::input::{input, known};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// `y = x · (shift + scale · g)`, with a gradient to both. `g` has a value for each row, for each row and clip (dimension
/// 1 of `x`), or for each row and feature (its last dimension). The attention of TA3N (Chen et al., ICCV 2019) is
/// `x (1 + (1 − H))`: shift 2, scale −1 and the entropy of the domain as `g`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// What is added to the scaled gate.
    #[serde(default)]
    pub shift: f64,
    /// What the gate is multiplied by.
    #[serde(default = "one")]
    pub scale: f64,
    /// What `g` has a value for; found by its size where only one fits.
    #[serde(default)]
    pub along: Option<Along>,
}

fn one() -> f64 {
    1.0
}

/// What a [`Gate`] has a value for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Along {
    /// Each row.
    Rows,
    /// Each row and clip: dimension 1 of `x`.
    Clips,
    /// Each row and feature: the last dimension of `x`.
    Features,
}

impl Along {
    /// The shape of a gate of `rows` that multiplies an `x` of `rank` dimensions.
    fn shape(self, rows: usize, width: usize, rank: usize) -> Vec<usize> {
        let mut shape = vec![1; rank];
        shape[0] = rows;
        match self {
            Along::Rows => {}
            Along::Clips => shape[1] = width,
            Along::Features => shape[rank - 1] = width,
        }
        shape
    }
}

impl Kind for Gate {
    const NAME: &'static str = "gate";
    const GROUP: Group = Group::Tensor;

    fn validate(&self) -> Vec<ParamProblem> {
        [("shift", self.shift), ("scale", self.scale)]
            .iter()
            .filter(|(_, v)| !v.is_finite())
            .map(|(name, v)| ParamProblem::new(*name, format!("{v} is not a number")))
            .collect()
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        match self.scale == 0.0 {
            false => vec![],
            true => vec![
                ParamProblem::new("scale", "with 0 the gate counts for nothing")
                    .help("leave the node out, or give it another scale"),
            ],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,*S]", "values")
            .input("g", "?G[R,M]", "the gate: M is 1, the number of clips or of features")
            .output("y", "?X[R,*S]", "the gated values")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let (x, g) = (input(cx, "x")?, input(cx, "g")?);
        let rank = x.dims.len();
        let width = known(g, 1)?;
        let clips = rank > 2 && x.known(1) == Some(width);
        let features = rank > 1 && x.known(-1) == Some(width);
        let fits = |along| match along {
            Along::Rows => width == 1,
            Along::Clips => clips,
            Along::Features => features,
        };
        let all = [Along::Rows, Along::Clips, Along::Features];
        let found: Vec<Along> = all.into_iter().filter(|a| fits(*a)).collect();
        let along = match (self.along, found.as_slice()) {
            (Some(a), _) if fits(a) => a,
            (None, [a]) => *a,
            // One value for a row is the same whichever dimension of size 1 it is meant for.
            (None, [Along::Rows, ..]) => Along::Rows,
            (None, [_, _, ..]) => {
                return Err(vec![
                    ParamProblem::new("", format!("`{g}` fits the clips and the features of `{x}`"))
                        .help("write which are meant: along = \"clips\" or along = \"features\""),
                ]);
            }
            (Some(a), _) => {
                let name = match a {
                    Along::Rows => "rows",
                    Along::Clips => "clips",
                    Along::Features => "features",
                };
                return Err(vec![ParamProblem::new(
                    "along",
                    format!("`{g}` has no value for each of the {name} of `{x}`"),
                )]);
            }
            (None, []) => {
                return Err(vec![ParamProblem::new("", format!("`{g}` does not fit `{x}`")).help(
                    "a gate has one value a row, one for each clip, or one for each feature",
                )]);
            }
        };
        Ok(Body::Compute(Box::new(Gated {
            shift: self.shift,
            scale: self.scale,
            along,
        })))
    }
}

struct Gated {
    shift: f64,
    scale: f64,
    along: Along,
}

impl Compute for Gated {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (x, g) = (inputs.one("x")?, inputs.one("g")?);
        if x.elem_count() == 0 {
            return Ok((vec![x.clone()], Box::new((x.clone(), g.clone()))));
        }
        let factor = g.affine(self.scale, self.shift)?;
        let factor = factor.reshape(self.along.shape(g.dim(0)?, g.dim(1)?, x.rank()))?;
        Ok((vec![x.broadcast_mul(&factor)?], Box::new((x.clone(), factor))))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let (x, factor) = *kept::<(Tensor, Tensor)>(saved)?;
        let Some(dy) = arrived(&mut grads, 0) else {
            return Ok(vec![None, None]);
        };
        if x.elem_count() == 0 {
            let none = match factor.elem_count() {
                0 => factor,
                _ => factor.zeros_like()?,
            };
            return Ok(vec![Some(dy), Some(none)]);
        }
        let dx = match step.wants[0] {
            true => Some(dy.broadcast_mul(&factor)?),
            false => None,
        };
        let dg = match step.wants[1] {
            true => {
                let mut sum = (dy * &x)?;
                for dim in (1..x.rank()).filter(|d| factor.dims()[*d] == 1) {
                    sum = sum.sum_keepdim(dim)?;
                }
                Some((sum * self.scale)?.reshape((x.dim(0)?, factor.elem_count() / x.dim(0)?))?)
            }
            false => None,
        };
        Ok(vec![dx, dg])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::golden::{self as cases, Case, near};
    use crate::testing::losses_golden::{agree, cotangent, golden, tensor};
    use crate::testing::{Probe, dense, f64s, normal, rejected, remarks, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for (x, g, params) in [
            (vec![2, 3], 1, json!({ "shift": 2.0, "scale": -1.0 })),
            (vec![2, 3], 3, json!({})),
            (vec![2, 3, 4], 1, json!({})),
            (vec![2, 3, 4], 3, json!({ "shift": 1.0, "scale": 0.5 })),
            (vec![2, 3, 4], 4, json!({})),
            (vec![2, 3, 3], 3, json!({ "along": "features" })),
            (vec![2, 3, 3], 3, json!({ "along": "clips" })),
        ] {
            let dims: Vec<String> = x[1..].iter().map(|d| d.to_string()).collect();
            let types = [
                ("x", vec![ty("Logits", &format!("B,{}", dims.join(",")))]),
                ("g", vec![ty("Feature", &format!("B,{g}"))]),
            ];
            let mut p = Probe::new("gate", params.clone(), &types, &[]).unwrap();
            assert_eq!(p.outputs[0], types[0].1[0]);
            let number = |key: &str, default: f64| params[key].as_f64().unwrap_or(default);
            let (shift, scale) = (number("shift", 0.0), number("scale", 1.0));
            let (inner, last) = (x[1..].iter().product::<usize>(), x[x.len() - 1]);
            let by_clip = g == x[1] && x.len() == 3 && params["along"] != "features";
            let inputs = Args::default()
                .with("x", vec![normal(1, &x)])
                .with("g", vec![normal(2, &[2, g])]);
            p.check(&inputs, |x, _| {
                let at = |i: usize| match (g, by_clip) {
                    (1, _) => 0,
                    (_, true) => i % inner / last,
                    (_, false) => i % last,
                };
                let y = |(i, v): (usize, &f64)| v * (shift + scale * x[1][i / inner * g + at(i)]);
                vec![x[0].iter().enumerate().map(y).collect()]
            });
        }
    }

    /// TA3N's attention, `x (2 − H)` with the entropy of the domain's scores, as `lib/domain_attention.toml` has it.
    #[test]
    fn golden_values_of_transferable_attention() {
        let case = Case::of(
            include_str!("../../tests/golden/methods.json"),
            "transferable_attention",
        );
        let types = [("logits", vec![ty("Logits", "B,2")])];
        let mut entropy = Probe::new("row_entropy", json!({}), &types, &[]).unwrap();
        let types = [("x", vec![ty("Feature", "B,4")]), ("g", vec![ty("Feature", "B,1")])];
        let params = json!({ "shift": 2.0, "scale": -1.0, "along": "rows" });
        let mut gate = Probe::new("gate", params, &types, &[]).unwrap();
        let logits = Args::default().with("logits", vec![case.input("domain").flatten(0, 1).unwrap()]);
        let (h, of_entropy) = entropy.forward_kept(&logits).unwrap();
        let x = case.input("x").flatten(0, 1).unwrap();
        let x = Args::default().with("x", vec![x]).with("g", vec![h[0].clone()]);
        let (y, of_gate) = gate.forward_kept(&x).unwrap();
        near("y", &y[0], &case.output("y"));
        near("w", &(1.0 - &h[0]).unwrap(), &case.output("w"));
        let dy = cases::cotangent(&case.input("x")).flatten(0, 1).unwrap();
        let grads = gate.backward(&x, of_gate, vec![Some(dy)]).unwrap();
        near("dx", grads[0].as_ref().unwrap(), &case.grad("x"));
        let d = entropy.backward(&logits, of_entropy, vec![grads[1].clone()]).unwrap();
        near("domain", d[0].as_ref().unwrap(), &case.grad("domain"));
    }

    /// The features of one modality gated by a layer on the other: here the gate's values are given.
    #[test]
    fn golden_values() {
        let case = golden("cross_gate");
        let (b, w, bias) = (case.values("b").0, case.values("wa").0, case.values("ba_").0);
        let g: Vec<f64> = dense(&b, &w, &bias, 3)
            .iter()
            .map(|v| 1.0 / (1.0 + (-v).exp()))
            .collect();
        let types = [("x", vec![ty("Feature", "B,4")]), ("g", vec![ty("Feature", "B,4")])];
        let mut p = Probe::new("gate", json!({}), &types, &[]).unwrap();
        let x = Args::default()
            .with("x", vec![case.input("a")])
            .with("g", vec![tensor(&g, &[2, 4])]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        agree("y", &f64s(&out[0]), &case.output("y"));
        let dy = tensor(&cotangent(&[2, 4]), &[2, 4]);
        let grads = p.backward(&x, saved, vec![Some(dy)]).unwrap();
        agree("a", &f64s(grads[0].as_ref().unwrap()), &case.grad("a").unwrap());
        // Through the sigmoid to the bias of the layer.
        let dg = f64s(grads[1].as_ref().unwrap());
        let bias = |j: usize| {
            (0..2)
                .map(|r| 4 * r + j)
                .map(|i| dg[i] * g[i] * (1.0 - g[i]))
                .sum::<f64>()
        };
        agree(
            "bias",
            &(0..4).map(bias).collect::<Vec<_>>(),
            &case.grad("ba_").unwrap(),
        );
    }

    #[test]
    fn no_rows_are_no_values() {
        let types = [("x", vec![ty("Feature", "B,2")]), ("g", vec![ty("Feature", "B,1")])];
        let mut p = Probe::new("gate", json!({}), &types, &[]).unwrap();
        let x = Args::default()
            .with("x", vec![normal(1, &[0, 2])])
            .with("g", vec![normal(1, &[0, 1])]);
        p.check(&x, |_, _| vec![vec![]]);
    }

    #[test]
    fn a_gate_fits_one_dimension() {
        let of = |x: &str, g: &str, params| {
            let types = [("x", vec![ty("Feature", x)]), ("g", vec![ty("Feature", g)])];
            rejected("gate", params, &types)
        };
        assert_eq!(
            of("B,3,3", "B,3", json!({})),
            ["`Feature[B,3]` fits the clips and the features of `Feature[B,3,3]`"]
        );
        assert_eq!(
            of("B,3,4", "B,5", json!({})),
            ["`Feature[B,5]` does not fit `Feature[B,3,4]`"]
        );
        assert_eq!(
            of("B,3,4", "B,3", json!({ "along": "features" })),
            ["along: `Feature[B,3]` has no value for each of the features of `Feature[B,3,4]`"]
        );
        assert_eq!(
            remarks("gate", json!({ "scale": 0.0 })),
            ["scale: with 0 the gate counts for nothing"]
        );
    }
}
