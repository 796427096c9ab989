//! `pseudo_label`: a classifier's own answers as labels.

use crate::align::Schedule;
use crate::input::{per_reference, several_classes};
use crate::{Args, Body, BuildCx, Compute, Contract, Gradient, Group, Kind, ParamProblem, Saved, Side, Step, Wiring};
use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Labels rows by the classifier: with p the softmax of the mean of the `logits`, the label is the class of the largest p (of
/// equals the first), and the mask is 1 where `select` trusts it (Lee, 2013; CoMix, FixMatch: by confidence; CO2A: by
/// entropy). No gradient passes. Labels and masks are used on the host, so that a GPU is waited for once a step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "threshold": 0.7 }]))]
pub struct PseudoLabel {
    /// Which rows count.
    #[serde(default)]
    pub select: Select,
    /// The confidence, max p, that `confidence` needs.
    #[serde(default)]
    pub threshold: Option<f64>,
    /// The threshold that is reached by `schedule`, from `threshold` on: threshold + λ (final_threshold − threshold).
    #[serde(default)]
    pub final_threshold: Option<f64>,
    /// How λ grows in training, from 0 to 1; in views it is 1.
    #[serde(default)]
    pub schedule: Schedule,
    /// Whether a confidence of exactly `threshold` is too low (FixMatch), rather than enough (CoMix).
    #[serde(default)]
    pub strict: bool,
    /// `entropy` needs an entropy below ln K / `factor` over K classes.
    #[serde(default)]
    pub factor: Option<f64>,
}

/// The rows that a [`PseudoLabel`] trusts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// Those with max p ≥ `threshold`.
    #[default]
    Confidence,
    /// Those with −Σ p ln(p + 10⁻⁵) < ln K / `factor`.
    Entropy,
    /// All.
    All,
}

impl Kind for PseudoLabel {
    const NAME: &'static str = "pseudo_label";
    const GROUP: Group = Group::Loss;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        let mut bad = |path: &str, message: String| problems.push(ParamProblem::new(path, message));
        match (self.select, self.threshold) {
            (Select::Confidence, None) => bad("threshold", "`confidence` needs a threshold, such as 0.9".into()),
            (Select::Confidence, Some(t)) if !(0.0..=1.0).contains(&t) => {
                bad("threshold", format!("{t} is not a probability"));
            }
            (Select::Confidence, Some(1.0)) if self.strict => {
                bad("threshold", "no confidence is above 1".into());
            }
            (Select::Entropy | Select::All, Some(_)) => bad("threshold", "only `confidence` has a threshold".into()),
            _ => {}
        }
        match (self.final_threshold, self.schedule) {
            (Some(_), _) if self.select != Select::Confidence || self.threshold.is_none() => {
                bad(
                    "final_threshold",
                    "there is no `threshold` that it could begin with".into(),
                );
            }
            (Some(t), _) if !(0.0..=1.0).contains(&t) => bad("final_threshold", format!("{t} is not a probability")),
            (Some(1.0), _) if self.strict => bad("final_threshold", "no confidence is above 1".into()),
            (None, Schedule::Constant) | (Some(_), _) => {}
            (None, _) => bad(
                "schedule",
                "the threshold goes nowhere without `final_threshold`".into(),
            ),
        }
        match (self.select, self.factor) {
            (Select::Entropy, None) => bad("factor", "`entropy` needs a factor, such as 4".into()),
            (Select::Entropy, Some(f)) if !(f.is_finite() && f > 0.0) => {
                bad("factor", format!("{f} is not a number above zero"));
            }
            (Select::Confidence | Select::All, Some(_)) => bad("factor", "only `entropy` has a factor".into()),
            _ => {}
        }
        if self.strict && self.select != Select::Confidence {
            bad("strict", "only `confidence` is compared with a threshold".into());
        }
        problems
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        if self.final_threshold.is_some() && self.schedule == Schedule::Constant {
            let what = "a constant schedule has it from the first step on";
            return vec![ParamProblem::new("final_threshold", what).help("give a `schedule`, such as \"linear\"")];
        }
        if self.final_threshold.is_some() && self.final_threshold == self.threshold {
            let what = "it is where the threshold begins: nothing changes";
            return vec![ParamProblem::new("final_threshold", what).help("leave it and `schedule` out")];
        }
        let all = |path: &str, message: &str| vec![ParamProblem::new(path, message).help("`select = \"all\"` says so")];
        match self.select {
            Select::Confidence if self.threshold == Some(0.0) && self.final_threshold.is_none() => {
                all("threshold", "every confidence is above 0")
            }
            Select::Entropy if self.factor.is_some_and(|f| f < 1.0) => {
                all("factor", "below 1 every row counts: no entropy is above ln K")
            }
            _ => vec![],
        }
    }

    fn contract(&self, wiring: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .many(
                "logits",
                &per_reference(wiring.of("logits"), |_| "Logits[R,K]".into()),
                "scores of the same rows, of which the mean counts",
            )
            .constant()
            .output("label", "Label[R]", "the class of the largest score")
            .output("mask", "Mask[R]", "1 for a row that is trusted, 0 for one that is not")
            .output("share", "Metric[]", "the share of the rows that are trusted")
            .gradient(Gradient::Stops)
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "logits")?;
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

