//! What the tests of the data kinds share.

use crate::contract::*;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// Footage of so many frames, 4 by 2 pixels, each filled with its number.
struct Numbered(usize);

impl Footage for Numbered {
    fn frame_count(&self) -> Result<usize, DataError> {
        Ok(self.0)
    }

    fn frames(&self, wanted: &[usize]) -> Result<Vec<Frame>, DataError> {
        let frame = |i: &usize| Frame {
            width: 4,
            height: 2,
            data: Arc::new(vec![*i as u8; 24]),
        };
        Ok(wanted.iter().map(frame).collect())
    }
}

pub(super) fn video_of(footage: impl Footage + 'static) -> HostValue {
    HostValue::Video(Arc::new(Video {
        index: 0,
        path: PathBuf::from("a.mp4"),
        line: "list.txt:1".into(),
        label: Some(3),
        footage: Arc::new(footage),
    }))
}

/// A video of `length` frames.
pub(super) fn numbered(length: usize) -> HostValue {
    video_of(Numbered(length))
}

pub(super) fn sample(seed: u64, training: bool) -> SampleCx {
    SampleCx {
        key: Key::new(seed),
        training,
    }
}

pub(super) fn dims(sizes: &[(&str, usize)]) -> DimScope {
    DimScope {
        globals: sizes.iter().map(|(n, s)| (n.to_string(), *s)).collect(),
        ..DimScope::default()
    }
}

/// What [`Kind::build`] may use, without inputs.
pub(super) fn build_cx(dims: &DimScope) -> BuildCx<'_> {
    BuildCx {
        inputs: Default::default(),
        outputs: vec![],
        dims,
        folder: PathBuf::new(),
    }
}

/// A node of kind `K` with these parameters.
pub(super) fn node<K: Kind>(params: Value) -> Arc<dyn Node> {
    let Ok(node) = KindEntry::of::<K>().parse(&params) else {
        panic!("{params}");
    };
    node
}

/// A stage of kind `K` with these parameters.
pub(super) fn built<K: Kind>(params: Value) -> Box<dyn Stage> {
    match node::<K>(params).build(&build_cx(&dims(&[]))) {
        Ok(Body::Stage(s)) => s,
        Ok(_) => panic!("not a stage"),
        Err(p) => panic!("{p:?}"),
    }
}

/// What is wrong with the parameters, as `path: message`.
pub(super) fn problems<K: Kind>(params: Value, dims: &DimScope) -> Vec<String> {
    let found = match KindEntry::of::<K>().parse(&params) {
        Err(p) => p,
        Ok(node) => node.build(&build_cx(dims)).err().unwrap_or_default(),
    };
    found.iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
}

/// All outputs that are frame numbers, for a video of `length` frames.
pub(super) fn index_of(stage: &dyn Stage, cx: SampleCx, length: usize) -> Vec<Vec<usize>> {
    let inputs = Args::default().with("video", vec![numbered(length)]);
    let outputs = stage.run(&cx, &inputs).unwrap();
    let index = |v| match v {
        HostValue::Index(i) => Some(i.data.clone()),
        _ => None,
    };
    outputs.into_iter().filter_map(index).collect()
}

/// The output that is a mask.
pub(super) fn mask_of(stage: &dyn Stage, cx: SampleCx, length: usize) -> bool {
    let inputs = Args::default().with("video", vec![numbered(length)]);
    let outputs = stage.run(&cx, &inputs).unwrap();
    let mask = |v: &HostValue| match v {
        HostValue::Mask(m) => Some(*m),
        _ => None,
    };
    outputs.iter().find_map(mask).unwrap()
}

/// Clips of these sizes, with bytes that tell where they are.
pub(super) fn clips(shape: [usize; 5]) -> Arc<Clips> {
    let n = shape.iter().product();
    Arc::new(Clips {
        shape,
        data: (0..n).map(|i: usize| (i * 31 % 251) as u8).collect(),
    })
}

/// Runs a stage that takes clips and gives clips.
pub(super) fn clips_through(stage: &dyn Stage, cx: SampleCx, clips: &Arc<Clips>) -> Arc<Clips> {
    let inputs = Args::default().with("clips", vec![HostValue::Clips(clips.clone())]);
    match stage.run(&cx, &inputs).unwrap().remove(0) {
        HostValue::Clips(c) => c,
        v => panic!("{v:?}"),
    }
}

/// Frame numbers of the released codes' samplers.
pub(super) fn golden() -> Value {
    serde_json::from_str(include_str!("golden/samplers.json")).unwrap()
}
