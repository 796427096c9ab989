//! `glad-run eval` and `glad-run predict`: a finished run on lists, or on any videos.

use super::args::{LayerArgs, MachineArgs};
use super::exit::{Failure, some_failed};
use super::experiment::{Experiment, Machine, machine};
use super::model::{Model, array, differs, program, roots_without, source, videos as videos_of};
use super::output::{ending, writable};
use super::port;
use crate::check::lists_of;
use crate::diag::{Severity, terminal};
use crate::program::{Program, ValueId};
use crate::report::{self, FeatureFolder};
use crate::run::{
    PortValue, Progress, Setup, ViewCx, ViewResult, cache_folder, make_data, run_view, set_up, set_up_with, unusual,
    write_out,
};
use anyhow::{Context, Result, anyhow, bail};
use glad_nodes::{Head, Key, Registry, SourceError};
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// What `predict` is to compute.
pub(super) struct What<'a> {
    /// The view.
    pub view: &'a str,
    /// A port, instead of probabilities.
    pub port: Option<&'a str>,
    /// Where it goes.
    pub out: Option<&'a Path>,
    /// Of which videos.
    pub videos: Videos<'a>,
}

/// The videos that `predict` is asked for.
pub(super) enum Videos<'a> {
    /// Files or folders of frames.
    Named(&'a [PathBuf]),
    /// Those of a list.
    Listed(&'a Path),
}

impl<'a> Videos<'a> {
    /// The videos of a command line.
    ///
    /// # Errors
    /// [`Failure::Usage`]: there are none, or both kinds.
    pub(super) fn of(named: &'a [PathBuf], list: Option<&'a Path>) -> Result<Videos<'a>, Failure> {
        match (named, list) {
            ([], None) => Err(Failure::Usage(
                "of which videos? Name their files, or a list of them: --list LIST".into(),
            )),
            (named, None) => Ok(Videos::Named(named)),
            ([], Some(list)) => Ok(Videos::Listed(list)),
            ([one, ..], Some(list)) => Err(Failure::Usage(format!(
                "the videos are either named ({}) or those of a list (--list {}): leave one of the two out",
                one.display(),
                list.display()
            ))),
        }
    }

    /// That a file is not there.
    fn absent(&self) -> Result<(), Failure> {
        let one = std::slice::from_ref;
        let list;
        let all: &[PathBuf] = match self {
            Videos::Named(all) => all,
            Videos::Listed(path) => {
                list = path.to_path_buf();
                one(&list)
            }
        };
        for path in all {
            let there = std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()));
            there.map_err(Failure::Absent)?;
        }
        Ok(())
    }
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
    let asked_for = e
        .checked
        .notes
        .list
        .iter()
        .filter(|p| !own.checked.notes.list.iter().any(|o| o.message == p.message));
    found.list.splice(0..0, asked_for.cloned());
    found.list.retain(|p| p.severity == Severity::Warning);
    if !found.list.is_empty() {
        progress.problems(&found);
    }
    let setup = set_up(program(&e, view)?, cache_folder().as_deref(), &progress)?;
    let result = run_on(&model, &e, view, setup, &machine, &progress, &Taken::default())?;
    terminal::out(&report::view_text(&e.graph, view, &result));
    let empty = result.counts.iter().find(|(_, scored)| *scored == 0);
    match empty.zip(result.bad.first()) {
        Some(((stream, _), _)) => Err(anyhow!("no video of stream {stream} could be used").into()),
        None => Ok(()),
    }
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
    what: &What<'_>,
    machine_args: &MachineArgs,
    registry: &Registry,
) -> Result<(), Failure> {
    let wanted = wanted(what)?;
    wanted.writable()?;
    what.videos.absent()?;
    let model = Model::open(run)?;
    let whole = model.experiment(what.view, &LayerArgs::default(), registry)?;
    let layers = narrowed(&whole, what)?;
    let e = model.experiment(what.view, &layers, registry);
    let e = e.map_err(|failure| port::blamed(failure, what.port))?;
    let machine = machine(machine_args)?;
    let progress = Progress::new(machine_args.quiet);
    let program = program(&e, what.view)?;
    port::on_device(what.port, program)?;
    let ports: Vec<ValueId> = match what.port {
        Some(_) => program.roots.clone(),
        None => vec![],
    };
    let setup = match what.videos {
        Videos::Named(files) => named(program, what.view, files, &progress)?,
        Videos::Listed(_) => {
            let found = lists_of(&e.graph, program);
            if found.has_errors() {
                return Err(Failure::Graph(found));
            }
            set_up(program, cache_folder().as_deref(), &progress)?
        }
    };
    let videos = setup.lists.first().cloned().unwrap_or_default();
    let classes = || model.classes(&e.graph, program);
    let folder = match wanted {
        Wanted::Folder(out) => Some(RefCell::new(FeatureFolder::begin(out)?)),
        _ => None,
    };
    let add = |value: PortValue| match &folder {
        Some(folder) => folder.borrow_mut().add(&value),
        None => Ok(()),
    };
    let taken = Taken {
        ports: &ports,
        each: folder.as_ref().map(|_| &add as _),
    };
    let result = run_on(&model, &e, what.view, setup, &machine, &progress, &taken)?;
    for video in videos.iter() {
        if let Some(line) = unusual(std::slice::from_ref(video)) {
            progress.say(&line);
        }
    }
    for b in &result.bad {
        let video = &videos[b.video];
        terminal::err(&format!("error: {}", of_video(what, &video.path, b.video, &b.reason)));
    }
    match wanted {
        Wanted::Folder(_) => {
            let written = folder.map(|f| f.into_inner().finish(&classes()?)).transpose()?;
            progress.say(&format!("features of {} videos", written.unwrap_or(0)));
        }
        Wanted::Port(out) => report::write_ports(out, &result.ports)?,
        Wanted::Csv(out) => {
            let text = report::predictions_csv(&classes()?, &result.predictions)?;
            write_out(out, text.as_bytes())?;
        }
        Wanted::Json(out) => {
            let all = report::predictions_json(&classes()?, &result.predictions);
            let text = serde_json::to_string_pretty(&all).context("the predictions")? + "\n";
            write_out(out, text.as_bytes())?;
        }
        Wanted::Text => terminal::out(&report::probabilities_text(&classes()?, &result.predictions)),
    }
    if result.bad.is_empty() {
        Ok(())
    } else {
        Err(some_failed(result.bad.len(), videos.len()))
    }
}

