//! `uniform_sampler`: clips over the whole video.

use super::input::{length, number, positive};
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
///
/// With `parts = "clips"` the video is split in N parts of `a = ⌊L/N⌋` frames first, and clip c is such a sample of
/// part c alone: `c·a + floor((j + u)·a/T)`, u = ½ in evaluation: CO2A's clips, and with T = 1 the frames that TSN and
/// TA3N train on. A video with fewer than N frames gives its first one alone, as released.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniformSampler {
    /// Clips of a video, N: a number or a name of `dims`. With 0 there is no global view.
    pub clips: Count,
    /// Frames of a clip, T.
    pub frames: Count,
    /// How frames are drawn in training.
    #[serde(default)]
    pub draw: DrawFrom,
    /// What the video is split for: whether each clip covers all of it, or a part of its own.
    #[serde(default)]
    pub parts: Parts,
}

/// How frames are drawn in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrawFrom {
    /// One of each part.
    #[default]
    PerPart,
    /// Anywhere, the same frame more than once if need be, and in increasing time: T of the video for each clip; with
    /// `parts = "clips"` N·T of the video, of which each clip takes the next T (CO2A's temporal augmentation).
    Sorted,
    /// Not at all: the frames of the evaluation.
    Middle,
}

/// What a video is split for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parts {
    /// Each clip has one frame of each of T parts of the video.
    #[default]
    Frames,
    /// Each clip lies in one of N parts of the video, in order.
    Clips,
}

impl Kind for UniformSampler {
    const NAME: &'static str = "uniform_sampler";
    const GROUP: Group = Group::Data;

