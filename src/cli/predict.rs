//! `glad-run eval` and `glad-run predict`: a finished run on lists, or on any videos.

use super::args::{LayerArgs, MachineArgs};
use super::exit::{Failure, some_failed};
use super::experiment::{Experiment, Machine, machine};
use super::model::{Model, array, differs, program, roots_without, source, videos as videos_of};
use super::output::{ending, writable};
use crate::check::lists_of;
use crate::diag::{Severity, terminal};
use crate::program::ValueId;
use crate::report;
use crate::run::{
    Progress, Setup, ViewCx, ViewResult, cache_folder, make_data, run_view, set_up, set_up_with, unusual, write_out,
};
use anyhow::{Context, Result, anyhow, bail};
use glad_nodes::{Head, Key, Registry, SourceError};
use std::path::{Path, PathBuf};

/// What `predict` is to compute.
pub(super) struct What<'a> {
    /// The view.
    pub view: &'a str,
    /// A port, instead of probabilities.
    pub port: Option<&'a str>,
    /// Where the port's values go.
    pub out: Option<&'a Path>,
}

/// Scores a finished run again, perhaps with another list. Streams whose lists are not there are left out, unless they were
/// asked for.
///
/// # Errors
/// The run, its graph or a list cannot be read, or a node fails.
pub(super) fn eval(
    run: &Path,
    view: &str,
    layers: &LayerArgs,
    machine_args: &MachineArgs,
    registry: &Registry,
) -> Result<(), Failure> {
    let model = Model::open(run)?;
    let mut e = model.experiment(view, layers, registry)?;
    let machine = machine(machine_args)?;
    let progress = Progress::new(machine_args.quiet);
    let own = model.own(registry)?;
    let asked = |node: &str, stream: &str| differs(&own, &e, node, stream, "list");
    if let Some(roots) = available(&e, view, &asked, &progress)? {
        let layers = LayerArgs {
            set: [&layers.set[..], &[format!("views.{view}.roots={}", array(&roots))][..]].concat(),
            ..layers.clone()
        };
        e = model.experiment(view, &layers, registry)?;
    }
    let mut found = lists_of(&e.graph, program(&e, view)?);
    if found.has_errors() {
        return Err(Failure::Graph(found));
    }
    found.list.retain(|p| p.severity == Severity::Warning);
    if !found.list.is_empty() {
        progress.problems(&found);
    }
    let setup = set_up(program(&e, view)?, cache_folder().as_deref(), &progress)?;
    let result = run_on(&model, &e, view, setup, &machine, &progress, &[])?;
    terminal::out(&report::view_text(&e.graph, view, &result));
    Ok(())
}

/// The roots of the streams whose lists are there, where some are not; those are reported. A list that was asked for has to be
/// there.
fn available(
    e: &Experiment,
    view: &str,
    asked: &dyn Fn(&str, &str) -> bool,
    progress: &Progress,
) -> Result<Option<Vec<String>>, Failure> {
    let program = program(e, view)?;
    make_data(program, progress).map_err(Failure::Absent)?;
    let (mut out, mut absent) = (vec![], vec![]);
    for (s, call) in program.sources.iter().enumerate() {
        let source = source(program, *call)?;
        // Of another split it may lack the list.
        if source.absent().is_empty() {
            continue;
        }
        let (node, stream) = (&program.calls[*call].node, &program.streams[s]);
        // What is there and wrong is reported as such, later.
        if let Err(why) = source.scan(&program.split)
            && !matches!(&why, SourceError::File(fault) if fault.file.exists())
        {
            if asked(node, stream) {
                return Err(Failure::Absent(anyhow!(why).context(format!("stream `{stream}`"))));
            }
            out.push(s);
            absent.push(format!("{stream}: {why:#}"));
        }
    }
    if out.is_empty() {
        return Ok(None);
    }
    let roots = roots_without(program, &out);
    if roots.is_empty() {
        let absent = absent.join("; ");
        return Err(Failure::Absent(anyhow!("no list of view `{view}` is there: {absent}")));
    }
    for line in absent {
        progress.say(&format!("left out, since its list is not there: {line}"));
    }
    Ok(Some(roots))
}

