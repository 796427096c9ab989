//! `resize`: frames of another size.

use super::extent::Extent;
use super::images;
use super::input::{clips_stage, positive};
use crate::contract::*;
use glad_video::ops;
use schemars::JsonSchema;
use serde::Deserialize;

/// Resizes the frames: to a length of their shorter side, or to a size whatever their proportions. Frames that have it
/// stay as they are. Optical flow is resized as a picture, as the field does: its values stay those of the original size.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "short": 256 }]))]
pub struct Resize {
    /// Pixels of the shorter side; the proportions are kept.
    #[serde(default)]
    pub short: Option<Count>,
    /// Height and width: a number for a square, or `[height, width]`; the proportions are not kept.
    #[serde(default)]
    pub size: Option<Extent>,
    /// How pixels are made.
    #[serde(default)]
    pub filter: ops::Filter,
}

impl Kind for Resize {
    const NAME: &'static str = "resize";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        match (&self.short, &self.size) {
            (Some(_), None) | (None, Some(_)) => vec![],
            (None, None) => vec![ParamProblem::new("", "needs `short` or `size`")],
            (Some(_), Some(_)) => vec![ParamProblem::new("size", "takes `short` or `size`, not both")],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        let to = match &self.size {
            Some(Extent { height, width }) => format!("Clip[B,N,T,{height},{width},C]"),
            None => "Clip[B,N,T,~,~,C]".into(),
        };
        clips_stage("Clip[B,N,T,H,W,C]", &to)
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let mut problems = vec![];
        let to = match (&self.size, &self.short) {
            (Some(size), _) => {
                let (height, width) = size.get("size", cx.dims, &mut problems);
                To::Size { height, width }
            }
            (None, Some(side)) => To::ShortSide(positive(side, "short", cx.dims, &mut problems)),
            (None, None) => return Err(self.validate()),
        };
        if problems.is_empty() {
            let filter = self.filter;
            Ok(Body::Stage(Box::new(Resizer { to, filter })))
        } else {
            Err(problems)
        }
    }
}

enum To {
    ShortSide(usize),
    Size { height: usize, width: usize },
}

struct Resizer {
    to: To,
    filter: ops::Filter,
}

impl Stage for Resizer {
    fn run(&self, _: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let clips = inputs.clips("clips")?;
        let (w, h) = images::size(clips);
        let (width, height) = match self.to {
            To::ShortSide(side) => ops::short_side_size(w, h, side),
            To::Size { height, width } => (width, height),
        };
        let resized = images::resize(clips, (width, height), |frame| {
            Ok(ops::resize_exact(frame, width, height, self.filter)?)
        })?;
        Ok(vec![HostValue::Clips(resized)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, clips, clips_through, dims, node, problems, sample};
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn the_shorter_side_decides() {
        let stage = built::<Resize>(json!({"short": 6}));
        let resized = |h, w| clips_through(&*stage, sample(0, true), &clips([2, 2, h, w, 3])).shape;
        assert_eq!(resized(12, 20), [2, 2, 6, 10, 3]);
        assert_eq!(resized(20, 12), [2, 2, 10, 6, 3]);
        assert_eq!(resized(3, 4), [2, 2, 6, 8, 3]);
    }

    #[test]
    fn a_size_is_taken_whatever_the_proportions() {
        let stage = built::<Resize>(json!({"size": [4, 6], "filter": "antialiased"}));
        let grey = Arc::new(Clips {
            shape: [1, 2, 9, 5, 3],
            data: vec![77; 2 * 9 * 5 * 3],
        });
        let out = clips_through(&*stage, sample(0, true), &grey);
        assert_eq!((out.shape, &out.data), ([1, 2, 4, 6, 3], &vec![77; 2 * 4 * 6 * 3]));
    }

    #[test]
    fn channels_of_optical_flow_are_resized_as_those_of_pictures() {
        for p in [json!({"short": 6}), json!({"size": [4, 6], "filter": "antialiased"})] {
            let stage = built::<Resize>(p);
            let rgb = clips([2, 1, 9, 12, 3]);
            let two = |c: &Clips| c.data.chunks(3).flat_map(|p| [p[0], p[1]]).collect::<Vec<u8>>();
            let flow = Arc::new(Clips {
                shape: [2, 1, 9, 12, 2],
                data: two(&rgb),
            });
            let want = clips_through(&*stage, sample(0, true), &rgb);
            let got = clips_through(&*stage, sample(0, true), &flow);
            assert_eq!((got.shape[..4].to_vec(), got.shape[4]), (want.shape[..4].to_vec(), 2));
            assert_eq!(got.data, two(&want));
        }
    }

    #[test]
    fn frames_of_that_size_are_not_copied() {
        let before = clips([1, 2, 6, 8, 3]);
        for p in [json!({"short": 6}), json!({"size": [6, 8]})] {
            let after = clips_through(&*built::<Resize>(p), sample(0, true), &before);
            assert!(Arc::ptr_eq(&before, &after));
        }
    }

    #[test]
    fn the_contract_knows_a_fixed_size() {
        let to = |p| {
            let contract = node::<Resize>(p).contract(&Wiring::default());
            contract.outputs[0].ty.to_string()
        };
        assert_eq!(to(json!({"short": 256})), "Clip[B,N,T,~,~,C]");
        assert_eq!(to(json!({"size": "S"})), "Clip[B,N,T,S,S,C]");
        assert_eq!(to(json!({"size": [112, 224]})), "Clip[B,N,T,112,224,C]");
    }

    #[test]
    fn mistakes_are_reported() {
        let found = |p| problems::<Resize>(p, &dims(&[]));
        assert_eq!(found(json!({})), [": needs `short` or `size`"]);
        assert_eq!(
            found(json!({"size": 4, "short": 4})),
            ["size: takes `short` or `size`, not both"]
        );
        assert_eq!(found(json!({"size": [0, 4]})), ["size: `size` must be at least 1"]);
        assert_eq!(
            found(json!({"size": [1, 2, 3]})),
            ["size: expected [height, width], not 3 numbers"]
        );
        assert_eq!(found(json!({"short": "S"})), ["short: unknown dimension `S`"]);
    }
}