    fn contract(&self, _: &Wiring) -> Contract {
        let (n, t) = (&self.clips, &self.frames);
        let c = Contract::on(Side::Host)
            .input(
                "video",
                "Video|Flow|Sequence[B,*S]",
                "the video, its optical flow, or its features",
            )
            .output(
                "index",
                &format!("FrameIndex[B,{n},{t}]"),
                "frame numbers, clip by clip",
            );
        match self.draw {
            DrawFrom::Middle => c,
            _ => c.random(),
        }
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let mut problems = vec![];
        let sampler = Uniform {
            clips: number(&self.clips, "clips", cx.dims, &mut problems),
            frames: positive(&self.frames, "frames", cx.dims, &mut problems),
            draw: self.draw,
            parts: self.parts,
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
    draw: DrawFrom,
    parts: Parts,
}

impl Uniform {
    fn index(&self, cx: &SampleCx, length: usize) -> Vec<usize> {
        let draw = if cx.training { self.draw } else { DrawFrom::Middle };
        match (draw, self.parts) {
            (DrawFrom::Sorted, Parts::Clips) => sorted(&mut cx.key.rng(), self.clips * self.frames, length),
            // A clip's numbers are its own: another clip more changes none of them.
            (DrawFrom::Sorted, Parts::Frames) => (0..self.clips as u64)
                .flat_map(|c| sorted(&mut cx.key.index(c).rng(), self.frames, length))
                .collect(),
            _ => (0..self.clips)
                .flat_map(|c| {
                    self.clip(
                        c,
                        (draw == DrawFrom::PerPart).then(|| cx.key.index(c as u64).rng()),
                        length,
                    )
                })
                .collect(),
        }
    }

    /// The frames of clip `c`, one of each part: drawn, or without `draw` those of the evaluation.
    fn clip(&self, c: usize, mut draw: Option<Draw>, length: usize) -> Vec<usize> {
        let (n, t) = (self.clips, self.frames);
        // What the clip covers, and u as a fraction for the evaluation.
        let (from, l, (over, under)) = match self.parts {
            Parts::Frames => (0, length, (2 * c + 1, 2 * n)),
            Parts::Clips => (c * (length / n), length / n, (1, 2)),
        };
        let frame = |j: usize| {
            from + match &mut draw {
                Some(draw) => {
                    let at = (j as f64 + draw.unit()) * l as f64 / t as f64;
                    (at as usize).min(l.saturating_sub(1))
                }
                // floor((j + over/under)·l/t), without rounding
                None => (under * j + over) * l / (under * t),
            }
        };
        (0..t).map(frame).collect()
    }
}

/// So many frames of all, with replacement, in increasing order.
fn sorted(draw: &mut Draw, count: usize, length: usize) -> Vec<usize> {
    let mut frames: Vec<usize> = (0..count).map(|_| draw.below(length)).collect();
    frames.sort_unstable();
    frames
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
    use super::super::testing::{built, dims, golden, index_of, problems, sample};
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn of(params: Value, length: usize, cx: SampleCx) -> Vec<usize> {
        index_of(&*built::<UniformSampler>(params), cx, length).remove(0)
    }

    fn run(clips: usize, frames: usize, length: usize, cx: SampleCx) -> Vec<usize> {
        of(json!({"clips": clips, "frames": frames}), length, cx)
    }

    #[test]
    fn evaluation_takes_the_middles() {
        assert_eq!(run(1, 8, 48, sample(1, false)), [3, 9, 15, 21, 27, 33, 39, 45]);
        assert_eq!(run(1, 8, 8, sample(1, false)), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(run(1, 8, 3, sample(1, false)), [0, 0, 0, 1, 1, 2, 2, 2]);
        assert_eq!(run(1, 8, 1, sample(1, false)), [0; 8]);
        // two clips: a quarter and three quarters of each part
        assert_eq!(run(2, 2, 80, sample(1, false)), [10, 50, 30, 70]);
    }

    #[test]
    fn middle_is_the_evaluation() {
        for parts in ["frames", "clips"] {
            let p = |draw| json!({"clips": 2, "frames": 8, "draw": draw, "parts": parts});
            for length in [1, 7, 48, 300] {
                let eval = of(p("per_part"), length, sample(1, false));
                assert_eq!(of(p("middle"), length, sample(2, true)), eval);
                assert_eq!(of(p("sorted"), length, sample(3, false)), eval);
            }
        }
    }

    fn numbers(v: &Value) -> Vec<usize> {
        let rows = v.as_array().unwrap().iter();
        rows.flat_map(|v| v.as_u64().map_or_else(|| numbers(v), |n| vec![n as usize]))
            .collect()
    }

    #[test]
    fn the_clips_of_parts_are_the_released_codes() {
        let p = json!({"clips": 4, "frames": 16, "draw": "middle", "parts": "clips"});
        let rows = golden();
        for row in rows["co2a"].as_array().unwrap() {
            let length = row["length"].as_u64().unwrap() as usize;
            assert_eq!(
                of(p.clone(), length, sample(1, true)),
                numbers(&row["index"]),
                "{length}"
            );
        }
        // videos with fewer frames than frames of the clip: TA3N repeats the first one there
        for row in rows["ta3n_evaluation"].as_array().unwrap() {
            let (length, want) = (row[0].as_u64().unwrap() as usize, numbers(&row[1]));
            match length < 5 {
                true => assert_eq!(
                    of(
                        json!({"clips": 5, "frames": 1, "parts": "clips"}),
                        length,
                        sample(1, false)
                    ),
                    want
                ),
                false => {
                    assert_eq!(run(1, 5, length, sample(1, false)), want, "{length}");
                    assert_eq!(run(5, 1, length, sample(1, false)), want, "{length}");
                }
            }
        }
    }

    #[test]
    fn a_frame_of_each_whole_part_is_drawn() {
        // 17 frames in 5 parts of 3: k·3 + U{0, 1, 2}, and never the last two frames
        let p = json!({"clips": 5, "frames": 1, "parts": "clips"});
        let mut seen = [0usize; 17];
        for seed in 0..3000 {
            let frames = of(p.clone(), 17, sample(seed, true));
            assert!(frames.iter().enumerate().all(|(k, f)| f / 3 == k), "{frames:?}");
            frames.iter().for_each(|f| seen[*f] += 1);
        }
        assert!(
            seen[..15].iter().all(|n| (850..1150).contains(n)) && seen[15..] == [0, 0],
            "{seen:?}"
        );
        assert_eq!(of(p, 4, sample(1, true)), [0; 5]);
    }

    #[test]
    fn sorted_draws_are_as_likely_in_every_frame() {
        for parts in ["frames", "clips"] {
            let p = json!({"clips": 2, "frames": 3, "draw": "sorted", "parts": parts});
            let (mut seen, mut twice, mut mixed) = ([0usize; 10], 0, 0);
            for seed in 0..2000 {
                let frames = of(p.clone(), 10, sample(seed, true));
                assert!(frames.chunks(3).all(<[usize]>::is_sorted), "{frames:?}");
                frames.iter().for_each(|f| seen[*f] += 1);
                twice += usize::from(frames.windows(2).any(|w| w[0] == w[1]));
                mixed += usize::from(!frames.is_sorted());
            }
            assert!(seen.iter().all(|n| (1050..1350).contains(n)), "{seen:?}");
            // with replacement; the clips follow each other only where each has a part of its own
            assert!(twice > 500, "{twice}");
            assert_eq!(mixed > 0, parts == "frames", "{mixed}");
        }
    }

    #[test]
    fn mistakes_are_reported() {
        let found = problems::<UniformSampler>(json!({"clips": 1, "frames": 0}), &dims(&[]));
        assert_eq!(found, ["frames: `frames` must be at least 1"]);
        let found = problems::<UniformSampler>(json!({"clips": 1, "frames": 8, "draw": "random"}), &dims(&[]));
        assert_eq!(
            found,
            ["draw: unknown variant `random`, expected one of `per_part`, `sorted`, `middle`"]
        );
    }

    #[test]
    fn a_clip_more_leaves_the_others_as_they_are() {
        let one = run(1, 8, 180, sample(5, true));
        assert_eq!(run(3, 8, 180, sample(5, true))[..8], one);
        assert_ne!(run(1, 8, 180, sample(6, true)), one);
    }

    #[test]
    fn every_frame_of_a_part_is_as_likely() {
        let mut seen = [0usize; 20];
        for seed in 0..4000 {
            for i in run(1, 2, 20, sample(seed, true)) {
                seen[i] += 1;
            }
        }
        assert!(seen.iter().all(|n| (300..500).contains(n)), "{seen:?}");
    }

    proptest! {
        #[test]
        fn clips_of_parts_lie_in_them(length in 1usize..2000, frames in 1usize..33, clips in 1usize..9, seed: u64, training: bool) {
            let p = json!({"clips": clips, "frames": frames, "parts": "clips"});
            let data = of(p, length, sample(seed, training));
            prop_assert_eq!(data.len(), clips * frames);
            let a = length / clips;
            for (c, clip) in data.chunks(frames).enumerate() {
                prop_assert!(clip.iter().all(|i| c * a <= *i && *i < (c * a + a).max(1)), "{:?}", clip);
                prop_assert!(clip.is_sorted());
            }
        }

        #[test]
        fn one_frame_of_each_part(length in 1usize..2000, frames in 1usize..33, clips in 1usize..4, seed: u64, training: bool) {
            let data = run(clips, frames, length, sample(seed, training));
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
