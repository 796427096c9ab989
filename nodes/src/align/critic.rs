//! `critic`: the Wasserstein distance of two domains, by a network that is to be smooth.

use crate::input::{as_many_rows, input, known};
use crate::model::dense::width;
use crate::op::linear::product;
use crate::tensor::parts::{join, part};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Count, Group, Init, Kind, ParamProblem, Role, Saved, Side, Step,
    WeightSpec, Wiring, arrived, kept,
};
use anyhow::{Result, ensure};
use candle_core::{D, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The critic of WDGRL (Shen et al., AAAI 2018): `c(x) = w₂ · relu(W₁ x + b₁)` and two losses. `distance` is `mean c(source)
/// − mean c(target)`, which the critic maximises (give it a negative weight) and the features minimise, in rounds of their
/// own or, in one pass, behind a `grl`. `penalty` is the mean of `(‖∇c‖ − 1)²` over the rows of both domains and points
/// between them, `α` of the target's row and `1 − α` of the source's with `α` drawn from U(0, 1) for each pair in each
/// pass; it trains the critic alone. The paper has its weight at 10. `∇c = W₁ᵀ (1[W₁x + b₁ > 0] ⊙ w₂)`, so that its
/// gradient needs no second derivative. A bias of the last layer would change neither loss.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Critic {
    /// Width of the hidden layer.
    #[serde(default = "hundred")]
    pub hidden: Count,
}

fn hundred() -> Count {
    Count::number(100)
}

impl Kind for Critic {
    const NAME: &'static str = "critic";
    const GROUP: Group = Group::Align;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("source", "?X[S,D]", "features of the source")
            .input("target", "?Y[T,D]", "as many of the target")
            .output(
                "distance",
                "Loss[]",
                "how much higher the critic's mean is on the source",
            )
            .output("penalty", "Loss[]", "how far the length of its gradient is from 1")
            .for_weights()
            .by_place("source", "target")
            .random()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        as_many_rows(cx, "source", "target")?;
        Ok(Body::Compute(Box::new(Network {
            inputs: known(input(cx, "source")?, 1)?,
            hidden: width("hidden", &self.hidden, cx.dims)?,
        })))
    }
}

struct Network {
    inputs: usize,
    hidden: usize,
}

struct Kept {
    /// The rows of both domains, those of the source first, and what the first layer makes of them.
    rows: Tensor,
    active: Tensor,
    /// `1[a > 0]` of all points of the penalty: between the domains, source, target.
    mask: Tensor,
    /// The gradient of the penalty with respect to `∇c` of each point.
    slope: Tensor,
}

impl Network {
    /// `∂c/∂a` of each point: the mask times `w₂`.
    fn hidden_slope(&self, step: &Step<'_>, mask: &Tensor) -> Result<Tensor> {
        Ok(mask.broadcast_mul(step.weights.value("1.weight")?)?)
    }

    fn run(&self, step: &Step<'_>, source: &Tensor, target: &Tensor, alpha: &[f64]) -> Result<(Vec<Tensor>, Kept)> {
        let n = alpha.len();
        let rows = join(&[source, target], 0)?;
        let alpha: Vec<f32> = alpha.iter().map(|a| *a as f32).collect();
        let alpha = Tensor::from_vec(alpha, (n, 1), step.device)?;
        let between = (source + (target - source)?.broadcast_mul(&alpha)?)?;
        let points = join(&[&between, &rows], 0)?;
        let a = product(&points, step.weights.value("0.weight")?)?;
        let a = a.broadcast_add(step.weights.value("0.bias")?)?;
        let active = part(&a, 0, n, 2 * n)?.relu()?;
        let mask = a.gt(0f32)?.to_dtype(a.dtype())?;
        let of = |from: usize| -> Result<Tensor> {
            let mean = part(&active, 0, from, n)?.mean_keepdim(0)?;
            Ok((mean * step.weights.value("1.weight")?)?.sum_all()?)
        };
        let distance = (of(0)? - of(n)?)?;
        let gradient = product(&self.hidden_slope(step, &mask)?, &step.weights.value("0.weight")?.t()?)?;
        let length = gradient.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        let off = (&length - 1.0)?;
        let penalty = off.sqr()?.mean_all()?;
        let slope = ((off * (2.0 / (3 * n) as f64))? / (length + 1e-30)?)?;
        let kept = Kept {
            rows,
            active,
            mask,
            slope: gradient.broadcast_mul(&slope)?,
        };
        Ok((vec![distance, penalty], kept))
    }

