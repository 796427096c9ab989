//! An entry of `run`: a phase is trained, a view is computed, and the state is saved after it.

use super::checkpoint::{self, Position};
use super::data::unusual;
use super::device::device_identity;
use super::error::RunError;
use super::finite;
use super::folder::RunFolder;
use super::inputs::Inputs;
use super::log::Log;
use super::optim::{Optimizer, OptimizerState};
use super::options::RunOptions;
use super::phase::PhaseRun;
use super::progress::{Progress, duration};
use super::record::RunRecord;
use super::refreshed::Refreshed;
use super::setup::set_up;
use super::share::{self, Kept, Shared};
use super::share_key::cache_key;
use super::start::{begin_phase, start_weights};
use super::stop::{self, Section};
use super::train::{PhaseReport, State, TrainCx, train};
use super::view::{ViewCx, ViewResult, run_view};
use crate::graph::Graph;
use crate::program::{Checked, Program};
use anyhow::{Context, Result, bail};
use glad_nodes::{Key, WeightStore};

/// A run at work: what its phases and views share.
pub(super) struct Session<'a> {
    pub(super) graph: &'a Graph,
    pub(super) checked: &'a Checked,
    pub(super) folder: RunFolder,
    pub(super) record: &'a mut RunRecord,
    pub(super) inputs: Inputs,
    /// Whether phases are taken from other runs and kept for them.
    pub(super) share: bool,
    pub(super) options: &'a RunOptions,
    pub(super) progress: &'a Progress,
}

