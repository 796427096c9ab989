//! `regroup`: frames as clips.

use crate::contract::*;
use anyhow::anyhow;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Makes a clip of each frame: `[N,T,…]` becomes `[N·T,1,…]`, in the same order. So a network of single frames gives a
/// feature for each of them (TA3N, TranSVAE, ATCoN). Of frame numbers, before `decoder`, or of clips; the numbers cost no
/// copy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Regroup {}

impl Kind for Regroup {
    const NAME: &'static str = "regroup";
    const GROUP: Group = Group::Data;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Host)
            .input("x", "?X[B,N,T,*S]", "clips, or their frame numbers")
            .output(
                "y",
                "?X[B,N*T,1,*S]",
                "as many clips of one frame each as there are frames",
            )
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Stage(Box::new(Frames)))
    }
}

struct Frames;

impl Stage for Frames {
    fn run(&self, _: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        Ok(vec![match inputs.one("x")? {
            HostValue::Index(i) => HostValue::Index(Arc::new(FrameIndex {
                frames: 1,
                data: i.data.clone(),
            })),
            HostValue::Clips(c) => {
                let [n, t, h, w, channels] = c.shape;
                HostValue::Clips(Arc::new(Clips {
                    shape: [n * t, 1, h, w, channels],
                    data: c.data.clone(),
                }))
            }
            v => return Err(anyhow!("port `x` has neither clips nor frame numbers but {v:?}").into()),
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, clips, sample};
    use super::*;
    use serde_json::json;

    fn through(value: HostValue) -> anyhow::Result<HostValue> {
        let inputs = Args::default().with("x", vec![value]);
        let out = built::<Regroup>(json!({})).run(&sample(0, true), &inputs);
        Ok(out.map_err(DataError::into_anyhow)?.remove(0))
    }

    #[test]
    fn every_frame_is_a_clip() {
        let before = clips([2, 3, 4, 5, 2]);
        let HostValue::Clips(after) = through(HostValue::Clips(before.clone())).unwrap() else {
            panic!()
        };
        assert_eq!((after.shape, &after.data), ([6, 1, 4, 5, 2], &before.data));
        let index = FrameIndex {
            frames: 3,
            data: vec![4, 9, 2, 7, 7, 1],
        };
        let HostValue::Index(after) = through(HostValue::Index(Arc::new(index))).unwrap() else {
            panic!()
        };
        assert_eq!((after.frames, &after.data[..]), (1, &[4, 9, 2, 7, 7, 1][..]));
        let e = through(HostValue::Mask(true)).unwrap_err();
        assert_eq!(
            e.to_string(),
            "port `x` has neither clips nor frame numbers but Mask(true)"
        );
    }
}
