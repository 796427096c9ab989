//! `mmd`: maximum mean discrepancy with several Gaussian kernels.

use crate::op::linear::product;
use crate::tensor::parts::{join, part};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{D, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The squared maximum mean discrepancy between the features of two domains, biased estimate:
/// `mean k(s,s') + mean k(t,t') − 2 mean k(s,t)`, with `k(x,y) = Σᵢ exp(−‖x−y‖² / bᵢ)` (Gretton et al., JMLR 2012; Long
/// et al., ICML 2015). The bandwidths are `bᵢ = b·factor^(i − ⌊kernels/2⌋)`, where `b` is the mean of `‖x−y‖²` over all
/// pairs of different rows of both domains, a constant to the gradient, unless `bandwidth` fixes it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mmd {
    /// How many kernels are summed.
    #[serde(default = "five")]
    pub kernels: u32,
    /// The ratio of one bandwidth to the next.
    #[serde(default = "two")]
    pub factor: f64,
    /// The middle bandwidth `b`, in units of squared distance; by default it is computed from the features.
    #[serde(default)]
    pub bandwidth: Option<f64>,
}

fn five() -> u32 {
    5
}

fn two() -> f64 {
    2.0
}

impl Kind for Mmd {
    const NAME: &'static str = "mmd";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        if !(1..=32).contains(&self.kernels) {
            problems.push(ParamProblem::new(
                "kernels",
                format!("{} is not in 1 to 32", self.kernels),
            ));
        }
        for (name, v) in [("factor", Some(self.factor)), ("bandwidth", self.bandwidth)] {
            if let Some(v) = v.filter(|v| !(v.is_finite() && *v > 0.0)) {
                problems.push(ParamProblem::new(name, format!("{v} is not a number above zero")));
            }
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("source", "?X[S,D]", "features of the source")
            .input("target", "?Y[T,D]", "features of the target")
            .output("loss", "Loss[]", "the squared discrepancy")
            .whole_step()
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

struct Pairs {
    /// All rows, centred.
    rows: Tensor,
    /// `∂L/∂‖zᵢ−zⱼ‖²` as `[rows, rows]`.
    slope: Tensor,
    of_source: usize,
}

impl Compute for Mmd {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (source, target) = (inputs.one("source")?, inputs.one("target")?);
        let (ns, nt) = (source.dim(0)?, target.dim(0)?);
        let n = ns + nt;
        let z = join(&[source, target], 0)?;
        // Distances do not change, and centring minimises cancellation.
        let z = z.broadcast_sub(&z.mean_keepdim(0)?)?;
        let squares = z.sqr()?.sum_keepdim(D::Minus1)?;
        let cross = product(&z, &z)?;
        let distance = squares.broadcast_add(&squares.t()?)?.sub(&(cross * 2.0)?)?.relu()?;
        let base = match self.bandwidth {
            Some(b) => b,
            None => {
                let pairs = (n * n - n).max(1) as f64;
                let mean = distance
                    .to_dtype(candle_core::DType::F64)?
                    .sum_all()?
                    .to_scalar::<f64>()?
                    / pairs;
                // All rows equal: every kernel is 1 whatever the bandwidth.
                if mean > 0.0 { mean } else { 1.0 }
            }
        };
        let weight: Vec<f32> = (0..n)
            .map(|i| if i < ns { 1.0 / ns as f32 } else { -1.0 / nt as f32 })
            .collect();
        let weight = Tensor::from_vec(weight, (n, 1), step.device)?;
        let weights = weight.broadcast_mul(&weight.t()?)?;
        let mut kernel = distance.zeros_like()?;
        let mut slope = distance.zeros_like()?;
        for i in 0..self.kernels {
            let b = base * self.factor.powi(i as i32 - (self.kernels / 2) as i32);
            let k = (&distance * (-1.0 / b))?.exp()?;
            slope = (slope - (&k * (1.0 / b))?)?;
            kernel = (kernel + k)?;
        }
        let loss = (kernel * &weights)?.to_dtype(candle_core::DType::F64)?.sum_all()?;
        let kept = Pairs {
            rows: z,
            slope: (slope * weights)?,
            of_source: ns,
        };
        Ok((vec![loss.to_dtype(candle_core::DType::F32)?], Box::new(kept)))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let Pairs { rows, slope, of_source } = *kept::<Pairs>(saved)?;
        let Some(grad) = arrived(&mut grads, 0) else {
            return Ok(vec![None, None]);
        };
        // Each pair is in the sum twice, and ∂‖zᵢ−zⱼ‖²/∂zᵢ = 2 (zᵢ − zⱼ).
        let own = rows.broadcast_mul(&slope.sum_keepdim(D::Minus1)?)?;
        let others = product(&slope, &rows.t()?)?;
        let dz = ((own - others)? * 4.0)?.broadcast_mul(&grad)?;
        let of_target = dz.dim(0)? - of_source;
        Ok(vec![
            Some(part(&dz, 0, 0, of_source)?),
            Some(part(&dz, 0, of_source, of_target)?),
        ])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, normal, scalar, ty};
    use serde_json::{Value, json};

    fn probe(params: Value, d: usize) -> Probe {
        let types = [
            ("source", vec![ty("Feature", &format!("B,{d}"))]),
            ("target", vec![ty("Feature", &format!("2*B,{d}"))]),
        ];
        Probe::new("mmd", params, &types, &[]).unwrap()
    }

    fn distance(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
    }

    fn reference(x: &[Vec<f64>], d: usize, base: f64, kernels: i32, factor: f64) -> f64 {
        let mean = |a: &[f64], b: &[f64]| {
            let k = |x: &[f64], y: &[f64]| -> f64 {
                (0..kernels)
                    .map(|i| (-distance(x, y) / (base * factor.powi(i - kernels / 2))).exp())
                    .sum()
            };
            let all: Vec<f64> = a
                .chunks(d)
                .flat_map(|x| b.chunks(d).map(move |y| k(x, y)).collect::<Vec<_>>())
                .collect();
            all.iter().sum::<f64>() / all.len() as f64
        };
        mean(&x[0], &x[0]) + mean(&x[1], &x[1]) - 2.0 * mean(&x[0], &x[1])
    }

    #[test]
    fn matches_the_reference() {
        for (b, d, kernels, factor) in [(3, 4, 5, 2.0), (2, 1, 1, 3.0), (5, 6, 4, 1.5)] {
            let source = normal(b as u64, &[b, d]);
            let target = (normal(9, &[2 * b, d]) + 0.7).unwrap();
            let x = Args::default()
                .with("source", vec![source])
                .with("target", vec![target]);
            // The bandwidth that the node finds is a constant to its gradient, so it is passed to the reference.
            let rows: Vec<Vec<f64>> = x
                .flat()
                .flat_map(|t| t.to_vec2::<f32>().unwrap())
                .map(|r| r.iter().map(|v| *v as f64).collect())
                .collect();
            let n = rows.len() as f64;
            let base = rows
                .iter()
                .flat_map(|a| rows.iter().map(move |b| distance(a, b)))
                .sum::<f64>()
                / (n * n - n);
            let params = json!({ "kernels": kernels, "factor": factor });
            probe(params, d).check(&x, |x, _| vec![vec![reference(x, d, base, kernels, factor)]]);
            let params = json!({ "kernels": kernels, "factor": factor, "bandwidth": 2.5 });
            probe(params, d).check(&x, |x, _| vec![vec![reference(x, d, 2.5, kernels, factor)]]);
        }
    }

    #[test]
    fn a_domain_without_rows_has_a_gradient() {
        // Means over no pairs are left out.
        for (source, target) in [(3, 0), (0, 4)] {
            let x = Args::default()
                .with("source", vec![normal(1, &[source, 2])])
                .with("target", vec![normal(2, &[target, 2])]);
            probe(json!({ "bandwidth": 2.5 }), 2).check(&x, |x, _| {
                // Next to a row that is far from all others, whose five kernels are 1 with itself.
                let far = vec![1e6; 2];
                vec![vec![reference(&[x.concat(), far], 2, 2.5, 5, 2.0) - 5.0]]
            });
        }
    }

    #[test]
    fn equal_domains_have_no_discrepancy() {
        let a = normal(1, &[2, 3]);
        let twice = candle_core::Tensor::cat(&[&a, &a], 0).unwrap();
        let x = Args::default()
            .with("source", vec![a.clone()])
            .with("target", vec![twice]);
        assert!(scalar(&probe(json!({}), 3).forward(&x).unwrap()[0]).abs() < 1e-6);
        let alike = a.zeros_like().unwrap();
        let x = Args::default()
            .with("source", vec![alike.clone()])
            .with("target", vec![alike.repeat((2, 1)).unwrap()]);
        assert!(scalar(&probe(json!({}), 3).forward(&x).unwrap()[0]).abs() < 1e-6);
    }

    #[test]
    fn mistakes_are_named() {
        let types = [
            ("source", vec![ty("Feature", "B,1")]),
            ("target", vec![ty("Feature", "B,1")]),
        ];
        let e = Probe::new("mmd", json!({ "kernels": 0, "factor": -1.0 }), &types, &[])
            .err()
            .unwrap();
        assert_eq!(
            e.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(),
            ["kernels", "factor"]
        );
    }
}
