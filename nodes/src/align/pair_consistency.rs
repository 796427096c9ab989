//! `pair_consistency`: what looks alike across domains is classified alike.

use crate::input::several_classes;
use crate::model::activation::sigmoid;
use crate::op::directions::Directions;
use crate::op::linear::product;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{DType, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The consistency of two heads over all pairs of a row of the source and one of the target (CO2A, Turrisi da Costa et al.,
/// WACV 2022): the mean of the binary cross-entropy of `⟨o_t, o_s⟩` with logits, whose target is 1 where the cosine of
/// the features of the pair is above `threshold`, else 0. The products are of the scores as they are, not of
/// probabilities, and the features get no gradient. It is 0 without pairs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PairConsistency {
    /// The cosine above which a pair is to be classified alike.
    #[serde(default = "half")]
    pub threshold: f64,
}

fn half() -> f64 {
    0.5
}

impl Kind for PairConsistency {
    const NAME: &'static str = "pair_consistency";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        match (-1.0..1.0).contains(&self.threshold) {
            true => vec![],
            false => vec![ParamProblem::new(
                "threshold",
                format!("{} is not a cosine of at least -1 and below 1", self.threshold),
            )],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("source", "Logits[S,K]", "class scores of the source")
            .input("target", "Logits[T,K]", "class scores of the target")
            .input("source_feature", "?X[S,D]", "features of the same rows of the source")
            .constant()
            .input("target_feature", "?Y[T,D]", "features of the same rows of the target")
            .constant()
            .output("loss", "Loss[]", "the mean over all pairs")
            .whole_step()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "source")?;
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

struct Kept {
    source: Tensor,
    target: Tensor,
    /// `∂L/∂⟨o_s, o_t⟩` `[S, T]`; none without pairs.
    slope: Option<Tensor>,
}

impl Compute for PairConsistency {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (source, target) = (inputs.one("source")?.clone(), inputs.one("target")?.clone());
        let pairs = source.dim(0)? * target.dim(0)?;
        if pairs == 0 {
            let slope = None;
            let kept = Kept { source, target, slope };
            return Ok((vec![Tensor::new(0f32, step.device)?], Box::new(kept)));
        }
        let (a, b) = (inputs.one("source_feature")?, inputs.one("target_feature")?);
        let cosines = product(&Directions::of(a)?.rows, &Directions::of(b)?.rows)?;
        let alike = cosines.gt(self.threshold as f32)?.to_dtype(DType::F32)?;
        let s = product(&source, &target)?;
        // max(s, 0) − s·t + ln(1 + e^(−|s|))
        let soft = ((s.abs()?.neg()?.exp()? + 1.0)?.log()? + s.relu()?)?;
        let each = (soft - (&s * &alike)?)?;
        let loss = (each.to_dtype(DType::F64)?.sum_all()? / pairs as f64)?;
        let slope = ((sigmoid(&s)? - alike)? / pairs as f64)?;
        let kept = Kept {
            source,
            target,
            slope: Some(slope),
        };
        Ok((vec![loss.to_dtype(DType::F32)?], Box::new(kept)))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let Kept { source, target, slope } = *kept::<Kept>(saved)?;
        let mut out = vec![None; step.wants.len()];
        let Some(grad) = arrived(&mut grads, 0) else {
            return Ok(out);
        };
        let slope = slope.map(|s| s.broadcast_mul(&grad)).transpose()?;
        // (own, the others, whether the own rows are those of the slope)
        for (i, (own, other, first)) in [(&source, &target, true), (&target, &source, false)]
            .into_iter()
            .enumerate()
        {
            if !step.wants[i] {
                continue;
            }
            out[i] = Some(match &slope {
                Some(s) if first => product(s, &other.t()?)?,
                Some(s) => product(&s.t()?, &other.t()?)?,
                None if own.elem_count() == 0 => own.clone(),
                None => own.zeros_like()?,
            });
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::golden::{Case, near};
    use crate::testing::{Probe, device, f64s, normal, rejected, scalar, ty};
    use candle_core::Tensor;
    use serde_json::{Value, json};

    fn types(k: usize, d: usize) -> [(&'static str, Vec<crate::Type>); 4] {
        let of = |head: &str, n: usize| vec![ty(head, &format!("B,{n}"))];
        let target = |head: &str, n: usize| vec![ty(head, &format!("2*B,{n}"))];
        [
            ("source", of("Logits", k)),
            ("target", target("Logits", k)),
            ("source_feature", of("Feature", d)),
            ("target_feature", target("Feature", d)),
        ]
    }

    fn probe(params: Value, k: usize, d: usize) -> Probe {
        Probe::new("pair_consistency", params, &types(k, d), &[]).unwrap()
    }

    fn args(values: [Tensor; 4]) -> Args<Tensor> {
        let ports = ["source", "target", "source_feature", "target_feature"];
        let each = ports.into_iter().zip(values);
        each.fold(Args::default(), |args, (port, v)| args.with(port, vec![v]))
    }

    #[test]
    fn golden_values() {
        let case = Case::of(include_str!("../../tests/golden/methods.json"), "co2a_consistency");
        let x = args(["logit_s", "logit_t", "c_s", "c_t"].map(|n| case.input(n)));
        let mut p = probe(json!({}), 4, 3);
        let (out, saved) = p.forward_kept(&x).unwrap();
        near("loss", &out[0], &case.output("loss"));
        let one = Tensor::new(1f32, &device()).unwrap();
        let g = p.backward(&x, saved, vec![Some(one)]).unwrap();
        near("source", g[0].as_ref().unwrap(), &case.grad("logit_s"));
        near("target", g[1].as_ref().unwrap(), &case.grad("logit_t"));
        assert!(g[2].is_none() && g[3].is_none());
    }

    #[test]
    fn matches_the_reference() {
        for (s, t, threshold) in [(3, 6, 0.0), (1, 2, 0.5), (2, 0, 0.0), (0, 3, 0.0), (0, 0, 0.0)] {
            let x = args([
                normal(1, &[s, 4]),
                normal(2, &[t, 4]),
                normal(3, &[s, 3]),
                normal(4, &[t, 3]),
            ]);
            probe(json!({ "threshold": threshold }), 4, 3).check(&x, |x, _| {
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let mut sum = 0.0;
                for (o, c) in x[0].chunks(4).zip(x[2].chunks(3)) {
                    for (p, e) in x[1].chunks(4).zip(x[3].chunks(3)) {
                        let alike = dot(c, e) / (dot(c, c) * dot(e, e)).sqrt() > threshold;
                        let s = dot(o, p);
                        sum += (1.0 + s.exp()).ln() - if alike { s } else { 0.0 };
                    }
                }
                vec![vec![sum / (s * t).max(1) as f64]]
            });
        }
    }

    #[test]
    fn large_scores_have_room() {
        let large = |seed| (normal(seed, &[2, 4]) * 1e3).unwrap();
        let x = args([large(1), large(2), normal(3, &[2, 3]), normal(4, &[2, 3])]);
        let mut p = probe(json!({}), 4, 3);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert!(scalar(&out[0]).is_finite());
        let g = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
        assert!(g.iter().flatten().flat_map(f64s).all(f64::is_finite));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            rejected("pair_consistency", json!({ "threshold": 1.0 }), &types(4, 3)),
            ["threshold: 1 is not a cosine of at least -1 and below 1"]
        );
        assert_eq!(
            rejected("pair_consistency", json!({}), &types(1, 3)),
            ["`source` are scores of a single class, so there is nothing to tell apart"]
        );
    }
}