impl Session<'_> {
    /// Trains a phase, or takes it from a run that trained it in the same way.
    pub(super) fn phase(
        &mut self,
        name: &str,
        program: &Program,
        store: &mut WeightStore,
        (kept, refreshed): (&mut Option<OptimizerState>, &mut Option<Refreshed>),
        position: &mut Position,
        log: &mut Log,
    ) -> Result<PhaseReport, RunError> {
        let def = &self.graph.phases[name];
        let shared = Shared::new(self.options.cache.as_deref());
        // A phase that is validated as it goes leaves more than its weights.
        let share = self.share && def.validate.is_none();
        let key = if share { self.key(name, &self.inputs)? } else { None };
        if let Some(key) = key.as_ref().filter(|_| position.step == 0) {
            match shared.find(key, &self.options.device) {
                Kept::Nothing => {}
                Kept::Damaged(why) => self.progress.say(&format!(
                    "{name}: what an earlier run kept of it is not used, and it is trained again: {why}"
                )),
                Kept::Phase(state, lines) => {
                    *store = state.store;
                    share::replay(&lines, name, log)?;
                    self.progress.say(&format!(
                        "{name}: taken from an earlier run that trained it in the same way"
                    ));
                    position.entry += 1;
                    self.save_state((None, None), store, position, log)?;
                    return Ok(PhaseReport::default());
                }
            }
        }
        let setup = set_up(program, self.options.cache.as_deref(), self.progress)?;
        let fresh = position.step == 0;
        let (seed, device) = (self.options.seed, &self.options.device);
        begin_phase(program, def, store, fresh, seed, device, self.progress)?;
        let mut optimizer = Optimizer::new(&def.optimizer);
        if let Some(kept) = kept.take() {
            optimizer.restore(kept).with_context(|| format!("phase `{name}`"))?;
        }
        let cx = TrainCx {
            feed: self.options.feed,
            precision: self.graph.precision.value,
            record: self.options.record,
            progress: self.progress,
            bad_limit: self.graph.bad_videos,
            save_every: self.options.save_every,
            save_steps: self.options.save_steps,
        };
        let run = PhaseRun::new(program, def, setup, seed, device)?;
        stop::enter(Section::Unsaved)?;
        let mut state = State {
            store: &mut *store,
            optimizer: &mut optimizer,
            position: &mut *position,
            log: &mut *log,
            refreshed: &mut *refreshed,
        };
        let report = train(&run, &mut state, &cx, self)?;
        let graphs = report.graphs.map(|n| format!(", {n} launches of CUDA graphs"));
        self.progress.say(&format!(
            "{name}: {} steps in {}{}  {}",
            report.steps,
            duration(report.wall),
            graphs.unwrap_or_default(),
            report
                .smooth
                .iter()
                .filter(|(n, _)| n != "lr")
                .map(|(n, v)| format!("{n} {v:.3}"))
                .collect::<Vec<_>>()
                .join("  ")
        ));
        for line in run.lists.iter().filter_map(|list| unusual(list)) {
            self.progress.say(&format!("{name}: {line}"));
        }
        position.entry += 1;
        position.step = 0;
        *refreshed = None;
        self.save_state((None, None), store, position, log)?;
        stop::enter(Section::Saved)?;
        // A phase in which videos were replaced depends on files that may be mended: it is not for others.
        if let Some(key) = key.filter(|_| position.bad.is_empty()) {
            if self.key(name, &Inputs::of_phases(self.checked)?)?.as_ref() == Some(&key) {
                let lines = share::lines_of(&self.folder.metrics(), name)?;
                // Sharing saves time, and is nothing that a run needs.
                if let Err(e) = shared.keep(&key, store, &lines) {
                    self.progress.uncached(&e);
                }
            } else {
                self.progress.say(&format!(
                    "{name}: files that it reads were changed while it trained, so it is not kept for other runs"
                ));
            }
        }
        Ok(report)
    }

    /// The key by which runs share a phase that reads `inputs`.
    fn key(&self, name: &str, inputs: &Inputs) -> Result<Option<String>> {
        let device = (self.options.device.location(), &*device_identity(&self.options.device)?);
        cache_key(self.checked, self.graph, inputs, name, self.options.seed, device)
    }

    /// Computes a view, with weights that start where they are not there.
    pub(super) fn view(&self, program: &Program, store: &mut WeightStore) -> Result<ViewResult> {
        let setup = set_up(program, self.options.cache.as_deref(), self.progress)?;
        let key = Key::new(self.options.seed);
        let made = start_weights(program, store, key.name("init"), &self.options.device, self.progress)?;
        let cx = ViewCx {
            key: key.name("view").name(&program.name),
            feed: self.options.feed,
            device: &self.options.device,
            precision: self.graph.precision.value,
            progress: self.progress,
            ports: &[],
            each: None,
            bad_limit: Some(self.graph.bad_videos),
            classes: self.graph.classes.as_ref().map(|c| c.value.as_slice()),
        };
        let result = run_view(program, setup, store, &cx).with_context(|| format!("view `{}`", program.name));
        // These begin with a phase: until then each view has them as the others are now.
        let kept = |name: &&String| {
            let moved = |node: &String| name.strip_prefix(node).is_some_and(|rest| rest.starts_with('.'));
            !program.statistics.iter().any(moved)
        };
        made.iter().filter(kept).for_each(|name| store.remove(name));
        result
    }

    /// Nothing that is not finite is scored or saved. A step looks at the weights that it trains; the running statistics of
    /// norms, and on a GPU all weights, are looked at here.
    fn check_weights(&self, store: &WeightStore, position: &Position) -> Result<()> {
        if let Some(name) = finite::broken(store)? {
            bail!(
                "`{name}` holds numbers that are not finite after step {} of the phase: nothing was saved since the last state",
                position.step
            );
        }
        Ok(())
    }

    /// Saves the state of the run, which it goes on from.
    pub(super) fn save_state(
        &mut self,
        (optimizer, refreshed): (Option<&Optimizer>, Option<&Refreshed>),
        store: &WeightStore,
        position: &mut Position,
        log: &mut Log,
    ) -> Result<()> {
        self.check_weights(store, position)?;
        position.set_log_end(log.end()?);
        let optimizer = optimizer.map(Optimizer::state);
        checkpoint::save(&self.folder.last(), position, store, optimizer, refreshed)?;
        if !self.record.saved {
            self.record.saved = true;
            self.record.write(&self.folder.record())?;
        }
        Ok(())
    }
}
