//! `uniform_sampler`: clips over the whole video.

use super::input::{length, number, on, positive};
use crate::contract::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Global clips: the video is split in T equal parts, and one frame of each is drawn (the paper's global sampling,
/// after TSN).
///
/// In training frame j is `floor((j + u)·L/T)` with u uniform in [0, 1), clip by clip; else clip c of N takes
/// `u = (c + ½)/N`, so that a single clip takes the parts' middles. Every length from one frame on will do: in a video
/// with fewer than T frames some come twice.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniformSampler {
    /// Clips of a video, N: a number or a name of `dims`. With 0 there is no global view.
    pub clips: Count,
    /// Frames of a clip, T.
    pub frames: Count,
    /// Draw at random in training. Without, the frames of the evaluation are used there, too.
    #[serde(default = "on")]
    pub jitter: bool,
}

impl Kind for UniformSampler {
    const NAME: &'static str = "uniform_sampler";
    const GROUP: Group = Group::Data;

    fn contract(&self, _: &Wiring) -> Contract {
        let (n, t) = (&self.clips, &self.frames);
        let c = Contract::on(Side::Host).input("video", "Video[B]", "the video").output(
            "index",
            &format!("FrameIndex[B,{n},{t}]"),
            "frame numbers, clip by clip",
        );
        if self.jitter { c.random() } else { c }
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let mut problems = vec![];
        let sampler = Uniform {
            clips: number(&self.clips, "clips", cx.dims, &mut problems),
            frames: positive(&self.frames, "frames", cx.dims, &mut problems),
            jitter: self.jitter,
        };
        if problems.is_empty() {
            Ok(Body::Stage(Box::new(sampler)))
        } else {
            Err(problems)
        }
    }
}

struct Uniform {
    clips: usize,
    frames: usize,
    jitter: bool,
}

impl Uniform {
    fn index(&self, cx: &SampleCx, length: usize) -> Vec<usize> {
        let (n, t, l) = (self.clips, self.frames, length);
        let mut data = Vec::with_capacity(n * t);
        for c in 0..n {
            // A clip's numbers are its own: another clip more changes none of them.
            let mut draw = cx.key.index(c as u64).rng();
            for j in 0..t {
                data.push(if self.jitter && cx.training {
                    let at = (j as f64 + draw.unit()) * l as f64 / t as f64;
                    (at as usize).min(l - 1)
                } else {
                    // floor((j + (2c + 1) / 2n)·L/T), without rounding
                    (2 * n * j + 2 * c + 1) * l / (2 * n * t)
                });
            }
        }
        data
    }
}

impl Stage for Uniform {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let data = self.index(cx, length(inputs)?);
        Ok(vec![HostValue::Index(Arc::new(FrameIndex {
            frames: self.frames,
            data,
        }))])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, index_of, sample};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn run(clips: usize, frames: usize, jitter: bool, length: usize, cx: SampleCx) -> Vec<usize> {
        let stage = built::<UniformSampler>(json!({"clips": clips, "frames": frames, "jitter": jitter}));
        index_of(&*stage, cx, length).remove(0)
    }

    #[test]
    fn evaluation_takes_the_middles() {
        assert_eq!(run(1, 8, true, 48, sample(1, false)), [3, 9, 15, 21, 27, 33, 39, 45]);
        assert_eq!(run(1, 8, true, 8, sample(1, false)), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(run(1, 8, true, 3, sample(1, false)), [0, 0, 0, 1, 1, 2, 2, 2]);
        assert_eq!(run(1, 8, true, 1, sample(1, false)), [0; 8]);
        // two clips: a quarter and three quarters of each part
        assert_eq!(run(2, 2, true, 80, sample(1, false)), [10, 50, 30, 70]);
    }

    #[test]
    fn training_without_jitter_is_the_evaluation() {
        for length in [1, 7, 48, 300] {
            let eval = run(2, 8, true, length, sample(1, false));
            assert_eq!(run(2, 8, false, length, sample(2, true)), eval);
        }
    }

    #[test]
    fn a_clip_more_leaves_the_others_as_they_are() {
        let one = run(1, 8, true, 180, sample(5, true));
        assert_eq!(run(3, 8, true, 180, sample(5, true))[..8], one);
        assert_ne!(run(1, 8, true, 180, sample(6, true)), one);
    }

    #[test]
    fn every_frame_of_a_part_is_as_likely() {
        let mut seen = [0usize; 20];
        for seed in 0..4000 {
            for i in run(1, 2, true, 20, sample(seed, true)) {
                seen[i] += 1;
            }
        }
        assert!(seen.iter().all(|n| (300..500).contains(n)), "{seen:?}");
    }

    proptest! {
        #[test]
        fn one_frame_of_each_part(length in 1usize..2000, frames in 1usize..33, clips in 1usize..4, seed: u64, training: bool) {
            let data = run(clips, frames, true, length, sample(seed, training));
            prop_assert_eq!(data.len(), clips * frames);
            for clip in data.chunks(frames) {
                for (j, &i) in clip.iter().enumerate() {
                    prop_assert!(i < length);
                    // between the floors of the part's ends
                    prop_assert!(i >= j * length / frames && i <= (j + 1) * length / frames);
                }
                prop_assert!(clip.is_sorted());
            }
        }
    }
}
