//! A run's folder as a model: its weights and what they were trained for, without data, lists or other files of the run.

use super::args::LayerArgs;
use super::exit::Failure;
use super::experiment::{Experiment, open};
use crate::graph::{Graph, Select};
use crate::program::{Program, ValueId};
use crate::report;
use crate::run::{
    Position, Progress, RunFolder, RunRecord, State, is_graph_of, load, of_this_graph, of_this_run, put_back,
};
use crate::tree::Tree;
use anyhow::{Context, Result, anyhow};
use candle_core::Device;
use glad_nodes::{Body, Key, Registry, Source, Video, WeightStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A run's folder.
pub(super) struct Model {
    folder: RunFolder,
    /// What the run is; `None` of a folder of version 1.
    record: Option<RunRecord>,
}

impl Model {
    /// The run in a folder.
    ///
    /// # Errors
    /// There is none, or it is of a version that this program does not read.
    pub(super) fn open(run: &Path) -> Result<Model, Failure> {
        let read = || -> Result<Model> {
            let folder = RunFolder::existing(run)?;
            let record = RunRecord::read(&folder.record()).map_err(put_back)?;
            Ok(Model { folder, record })
        };
        read().map_err(|e| Failure::Refused(format!("{e:#}")))
    }

    /// The run's graph as it was trained.
    ///
    /// # Errors
    /// It cannot be read, is not the graph that the run is of, or a kind of it is not known to this program.
    pub(super) fn own(&self, registry: &Registry) -> Result<Experiment, Failure> {
        let path = self.folder.graph();
        let own = open(&path, &LayerArgs::default(), None, registry)?;
        if let Some(record) = &self.record {
            is_graph_of(&own.graph, &path, record).map_err(|e| Failure::Refused(format!("{e:#}")))?;
        }
        Ok(own)
    }

    /// The run's graph with `layers` over it, and with the classes that the run was trained with where these name none.
    ///
    /// # Errors
    /// The graph is wrong, or its classes are others than the run's.
    pub(super) fn experiment(
        &self,
        view: &str,
        layers: &LayerArgs,
        registry: &Registry,
    ) -> Result<Experiment, Failure> {
        let own = self.own(registry)?;
        let asked = open(&self.folder.graph(), layers, None, registry)?;
        let program = program(&asked, view)?;
        let mut set = vec![];
        for (stream, call) in program.streams.iter().zip(&program.sources) {
            let node = &program.calls[*call].node;
            let Some(names) = self.record.as_ref().and_then(|r| r.classes.get(stream)) else {
                continue;
            };
            if !differs(&own, &asked, node, stream, "classes") {
                set.push(format!("nodes.{node}.{stream}.classes={}", array(names)));
            } else if let Some(here) = source(program, *call)?.classes().map_err(anyhow::Error::from)?
                && here != *names
            {
                return Err(Failure::Usage(format!(
                    "the run was trained with the classes {}, in this order, and `{stream}` has {} here: a run is scored with \
                     its own classes (leave `classes` out, and the run's are taken)",
                    names.join(", "),
                    here.join(", ")
                )));
            }
        }
        self.sizes(&own, &asked, view)?;
        if set.is_empty() {
            return Ok(asked);
        }
        let layers = LayerArgs {
            set: [&layers.set[..], &set[..]].concat(),
            ..layers.clone()
        };
        open(&self.folder.graph(), &layers, None, registry)
    }

    /// Weights have to be of the sizes that were trained.
    fn sizes(&self, own: &Experiment, asked: &Experiment, view: &str) -> Result<(), Failure> {
        let (own_program, asked_program) = (program(own, view)?, program(asked, view)?);
        for (node, specs) in &asked_program.weights {
            let trained = own_program.weights.get(node).into_iter().flatten();
            for (here, there) in trained.flat_map(|t| specs.iter().map(move |s| (s, t))) {
                if here.name != there.name || here.shape == there.shape {
                    continue;
                }
                let dims: Vec<String> = asked
                    .graph
                    .dims
                    .iter()
                    .filter_map(|(name, n)| {
                        let before = own.graph.dims.get(name)?.value;
                        (before != n.value).then(|| format!("dims.{name} is {before} in the run and {} here", n.value))
                    })
                    .collect();
                let why = if dims.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", dims.join(", "))
                };
                return Err(Failure::Usage(format!(
                    "`{node}.{}` is {:?} in the run and {:?} here{why}: a run is scored with the classes and sizes that it was \
                     trained with",
                    here.name, there.shape, here.shape
                )));
            }
        }
        Ok(())
    }

    /// The names of the classes of a program.
    ///
    /// # Errors
    /// They are in a file that cannot be read, of a folder of version 1.
    pub(super) fn classes(&self, graph: &Graph, program: &Program) -> Result<Vec<String>> {
        if let Some(names) = &graph.classes {
            return Ok(names.value.clone());
        }
        let recorded = |r: &RunRecord| program.streams.iter().find_map(|s| r.classes.get(s).cloned());
        match &self.record {
            Some(record) => Ok(recorded(record).unwrap_or_default()),
            None => report::class_names(program),
        }
    }

    /// The weights that a view's program is computed with. A run that is not finished is reported.
    ///
    /// # Errors
    /// The state is missing, damaged, of another run, or lacks a weight.
    pub(super) fn weights(
        &self,
        e: &Experiment,
        program: &Program,
        device: &Device,
        progress: &Progress,
    ) -> Result<WeightStore> {
        let best = e.graph.select.value == Select::Best;
        let path = if best { self.folder.best() } else { self.folder.last() };
        let state = load(&path, device).map_err(put_back)?;
        match &self.record {
            Some(record) => of_this_run(&state, &path, record)?,
            None => of_this_graph(&state, &path, &self.folder.graph())?,
        }
        let State {
            refreshed: _,
            position,
            mut store,
            ..
        } = state;
        for (node, specs) in &program.weights {
            let missing = specs
                .iter()
                .filter(|s| s.starts_as().is_none())
                .find(|s| store.get(&format!("{node}.{}", s.name)).is_none());
            if let Some(s) = missing {
                return Err(anyhow!(
                    "{} has no weight `{node}.{}`: was the run finished?",
                    path.display(),
                    s.name
                ));
            }
        }
        for (node, specs) in &program.weights {
            // A stream that the run did not have is as all streams.
            let own = specs.iter().filter(|s| s.starts_as().is_some()).cloned();
            store.declare(node, &own.collect::<Vec<_>>(), Key::new(0), device)?;
        }
        let Position {
            finished, entry, step, ..
        } = position;
        if !finished && !best {
            let mut left = e.graph.run.iter().skip(entry).map(|r| r.value.as_str());
            progress.say(&match left.find(|name| e.graph.phases.contains_key(*name)) {
                Some(phase) => format!("the run is not finished: these are its weights after step {step} of `{phase}`"),
                None => "the run is not finished, but all its phases are trained: these are its weights".to_owned(),
            });
        }
        Ok(store)
    }
}

