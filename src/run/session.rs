//! A whole run: its folder, its phases and views in order, its result.

use super::begin::{Begun, begin};
use super::checkpoint::{self, Position};
use super::copies;
use super::data::{FeedOptions, unusual};
use super::device::device_identity;
use super::error::RunError;
use super::finite;
use super::folder::{Begin, RunFolder, sweep_cache, write_whole};
use super::idle::idle_losses;
use super::inputs::Inputs;
use super::log::Log;
use super::optim::{Optimizer, OptimizerState};
use super::phase::PhaseRun;
use super::progress::{Progress, duration};
use super::record::RunRecord;
use super::refreshed::Refreshed;
use super::setup::{make_data, set_up};
use super::share::{self, Kept, Shared};
use super::share_key::cache_key;
use super::start::{begin_phase, start_weights};
use super::stop::{self, Section};
use super::train::{PhaseHooks, PhaseReport, State, TrainCx, train};
use super::view::{NodeScores, ViewCx, ViewResult, run_view};
use crate::check::{left_out, runs, starts_from};
use crate::describe::other_precision;
use crate::diag::printable;
use crate::graph::{Graph, Select};
use crate::program::Program;
use crate::program::{Checked, RESULT_VIEW};
use anyhow::{Context, Result, anyhow, bail};
use candle_core::{Device, DeviceLocation};
use glad_nodes::{Key, Precision, WeightStore};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How a graph is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The run's folder.
    pub out: PathBuf,
    /// Whether a run begins in `out`, or goes on there.
    pub begin: Begin,
    /// The run's seed.
    pub seed: u64,
    /// Data side.
    pub feed: FeedOptions,
    /// Where tensors live.
    pub device: Device,
    /// Where results that runs share are kept; `None` where there is no such folder, and in a run that shares nothing.
    pub cache: Option<PathBuf>,
    /// Seconds between saved states.
    pub save_every: Duration,
    /// Steps between saved states, besides.
    pub save_steps: Option<u64>,
    /// Whether a phase that another run has trained in just the same way is taken from there.
    pub share: bool,
    /// Whether nodes record work of a GPU that repeats (CUDA graphs). The results are the same.
    pub record: bool,
}

/// What a run gave.
#[derive(Debug)]
pub struct RunResult {
    /// Its folder.
    pub folder: RunFolder,
    /// The views that were run, by name.
    pub views: Vec<(String, ViewResult)>,
    /// The phases that were trained now, by name.
    pub phases: Vec<(String, PhaseReport)>,
    /// Optional views that were left out, with the reason.
    pub left_out: Vec<(String, String)>,
    /// Videos that training could not use, by stream and list line, with the reason.
    pub bad: BTreeMap<String, BTreeMap<String, String>>,
    /// What may not be meant: of the graph and its lists, and what training showed.
    pub warnings: Vec<String>,
    /// What was really computed with; more than one where the run went on with another.
    pub precision: Vec<Precision>,
    /// What the weights of networks started from, by node: `random`, or a file with the hash of its content.
    pub starts_from: BTreeMap<String, String>,
}

