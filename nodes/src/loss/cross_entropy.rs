//! `cross_entropy`: the classification loss.

use crate::input::{per_reference, several_classes};
use crate::kernel::labels;
use crate::op::loss;
use crate::tensor::parts::{cut, join, sizes};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::{Result, bail};
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Softmax cross-entropy: L_CE of eq. 8 on the source's labels, and L_TOL of eq. 7 on the orders of shuffled clips. A
/// reference that names no stream takes all of them as one batch (the 2B rows of eq. 7).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossEntropy {
    /// Label smoothing ε: the target is (1 − ε) on the label and ε spread evenly over all classes.
    #[serde(default)]
    pub smoothing: f64,
    /// The divisor of the sum over rows.
    #[serde(default)]
    pub reduction: Reduction,
}

/// The divisor of the sum over the rows of a [`CrossEntropy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// The number of rows whose mask is 1.
    #[default]
    Mean,
    /// That number times the number of classes: the 2B·N! of eq. 7.
    PaperOrder,
    /// The number of all rows, those whose mask is 0 included: the loss grows with the share of rows that count (FixMatch,
    /// Sohn et al., NeurIPS 2020).
    AllRows,
}

impl Kind for CrossEntropy {
    const NAME: &'static str = "cross_entropy";
    const GROUP: Group = Group::Loss;

    fn validate(&self) -> Vec<ParamProblem> {
        match (0.0..=1.0).contains(&self.smoothing) {
            true => vec![],
            false => vec![ParamProblem::new(
                "smoothing",
                format!("{} is not a share in [0, 1]", self.smoothing),
            )],
        }
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        match self.smoothing == 1.0 {
            false => vec![],
            true => vec![
                ParamProblem::new("smoothing", "with 1 the labels count for nothing")
                    .help("the target is the same for every label then: usual is 0.1"),
            ],
        }
    }

