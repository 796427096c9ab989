//! How a run begins, or goes on: its folder, and whether what it was begun with is still the same.

use super::changed::{Change, compare};
use super::checkpoint::{self, Position, State};
use super::error::RunError;
use super::folder::{Begin, Found, RunFolder, other_precision, write_whole};
use super::inputs::Inputs;
use super::optim::OptimizerState;
use super::options::RunOptions;
use super::progress::Progress;
use super::record::{FOLDER_FORMAT, RunRecord, read_inputs, write_inputs};
use super::refreshed::Refreshed;
use crate::diag::Problems;
use crate::graph::{Graph, PhaseDef};
use crate::load::{LoadOptions, diff, experiment, load};
use anyhow::{Context, Result, anyhow, bail, ensure};
use glad_nodes::WeightStore;
use std::path::Path;

/// This program, as a run's record names it.
const PROGRAM: &str = concat!("glad ", env!("CARGO_PKG_VERSION"));

/// How many differences of two graphs are shown.
const DIFFERENCES: usize = 6;

/// A run that may train from here.
pub(super) struct Begun {
    pub folder: RunFolder,
    pub record: RunRecord,
    pub position: Position,
    pub store: WeightStore,
    /// The state of the optimiser of the phase in which the run continues.
    pub optimizer: Option<OptimizerState>,
    /// What the last pass over that phase's lists left.
    pub refreshed: Option<Refreshed>,
    /// What it reads, without the videos.
    pub inputs: Inputs,
    /// Whether its data has been moved since it began: then nothing is shared with other runs.
    pub moved: bool,
    /// Whether nothing of it has been saved yet.
    pub begins: bool,
}

/// Begins a run in `options.out`, or goes on with the one there. `effective` is the effective graph's text.
///
/// # Errors
/// [`RunError::Refused`]: the folder is not to be taken, or holds a run of something else, or one that is damaged. Else a file cannot be
/// written.
pub(super) fn begin(
    graph: &Graph,
    effective: &str,
    mut inputs: Inputs,
    options: &RunOptions,
    progress: &Progress,
) -> Result<Begun, RunError> {
    let refused = |e: anyhow::Error| RunError::Refused(format!("{e:#}"));
    // Where a run would begin, before its folder is made.
    if options.begin != Begin::Resume && RunFolder::existing(&options.out).is_err() {
        has_videos(graph, &inputs)?;
    }
    let (folder, found) = RunFolder::open(&options.out, options.begin).map_err(refused)?;
    let now = RunRecord {
        format: FOLDER_FORMAT,
        program: PROGRAM.to_owned(),
        graph: graph_hash(graph),
        inputs: inputs.content(),
        saved: false,
        classes: classes(&inputs),
        weights: inputs
            .weights
            .iter()
            .map(|w| (w.node.clone(), w.hash.clone()))
            .collect(),
    };
    let fresh = |record: &RunRecord| Position {
        format: Position::FORMAT,
        graph: record.graph.clone(),
        inputs: record.inputs.clone(),
        seed: options.seed,
        ..Position::default()
    };
    if found == Found::Nothing {
        now.write(&folder.record())?;
        write_inputs(&folder.inputs(), &inputs, false)?;
        // Last, since it is what makes the folder that of a run.
        write_whole(&folder.graph(), effective.as_bytes())?;
        inputs.forget_videos();
        return Ok(Begun {
            position: fresh(&now),
            folder,
            record: now,
            store: WeightStore::default(),
            optimizer: None,
            refreshed: None,
            inputs,
            moved: false,
            begins: true,
        });
    }
    let record = same_graph(&folder, &now, graph, effective).map_err(refused)?;
    let (before, was_moved) = read_inputs(&folder.inputs()).map_err(|e| refused(put_back(e)))?;
    let change = compare(&before, &inputs, &|name| trains(graph, name));
    if let Change::Other(what) = &change {
        return Err(RunError::Refused(other_data(&folder, what)));
    }
    let state = state(&folder, &record, options).map_err(refused)?;
    let finished = state.as_ref().is_some_and(|s| s.position.finished);
    let moved = was_moved || matches!(change, Change::Moved(_) | Change::Scored { moved: true, .. });
    let report = match change {
        Change::Moved(how) => Some(format!(
            "the data has been moved since the run began, and nothing is shared with other runs from here on: {how}"
        )),
        // The results of a finished run are those of what it was scored on.
        Change::Scored { what, .. } if finished => return Err(RunError::Refused(other_data(&folder, &what))),
        Change::Scored { what, .. } => Some(format!(
            "what only views read is not what the run began with, and is scored as it is now; nothing is trained from it: {what}"
        )),
        Change::Same | Change::Other(_) => None,
    };
    has_videos(graph, &inputs)?;
    if let Some(report) = report {
        progress.say(&report);
        write_inputs(&folder.inputs(), &inputs, moved)?;
        write_whole(&folder.graph(), effective.as_bytes())?;
    }
    inputs.forget_videos();
    let begins = state.is_none();
    let (position, store, optimizer, refreshed) = match state {
        Some(State {
            position,
            store,
            optimizer,
            refreshed,
        }) => (position, store, optimizer, refreshed),
        None => (fresh(&record), WeightStore::default(), None, None),
    };
    Ok(Begun {
        folder,
        record,
        position,
        store,
        optimizer,
        refreshed,
        inputs,
        moved,
        begins,
    })
}

