//! `window_sampler`: clips of the windows that slide over a video.

use super::input::{length, number, positive};
use crate::contract::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Windows of T frames that follow each other, one beginning every `stride` frames; the list of windows is cut into N
/// parts, and each clip is a window of one part (the clips of CoMix's released code).
///
/// A video with fewer than `min_frames` has each frame repeated ⌈min_frames/L⌉ times in a row first. With L frames then
/// there are `⌊(L − T)/stride⌋` windows, 0, 1, …: a last one that would end with the video is left out, as released. Of n
/// windows the first `n mod N` parts have one more than the others. In training the window is drawn from its part, else
/// it is the part's first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "clips": "N", "frames": "T", "stride": 4 }]))]
pub struct WindowSampler {
    /// Clips of a video, N: a number or a name of `dims`.
    pub clips: Count,
    /// Frames of a clip, T.
    pub frames: Count,
    /// From the start of one window to the next, in frames.
    pub stride: usize,
    /// Frames that a video has at least, by repeated frames; without, as many as N windows take: T + N·stride (72 for
    /// CoMix's 16 clips of 8 frames every 4).
    #[serde(default)]
    pub min_frames: Option<usize>,
    /// Use the windows of the evaluation in training, too.
    #[serde(default)]
    pub test_mode: bool,
}

impl Kind for WindowSampler {
    const NAME: &'static str = "window_sampler";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        match self.stride {
            0 => vec![
                ParamProblem::new("stride", "`stride` must be at least 1")
                    .help("with 0 all windows would be the same frames"),
            ],
            _ => vec![],
        }
    }

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
        if self.test_mode { c } else { c.random() }
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let mut problems = vec![];
        let clips = number(&self.clips, "clips", cx.dims, &mut problems);
        let frames = positive(&self.frames, "frames", cx.dims, &mut problems);
        let least = frames.saturating_add(clips.saturating_mul(self.stride));
        let min_frames = self.min_frames.unwrap_or(least);
        if problems.is_empty() && min_frames < least {
            let there = min_frames.saturating_sub(frames) / self.stride;
            let message = format!("videos of {min_frames} frames have {there} windows, fewer than the {clips} clips");
            problems.push(ParamProblem::new("min_frames", message).help(format!(
                "{clips} windows take {least} frames: leave `min_frames` out, or raise it to that"
            )));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Body::Stage(Box::new(Windows {
            clips,
            frames,
            stride: self.stride,
            min_frames,
            test_mode: self.test_mode,
        })))
    }
}

struct Windows {
    clips: usize,
    frames: usize,
    stride: usize,
    min_frames: usize,
    test_mode: bool,
}

impl Windows {
    /// The windows of part `c`: the first, and how many there are.
    fn part(&self, c: usize, windows: usize) -> (usize, usize) {
        let (size, longer) = (windows / self.clips, windows % self.clips);
        (c * size + c.min(longer), size + usize::from(c < longer))
    }

    fn index(&self, cx: &SampleCx, length: usize) -> Vec<usize> {
        let repeat = self.min_frames.div_ceil(length).max(1);
        let windows = (length * repeat - self.frames) / self.stride;
        let mut data = Vec::with_capacity(self.clips * self.frames);
        for c in 0..self.clips {
            let (first, there) = self.part(c, windows);
            // A clip's numbers are its own, as in the other samplers.
            let window = match self.test_mode || !cx.training {
                true => first,
                false => first + cx.key.index(c as u64).rng().below(there),
            };
            data.extend((0..self.frames).map(|j| (window * self.stride + j) / repeat));
        }
        data
    }
}

impl Stage for Windows {
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
    use std::collections::BTreeSet;

    fn run(params: Value, length: usize, cx: SampleCx) -> Vec<Vec<usize>> {
        let frames = params["frames"].as_u64().unwrap() as usize;
        let data = index_of(&*built::<WindowSampler>(params), cx, length).remove(0);
        data.chunks(frames).map(<[usize]>::to_vec).collect()
    }

    fn comix() -> Value {
        json!({"clips": 16, "frames": 8, "stride": 4})
    }

