//! `multi_scale_crop`: a random part of the frames.

use super::extent::Extent;
use super::images;
use super::input::clips_stage;
use crate::contract::*;
use anyhow::{Result, ensure};
use glad_video::{CropBox, MultiScaleCrop as Boxes, ops};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// A part of the frames at one of 13 fixed positions and a few scales, resized to `size`: one draw a video, all parts
/// as likely (TSN's and mmaction's multi-scale crop). In evaluation it is the middle of the frames, as `centre_crop`.
///
/// The sides of a part are the frame's shorter side times a scale; neighbouring scales may mix, so that proportions
/// vary.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiScaleCrop {
    /// Height and width of the result: a number for a square, or `[height, width]`.
    pub size: Extent,
    /// Sides of the parts, as shares of the frame's shorter side, in decreasing order.
    #[serde(default = "scales")]
    pub scales: Vec<f64>,
    /// How many places apart in `scales` height and width may be: 0 keeps the parts square.
    #[serde(default = "one")]
    pub max_gap: usize,
    /// How pixels are made.
    #[serde(default)]
    pub filter: ops::Filter,
}

fn scales() -> Vec<f64> {
    vec![1.0, 0.875, 0.66]
}

fn one() -> usize {
    1
}

impl Kind for MultiScaleCrop {
    const NAME: &'static str = "multi_scale_crop";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        if self.scales.is_empty() {
            problems.push(ParamProblem::new("scales", "needs at least one scale"));
        }
        for (i, s) in self.scales.iter().enumerate() {
            if !(*s > 0.0 && *s <= 1.0) {
                let message = format!("{s} is no share of the shorter side: 0 < scale ≤ 1");
                problems.push(ParamProblem::new(format!("scales[{i}]"), message));
            }
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        let Extent { height, width } = &self.size;
        clips_stage("Clip[B,N,T,H,W,C]", &format!("Clip[B,N,T,{height},{width},C]")).random()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let mut problems = vec![];
        let (height, width) = self.size.get("size", cx.dims, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Body::Stage(Box::new(Crop {
            height,
            width,
            boxes: Boxes {
                scales: self.scales.clone(),
                max_gap: self.max_gap,
                thirteen: true,
            },
            filter: self.filter,
        })))
    }
}

struct Crop {
    height: usize,
    width: usize,
    boxes: Boxes,
    filter: ops::Filter,
}

impl Crop {
    fn part(&self, cx: &SampleCx, clips: &Clips) -> Result<CropBox> {
        let mut boxes = self.boxes.boxes(images::size(clips), (self.width, self.height));
        ensure!(!boxes.is_empty(), "the frames are empty");
        Ok(boxes.swap_remove(cx.key.rng().below(boxes.len())))
    }
}

impl Stage for Crop {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let clips: &Arc<Clips> = inputs.clips("clips")?;
        let out = if cx.training {
            let part = images::crop(clips, self.part(cx, clips)?)?;
            images::resize(&part, (self.width, self.height), |frame| {
                Ok(ops::resize_exact(frame, self.width, self.height, self.filter)?)
            })?
        } else {
            images::centre_crop(clips, self.height, self.width)?
        };
        Ok(vec![HostValue::Clips(out)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, clips, clips_through, dims, problems, sample};
    use super::*;
    use serde_json::json;

    #[test]
    fn one_part_for_all_frames() {
        let stage = built::<MultiScaleCrop>(json!({"size": 8}));
        // both clips, both frames: the same image
        let image = clips([1, 1, 16, 20, 3]);
        let before = Arc::new(Clips {
            shape: [2, 2, 16, 20, 3],
            data: image.data.repeat(4),
        });
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let out = clips_through(&*stage, sample(seed, true), &before);
            assert_eq!(out.shape, [2, 2, 8, 8, 3]);
            let frames: Vec<&[u8]> = out.data.chunks(8 * 8 * 3).collect();
            assert!(frames.iter().all(|f| *f == frames[0]));
            assert_eq!(clips_through(&*stage, sample(seed, true), &before), out);
            seen.insert(frames[0].to_vec());
        }
        // 7 sizes at up to 13 places
        assert!(seen.len() > 40, "{}", seen.len());
    }

    #[test]
    fn parts_of_the_size_are_cut_out_unchanged() {
        let stage = built::<MultiScaleCrop>(json!({"size": 8, "scales": [1.0]}));
        let before = clips([1, 1, 8, 12, 3]);
        for seed in 0..20 {
            let out = clips_through(&*stage, sample(seed, true), &before);
            let at =
                (0..=4).find(|x| (0..8).all(|y| out.data[y * 24..][..24] == before.data[(y * 12 + x) * 3..][..24]));
            assert!(at.is_some(), "seed {seed}");
        }
    }

    #[test]
    fn evaluation_takes_the_middle() {
        let stage = built::<MultiScaleCrop>(json!({"size": 8}));
        let before = clips([1, 2, 10, 12, 3]);
        let middle = images::centre_crop(&before, 8, 8).unwrap();
        for seed in 0..5 {
            assert_eq!(clips_through(&*stage, sample(seed, false), &before), middle);
        }
    }

    #[test]
    fn mistakes_are_reported() {
        let found = problems::<MultiScaleCrop>(json!({"size": 8, "scales": [1.0, 1.2]}), &dims(&[]));
        assert_eq!(found, ["scales[1]: 1.2 is no share of the shorter side: 0 < scale ≤ 1"]);
        let found = problems::<MultiScaleCrop>(json!({"size": 8, "scales": []}), &dims(&[]));
        assert_eq!(found, ["scales: needs at least one scale"]);
    }
}
