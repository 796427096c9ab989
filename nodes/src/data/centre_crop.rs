//! `centre_crop`: the middle of the frames.

use super::extent::Extent;
use super::images;
use super::input::clips_stage;
use crate::contract::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// Cuts the middle out of the frames; with an odd rest, one pixel nearer to the top left. Frames that have the size
/// stay as they are, smaller ones are an error.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CentreCrop {
    /// Height and width: a number for a square, or `[height, width]`.
    pub size: Extent,
}

impl Kind for CentreCrop {
    const NAME: &'static str = "centre_crop";
    const GROUP: Group = Group::Data;

    fn contract(&self, _: &Wiring) -> Contract {
        let Extent { height, width } = &self.size;
        clips_stage("Clip[B,N,T,H,W,C]", &format!("Clip[B,N,T,{height},{width},C]"))
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let mut problems = vec![];
        let (height, width) = self.size.get("size", cx.dims, &mut problems);
        if problems.is_empty() {
            Ok(Body::Stage(Box::new(Middle { height, width })))
        } else {
            Err(problems)
        }
    }
}

struct Middle {
    height: usize,
    width: usize,
}

impl Stage for Middle {
    fn run(&self, _: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let cut = images::centre_crop(inputs.clips("clips")?, self.height, self.width)?;
        Ok(vec![HostValue::Clips(cut)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, clips, clips_through, sample};
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn the_middle_of_every_frame() {
        let before = clips([2, 2, 7, 10, 3]);
        let after = clips_through(&*built::<CentreCrop>(json!({"size": [4, 6]})), sample(0, true), &before);
        assert_eq!(after.shape, [2, 2, 4, 6, 3]);
        let row = |c: &Clips, frame: usize, y: usize| {
            let [_, _, h, w, ch] = c.shape;
            c.data[(frame * h + y) * w * ch..][..w * ch].to_vec()
        };
        for frame in 0..4 {
            for y in 0..4 {
                // one row above, two left
                assert_eq!(row(&after, frame, y), row(&before, frame, y + 1)[6..24]);
            }
        }
    }

    #[test]
    fn the_whole_frame_is_not_copied_and_more_is_an_error() {
        let stage = built::<CentreCrop>(json!({"size": 6}));
        let before = clips([1, 1, 6, 6, 3]);
        assert!(Arc::ptr_eq(&before, &clips_through(&*stage, sample(0, true), &before)));
        let inputs = Args::default().with("clips", vec![HostValue::Clips(clips([1, 1, 6, 5, 3]))]);
        let e = stage.run(&sample(0, true), &inputs).unwrap_err();
        assert!(e.to_string().contains("5x6 pixels, fewer than the 6x6"), "{e}");
    }
}