/// Runs `graph`. `effective` is the text of the effective graph, `plan` that of the plan: both go into the folder.
///
/// # Errors
/// [`RunError::Refused`] before anything is changed, [`RunError::Stopped`] with the state saved, and [`RunError::Failed`].
pub fn run(
    graph: &Graph,
    checked: &Checked,
    effective: &str,
    plan: &str,
    options: &RunOptions,
    progress: &Progress,
) -> Result<RunResult, RunError> {
    for program in runs(graph, checked) {
        make_data(program, progress)?;
    }
    if let Some(cache) = &options.cache {
        sweep_cache(cache);
    }
    let left_out = left_out(graph, checked);
    let inputs = Inputs::of(graph, checked, &left_out, progress)?;
    // From here to the first saved state a request waits: the folder is a run's, or it is none.
    stop::enter(Section::Unsaved)?;
    let Begun {
        folder,
        mut record,
        mut position,
        mut store,
        mut optimizer,
        mut refreshed,
        inputs,
        moved,
        begins,
    } = begin(graph, effective, inputs, options, progress)?;
    // It is read in terminals.
    write_whole(&folder.plan(), printable(plan).as_bytes())?;
    for line in note_precision(graph.precision.value, options.device.location(), &mut position) {
        progress.say(&line);
    }
    let (mut log, report) = Log::open(&folder.metrics(), &folder.events(), &position.log_end())
        .map_err(|e| RunError::Refused(format!("{e:#}")))?;
    report.iter().for_each(|line| progress.say(line));
    if begins {
        note_start(starts_from(graph, checked), &mut position, &mut log, progress)?;
    }
    let mut session = Session {
        graph,
        checked,
        folder: folder.clone(),
        record: &mut record,
        inputs,
        share: options.share && !moved,
        options,
        progress,
    };
    let mut result = RunResult {
        folder,
        views: vec![],
        phases: vec![],
        left_out,
        bad: BTreeMap::new(),
        warnings: vec![],
        precision: position.precision.clone(),
        starts_from: position.starts_from.clone(),
    };
    // From here on the run can be resumed, whenever it is stopped.
    if begins {
        session.save_state((None, None), &store, &mut position, &mut log)?;
    }
    stop::enter(Section::Saved)?;
    for (i, entry) in graph.run.iter().enumerate() {
        let name = &entry.value;
        if let Some(program) = checked.phases.get(name) {
            if i < position.entry {
                continue;
            }
            let report = session.phase(
                name,
                program,
                &mut store,
                (&mut optimizer, &mut refreshed),
                &mut position,
                &mut log,
            )?;
            result.phases.push((name.clone(), report));
        } else if let Some(program) = checked.views.get(name) {
            if !program.statistics.is_empty() {
                // It changes what later phases start from: once is enough.
                if i >= position.entry {
                    session.view(program, &mut store)?;
                    copies::statistics(checked, program, &mut store)?;
                    position.entry = i + 1;
                    session.save_state((None, None), &store, &mut position, &mut log)?;
                }
                continue;
            }
            if result.left_out.iter().all(|(n, _)| n != name) {
                let view = session.view(program, &mut store)?;
                match none_left(program, &view) {
                    None => result.views.push((name.clone(), view)),
                    Some(reason) if graph.views[name].optional => result.left_out.push((name.clone(), reason)),
                    Some(reason) => return Err(anyhow!("view `{name}`: {reason}").into()),
                }
            }
            position.entry = position.entry.max(i + 1);
        } else {
            return Err(anyhow!("`run` names `{name}`, which is no phase and no view").into());
        }
    }
    if result.views.is_empty()
        && result.left_out.is_empty()
        && let Some(program) = checked.views.get(RESULT_VIEW)
    {
        // What is scored may be an earlier state; what is saved as the last one is the last one.
        let view = match position.best {
            None => session.view(program, &mut store)?,
            Some(best) => {
                let score = 100.0 * best;
                let oracle = if graph.oracle { "oracle: " } else { "" };
                progress.say(&format!(
                    "{oracle}scored with the weights of the best validation score, {score:.2} %"
                ));
                let mut chosen = checkpoint::load(&session.folder.best(), &options.device)?.store;
                session.view(program, &mut chosen)?
            }
        };
        result.views.push((RESULT_VIEW.to_string(), view));
    }
    let _ = stop::enter(Section::Finished);
    position.finished = true;
    result.bad = position.bad.clone();
    let metrics = session.folder.metrics();
    let phases = graph.run.iter().filter_map(|r| checked.phases.get(&r.value));
    result.warnings = phases
        .map(|p| idle_losses(p, graph, &metrics))
        .collect::<Result<Vec<_>>>()?
        .concat();
    result
        .warnings
        .iter()
        .for_each(|w| progress.say(&format!("warning: {w}")));
    session.save_state((None, None), &store, &mut position, &mut log)?;
    Ok(result)
}

/// Notes what the weights of networks start from, on the terminal and in front of all else in the log.
fn note_start(
    from: BTreeMap<String, String>,
    position: &mut Position,
    log: &mut Log,
    progress: &Progress,
) -> Result<()> {
    if from.is_empty() {
        return Ok(());
    }
    for (node, from) in &from {
        progress.say(&format!("{node} starts from: {from}"));
    }
    let mut head = Map::new();
    head.insert("starts_from".into(), json!(from));
    position.starts_from = from;
    log.write(head, "", 0, &[])
}

/// Notes in `position` what `device` really computes with, where the graph asks for `asked`. Gives what is worth saying: that
/// it is something else, and that the run was computed in another precision so far.
fn note_precision(asked: Precision, device: DeviceLocation, position: &mut Position) -> Vec<String> {
    let used = asked.on(device);
    let mut printed: Vec<String> = other_precision(asked, device).into_iter().collect();
    match position.precision.last() {
        Some(before) if *before == used => {}
        before => {
            printed.extend(before.map(|before| format!("precision: {before} so far, {used} from here on")));
            position.precision.push(used);
        }
    }
    printed
}

struct Session<'a> {
    graph: &'a Graph,
    checked: &'a Checked,
    folder: RunFolder,
    record: &'a mut RunRecord,
    inputs: Inputs,
    /// Whether phases are taken from other runs and kept for them.
    share: bool,
    options: &'a RunOptions,
    progress: &'a Progress,
}