    /// The gradients of the distance, times `g`.
    fn distance(&self, step: &mut Step<'_>, kept: &Kept, g: &Tensor) -> Result<[Tensor; 2]> {
        let n = kept.rows.dim(0)? / 2;
        let share = 1.0 / n as f32;
        let sign: Vec<f32> = (0..2 * n).map(|i| if i < n { share } else { -share }).collect();
        let sign = Tensor::from_vec(sign, (2 * n, 1), step.device)?.broadcast_mul(g)?;
        let mask = part(&kept.mask, 0, n, 2 * n)?;
        let da = self.hidden_slope(step, &mask)?.broadcast_mul(&sign)?;
        let last = kept.active.broadcast_mul(&sign)?.sum_keepdim(0)?;
        add(step, "1.weight", last)?;
        add(step, "0.weight", product(&da.t()?, &kept.rows.t()?)?)?;
        add(step, "0.bias", da.sum(0)?)?;
        let dx = product(&da, &step.weights.value("0.weight")?.t()?)?;
        Ok([part(&dx, 0, 0, n)?, part(&dx, 0, n, n)?])
    }

    /// Adds the gradients of the penalty, times `g`.
    fn penalty(&self, step: &mut Step<'_>, kept: &Kept, g: &Tensor) -> Result<()> {
        let slope = kept.slope.broadcast_mul(g)?;
        let h = self.hidden_slope(step, &kept.mask)?;
        let dh = product(&slope, step.weights.value("0.weight")?)?;
        add(step, "0.weight", product(&h.t()?, &slope.t()?)?)?;
        add(step, "1.weight", (dh * &kept.mask)?.sum_keepdim(0)?)
    }
}

/// Adds the gradient of a weight that is trained.
fn add(step: &mut Step<'_>, name: &str, grad: Tensor) -> Result<()> {
    match step.weights.trains(name) {
        true => step.weights.add_grad(name, grad),
        false => Ok(()),
    }
}

