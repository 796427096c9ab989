//! `join_rows`: rows under rows.

use super::parts::{cut, join, sizes};
use crate::input::per_reference;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// Puts rows under rows: `[R1,*S]`, `[R2,*S]`, … become `[R1+R2+…,*S]`, in the order of the references. Labels and masks are
/// joined by nodes of their own, in the same order. Where the rows are those of two domains, `domain_rows` labels them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRows {}

impl Kind for JoinRows {
    const NAME: &'static str = "join_rows";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, wiring: &Wiring) -> Contract {
        let n = wiring.of("x");
        let types = per_reference(n, |i| format!("?X[R{i},*S]"));
        let all = per_reference(n, |i| format!("R{i}")).join("+");
        Contract::on(Side::Device)
            .many("x", &types, "rows, labels or masks")
            .output("y", &format!("?X[{all},*S]"), "all rows")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Under)))
    }
}

struct Under;

impl Compute for Under {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let parts: Vec<&Tensor> = inputs.flat().collect();
        Ok((vec![join(&parts, 0)?], Box::new(sizes(inputs.all("x"), 0)?)))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let rows = kept::<Vec<usize>>(saved)?;
        match arrived(&mut grads, 0) {
            Some(grad) => cut(&grad, 0, &rows, step.wants),
            None => Ok(vec![None; rows.len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, labels, normal, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for rows in [[2, 1, 3], [2, 0, 1], [0, 0, 0]] {
            let types = [("x", vec![ty("Feature", "B,2,3"); 3])];
            let mut p = Probe::new("join_rows", json!({}), &types, &[]).unwrap();
            assert_eq!(p.outputs[0].to_string(), "Feature[3*B,2,3]");
            let x = rows.iter().map(|r| normal(*r as u64, &[*r, 2, 3])).collect();
            p.check(&Args::default().with("x", x), |x, _| vec![x.concat()]);
        }
    }

    #[test]
    fn labels_are_joined_too() {
        let types = [("x", vec![ty("Label", "B"), ty("Label", "2*B")])];
        let mut p = Probe::new("join_rows", json!({}), &types, &[]).unwrap();
        assert_eq!(p.outputs[0].to_string(), "Label[3*B]");
        let x = Args::default().with("x", vec![labels(&[7]), labels(&[8, 9])]);
        assert_eq!(p.forward(&x).unwrap()[0].to_vec1::<u32>().unwrap(), [7, 8, 9]);
    }
}
