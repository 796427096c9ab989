//! `outer`: products of every pair of features.

use crate::input::{input, known};
use crate::op::linear::product;
use crate::tensor::parts::part;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Count, Group, Init, Kind, ParamProblem, Role, Saved, Side, Step,
    WeightSpec, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{D, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The outer product of two features of a sample, flattened: `y[i·E + j] = a[i]·b[j]`. With class probabilities as `a`
/// and a feature as `b` it is the multilinear map of CDAN (Long et al., NeurIPS 2018, eq. 5). With `outputs` it is that
/// paper's randomized map for products that would be too many: `(a Rₐ) ⊙ (b R_b) / √outputs` with matrices drawn
/// from N(0, 1), once, and never trained.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outer {
    /// The width of the randomized map; without it all products are taken.
    #[serde(default)]
    pub outputs: Option<Count>,
}

impl Kind for Outer {
    const NAME: &'static str = "outer";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        let width = self.outputs.as_ref().map_or("D*E".into(), Count::to_string);
        Contract::on(Side::Device)
            .input("a", "?X[R,D]", "the slower index")
            .input("b", "?Y[R,E]", "the faster index")
            .output(
                "y",
                &format!("Feature[R,{width}]"),
                "all products, or their randomized map",
            )
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let Some(outputs) = &self.outputs else {
            return Ok(Body::Compute(Box::new(Products)));
        };
        Ok(Body::Compute(Box::new(Randomized {
            a: known(input(cx, "a")?, 1)?,
            b: known(input(cx, "b")?, 1)?,
            outputs: crate::model::dense::width("outputs", outputs, cx.dims)?,
        })))
    }
}

struct Products;

impl Compute for Products {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (a, b) = (inputs.one("a")?, inputs.one("b")?);
        let y = a.unsqueeze(2)?.broadcast_mul(&b.unsqueeze(1)?)?.flatten_from(1)?;
        Ok((vec![y], Box::new((a.clone(), b.clone()))))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let (a, b) = *kept::<(Tensor, Tensor)>(saved)?;
        let Some(dy) = arrived(&mut grads, 0) else {
            return Ok(vec![None, None]);
        };
        let dy = dy.reshape((a.dim(0)?, a.dim(1)?, b.dim(1)?))?;
        let da = match step.wants[0] {
            true => Some(dy.broadcast_mul(&b.unsqueeze(1)?)?.sum(D::Minus1)?),
            false => None,
        };
        let db = match step.wants[1] {
            true => Some(dy.broadcast_mul(&a.unsqueeze(2)?)?.sum(1)?),
            false => None,
        };
        Ok(vec![da, db])
    }
}

struct Randomized {
    a: usize,
    b: usize,
    outputs: usize,
}

impl Compute for Randomized {
    fn weights(&self) -> Vec<WeightSpec> {
        [("a", self.a), ("b", self.b)]
            .map(|(name, width)| WeightSpec::new(name, &[self.outputs, width], Init::Normal(1.0), Role::Buffer))
            .into()
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (a, b) = (inputs.one("a")?, inputs.one("b")?);
        let rows = a.dim(0)?;
        if rows == 0 {
            let y = part(a, 1, 0, 0)?.reshape((0, self.outputs))?;
            return Ok((vec![y], Box::new(None::<(Tensor, Tensor)>)));
        }
        let a = product(a, step.weights.value("a")?)?;
        let b = (product(b, step.weights.value("b")?)? * (1.0 / (self.outputs as f64).sqrt()))?;
        Ok((vec![(&a * &b)?], Box::new(Some((a, b)))))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let (Some((a, b)), Some(dy)) = (*kept::<Option<(Tensor, Tensor)>>(saved)?, arrived(&mut grads, 0)) else {
            return Ok(vec![None, None]);
        };
        let back = |want: bool, dy: Tensor, name: &str| -> Result<Option<Tensor>> {
            Ok(match want {
                true => Some(product(&dy, &step.weights.value(name)?.t()?)?),
                false => None,
            })
        };
        let scaled = (&dy * (1.0 / (self.outputs as f64).sqrt()))?;
        Ok(vec![
            back(step.wants[0], (dy * b)?, "a")?,
            back(step.wants[1], (scaled * a)?, "b")?,
        ])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, f64s, normal, rejected, ty};
    use serde_json::json;

    fn types(d: usize, e: usize) -> [(&'static str, Vec<crate::Type>); 2] {
        [
            ("a", vec![ty("Feature", &format!("B,{d}"))]),
            ("b", vec![ty("Logits", &format!("B,{e}"))]),
        ]
    }

    #[test]
    fn matches_the_reference() {
        for (d, e) in [(3, 4), (1, 5), (2, 1)] {
            let mut p = Probe::new("outer", json!({}), &types(d, e), &[]).unwrap();
            assert_eq!(p.outputs[0].to_string(), format!("Feature[B,{}]", d * e));
            let x = Args::default()
                .with("a", vec![normal(1, &[3, d])])
                .with("b", vec![normal(2, &[3, e])]);
            p.check(&x, |x, _| {
                let rows = x[0].chunks(d).zip(x[1].chunks(e));
                vec![
                    rows.flat_map(|(a, b)| a.iter().flat_map(|a| b.iter().map(move |b| a * b)).collect::<Vec<_>>())
                        .collect(),
                ]
            });
        }
    }

    #[test]
    fn golden_values_of_the_randomized_map() {
        let case = golden("randomized_outer");
        let mut p = Probe::new("outer", json!({ "outputs": 5 }), &types(3, 2), &[]).unwrap();
        assert_eq!(p.outputs[0].to_string(), "Feature[B,5]");
        for (name, given) in [("a", "rf"), ("b", "rg")] {
            p.set(name, case.input(given).t().unwrap().contiguous().unwrap());
        }
        case.check(&mut p, &[("a", &["f"]), ("b", &["g"])], "y");
    }

    #[test]
    fn the_randomized_map_is_fixed_and_normal() {
        let mut p = Probe::new("outer", json!({ "outputs": "W" }), &types(3, 2), &[("W", 2000)]).unwrap();
        let matrix = f64s(&p.weight("a"));
        let variance = matrix.iter().map(|v| v * v).sum::<f64>() / matrix.len() as f64;
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
        let x = Args::default()
            .with("a", vec![normal(1, &[2, 3])])
            .with("b", vec![normal(2, &[2, 2])]);
        let first = f64s(&p.forward(&x).unwrap()[0]);
        assert_eq!(first, f64s(&p.forward(&x).unwrap()[0]));
        let none = Args::default()
            .with("a", vec![normal(1, &[0, 3])])
            .with("b", vec![normal(2, &[0, 2])]);
        assert_eq!(p.forward(&none).unwrap()[0].dims(), [0, 2000]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            rejected("outer", json!({ "outputs": 0 }), &types(3, 2)),
            ["outputs: a layer needs at least one value"]
        );
    }
}