impl PseudoLabel {
    /// The confidence that is needed at this step.
    fn threshold(&self, step: &Step<'_>) -> Option<f64> {
        let first = self.threshold?;
        let Some(last) = self.final_threshold else {
            return Some(first);
        };
        let grown = match step.training {
            true => self.schedule.strength(step.progress, step.step),
            false => 1.0,
        };
        Some(first + grown * (last - first))
    }

    /// Whether a row with probabilities `p` is trusted, at a threshold.
    fn trusts(&self, threshold: Option<f64>, p: &[f64], best: f64) -> bool {
        match (self.select, threshold, self.factor) {
            (Select::All, ..) => true,
            (Select::Confidence, Some(t), _) if self.strict => best > t,
            (Select::Confidence, Some(t), _) => best >= t,
            (Select::Entropy, _, Some(factor)) => {
                let entropy: f64 = p.iter().map(|p| -p * (p + 1e-5).ln()).sum();
                entropy < (p.len() as f64).ln() / factor
            }
            _ => false,
        }
    }
}

/// Probabilities, and the first of the largest.
fn softmax(scores: &[f32]) -> (Vec<f64>, usize) {
    let mut best = 0;
    for (k, s) in scores.iter().enumerate() {
        if *s > scores[best] {
            best = k;
        }
    }
    let e: Vec<f64> = scores.iter().map(|s| f64::from(s - scores[best]).exp()).collect();
    let sum: f64 = e.iter().sum();
    (e.iter().map(|e| e / sum).collect(), best)
}

