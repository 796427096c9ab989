//! `grid_sampler`: the released code's sampler.

use super::input::{length, positive};
use super::starts;
use crate::contract::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// The sampler of the released code: n dense clips over the video make a matrix of frame numbers, of which some
/// columns are the global and some rows the local clips.
///
/// Frame j of clip k is `(start_k + j·interval) mod L`. With `ori = T·interval`, a training start is drawn from part k
/// of n of the room `L − ori + 1`; in videos with less than one start for each part the starts are sorted draws, or
/// spread evenly. In evaluation `start_k = floor(k·a + a/2)`, `a = (L − ori + 1)/n`, or 0 where no clip fits. Only
/// the cells that are named here are decoded.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GridSampler {
    /// Rows of the matrix, n: clips spread over the video.
    #[serde(default = "eight")]
    pub clips: Count,
    /// Columns of the matrix, T: frames of a clip.
    #[serde(default = "eight")]
    pub frames: Count,
    /// From one frame of a clip to the next, in frames of the video.
    #[serde(default = "two")]
    pub interval: usize,
    /// Columns that are global clips, from 0: each has one frame of every row. Empty: no global view.
    #[serde(default = "fourth")]
    pub columns: Vec<usize>,
    /// Rows that are local clips, from 0. Empty: no local view.
    #[serde(default = "middle")]
    pub rows: Vec<usize>,
    /// Use the starts of the evaluation in training, too (released: for the target).
    #[serde(default)]
    pub test_mode: bool,
}

fn eight() -> Count {
    Count::number(8)
}

fn two() -> usize {
    2
}

fn fourth() -> Vec<usize> {
    vec![3]
}

fn middle() -> Vec<usize> {
    vec![4, 5]
}

impl Kind for GridSampler {
    const NAME: &'static str = "grid_sampler";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        match self.interval {
            0 => vec![ParamProblem::new("interval", "`interval` must be at least 1")],
            _ => vec![],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        let (n, t, g, l) = (&self.clips, &self.frames, self.columns.len(), self.rows.len());
        let c = Contract::on(Side::Host)
            .input(
                "video",
                "Video|Flow|Sequence[B,*S]",
                "the video, its optical flow, or its features",
            )
            .output(
                "global",
                &format!("FrameIndex[B,{g},{n}]"),
                "frame numbers of the columns",
            )
            .output("local", &format!("FrameIndex[B,{l},{t}]"), "frame numbers of the rows");
        if self.test_mode { c } else { c.random() }
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let mut problems = vec![];
        let clips = positive(&self.clips, "clips", cx.dims, &mut problems);
        let frames = positive(&self.frames, "frames", cx.dims, &mut problems);
        if problems.is_empty() {
            for (param, list, size) in [("columns", &self.columns, frames), ("rows", &self.rows, clips)] {
                for i in list.iter().filter(|i| **i >= size) {
                    let message = format!("{i} is none of the {size} {param}, 0 to {}", size - 1);
                    problems.push(ParamProblem::new(param, message));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Body::Stage(Box::new(Grid {
            clips,
            frames,
            interval: self.interval,
            columns: self.columns.clone(),
            rows: self.rows.clone(),
            test_mode: self.test_mode,
        })))
    }
}

struct Grid {
    clips: usize,
    frames: usize,
    interval: usize,
    columns: Vec<usize>,
    rows: Vec<usize>,
    test_mode: bool,
}

impl Grid {
    fn starts(&self, cx: &SampleCx, length: usize) -> Vec<usize> {
        let (n, ori) = (self.clips, self.frames * self.interval);
        if self.test_mode || !cx.training {
            return starts::even(length, ori, n);
        }
        let mut draw = cx.key.rng();
        // Starts that keep a whole clip inside: L − ori + 1, and no less than 0 where none does.
        let room = (length + 1).saturating_sub(ori);
        let part = room / n;
        if part > 0 {
            (0..n).map(|k| k * part + draw.below(part)).collect()
        } else if length > n.max(ori) {
            let mut v: Vec<usize> = (0..n).map(|_| draw.below(room)).collect();
            v.sort_unstable();
            v
        } else {
            // A start behind the last frame would be the first one again.
            let last = length.saturating_sub(1);
            (0..n).map(|k| round_half_even(k * room, n).min(last)).collect()
        }
    }
}

/// `a / b` to the nearest whole number, halves to the even one.
fn round_half_even(a: usize, b: usize) -> usize {
    let (q, twice) = (a / b, 2 * (a % b));
    q + usize::from(twice > b || (twice == b && q % 2 == 1))
}

impl Stage for Grid {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let length = length(inputs)?;
        let starts = self.starts(cx, length);
        let cell = |k: usize, j: usize| (starts[k] + j * self.interval) % length;
        let local: Vec<usize> = self.rows.iter().map(|k| starts[*k]).collect();
        Ok(vec![
            HostValue::Index(Arc::new(FrameIndex {
                frames: self.clips,
                data: (self.columns.iter())
                    .flat_map(|j| (0..self.clips).map(move |k| cell(k, *j)))
                    .collect(),
            })),
            HostValue::Index(Arc::new(FrameIndex {
                frames: self.frames,
                data: starts::frames(&local, self.frames, self.interval, length),
            })),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, dims, index_of, problems, sample};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const NUMBERS: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

    /// All starts, the global clip and the local clips.
    fn run(length: usize, cx: SampleCx) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
        let all = built::<GridSampler>(json!({"columns": [0], "rows": NUMBERS}));
        let mut views = index_of(&*built::<GridSampler>(json!({})), cx, length);
        let local = views.remove(1);
        (index_of(&*all, cx, length).remove(0), views.remove(0), local)
    }

