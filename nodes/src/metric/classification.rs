//! `classification`: how well a split is classified.

use crate::input::{input, known, several_classes};
use crate::kernel::labels;
use crate::{Args, Body, BuildCx, Contract, Gradient, Group, Kind, Metric, ParamProblem, Scores, Side, Tally, Wiring};
use anyhow::{Result, bail};
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Mean class accuracy (the mean over the classes that occur of the fraction of their videos that is classified correctly, as
/// in the paper's tables), top-1 accuracy, the recall of each class that occurs, and the confusion matrix. A video
/// without a label is not counted; if no video has one, there are no scores.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Classification {}

impl Kind for Classification {
    const NAME: &'static str = "classification";
    const GROUP: Group = Group::Metric;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("logits", "Logits[R,K]", "scores of classes")
            .constant()
            .input("label", "Label[R]", "the right class of each row")
            .constant()
            .output(
                "mean_class_accuracy",
                "Metric[]",
                "the mean of the recalls of the classes that occur",
            )
            .output("top1", "Metric[]", "the share of videos that is classified right")
            .gradient(Gradient::Stops)
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let classes = known(input(cx, "logits")?, 1)?;
        several_classes(cx, "logits")?;
        Ok(Body::Metric(Box::new(Accuracy { classes })))
    }
}

struct Accuracy {
    classes: usize,
}

impl Metric for Accuracy {
    fn start(&self) -> Box<dyn Tally> {
        Box::new(Confusion(vec![vec![0; self.classes]; self.classes]))
    }
}

/// Rows: true class; columns: predicted class.
struct Confusion(Vec<Vec<u64>>);

impl Tally for Confusion {
    fn update(&mut self, inputs: &Args<Tensor>) -> Result<()> {
        let best: Vec<u32> = inputs.one("logits")?.argmax(1)?.to_vec1()?;
        let labels = labels(inputs.one("label")?)?;
        if labels.len() != best.len() {
            bail!("there are {} rows of scores and {} labels", best.len(), labels.len());
        }
        for (label, best) in labels.iter().zip(best).filter(|(l, _)| **l != u32::MAX) {
            let Some(row) = self.0.get_mut(*label as usize) else {
                bail!(
                    "label {label} reached scores over {} classes (numbered from 0): correct the list, or raise the \
                     number of outputs of the classifier",
                    self.0.len()
                );
            };
            row[best as usize] += 1;
        }
        Ok(())
    }

    fn scores(&self) -> Scores {
        let of = |row: &[u64]| row.iter().sum::<u64>();
        let all: u64 = self.0.iter().map(|row| of(row)).sum();
        let right: u64 = self.0.iter().enumerate().map(|(k, row)| row[k]).sum();
        let recalls: Vec<(usize, f64)> = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, row)| of(row) > 0)
            .map(|(k, row)| (k, row[k] as f64 / of(row) as f64))
            .collect();
        let mut values = vec![];
        if all > 0 {
            let mean = recalls.iter().map(|(_, r)| r).sum::<f64>() / recalls.len() as f64;
            values.push(("mean_class_accuracy".into(), mean));
            values.push(("top1".into(), right as f64 / all as f64));
            values.extend(recalls.into_iter().map(|(k, r)| (format!("recall_{k}"), r)));
        }
        Scores {
            values,
            confusion: Some(self.0.clone()),
            ..Scores::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{body, device, labels, ty};
    use crate::{Args, Body, Tally};
    use candle_core::Tensor;
    use serde_json::json;

    fn tally() -> Box<dyn Tally> {
        let types = [("logits", vec![ty("Logits", "B,4")]), ("label", vec![ty("Label", "B")])];
        match body("classification", json!({}), &types, &[]).unwrap().0 {
            Body::Metric(m) => m.start(),
            _ => panic!("a metric"),
        }
    }

    /// Scores whose maximum is at these classes.
    fn batch(best: &[usize], label: &[u32]) -> Args<Tensor> {
        let rows: Vec<f32> = best
            .iter()
            .flat_map(|b| (0..4).map(move |k| if k == *b { 2.0 } else { 0.5 }))
            .collect();
        let logits = Tensor::from_vec(rows, (best.len(), 4), &device()).unwrap();
        Args::default()
            .with("logits", vec![logits])
            .with("label", vec![labels(label)])
    }

    #[test]
    fn mean_over_the_classes_that_occur() {
        let mut t = tally();
        t.update(&batch(&[0, 0, 1, 2], &[0, 0, 0, 2])).unwrap();
        t.update(&batch(&[0, 3], &[0, 2])).unwrap();
        let s = t.scores();
        // Class 0: 3 of 4; class 2: 1 of 2; classes 1 and 3 do not occur.
        let expect = [
            ("mean_class_accuracy", 0.625),
            ("top1", 4.0 / 6.0),
            ("recall_0", 0.75),
            ("recall_2", 0.5),
        ];
        assert_eq!(s.values, expect.map(|(n, v)| (n.to_string(), v)));
        let confusion = vec![vec![3, 1, 0, 0], vec![0; 4], vec![0, 0, 1, 1], vec![0; 4]];
        assert_eq!(s.confusion, Some(confusion));
    }

    #[test]
    fn unlabelled_videos_are_not_counted() {
        let mut t = tally();
        t.update(&batch(&[1], &[u32::MAX])).unwrap();
        assert!(t.scores().values.is_empty());
        t.update(&batch(&[1, 2], &[1, u32::MAX])).unwrap();
        assert_eq!(t.scores().values[0].1, 1.0);
    }

    #[test]
    fn a_label_beyond_the_classes_is_an_error() {
        let e = tally().update(&batch(&[1], &[4])).unwrap_err().to_string();
        assert!(e.contains("label 4 reached scores over 4 classes"), "{e}");
    }
}
