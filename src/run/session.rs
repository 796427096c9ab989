//! A whole run: its folder, its phases and views in order, its result.

use super::begin::{Begun, begin};
use super::checkpoint::{self, Position};
use super::copies;
use super::entry::Session;
use super::error::RunError;
use super::folder::{RunFolder, sweep_cache, write_whole};
use super::idle::idle_losses;
use super::inputs::Inputs;
use super::log::Log;
use super::options::RunOptions;
use super::progress::Progress;
use super::setup::make_data;
use super::stop::{self, Section};
use super::train::PhaseReport;
use super::view::ViewResult;
use crate::check::{left_out, runs, starts_from};
use crate::describe::other_precision;
use crate::diag::printable;
use crate::graph::Graph;
use crate::program::{Checked, Program, RESULT_VIEW};
use anyhow::{Result, anyhow};
use candle_core::DeviceLocation;
use glad_nodes::Precision;
use serde_json::{Map, json};
use std::collections::BTreeMap;

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
