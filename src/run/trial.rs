//! A few steps of each phase, to find out before a run which side will wait for the other, and how long it will take.

use super::checkpoint::Position;
use super::data::FeedOptions;
use super::device::{DeviceMemory, device_memory, reset_device_memory};
use super::error::RunError;
use super::log::Log;
use super::optim::{Length, Optimizer};
use super::phase::PhaseRun;
use super::progress::Progress;
use super::refreshed::Refreshed;
use super::setup::set_up;
use super::start::begin_phase;
use super::train::{PhaseHooks, PhaseReport, State, TrainCx, train};
use crate::graph::Graph;
use crate::program::{Checked, Program};
use anyhow::Result;
use candle_core::Device;
use glad_nodes::{Head, WeightStore};
use std::path::Path;
use std::time::Duration;

/// Steps in front of the measured ones: kernels are chosen in them, and what repeats is recorded.
const BEFORE: usize = 3;

/// How phases are tried.
pub struct TrialOptions<'a> {
    /// Measured steps of each phase.
    pub steps: usize,
    /// Data side.
    pub feed: FeedOptions,
    /// Where tensors live.
    pub device: &'a Device,
    /// Where results that runs share are kept.
    pub cache: Option<&'a Path>,
    /// Whether nodes record work of a GPU that repeats (CUDA graphs).
    pub record: bool,
}

/// How a phase did.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The phase.
    pub phase: String,
    /// How many steps it has.
    pub of: u64,
    /// Passes over its lists between them, which are not measured.
    pub passes: u64,
    /// Its measured steps.
    pub report: PhaseReport,
    /// Videos that could not be used.
    pub bad: usize,
    /// The peaks of a GPU's memory in these steps.
    pub memory: Option<DeviceMemory>,
    /// Whether it decodes videos, and does not only read features.
    pub decodes: bool,
}

impl Trial {
    /// The time of a step.
    pub fn step(&self) -> Duration {
        self.report.wall / u32::try_from(self.report.steps.max(1)).unwrap_or(u32::MAX)
    }
}

/// Nothing is saved or validated, and passes over lists of these lengths leave zeros.
struct Nothing<'a> {
    program: &'a Program,
    sizes: Vec<usize>,
}

impl PhaseHooks for Nothing<'_> {
    fn save(&mut self, _: u64, _: &mut State<'_>) -> Result<()> {
        Ok(())
    }

    fn epoch(&mut self, _: u64, _: &mut State<'_>) -> Result<(), RunError> {
        Ok(())
    }

    fn refresh(&mut self, step: u64, state: &mut State<'_>) -> Result<(), RunError> {
        *state.refreshed = Some(Refreshed::blank(self.program, &self.sizes, step)?);
        Ok(())
    }
}

/// Trains a few steps of each phase of the run, one phase after the other as in a run, from fresh weights or those of files,
/// and forgets what came of it.
///
/// # Errors
/// Those of a run.
pub fn try_phases(
    graph: &Graph,
    checked: &Checked,
    options: &TrialOptions<'_>,
    progress: &Progress,
) -> Result<Vec<Trial>, RunError> {
    let seed = graph.seed.value;
    let mut store = WeightStore::default();
    let mut trials = vec![];
    for name in &graph.run {
        let (Some(program), Some(def)) = (checked.phases.get(&name.value), graph.phases.get(&name.value)) else {
            // A view.
            continue;
        };
        let cx = TrainCx {
            feed: options.feed,
            precision: graph.precision.value,
            record: options.record,
            progress,
            bad_limit: graph.bad_videos,
            save_every: Duration::MAX,
            save_steps: None,
        };
        begin_phase(program, def, &mut store, true, seed, options.device, progress)?;
        let (mut optimizer, mut log) = (Optimizer::new(&def.optimizer), Log::nowhere());
        let (mut of, mut passes) = (0, 0);
        let mut run = |steps: usize| -> Result<(PhaseReport, usize), RunError> {
            let setup = set_up(program, options.cache, progress)?;
            let mut run = PhaseRun::new(program, def, setup, seed, options.device)?;
            of = run.plan.length.steps;
            let refresh = program.refresh.as_ref();
            passes = refresh.map_or(0, |(_, often)| often.passes(of, run.order.steps_per_epoch()));
            run.plan.length = Length {
                steps: steps as u64,
                per_epoch: None,
            };
            let mut position = Position::default();
            let mut state = State {
                store: &mut store,
                optimizer: &mut optimizer,
                position: &mut position,
                log: &mut log,
                refreshed: &mut None,
            };
            let sizes = run.lists.iter().map(Vec::len).collect();
            let report = train(&run, &mut state, &cx, &mut Nothing { program, sizes })?;
            Ok((report, position.bad.values().map(|of_stream| of_stream.len()).sum()))
        };
        run(BEFORE)?;
        reset_device_memory(options.device)?;
        let (report, bad) = run(options.steps.max(1)).map_err(|e| e.context(format!("phase `{}`", name.value)))?;
        trials.push(Trial {
            phase: name.value.clone(),
            of,
            passes,
            report,
            bad,
            memory: device_memory(options.device)?,
            decodes: (program.values.iter()).any(|v| matches!(v.ty.head, Head::Video | Head::Flow)),
        });
    }
    Ok(trials)
}
