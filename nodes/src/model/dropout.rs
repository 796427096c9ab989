//! `dropout`: values set to zero at random in training.

use super::dense::check_dropout;
use crate::op;
use crate::{Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Sets a share of all values to zero in training, and divides the others by 1 − share (Srivastava et al., JMLR 2014).
/// Outside training it passes values on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "dropout": 0.5 }]))]
pub struct Dropout {
    /// The fraction of values that is set to zero.
    pub dropout: f64,
}

impl Kind for Dropout {
    const NAME: &'static str = "dropout";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        check_dropout(self.dropout)
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        match self.dropout == 0.0 {
            false => vec![],
            true => vec![ParamProblem::new("dropout", "with 0 nothing is set to zero")],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,*S]", "values")
            .output("x", "?X[R,*S]", "the values that are left")
            .random()
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

impl Dropout {
    fn mask(&self, step: &Step<'_>, x: &Tensor) -> Result<Tensor> {
        let share = if step.training { self.dropout } else { 0.0 };
        match x.elem_count() {
            0 => Ok(x.clone()),
            _ => op::dropout::dropout(step.key, share, x),
        }
    }
}

impl Compute for Dropout {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        Ok((vec![self.mask(step, inputs.one("x")?)?], Box::new(())))
    }

    fn backward(&self, step: &mut Step<'_>, _: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let grad = arrived(&mut grads, 0);
        Ok(vec![grad.map(|g| self.mask(step, &g)).transpose()?])
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Probe, f64s, normal, rejected, remarks, ty};
    use crate::{Args, Key};
    use serde_json::json;

    fn probe(dropout: f64) -> Probe {
        let types = [("x", vec![ty("Feature", "B,4,50")])];
        Probe::new("dropout", json!({ "dropout": dropout }), &types, &[]).unwrap()
    }

    #[test]
    fn the_gradient_passes_where_values_do() {
        let mut p = probe(0.25);
        assert!(p.contract.random);
        let x = Args::default().with("x", vec![normal(1, &[2, 4, 50]).ones_like().unwrap()]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        let y = f64s(&out[0]);
        let passed = y.iter().filter(|v| **v > 0.0).count();
        assert!((260..340).contains(&passed), "{passed} of 400");
        assert!(y.iter().all(|v| *v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
        let dx = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
        assert_eq!(f64s(dx[0].as_ref().unwrap()), y);
    }

    #[test]
    fn draws_are_those_of_the_key_and_of_training_alone() {
        let x = Args::default().with("x", vec![normal(1, &[2, 4, 50])]);
        let mut p = probe(0.5);
        let first = f64s(&p.forward(&x).unwrap()[0]);
        assert_eq!(f64s(&p.forward(&x).unwrap()[0]), first);
        p.key = Key::new(12);
        assert_ne!(f64s(&p.forward(&x).unwrap()[0]), first);
        p.training = false;
        assert_eq!(f64s(&p.forward(&x).unwrap()[0]), f64s(x.one("x").unwrap()));
        let none = Args::default().with("x", vec![normal(1, &[0, 4, 50])]);
        probe(0.5).check(&none, |x, _| x.to_vec());
    }

    #[test]
    fn mistakes_are_named() {
        let of = |p: f64| rejected("dropout", json!({ "dropout": p }), &[("x", vec![ty("Feature", "B,2")])]);
        assert_eq!(of(1.0), ["dropout: 1 is not a share in [0, 1)"]);
        assert_eq!(of(-0.5), ["dropout: -0.5 is not a share in [0, 1)"]);
        assert_eq!(
            remarks("dropout", json!({ "dropout": 0.0 })),
            ["dropout: with 0 nothing is set to zero"]
        );
    }
}