/// Runs a finished run's network on videos.
///
/// # Errors
/// The run or a video cannot be read, a node fails, or the output cannot be written.
pub(super) fn predict(
    run: &Path,
    videos: &[PathBuf],
    what: What<'_>,
    machine_args: &MachineArgs,
    registry: &Registry,
) -> Result<(), Failure> {
    let wanted = wanted(&what)?;
    if let Some(out) = what.out {
        writable(out)?;
    }
    for video in videos {
        let there = std::fs::metadata(video).with_context(|| format!("cannot open {}", video.display()));
        there.map_err(Failure::Absent)?;
    }
    let model = Model::open(run)?;
    let whole = model.experiment(what.view, &LayerArgs::default(), registry)?;
    let layers = narrowed(&whole, &what)?;
    let e = model.experiment(what.view, &layers, registry)?;
    let machine = machine(machine_args)?;
    let progress = Progress::new(machine_args.quiet);
    let program = program(&e, what.view)?;
    let ports: Vec<ValueId> = match what.port {
        Some(_) => program.roots.clone(),
        None => vec![],
    };
    let only = program.sources.first().copied();
    let setup = set_up_with(program, cache_folder().as_deref(), &progress, &|call| match only {
        Some(stream) if stream == call => videos_of(program, call, videos),
        _ => bail!("view `{}` needs the whole list of another stream", what.view),
    })?;
    let lists = setup.lists.clone();
    let result = run_on(&model, &e, what.view, setup, &machine, &progress, &ports)?;
    for video in lists.iter().flatten() {
        if let Some(line) = unusual(std::slice::from_ref(video)) {
            progress.say(&line);
        }
    }
    for b in &result.bad {
        terminal::err(&format!("error: {}", of_video(&videos[b.video], b.video, &b.reason)));
    }
    match wanted {
        Wanted::Port(out) => report::write_ports(out, &result.ports)?,
        Wanted::Csv(out) => {
            let text = report::predictions_csv(&model.classes(&e.graph, program)?, &result.predictions)?;
            write_out(out, text.as_bytes())?;
        }
        Wanted::Json(out) => {
            let all = report::predictions_json(&model.classes(&e.graph, program)?, &result.predictions);
            let text = serde_json::to_string_pretty(&all).context("the predictions")? + "\n";
            write_out(out, text.as_bytes())?;
        }
        Wanted::Text => {
            let classes = model.classes(&e.graph, program)?;
            terminal::out(&report::probabilities_text(&classes, &result.predictions));
        }
    }
    if result.bad.is_empty() {
        Ok(())
    } else {
        Err(some_failed(result.bad.len(), videos.len()))
    }
}

/// Why a video failed, with its path as it was given in front; not with what it is among the arguments, nor the node that it came to.
fn of_video(video: &Path, at: usize, reason: &str) -> String {
    let why = reason
        .split_once(&format!("argument:{}: ", at + 1))
        .map_or(reason, |(_, why)| why);
    let whole = video.canonicalize().unwrap_or_else(|_| video.to_path_buf());
    let why = why.strip_prefix(&format!("{}: ", whole.display())).unwrap_or(why);
    format!("{}: {why}", video.display())
}

/// What is computed, and where it goes.
enum Wanted<'a> {
    Text,
    Csv(&'a Path),
    Json(&'a Path),
    Port(&'a Path),
}

fn wanted<'a>(what: &What<'a>) -> Result<Wanted<'a>, Failure> {
    let Some(out) = what.out else {
        return Ok(Wanted::Text);
    };
    let usage = |why: &str| Err(Failure::Usage(format!("{why}, and --out is {}", out.display())));
    match (what.port, ending(out).as_deref()) {
        (Some(_), Some("safetensors")) => Ok(Wanted::Port(out)),
        (None, Some("csv")) => Ok(Wanted::Csv(out)),
        (None, Some("json")) => Ok(Wanted::Json(out)),
        (Some(_), _) => usage("values of a port are written as `.safetensors`"),
        (None, Some("safetensors")) => usage("a `.safetensors` file takes the values of a port, which --port names"),
        (None, _) => usage("predictions are written as `.csv` or `.json`"),
    }
}

fn run_on(
    model: &Model,
    e: &Experiment,
    view: &str,
    setup: Setup,
    machine: &Machine,
    progress: &Progress,
    ports: &[ValueId],
) -> Result<ViewResult, Failure> {
    let program = program(e, view)?;
    let store = model.weights(e, program, &machine.device, progress);
    let mut store = store.map_err(|e| Failure::Refused(format!("{e:#}")))?;
    let key = Key::new(e.graph.seed.value).name("view").name(view);
    let result = run_view(
        program,
        setup,
        &mut store,
        &ViewCx {
            key,
            feed: machine.feed,
            device: &machine.device,
            precision: e.graph.precision.value,
            progress,
            ports,
            bad_limit: None,
            classes: e.graph.classes.as_ref().map(|c| c.value.as_slice()),
        },
    )?;
    Ok(result)
}

/// What narrows a run's graph to one stream: the one that the experiment adapts to (the first held-out one, else the last), and
/// the root that is wanted.
fn narrowed(whole: &Experiment, what: &What<'_>) -> Result<LayerArgs, Failure> {
    let program = program(whole, what.view)?;
    let stream = match whole.graph.held_out.first() {
        Some(s) => s.value.clone(),
        None => program.streams.last().context("the view has no streams")?.clone(),
    };
    let at = program.streams.iter().position(|s| *s == stream);
    at.context("the view does not run that stream")?;
    let root = match what.port {
        Some(p) => format!("{p}@{stream}"),
        None => program
            .roots
            .iter()
            .map(|id| &program.values[id.0])
            .find(|v| v.ty.head == Head::Logits && v.stream == at)
            .map(|v| v.name.clone())
            .with_context(|| format!("view `{}` has no logits of stream `{stream}`", what.view))?,
    };
    Ok(LayerArgs {
        set: vec![format!("views.{}.roots={}", what.view, array(&[root]))],
        ..LayerArgs::default()
    })
}
