//! `nuclear_norm`: predictions that are confident and diverse at once.

use crate::input::several_classes;
use crate::loss::scalar::{Found, Scalar, Term};
use crate::op::softmax::{softmax, through};
use crate::op::svd::{on_host, svd};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Batch nuclear-norm maximisation (Cui et al., CVPR 2020): minus the sum of the singular values of the
/// probabilities `P` `[R,K]`, over `divisor`. The gradient with respect to `P` is `−UVᵀ`; singular values of 0 (next to the
/// largest, in float32) have none. The decomposition is computed on the host in float64: on a GPU a wait in each step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NuclearNorm {
    /// What the sum of singular values is divided by.
    #[serde(default)]
    pub divisor: Divisor,
}

/// The divisor of a [`NuclearNorm`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Divisor {
    /// The number of rows, as in the paper.
    #[default]
    Rows,
    /// The number of singular values, the smaller of rows and classes, as in the paper's released code.
    Values,
}

impl Kind for NuclearNorm {
    const NAME: &'static str = "nuclear_norm";
    const GROUP: Group = Group::Align;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("logits", "Logits[R,K]", "class scores")
            .output("loss", "Loss[]", "the negative nuclear norm of the probabilities")
            .whole_step()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        several_classes(cx, "logits")?;
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

impl Term for NuclearNorm {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let logits = inputs.one("logits")?;
        let (rows, classes) = logits.dims2()?;
        if rows == 0 {
            return Found::nothing(step, inputs, 1);
        }
        let p = softmax(logits)?;
        let found = svd(&on_host(&p)?, rows, classes);
        let divisor = match self.divisor {
            Divisor::Rows => rows,
            Divisor::Values => rows.min(classes),
        } as f64;
        let least = found.values[0] * rows.max(classes) as f64 * f64::from(f32::EPSILON);
        let counted = found.values.iter().filter(|v| **v > least).count();
        let mut dp = vec![0f32; rows * classes];
        for (i, d) in dp.iter_mut().enumerate() {
            let of = |k: usize| found.left[k][i / classes] * found.right[k][i % classes];
            *d = ((0..counted).map(of).sum::<f64>() / -divisor) as f32;
        }
        let dp = Tensor::from_vec(dp, (rows, classes), step.device)?;
        let loss = (found.values.iter().sum::<f64>() / -divisor) as f32;
        Ok(Found::loss(
            Tensor::new(loss, step.device)?,
            vec![Some(through(&p, &dp)?)],
        ))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::op::svd::svd;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, device, f64s, log_softmax, normal, rejected, scalar, ty};
    use candle_core::Tensor;
    use serde_json::{Value, json};

    fn probe(params: Value, k: usize) -> Probe {
        let types = [("logits", vec![ty("Logits", &format!("B,{k}"))])];
        Probe::new("nuclear_norm", params, &types, &[]).unwrap()
    }

    #[test]
    fn golden_values() {
        golden("bnm").check(&mut probe(json!({}), 4), &[("logits", &["logits"])], "loss");
    }

    #[test]
    fn matches_the_reference() {
        for (rows, k, divisor) in [(3, 4, "rows"), (5, 2, "values"), (1, 3, "values")] {
            let x = Args::default().with("logits", vec![(normal(5, &[rows, k]) * 2.0).unwrap()]);
            probe(json!({ "divisor": divisor }), k).check(&x, |x, _| {
                let p: Vec<f64> = log_softmax(&x[0], k).iter().map(|l| l.exp()).collect();
                let n = if divisor == "rows" { rows } else { rows.min(k) };
                vec![vec![-svd(&p, rows, k).values.iter().sum::<f64>() / n as f64]]
            });
        }
    }

    #[test]
    fn one_sure_row_for_each_class_is_the_least() {
        let z = Tensor::new(&[[90f32, 0.], [0., 90.]], &device()).unwrap();
        let out = probe(json!({}), 2).forward(&Args::default().with("logits", vec![z]));
        assert!((scalar(&out.unwrap()[0]) + 1.0).abs() < 1e-6);
    }

    /// Equal rows have one singular value that is not 0: the others' vectors are arbitrary, and left out.
    #[test]
    fn equal_rows() {
        let row = normal(1, &[1, 4]);
        let z = Tensor::cat(&[&row; 5], 0).unwrap();
        let p: Vec<f64> = log_softmax(&f64s(&row), 4).iter().map(|l| l.exp()).collect();
        let length = p.iter().map(|p| p * p).sum::<f64>().sqrt();
        let x = Args::default().with("logits", vec![z]);
        let mut node = probe(json!({}), 4);
        let (out, saved) = node.forward_kept(&x).unwrap();
        assert!((scalar(&out[0]) + 5f64.sqrt() * length / 5.0).abs() < 1e-6);
        let g = node
            .backward(&x, saved, vec![Some(out[0].ones_like().unwrap())])
            .unwrap();
        // σ = √5 ‖p‖, so that ∂σ/∂p of each of the five rows is p/(√5 ‖p‖).
        let dp = |j: usize| -p[j] / (length * 5f64.sqrt() * 5.0);
        let along: f64 = (0..4).map(|j| p[j] * dp(j)).sum();
        let want: Vec<f64> = (0..20).map(|i| p[i % 4] * (dp(i % 4) - along)).collect();
        crate::testing::close("gradient", &f64s(g[0].as_ref().unwrap()), &want, 1e-5);
    }

    #[test]
    fn no_rows_are_no_loss() {
        let x = Args::default().with("logits", vec![normal(1, &[0, 3])]);
        assert_eq!(scalar(&probe(json!({}), 3).forward(&x).unwrap()[0]), 0.0);
    }

    #[test]
    fn mistakes_are_named() {
        let types = [("logits", vec![ty("Logits", "B,1")])];
        assert_eq!(
            rejected("nuclear_norm", json!({}), &types),
            ["`logits` are scores of a single class, so there is nothing to tell apart"]
        );
        assert_eq!(
            rejected("nuclear_norm", json!({ "divisor": "min" }), &types),
            ["divisor: unknown variant `min`, expected `rows` or `values`"]
        );
    }
}