    fn contract(&self, wiring: &Wiring) -> Contract {
        // Rows are named R for one reference, R1, R2, … for several.
        let several = ["logits", "label", "mask"].iter().any(|p| wiring.of(p) > 1);
        let types = |port: &str, write: &dyn Fn(&str) -> String| {
            per_reference(wiring.of(port), |i| match several {
                true => write(&format!("R{i}")),
                false => write("R"),
            })
        };
        Contract::on(Side::Device)
            .many(
                "logits",
                &types("logits", &|r| format!("Logits[{r},K]")),
                "scores of classes",
            )
            .all_streams()
            .many(
                "label",
                &types("label", &|r| format!("Label[{r}]")),
                "the right class of each row",
            )
            .all_streams()
            .constant()
            .labelled()
            .many(
                "mask",
                &types("mask", &|r| format!("Mask[{r}]")),
                "1 for a row that counts, 0 for one that does not",
            )
            .all_streams()
            .optional()
            .constant()
            .output("loss", "Loss[]", "the mean over the rows that count; 0 where none does")
            .output(
                "accuracy",
                "Metric[]",
                "the share of the rows that count whose best score is the label's",
            )
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let count = |port: &str| cx.inputs.get(port).map_or(0, Vec::len);
        let logits = count("logits");
        several_classes(cx, "logits")?;
        for (port, n) in [("label", count("label")), ("mask", count("mask"))] {
            if n != logits && !(port == "mask" && n == 0) {
                return Err(vec![
                    ParamProblem::new("", format!("`logits` has {logits} values and `{port}` {n}"))
                        .help("connect one for each, of the same streams in the same order"),
                ]);
            }
        }
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

struct Kept {
    /// The gradient of the loss with respect to all logits, and the rows of each input.
    grad: Tensor,
    rows: Vec<usize>,
    inputs: usize,
}

/// Checks the labels of the rows that count.
fn check_labels(labels: &[u32], mask: Option<&[f32]>, classes: usize) -> Result<()> {
    for (row, label) in labels.iter().enumerate() {
        if mask.is_some_and(|m| m[row] == 0.0) || (*label as usize) < classes {
            continue;
        }
        if *label == u32::MAX {
            bail!(super::UNLABELLED);
        }
        bail!(
            "label {label} reached a loss over {classes} classes (numbered from 0): correct the list, or raise the \
             number of outputs of the classifier"
        );
    }
    Ok(())
}

impl Compute for CrossEntropy {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let parts: Vec<&Tensor> = inputs.all("logits").iter().collect();
        let logits = join(&parts, 0)?;
        let classes = logits.dim(1)?;
        let label = inputs
            .all("label")
            .iter()
            .map(labels)
            .collect::<Result<Vec<_>>>()?
            .concat();
        let mask = match inputs.all("mask") {
            [] => None,
            masks => Some(Tensor::cat(masks, 0)?.to_vec1::<f32>()?),
        };
        let rows = logits.dim(0)?;
        if label.len() != rows || mask.as_ref().is_some_and(|m| m.len() != rows) {
            bail!("there are {rows} rows of scores and {} labels", label.len());
        }
        check_labels(&label, mask.as_deref(), classes)?;
        let found = loss::cross_entropy(&logits, &label, self.smoothing, mask.as_deref())?;
        let share = match self.reduction {
            Reduction::Mean => 1.0,
            Reduction::PaperOrder => 1.0 / classes as f64,
            Reduction::AllRows => match &mask {
                Some(m) => m.iter().map(|m| f64::from(*m)).sum::<f64>() / rows.max(1) as f64,
                None => 1.0,
            },
        };
        let accuracy = loss::accuracy(&logits, &label, mask.as_deref())?;
        let kept = Kept {
            grad: (found.grad * share)?,
            rows: sizes(inputs.all("logits"), 0)?,
            inputs: inputs.flat().count(),
        };
        Ok((vec![(found.loss * share)?, accuracy], Box::new(kept)))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let kept = kept::<Kept>(saved)?;
        let mut out = vec![None; kept.inputs];
        let Some(grad) = arrived(&mut grads, 0) else {
            return Ok(out);
        };
        let all = kept.grad.broadcast_mul(&grad)?;
        for (slot, part) in out.iter_mut().zip(cut(&all, 0, &kept.rows, step.wants)?) {
            *slot = part;
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::golden::{Case, near};
    use crate::testing::{Probe, device, labels, log_softmax, mask, normal, scalar, ty};
    use candle_core::Tensor;
    use serde_json::{Value, json};

    fn probe(params: Value, streams: usize, masked: bool, k: usize) -> Probe {
        let mut types = vec![
            ("logits", vec![ty("Logits", &format!("B,{k}")); streams]),
            ("label", vec![ty("Label", "B"); streams]),
        ];
        if masked {
            types.push(("mask", vec![ty("Mask", "B"); streams]));
        }
        Probe::new("cross_entropy", params, &types, &[]).unwrap()
    }

    #[test]
    fn matches_the_reference() {
        for (smoothing, reduction, masked) in [
            (0.0, "mean", false),
            (0.1, "mean", true),
            (0.0, "paper_order", true),
            (1.0, "paper_order", false),
            (0.1, "all_rows", true),
            (0.0, "all_rows", false),
        ] {
            let k = 4;
            let (a, b) = ([3u32, 0, 1], [2u32, 2, 0]);
            let weights = if masked { [1., 0., 1., 1., 1., 0.] } else { [1f32; 6] };
            let mut x = Args::default()
                .with("logits", vec![(normal(1, &[3, k]) * 2.0).unwrap(), normal(2, &[3, k])])
                .with("label", vec![labels(&a), labels(&b)]);
            if masked {
                x.push("mask", vec![mask(&weights[..3]), mask(&weights[3..])]);
            }
            let params = json!({ "smoothing": smoothing, "reduction": reduction });
            probe(params, 2, masked, k).check(&x, |x, _| {
                let logits = [x[0].clone(), x[1].clone()].concat();
                let log_p = log_softmax(&logits, k);
                let (mut sum, mut total, mut right) = (0.0, 0.0, 0.0);
                for (row, label) in a.iter().chain(&b).enumerate() {
                    let (l, w) = (&log_p[row * k..][..k], f64::from(weights[row]));
                    sum -= w * ((1.0 - smoothing) * l[*label as usize] + smoothing * l.iter().sum::<f64>() / k as f64);
                    total += w;
                    right += if l.iter().all(|v| *v <= l[*label as usize]) {
                        w
                    } else {
                        0.0
                    };
                }
                let divisor = match reduction {
                    "mean" => total,
                    "all_rows" => 6.0,
                    _ => total * k as f64,
                };
                vec![vec![sum / divisor], vec![right / total]]
            });
        }
    }

    #[test]
    fn a_stream_without_rows_has_a_gradient() {
        for (a, b) in [(&[2u32, 0][..], &[][..]), (&[], &[1])] {
            let x = Args::default()
                .with("logits", vec![normal(1, &[a.len(), 3]), normal(2, &[b.len(), 3])])
                .with("label", vec![labels(a), labels(b)])
                .with("mask", vec![mask(&vec![1.; a.len()]), mask(&vec![1.; b.len()])]);
            probe(json!({}), 2, true, 3).check(&x, |x, _| {
                let log_p = log_softmax(&x[..2].concat(), 3);
                let rows = || log_p.chunks(3).zip(a.iter().chain(b));
                let best = |p: &[f64], l: usize| p.iter().all(|v| *v <= p[l]);
                let n = rows().count() as f64;
                let loss = rows().map(|(p, l)| -p[*l as usize]).sum::<f64>();
                let right = rows().filter(|(p, l)| best(p, **l as usize)).count() as f64;
                vec![vec![loss / n], vec![right / n]]
            });
        }
    }

    #[test]
    fn golden_values() {
        let logits = Tensor::new(&[[0f32, 0.], [2., 0.]], &device()).unwrap();
        let x = Args::default()
            .with("logits", vec![logits])
            .with("label", vec![labels(&[0, 1])]);
        let out = probe(json!({}), 1, false, 2).forward(&x).unwrap();
        assert!((scalar(&out[0]) - (2f64.ln() + 2.126928011) / 2.0).abs() < 1e-6);
        assert_eq!(scalar(&out[1]), 0.5);
    }

    #[test]
    fn golden_values_of_fixmatch() {
        let case = Case::of(include_str!("../../tests/golden/methods.json"), "fixmatch");
        let types = [("logits", vec![ty("Logits", "B,4")])];
        let params = json!({ "threshold": 0.6, "strict": true });
        let mut pseudo = Probe::new("pseudo_label", params, &types, &[]).unwrap();
        let weak = Args::default().with("logits", vec![case.input("weak")]);
        let found = pseudo.forward(&weak).unwrap();
        assert_eq!(found[0].to_vec1::<u32>().unwrap(), case.numbers("label"));
        near("mask", &found[1], &case.output("mask"));
        let x = Args::default()
            .with("logits", vec![case.input("strong")])
            .with("label", vec![found[0].clone()])
            .with("mask", vec![found[1].clone()]);
        let mut p = probe(json!({ "reduction": "all_rows" }), 1, true, 4);
        let (out, saved) = p.forward_kept(&x).unwrap();
        near("loss", &out[0], &case.output("loss"));
        let one = Tensor::new(1f32, &device()).unwrap();
        let grads = p.backward(&x, saved, vec![Some(one), None]).unwrap();
        near("strong", grads[0].as_ref().unwrap(), &case.grad("strong"));
    }

    #[test]
    fn no_row_that_counts_is_no_loss() {
        let x = Args::default()
            .with("logits", vec![normal(1, &[2, 3])])
            .with("label", vec![labels(&[u32::MAX, 9])])
            .with("mask", vec![mask(&[0., 0.])]);
        let mut p = probe(json!({}), 1, true, 3);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert_eq!((scalar(&out[0]), scalar(&out[1])), (0.0, 0.0));
        let g = p
            .backward(&x, saved, vec![Some(out[0].ones_like().unwrap()), None])
            .unwrap();
        assert!(crate::testing::f64s(g[0].as_ref().unwrap()).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn wrong_labels_say_what_to_do() {
        let of = |label: u32| {
            let x = Args::default()
                .with("logits", vec![normal(1, &[2, 3])])
                .with("label", vec![labels(&[0, label])]);
            probe(json!({}), 1, false, 3).forward(&x).unwrap_err().to_string()
        };
        assert!(of(u32::MAX).contains("add labels to the list"), "{}", of(u32::MAX));
        assert!(of(3).contains("label 3 reached a loss over 3 classes"), "{}", of(3));
    }

    #[test]
    fn as_many_labels_as_logits() {
        let types = [
            ("logits", vec![ty("Logits", "B,2"); 2]),
            ("label", vec![ty("Label", "B")]),
        ];
        let e = Probe::new("cross_entropy", json!({}), &types, &[]).err().unwrap();
        assert_eq!(e[0].message, "`logits` has 2 values and `label` 1");
    }
}