impl Compute for Network {
    fn weights(&self) -> Vec<WeightSpec> {
        let (d, h) = (self.inputs, self.hidden);
        vec![
            WeightSpec::new("0.weight", &[h, d], Init::torch(d), Role::Weight),
            WeightSpec::new("0.bias", &[h], Init::torch(d), Role::Bias),
            WeightSpec::new("1.weight", &[1, h], Init::torch(h), Role::Weight),
        ]
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (source, target) = (inputs.one("source")?, inputs.one("target")?);
        let (n, t) = (source.dim(0)?, target.dim(0)?);
        ensure!(
            n == t,
            "the critic pairs rows: {n} of the source and {t} of the target came"
        );
        if n == 0 {
            let zero = Tensor::new(0f32, step.device)?;
            return Ok((vec![zero.clone(), zero], Box::new(None::<Kept>)));
        }
        let mut draw = step.key.rng();
        let alpha: Vec<f64> = (0..n).map(|_| draw.unit()).collect();
        let (outputs, kept) = self.run(step, source, target, &alpha)?;
        Ok((outputs, Box::new(Some(kept))))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let Some(kept) = *kept::<Option<Kept>>(saved)? else {
            return Ok(vec![None, None]);
        };
        if let Some(g) = arrived(&mut grads, 1) {
            self.penalty(step, &kept, &g)?;
        }
        Ok(match arrived(&mut grads, 0) {
            Some(g) => self.distance(step, &kept, &g)?.map(Some).into(),
            None => vec![None, None],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::losses_golden::{agree, golden};
    use crate::testing::{Probe, device, f64s, normal, rejected, scalar, ty};
    use crate::{Key, Precision, Scope, WeightStore};
    use serde_json::json;

    fn types() -> [(&'static str, Vec<crate::Type>); 2] {
        ["source", "target"].map(|p| (p, vec![ty("Feature", "B,3")]))
    }

    /// The case gives α.
    #[test]
    fn golden_values() {
        let case = golden("gradient_penalty_mlp");
        let network = Network { inputs: 3, hidden: 5 };
        let mut store = WeightStore::default();
        for (spec, name) in network.weights().into_iter().zip(["w1", "b1", "w2"]) {
            store.insert(format!("node.{}", spec.name), spec, case.input(name));
        }
        let device = device();
        let mut step = Step {
            weights: Scope::new(&mut store, "node"),
            key: Key::new(1),
            training: true,
            progress: 0.0,
            step: 0,
            wants: &[true, true],
            backward: true,
            again: false,
            average: None,
            record: false,
            device: &device,
            precision: Precision::F32,
        };
        let alpha: Vec<f64> = (0..4).map(|i| (i as f64 + 0.5) / 4.0).collect();
        let (out, kept) = network
            .run(&step, &case.input("h_s"), &case.input("h_t"), &alpha)
            .unwrap();
        agree("distance", &f64s(&out[0]), &case.output("distance"));
        agree("penalty", &f64s(&out[1]), &case.output("penalty"));
        let one = out[0].ones_like().unwrap();
        // The case has the gradients of the penalty; those of the distance are in `matches_the_reference`.
        network.penalty(&mut step, &kept, &one).unwrap();
        for (name, given) in [("0.weight", "w1"), ("1.weight", "w2")] {
            let found = f64s(&step.weights.grad(name).unwrap());
            agree(given, &found, &case.grad(given).unwrap());
        }
        assert!(step.weights.grad("0.bias").is_none());
    }

    /// The penalty is a constant to the features, and differences of it in the weights hold between kinks alone.
    #[test]
    fn matches_the_reference() {
        let mut p = Probe::new("critic", json!({ "hidden": 4 }), &types(), &[])
            .unwrap()
            .unusual_weights();
        assert!(p.contract.random);
        assert_eq!(
            p.contract.outputs.iter().map(|o| o.passes).collect::<Vec<_>>(),
            [true, false]
        );
        let x = Args::default()
            .with("source", vec![normal(1, &[2, 3])])
            .with("target", vec![normal(2, &[2, 3])]);
        let mut draw = p.key.rng();
        let alpha = [draw.unit(), draw.unit()];
        let given: Vec<Vec<f64>> = x.flat().map(f64s).collect();
        p.check(&x, |x, w| {
            let a = |x: &[f64], j: usize| w[1][j] + (0..3).map(|k| w[0][3 * j + k] * x[k]).sum::<f64>();
            let c = |x: &[f64]| (0..4).map(|j| w[2][j] * a(x, j).max(0.0)).sum::<f64>();
            let mean = |x: &[f64]| x.chunks(3).map(c).sum::<f64>() / 2.0;
            let off = |x: &[f64]| {
                let slope = |k: usize| {
                    (0..4)
                        .filter(|j| a(x, *j) > 0.0)
                        .map(|j| w[2][j] * w[0][3 * j + k])
                        .sum::<f64>()
                };
                ((0..3).map(|k| slope(k).powi(2)).sum::<f64>().sqrt() - 1.0).powi(2)
            };
            let rows = || given[0].chunks(3).zip(given[1].chunks(3)).zip(alpha);
            let between = rows().map(|((s, t), a)| s.iter().zip(t).map(|(s, t)| s + a * (t - s)).collect::<Vec<_>>());
            let points = between.chain(given.iter().flat_map(|x| x.chunks(3)).map(<[f64]>::to_vec));
            vec![
                vec![mean(&x[0]) - mean(&x[1])],
                vec![points.map(|x| off(&x)).sum::<f64>() / 6.0],
            ]
        });
    }

    #[test]
    fn no_rows_are_no_loss() {
        let x = Args::default()
            .with("source", vec![normal(1, &[0, 3])])
            .with("target", vec![normal(1, &[0, 3])]);
        let out = Probe::new("critic", json!({}), &types(), &[])
            .unwrap()
            .forward(&x)
            .unwrap();
        assert_eq!((scalar(&out[0]), scalar(&out[1])), (0.0, 0.0));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            rejected("critic", json!({ "hidden": 0 }), &types()),
            ["hidden: a layer needs at least one value"]
        );
        let x = Args::default()
            .with("source", vec![normal(1, &[2, 3])])
            .with("target", vec![normal(1, &[1, 3])]);
        let printed = Probe::new("critic", json!({}), &types(), &[]).unwrap().forward(&x);
        assert_eq!(
            printed.unwrap_err().to_string(),
            "the critic pairs rows: 2 of the source and 1 of the target came"
        );
    }
}
