//! `activation`: a function of each value.

use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Applies a nonlinear function to each value, as between two `linear` nodes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "form": "relu" }]))]
pub struct Activation {
    /// The function.
    pub form: Function,
    /// What `leaky` multiplies negative values by; 0.01 by default.
    #[serde(default)]
    pub slope: Option<f64>,
}

/// The function of an [`Activation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// max(x, 0).
    Relu,
    /// x where it is above 0, `slope`·x elsewhere.
    Leaky,
    /// 1 / (1 + e^(−x)).
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

impl Kind for Activation {
    const NAME: &'static str = "activation";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        match (self.form, self.slope) {
            (Function::Leaky, Some(s)) if !(0.0..1.0).contains(&s) => {
                vec![ParamProblem::new(
                    "slope",
                    format!("{s} is not a slope of at least 0 and below 1"),
                )]
            }
            (Function::Leaky, _) | (_, None) => vec![],
            (_, Some(_)) => vec![
                ParamProblem::new("slope", "only `leaky` has a slope")
                    .help("leave `slope` out, or choose `form = \"leaky\"`"),
            ],
        }
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        match self.slope == Some(0.0) {
            false => vec![],
            true => vec![ParamProblem::new("slope", "with 0 this is `relu`").help("choose `form = \"relu\"`")],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device).input("x", "?X[R,*S]", "values").output(
            "y",
            "?X[R,*S]",
            "the function of each value",
        )
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

/// 1 / (1 + e^(−x)); it is 0 where the exponential has no room.
pub(crate) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok((x.neg()?.exp()? + 1.0)?.recip()?)
}

impl Activation {
    fn slope(&self) -> f64 {
        self.slope.unwrap_or(0.01)
    }
}

impl Compute for Activation {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        // CUDA cannot allocate zero bytes.
        let y = match self.form {
            _ if x.elem_count() == 0 => x.clone(),
            Function::Relu => x.relu()?,
            Function::Leaky => (x.relu()? - (x.neg()?.relu()? * self.slope())?)?,
            Function::Sigmoid => sigmoid(x)?,
            Function::Tanh => x.tanh()?,
        };
        Ok((vec![y.clone()], Box::new(y)))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let y = kept::<Tensor>(saved)?;
        let g = match arrived(&mut grads, 0) {
            Some(g) if y.elem_count() > 0 => g,
            none => return Ok(vec![none]),
        };
        let above = || y.gt(0f32)?.to_dtype(y.dtype());
        let slope = match self.form {
            Function::Relu => above()?,
            Function::Leaky => above()?.affine(1.0 - self.slope(), self.slope())?,
            Function::Sigmoid => (&*y - y.sqr()?)?,
            Function::Tanh => y.sqr()?.affine(-1.0, 1.0)?,
        };
        Ok(vec![Some((g * slope)?)])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, device, f64s, normal, rejected, remarks, ty};
    use candle_core::Tensor;
    use serde_json::{Value, json};

    fn probe(params: Value) -> Probe {
        Probe::new("activation", params, &[("x", vec![ty("Feature", "B,2,3")])], &[]).unwrap()
    }

    #[test]
    fn matches_the_reference() {
        type Function = fn(f64) -> f64;
        let functions: [(Value, Function); 5] = [
            (json!({ "form": "relu" }), |x| x.max(0.0)),
            (json!({ "form": "leaky" }), |x| if x > 0.0 { x } else { 0.01 * x }),
            (json!({ "form": "leaky", "slope": 0.2 }), |x| {
                if x > 0.0 { x } else { 0.2 * x }
            }),
            (json!({ "form": "sigmoid" }), |x| 1.0 / (1.0 + (-x).exp())),
            (json!({ "form": "tanh" }), f64::tanh),
        ];
        for (params, function) in functions {
            for rows in [3, 0] {
                let x = Args::default().with("x", vec![(normal(1, &[rows, 2, 3]) * 2.0).unwrap()]);
                probe(params.clone()).check(&x, |x, _| vec![x[0].iter().map(|x| function(*x)).collect()]);
            }
        }
    }

    #[test]
    fn large_values_are_finite() {
        for (form, want) in [("sigmoid", [0.0, 1.0]), ("tanh", [-1.0, 1.0])] {
            let x = Tensor::new(&[[-1e4f32, 1e4]], &device()).unwrap();
            let types = [("x", vec![ty("Feature", "B,2")])];
            let mut p = Probe::new("activation", json!({ "form": form }), &types, &[]).unwrap();
            let x = Args::default().with("x", vec![x]);
            let (out, saved) = p.forward_kept(&x).unwrap();
            assert_eq!(f64s(&out[0]), want);
            let g = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
            assert_eq!(f64s(g[0].as_ref().unwrap()), [0.0, 0.0]);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let of = |params| rejected("activation", params, &[("x", vec![ty("Feature", "B,2")])]);
        assert_eq!(
            of(json!({ "form": "leaky", "slope": 1.0 })),
            ["slope: 1 is not a slope of at least 0 and below 1"]
        );
        assert_eq!(
            of(json!({ "form": "tanh", "slope": 0.1 })),
            ["slope: only `leaky` has a slope"]
        );
        assert_eq!(
            remarks("activation", json!({ "form": "leaky", "slope": 0.0 })),
            ["slope: with 0 this is `relu`"]
        );
    }
}
