//! One training phase, from a step to its end.

use super::checkpoint::Position;
use super::data::{Batches, FeedOptions};
use super::device::{graphs_launched, release_device_memory};
use super::error::RunError;
use super::log::Log;
use super::optim::Optimizer;
use super::phase::PhaseRun;
use super::progress::Progress;
use super::refreshed::Refreshed;
use super::step::Steps;
use super::stop;
use crate::graph::bad_allowed;
use crate::program::Program;
use anyhow::{Result, bail};
use glad_nodes::{Precision, WeightStore};
use serde_json::{Map, json};
use std::time::{Duration, Instant};

/// What a phase is run with.
pub(super) struct TrainCx<'a> {
    /// Threads and queue of the data side.
    pub feed: FeedOptions,
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
pub(super) trait PhaseHooks {
    /// Saves the state after `step` steps.
    ///
    /// # Errors
    /// The state cannot be saved, or a weight is not finite.
    fn save(&mut self, step: u64, state: &mut State<'_>) -> Result<()>;
    /// After an epoch (and at the end): validation.
    ///
    /// # Errors
    /// [`RunError::Stopped`] where the run was asked to stop, else what fails in the validation.
    fn epoch(&mut self, step: u64, state: &mut State<'_>) -> Result<(), RunError>;
    /// Before step `step`: a pass over the lists, of which the state gets what the steps take.
    ///
    /// # Errors
    /// As [`PhaseHooks::epoch`].
    fn refresh(&mut self, step: u64, state: &mut State<'_>) -> Result<(), RunError>;
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

/// What a phase changes.
pub(super) struct State<'a> {
    /// Weights and buffers.
    pub store: &'a mut WeightStore,
    /// The optimiser with what it keeps.
    pub optimizer: &'a mut Optimizer,
    /// Where the run stands.
    pub position: &'a mut Position,
    /// Its metrics.
    pub log: &'a mut Log,
    /// What the last pass over its lists left, of a phase with `refresh`.
    pub refreshed: &'a mut Option<Refreshed>,
}

/// Trains from `position.step` to the end of the phase, or until the run is asked to stop.
///
/// # Errors
/// [`RunError::Stopped`] where the run was asked to stop. [`RunError::Failed`]: too many bad videos, a number that is not
/// finite, a failure of the device or of the disk.
pub(super) fn train(
    run: &PhaseRun<'_>,
    state: &mut State<'_>,
    cx: &TrainCx<'_>,
    hooks: &mut dyn PhaseHooks,
) -> Result<PhaseReport, RunError> {
    let steps = state.position.step..run.plan.length.steps;
    if state.position.unvalidated {
        hooks.epoch(steps.start, state)?;
    }
    let mut training = Training::new(run, cx)?;
    cx.progress.begin(&run.program.name, steps.start, steps.end);
    let outcome = run.feed(cx.feed, steps.clone(), |made| {
        for k in steps {
            // A run that goes on at this step may have had the pass.
            if run.refreshes(k) && state.refreshed.as_ref().is_none_or(|r| r.step != k) {
                hooks.refresh(k, state)?;
            }
            let Some(row) = training.take_step(k, made, state)? else {
                hooks.save(k, state)?;
                stop::saved();
                return Err(RunError::Stopped);
            };
            training.after_step(k, &row, made, state, hooks)?;
        }
        Ok(())
    });
    let report = training.finish()?;
    cx.progress.end("");
    outcome.map_err(|e: RunError| e.context(format!("phase `{}`", run.program.name)))?;
    Ok(report)
}

/// A phase that is being trained.
struct Training<'a> {
    run: &'a PhaseRun<'a>,
    cx: &'a TrainCx<'a>,
    steps: Steps<'a>,
    smooth: Smooth,
    report: PhaseReport,
    /// Recorded work launched before.
    launched: Option<u64>,
    began: Instant,
    saved: Instant,
}

impl<'a> Training<'a> {
    fn new(run: &'a PhaseRun<'a>, cx: &'a TrainCx<'a>) -> Result<Training<'a>> {
        let mut steps = Steps::new(run.program, run.def, run.device, cx.precision);
        steps.record(cx.record);
        Ok(Training {
            run,
            cx,
            steps,
            smooth: Smooth::default(),
            report: PhaseReport::default(),
            launched: graphs_launched(run.device)?,
            began: Instant::now(),
            saved: Instant::now(),
        })
    }

    /// Takes step `k` on the next batches. Gives its losses, metrics, learning rate and norm of the gradient; nothing where the
    /// run is asked to stop while the first of the batches is not there: then the step has not begun.
    fn take_step(&mut self, k: u64, made: &mut Batches, state: &mut State<'_>) -> Result<Option<Vec<(String, f64)>>> {
        let run = self.run;
        for (piece, rows) in run.plan.parts(&run.order.lengths(k)).into_iter().enumerate() {
            // Between two steps a request to stop does not wait for a video that takes long, or hangs.
            let Some(ready) = made.next_unless(|| piece == 0 && stop::asked())? else {
                return Ok(None);
            };
            for bad in ready.bad {
                state.position.note_bad(&run.program.streams, &run.lists, &[bad]);
                self.check_bad(state.position)?;
            }
            let batch = run.arrive(ready.batch?, state.refreshed.as_ref())?;
            let part = run.part(k, piece, &rows, batch);
            run.staging.begin()?;
            self.steps.part(state.store, part)?;
            run.staging.end()?;
        }
        run.staging.begin()?;
        let refreshed = state.refreshed.as_ref();
        let again = || Ok(run.parts_again(k, refreshed));
        let done = (self.steps).update(state.store, state.optimizer, k, run.plan.length, again)?;
        run.staging.end()?;
        state.position.step = k + 1;
        let mut row = done.values;
        row.push(("lr".into(), done.lr));
        row.extend(done.norms);
        Ok(Some(row))
    }

    /// Logs and shows what step `k` gave, validates and saves where it is time.
    fn after_step(
        &mut self,
        k: u64,
        row: &[(String, f64)],
        made: &Batches,
        state: &mut State<'_>,
        hooks: &mut dyn PhaseHooks,
    ) -> Result<(), RunError> {
        let (run, cx) = (self.run, self.cx);
        let (done, of, per_epoch) = (k + 1, run.plan.length.steps, run.order.steps_per_epoch());
        let mut head = Map::new();
        head.insert("phase".into(), json!(run.program.name));
        head.insert("step".into(), json!(k));
        head.insert("epoch".into(), json!(k / per_epoch));
        state.log.write(head, &run.program.name, k, row)?;
        self.smooth.take(row);
        let report = &mut self.report;
        report.steps += 1;
        report.samples += run.order.lengths(k).iter().sum::<usize>() as u64;
        report.wall = self.began.elapsed();
        (report.waited, report.held, report.data_busy) = (made.waited(), made.held(), made.busy());
        report.device_busy = run.staging.busy()?;
        cx.progress.at(done, || {
            let wall = report.wall.as_secs_f64().max(1e-9);
            let speed = report.samples as f64 / wall;
            let mut words = vec![format!("{speed:.0} videos/s")];
            words.extend(self.smooth.words(run.program));
            words.push(report.waits());
            words
        });
        if done.is_multiple_of(per_epoch) || done == of {
            hooks.epoch(done, state)?;
        }
        let stopping = stop::asked();
        let due = self.saved.elapsed() >= cx.save_every || cx.save_steps.is_some_and(|s| done.is_multiple_of(s));
        if stopping || (due && done < of) {
            hooks.save(done, state)?;
            self.saved = Instant::now();
        }
        if stopping {
            stop::saved();
            return Err(RunError::Stopped);
        }
        Ok(())
    }

    /// How it went.
    fn finish(mut self) -> Result<PhaseReport> {
        let (run, device) = (self.run, self.run.device);
        if let (Some(before), Some(now), true) = (self.launched, graphs_launched(device)?, self.cx.record) {
            self.report.graphs = Some(now - before);
            // Views, and the first steps of another phase, compute in memory that is not the graphs'.
            release_device_memory(device)?;
        }
        Ok(PhaseReport {
            wall: self.began.elapsed(),
            data_nodes: run.host.times(),
            nodes: node_times(run.program, self.steps.times()),
            optimizer: self.steps.optimizer(),
            smooth: self.smooth.0,
            ..self.report
        })
    }

    /// An error where more videos of a stream are bad than may be.
    fn check_bad(&self, position: &Position) -> Result<()> {
        let limit = self.cx.bad_limit;
        for (stream, list) in self.run.program.streams.iter().zip(&self.run.lists) {
            let Some(bad) = position.bad.get(stream) else { continue };
            let most = bad_allowed(limit, list.len());
            if let Some((one, why)) = bad.iter().next().filter(|_| bad.len() > most) {
                bail!(
                    "{} of the {} videos of stream `{stream}` cannot be used, more than the {most} that bad_videos = {limit} \
                     allows; one of them: {one}: {why}",
                    bad.len(),
                    list.len(),
                );
            }
        }
        Ok(())
    }
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

    /// The loss, its terms by their weight, then metrics.
    fn words(&self, program: &Program) -> Vec<String> {
        let weight = |name: &str| match program.losses.iter().find(|l| l.name == name) {
            _ if name == "loss" => f64::INFINITY,
            Some(term) => term.weight.abs(),
            None => -1.0,
        };
        let is_word = |n: &str| n != "lr" && n.rsplit('/').next() != Some("grad_norm");
        let mut values: Vec<_> = self.0.iter().filter(|(n, _)| is_word(n)).collect();
        values.sort_by(|a, b| weight(&b.0).total_cmp(&weight(&a.0)));
        values.into_iter().map(|(n, v)| format!("{n} {v:.3}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{LoadOptions, load};

    #[test]
    fn the_loss_comes_first_then_its_terms_by_weight() {
        let graph = load(&LoadOptions::of("full")).unwrap_or_else(|p| panic!("{p}"));
        let checked = crate::check::check(&graph, &glad_nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
        let mut smooth = Smooth::default();
        let names = ["align_g", "ce", "ce.accuracy", "grad_norm", "loss", "lr", "tol"];
        smooth.take(&names.map(|n| (n.to_string(), 1.0)));
        let words = smooth.words(&checked.phases["main"]);
        let first: Vec<&str> = words.iter().filter_map(|w| w.split(' ').next()).collect();
        assert_eq!(first, ["loss", "ce", "align_g", "tol", "ce.accuracy"]);
    }
}
