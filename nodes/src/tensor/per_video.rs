//! `per_video`: what a pass over a list computed for each video.

use crate::{Args, Body, BuildCx, Contract, Group, Head, Kind, OverList, ParamProblem, Side, Wiring};
use anyhow::Result;
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The value that each video had when the phase's `refresh` last went over its list: in a step those of the step's videos. So
/// a step can be compared with what the network said of the same videos before, as in temporal ensembling (Laine and Aila, ICLR
/// 2017). No gradient passes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerVideo {}

impl Kind for PerVideo {
    const NAME: &'static str = "per_video";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,*S]", "a value of each video")
            .constant()
            .output("y", "?X[R,*S]", "the values of the last pass")
            .output(
                "mask",
                "Mask[R]",
                "0 for a video that the pass could not use, whose value is 0 or no label",
            )
            .over_list()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        match cx.input("x") {
            Some(ty) if ty.head == Head::Clip => Err(vec![
                ParamProblem::new("", format!("`x` is {ty}: the frames of all videos would be kept"))
                    .help("keep what is computed from them, such as a feature"),
            ]),
            _ => Ok(Body::OverList(Box::new(self.clone()))),
        }
    }
}

impl OverList for PerVideo {
    fn compute(&self, inputs: &Args<Tensor>) -> Result<Vec<Tensor>> {
        let x = inputs.one("x")?.clone();
        let mask = Tensor::ones(x.dim(0)?, candle_core::DType::F32, &Device::Cpu)?;
        Ok(vec![x, mask])
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{body, f64s, normal, rejected, ty};
    use crate::{Args, Body, Gradient};
    use serde_json::json;

    #[test]
    fn values_are_kept_as_they_are() {
        let types = [("x", vec![ty("Logits", "B,3")])];
        let (made, contract, outputs) = body("per_video", json!({}), &types, &[]).unwrap();
        assert_eq!((contract.gradient, contract.over_list), (Gradient::Stops, true));
        assert_eq!(
            outputs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["Logits[B,3]", "Mask[B]"]
        );
        let Body::OverList(node) = made else { panic!() };
        let x = normal(1, &[5, 3]).to_device(&candle_core::Device::Cpu).unwrap();
        let out = node.compute(&Args::default().with("x", vec![x.clone()])).unwrap();
        assert_eq!(f64s(&out[0]), f64s(&x));
        assert_eq!(f64s(&out[1]), [1.0; 5]);
        let clips = [("x", vec![ty("Clip", "B,1,8,48,48,3")])];
        assert_eq!(
            rejected("per_video", json!({}), &clips),
            ["`x` is Clip[B,1,8,48,48,3]: the frames of all videos would be kept"]
        );
    }
}
