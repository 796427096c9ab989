//! `dense_sampler`: clips of neighbouring frames.

use super::input::{length, number, positive};
use super::starts;
use crate::contract::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Local clips: T frames, `interval` apart, from a random start (the paper's local sampling).
///
/// Frame j of a clip is `(start + j·interval) mod L`, so every length from one frame on will do. A clip's span is
/// `T·interval` frames. In training the starts are independent draws, with the whole span inside the video where it
/// fits. With `ordered` the clips come in increasing time, as an order loss needs them: N draws are sorted and moved
/// apart, so that starts are at least a span apart, or as far as the video allows, and no less than `min_gap`. In
/// evaluation clip i starts at the middle of part i of the room that there is, or at `test_starts`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenseSampler {
    /// Clips of a video, N: a number or a name of `dims`. With 0 there is no local view.
    pub clips: Count,
    /// Frames of a clip, T.
    pub frames: Count,
    /// From one frame of a clip to the next, in frames of the video.
    #[serde(default = "one")]
    pub interval: usize,
    /// Draw clips that come in increasing time and lie apart.
    #[serde(default)]
    pub ordered: bool,
    /// Frames between the starts of neighbouring clips without which their order is not defined.
    #[serde(default = "one")]
    pub min_gap: usize,
    /// Where the clips of the evaluation start, as shares of the video's length, one for each clip.
    #[serde(default)]
    pub test_starts: Option<Vec<f64>>,
    /// Use the starts of the evaluation in training, too.
    #[serde(default)]
    pub test_mode: bool,
}

fn one() -> usize {
    1
}

impl Kind for DenseSampler {
    const NAME: &'static str = "dense_sampler";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        if self.interval == 0 {
            problems.push(ParamProblem::new("interval", "`interval` must be at least 1"));
        }
        for (i, s) in self.test_starts.iter().flatten().enumerate() {
            if !(0.0..1.0).contains(s) {
                let message = format!("{s} is no share of the video's length: 0 ≤ start < 1");
                problems.push(ParamProblem::new(format!("test_starts[{i}]"), message));
            }
        }
        problems
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
            )
            .output(
                "valid",
                "Mask[B]",
                "whether all clips lie inside the video, in increasing time, `min_gap` apart",
            );
        if self.test_mode { c } else { c.random() }
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let mut problems = vec![];
        let clips = number(&self.clips, "clips", cx.dims, &mut problems);
        let frames = positive(&self.frames, "frames", cx.dims, &mut problems);
        if let Some(s) = &self.test_starts
            && s.len() != clips
        {
            let message = format!("{} starts for {clips} clips (`{}`)", s.len(), self.clips.expr());
            problems.push(
                ParamProblem::new("test_starts", message)
                    .help("give one for each clip; where views differ in their clips, give it in the view's `nodes`"),
            );
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Body::Stage(Box::new(Dense {
            clips,
            frames,
            interval: self.interval,
            ordered: self.ordered,
            min_gap: self.min_gap,
            test_starts: self.test_starts.clone(),
            test_mode: self.test_mode,
        })))
    }
}

struct Dense {
    clips: usize,
    frames: usize,
    interval: usize,
    ordered: bool,
    min_gap: usize,
    test_starts: Option<Vec<f64>>,
    test_mode: bool,
}

impl Dense {
    fn span(&self) -> usize {
        self.frames * self.interval
    }

    fn starts(&self, cx: &SampleCx, length: usize) -> Vec<usize> {
        if self.test_mode || !cx.training {
            return match &self.test_starts {
                Some(s) => s.iter().map(|s| (s * length as f64) as usize).collect(),
                None => starts::even(length, self.span(), self.clips),
            };
        }
        let room = (length + 1).saturating_sub(self.span()).max(1);
        match self.apart(length) {
            Some(gap) if self.ordered => {
                let free = length - self.span() - gap * self.clips.saturating_sub(1);
                let mut v = self.draws(cx, free + 1);
                v.sort_unstable();
                v.iter().enumerate().map(|(k, s)| s + k * gap).collect()
            }
            None if self.ordered => {
                let mut v = self.draws(cx, room);
                v.sort_unstable();
                v
            }
            _ => self.draws(cx, room),
        }
    }

    /// How far apart ordered starts are at least: a span, or what the video allows; `None` where that is less than
    /// `min_gap`.
    fn apart(&self, length: usize) -> Option<usize> {
        let room = length.checked_sub(self.span())?;
        let share = match self.clips {
            0 | 1 => return Some(0),
            n => room / (n - 1),
        };
        (share >= self.min_gap).then(|| share.min(self.span().max(self.min_gap)))
    }

