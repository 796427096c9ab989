//! `domain_rows`: the features of both domains as one batch.

use crate::input::per_reference;
use crate::tensor::parts::{cut, join};
use crate::{Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived};
use anyhow::Result;
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Stacks features of the source and of the target as rows of one batch, and labels them 1 (source) and 0 (target):
/// the sums over `i ≤ B` and `i > B` of eq. 4. Several references on a side are stacked, too, as the cross
/// alignment needs them (ψᵍ of one domain against ψˡ of the other, eq. 5).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainRows {}

impl Kind for DomainRows {
    const NAME: &'static str = "domain_rows";
    const GROUP: Group = Group::Align;

    fn contract(&self, wiring: &Wiring) -> Contract {
        let side = |port: &str, r: char| per_reference(wiring.of(port), |i| format!("?X[{r}{i},D]"));
        let rows = |port: &str, r: char| per_reference(wiring.of(port), |i| format!("{r}{i}")).join("+");
        let all = format!("{}+{}", rows("source", 'S'), rows("target", 'T'));
        Contract::on(Side::Device)
            .many("source", &side("source", 'S'), "features of the source")
            .many("target", &side("target", 'T'), "features of the target")
            .output("x", &format!("?X[{all},D]"), "all rows, those of the source first")
            .output(
                "domain",
                &format!("Label[{all}]"),
                "1 for a row of the source, 0 for one of the target",
            )
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Stack)))
    }
}

struct Stack;

impl Compute for Stack {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let rows = inputs
            .flat()
            .map(|t| t.dim(0))
            .collect::<candle_core::Result<Vec<usize>>>()?;
        let of_source: usize = rows[..inputs.all("source").len()].iter().sum();
        let all = rows.iter().sum();
        let domain: Vec<u32> = (0..all).map(|i| u32::from(i < of_source)).collect();
        let parts: Vec<&Tensor> = inputs.flat().collect();
        Ok((
            vec![join(&parts, 0)?, Tensor::from_vec(domain, all, &Device::Cpu)?],
            Box::new(rows),
        ))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let rows = crate::kept::<Vec<usize>>(saved)?;
        let Some(grad) = arrived(&mut grads, 0) else {
            return Ok(vec![None; rows.len()]);
        };
        cut(&grad, 0, &rows, step.wants)
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, normal, ty};
    use serde_json::json;

    #[test]
    fn stacks_source_over_target() {
        let f = || ty("Feature", "B,3");
        let types = [("source", vec![f(), f()]), ("target", vec![f()])];
        let mut p = Probe::new("domain_rows", json!({}), &types, &[]).unwrap();
        assert_eq!(p.outputs[0].to_string(), "Feature[3*B,3]");
        let x = Args::default()
            .with("source", vec![normal(1, &[2, 3]), normal(2, &[2, 3])])
            .with("target", vec![normal(3, &[2, 3])]);
        p.check(&x, |x, _| vec![x.concat(), vec![1., 1., 1., 1., 0., 0.]]);
    }

    #[test]
    fn a_domain_without_rows_has_a_gradient() {
        let f = || ty("Feature", "B,3");
        for (source, target) in [(2, 0), (0, 2), (0, 0)] {
            let types = [("source", vec![f()]), ("target", vec![f()])];
            let mut p = Probe::new("domain_rows", json!({}), &types, &[]).unwrap();
            let x = Args::default()
                .with("source", vec![normal(1, &[source, 3])])
                .with("target", vec![normal(2, &[target, 3])]);
            p.check(&x, |x, _| {
                vec![x.concat(), [vec![1.; source], vec![0.; target]].concat()]
            });
        }
    }
}
