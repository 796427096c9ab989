//! One training phase, from a step to its end.

use super::checkpoint::Position;
use super::data::{Drawn, FeedOptions, HostSide, Order, PassCache, Recipe, Stacker, Want, again, batches};
use super::device::{graphs_launched, release_device_memory};
use super::exec::PassInfo;
use super::log::Log;
use super::optim::{Length, Sgd};
use super::progress::Progress;
use super::setup::Setup;
use super::staging::staging;
use super::step::{Part, Steps};
use super::stop;
use crate::graph::PhaseDef;
use crate::program::Program;
use anyhow::{Context, Result, bail};
use candle_core::Device;
use glad_nodes::{Key, Precision, WeightStore};
use serde_json::{Map, json};
use std::ops::Range;
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
    /// Whether nodes record work of a GPU that repeats.
    pub record: bool,
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
    fn epoch(
        &mut self,
        step: u64,
        store: &mut WeightStore,
        sgd: &Sgd,
        position: &mut Position,
        log: &mut Log,
    ) -> Result<()>;
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
    /// Time that a finished batch waited for the compute side.
    pub held: Duration,
    /// Time that the device worked, where it is not the CPU.
    pub device_busy: Option<Duration>,
    /// How often recorded work was launched, where recording was asked for.
    pub graphs: Option<u64>,
    /// Time that the data side's threads worked, together.
    pub data_busy: Duration,
    /// Time of each node of the data side, all threads and streams together, the longest first.
    pub data_nodes: Vec<(String, Duration)>,
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

    /// Which side waits for the other, in words.
    pub fn waits(&self) -> String {
        let share = |d: Duration| 100.0 * d.as_secs_f64() / self.wall.as_secs_f64().max(1e-9);
        let (waited, held) = (share(self.waited), share(self.held));
        let device = self
            .device_busy
            .map(|d| format!(", device busy {:.0} %", share(d).min(100.0)));
        format!(
            "waits for data {waited:.0} %, data waits {held:.0} %{}",
            device.unwrap_or_default()
        )
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
    let streams = program.streams.len();
    // Parts of step `k`: which of its rows.
    let pieces = |k: u64| {
        let n = order.length(k);
        (0..n).step_by(part).map(move |from| from..(from + part).min(n))
    };
    let plan = (start..length.steps)
        .flat_map(pieces)
        .map(|rows| vec![rows.len(); streams]);
    let mut cache = PassCache::default();
    let planned = order.clone();
    let wants = (start..length.steps).flat_map(move |k| {
        let rows = planned.draw(k, &mut cache);
        let n = rows.first().map_or(0, Vec::len);
        let mut wants = Vec::with_capacity(n * streams);
        for from in (0..n).step_by(part) {
            wants.extend(of_part(&rows, from..(from + part).min(n)));
        }
        wants
    });
    let info = |k: u64, piece: usize| PassInfo {
        key: cx.key.name("step").index(k).index(piece as u64),
        training: true,
        progress: k as f64 / length.steps as f64,
        step: k,
    };
    let share = |k: u64, rows: usize| rows as f64 / order.length(k) as f64;
    let staging = staging(cx.device)?;
    let stacker = Stacker::new(program, staging.as_ref())?;
    // The parts of a step once more: what they hold follows from the step's number alone.
    let parts_again = |k: u64| {
        let drawn = order.draw(k, &mut PassCache::default());
        let (recipe, stacker) = (&recipe, &stacker);
        pieces(k).enumerate().map(move |(piece, rows)| {
            let sizes = vec![rows.len(); streams];
            Ok(Part {
                info: info(k, piece),
                share: share(k, rows.len()),
                batch: again(recipe, stacker, &sizes, of_part(&drawn, rows).into_iter())?.arrive()?,
            })
        })
    };
    if position.unvalidated {
        hooks.epoch(start, store, sgd, position, log)?;
    }
    let mut steps = Steps::new(program, def, cx.device, cx.precision);
    steps.record(cx.record);
    let launched = graphs_launched(cx.device)?;
    let mut smooth = Smooth::default();
    let mut report = PhaseReport::default();
    let began = Instant::now();
    let mut saved = Instant::now();
    cx.progress.begin(&program.name, start, length.steps);
    let outcome = batches(&recipe, cx.feed, &stacker, plan, wants, |made| -> Result<()> {
        for k in start..length.steps {
            for (piece, rows) in pieces(k).enumerate() {
                // Between two steps a request to stop does not wait for a video that takes long, or hangs.
                let Some(ready) = made.next_unless(|| piece == 0 && stop::asked())? else {
                    hooks.save(k, store, sgd, position, log)?;
                    stop::saved();
                    bail!(super::Stopped);
                };
                for b in ready.bad {
                    position.note_bad(&program.streams, &lists, &[b]);
                    check_bad(position, program, &lists, cx)?;
                }
                let part = Part {
                    info: info(k, piece),
                    batch: ready.batch?.arrive()?,
                    share: share(k, rows.len()),
                };
                staging.begin()?;
                steps.part(store, part)?;
                staging.end()?;
            }
            staging.begin()?;
            let (mut row, done) = steps.update(store, sgd, k, length, || Ok(parts_again(k)))?;
            staging.end()?;
            position.step = k + 1;
            report.samples += (order.length(k) * streams) as u64;
            row.push(("lr".into(), done.lr));
            row.push(("grad_norm".into(), done.grad_norm));
            let mut head = Map::new();
            head.insert("phase".into(), json!(program.name));
            head.insert("step".into(), json!(k));
            head.insert("epoch".into(), json!(k / order.steps_per_epoch()));
            log.write(head, &program.name, k, &row)?;
            smooth.take(&row);
            report.wall = began.elapsed();
            (report.waited, report.held, report.data_busy) = (made.waited(), made.held(), made.busy());
            report.device_busy = staging.busy()?;
            cx.progress.at(k + 1, || {
                let wall = report.wall.as_secs_f64().max(1e-9);
                let speed = report.samples as f64 / wall;
                format!("{}  {speed:.0} videos/s, {}", smooth.words(), report.waits())
            });
            if (k + 1) % order.steps_per_epoch() == 0 || k + 1 == length.steps {
                hooks.epoch(k + 1, store, sgd, position, log)?;
            }
            let stopping = stop::asked();
            let due = saved.elapsed() >= cx.save_every || cx.save_steps.is_some_and(|s| (k + 1).is_multiple_of(s));
            if stopping || (due && k + 1 < length.steps) {
                hooks.save(k + 1, store, sgd, position, log)?;
                saved = Instant::now();
            }
            if stopping {
                stop::saved();
                bail!(super::Stopped);
            }
        }
        Ok(())
    });
    report.steps = position.step - start;
    if let (Some(before), Some(now), true) = (launched, graphs_launched(cx.device)?, cx.record) {
        report.graphs = Some(now - before);
        // Views, and the first steps of another phase, compute in memory that is not the graphs'.
        release_device_memory(cx.device)?;
    }
    report.wall = began.elapsed();
    report.data_nodes = host.times();
    report.nodes = node_times(program, steps.times());
    report.optimizer = steps.optimizer();
    report.smooth = smooth.0;
    cx.progress.end("");
    outcome.with_context(|| format!("phase `{}`", program.name))?;
    Ok(report)
}

/// The samples of these rows of a step, stream by stream.
fn of_part(drawn: &[Vec<Drawn>], rows: Range<usize>) -> Vec<Want> {
    let of_stream = |(stream, row): (usize, &Vec<Drawn>)| {
        let drawn = row[rows.clone()].to_vec();
        drawn.into_iter().map(move |drawn| Want { stream, drawn })
    };
    drawn.iter().enumerate().flat_map(of_stream).collect()
}

/// Times of calls by node, the longest first.
pub(super) fn node_times(program: &Program, times: &[(Duration, Duration)]) -> Vec<NodeTime> {
    let mut nodes: Vec<NodeTime> = vec![];
    for (call, (forward, backward)) in program.calls.iter().zip(times) {
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
