//! A data side for tests: samples without files.

use super::feed::{Recipe, Want};
use super::host::HostSide;
use super::order::{Drawn, Replace};
use crate::program::{Call, Program, ProgramKind, ValueId, ValueInfo};
use glad_nodes::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Frames of no file: the tests make samples, not pictures.
struct NoFootage;
impl Footage for NoFootage {
    fn frame_count(&self) -> Result<usize, DataError> {
        Ok(1)
    }
    fn frames(&self, _: &[usize]) -> Result<Vec<Frame>, DataError> {
        Err(DataError::sample("no frames"))
    }
}

struct List;
impl Source for List {
    fn videos(&self, _: &str) -> Result<Vec<Arc<Video>>, SourceError> {
        Ok(vec![])
    }
    fn values(&self, video: &Arc<Video>) -> Result<Vec<HostValue>, DataError> {
        Ok(vec![HostValue::Video(video.clone())])
    }
    fn absent(&self) -> Vec<String> {
        vec![]
    }
    fn splits(&self) -> Vec<String> {
        vec![]
    }
    fn classes(&self) -> Result<Option<Vec<String>>, SourceError> {
        Ok(None)
    }
}

/// Counts the samples that were begun; every seventh video fails, and work takes uneven time. Gives the video's number as its
/// label, and four bytes of it as a clip.
struct Work(Arc<AtomicUsize>);
impl Stage for Work {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let video = inputs.video("video")?;
        if video.path.ends_with("hangs.mp4") {
            return Err(DataError::fatal("hangs.mp4: nothing came of it"));
        }
        if video.index % 7 == 3 {
            return Err(DataError::sample("damaged"));
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
pub(super) fn program(begun: Arc<AtomicUsize>) -> Program {
    let call = |node: &str, side, body, inputs, outputs: &[usize]| Call {
        node: node.into(),
        kind: "test",
        stream: Some(0),
        batch: 4,
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
        owner: String::new(),
        per_stream: vec![],
        whole_list: None,
        over_list: false,
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
        parts: 1,
        batches: vec![4],
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
        copies: vec![],
        weights: Default::default(),
        rounds: vec![],
        losses: vec![],
        roots: vec![],
        reach: vec![],
        labels: vec![],
        frozen: vec![],
        reset: vec![],
        statistics: vec![],
        refresh: None,
        kept: 1,
    }
}

/// A program with the one list that it goes through.
pub(super) struct Data {
    pub program: Program,
    /// Samples begun so far.
    pub begun: Arc<AtomicUsize>,
    lists: Vec<Vec<Arc<Video>>>,
}

impl Data {
    /// [`program`] on these videos.
    pub(super) fn new(videos: impl IntoIterator<Item = Arc<Video>>) -> Data {
        let begun = Arc::new(AtomicUsize::new(0));
        Data {
            program: program(begun.clone()),
            begun,
            lists: vec![videos.into_iter().collect()],
        }
    }

    /// On twenty videos.
    pub(super) fn twenty() -> Data {
        Data::new((0..20).map(|i| video(i, "v")))
    }

    pub(super) fn host(&self) -> HostSide<'_> {
        HostSide::new(&self.program, HashMap::new(), true).unwrap()
    }

    /// How `host` makes samples of it.
    pub(super) fn recipe<'a>(&'a self, host: &'a HostSide<'a>, replace: Option<&'a dyn Replace>) -> Recipe<'a> {
        Recipe {
            host,
            lists: &self.lists,
            streams: &self.program.streams,
            key: Key::new(5),
            replace,
        }
    }
}

/// Draws one of twenty videos in the place of a bad one.
pub(super) fn other(_: usize, drawn: Drawn, attempt: u64) -> usize {
    let key = Key::new(5).index(drawn.video as u64).index(attempt);
    key.rng().below(20)
}

/// The `i`-th sample of passes over twenty videos, as if they were one.
pub(super) fn want(i: usize) -> Want {
    Want {
        stream: 0,
        drawn: Drawn { pass: 0, video: i % 20 },
    }
}

/// A video of no file.
pub(super) fn video(index: usize, path: &str) -> Arc<Video> {
    Arc::new(Video {
        index,
        path: path.into(),
        line: String::new(),
        label: None,
        footage: Arc::new(NoFootage),
    })
}
