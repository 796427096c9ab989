//! How a run begins, or goes on: its folder, and whether what it was begun with is still the same.

use super::changed::{Change, compare};
use super::checkpoint::{self, Position, State};
use super::error::RunError;
use super::folder::{Found, RunFolder, other_precision, write_whole};
use super::inputs::Inputs;
use super::optim::OptimizerState;
use super::progress::Progress;
use super::record::{FOLDER_FORMAT, RunRecord, read_inputs, write_inputs};
use super::session::RunOptions;
use crate::graph::Graph;
use crate::load::experiment;
use anyhow::{Context, Result, bail};
use glad_nodes::WeightStore;
use std::path::Path;

/// A run that may train from here.
pub(super) struct Begun {
    pub folder: RunFolder,
    pub record: RunRecord,
    pub position: Position,
    pub store: WeightStore,
    /// The state of the optimiser of the phase in which the run continues.
    pub optimizer: Option<OptimizerState>,
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
    let (folder, found) = RunFolder::open(&options.out, options.begin).map_err(refused)?;
    let now = RunRecord {
        format: FOLDER_FORMAT,
        program: concat!("glad ", env!("CARGO_PKG_VERSION")).to_owned(),
        graph: blake3::hash(experiment(graph).as_bytes()).to_hex().to_string(),
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
            inputs,
            moved: false,
            begins: true,
        });
    }
    let record = same_graph(&folder, &now, effective).map_err(refused)?;
    let (moved, how) = same_inputs(&folder, &inputs).map_err(refused)?;
    let state = state(&folder, &record, options).map_err(refused)?;
    if let Some(how) = how {
        progress.say(&format!(
            "the data has been moved since the run began, and nothing is shared with other runs from here on: {how}"
        ));
        write_inputs(&folder.inputs(), &inputs, true)?;
        write_whole(&folder.graph(), effective.as_bytes())?;
    }
    inputs.forget_videos();
    let begins = state.is_none();
    let (position, store, optimizer) = match state {
        Some(State {
            position,
            store,
            optimizer,
        }) => (position, store, optimizer),
        None => (fresh(&record), WeightStore::default(), None),
    };
    Ok(Begun {
        folder,
        record,
        position,
        store,
        optimizer,
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

/// The record of the folder's run, which has to be one of this graph.
fn same_graph(folder: &RunFolder, now: &RunRecord, effective: &str) -> Result<RunRecord> {
    let root = folder.root().display();
    let Some(record) = RunRecord::read(&folder.record())? else {
        bail!(
            "{root} holds a run of an older glad (its folder is of format 1, without run.json; this one goes on with format \
             {FOLDER_FORMAT}): go on with the program that began it, or begin anew in another folder"
        );
    };
    let there = folder.graph();
    if record.graph != now.graph {
        let old = glad_video::read_text(&there).with_context(|| format!("cannot read {}", there.display()))?;
        if let Some((before, now)) = other_precision(&old, effective) {
            bail!("{root} holds a run in {before}, so it cannot be resumed in {now}: add --set precision={before}");
        }
        let there = there.display();
        bail!(
            "{root} holds a run of another graph, so it cannot be resumed with this one\n  \
             see what differs: glad-run diff {there} GRAPH\n  resume it as it was: glad-run {there} --out {root} --resume"
        );
    }
    Ok(record)
}

/// Whether what the run reads has been moved since it began, and how since it was last at work.
fn same_inputs(folder: &RunFolder, inputs: &Inputs) -> Result<(bool, Option<String>)> {
    let (before, moved) = read_inputs(&folder.inputs())?;
    let root = folder.root().display();
    match compare(&before, inputs) {
        Change::Same => Ok((moved, None)),
        Change::Moved(how) => Ok((true, Some(how))),
        Change::Other(what) => bail!(
            "{root} holds a run of other data, so it cannot be resumed with these\n  {what}\n  put it back as it was to go \
             on; or begin a run of the data as they are now in another folder (--out); a finished run is scored on other \
             lists by: glad-run eval --run {root} --set nodes.NODE.STREAM.list=FILE"
        ),
    }
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
    let state = checkpoint::load(&last, &options.device)?;
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
        let chosen = checkpoint::load(&path, &options.device)?;
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
    let another = if state.position.graph != record.graph {
        "graph"
    } else if state.position.inputs != record.inputs {
        "data"
    } else {
        return Ok(());
    };
    bail!(
        "{} is the state of a run of another {another} than this folder's: put the folder's own state back, or begin anew in \
         another folder",
        path.display()
    )
}