impl Session<'_> {
    fn phase(
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

    fn view(&self, program: &Program, store: &mut WeightStore) -> Result<ViewResult> {
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

    fn save_state(
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

impl PhaseHooks for Session<'_> {
    fn save(&mut self, step: u64, state: &mut State<'_>) -> Result<()> {
        state.position.step = step;
        let within = (Some(&*state.optimizer), state.refreshed.as_ref());
        self.save_state(within, state.store, state.position, state.log)
    }

    fn refresh(&mut self, step: u64, state: &mut State<'_>) -> Result<(), RunError> {
        let name = &self.graph.run[state.position.entry].value;
        let view = self.checked.phases[name].refresh.as_ref();
        let view = view.and_then(|(view, _)| self.checked.views.get(view));
        let program = view.context("the view of `refresh` is not there")?;
        // It may take long: the run may be stopped or killed in it, and then begins the pass anew when it goes on.
        self.save(step, state)?;
        stop::enter(Section::Saved)?;
        let result = self.view(program, state.store)?;
        stop::enter(Section::Unsaved)?;
        if !result.bad.is_empty() {
            let lists = set_up(program, self.options.cache.as_deref(), self.progress)?.lists;
            state.position.note_bad(&program.streams, &lists, &result.bad);
        }
        let refreshed = result
            .refreshed
            .context("the view of `refresh` computes nothing over its list")?;
        let videos: Vec<String> = (result.counts.iter())
            .map(|(stream, n)| format!("{n} videos of {stream}"))
            .collect();
        self.progress.say(&format!(
            "{name} step {step}: {} over {}",
            program.name,
            videos.join(", ")
        ));
        *state.refreshed = Some(Refreshed { step, ..refreshed });
        Ok(())
    }

    fn epoch(&mut self, step: u64, state: &mut State<'_>) -> Result<(), RunError> {
        let name = &self.graph.run[state.position.entry].value;
        let Some(view) = self.graph.phases[name].validate.as_ref() else {
            return Ok(());
        };
        // A validation may take long: the run may be stopped or killed in it, and then validates when it goes on.
        state.position.unvalidated = true;
        self.save(step, state)?;
        stop::enter(Section::Saved)?;
        let program = self
            .checked
            .views
            .get(&view.value)
            .context("the validation view is not there")?;
        let result = self.view(program, state.store)?;
        stop::enter(Section::Unsaved)?;
        let State {
            store, position, log, ..
        } = state;
        position.unvalidated = false;
        let mut row = vec![];
        for s in &result.scores {
            for (n, v) in &s.scores.values {
                let at = s.stream.as_ref().map_or(String::new(), |s| format!("@{s}"));
                row.push((format!("{}.{n}{at}", s.node), *v));
            }
        }
        let mut head = Map::new();
        head.insert("view".into(), json!(view.value));
        head.insert("phase".into(), json!(name));
        head.insert("step".into(), json!(step));
        log.write(head, &view.value, step, &row)?;
        let words: Vec<String> = row.iter().map(|(n, v)| format!("{n} {v:.3}")).collect();
        self.progress
            .say(&format!("{name} step {step}, {}: {}", view.value, words.join("  ")));
        if self.graph.select.value == Select::Best {
            let held = |stream: &str| self.graph.held_out.iter().any(|h| h.value == stream);
            // What compares with labels; of an oracle, first of all those of a held-out stream.
            let labelled = |s: &&NodeScores| program.labels.iter().any(|u| program.calls[u.call].node == s.node);
            let mut scores: Vec<&NodeScores> = result.scores.iter().filter(labelled).collect();
            scores.sort_by_key(|s| !(self.graph.oracle && s.stream.as_deref().is_some_and(held)));
            let score = scores
                .first()
                .and_then(|s| s.scores.values.first())
                .map(|(_, v)| *v)
                .context("the validation view scores nothing")?;
            if position.best.is_none_or(|b| score > b) {
                position.best = Some(score);
                checkpoint::save(&self.folder.best(), position, store, None, None)?;
            }
        }
        Ok(())
    }
}

/// Why a view has nothing of one of its streams.
fn none_left(program: &Program, view: &ViewResult) -> Option<String> {
    let (s, (stream, _)) = view.counts.iter().enumerate().find(|(_, (_, n))| *n == 0)?;
    debug_assert_eq!(program.streams[s], *stream);
    let first = view.bad.iter().find(|b| b.stream == s)?;
    Some(format!(
        "no video of {stream} could be used; the first: {}",
        first.reason
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Precision::{Bf16, F32};

    #[test]
    fn going_on_with_another_precision_is_reported() {
        let gpu = DeviceLocation::Cuda { gpu_id: 0 };
        let mut position = Position::default();
        assert!(note_precision(Bf16, gpu, &mut position).is_empty());
        assert!(note_precision(Bf16, gpu, &mut position).is_empty());
        // The same graph goes on on the CPU.
        assert_eq!(
            note_precision(Bf16, DeviceLocation::Cpu, &mut position),
            [
                "precision: f32, for the CPU has no other (bf16 is for GPUs)",
                "precision: bf16 so far, f32 from here on"
            ]
        );
        assert_eq!(position.precision, [Bf16, F32]);
        assert_eq!(
            note_precision(Bf16, gpu, &mut position),
            ["precision: f32 so far, bf16 from here on"]
        );
        assert_eq!(position.precision, [Bf16, F32, Bf16]);
    }
}
