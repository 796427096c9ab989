//! `random_crop`: a part of the frames, anywhere.

use super::extent::Extent;
use super::images;
use super::input::clips_stage;
use crate::contract::*;
use glad_video::CropBox;
use schemars::JsonSchema;
use serde::Deserialize;

/// Cuts a part of `size` pixels out of the frames, at a place drawn once a video, all as likely: the same for all frames
/// of all its clips. In evaluation it is the middle, as `centre_crop`. Nothing is resized; smaller frames are an error.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomCrop {
    /// Height and width: a number for a square, or `[height, width]`.
    pub size: Extent,
}

impl Kind for RandomCrop {
    const NAME: &'static str = "random_crop";
    const GROUP: Group = Group::Data;

    fn contract(&self, _: &Wiring) -> Contract {
        let Extent { height, width } = &self.size;
        clips_stage("Clip[B,N,T,H,W,C]", &format!("Clip[B,N,T,{height},{width},C]")).random()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let mut problems = vec![];
        let (height, width) = self.size.get("size", cx.dims, &mut problems);
        let side = |i| cx.input("clips").and_then(|t| t.known(i));
        if let (Some(h), Some(w), true) = (side(-3), side(-2), problems.is_empty())
            && (h < height || w < width)
        {
            let message = format!("frames of {w}x{h} pixels have no part of {width}x{height}");
            problems.push(ParamProblem::new("size", message).help("resize them to more than that first"));
        }
        match problems.is_empty() {
            true => Ok(Body::Stage(Box::new(Cut { height, width }))),
            false => Err(problems),
        }
    }
}

struct Cut {
    height: usize,
    width: usize,
}

impl Stage for Cut {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let clips = inputs.clips("clips")?;
        let Cut { height, width } = *self;
        let cut = if cx.training {
            images::holds(clips, height, width)?;
            let (w, h) = images::size(clips);
            let mut draw = cx.key.rng();
            let y = draw.below(h - height + 1);
            let x = draw.below(w - width + 1);
            images::crop(clips, CropBox { x, y, width, height })?
        } else {
            images::centre_crop(clips, height, width)?
        };
        Ok(vec![HostValue::Clips(cut)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build_cx, built, clips, clips_through, dims, node, problems, sample};
    use super::*;
    use crate::testing::ty;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// Frames whose first channel is their number, and whose last (of one channel: only) is the place.
    fn numbered(channels: usize) -> Arc<Clips> {
        let mut data = vec![];
        for frame in 0..6u8 {
            for at in 0..30u8 {
                let mut pixel = vec![0; channels];
                pixel[0] = 100 + frame;
                pixel[channels - 1] = 8 * (at / 6) + at % 6;
                data.extend(pixel);
            }
        }
        Arc::new(Clips {
            shape: [2, 3, 5, 6, channels],
            data,
        })
    }

    #[test]
    fn one_place_for_all_frames_all_as_likely() {
        for channels in [1, 2, 3] {
            let before = numbered(channels);
            let stage = built::<RandomCrop>(json!({"size": [4, 3]}));
            let mut seen = BTreeMap::new();
            for seed in 0..1600 {
                let out = clips_through(&*stage, sample(seed, true), &before);
                assert_eq!(out.shape, [2, 3, 4, 3, channels]);
                let place = |i: usize| out.data[(i + 1) * channels - 1];
                let corner = place(0);
                for frame in 0..6 {
                    for at in 0..12 {
                        assert_eq!(place(frame * 12 + at), corner + 8 * (at / 3) as u8 + (at % 3) as u8);
                        if channels > 1 {
                            assert_eq!(out.data[(frame * 12 + at) * channels], 100 + frame as u8);
                        }
                    }
                }
                *seen.entry((corner / 8, corner % 8)).or_insert(0) += 1;
            }
            // 2 rows and 4 columns to begin at
            assert!(
                seen.keys()
                    .copied()
                    .eq((0..2).flat_map(|y| (0..4).map(move |x| (y, x)))),
                "{seen:?}"
            );
            assert!(seen.values().all(|n| (140..260).contains(n)), "{seen:?}");
        }
    }

    #[test]
    fn evaluation_takes_the_middle() {
        let stage = built::<RandomCrop>(json!({"size": 4}));
        let before = clips([1, 2, 7, 9, 3]);
        let middle = images::centre_crop(&before, 4, 4).unwrap();
        for seed in 0..5 {
            assert_eq!(clips_through(&*stage, sample(seed, false), &before), middle);
        }
    }

    #[test]
    fn frames_that_are_too_small_are_reported() {
        let stage = built::<RandomCrop>(json!({"size": 6}));
        for training in [true, false] {
            let inputs = Args::default().with("clips", vec![HostValue::Clips(clips([1, 1, 6, 5, 3]))]);
            let e = stage.run(&sample(0, training), &inputs).unwrap_err();
            assert_eq!(
                e.to_string(),
                "the frames have 5x6 pixels, fewer than the 6x6 to be cut out; resize them first"
            );
        }
        let dims = dims(&[]);
        let mut cx = build_cx(&dims);
        cx.inputs.insert("clips".into(), vec![ty("Clip", "B,1,8,112,128,2")]);
        let build = |size| node::<RandomCrop>(json!({ "size": size })).build(&cx);
        assert!(build(json!(112)).is_ok());
        let Err(p) = build(json!([112, 224])) else { panic!() };
        assert_eq!(p[0].message, "frames of 128x112 pixels have no part of 224x112");
        let found = problems::<RandomCrop>(json!({"size": [0, 4]}), &dims);
        assert_eq!(found, ["size: `size` must be at least 1"]);
    }
}
