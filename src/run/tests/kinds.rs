//! Kinds for the small graph: videos without files, which are a few bytes each.

use anyhow::{Context, Result, bail};
use candle_core::{DType, Tensor};
use glad_nodes::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::cell::RefCell;
use std::sync::Arc;

/// Classes of the small graph.
pub(super) const CLASSES: usize = 3;
/// Features of a video.
pub(super) const FEATURES: usize = 6;

thread_local! {
    /// What reached the device on this thread, call by call.
    static SEEN: RefCell<Vec<Vec<Row>>> = const { RefCell::new(vec![]) };
}

/// A video's row of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// The stream's number.
    pub stream: usize,
    /// The video's place in the list.
    pub video: usize,
    /// What `pixels` drew for it.
    pub drawn: usize,
    /// Its features.
    pub x: Vec<f64>,
}

/// What reached the device on this thread since the last call of this function.
pub(super) fn seen() -> Vec<Vec<Row>> {
    SEEN.take()
}

/// Makes that which [`seen`] took seen again.
pub(super) fn put_back(rows: Vec<Vec<Row>>) {
    SEEN.set(rows);
}

/// The library's kinds and these.
pub(super) fn registry() -> Registry {
    let mut r = glad_nodes::registry();
    r.add::<Numbers>();
    r.add::<Pixels>();
    r.add::<Rows>();
    r.add::<Together>();
    r.add::<Given>();
    r
}

/// The class of a video.
pub(super) fn class(video: usize) -> usize {
    (video * video + video / 2) % CLASSES
}

/// So many videos.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Numbers {
    videos: usize,
    /// Their classes, in place of those that follow from their numbers.
    #[serde(default)]
    labels: Option<Vec<usize>>,
}

impl Kind for Numbers {
    const NAME: &'static str = "numbers";
    const GROUP: Group = Group::Data;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Host)
            .output("video", "Video[B]", "the video")
            .output("label", "Label[B]", "its class")
            .supervision()
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let label = |video| self.labels.as_ref().map_or_else(|| class(video), |all| all[video]);
        Ok(Body::Source(Box::new(Counted((0..self.videos).map(label).collect()))))
    }
}

/// The classes of the videos.
struct Counted(Vec<usize>);

impl Source for Counted {
    fn videos(&self, _: &str) -> Result<Vec<Arc<Video>>, SourceError> {
        let video = |index| {
            Arc::new(Video {
                index,
                path: format!("video{index}").into(),
                line: format!("list:{}", index + 1),
                label: Some(self.0[index]),
                footage: Arc::new(NoFootage),
            })
        };
        Ok((0..self.0.len()).map(video).collect())
    }

    fn values(&self, video: &Arc<Video>) -> Result<Vec<HostValue>, DataError> {
        let label = video.label.context("all have one")?;
        Ok(vec![HostValue::Video(video.clone()), HostValue::Label(label as u32)])
    }

    fn absent(&self) -> Vec<String> {
        vec![]
    }

    fn splits(&self) -> Vec<String> {
        vec!["train".into(), "test".into()]
    }

    fn classes(&self) -> Result<Option<Vec<String>>, SourceError> {
        Ok(None)
    }
}

struct NoFootage;

impl Footage for NoFootage {
    fn frame_count(&self) -> Result<usize, DataError> {
        Ok(1)
    }

    fn frames(&self, _: &[usize]) -> Result<Vec<Frame>, DataError> {
        Err(DataError::sample("there are none"))
    }
}

/// A clip of one frame of one row: the number of the stream, that of the video, what was drawn, and bytes that follow from
/// these.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pixels {
    /// The number of the stream.
    stream: usize,
    /// The numbers drawn are below this.
    #[serde(default = "one")]
    draws: usize,
    /// Videos that cannot be used.
    #[serde(default)]
    bad: Vec<usize>,
    /// Videos that the node panics on.
    #[serde(default)]
    panics: Vec<usize>,
}

fn one() -> usize {
    1
}

impl Kind for Pixels {
    const NAME: &'static str = "pixels";
    const GROUP: Group = Group::Data;

    fn contract(&self, _: &Wiring) -> Contract {
        let w = FEATURES / 3;
        Contract::on(Side::Host)
            .input("video", "Video[B]", "the video")
            .output("clips", &format!("Clip[B,1,1,1,{w},3]"), "its bytes")
            .random()
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Stage(Box::new(self.clone())))
    }
}

impl Stage for Pixels {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let video = inputs.video("video")?.index;
        assert!(!self.panics.contains(&video), "video {video} is too much");
        if self.bad.contains(&video) {
            return Err(DataError::sample("its bytes are bad"));
        }
        let drawn = cx.key.rng().below(self.draws);
        let mut data = vec![self.stream as u8, video as u8, drawn as u8];
        while data.len() < FEATURES {
            let i = data.len();
            data.push(((video * 89 + i * i * 53 + self.stream * 31 + drawn * 7) % 251) as u8);
        }
        let shape = [1, 1, 1, FEATURES / 3, 3];
        Ok(vec![HostValue::Clips(Arc::new(Clips { shape, data }))])
    }

    fn finish(&self, videos: &[Arc<Video>], bad: &[(usize, String)]) -> Result<Vec<String>, DataError> {
        let bad: Vec<usize> = bad.iter().map(|(video, _)| *video).collect();
        Ok(vec![format!("{} videos, without {bad:?}", videos.len())])
    }
}