/// A view's program.
///
/// # Errors
/// There is no such view.
pub(super) fn program<'a>(e: &'a Experiment, view: &str) -> Result<&'a Program, Failure> {
    e.checked.views.get(view).ok_or_else(|| {
        let names: Vec<&str> = e.checked.views.keys().map(String::as_str).collect();
        Failure::Usage(format!("the graph has no view `{view}`; it has {}", names.join(", ")))
    })
}

/// The source behind a call.
///
/// # Errors
/// The call is no source of videos.
pub(super) fn source(program: &Program, call: usize) -> Result<&dyn Source> {
    match &program.bodies[program.calls[call].body] {
        Body::Source(s) => Ok(s.as_ref()),
        _ => Err(anyhow!("`{}` is no source of videos", program.calls[call].node)),
    }
}

/// The videos of these files, as a program's only stream reads them, under the names that were given.
///
/// # Errors
/// A file is not there, or the source takes no single files.
pub(super) fn videos(program: &Program, call: usize, files: &[PathBuf]) -> Result<Vec<Arc<Video>>> {
    let whole = |p: &PathBuf| p.canonicalize().with_context(|| format!("cannot open {}", p.display()));
    let found = files.iter().map(whole).collect::<Result<Vec<_>>>()?;
    let videos = source(program, call)?.of_files(&found)?;
    let given = |(video, path): (Arc<Video>, &PathBuf)| {
        let path = path.clone();
        Arc::new(Video {
            path,
            ..(*video).clone()
        })
    };
    Ok(videos.into_iter().zip(files).map(given).collect())
}

/// The roots of a view that are left where these streams are left out.
pub(super) fn roots_without(program: &Program, out: &[usize]) -> Vec<String> {
    let stays = |id: &&ValueId| match program.values[id.0].stream {
        Some(s) => !out.contains(&s),
        None => false,
    };
    program
        .roots
        .iter()
        .filter(stays)
        .map(|id| program.values[id.0].name.clone())
        .collect()
}

/// A TOML array of strings.
pub(super) fn array(texts: &[String]) -> String {
    toml::Value::from(texts.to_vec()).to_string()
}

/// Whether two graphs give a node another value of a parameter in a stream.
pub(super) fn differs(a: &Experiment, b: &Experiment, node: &str, stream: &str, parameter: &str) -> bool {
    match (
        value(&a.graph, node, stream, parameter),
        value(&b.graph, node, stream, parameter),
    ) {
        (Some(a), Some(b)) => !a.same(b),
        (None, None) => false,
        _ => true,
    }
}

fn value<'a>(graph: &'a Graph, node: &str, stream: &str, parameter: &str) -> Option<&'a Tree> {
    let node = graph.nodes.get(node)?;
    let own = node.per_stream.get(stream).and_then(|p| p.get(parameter));
    own.or_else(|| node.params.get(parameter))
}
