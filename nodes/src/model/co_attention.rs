//! `co_attention`: the segments of one video as seen from those of another.

use crate::input::{as_many_rows, input, known};
use crate::op::linear::product;
use crate::op::matmul::{ab, abt, atb};
use crate::op::softmax::{softmax, through};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Init, Kind, ParamProblem, Role, Saved, Side, Step, WeightSpec,
    Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// `y = softmax(x W otherᵀ) other` for each row: each segment of `x` becomes the mean of those segments of `other` that it
/// has an affinity to, the softmax being over the segments of `other` (the cross-domain attention of TCoN, Pan et al.,
/// AAAI 2020, which leaves its details open). `W` `[D,D]` starts at U(±1/√D).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoAttention {}

impl Kind for CoAttention {
    const NAME: &'static str = "co_attention";
    const GROUP: Group = Group::Model;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,N,D]", "the segments that look")
            .input(
                "other",
                "?Y[Q,M,D]",
                "the segments that are looked at, of a video for each row",
            )
            .output("y", "Feature[R,N,D]", "the other video at the times of the first")
            .by_place("x", "other")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        as_many_rows(cx, "x", "other")?;
        let width = known(input(cx, "x")?, 2)?;
        Ok(Body::Compute(Box::new(Attend { width })))
    }
}

struct Attend {
    width: usize,
}

struct Kept {
    x: Tensor,
    other: Tensor,
    /// `x W`, and the attention `[R,N,M]`.
    query: Tensor,
    attention: Tensor,
}

impl Compute for Attend {
    fn weights(&self) -> Vec<WeightSpec> {
        let shape = [self.width, self.width];
        vec![WeightSpec::new("weight", &shape, Init::torch(self.width), Role::Weight)]
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (x, other) = (inputs.one("x")?.contiguous()?, inputs.one("other")?.contiguous()?);
        if x.elem_count() == 0 {
            return Ok((vec![x], Box::new(None::<Kept>)));
        }
        let rows = x.flatten_to(1)?;
        let query = product(&rows, &step.weights.value("weight")?.t()?)?.reshape(x.shape())?;
        let attention = softmax(&abt(&query, &other)?)?;
        let y = ab(&attention, &other)?;
        let kept = Kept {
            x,
            other,
            query,
            attention,
        };
        Ok((vec![y], Box::new(Some(kept))))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let (Some(kept), Some(dy)) = (*kept::<Option<Kept>>(saved)?, arrived(&mut grads, 0)) else {
            return Ok(vec![None, None]);
        };
        let dy = dy.contiguous()?;
        let affinity = through(&kept.attention, &abt(&dy, &kept.other)?)?;
        let query = ab(&affinity, &kept.other)?.flatten_to(1)?;
        let rows = kept.x.flatten_to(1)?;
        if step.weights.trains("weight") {
            step.weights.add_grad("weight", product(&rows.t()?, &query.t()?)?)?;
        }
        let dx = match step.wants[0] {
            true => Some(product(&query, step.weights.value("weight")?)?.reshape(kept.x.shape())?),
            false => None,
        };
        let dother = match step.wants[1] {
            true => Some((atb(&kept.attention, &dy)? + atb(&affinity, &kept.query)?)?),
            false => None,
        };
        Ok(vec![dx, dother])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::{agree, golden};
    use crate::testing::{Probe, f64s, log_softmax, normal, ty};
    use serde_json::json;

    fn probe(n: usize, m: usize, d: usize) -> Probe {
        let types = [
            ("x", vec![ty("Feature", &format!("B,{n},{d}"))]),
            ("other", vec![ty("Feature", &format!("B,{m},{d}"))]),
        ];
        Probe::new("co_attention", json!({}), &types, &[]).unwrap()
    }

    #[test]
    fn golden_values() {
        let case = golden("co_attention");
        let mut p = probe(3, 5, 4);
        assert_eq!(p.outputs[0].to_string(), "Feature[B,3,4]");
        p.set("weight", case.input("w"));
        case.check(&mut p, &[("x", &["s"]), ("other", &["t"])], "y");
        agree("w", &f64s(&p.grad("weight").unwrap()), &case.grad("w").unwrap());
    }

    #[test]
    fn matches_the_reference() {
        for (rows, n, m, d) in [(2, 3, 2, 4), (1, 1, 5, 1)] {
            let x = Args::default()
                .with("x", vec![normal(1, &[rows, n, d])])
                .with("other", vec![normal(2, &[rows, m, d])]);
            probe(n, m, d).unusual_weights().check(&x, |x, w| {
                let mut y = vec![];
                for r in 0..rows {
                    let at = |i: usize, j: usize| x[1][(r * m + i) * d + j];
                    for i in 0..n {
                        let query = |k: usize| (0..d).map(|j| x[0][(r * n + i) * d + j] * w[0][j * d + k]).sum::<f64>();
                        let affinity = |o: usize| (0..d).map(|k| query(k) * at(o, k)).sum::<f64>();
                        let a = log_softmax(&(0..m).map(affinity).collect::<Vec<_>>(), m);
                        y.extend((0..d).map(|j| (0..m).map(|o| a[o].exp() * at(o, j)).sum::<f64>()));
                    }
                }
                vec![y]
            });
        }
    }

    #[test]
    fn no_rows_are_no_values() {
        let x = Args::default()
            .with("x", vec![normal(1, &[0, 3, 2])])
            .with("other", vec![normal(1, &[0, 2, 2])]);
        let mut p = probe(3, 2, 2);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert_eq!(out[0].dims(), [0, 3, 2]);
        assert!(p.backward(&x, saved, vec![Some(out[0].clone())]).unwrap()[0].is_none());
    }
}