    fn numbers(v: &Value) -> Vec<usize> {
        v.as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap() as usize)
            .collect()
    }

    #[test]
    fn evaluation_is_the_released_codes() {
        let rows = golden();
        for row in rows["comix"].as_array().unwrap() {
            let length = row["length"].as_u64().unwrap() as usize;
            let clips = run(comix(), length, sample(1, false));
            let want = row["test_starts"].as_array().unwrap();
            assert_eq!(clips.len(), want.len());
            for (clip, w) in clips.iter().zip(want) {
                match w.as_u64() {
                    Some(start) => assert_eq!(*clip, (start as usize..).take(8).collect::<Vec<_>>(), "{length}"),
                    None => assert_eq!(*clip, numbers(w), "{length}"),
                }
            }
        }
    }

    #[test]
    fn training_draws_every_window_of_its_part_and_no_other() {
        let rows = golden();
        for row in rows["comix"].as_array().unwrap() {
            let length = row["length"].as_u64().unwrap() as usize;
            let repeat = row["repeat"].as_u64().unwrap() as usize;
            let mut seen = vec![BTreeSet::new(); 16];
            for seed in 0..120 {
                let clips = run(comix(), length, sample(seed, true));
                clips.into_iter().zip(&mut seen).for_each(|(clip, s)| {
                    s.insert(clip);
                });
            }
            for (part, seen) in row["parts"].as_array().unwrap().iter().map(numbers).zip(seen) {
                let window = |w: usize| (0..8).map(|j| (w * 4 + j) / repeat).collect::<Vec<_>>();
                let want: BTreeSet<_> = (part[0]..=part[1]).map(window).collect();
                assert_eq!(seen, want, "{length}, windows {part:?}");
            }
        }
    }

    #[test]
    fn every_window_of_a_part_is_as_likely() {
        let mut seen = [0usize; 4];
        for seed in 0..4000 {
            // 250 frames: the first part has windows 0 to 3
            seen[run(comix(), 250, sample(seed, true))[0][0] / 4] += 1;
        }
        assert!(seen.iter().all(|n| (900..1100).contains(n)), "{seen:?}");
    }

    #[test]
    fn test_mode_is_the_evaluation() {
        let fixed = json!({"clips": 16, "frames": 8, "stride": 4, "test_mode": true});
        for length in [1, 30, 72, 250] {
            let eval = run(comix(), length, sample(1, false));
            assert_eq!(run(fixed.clone(), length, sample(2, true)), eval);
        }
    }

    #[test]
    fn frames_are_repeated_in_a_row() {
        // 3 frames, each four times: 0 0 0 0 1 1 1 1 2 2 2 2
        let p = json!({"clips": 2, "frames": 4, "stride": 3, "min_frames": 12});
        assert_eq!(run(p.clone(), 3, sample(1, false)), [[0, 0, 0, 0], [0, 1, 1, 1]]);
        // by default 4 + 2·3 = 10 frames: as often
        let p = json!({"clips": 2, "frames": 4, "stride": 3});
        assert_eq!(run(p.clone(), 3, sample(1, false)), [[0, 0, 0, 0], [0, 1, 1, 1]]);
        assert_eq!(run(p, 10, sample(1, false)), [[0, 1, 2, 3], [3, 4, 5, 6]]);
    }

    #[test]
    fn mistakes_are_reported() {
        let found = |p| problems::<WindowSampler>(p, &dims(&[("N", 16)]));
        assert_eq!(
            found(json!({"clips": "N", "frames": 8, "stride": 0})),
            ["stride: `stride` must be at least 1"]
        );
        assert_eq!(
            found(json!({"clips": "N", "frames": 8, "stride": 4, "min_frames": 71})),
            ["min_frames: videos of 71 frames have 15 windows, fewer than the 16 clips"]
        );
        assert!(found(json!({"clips": "N", "frames": 8, "stride": 4, "min_frames": 72})).is_empty());
        assert!(found(json!({"clips": 0, "frames": 8, "stride": 4})).is_empty());
        assert_eq!(
            found(json!({"clips": 1, "frames": 0, "stride": 4})),
            ["frames: `frames` must be at least 1"]
        );
    }

    proptest! {
        #[test]
        fn every_length_will_do(
            length in 1usize..500, clips in 0usize..9, frames in 1usize..17, stride in 1usize..9, more in 0usize..50,
            seed: u64, training: bool,
        ) {
            let least = frames + clips * stride + more;
            let p = json!({"clips": clips, "frames": frames, "stride": stride, "min_frames": least});
            let data = run(p, length, sample(seed, training));
            prop_assert_eq!(data.len(), clips);
            let repeat = least.div_ceil(length);
            for clip in &data {
                prop_assert!(clip.iter().all(|i| *i < length));
                prop_assert!(clip.windows(2).all(|w| w[1] - w[0] <= 1));
                // no frame more often than it is repeated
                prop_assert!(clip.len() <= repeat || clip[repeat] > clip[0]);
            }
            prop_assert!(data.windows(2).all(|w| w[0] <= w[1] && (w[0] < w[1] || repeat > 1)), "{:?}", data);
        }
    }
}
