//! `length`: how many frames a video has.

use super::input;
use crate::contract::*;
use anyhow::Context;
use schemars::JsonSchema;
use serde::Deserialize;

/// The number of frames of a video (of its segment, where the list names one), for measures over lists.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Length {
    /// Where the number is taken from.
    #[serde(default)]
    pub from: LengthFrom,
}

/// Where a video's length is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LengthFrom {
    /// The list, where it says one; no file is looked at then. Else the file.
    #[default]
    List,
    /// The file, whatever the list says.
    File,
}

impl Kind for Length {
    const NAME: &'static str = "length";
    const GROUP: Group = Group::Data;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Host)
            .input("video", "Video|Sequence[B,*S]", "the video, or its features")
            .output("length", "Length[B]", "its number of frames")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Stage(Box::new(Counter { from: self.from })))
    }
}

struct Counter {
    from: LengthFrom,
}

impl Stage for Counter {
    fn run(&self, _: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let video = inputs.video("video")?;
        let listed = video.footage.stated().frames.filter(|_| self.from == LengthFrom::List);
        let frames = match listed {
            Some(n) => n,
            None => input::length(inputs)?,
        };
        let frames = u32::try_from(frames).with_context(|| format!("{}: {frames} frames", video.line))?;
        Ok(vec![HostValue::Length(frames)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, sample, video_of};
    use super::*;
    use serde_json::json;

    /// A file of 9 frames; the list says 7.
    struct Stating(Option<usize>);

    impl Footage for Stating {
        fn frame_count(&self) -> Result<usize, DataError> {
            Ok(9)
        }
        fn frames(&self, _: &[usize]) -> Result<Vec<Frame>, DataError> {
            panic!("nothing is decoded")
        }
        fn stated(&self) -> Stated {
            Stated {
                offset: None,
                frames: self.0,
            }
        }
    }

    #[test]
    fn the_list_is_asked_first_unless_configured_otherwise() {
        let length = |params, stated| {
            let inputs = Args::default().with("video", vec![video_of(Stating(stated))]);
            match built::<Length>(params).run(&sample(0, false), &inputs).unwrap()[..] {
                [HostValue::Length(n)] => n,
                ref v => panic!("{v:?}"),
            }
        };
        assert_eq!(length(json!({}), Some(7)), 7);
        assert_eq!(length(json!({}), None), 9);
        assert_eq!(length(json!({"from": "file"}), Some(7)), 9);
    }
}
