//! `glad-run eval` and `glad-run predict`: a finished run on lists, or on any videos.

use super::args::{LayerArgs, MachineArgs};
use super::exit::Failure;
use super::experiment::{Experiment, Machine, machine, open};
use super::output::{ending, writable};
use crate::diag::terminal;
use crate::graph::Select;
use crate::program::{Program, ValueId};
use crate::report;
use crate::run::{Progress, RunFolder, ViewCx, ViewResult, cache_folder, load, run_view, set_up, write_whole};
use anyhow::{Context, Result, anyhow, bail};
use glad_nodes::{Key, Registry};
use std::path::{Path, PathBuf};

/// What `predict` is to give.
pub struct What<'a> {
    /// The view.
    pub view: &'a str,
    /// A port, instead of probabilities.
    pub port: Option<&'a str>,
    /// Where the port's values go.
    pub out: Option<&'a Path>,
}

/// Scores a finished run again, perhaps with another list.
pub fn eval(
    run: &Path,
    view: &str,
    layers: &LayerArgs,
    machine_args: &MachineArgs,
    registry: &Registry,
) -> Result<(), Failure> {
    let folder = finished(run)?;
    let e = open(&folder.graph(), layers, None, registry)?;
    let machine = machine(machine_args)?;
    let progress = Progress::new(machine_args.quiet);
    let result = run_on(&folder, &e, view, &machine, &progress, &[])?;
    terminal::out(&report::view_text(&e.graph, view, &result));
    Ok(())
}

/// Runs a finished run's network on videos.
pub fn predict(
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
    let folder = finished(run)?;
    let whole = open(&folder.graph(), &LayerArgs::default(), None, registry)?;
    let list = tempfile_list(videos)?;
    let layers = narrowed(&whole, &what, list.path())?;
    let e = open(&folder.graph(), &layers, None, registry)?;
    let machine = machine(machine_args)?;
    let progress = Progress::new(machine_args.quiet);
    let program = program(&e, what.view)?;
    let ports: Vec<ValueId> = match what.port {
        Some(_) => program.roots.clone(),
        None => vec![],
    };
    let result = run_on(&folder, &e, what.view, &machine, &progress, &ports)?;
    for b in &result.bad {
        terminal::err(&format!("{}: {}", videos[b.video].display(), b.reason));
    }
    match wanted {
        Wanted::Port(out) => report::write_ports(out, &result.ports)?,
        Wanted::Csv(out) => {
            let text = report::predictions_csv(&report::class_names(program)?, &result.predictions)?;
            write_whole(out, text.as_bytes())?;
        }
        Wanted::Json(out) => {
            let all = report::predictions_json(&report::class_names(program)?, &result.predictions);
            let text = serde_json::to_string_pretty(&all).context("the predictions")? + "\n";
            write_whole(out, text.as_bytes())?;
        }
        Wanted::Text => {
            let classes = report::class_names(program)?;
            terminal::out(&report::probabilities_text(&classes, &result.predictions));
        }
    }
    if result.bad.is_empty() {
        Ok(())
    } else {
        Err(anyhow!("{} of {} videos failed", result.bad.len(), videos.len()).into())
    }
}

/// What is given, and where it goes.
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

fn finished(run: &Path) -> Result<RunFolder> {
    RunFolder::existing(run)
}

fn program<'a>(e: &'a Experiment, view: &str) -> Result<&'a Program> {
    e.checked.views.get(view).with_context(|| {
        let names: Vec<&str> = e.checked.views.keys().map(String::as_str).collect();
        format!("the graph has no view `{view}`; it has {}", names.join(", "))
    })
}

fn run_on(
    folder: &RunFolder,
    e: &Experiment,
    view: &str,
    machine: &Machine,
    progress: &Progress,
    ports: &[ValueId],
) -> Result<ViewResult> {
    let program = program(e, view)?;
    let path = if e.graph.select.value == Select::Best {
        folder.best()
    } else {
        folder.last()
    };
    let mut store = load(&path, &machine.device)?.store;
    let setup = set_up(program, cache_folder().as_deref(), progress)?;
    for (node, specs) in &program.weights {
        let missing = specs
            .iter()
            .find(|s| store.get(&format!("{node}.{}", s.name)).is_none());
        if let Some(s) = missing {
            bail!(
                "{} has no weight `{node}.{}`: was the run finished?",
                path.display(),
                s.name
            );
        }
    }
    let key = Key::new(e.graph.seed.value).name("view").name(view);
    run_view(
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
        },
    )
}

/// What narrows a run's graph to one stream over a list of videos: the stream that the experiment adapts to (the
/// first held-out one, else the last), and the root that is wanted.
fn narrowed(whole: &Experiment, what: &What<'_>, list: &Path) -> Result<LayerArgs> {
    let program = program(whole, what.view)?;
    let stream = match whole.graph.held_out.first() {
        Some(s) => s.value.clone(),
        None => program.streams.last().context("the view has no streams")?.clone(),
    };
    let root = match what.port {
        Some(p) => format!("{p}@{stream}"),
        None => {
            let at = program.streams.iter().position(|s| *s == stream);
            program
                .roots
                .iter()
                .map(|id| &program.values[id.0])
                .find(|v| v.ty.head == "Logits" && v.stream == at)
                .map(|v| v.name.clone())
                .with_context(|| format!("view `{}` has no logits of stream `{stream}`", what.view))?
        }
    };
    let at = program
        .streams
        .iter()
        .position(|s| *s == stream)
        .context("the view does not run that stream")?;
    let source = &program.calls[program.sources[at]].node;
    let quote = |s: &str| format!("{s:?}");
    Ok(LayerArgs {
        set: vec![
            format!("views.{}.roots=[{}]", what.view, quote(&root)),
            format!("nodes.{source}.{stream}.list={}", quote(&list.display().to_string())),
        ],
        ..LayerArgs::default()
    })
}

/// A list of the videos, by absolute paths.
fn tempfile_list(videos: &[PathBuf]) -> Result<tempfile::NamedTempFile> {
    let mut text = String::new();
    for v in videos {
        let path = v
            .canonicalize()
            .with_context(|| format!("cannot open {}", v.display()))?;
        text += &format!("{} -\n", path.display());
    }
    let file = tempfile::NamedTempFile::with_suffix(".txt").context("cannot make a temporary list")?;
    write_whole(file.path(), text.as_bytes())?;
    Ok(file)
}