/// Bytes as features, from -1 to about 3. Notes what it gets.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rows {}

impl Kind for Rows {
    const NAME: &'static str = "rows";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("clips", "Clip[B,N,T,H,W,C]", "clips")
            .constant()
            .output("x", &format!("Feature[B,{FEATURES}]"), "their bytes")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

impl Compute for Rows {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let bytes = inputs.one("clips")?.flatten_from(1)?.to_dtype(DType::F32)?;
        let x = ((&bytes / 64.0)? - 1.0)?;
        let row = |(bytes, x): (Vec<f32>, Vec<f32>)| Row {
            stream: bytes[0] as usize,
            video: bytes[1] as usize,
            drawn: bytes[2] as usize,
            x: x.into_iter().map(f64::from).collect(),
        };
        let rows = bytes.to_vec2::<f32>()?.into_iter().zip(x.to_vec2::<f32>()?).map(row);
        SEEN.with_borrow_mut(|seen| seen.push(rows.collect()));
        Ok((vec![x], Box::new(())))
    }

    fn backward(&self, _: &mut Step<'_>, _: Saved, _: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None])
    }
}

/// Rows less the mean of all rows of all streams: a joint node.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Together {}

impl Kind for Together {
    const NAME: &'static str = "together";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "Feature[B,D]", "rows")
            .output("x", "Feature[B,D]", "them, about their mean")
            .joint(true)
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

impl Compute for Together {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let mean = Tensor::cat(inputs.all("x"), 0)?.mean_keepdim(0)?;
        let about = |x: &Tensor| x.broadcast_sub(&mean);
        Ok((
            inputs.all("x").iter().map(about).collect::<Result<_, _>>()?,
            Box::new(()),
        ))
    }

    fn backward(&self, _: &mut Step<'_>, _: Saved, _: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        bail!("it is for views")
    }
}

/// Takes the place of a backbone: the features of every video are a weight, found by the numbers that `pixels` writes. Notes what it gets.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Given {
    /// Clips of a video: the first of those that are given.
    clips: Count,
    /// The shape of what is given for a video: clips, and values of a clip.
    shape: [usize; 2],
    /// Videos of each stream.
    videos: Vec<usize>,
}

impl Kind for Given {
    const NAME: &'static str = "given";
    const GROUP: Group = Group::Model;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("clips", "Clip[B,N,T,H,W,C]", "clips")
            .constant()
            .output(
                "feature",
                &format!("Feature[B,{},{}]", self.clips, self.shape[1]),
                "what is given for them",
            )
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let Some(Size::Known(clips)) = cx.outputs[0].dims.get(1) else {
            return Err(vec![ParamProblem::new("clips", "it is known by now")]);
        };
        Ok(Body::Compute(Box::new(GivenRows {
            videos: self.videos.clone(),
            shape: [self.videos.iter().sum(), self.shape[0], self.shape[1]],
            clips: *clips,
        })))
    }
}

struct GivenRows {
    videos: Vec<usize>,
    /// Of all features, those of the first stream first.
    shape: [usize; 3],
    clips: usize,
}

impl Compute for GivenRows {
    fn weights(&self) -> Vec<WeightSpec> {
        vec![WeightSpec::new(
            "feature",
            &self.shape,
            Init::Constant(0.0),
            Role::Weight,
        )]
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let bytes = inputs.one("clips")?.flatten_from(1)?.to_vec2::<u8>()?;
        let seen = |row: &Vec<u8>| Row {
            stream: row[0] as usize,
            video: row[1] as usize,
            drawn: row[2] as usize,
            x: vec![],
        };
        SEEN.with_borrow_mut(|all| all.push(bytes.iter().map(seen).collect()));
        let at = |row: Vec<u8>| self.videos[..row[0] as usize].iter().sum::<usize>() as u32 + u32::from(row[1]);
        let rows = Tensor::from_iter(bytes.into_iter().map(at), step.device)?;
        let x = step.weights.value("feature")?.index_select(&rows, 0)?;
        let x = x.narrow(1, 0, self.clips)?.contiguous()?;
        Ok((vec![x], Box::new(rows)))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let rows = kept::<Tensor>(saved)?;
        if let Some(dy) = arrived(&mut grads, 0) {
            let dy = dy.pad_with_zeros(1, 0, self.shape[1] - self.clips)?;
            let none = Tensor::zeros(&self.shape[..], DType::F32, step.device)?;
            step.weights.add_grad("feature", none.index_add(&rows, &dy, 0)?)?;
        }
        Ok(vec![None])
    }
}
