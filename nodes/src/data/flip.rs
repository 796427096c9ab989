//! `flip`: left and right exchanged.

use super::input::clips_stage;
use crate::contract::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Mirrors the clips of a video left to right, all of them or none: one draw a video, in training only. Clips of two channels are
/// optical flow, whose motion across (u) changes its sign with the sides: a byte of it becomes 255 − u.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flip {
    /// The share of videos that are mirrored.
    #[serde(default = "half")]
    pub prob: f64,
}

fn half() -> f64 {
    0.5
}

impl Kind for Flip {
    const NAME: &'static str = "flip";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        super::input::share(self.prob, "prob")
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        super::input::never(self.prob, "prob", "mirrored")
    }

    fn contract(&self, _: &Wiring) -> Contract {
        clips_stage("Clip[B,N,T,H,W,C]", "Clip[B,N,T,H,W,C]").random()
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Stage(Box::new(Mirror { prob: self.prob })))
    }
}

struct Mirror {
    prob: f64,
}

impl Stage for Mirror {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let clips = inputs.clips("clips")?;
        if !cx.training || !cx.key.rng().chance(self.prob) {
            return Ok(vec![HostValue::Clips(clips.clone())]);
        }
        let [.., width, channels] = clips.shape;
        let mut data = Vec::with_capacity(clips.data.len());
        for row in clips.data.chunks_exact(width * channels) {
            row.rchunks_exact(channels)
                .for_each(|pixel| data.extend_from_slice(pixel));
        }
        if channels == FLOW {
            data.iter_mut().step_by(FLOW).for_each(|u| *u = 255 - *u);
        }
        let shape = clips.shape;
        Ok(vec![HostValue::Clips(Arc::new(Clips { shape, data }))])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, clips, clips_through, problems, sample};
    use super::*;
    use serde_json::json;

    #[test]
    fn mirrors_every_row_of_every_clip() {
        let stage = built::<Flip>(json!({"prob": 1.0}));
        let before = clips([2, 3, 4, 5, 3]);
        let after = clips_through(&*stage, sample(1, true), &before);
        assert_eq!(after.shape, before.shape);
        for (a, b) in after.data.chunks(15).zip(before.data.chunks(15)) {
            for x in 0..5 {
                assert_eq!(a[x * 3..][..3], b[(4 - x) * 3..][..3]);
            }
        }
        assert_eq!(clips_through(&*stage, sample(1, true), &after), before);
    }

    #[test]
    fn motion_across_changes_its_sign() {
        let stage = built::<Flip>(json!({"prob": 1.0}));
        let before = clips([1, 2, 3, 4, 2]);
        let after = clips_through(&*stage, sample(1, true), &before);
        for (a, b) in after.data.chunks(8).zip(before.data.chunks(8)) {
            for x in 0..4 {
                let [u, v] = [b[(3 - x) * 2], b[(3 - x) * 2 + 1]];
                assert_eq!(a[x * 2..][..2], [255 - u, v]);
            }
        }
        assert_eq!(clips_through(&*stage, sample(1, true), &after), before);
    }

    #[test]
    fn half_of_the_videos_and_never_in_evaluation() {
        let stage = built::<Flip>(json!({}));
        let before = clips([1, 1, 1, 2, 3]);
        let flipped = |training| {
            let changed = |seed: &u64| clips_through(&*stage, sample(*seed, training), &before) != before;
            (0..1000).filter(changed).count()
        };
        assert!((440..560).contains(&flipped(true)), "{}", flipped(true));
        assert_eq!(flipped(false), 0);
    }

    #[test]
    fn a_probability_is_from_0_to_1() {
        let found = problems::<Flip>(json!({"prob": 1.5}), &Default::default());
        assert_eq!(found, ["prob: 1.5 is no probability: 0 ≤ prob ≤ 1"]);
    }
}