/// The set-up for files that a command names, in place of the list of the one stream.
fn named(program: &Program, view: &str, files: &[PathBuf], progress: &Progress) -> Result<Setup> {
    let only = program.sources.first().copied();
    set_up_with(program, cache_folder().as_deref(), progress, &|call| match only {
        Some(stream) if stream == call => videos_of(program, call, files),
        _ => bail!("view `{view}` needs the whole list of another stream"),
    })
}

/// Why a video failed. Of a file that was named with its path as it was given in front; not with what it is among the arguments,
/// nor the node that it came to.
fn of_video(what: &What<'_>, path: &Path, at: usize, reason: &str) -> String {
    let Videos::Named(all) = what.videos else {
        return format!("{}: {reason}", path.display());
    };
    let video = &all[at];
    let why = reason
        .split_once(&format!("argument:{}: ", at + 1))
        .map_or(reason, |(_, why)| why);
    let whole = video.canonicalize().unwrap_or_else(|_| video.clone());
    let why = why.strip_prefix(&format!("{}: ", whole.display())).unwrap_or(why);
    format!("{}: {why}", video.display())
}

/// What is computed, and where it goes.
enum Wanted<'a> {
    Text,
    Csv(&'a Path),
    Json(&'a Path),
    Port(&'a Path),
    Folder(&'a Path),
}

impl Wanted<'_> {
    /// Finds out before the work whether it can be written.
    fn writable(&self) -> Result<(), Failure> {
        match self {
            Wanted::Text => Ok(()),
            Wanted::Csv(out) | Wanted::Json(out) | Wanted::Port(out) => Ok(writable(out)?),
            Wanted::Folder(out) => {
                FeatureFolder::free(out).map_err(|e| Failure::Refused(format!("{e:#}")))?;
                // What it is made from is next to it.
                let beside = out.components().collect::<PathBuf>().with_file_name("index.csv");
                Ok(writable(&beside)?)
            }
        }
    }
}

fn wanted<'a>(what: &What<'a>) -> Result<Wanted<'a>, Failure> {
    let Some(out) = what.out else {
        return match what.port {
            None => Ok(Wanted::Text),
            Some(port) => Err(Failure::Usage(format!(
                "the values of `{port}` go to a file: add --out FILE.safetensors, or --out FOLDER for a file of each video"
            ))),
        };
    };
    let usage = |why: &str| Err(Failure::Usage(format!("{why}, and --out is {}", out.display())));
    match (what.port, ending(out).as_deref()) {
        (Some(_), Some("safetensors")) => Ok(Wanted::Port(out)),
        (Some(_), None) => Ok(Wanted::Folder(out)),
        (None, Some("csv")) => Ok(Wanted::Csv(out)),
        (None, Some("json")) => Ok(Wanted::Json(out)),
        (Some(_), Some(_)) => usage(
            "values of a port are written as one file, `.safetensors`, or as a folder with a file for each video, a name \
             without ending",
        ),
        (None, Some("safetensors")) => usage("a `.safetensors` file takes the values of a port, which --port names"),
        (None, None) => usage(
            "predictions are written as `.csv` or `.json` (a folder takes the values of a port, which --port names)",
        ),
        (None, _) => usage("predictions are written as `.csv` or `.json`"),
    }
}

/// Values of ports that are wanted, and what takes them.
#[derive(Clone, Copy, Default)]
struct Taken<'a> {
    ports: &'a [ValueId],
    each: Option<&'a dyn Fn(PortValue) -> Result<()>>,
}

fn run_on(
    model: &Model,
    e: &Experiment,
    view: &str,
    setup: Setup,
    machine: &Machine,
    progress: &Progress,
    taken: &Taken<'_>,
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
            ports: taken.ports,
            each: taken.each,
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
    let stream = port::stream(what.port, program, stream)?;
    let at = program
        .streams
        .iter()
        .position(|s| *s == stream)
        .context("the view does not run that stream")?;
    let root = match what.port {
        Some(p) => format!("{}@{stream}", port::split(p).0),
        None => program
            .roots
            .iter()
            .map(|id| &program.values[id.0])
            .find(|v| v.ty.head == Head::Logits && v.stream == Some(at))
            .map(|v| v.name.clone())
            .with_context(|| format!("view `{}` has no logits of stream `{stream}`", what.view))?,
    };
    let mut set = vec![format!("views.{}.roots={}", what.view, array(&[root]))];
    if let Videos::Listed(list) = what.videos {
        let node = &program.calls[program.sources[at]].node;
        let list = list
            .to_str()
            .with_context(|| format!("{} is no text", list.display()))?;
        set.push(format!("nodes.{node}.{stream}.list={}", toml::Value::from(list)));
    }
    Ok(LayerArgs {
        set,
        ..LayerArgs::default()
    })
}
