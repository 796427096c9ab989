//! `small_loss`: the pseudo-labels of a whole list that are the least likely to be wrong.

use super::rows::{arg_max, rows, softmax};
use crate::input::several_classes;
use crate::{Args, Body, BuildCx, Contract, Group, Kind, OverList, ParamProblem, Side, Wiring};
use anyhow::Result;
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Labels the videos of a list by their largest score, and trusts the `share` of them with the smallest loss: with p the softmax
/// of a video's scores, those with the smallest −ln max p, of equals the first of the list (CleanAdapt, Dasgupta et al., ICVGIP
/// 2022). Networks learn clean labels before wrong ones, so a small loss tells them apart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmallLoss {
    /// The share of the videos that are trusted, of which the number is rounded down.
    #[serde(default = "half")]
    pub share: f64,
}

fn half() -> f64 {
    0.5
}

impl Kind for SmallLoss {
    const NAME: &'static str = "small_loss";
    const GROUP: Group = Group::Loss;

    fn validate(&self) -> Vec<ParamProblem> {
        match self.share > 0.0 && self.share <= 1.0 {
            true => vec![],
            false => vec![ParamProblem::new(
                "share",
                format!("{} is not a share above 0 and at most 1", self.share),
            )],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("logits", "Logits[R,K]", "the scores of each video")
            .constant()
            .output("label", "Label[R]", "the class of the largest score")
            .output(
                "mask",
                "Mask[R]",
                "1 for a video that is trusted; 0 also for one that the pass could not use",
            )
            .over_list()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "logits")?;
        Ok(Body::OverList(Box::new(self.clone())))
    }
}

impl OverList for SmallLoss {
    fn compute(&self, inputs: &Args<Tensor>) -> Result<Vec<Tensor>> {
        let logits = rows("logits", inputs)?;
        let labels: Vec<usize> = logits.iter().map(|z| arg_max(z)).collect();
        let losses: Vec<f64> = (logits.iter().zip(&labels))
            .map(|(z, l)| -softmax(z)[*l].ln())
            .collect();
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by(|a, b| losses[*a].total_cmp(&losses[*b]));
        // 0.29 of 100 is 28.999999999999996 in floating point.
        let count = (self.share * labels.len() as f64 + 1e-9) as usize;
        let mut mask = vec![0f32; labels.len()];
        order[..count].iter().for_each(|i| mask[*i] = 1.0);
        let rows = labels.len();
        let labels: Vec<u32> = labels.into_iter().map(|l| l as u32).collect();
        Ok(vec![
            Tensor::from_vec(labels, rows, &Device::Cpu)?,
            Tensor::from_vec(mask, rows, &Device::Cpu)?,
        ])
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{body, f64s, rejected, ty};
    use crate::{Args, Body};
    use candle_core::{Device, Tensor};
    use serde_json::{Value, json};

    fn of(params: Value, logits: &[[f32; 3]]) -> (Vec<u32>, Vec<f64>) {
        let types = [("logits", vec![ty("Logits", "B,3")])];
        let Ok((Body::OverList(node), ..)) = body("small_loss", params, &types, &[]) else {
            panic!()
        };
        let logits = Tensor::from_slice(logits.as_flattened(), (logits.len(), 3), &Device::Cpu).unwrap();
        let out = node.compute(&Args::default().with("logits", vec![logits])).unwrap();
        (out[0].to_vec1().unwrap(), f64s(&out[1]))
    }

    #[test]
    fn the_share_with_the_smallest_loss_is_trusted() {
        // Losses of ln(1 + 2e⁻ᶻ) for a single score of z above zeros, and ln 3 for equal scores.
        let logits = [[0., 1., 0.], [3., 0., 0.], [5., 5., 5.], [0., 0., 2.], [0., 2., 0.]];
        let labels = vec![1, 0, 0, 2, 1];
        let kept = |share: f64| of(json!({ "share": share }), &logits);
        assert_eq!(kept(0.2), (labels.clone(), vec![0., 1., 0., 0., 0.]));
        // Of the two with a score of 2 the first.
        assert_eq!(kept(0.4).1, [0., 1., 0., 1., 0.]);
        assert_eq!(kept(0.6).1, [0., 1., 0., 1., 1.]);
        assert_eq!(kept(1.0).1, [1.0; 5]);
        // Half of five is two.
        assert_eq!(of(json!({}), &logits).1, kept(0.4).1);
        assert_eq!(of(json!({ "share": 0.1 }), &logits), (labels, vec![0.0; 5]));
    }

    #[test]
    fn shares_are_exact() {
        let logits: Vec<[f32; 3]> = (0..100).map(|i| [i as f32 / 10.0, 0.0, 0.0]).collect();
        let (_, mask) = of(json!({ "share": 0.29 }), &logits);
        assert_eq!(mask.iter().sum::<f64>(), 29.0);
        assert!(mask[71..].iter().all(|m| *m == 1.0), "the surest");
    }

    #[test]
    fn mistakes_are_named() {
        let of = |share: f64| {
            let types = [("logits", vec![ty("Logits", "B,3")])];
            rejected("small_loss", json!({ "share": share }), &types)
        };
        assert_eq!(of(0.0), ["share: 0 is not a share above 0 and at most 1"]);
        assert_eq!(of(1.5), ["share: 1.5 is not a share above 0 and at most 1"]);
    }
}
