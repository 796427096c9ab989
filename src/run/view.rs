//! Running a view: inference, scores, predictions. Lists are gone through once, in order.

use super::data::{BadVideo, Drawn, FeedOptions, HostSide, Recipe, Stacker, Want, batches};
use super::exec::{Exec, PassInfo};
use super::progress::Progress;
use super::refreshed::{Collect, Refreshed};
use super::setup::Setup;
use super::staging::staging;
use crate::graph::bad_allowed;
use crate::program::{Program, ValueId};
use anyhow::{Result, bail};
use candle_core::{DType, Device, Tensor};
use glad_nodes::{Body, Head, Key, Precision, Scores, Stated, Tally, Video, WeightStore};
use std::collections::HashMap;
use std::sync::Arc;

/// What the recall of a class begins with, among the scores of a node.
pub const RECALL: &str = "recall_";

/// What a view gave.
#[derive(Debug, Default)]
pub struct ViewResult {
    /// Scores, by node and stream.
    pub scores: Vec<NodeScores>,
    /// Class probabilities of every video, where a root is logits.
    pub predictions: Vec<Prediction>,
    /// Videos that could not be scored.
    pub bad: Vec<BadVideo>,
    /// Values of the ports that were asked for, in list order: (port, video, values, shape of one video's value).
    pub ports: Vec<PortValue>,
    /// Videos scored, by stream.
    pub counts: Vec<(String, usize)>,
    /// What nodes that leave files behind report about them.
    pub printed: Vec<String>,
    /// What nodes over whole lists give each video.
    pub refreshed: Option<Refreshed>,
}

/// One video's value of a port that was asked for.
#[derive(Clone, Debug)]
pub struct PortValue {
    /// `node.port@stream`.
    pub port: String,
    /// The video's path; of features that of the video that they were computed from.
    pub video: String,
    /// Its segment, where it is one.
    pub segment: Stated,
    /// Its class, where the list has one.
    pub label: Option<usize>,
    /// The value.
    pub value: Vec<f32>,
    /// Its shape, without the batch.
    pub shape: Vec<usize>,
}

/// The scores of one metric node in one stream.
#[derive(Clone, Debug)]
pub struct NodeScores {
    /// The node.
    pub node: String,
    /// The stream, where it belongs to one.
    pub stream: Option<String>,
    /// Its scores.
    pub scores: Scores,
}

/// What was predicted for a video.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The stream.
    pub stream: String,
    /// The video.
    pub video: Arc<Video>,
    /// Class probabilities.
    pub probabilities: Vec<f32>,
}

impl Prediction {
    /// The most probable class; the first of equals.
    pub fn class(&self) -> usize {
        let best = |a: usize, b: usize| {
            if self.probabilities[b] > self.probabilities[a] {
                b
            } else {
                a
            }
        };
        (0..self.probabilities.len()).reduce(best).unwrap_or(0)
    }
}

/// How a view is run.
pub struct ViewCx<'a> {
    /// Its key.
    pub key: Key,
    /// Threads and queue of the data side.
    pub feed: FeedOptions,
    /// Where tensors live.
    pub device: &'a Device,
    /// What the graph asks for.
    pub precision: Precision,
    /// What a person sees.
    pub progress: &'a Progress,
    /// Ports whose values are wanted, besides the roots' scores.
    pub ports: &'a [ValueId],
    /// Takes these values one after the other, as they come; without, the result holds all.
    pub each: Option<&'a dyn Fn(PortValue) -> Result<()>>,
    /// The share of a list's videos that may be bad; `None` where each is reported and none ends it.
    pub bad_limit: Option<f64>,
    /// The graph's names of classes; without, those of the lists.
    pub classes: Option<&'a [String]>,
}

