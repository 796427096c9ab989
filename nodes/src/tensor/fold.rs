//! `fold`: clips as rows.

use crate::input::{input, known};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Head, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{Shape, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Makes every clip a row: `[R,N,*S]` becomes `[R·N,*S]`, the clips of a video one after the other, for the kinds that work
/// on rows, such as `linear`. The labels and masks of rows are repeated for each clip. `unfold` undoes it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fold {}

impl Kind for Fold {
    const NAME: &'static str = "fold";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, wiring: &Wiring) -> Contract {
        // Without any wiring this is the reference page, which has all ports.
        let has = |port| wiring.of(port) > 0 || wiring.of("x") == 0;
        let mut c = Contract::on(Side::Device)
            .input("x", "?X[R,N,*S]", "one for each clip")
            .input("label", "?L[R]", "the class of each row")
            .optional()
            .constant()
            .input("mask", "?M[R]", "1 for a row that counts, 0 for one that does not")
            .optional()
            .constant()
            .output("x", "?X[R*N,*S]", "a row for each clip")
            .from(&["x"]);
        // The repeated labels are still those of the list.
        if has("label") {
            c = c
                .output("label", "?L[R*N]", "the label of each clip's video")
                .from(&["x", "label"]);
        }
        if has("mask") {
            c = c
                .output("mask", "?M[R*N]", "the mask of each clip's video")
                .from(&["x", "mask"]);
        }
        c
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let clips = known(input(cx, "x")?, 1)?;
        for (port, head) in [("label", Head::Label), ("mask", Head::Mask)] {
            if let Some(ty) = cx.input(port).filter(|ty| ty.head != head) {
                return Err(vec![
                    ParamProblem::new("", format!("`{port}` takes a {head}, and `{ty}` came"))
                        .help("values that need a gradient are folded by a node of their own"),
                ]);
            }
        }
        Ok(Body::Compute(Box::new(Rows { clips })))
    }
}

struct Rows {
    clips: usize,
}

impl Compute for Rows {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        let mut out = vec![x.contiguous()?.flatten(0, 1)?];
        for each in [inputs.all("label"), inputs.all("mask")].into_iter().flatten() {
            let rows = each.dim(0)?;
            let repeated = each.unsqueeze(1)?.broadcast_as((rows, self.clips))?.contiguous()?;
            out.push(repeated.flatten_all()?);
        }
        Ok((out, Box::new(x.shape().clone())))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let shape = kept::<Shape>(saved)?;
        let mut out = vec![None; step.wants.len()];
        if let Some(grad) = arrived(&mut grads, 0) {
            out[0] = Some(grad.contiguous()?.reshape(*shape)?);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, labels, mask, normal, rejected, ty};
    use serde_json::json;

    #[test]
    fn matches_the_reference() {
        for rows in [2, 0] {
            let mut p = Probe::new("fold", json!({}), &[("x", vec![ty("Feature", "2*B,3,4")])], &[]).unwrap();
            assert_eq!(p.outputs[0].to_string(), "Feature[6*B,4]");
            p.check(&Args::default().with("x", vec![normal(1, &[rows, 3, 4])]), |x, _| {
                x.to_vec()
            });
        }
    }

    #[test]
    fn labels_and_masks_are_repeated() {
        let types = [
            ("x", vec![ty("Feature", "B,2,1")]),
            ("label", vec![ty("Label", "B")]),
            ("mask", vec![ty("Mask", "B")]),
        ];
        let mut p = Probe::new("fold", json!({}), &types, &[]).unwrap();
        let reported: Vec<String> = p.outputs.iter().map(ToString::to_string).collect();
        assert_eq!(reported, ["Feature[2*B,1]", "Label[2*B]", "Mask[2*B]"]);
        let x = Args::default()
            .with("x", vec![normal(1, &[2, 2, 1])])
            .with("label", vec![labels(&[4, 7])])
            .with("mask", vec![mask(&[1., 0.])]);
        p.check(&x, |x, _| {
            vec![x[0].clone(), vec![4., 4., 7., 7.], vec![1., 1., 0., 0.]]
        });
    }

    #[test]
    fn mistakes_are_named() {
        let types = [("x", vec![ty("Feature", "B,2,1")]), ("label", vec![ty("Feature", "B")])];
        assert_eq!(
            rejected("fold", json!({}), &types),
            ["`label` takes a Label, and `Feature[B]` came"]
        );
    }
}
