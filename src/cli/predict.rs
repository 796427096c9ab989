//! `glad-run eval` and `glad-run predict`: a finished run on lists, or on any videos.

use super::args::{LayerArgs, MachineArgs};
use super::exit::Failure;
use super::experiment::{Experiment, Machine, machine};
use super::model::{Model, array, differs, program, roots_without, source, videos as videos_of};
use super::output::{ending, writable};
use crate::diag::terminal;
use crate::program::{Program, ValueId};
use crate::report;
use crate::run::{
    Progress, Setup, ViewCx, ViewResult, cache_folder, make_data, run_view, set_up, set_up_with, write_whole,
};
use anyhow::{Context, Result, anyhow, bail};
use glad_nodes::{Head, Key, Registry};
use std::path::{Path, PathBuf};

/// What `predict` is to compute.
pub struct What<'a> {
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
pub fn eval(
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
    let setup = set_up(program(&e, view)?, cache_folder().as_deref(), &progress)?;
    labels_fit(program(&e, view)?, &setup)?;
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
) -> Result<Option<Vec<String>>> {
    let program = program(e, view)?;
    make_data(program, progress)?;
    let (mut out, mut absent) = (vec![], vec![]);
    for (s, call) in program.sources.iter().enumerate() {
        let source = source(program, *call)?;
        // Of another split it may lack the list.
        if source.absent(false).is_empty() {
            continue;
        }
        let (node, stream) = (&program.calls[*call].node, &program.streams[s]);
        if let Err(why) = source.videos(&program.split) {
            if asked(node, stream) {
                return Err(anyhow!(why).context(format!("stream `{stream}`")));
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
        bail!("no list of view `{view}` is there: {}", absent.join("; "));
    }
    for line in absent {
        progress.say(&format!("left out, since its list is not there: {line}"));
    }
    Ok(Some(roots))
}

/// Every label has to be one of the classes that the network distinguishes.
fn labels_fit(program: &Program, setup: &Setup) -> Result<()> {
    for (s, list) in setup.lists.iter().enumerate() {
        let of_stream = program
            .values
            .iter()
            .filter(|v| v.stream == Some(s) && v.ty.head == Head::Logits);
        let Some(classes) = of_stream.filter_map(|v| v.ty.known(-1)).min() else {
            continue;
        };
        if let Some((video, label)) = list.iter().find_map(|v| Some((v, v.label.filter(|l| *l >= classes)?))) {
            bail!(
                "{}: the label {label} is none of the run's {classes} classes, 0 to {}",
                video.line,
                classes - 1
            );
        }
    }
    Ok(())
}

/// Runs a finished run's network on videos.
///
/// # Errors
/// The run or a video cannot be read, a node fails, or the output cannot be written.
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
    let result = run_on(&model, &e, what.view, setup, &machine, &progress, &ports)?;
    for b in &result.bad {
        terminal::err(&format!("{}: {}", videos[b.video].display(), b.reason));
    }
    match wanted {
        Wanted::Port(out) => report::write_ports(out, &result.ports)?,
        Wanted::Csv(out) => {
            let text = report::predictions_csv(&model.classes(&e.graph, program)?, &result.predictions)?;
            write_whole(out, text.as_bytes())?;
        }
        Wanted::Json(out) => {
            let all = report::predictions_json(&model.classes(&e.graph, program)?, &result.predictions);
            let text = serde_json::to_string_pretty(&all).context("the predictions")? + "\n";
            write_whole(out, text.as_bytes())?;
        }
        Wanted::Text => {
            let classes = model.classes(&e.graph, program)?;
            terminal::out(&report::probabilities_text(&classes, &result.predictions));
        }
    }
    if result.bad.is_empty() {
        Ok(())
    } else {
        Err(anyhow!("{} of {} videos failed", result.bad.len(), videos.len()).into())
    }
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
) -> Result<ViewResult> {
    let mut store = model.weights(e, view, &machine.device, progress)?;
    let key = Key::new(e.graph.seed.value).name("view").name(view);
    run_view(
        program(e, view)?,
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
    )
}

/// What narrows a run's graph to one stream: the one that the experiment adapts to (the first held-out one, else the last), and
/// the root that is wanted.
fn narrowed(whole: &Experiment, what: &What<'_>) -> Result<LayerArgs> {
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
