//! `relations`: what the frames of a video say together, at every scale.

use super::dense::{Layer, LayerInit, relu_backward, width};
use crate::input::{input, known, rows_per_sample};
use crate::tensor::parts::{join, part};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Cost, Count, Group, Kind, ParamProblem, Precision, Saved, Side, Step,
    WeightSpec, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// The temporal relations of a video's frames (Zhou et al., ECCV 2018, as TA3N has them, Chen et al., ICCV 2019): for
/// each scale n from N down to 2, `R_n = Σ_s ReLU(W_n ReLU([f_i for i in s]) + b_n)` over subsets s of n frames in order. Of
/// the C(N,n) subsets in lexicographic order those with the numbers ⌈i·C/k⌉ count, i from 0 to k−1, where k is the smaller
/// of C and `subsets`: the same in every step, nothing is drawn. `[R,N,D]` becomes `[R,N−1,W]`, the scale of all N frames first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "scales": 4 }]))]
pub struct Relations {
    /// How many scales there are, N−1: one less than `x` has frames.
    pub scales: Count,
    /// Values of each relation, W.
    #[serde(default = "wide")]
    pub outputs: Count,
    /// The most subsets of a scale.
    #[serde(default = "three")]
    pub subsets: usize,
}

fn wide() -> Count {
    Count::number(256)
}

fn three() -> usize {
    3
}

/// More frames have more subsets than can be counted out.
const MOST_FRAMES: usize = 24;
/// The most subsets of a scale that can be asked for.
const MOST_SUBSETS: usize = 1000;

impl Kind for Relations {
    const NAME: &'static str = "relations";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        match (1..=MOST_SUBSETS).contains(&self.subsets) {
            true => vec![],
            false => vec![ParamProblem::new(
                "subsets",
                format!("`subsets` is from 1 to {MOST_SUBSETS}, not {}", self.subsets),
            )],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input(
                "x",
                &format!("?X[R,{}+1,D]", self.scales),
                "features of the frames, in order",
            )
            .output(
                "y",
                &format!("Feature[R,{},{}]", self.scales, self.outputs),
                "a relation of each scale",
            )
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let x = input(cx, "x")?;
        let (frames, inputs) = (known(x, 1)?, known(x, 2)?);
        let outputs = width("outputs", &self.outputs, cx.dims)?;
        if !(2..=MOST_FRAMES).contains(&frames) {
            let message = format!("`x` has {frames} frames, and relations are those of 2 to {MOST_FRAMES}");
            return Err(vec![
                ParamProblem::new("scales", message)
                    .help("the scales are one less than the frames that a sampler gives"),
            ]);
        }
        let scales = (2..=frames).rev().map(|n| {
            let layer = Layer::new(&format!("scale{n}"), n * inputs, outputs, true, LayerInit::Torch);
            let subsets = subsets(frames, n, self.subsets);
            Scale { layer, subsets }
        });
        Ok(Body::Compute(Box::new(Scales {
            scales: scales.collect(),
            rows: rows_per_sample(x),
        })))
    }
}

/// The numbers of the subsets of `n` of `frames` frames that count.
fn subsets(frames: usize, n: usize, most: usize) -> Vec<Vec<usize>> {
    // C(24, 12) is 2.7 million.
    let all = (0..n).fold(1, |c, i| c * (frames - i) / (i + 1));
    let k = all.min(most);
    (0..k).map(|i| subset(frames, n, (i * all).div_ceil(k))).collect()
}

/// Subset number `at`, in lexicographic order.
fn subset(frames: usize, n: usize, mut at: usize) -> Vec<usize> {
    let choose = |of: usize, n: usize| (0..n).fold(1, |c, i| c * (of - i) / (i + 1));
    let mut found = vec![];
    let mut next = 0;
    while found.len() < n {
        // Subsets that have `next` here.
        let left = n - found.len() - 1;
        let with = if frames - next > left {
            choose(frames - next - 1, left)
        } else {
            0
        };
        match at < with {
            true => found.push(next),
            false => at -= with,
        }
        next += 1;
    }
    found
}