    /// A start in 0..`below` for each clip. A clip's numbers are its own: another clip more changes none of them.
    fn draws(&self, cx: &SampleCx, below: usize) -> Vec<usize> {
        (0..self.clips as u64)
            .map(|c| cx.key.index(c).rng().below(below))
            .collect()
    }

    /// Whether the order of clips with these starts is defined.
    fn defined(&self, starts: &[usize], length: usize) -> bool {
        starts.iter().all(|s| s + self.span() <= length) && starts.windows(2).all(|w| w[0] + self.min_gap <= w[1])
    }
}

impl Stage for Dense {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let length = length(inputs)?;
        let starts = self.starts(cx, length);
        Ok(vec![
            HostValue::Index(Arc::new(FrameIndex {
                frames: self.frames,
                data: starts::frames(&starts, self.frames, self.interval, length),
            })),
            HostValue::Mask(self.defined(&starts, length)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, dims, index_of, mask_of, problems, sample};
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// Starts of the clips, and whether their order is defined.
    fn run(params: Value, length: usize, cx: SampleCx) -> (Vec<usize>, bool) {
        let frames = params["frames"].as_u64().unwrap() as usize;
        let stage = built::<DenseSampler>(params);
        let index = index_of(&*stage, cx, length).remove(0);
        let starts = index.chunks(frames).map(|c| c[0]).collect();
        (starts, mask_of(&*stage, cx, length))
    }

    #[test]
    fn frames_go_on_from_the_beginning() {
        let stage = built::<DenseSampler>(json!({"clips": 1, "frames": 8, "interval": 2, "test_starts": [0.5]}));
        assert_eq!(index_of(&*stage, sample(0, false), 11)[0], [5, 7, 9, 0, 2, 4, 6, 8]);
        assert_eq!(index_of(&*stage, sample(0, false), 1)[0], [0; 8]);
    }

    #[test]
    fn evaluation_starts() {
        let middle = json!({"clips": 2, "frames": 8, "interval": 2});
        // room for 33 starts: their quarter and three quarters
        assert_eq!(run(middle.clone(), 48, sample(1, false)), (vec![8, 24], true));
        assert_eq!(run(middle, 10, sample(1, false)), (vec![0, 0], false));
        let given = json!({"clips": 2, "frames": 8, "interval": 4, "test_starts": [0.25, 0.55]});
        assert_eq!(run(given.clone(), 100, sample(1, false)), (vec![25, 55], true));
        // the second clip ends behind the video
        assert_eq!(run(given, 48, sample(1, false)), (vec![12, 26], false));
    }

    #[test]
    fn test_mode_is_the_evaluation() {
        let p = |test_mode| json!({"clips": 3, "frames": 8, "interval": 2, "ordered": true, "test_mode": test_mode});
        for length in [1, 40, 300] {
            let eval = run(p(false), length, sample(1, false));
            assert_eq!(run(p(true), length, sample(2, true)), eval);
            assert_eq!(run(p(true), length, sample(3, true)), eval);
        }
    }

    #[test]
    fn ordered_clips_of_a_video_that_just_fits() {
        let p = json!({"clips": 3, "frames": 8, "interval": 2, "ordered": true, "min_gap": 8});
        // 16 + 2·8 = 32 frames: one way only
        assert_eq!(run(p.clone(), 32, sample(1, true)), (vec![0, 8, 16], true));
        let (starts, valid) = run(p, 31, sample(1, true));
        assert!(!valid && starts.is_sorted(), "{starts:?}");
    }

    #[test]
    fn ordered_starts_are_sorted_draws_moved_apart() {
        // 6 ways to take two starts 2 apart from 0..=4: (0,2) (0,3) (0,4) (1,3) (1,4) (2,4); the sorted pairs behind
        // them are (0,0) (0,1) (0,2) (1,1) (1,2) (2,2): equal pairs come from one draw of nine, the others from two
        let p = json!({"clips": 2, "frames": 1, "interval": 2, "ordered": true, "min_gap": 2});
        let mut seen = std::collections::BTreeMap::new();
        for seed in 0..9000 {
            *seen.entry(run(p.clone(), 6, sample(seed, true)).0).or_insert(0usize) += 1;
        }
        assert_eq!(seen.len(), 6, "{seen:?}");
        for (s, n) in seen {
            let expected = if s[1] - s[0] == 2 { 1000 } else { 2000 };
            assert!(n.abs_diff(expected) < 150, "{s:?}: {n}");
        }
    }

    #[test]
    fn every_start_that_fits_is_as_likely_the_last_one_too() {
        for ordered in [false, true] {
            let p = json!({"clips": 1, "frames": 2, "interval": 2, "ordered": ordered});
            // 4 frames of 9: starts 0 to 5.
            let mut seen = [0usize; 6];
            for seed in 0..6000 {
                let (starts, valid) = run(p.clone(), 9, sample(seed, true));
                assert!(valid, "{starts:?}");
                seen[starts[0]] += 1;
            }
            assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
        }
        // Two clips, each drawn on its own: the same start may come twice.
        let p = json!({"clips": 2, "frames": 2, "interval": 2});
        let mut seen = [[0usize; 3]; 3];
        for seed in 0..9000 {
            let (starts, _) = run(p.clone(), 6, sample(seed, true));
            seen[starts[0]][starts[1]] += 1;
        }
        assert!(seen.iter().flatten().all(|n| (850..1150).contains(n)), "{seen:?}");
    }

    #[test]
    fn ordered_clips_are_a_span_apart_where_the_video_allows() {
        // Two spans of 6 frames: 12 fit once, 14 leave two frames to draw from.
        let p = |min_gap| json!({"clips": 2, "frames": 3, "interval": 2, "ordered": true, "min_gap": min_gap});
        assert_eq!(run(p(1), 12, sample(1, true)), (vec![0, 6], true));
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let (starts, valid) = run(p(1), 14, sample(seed, true));
            assert!(valid && starts[1] - starts[0] >= 6, "{starts:?}");
            seen.insert((starts[0], starts[1]));
        }
        let all = [(0, 6), (0, 7), (0, 8), (1, 7), (1, 8), (2, 8)];
        assert!(seen.into_iter().eq(all));
        // A video of 8 frames allows starts 2 apart, no more: defined for a gap of 2, not of 3.
        assert_eq!(run(p(2), 8, sample(1, true)), (vec![0, 2], true));
        assert!(!run(p(3), 8, sample(1, true)).1);
        // A larger gap than a span is kept, too.
        assert_eq!(run(p(9), 15, sample(1, true)), (vec![0, 9], true));
        assert!(!run(p(9), 14, sample(1, true)).1);
    }

    #[test]
    fn a_clip_more_leaves_the_others_as_they_are() {
        let of = |clips| {
            run(
                json!({"clips": clips, "frames": 4, "interval": 2}),
                200,
                sample(5, true),
            )
            .0
        };
        assert_eq!(of(3)[..2], of(2));
    }

    #[test]
    fn starts_that_do_not_fit_are_reported() {
        let found = problems::<DenseSampler>(
            json!({"clips": "L", "frames": 8, "test_starts": [0.25, 0.55]}),
            &dims(&[("L", 3)]),
        );
        assert_eq!(found, ["test_starts: 2 starts for 3 clips (`L`)"]);
        let found = problems::<DenseSampler>(
            json!({"clips": 1, "frames": 8, "interval": 0, "test_starts": [1.0]}),
            &dims(&[]),
        );
        assert_eq!(found.len(), 2, "{found:?}");
        let found = problems::<DenseSampler>(json!({"clips": 1, "frames": 0}), &dims(&[]));
        assert_eq!(found, ["frames: `frames` must be at least 1"]);
    }

    proptest! {
        #[test]
        fn every_length_will_do(
            length in 1usize..600, clips in 0usize..5, frames in 1usize..17, interval in 1usize..6,
            ordered: bool, min_gap in 0usize..40, seed: u64, training: bool,
        ) {
            let p = json!({"clips": clips, "frames": frames, "interval": interval, "ordered": ordered, "min_gap": min_gap});
            let stage = built::<DenseSampler>(p.clone());
            let data = index_of(&*stage, sample(seed, training), length).remove(0);
            prop_assert_eq!(data.len(), clips * frames);
            prop_assert!(data.iter().all(|i| *i < length));

            let (starts, valid) = run(p, length, sample(seed, training));
            let span = frames * interval;
            if training && span <= length {
                prop_assert!(starts.iter().all(|s| s + span <= length), "{:?}", starts);
            }
            if training && ordered {
                prop_assert!(starts.is_sorted());
                let share = length.checked_sub(span).map(|r| if clips > 1 { r / (clips - 1) } else { usize::MAX });
                prop_assert_eq!(valid, clips == 0 || share.is_some_and(|s| s >= min_gap));
                if valid && clips > 1 {
                    let apart = share.unwrap().min(span.max(min_gap));
                    prop_assert!(starts.windows(2).all(|w| w[1] - w[0] >= apart), "{:?}, {}", starts, apart);
                }
            }
        }
    }
}
