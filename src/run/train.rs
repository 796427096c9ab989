//! One training phase, from a step to its end.

use super::checkpoint::Position;
use super::data::{FeedOptions, HostSide, Order, PassCache, Recipe, Want, collate, feed};
use super::exec::{Exec, PassInfo, scalar};
use super::log::Log;
use super::optim::{Length, Sgd};
use super::progress::Progress;
use super::setup::Setup;
use super::stop;
use crate::graph::PhaseDef;
use crate::plan::{Call, Program, ValueId};
use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use glad_nodes::{Key, Precision, WeightStore};
use serde_json::{Map, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What a phase is run with.
pub struct TrainCx<'a> {
    /// The phase's key: (seed, phase).
    pub key: Key,
    /// Threads and queue of the data side.
    pub feed: FeedOptions,
    /// Where tensors live.
    pub device: &'a Device,
    /// What the graph asks for.
    pub precision: Precision,
    /// What a person sees.
    pub progress: &'a Progress,
    /// The share of a list's videos that may be bad.
    pub bad_limit: f64,
    /// Seconds between saved states.
    pub save_every: Duration,
    /// Steps between saved states, besides.
    pub save_steps: Option<u64>,
}

/// Callbacks of a phase into the run that it is part of.
pub trait PhaseHooks {
    /// Saves the state after `step` steps.
    fn save(&mut self, step: u64, store: &WeightStore, sgd: &Sgd, position: &mut Position, log: &mut Log)
    -> Result<()>;
    /// After an epoch (and at the end): validation.
    fn epoch(&mut self, step: u64, store: &mut WeightStore, position: &mut Position, log: &mut Log) -> Result<()>;
}

/// How a phase went.
#[derive(Clone, Debug, Default)]
pub struct PhaseReport {
    /// Steps done now.
    pub steps: u64,
    /// Time of these steps.
    pub wall: Duration,
    /// Time that the compute side waited for data.
    pub waited: Duration,
    /// Time that the data side's threads worked, together.
    pub data_busy: Duration,
    /// Samples used.
    pub samples: u64,
    /// Time of each node of the compute side, all its calls together, the longest first.
    pub nodes: Vec<NodeTime>,
    /// Time of the optimiser.
    pub optimizer: Duration,
    /// Smoothed losses and metrics at the end.
    pub smooth: Vec<(String, f64)>,
}

/// Time that a node took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTime {
    /// The node's path.
    pub node: String,
    /// Of its forward passes.
    pub forward: Duration,
    /// Of its backward passes.
    pub backward: Duration,
}

impl PhaseReport {
    /// Time that was neither a node's nor the optimiser's nor spent waiting for data: the scheduler, collecting batches,
    /// logs, saved states and validation.
    pub fn rest(&self) -> Duration {
        let nodes: Duration = self.nodes.iter().map(|n| n.forward + n.backward).sum();
        self.wall.saturating_sub(nodes + self.optimizer + self.waited)
    }
}

/// How many steps a phase has.
pub fn length(def: &PhaseDef, order: &Order) -> Length {
    let per_epoch = order.steps_per_epoch();
    match (&def.steps, &def.epochs) {
        (Some(s), _) => Length {
            steps: s.value as u64,
            per_epoch: None,
        },
        (None, Some(e)) => Length {
            steps: e.value as u64 * per_epoch,
            per_epoch: Some(per_epoch),
        },
        (None, None) => Length {
            steps: 0,
            per_epoch: None,
        },
    }
}

/// The order of a phase's videos.
pub fn order(program: &Program, def: &PhaseDef, key: Key, setup: &Setup) -> Order {
    let sizes: Vec<usize> = setup.lists.iter().map(Vec::len).collect();
    Order::new(key, &program.streams, &sizes, def.batch.value)
}

