//! The host side of a program: from a video of a list to the values that the batch boundary takes.

use crate::program::{Program, ValueId};
use anyhow::{Context, Result, bail};
use glad_nodes::{Args, Body, DataError, HostValue, Key, SampleCx, Side, Source, Stage, Video};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The per-sample calls of every stream of a program.
pub(crate) struct HostSide<'a> {
    program: &'a Program,
    streams: Vec<StreamCalls<'a>>,
    /// Outputs of whole-list nodes, computed before the phase.
    resources: HashMap<ValueId, HostValue>,
    training: bool,
    /// Nanoseconds that the threads spent in each call of the program, together.
    spent: Vec<AtomicU64>,
}

struct StreamCalls<'a> {
    source: &'a dyn Source,
    source_outputs: Vec<Option<ValueId>>,
    stages: Vec<(usize, &'a dyn Stage)>,
    wanted: Vec<ValueId>,
}

/// The values of one sample that cross to the device.
#[derive(Debug)]
pub(crate) struct Sample {
    /// The video they are of.
    pub video: Arc<Video>,
    /// Values, by id.
    pub values: HashMap<ValueId, HostValue>,
}

impl<'a> HostSide<'a> {
    /// The host side of `program`, with its whole-list nodes already computed.
    ///
    /// # Errors
    /// A stream has no source of videos.
    pub(crate) fn new(program: &'a Program, resources: HashMap<ValueId, HostValue>, training: bool) -> Result<Self> {
        let mut streams = vec![];
        for (s, source_call) in program.sources.iter().enumerate() {
            let call = &program.calls[*source_call];
            let Body::Source(source) = &program.bodies[call.body] else {
                bail!("`{}` is no source of videos", call.node);
            };
            let mut stages: Vec<(usize, &dyn Stage)> = vec![];
            for (i, c) in program.calls.iter().enumerate() {
                if c.stream == Some(s)
                    && c.side == Side::Host
                    && let Body::Stage(stage) = &program.bodies[c.body]
                {
                    stages.push((i, stage.as_ref()));
                }
            }
            let mut wanted: Vec<ValueId> = program
                .calls
                .iter()
                .filter(|c| c.side == Side::Boundary && c.stream == Some(s))
                .flat_map(|c| c.inputs.iter().flat_map(|(_, ids)| ids.iter().copied()))
                .collect();
            wanted.extend(program.roots.iter().filter(|id| {
                let v = &program.values[id.0];
                v.side == Side::Host && v.stream == Some(s)
            }));
            wanted.sort();
            wanted.dedup();
            streams.push(StreamCalls {
                source: source.as_ref(),
                source_outputs: call.outputs.clone(),
                stages,
                wanted,
            });
        }
        Ok(HostSide {
            spent: program.calls.iter().map(|_| AtomicU64::new(0)).collect(),
            program,
            streams,
            resources,
            training,
        })
    }

    /// Runs the calls of `stream` on `video`. `key` is that of the sample (seed, phase, stream, pass, video, attempt);
    /// each node draws below it, by its path.
    ///
    /// # Errors
    /// Those of the nodes; a node that panics makes the video bad.
    pub(crate) fn sample(&self, stream: usize, video: &Arc<Video>, key: Key) -> Result<Sample, DataError> {
        let calls = &self.streams[stream];
        let mut values: HashMap<ValueId, HostValue> = HashMap::new();
        let given = calls.source.values(video)?;
        for (id, v) in calls.source_outputs.iter().zip(given) {
            if let Some(id) = id {
                values.insert(*id, v);
            }
        }
        for (i, stage) in &calls.stages {
            let call = &self.program.calls[*i];
            let mut args = Args::default();
            for (port, ids) in &call.inputs {
                let got = ids
                    .iter()
                    .map(|id| {
                        values
                            .get(id)
                            .or_else(|| self.resources.get(id))
                            .cloned()
                            .with_context(|| format!("no value for {}", self.program.values[id.0].name))
                    })
                    .collect::<Result<Vec<_>>>()?;
                args.push(port.clone(), got);
            }
            let cx = SampleCx {
                key: key.name(&call.node),
                training: self.training,
            };
            let since = Instant::now();
            // A node of a third party, or a parser below it, may panic on damaged bytes; that is a bad video, too.
            let out = catch_unwind(AssertUnwindSafe(|| stage.run(&cx, &args)))
                .unwrap_or_else(|p| Err(DataError::sample(format!("panic: {}", panic_text(&*p)))))
                .map_err(|e| e.context(format!("node `{}`", call.node)))?;
            let spent = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.spent[*i].fetch_add(spent, Ordering::Relaxed);
            for (id, v) in call.outputs.iter().zip(out) {
                if let Some(id) = id {
                    values.insert(*id, v);
                }
            }
        }
        values.retain(|id, _| calls.wanted.binary_search(id).is_ok());
        Ok(Sample {
            video: video.clone(),
            values,
        })
    }
}

impl HostSide<'_> {
    /// Time that the threads spent in each node so far, all of them and all streams together, the longest first.
    pub(crate) fn times(&self) -> Vec<(String, Duration)> {
        let mut times: Vec<(String, Duration)> = vec![];
        for (call, spent) in self.program.calls.iter().zip(&self.spent) {
            let spent = Duration::from_nanos(spent.load(Ordering::Relaxed));
            match times.iter_mut().find(|(node, _)| *node == call.node) {
                Some((_, sum)) => *sum += spent,
                None => times.push((call.node.clone(), spent)),
            }
        }
        times.retain(|(_, spent)| !spent.is_zero());
        times.sort_by_key(|(_, spent)| std::cmp::Reverse(*spent));
        times
    }

    /// Lets the nodes of a stream complete what they leave, after a view has gone through its list. Returns what they report.
    ///
    /// # Errors
    /// A node cannot write what it leaves.
    pub(crate) fn finish(&self, stream: usize, videos: &[Arc<Video>], bad: &[(usize, String)]) -> Result<Vec<String>> {
        let mut printed = vec![];
        for (i, stage) in &self.streams[stream].stages {
            let node = &self.program.calls[*i].node;
            let lines = (stage.finish(videos, bad).map_err(DataError::into_anyhow))
                .with_context(|| format!("node `{node}`"))?;
            printed.extend(lines);
        }
        Ok(printed)
    }
}

/// What is unusual about videos of a list that were opened, such as which of several tracks was read: the first, and how many
/// more.
pub fn unusual(list: &[Arc<Video>]) -> Option<String> {
    let modalities = list.iter().flat_map(|v| std::iter::once(v).chain(v.footage.other()));
    let mut found = modalities.filter_map(|v| Some((v, v.footage.remark()?)));
    let (video, remark) = found.next()?;
    let more = match found.count() {
        0 => String::new(),
        1 => " (and 1 more video of the list has something of the kind)".into(),
        n => format!(" (and {n} more videos of the list have something of the kind)"),
    };
    Some(format!("{}: {remark}{more}", video.path.display()))
}

fn panic_text(p: &(dyn std::any::Any + Send)) -> String {
    p.downcast_ref::<String>()
        .cloned()
        .or_else(|| p.downcast_ref::<&str>().map(|s| s.to_string()))
        .unwrap_or_else(|| "no message".into())
}
