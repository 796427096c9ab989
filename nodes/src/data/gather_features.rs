//! `gather_features`: rows of a video's features, as samplers named them.

use crate::contract::*;
use anyhow::anyhow;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Reads the rows of a `feature_list` that samplers named, and no others; what `decoder` is for frames. The rows of the first
/// index come first, then those of the next, in the order of their numbers, which are those of rows here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatherFeatures {
    /// What becomes of the `T` rows of a clip.
    #[serde(default)]
    pub clips: ClipRows,
}

/// What becomes of the rows of a clip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClipRows {
    /// Each row is one for itself: `[B,N*T,D]`.
    #[default]
    Rows,
    /// A clip is the mean of its rows: `[B,N,D]`.
    Mean,
}

impl Kind for GatherFeatures {
    const NAME: &'static str = "gather_features";
    const GROUP: Group = Group::Data;

    fn contract(&self, wiring: &Wiring) -> Contract {
        let clips: Vec<String> = (0..wiring.of("index").max(1)).map(|i| format!("N{i}")).collect();
        let index: Vec<String> = clips.iter().map(|n| format!("FrameIndex[B,{n},T]")).collect();
        let rows: Vec<String> = clips
            .iter()
            .map(|n| match self.clips {
                ClipRows::Rows => format!("{n}*T"),
                ClipRows::Mean => n.clone(),
            })
            .collect();
        Contract::on(Side::Host)
            .input("video", "Sequence[B,D]", "the features of a video")
            .many("index", &index, "numbers of rows; clips of one length")
            .output("features", &format!("Feature[B,{},D]", rows.join("+")), "the rows")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let size = cx.input("video").map_or(Ok(1), |ty| crate::input::known(ty, 1))?;
        Ok(Body::Stage(Box::new(Gather {
            size,
            clips: self.clips,
        })))
    }
}

struct Gather {
    size: usize,
    clips: ClipRows,
}

impl Stage for Gather {
    fn run(&self, _: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let video = inputs.video("video")?;
        let mut wanted = vec![];
        let mut frames = 1;
        for value in inputs.all("index") {
            let HostValue::Index(index) = value else {
                return Err(anyhow!("port `index` has no numbers of rows but {value:?}").into());
            };
            frames = index.frames;
            wanted.extend_from_slice(&index.data);
        }
        if wanted.is_empty() {
            return Err(DataError::sample("no rows are asked for"));
        }
        let mut data = video.footage.rows(&wanted)?;
        let mut rows = wanted.len();
        if self.clips == ClipRows::Mean && frames > 1 {
            rows /= frames;
            let clip = |c: &[f32]| {
                (0..self.size)
                    .map(|d| mean(&c[d..], self.size, frames))
                    .collect::<Vec<_>>()
            };
            data = data.chunks(frames * self.size).flat_map(clip).collect();
        }
        let shape = [rows, self.size];
        Ok(vec![HostValue::Features(Arc::new(Features { shape, data }))])
    }
}

/// The mean of every `step`-th of `n` numbers.
fn mean(of: &[f32], step: usize, n: usize) -> f32 {
    let sum: f64 = of.iter().step_by(step).map(|v| f64::from(*v)).sum();
    (sum / n as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build_cx, dims, node, numbered, sample, video_of};
    use super::*;
    use crate::testing::ty;
    use serde_json::{Value, json};

    /// Nine rows of two numbers: `n` and `n²`.
    struct Squares;

    impl Footage for Squares {
        fn frame_count(&self) -> Result<usize, DataError> {
            Ok(9)
        }
        fn frames(&self, _: &[usize]) -> Result<Vec<Frame>, DataError> {
            panic!("no frame is asked for")
        }
        fn rows(&self, wanted: &[usize]) -> Result<Vec<f32>, DataError> {
            Ok(wanted.iter().flat_map(|n| [*n as f32, (n * n) as f32]).collect())
        }
    }

    fn gather(params: Value) -> Box<dyn Stage> {
        let dims = dims(&[]);
        let mut cx = build_cx(&dims);
        cx.inputs.insert("video".into(), vec![ty("Sequence", "B,2")]);
        match node::<GatherFeatures>(params).build(&cx) {
            Ok(Body::Stage(s)) => s,
            _ => panic!("not a stage"),
        }
    }

    fn of(params: Value, video: HostValue, indices: &[(usize, &[usize])]) -> Result<Arc<Features>, DataError> {
        let index = |(frames, data): &(usize, &[usize])| {
            HostValue::Index(Arc::new(FrameIndex {
                frames: *frames,
                data: data.to_vec(),
            }))
        };
        let inputs = Args::default()
            .with("video", vec![video])
            .with("index", indices.iter().map(index).collect());
        match gather(params).run(&sample(0, true), &inputs)?.remove(0) {
            HostValue::Features(f) => Ok(f),
            v => panic!("{v:?}"),
        }
    }

    #[test]
    fn rows_in_the_order_of_the_indices() {
        let f = of(json!({}), video_of(Squares), &[(2, &[8, 0]), (2, &[3, 3, 1, 2])]).unwrap();
        assert_eq!(f.shape, [6, 2]);
        assert_eq!(f.data, [8., 64., 0., 0., 3., 9., 3., 9., 1., 1., 2., 4.]);
    }

    #[test]
    fn clips_are_means_of_their_rows() {
        let f = of(
            json!({"clips": "mean"}),
            video_of(Squares),
            &[(2, &[8, 0]), (2, &[3, 3, 1, 2])],
        )
        .unwrap();
        assert_eq!((f.shape, &f.data[..]), ([3, 2], &[4., 32., 3., 9., 1.5, 2.5][..]));
    }

    #[test]
    fn a_video_of_frames_has_none() {
        let e = of(json!({}), numbered(9), &[(1, &[0])]).unwrap_err();
        assert_eq!(e.to_string(), "the video has frames, and no features");
        let e = of(json!({}), video_of(Squares), &[(1, &[])]).unwrap_err();
        assert_eq!(e.to_string(), "no rows are asked for");
    }

    #[test]
    fn the_contract_counts_rows_or_clips() {
        let output = |params: Value| {
            let wiring = Wiring {
                count: [("index".to_string(), 2)].into(),
            };
            node::<GatherFeatures>(params).contract(&wiring).outputs[0]
                .ty
                .to_string()
        };
        assert_eq!(output(json!({})), "Feature[B,N0*T+N1*T,D]");
        assert_eq!(output(json!({"clips": "mean"})), "Feature[B,N0+N1,D]");
    }
}