/// Runs `program` over the lists of `setup`.
///
/// # Errors
/// Too many videos are bad, a node or the device fails, or what a node leaves cannot be written.
pub fn run_view(program: &Program, setup: Setup, store: &mut WeightStore, cx: &ViewCx<'_>) -> Result<ViewResult> {
    let lists = setup.lists;
    let host = HostSide::new(program, setup.resources, false)?;
    let recipe = Recipe {
        host: &host,
        lists: &lists,
        streams: &program.streams,
        key: cx.key,
        replace: None,
    };
    let batch = program.batch.max(1);
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let rounds = longest.div_ceil(batch);
    let sizes: Vec<usize> = lists.iter().map(Vec::len).collect();
    let row = |k: usize, s: usize| (k * batch).min(sizes[s])..((k + 1) * batch).min(sizes[s]);
    let wants = (0..rounds).flat_map(|k| {
        (0..sizes.len()).flat_map(move |s| {
            row(k, s).map(move |video| Want {
                stream: s,
                drawn: Drawn { pass: 0, video },
            })
        })
    });
    let total: usize = sizes.iter().sum();
    cx.progress.begin(&program.name, 0, total as u64);
    let mut collect = Collect::new(program);
    let keep = [cx.ports, &collect.ids].concat();
    let mut exec = Exec::new(program, cx.device, cx.precision, &keep);
    let mut tallies: HashMap<usize, Box<dyn Tally>> = HashMap::new();
    let mut result = ViewResult::default();
    let logits: Vec<ValueId> = program
        .roots
        .iter()
        .copied()
        .filter(|id| program.values[id.0].ty.head == Head::Logits && program.values[id.0].stream.is_some())
        .collect();
    let mut counts = vec![0usize; sizes.len()];
    let wants: Vec<Want> = wants.collect();
    let staging = staging(cx.device)?;
    let stacker = Stacker::new(program, staging.as_ref())?;
    let plan = (0..rounds).map(|k| (0..sizes.len()).map(|s| row(k, s).len()).collect());
    batches(
        &recipe,
        cx.feed,
        &stacker,
        plan,
        wants.into_iter(),
        |made| -> Result<()> {
            for k in 0..rounds {
                let ready = made.next()?;
                for b in ready.bad {
                    let stream = b.stream;
                    result.bad.push(b);
                    check_bad(&result.bad, stream, program, &lists[stream], cx)?;
                }
                let staged = ready.batch?;
                let videos = staged.videos.clone();
                let values = staged.arrive()?;
                let info = PassInfo {
                    key: cx.key.index(k as u64),
                    training: false,
                    progress: 1.0,
                    step: 0,
                    round: 0,
                };
                let out = exec.forward(store, info, values, false, &mut tallies, None)?;
                collect.take(&out.kept, &videos)?;
                for id in &logits {
                    let stream = program.values[id.0].stream.expect("filtered above");
                    if let Some(t) = out.kept.get(id) {
                        let p = softmax_rows(t)?;
                        for (video, probabilities) in videos[stream].iter().zip(p) {
                            let video = video.clone();
                            let stream = program.streams[stream].clone();
                            result.predictions.push(Prediction {
                                stream,
                                video,
                                probabilities,
                            });
                        }
                    }
                }
                for id in cx.ports {
                    let info = &program.values[id.0];
                    if let (Some(t), Some(stream)) = (out.kept.get(id), info.stream) {
                        let t = t.to_dtype(DType::F32)?;
                        let shape = t.dims()[1..].to_vec();
                        for (i, video) in videos[stream].iter().enumerate() {
                            let (path, stated) = match video.footage.origin() {
                                Some(origin) => (&origin.path, origin.stated),
                                None => (&video.path, video.footage.stated()),
                            };
                            let value = PortValue {
                                port: info.name.clone(),
                                video: path.display().to_string(),
                                segment: stated.offset.map_or_else(Stated::default, |_| stated),
                                label: video.label,
                                value: t.get(i)?.flatten_all()?.to_vec1::<f32>()?,
                                shape: shape.clone(),
                            };
                            match cx.each {
                                Some(take) => take(value)?,
                                None => result.ports.push(value),
                            }
                        }
                    }
                }
                for (n, rows) in counts.iter_mut().zip(&videos) {
                    *n += rows.len();
                }
                cx.progress.at(counts.iter().sum::<usize>() as u64, Vec::new);
            }
            Ok(())
        },
    )?;
    cx.progress.end("");
    result.refreshed = collect.finish()?;
    for (s, list) in lists.iter().enumerate() {
        let of_stream = result.bad.iter().filter(|b| b.stream == s);
        let bad: Vec<(usize, String)> = of_stream.map(|b| (b.video, b.reason.clone())).collect();
        result.printed.extend(host.finish(s, list, &bad)?);
    }
    let mut done: Vec<_> = tallies.into_iter().collect();
    done.sort_by_key(|(i, _)| *i);
    for (i, tally) in done {
        let call = &program.calls[i];
        result.scores.push(NodeScores {
            node: call.node.clone(),
            stream: call.stream.map(|s| program.streams[s].clone()),
            scores: by_class(program, call.stream, tally.scores(), cx.classes)?,
        });
    }
    result.counts = program.streams.iter().cloned().zip(counts).collect();
    Ok(result)
}