/// The relations of one number of frames.
struct Scale {
    layer: Layer,
    /// The frames of each subset.
    subsets: Vec<Vec<usize>>,
}

struct Scales {
    scales: Vec<Scale>,
    /// Rows for each sample.
    rows: usize,
}

/// Of each scale what its layer took, `[R·S, n·D]`, and gave, `[R·S, W]`.
struct Kept {
    shape: (usize, usize, usize),
    scales: Vec<(Tensor, Tensor)>,
}

impl Scale {
    /// The places of the subsets' frames, one subset after the other.
    fn frames(&self, x: &Tensor) -> Result<Tensor> {
        let all: Vec<u32> = self.subsets.iter().flatten().map(|i| *i as u32).collect();
        Ok(Tensor::new(all, x.device())?)
    }
}

impl Compute for Scales {
    fn weights(&self) -> Vec<WeightSpec> {
        self.scales.iter().flat_map(|s| s.layer.weights()).collect()
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        let shape = x.dims3()?;
        let rectified = x.relu()?.contiguous()?;
        let (mut out, mut scales) = (vec![], vec![]);
        for s in &self.scales {
            let count = s.subsets.len();
            let taken = rectified.index_select(&s.frames(x)?, 1)?;
            let taken = taken.reshape((shape.0 * count, s.layer.inputs()))?;
            let y = s.layer.forward(step, &taken, true)?;
            out.push(y.reshape((shape.0, count, s.layer.outputs()))?.sum_keepdim(1)?);
            scales.push((taken, y));
        }
        let y = join(&out.iter().collect::<Vec<_>>(), 1)?;
        Ok((vec![y], Box::new(Kept { shape, scales })))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let Kept { shape, scales } = *kept::<Kept>(saved)?;
        let Some(dy) = arrived(&mut grads, 0) else {
            return Ok(vec![None]);
        };
        let mut dx = None;
        for (i, (s, (taken, y))) in self.scales.iter().zip(scales).enumerate() {
            let (count, outputs) = (s.subsets.len(), s.layer.outputs());
            let dy = part(&dy, 1, i, 1)?.broadcast_as((shape.0, count, outputs))?;
            let dy = dy.contiguous()?.reshape((shape.0 * count, outputs))?;
            let dy = relu_backward(&dy, &y)?;
            let Some(d) = s.layer.backward(&mut step.weights, &taken, &dy, step.wants[0])? else {
                continue;
            };
            let d = relu_backward(&d, &taken)?;
            let n = s.layer.inputs() / shape.2;
            let d = d.reshape((shape.0, count * n, shape.2))?;
            let sum = match dx {
                Some(sum) => sum,
                None => Tensor::zeros(shape, d.dtype(), d.device())?,
            };
            dx = Some(sum.index_add(&s.frames(&d)?, &d, 1)?);
        }
        Ok(vec![dx])
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        let mut cost = Cost::default();
        for s in &self.scales {
            let rows = batch * self.rows * s.subsets.len();
            cost.macs += s.layer.macs(rows);
            cost.kept += 4 * (rows * (s.layer.inputs() + s.layer.outputs())) as u64;
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::{subset, subsets};
    use crate::Args;
    use crate::testing::golden::{Case, cotangent, near};
    use crate::testing::{Probe, dense, normal, rejected, ty};
    use serde_json::json;

    fn probe(frames: usize, size: usize, outputs: usize) -> Probe {
        let types = [("x", vec![ty("Feature", &format!("B,{frames},{size}"))])];
        Probe::new(
            "relations",
            json!({ "outputs": outputs, "scales": frames - 1 }),
            &types,
            &[],
        )
        .unwrap()
    }

    #[test]
    fn golden_values() {
        let case = Case::of(include_str!("../../tests/golden/methods.json"), "relations");
        let mut p = probe(4, 3, 3);
        for n in 2..=4 {
            p.set(&format!("scale{n}.weight"), case.weight(&format!("w{n}")));
            p.set(&format!("scale{n}.bias"), case.weight(&format!("b{n}")));
        }
        let x = Args::default().with("x", vec![case.input("x")]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        near("y", &out[0], &case.output("y"));
        let dx = p.backward(&x, saved, vec![Some(cotangent(&out[0]))]).unwrap();
        near("dx", dx[0].as_ref().unwrap(), &case.grad("x"));
        for n in 2..=4 {
            for (name, golden) in [("weight", format!("w{n}")), ("bias", format!("b{n}"))] {
                let found = p.grad(&format!("scale{n}.{name}")).unwrap();
                near(&golden, &found, &case.grad(&golden));
            }
        }
    }

    /// By counting all subsets out.
    #[test]
    fn subsets_are_those_of_their_numbers() {
        fn all(frames: usize, n: usize) -> Vec<Vec<usize>> {
            let sets = (0u32..1 << frames).filter(|s| s.count_ones() as usize == n);
            let members = |s: u32| (0..frames).filter(|i| s >> i & 1 == 1).collect::<Vec<_>>();
            let mut all: Vec<_> = sets.map(members).collect();
            all.sort();
            all
        }
        for frames in 2..8 {
            for n in 2..=frames {
                let every = all(frames, n);
                for (i, s) in every.iter().enumerate() {
                    assert_eq!(subset(frames, n, i), *s);
                }
                assert_eq!(subsets(frames, n, 1000), every);
            }
        }
        // TA3N: five frames, of which the ten pairs number 0, 4 and 7.
        assert_eq!(subsets(5, 5, 3), [[0, 1, 2, 3, 4]]);
        assert_eq!(subsets(5, 4, 3).len(), 3);
        assert_eq!(subsets(5, 2, 3), [[0, 1], [1, 2], [2, 3]]);
    }

    #[test]
    fn matches_the_definition() {
        for (rows, n, d, w) in [(2, 2, 3, 2), (3, 4, 2, 3)] {
            let mut p = probe(n, d, w).unusual_weights();
            assert_eq!(p.outputs[0].to_string(), format!("Feature[B,{},{w}]", n - 1));
            p.check(
                &Args::default().with("x", vec![normal(1, &[rows, n, d])]),
                |x, weights| {
                    let row = |x: &[f64]| -> Vec<f64> {
                        let scale = |(i, m): (usize, usize)| {
                            let of = |s: Vec<usize>| {
                                let taken: Vec<f64> =
                                    s.iter().flat_map(|f| &x[f * d..][..d]).map(|v| v.max(0.0)).collect();
                                dense(&taken, &weights[2 * i], &weights[2 * i + 1], m * d)
                            };
                            let all = subsets(n, m, 3).into_iter().map(of);
                            all.fold(vec![0.0; w], |sum, y| {
                                sum.iter().zip(y).map(|(a, b)| a + b.max(0.0)).collect()
                            })
                        };
                        (2..=n).rev().enumerate().flat_map(scale).collect()
                    };
                    vec![x[0].chunks(n * d).flat_map(row).collect()]
                },
            );
        }
    }

    #[test]
    fn mistakes_are_reported() {
        let of = |frames: usize, params| {
            let x = ty("Feature", &format!("B,{frames},4"));
            rejected("relations", params, &[("x", vec![x])])
        };
        for frames in [1, 25] {
            let found = of(frames, json!({"scales": frames - 1}));
            assert!(found[0].contains("relations are those of 2 to 24"), "{found:?}");
        }
        let found = of(4, json!({"scales": 3, "subsets": 0}));
        assert!(found[0].contains("from 1 to 1000"), "{found:?}");
    }
}