impl Compute for PseudoLabel {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let threshold = self.threshold(step);
        let all = inputs.all("logits");
        let (first, others) = all.split_first().context("no scores to label by")?;
        let (rows, classes) = first.dims2()?;
        let mut scores = vec![];
        if rows > 0 {
            let mut sum = first.clone();
            for other in others {
                sum = (sum + other)?;
            }
            scores = (sum / all.len() as f64)?.flatten_all()?.to_vec1::<f32>()?;
        }
        let (mut labels, mut mask) = (vec![], vec![]);
        for row in scores.chunks(classes.max(1)) {
            let (p, best) = softmax(row);
            labels.push(best as u32);
            mask.push(f32::from(u8::from(self.trusts(threshold, &p, p[best]))));
        }
        // Scores that are not finite would only look like doubt: the step's numbers are to show them.
        let share = match scores.iter().all(|s| s.is_finite()) {
            true => mask.iter().sum::<f32>() / rows.max(1) as f32,
            false => f32::NAN,
        };
        let out = vec![
            Tensor::from_vec(labels, rows, &Device::Cpu)?,
            Tensor::from_vec(mask, rows, &Device::Cpu)?,
            Tensor::new(share, &Device::Cpu)?,
        ];
        Ok((out, Box::new(())))
    }

    fn backward(&self, step: &mut Step<'_>, _: Saved, _: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None; step.wants.len()])
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::golden::Case;
    use crate::testing::{Probe, device, f64s, normal, rejected, remarks, scalar, ty};
    use crate::{Args, Gradient};
    use candle_core::Tensor;
    use serde_json::{Value, json};

    fn probe(params: Value, count: usize, k: usize) -> Probe {
        let types = [("logits", vec![ty("Logits", &format!("B,{k}")); count])];
        Probe::new("pseudo_label", params, &types, &[]).unwrap()
    }

    /// Labels, mask and share.
    fn of(params: Value, logits: [[f32; 2]; 2]) -> (Vec<u32>, Vec<f64>, f64) {
        let logits = Tensor::new(&logits, &device()).unwrap();
        let mut p = probe(params, 1, logits.dim(1).unwrap());
        let out = p.forward(&Args::default().with("logits", vec![logits])).unwrap();
        (out[0].to_vec1().unwrap(), f64s(&out[1]), scalar(&out[2]))
    }

    #[test]
    fn golden_values_by_entropy() {
        let case = Case::of(include_str!("../../tests/golden/methods.json"), "co2a_select");
        let mut p = probe(json!({ "select": "entropy", "factor": 4.0 }), 1, 4);
        assert_eq!(p.contract.gradient, Gradient::Stops);
        let out = p
            .forward(&Args::default().with("logits", vec![case.input("logits")]))
            .unwrap();
        assert_eq!(out[0].to_vec1::<u32>().unwrap(), case.numbers("label"));
        assert_eq!(f64s(&out[1]), case.output("mask"));
        assert!((scalar(&out[2]) - 0.4).abs() < 1e-6);
    }

    #[test]
    fn several_scores_count_by_their_mean() {
        let x = [normal(1, &[6, 3]), normal(2, &[6, 3])];
        let mean = ((&x[0] + &x[1]).unwrap() / 2.0).unwrap();
        let params = || json!({ "threshold": 0.5 });
        let two = probe(params(), 2, 3)
            .forward(&Args::default().with("logits", x.to_vec()))
            .unwrap();
        let one = probe(params(), 1, 3)
            .forward(&Args::default().with("logits", vec![mean]))
            .unwrap();
        for (a, b) in two.iter().zip(&one) {
            assert_eq!(f64s(a), f64s(b));
        }
        let share = scalar(&one[2]);
        assert!(0.0 < share && share < 1.0, "{share}");
    }

    #[test]
    fn a_confidence_of_the_threshold_is_enough_unless_strict() {
        // Two equal scores: p is exactly ½, and the first is the label.
        let logits = [[3., 3.], [0., 9.]];
        let found = of(json!({ "threshold": 0.5 }), logits);
        assert_eq!(found, (vec![0, 1], vec![1., 1.], 1.));
        let found = of(json!({ "threshold": 0.5, "strict": true }), logits);
        assert_eq!(found, (vec![0, 1], vec![0., 1.], 0.5));
        let found = of(json!({ "select": "all" }), logits);
        assert_eq!(found, (vec![0, 1], vec![1., 1.], 1.));
    }

    #[test]
    fn a_threshold_moves_to_its_end_over_the_phase() {
        // Confidences of 1 / (1 + e⁻ᶻ): 0.55, 0.65, 0.75, 0.85, 0.95.
        let confidences = [0.55f64, 0.65, 0.75, 0.85, 0.95];
        let rows: Vec<f32> = confidences
            .iter()
            .flat_map(|c| [(c / (1.0 - c)).ln() as f32, 0.0])
            .collect();
        let logits = Tensor::from_vec(rows, (5, 2), &device()).unwrap();
        let kept = |params: Value, progress: f64, training: bool| {
            let mut p = probe(params, 1, 2);
            (p.progress, p.training) = (progress, training);
            let out = p
                .forward(&Args::default().with("logits", vec![logits.clone()]))
                .unwrap();
            f64s(&out[1]).iter().sum::<f64>()
        };
        let rising = |schedule: &str| json!({ "threshold": 0.5, "final_threshold": 0.9, "schedule": schedule });
        // 0.5, 0.6, 0.7, 0.8 and 0.9.
        let linear = [0.0, 0.25, 0.5, 0.75, 1.0].map(|p| kept(rising("linear"), p, true));
        assert_eq!(linear, [5.0, 4.0, 3.0, 2.0, 1.0]);
        let falling = json!({ "threshold": 0.9, "final_threshold": 0.5, "schedule": "linear" });
        assert_eq!(
            [0.0, 0.25, 1.0].map(|p| kept(falling.clone(), p, true)),
            [1.0, 2.0, 5.0]
        );
        // 0.5 + 0.4 tanh(5 · 0.1) is 0.685, and 0.5 + 0.4 e^(−5 · 0.9²) is 0.507.
        assert_eq!(
            ["ganin", "sigmoid_warm_up"].map(|s| kept(rising(s), 0.1, true)),
            [3.0, 5.0]
        );
        assert_eq!(kept(rising("linear"), 0.0, false), 1.0, "in views it is the last");
    }

    #[test]
    fn scores_that_are_not_finite_show() {
        let (_, mask, share) = of(json!({ "threshold": 0.5 }), [[f32::NAN, 1.], [0., 9.]]);
        assert_eq!(mask, [0., 1.]);
        assert!(share.is_nan());
    }

    #[test]
    fn no_rows_have_no_labels() {
        let out = probe(json!({ "threshold": 0.5 }), 2, 3)
            .forward(&Args::default().with("logits", vec![normal(1, &[0, 3]), normal(2, &[0, 3])]))
            .unwrap();
        assert_eq!(
            (out[0].dims(), out[1].dims(), scalar(&out[2])),
            (&[0][..], &[0][..], 0.0)
        );
    }

    #[test]
    fn mistakes_are_named() {
        let of = |params| rejected("pseudo_label", params, &[("logits", vec![ty("Logits", "B,2")])]);
        assert_eq!(
            of(json!({})),
            ["threshold: `confidence` needs a threshold, such as 0.9"]
        );
        assert_eq!(of(json!({ "threshold": 1.5 })), ["threshold: 1.5 is not a probability"]);
        assert_eq!(
            of(json!({ "threshold": 1.0, "strict": true })),
            ["threshold: no confidence is above 1"]
        );
        assert_eq!(
            of(json!({ "select": "entropy", "threshold": 0.5, "strict": true })),
            [
                "threshold: only `confidence` has a threshold",
                "factor: `entropy` needs a factor, such as 4",
                "strict: only `confidence` is compared with a threshold"
            ]
        );
        assert_eq!(
            of(json!({ "select": "entropy", "factor": 0.0 })),
            ["factor: 0 is not a number above zero"]
        );
        assert_eq!(
            of(json!({ "threshold": 0.5, "factor": 4.0 })),
            ["factor: only `entropy` has a factor"]
        );
        assert_eq!(
            of(json!({ "threshold": 0.5, "schedule": "linear" })),
            ["schedule: the threshold goes nowhere without `final_threshold`"]
        );
        assert_eq!(
            of(json!({ "select": "all", "final_threshold": 0.9, "schedule": "linear" })),
            ["final_threshold: there is no `threshold` that it could begin with"]
        );
        assert_eq!(
            of(json!({ "threshold": 0.5, "final_threshold": 1.5, "schedule": "linear" })),
            ["final_threshold: 1.5 is not a probability"]
        );
        assert_eq!(
            remarks("pseudo_label", json!({ "threshold": 0.5, "final_threshold": 0.9 })),
            ["final_threshold: a constant schedule has it from the first step on"]
        );
        assert_eq!(
            remarks(
                "pseudo_label",
                json!({ "threshold": 0.5, "final_threshold": 0.5, "schedule": "linear" })
            ),
            ["final_threshold: it is where the threshold begins: nothing changes"]
        );
        assert_eq!(
            remarks("pseudo_label", json!({ "threshold": 0.0 })),
            ["threshold: every confidence is above 0"]
        );
        assert_eq!(
            remarks("pseudo_label", json!({ "select": "entropy", "factor": 0.5 })),
            ["factor: below 1 every row counts: no entropy is above ln K"]
        );
    }

    #[test]
    fn only_a_threshold_that_all_pass_is_remarked() {
        let of = |threshold: f64| remarks("pseudo_label", json!({ "threshold": threshold }));
        assert_eq!(of(0.0), ["threshold: every confidence is above 0"]);
        assert_eq!(of(0.7), [""; 0]);
    }
}