/// Names the recall of class 7, `recall_7`, by the class, where names are known.
fn by_class(
    program: &Program,
    stream: Option<usize>,
    mut scores: Scores,
    classes: Option<&[String]>,
) -> Result<Scores> {
    let source = program.sources.get(stream.unwrap_or(0));
    match (classes, source.map(|call| &program.bodies[program.calls[*call].body])) {
        (Some(names), _) => rename_recalls(&mut scores, names),
        (None, Some(Body::Source(s))) => rename_recalls(&mut scores, &s.classes()?.unwrap_or_default()),
        _ => {}
    }
    Ok(scores)
}

fn rename_recalls(scores: &mut Scores, names: &[String]) {
    for (name, _) in &mut scores.values {
        let number = name.strip_prefix(RECALL).and_then(|n| n.parse::<usize>().ok());
        if let Some(class) = number.and_then(|n| names.get(n)) {
            *name = format!("{RECALL}{class}");
        }
    }
}

/// An error if more videos of a stream are bad than may be.
fn check_bad(bad: &[BadVideo], stream: usize, program: &Program, list: &[Arc<Video>], cx: &ViewCx<'_>) -> Result<()> {
    let Some(limit) = cx.bad_limit else { return Ok(()) };
    let of_stream: Vec<&BadVideo> = bad.iter().filter(|b| b.stream == stream).collect();
    let most = bad_allowed(limit, list.len());
    if of_stream.len() > most
        && let Some(one) = of_stream.first()
    {
        let video = &list[one.video];
        bail!(
            "{} of the {} videos of stream `{}` cannot be used, more than the {most} that bad_videos = {limit} allows; \
             one of them: {} ({}): {}",
            of_stream.len(),
            list.len(),
            program.streams[stream],
            video.path.display(),
            video.line,
            one.reason
        );
    }
    Ok(())
}

/// Softmax of each row, in f64: probabilities that add up.
fn softmax_rows(t: &Tensor) -> Result<Vec<Vec<f32>>> {
    let rows = t.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let m = r.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
            let e: Vec<f64> = r.iter().map(|v| (*v as f64 - m).exp()).collect();
            let sum: f64 = e.iter().sum();
            e.into_iter().map(|v| (v / sum) as f32).collect()
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recalls_have_the_names_of_their_classes() {
        let mut scores = Scores {
            values: ["top1", "recall_0", "recall_2", "recall_9"]
                .map(|n| (n.to_string(), 0.5))
                .to_vec(),
            ..Scores::default()
        };
        rename_recalls(&mut scores, &["run".into(), "7".into(), "clean something".into()]);
        let names: Vec<&str> = scores.values.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["top1", "recall_run", "recall_clean something", "recall_9"]);
    }
}