    #[test]
    fn golden_values_of_the_released_test_mode() {
        let test = |length| run(length, sample(0, false));

        let (starts, global, local) = test(11);
        assert_eq!((starts, global), (vec![0; 8], vec![6; 8]));
        assert_eq!(local, [0, 2, 4, 6, 8, 10, 1, 3, 0, 2, 4, 6, 8, 10, 1, 3]);
        for length in [15, 16] {
            let (starts, global, local) = test(length);
            assert_eq!((starts, global), (vec![0; 8], vec![6; 8]));
            let clip = [0, 2, 4, 6, 8, 10, 12, 14];
            assert_eq!(local, [clip, clip].concat());
        }
        let (starts, global, _) = test(20);
        assert_eq!(starts, [0, 0, 1, 2, 2, 3, 4, 4]);
        assert_eq!(global, [6, 6, 7, 8, 8, 9, 10, 10]);
        assert_eq!(test(31).0, [1, 3, 5, 7, 9, 11, 13, 15]);
        let (starts, global, local) = test(54);
        assert_eq!(starts, [2, 7, 12, 17, 21, 26, 31, 36]);
        assert_eq!(global, [8, 13, 18, 23, 27, 32, 37, 42]);
        assert_eq!(local, [21, 23, 25, 27, 29, 31, 33, 35, 26, 28, 30, 32, 34, 36, 38, 40]);
        assert_eq!(test(111).0, [6, 18, 30, 42, 54, 66, 78, 90]);
        let (starts, global, _) = test(300);
        assert_eq!(starts, [17, 53, 89, 124, 160, 195, 231, 267]);
        assert_eq!(global, [23, 59, 95, 130, 166, 201, 237, 273]);
    }

    #[test]
    fn training_draws_from_the_parts_of_the_room() {
        // room 40, 5 starts for each clip
        let mut seen = [0usize; 40];
        for seed in 0..2000 {
            for (k, s) in run(55, sample(seed, true)).0.into_iter().enumerate() {
                assert_eq!(s / 5, k);
                seen[s] += 1;
            }
        }
        assert!(seen.iter().all(|n| (310..490).contains(n)), "{seen:?}");
    }

    #[test]
    fn training_in_short_videos() {
        // room 5 for 8 clips: sorted draws
        let (mut lows, mut highs) = (0, 0);
        for seed in 0..200 {
            let starts = run(20, sample(seed, true)).0;
            assert!(starts.is_sorted() && starts[7] <= 4, "{starts:?}");
            lows += usize::from(starts[0] == 0);
            highs += usize::from(starts[7] == 4);
        }
        // each happens unless 8 draws of 5 all miss: p = 1 − .8⁸ = .83
        assert!(
            (145..190).contains(&lows) && (145..190).contains(&highs),
            "{lows}, {highs}"
        );
        // one start: round(k/8), half to even
        assert_eq!(run(16, sample(1, true)).0, [0, 0, 0, 0, 0, 1, 1, 1]);
        for length in [1, 7, 15] {
            assert_eq!(run(length, sample(1, true)).0, [0; 8]);
        }
    }

    #[test]
    fn test_mode_is_the_evaluation() {
        let target = built::<GridSampler>(json!({"test_mode": true}));
        for length in [5, 20, 300] {
            let (_, global, local) = run(length, sample(0, false));
            assert_eq!(index_of(&*target, sample(9, true), length), [global, local]);
        }
    }

    #[test]
    fn cells_outside_the_matrix_are_reported() {
        let found = problems::<GridSampler>(json!({"columns": [8], "rows": [4, 9], "interval": 2}), &dims(&[]));
        assert_eq!(
            found,
            [
                "columns: 8 is none of the 8 columns, 0 to 7",
                "rows: 9 is none of the 8 rows, 0 to 7"
            ]
        );
    }

    #[test]
    fn halves_go_to_the_even_number() {
        let rounded: Vec<usize> = (0..12).map(|a| round_half_even(a, 4)).collect();
        assert_eq!(rounded, [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 3]);
    }

    #[test]
    fn no_clip_starts_behind_the_end() {
        let p = json!({"clips": 4, "frames": 1, "interval": 1, "columns": [0], "rows": [0, 1, 2, 3]});
        let views = index_of(&*built::<GridSampler>(p), sample(1, true), 2);
        assert_eq!(views[0], [0, 0, 1, 1]);
    }

    proptest! {
        #[test]
        fn every_length_will_do(
            length in 1usize..600, clips in 1usize..12, frames in 1usize..17, interval in 1usize..4, seed: u64, training: bool,
        ) {
            let rows: Vec<usize> = (0..clips).collect();
            let p = json!({"clips": clips, "frames": frames, "interval": interval, "columns": [0], "rows": rows});
            let views = index_of(&*built::<GridSampler>(p), sample(seed, training), length);
            prop_assert_eq!((views[0].len(), views[1].len()), (clips, clips * frames));
            prop_assert!(views.iter().flatten().all(|i| *i < length));
            prop_assert!(views[0].is_sorted());
            if frames * interval <= length {
                prop_assert!(views[0].iter().all(|s| s + frames * interval <= length + 1), "{:?}", views[0]);
            }
        }
    }
}
