//! `flow_decoder`: optical flow of a video, laid out as clips.

use super::decoder::{Decode, clips_of};
use crate::contract::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// Reads the images of optical flow that samplers named, and lays them out as clips of two channels, motion across (u) and down
/// (v); what `decoder` is for frames. Numbers of an index are those of images of flow, which has fewer than the video has frames.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowDecoder {}

impl Kind for FlowDecoder {
    const NAME: &'static str = "flow_decoder";
    const GROUP: Group = Group::Data;

    fn contract(&self, wiring: &Wiring) -> Contract {
        let flow = Contract::on(Side::Host).input("flow", "Flow[B]", "the optical flow of the video");
        clips_of(flow, wiring, FLOW)
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Stage(Box::new(Decode {
            port: "flow",
            channels: FLOW,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, sample, video_of};
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    /// Images of 3 by 2 pixels; image i has u = 10 i + x and v = 200 − i.
    struct Drift;

    impl Footage for Drift {
        fn frame_count(&self) -> Result<usize, DataError> {
            Ok(9)
        }

        fn frames(&self, wanted: &[usize]) -> Result<Vec<Frame>, DataError> {
            let frame = |i: &usize| Frame {
                width: 3,
                height: 2,
                data: Arc::new((0..6).flat_map(|p| [(10 * i + p % 3) as u8, (200 - i) as u8]).collect()),
            };
            Ok(wanted.iter().map(frame).collect())
        }
    }

    #[test]
    fn clips_have_two_channels() {
        let stage = built::<FlowDecoder>(json!({}));
        let index = |data: &[usize]| {
            HostValue::Index(Arc::new(FrameIndex {
                frames: 2,
                data: data.to_vec(),
            }))
        };
        let inputs = Args::default()
            .with("flow", vec![video_of(Drift)])
            .with("index", vec![index(&[0, 8]), index(&[3, 3])]);
        let out = stage.run(&sample(0, true), &inputs).unwrap().remove(0);
        let HostValue::Clips(clips) = out else {
            panic!("{out:?}")
        };
        assert_eq!(clips.shape, [2, 2, 2, 3, 2]);
        for (frame, i) in clips.data.chunks(12).zip([0, 8, 3, 3]) {
            let want = (0..6).flat_map(|p| [10 * i + p % 3, 200 - i]).collect::<Vec<u8>>();
            assert_eq!(frame, want);
        }
    }

    #[test]
    fn pictures_are_no_flow() {
        let stage = built::<FlowDecoder>(json!({}));
        let inputs = Args::default()
            .with("flow", vec![super::super::testing::numbered(4)])
            .with(
                "index",
                vec![HostValue::Index(Arc::new(FrameIndex {
                    frames: 1,
                    data: vec![2],
                }))],
            );
        let e = stage.run(&sample(0, true), &inputs).unwrap_err();
        let text = format!("{e:#}");
        assert!(
            text.ends_with("frame 2 of 4x2 pixels has 24 bytes, not 2 a pixel"),
            "{text}"
        );
    }
}