/// Trains from `position.step` to the end of the phase, or until the run is asked to stop.
#[allow(clippy::too_many_arguments)]
pub fn train(
    program: &Program,
    def: &PhaseDef,
    setup: Setup,
    store: &mut WeightStore,
    sgd: &mut Sgd,
    position: &mut Position,
    log: &mut Log,
    cx: &TrainCx<'_>,
    hooks: &mut dyn PhaseHooks,
) -> Result<PhaseReport> {
    let order = order(program, def, cx.key, &setup);
    let length = length(def, &order);
    let start = position.step;
    let lists = setup.lists;
    let host = HostSide::new(program, setup.resources, true)?;
    let replace = |stream, drawn, attempt| order.replacement(stream, drawn, attempt);
    let recipe = Recipe {
        host: &host,
        lists: &lists,
        streams: &program.streams,
        key: cx.key,
        replace: Some(&replace),
    };
    let part = program.batch.max(1);
    let mut cache = PassCache::default();
    let planned = order.clone();
    let streams = program.streams.len();
    let wants = (start..length.steps).flat_map(move |k| {
        let rows = planned.draw(k, &mut cache);
        let n = rows.first().map_or(0, Vec::len);
        let mut wants = Vec::with_capacity(n * streams);
        for from in (0..n).step_by(part) {
            for (stream, row) in rows.iter().enumerate() {
                wants.extend(
                    row[from..(from + part).min(n)]
                        .iter()
                        .map(|drawn| Want { stream, drawn: *drawn }),
                );
            }
        }
        wants
    });
    let mut exec = Exec::new(program, cx.device, cx.precision, &[]);
    let mut smooth = Smooth::default();
    let mut report = PhaseReport::default();
    let began = Instant::now();
    let mut saved = Instant::now();
    cx.progress.begin(&program.name, start, length.steps);
    let outcome = feed(&recipe, cx.feed, wants, |made| -> Result<()> {
        for k in start..length.steps {
            let n = order.length(k);
            let mut values: HashMap<String, f64> = HashMap::new();
            for (piece, from) in (0..n).step_by(part).enumerate() {
                let rows = part.min(n - from);
                let mut samples = vec![];
                for stream in 0..streams {
                    let mut row = Vec::with_capacity(rows);
                    for _ in 0..rows {
                        let m = made.next()?.context("the data side ended early")?;
                        if !m.bad.is_empty() {
                            position.note_bad(&program.streams, &lists, &m.bad);
                            check_bad(position, program, &lists, cx)?;
                        }
                        let Some(sample) = m.sample else {
                            bail!(
                                "no usable video for a slot of stream `{}`; the last reason: {}",
                                program.streams[stream],
                                m.bad.last().map_or("none", |b| b.reason.as_str())
                            );
                        };
                        row.push(sample);
                    }
                    samples.push(row);
                }
                let batch = collate(program, &samples, cx.device)?;
                drop(samples);
                let info = PassInfo {
                    key: cx.key.name("step").index(k).index(piece as u64),
                    training: true,
                    progress: k as f64 / length.steps as f64,
                    step: k,
                };
                let share = rows as f64 / n as f64;
                for (name, v) in part_of_step(program, &mut exec, store, info, batch, share)? {
                    *values.entry(name).or_insert(0.0) += v * share;
                }
            }
            let since = Instant::now();
            let done = sgd.step(store, k, length)?;
            report.optimizer += since.elapsed();
            if !done.grad_norm.is_finite() {
                bail!("the gradient is not finite at step {k} of phase `{}`", program.name);
            }
            position.step = k + 1;
            report.samples += (n * streams) as u64;
            let mut row: Vec<(String, f64)> = values.into_iter().collect();
            row.sort_by(|a, b| a.0.cmp(&b.0));
            row.push(("lr".into(), done.lr));
            row.push(("grad_norm".into(), done.grad_norm));
            let mut head = Map::new();
            head.insert("phase".into(), json!(program.name));
            head.insert("step".into(), json!(k));
            head.insert("epoch".into(), json!(k / order.steps_per_epoch()));
            log.write(head, &program.name, k, &row)?;
            smooth.take(&row);
            let waited = made.idle();
            cx.progress.at(k + 1, || {
                let wall = began.elapsed().as_secs_f64();
                format!(
                    "{}  {:.0} videos/s, waits for data {:.0} %",
                    smooth.words(),
                    report.samples as f64 / wall.max(1e-9),
                    100.0 * waited.as_secs_f64() / wall.max(1e-9)
                )
            });
            if (k + 1) % order.steps_per_epoch() == 0 || k + 1 == length.steps {
                hooks.epoch(k + 1, store, position, log)?;
            }
            let stopping = stop::asked();
            let due = saved.elapsed() >= cx.save_every || cx.save_steps.is_some_and(|s| (k + 1) % s == 0);
            if stopping || (due && k + 1 < length.steps) {
                hooks.save(k + 1, store, sgd, position, log)?;
                saved = Instant::now();
            }
            if stopping {
                bail!(super::Stopped);
            }
        }
        report.waited = made.idle();
        report.data_busy = made.busy();
        Ok(())
    });
    report.steps = position.step - start;
    report.wall = began.elapsed();
    report.nodes = node_times(program, &exec);
    report.smooth = smooth.0;
    cx.progress.end("");
    outcome.with_context(|| format!("phase `{}`", program.name))?;
    Ok(report)
}