/// Names of the classes by stream.
fn classes(inputs: &Inputs) -> indexmap::IndexMap<String, Vec<String>> {
    let mut found = indexmap::IndexMap::new();
    for list in &inputs.lists {
        let Some(names) = &list.classes else { continue };
        for place in &list.used {
            if let Some((_, stream)) = place.rsplit_once('@') {
                found.entry(stream.to_owned()).or_insert_with(|| names.clone());
            }
        }
    }
    found
}

/// Names a graph, wherever its files lie.
fn graph_hash(graph: &Graph) -> String {
    blake3::hash(experiment(graph).as_bytes()).to_hex().to_string()
}

/// What to do about a file of a run that cannot be read, or is not the run's.
const PUT_BACK: &str = "put back the file that the run wrote, or begin anew in another folder";

/// Adds to an error about a file of a run what to do.
pub fn put_back(e: anyhow::Error) -> anyhow::Error {
    anyhow!("{e:#}\n  {PUT_BACK}")
}

/// The record of the folder's run, which has to be one of this graph.
fn same_graph(folder: &RunFolder, now: &RunRecord, graph: &Graph, effective: &str) -> Result<RunRecord> {
    let root = folder.root().display();
    let Some(record) = RunRecord::read(&folder.record()).map_err(put_back)? else {
        bail!(
            "{root} holds a run of an older glad (its folder is of format 1, without run.json; this one goes on with format \
             {FOLDER_FORMAT}): go on with the program that began it, or begin anew in another folder"
        );
    };
    let there = folder.graph();
    let own = own_graph(&there)?;
    is_graph_of(&own, &there, &record)?;
    if record.graph == now.graph {
        return Ok(record);
    }
    let old = glad_video::read_text(&there).with_context(|| format!("cannot read {}", there.display()))?;
    if let Some((before, now)) = other_precision(&old, effective) {
        bail!("{root} holds a run in {before}, so it cannot be resumed in {now}: add --set precision={before}");
    }
    bail!(
        "{root} holds a run of another graph, so it cannot be resumed with this one{}\n  resume it as it was: glad-run {} --out \
         {root} --resume",
        differences(&diff(&own, graph)),
        there.display()
    )
}

/// The graph in a run's folder.
fn own_graph(path: &Path) -> Result<Graph> {
    let options = LoadOptions {
        graph: path.to_path_buf(),
        ..LoadOptions::default()
    };
    let wrong = |p: Problems| p.list.first().map_or(String::new(), |p| format!(": {}", p.message));
    load(&options).map_err(|p| put_back(anyhow!("{} is no sound graph{}", path.display(), wrong(p))))
}

/// The first lines of a structural difference, without folders that paths are relative to.
fn differences(diff: &str) -> String {
    let folder = |line: &&str| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|path| path.ends_with(".folder"))
    };
    let lines: Vec<&str> = diff.lines().filter(|line| !folder(line)).collect();
    let shown = lines
        .iter()
        .take(DIFFERENCES)
        .map(|line| format!("\n    {line}"))
        .collect::<String>();
    let more = match lines.len().saturating_sub(DIFFERENCES) {
        0 => String::new(),
        n => format!("\n    and {n} more"),
    };
    match lines.is_empty() {
        true => String::new(),
        false => format!("\n  what differs, the run's in front:{shown}{more}"),
    }
}

