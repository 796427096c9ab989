//! A data side for tests: samples without files.

use crate::plan::{Call, Program, ProgramKind, ValueId, ValueInfo};
use anyhow::{Result, bail};
use glad_nodes::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Frames of no file: the tests make samples, not pictures.
struct NoFootage;
impl Footage for NoFootage {
    fn frame_count(&self) -> Result<usize> {
        Ok(1)
    }
    fn frames(&self, _: &[usize]) -> Result<Vec<Frame>> {
        bail!("no frames")
    }
}

struct List;
impl Source for List {
    fn videos(&self, _: &str) -> Result<Vec<Arc<Video>>> {
        Ok(vec![])
    }
    fn values(&self, video: &Arc<Video>) -> Result<Vec<HostValue>> {
        Ok(vec![HostValue::Video(video.clone())])
    }
    fn absent(&self, _: bool) -> Vec<String> {
        vec![]
    }
    fn splits(&self) -> Vec<String> {
        vec![]
    }
    fn classes(&self) -> Result<Option<Vec<String>>> {
        Ok(None)
    }
}

/// Counts the samples that were begun; every seventh video fails, and work takes uneven time. Gives the video's number as its
/// label, and four bytes of it as a clip.
struct Work(Arc<AtomicUsize>);
impl Stage for Work {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let video = inputs.video("video")?;
        if video.path.ends_with("hangs.mp4") {
            return Err(anyhow::Error::new(Fatal("hangs.mp4: nothing came of it".into())).context("node"));
        }
        if video.index % 7 == 3 {
            bail!("damaged");
        }
        std::thread::sleep(Duration::from_micros(cx.key.rng().below(200) as u64));
        let clips = Clips {
            shape: [1, 1, 2, 2, 1],
            data: vec![video.index as u8; 4],
        };
        Ok(vec![
            HostValue::Label(video.index as u32),
            HostValue::Clips(Arc::new(clips)),
        ])
    }
}

/// A list, [`Work`] on its videos, and batches of four.
pub fn program(begun: Arc<AtomicUsize>) -> Program {
    let call = |node: &str, side, body, inputs, outputs: &[usize]| Call {
        node: node.into(),
        kind: "test",
        stream: Some(0),
        joint: None,
        side,
        inputs,
        outputs: outputs.iter().map(|i| Some(ValueId(*i))).collect(),
        ports: ["label", "clips"][..outputs.len()]
            .iter()
            .map(|p| p.to_string())
            .collect(),
        body,
        gradient: Gradient::Stops,
        whole_list: None,
        trains: false,
        params: serde_json::Value::Null,
    };
    let value = |name: &str, head: &str, call| ValueInfo {
        name: name.into(),
        ty: Type {
            head: head.into(),
            dims: vec![Size::Batch(1)],
        },
        stream: Some(0),
        side: Side::Host,
        held_out: false,
        needs_grad: false,
        call,
    };
    Program {
        name: "main".into(),
        kind: ProgramKind::Phase,
        streams: vec!["source".into()],
        split: "train".into(),
        batch: 4,
        dims: DimScope::default(),
        values: vec![
            value("videos.video", "Video", 0),
            value("work.label", "Label", 1),
            value("work.clips", "Clip", 1),
            value("batch.label", "Label", 2),
            value("batch.clips", "Clip", 2),
        ],
        calls: vec![
            call("videos", Side::Host, 0, vec![], &[0]),
            call("work", Side::Host, 1, vec![("video".into(), vec![ValueId(0)])], &[1, 2]),
            call(
                "batch",
                Side::Boundary,
                2,
                vec![("label".into(), vec![ValueId(1)]), ("clips".into(), vec![ValueId(2)])],
                &[3, 4],
            ),
        ],
        bodies: vec![
            Body::Source(Box::new(List)),
            Body::Stage(Box::new(Work(begun))),
            Body::Boundary,
        ],
        sources: vec![0],
        weights: Default::default(),
        losses: vec![],
        roots: vec![],
        reach: vec![],
        frozen: vec![],
        reset: vec![],
    }
}

/// A video of no file.
pub fn video(index: usize, path: &str) -> Arc<Video> {
    Arc::new(Video {
        index,
        path: path.into(),
        line: String::new(),
        label: None,
        footage: Arc::new(NoFootage),
    })
}
