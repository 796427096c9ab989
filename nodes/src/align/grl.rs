//! `grl`: the gradient reversal layer.

use crate::op::scale::scale;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Gradient, Group, Kind, ParamProblem, Saved, Schedule, Scheduled, Side,
    Step, Wiring, arrived,
};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Passes values on; the gradient comes back multiplied by −λ (Ganin and Lempitsky, ICML 2015). Behind it a domain
/// classifier learns to distinguish the domains while the backbone learns to confuse it: the saddle point of eq. 8, with the
/// adversary's loss weighted +1.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grl {
    /// How λ grows in training.
    #[serde(default)]
    pub schedule: Schedule,
    /// The factor of λ.
    #[serde(default = "one")]
    pub scale: Scheduled,
}

fn one() -> Scheduled {
    Scheduled::Number(1.0)
}

impl Kind for Grl {
    const NAME: &'static str = "grl";
    const GROUP: Group = Group::Align;

    fn validate(&self) -> Vec<ParamProblem> {
        let bad = |v: f64| !(v.is_finite() && v >= 0.0);
        let wrong = |v: f64| bad(v).then(|| format!("a scale of {v} is not a number of zero or more"));
        let help = |p: ParamProblem| match p.help {
            None => p.help("the layer itself reverses the sign"),
            Some(_) => p,
        };
        self.scale.problems("scale", wrong).into_iter().map(help).collect()
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        match self.scale == Scheduled::Number(0.0) {
            false => vec![],
            true => vec![
                ParamProblem::new("scale", "with 0 no gradient passes: nothing before it is aligned")
                    .help("leave the loss out, or give it a scale above 0"),
            ],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,*S]", "values")
            .output("x", "?X[R,*S]", "the same values")
            .gradient(Gradient::Reverses)
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

impl Compute for Grl {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        Ok((vec![inputs.one("x")?.clone()], Box::new(())))
    }

    fn backward(&self, step: &mut Step<'_>, _: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let strength = self.scale.at(step) * self.schedule.strength(step.progress, step.step);
        Ok(vec![match arrived(&mut grads, 0) {
            Some(g) => Some(scale(&g, -strength)?),
            None => None,
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use crate::Args;
    use crate::testing::{Probe, close, f64s, normal, ty};
    use serde_json::json;

    #[test]
    fn golden_values_of_the_schedules() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        for p in [0.0, 0.5, 1.0] {
            near(Schedule::Constant.strength(p, 17), 1.0);
        }
        // tanh(5p), and tanh(i/2000)
        near(Schedule::Ganin.strength(0.0, 9), 0.0);
        near(Schedule::Ganin.strength(0.1, 9), 0.462117157);
        near(Schedule::Ganin.strength(0.5, 9), 0.986614298);
        near(Schedule::Ganin.strength(1.0, 9), 0.999909204);
        near(Schedule::WarmStart.strength(0.9, 0), 0.0);
        near(Schedule::WarmStart.strength(0.9, 1000), 0.462117157);
        near(Schedule::WarmStart.strength(0.9, 10_000), 0.999909204);
        near(Schedule::Linear.strength(0.3, 9), 0.3);
        // pykale's and self-ensembling's ramp over 10 epochs
        for (epoch, right) in [(0, 0.006737947), (2, 0.040762204), (5, 0.286504797), (10, 1.0)] {
            near(Schedule::SigmoidWarmUp.strength(f64::from(epoch) / 10.0, 9), right);
        }
    }

    #[test]
    fn forward_is_the_identity_and_backward_is_reversed() {
        let types = [("x", vec![ty("Feature", "2*B,3")])];
        let mut p = Probe::new("grl", json!({ "schedule": "ganin", "scale": 0.5 }), &types, &[]).unwrap();
        p.progress = 0.1;
        let x = Args::default().with("x", vec![normal(1, &[4, 3])]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert_eq!(f64s(&out[0]), f64s(x.one("x").unwrap()));
        let dy = normal(2, &[4, 3]);
        let dx = p.backward(&x, saved, vec![Some(dy.clone())]).unwrap();
        let expect: Vec<f64> = f64s(&dy).iter().map(|v| -0.5 * 0.462117157 * v).collect();
        close("dx", &f64s(dx[0].as_ref().unwrap()), &expect, 1e-6);
    }

    #[test]
    fn a_negative_scale_is_refused() {
        let types = [("x", vec![ty("Feature", "B,3")])];
        let e = Probe::new("grl", json!({ "scale": -1.0 }), &types, &[]).err().unwrap();
        assert_eq!(e[0].path, "scale");
    }
}