/// An error unless the graph in a run's folder, which is at `path`, is the one that the run is of.
///
/// # Errors
/// It is another one.
pub fn is_graph_of(graph: &Graph, path: &Path, record: &RunRecord) -> Result<()> {
    // Another version may write the same graph in another way.
    ensure!(
        graph_hash(graph) == record.graph || record.program != PROGRAM,
        "{} and run.json beside it are of different runs\n  {PUT_BACK}",
        path.display()
    );
    Ok(())
}

/// Whether weights depend on what a phase or view reads: a phase's validation may choose the best of them, and its `refresh`
/// gives its steps labels.
fn trains(graph: &Graph, name: &str) -> bool {
    let takes = |phase: &PhaseDef| {
        let refresh = phase.refresh.as_ref().map(|r| &r.view);
        phase.validate.iter().chain(refresh).any(|view| view.value == name)
    };
    graph.phases.contains_key(name) || graph.phases.values().any(takes)
}

/// An error where more videos are missing than may be: training would be for nothing.
fn has_videos(graph: &Graph, inputs: &Inputs) -> Result<(), RunError> {
    match inputs.too_many_missing(graph.bad_videos) {
        Some(why) => Err(RunError::Refused(why)),
        None => Ok(()),
    }
}

/// Why a run does not go on with other data.
fn other_data(folder: &RunFolder, what: &str) -> String {
    let root = folder.root().display();
    format!(
        "{root} holds a run of other data, so it cannot be resumed with these\n  {what}\n  put it back as it was to go on; or begin \
         a run of the data as they are now in another folder (--out); a finished run is scored on other lists by: glad-run eval \
         --run {root} --set nodes.NODE.STREAM.list=FILE"
    )
}

/// The saved state, if there is one by now.
fn state(folder: &RunFolder, record: &RunRecord, options: &RunOptions) -> Result<Option<State>> {
    let (root, last) = (folder.root().display(), folder.last());
    if !last.exists() {
        if record.saved {
            bail!(
                "{} is not there any more: put it back, or begin anew in another folder",
                last.display()
            );
        }
        return Ok(None);
    }
    let state = checkpoint::load(&last, &options.device).map_err(put_back)?;
    let Position { format, seed, best, .. } = state.position;
    if format != Position::FORMAT {
        bail!(
            "{} is of format {format}, of an older glad; this one goes on with format {}",
            last.display(),
            Position::FORMAT
        );
    }
    of_this_run(&state, &last, record)?;
    if seed != options.seed {
        bail!("the run in {root} has seed {seed}, not {}", options.seed);
    }
    if best.is_some() {
        // It is scored at the end: better to know now that it can be.
        let path = folder.best();
        let chosen = checkpoint::load(&path, &options.device).map_err(put_back)?;
        of_this_run(&chosen, &path, record)?;
        if chosen.position.best < best {
            bail!(
                "{} is not the state with the best validation score so far: put that back, or begin anew in another folder",
                path.display()
            );
        }
    }
    Ok(Some(state))
}

/// An error unless a state was saved by the run that `record` is of.
///
/// # Errors
/// It was saved by a run of another graph, or of other data.
pub fn of_this_run(state: &State, path: &Path, record: &RunRecord) -> Result<()> {
    if state.position.graph != record.graph {
        another(path, "graph")
    } else if state.position.inputs != record.inputs {
        another(path, "data")
    } else {
        Ok(())
    }
}

/// As [`of_this_run`], in a folder without a record: by the graph in the folder alone, which is at `graph`.
///
/// # Errors
/// It was saved by a run of another graph, or the graph cannot be read.
pub fn of_this_graph(state: &State, path: &Path, graph: &Path) -> Result<()> {
    let Position { format, graph: of, .. } = &state.position;
    // States of older versions name their graphs in another way.
    match *format == Position::FORMAT && *of != graph_hash(&own_graph(graph)?) {
        true => another(path, "graph"),
        false => Ok(()),
    }
}

fn another(path: &Path, what: &str) -> Result<()> {
    bail!(
        "{} is the state of a run of another {what} than this folder's: put the folder's own state back, or begin anew in \
         another folder",
        path.display()
    )
}