pub(super) fn node_times(program: &Program, exec: &Exec<'_>) -> Vec<NodeTime> {
    let mut nodes: Vec<NodeTime> = vec![];
    for (call, (forward, backward)) in program.calls.iter().zip(exec.times()) {
        match nodes.iter_mut().find(|n| n.node == call.node) {
            Some(n) => {
                n.forward += *forward;
                n.backward += *backward;
            }
            None => nodes.push(NodeTime {
                node: call.node.clone(),
                forward: *forward,
                backward: *backward,
            }),
        }
    }
    nodes.retain(|n| n.forward + n.backward > Duration::ZERO);
    nodes.sort_by_key(|n| std::cmp::Reverse(n.forward + n.backward));
    nodes
}

/// Forward and backward on a part of a step's batch, `share` of it: adds to the gradients in `store`, and gives the
/// part's losses and metrics by name.
pub(super) fn part_of_step(
    program: &Program,
    exec: &mut Exec<'_>,
    store: &mut WeightStore,
    info: PassInfo,
    batch: HashMap<ValueId, Tensor>,
    share: f64,
) -> Result<Vec<(String, f64)>> {
    let out = exec.forward(store, info, batch.clone(), true, &mut HashMap::new(), None)?;
    let found = read(program, &out.kept)?;
    if let Some((name, v)) = found.iter().find(|(_, v)| !v.is_finite()) {
        blame(exec, store, info, batch)?;
        bail!("{name} is {v} at step {}", info.step);
    }
    drop(batch);
    exec.backward(store, info, out, share)?;
    Ok(found)
}

/// Losses and metrics of a pass, by name.
fn read(program: &Program, kept: &HashMap<ValueId, Tensor>) -> Result<Vec<(String, f64)>> {
    let mut out = vec![];
    let mut total = 0.0;
    for term in &program.losses {
        let mut sum = 0.0;
        for t in term.values.iter().filter_map(|id| kept.get(id)) {
            sum += scalar(t)?;
        }
        total += term.weight * sum;
        out.push((term.name.clone(), sum));
    }
    out.push(("loss".into(), total));
    for (id, t) in kept {
        let v = &program.values[id.0];
        if v.ty.head == "Metric" && v.ty.dims.is_empty() {
            out.push((v.name.clone(), scalar(t)?));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(out)
}

/// Runs the step again and names the first node that gives a value that is not finite.
fn blame(exec: &mut Exec<'_>, store: &mut WeightStore, info: PassInfo, batch: HashMap<ValueId, Tensor>) -> Result<()> {
    let mut watch = |call: &Call, t: &Tensor| -> Result<()> {
        if t.dtype() == DType::F32 {
            let sum = t.flatten_all()?.to_vec1::<f32>()?;
            if sum.iter().any(|v| !v.is_finite()) {
                bail!(
                    "node `{}` is the first that gives a value that is not finite",
                    call.node
                );
            }
        }
        Ok(())
    };
    exec.forward(store, info, batch, false, &mut HashMap::new(), Some(&mut watch))
        .map(|_| ())
}

fn check_bad(
    position: &Position,
    program: &Program,
    lists: &[Vec<std::sync::Arc<glad_nodes::Video>>],
    cx: &TrainCx<'_>,
) -> Result<()> {
    for (stream, list) in program.streams.iter().zip(lists) {
        let Some(bad) = position.bad.get(stream) else { continue };
        let most = (cx.bad_limit * list.len() as f64).ceil() as usize;
        if bad.len() > most {
            let (one, why) = bad.iter().next().expect("it is longer than a number");
            bail!(
                "{} of the {} videos of stream `{stream}` cannot be used, more than bad_videos = {} allows; \
                 one of them: {one}: {why}",
                bad.len(),
                list.len(),
                cx.bad_limit
            );
        }
    }
    Ok(())
}

/// Exponential means of what a step reports, for people.
#[derive(Default)]
struct Smooth(Vec<(String, f64)>);

impl Smooth {
    fn take(&mut self, row: &[(String, f64)]) {
        for (name, v) in row {
            match self.0.iter_mut().find(|(n, _)| n == name) {
                Some((_, s)) => *s = 0.95 * *s + 0.05 * v,
                None => self.0.push((name.clone(), *v)),
            }
        }
    }

    fn words(&self) -> String {
        self.0
            .iter()
            .filter(|(n, _)| n != "lr" && n != "grad_norm")
            .map(|(n, v)| format!("{n} {v:.3}"))
            .collect::<Vec<_>>()
            .join(" ")
    }
}
