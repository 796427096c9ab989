//! Trains the small graph by the real trainer, and looks at everything on the way.

use super::kinds::{Row, put_back, registry, seen};
use super::net::{Moments, Numbers, Training};
use crate::check::check;
use crate::graph::Graph;
use crate::load::load_text;
use crate::program::Checked;
use crate::run::checkpoint::Position;
use crate::run::data::FeedOptions;
use crate::run::error::RunError;
use crate::run::log::{Log, LogEnd};
use crate::run::optim::{Kept, Optimizer, OptimizerState};
use crate::run::phase::PhaseRun;
use crate::run::progress::Progress;
use crate::run::refreshed::Refreshed;
use crate::run::setup::set_up;
use crate::run::start::begin_phase;
use crate::run::train::{PhaseHooks, PhaseReport, State, TrainCx, train};
use crate::run::view::{ViewCx, run_view};
use anyhow::Result;
use candle_core::{Device, Tensor};
use glad_nodes::{Key, Precision, WeightStore};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Both streams, both losses.
const GRAPH: &str = r#"[]
streams  = ["source", "target"]
held_out = ["target"]
dims     = { K = 3 }
run      = ["main"]

[nodes.videos]
kind = "numbers"
source.videos = 10
target.videos = 7

[nodes.pixels]
kind = "pixels"
source.stream = 0
target.stream = 1
inputs = { video = "videos.video" }

[nodes.batch]
kind   = "batch"
inputs = { clips = "pixels.clips", label = "videos.label" }

[nodes.rows]
kind   = "rows"
inputs = { clips = "batch.clips" }

[nodes.embed]
kind    = "linear"
outputs = 4
inputs  = { x = "rows.x" }

[nodes.classify]
kind    = "linear"
outputs = "K"
head    = "Logits"
inputs  = { x = "embed.y" }

[nodes.ce]
kind   = "cross_entropy"
inputs = { logits = "classify.logits@source", label = "batch.label@source" }

[nodes.domains]
kind   = "domain_rows"
inputs = { source = "embed.y@source", target = "embed.y@target" }

[nodes.grl]
kind     = "grl"
inputs   = { x = "domains.x" }

[nodes.judge]
kind    = "linear"
outputs = 1
head    = "Logits"
inputs  = { x = "grl.x" }

[nodes.adv]
kind   = "domain_bce"
inputs = { logits = "judge.logits", domain = "domains.domain" }

[phases.main]
losses.ce  = 1.0
losses.adv = 0.5
"#;

/// The sections of a TOML file, with their lines.
fn sections(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut all: Vec<(&str, Vec<&str>)> = vec![];
    for line in text.lines() {
        match line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            Some(name) => all.push((name, vec![])),
            None => {
                if let Some((_, lines)) = all.last_mut() {
                    lines.push(line);
                }
            }
        }
    }
    all
}

/// The small graph with these lines in it, the first of them in `[phases.main]`: other sections are named, `[]` is the top.
pub(super) fn graph(changes: &str) -> (Graph, Checked) {
    let key = |line: &str| line.split_once('=').map(|(k, _)| k.trim().to_string());
    let mut all = sections(GRAPH);
    let changes = format!("[phases.main]\n{changes}");
    for (name, lines) in sections(&changes) {
        match all.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => {
                old.retain(|l| key(l).is_none() || lines.iter().all(|new| key(new) != key(l)));
                old.extend(lines);
            }
            None => all.push((name, lines)),
        }
    }
    if all.iter().any(|(name, _)| name.starts_with("phases.main.rounds.")) {
        // Their losses are the phase's.
        let of_phase = |(name, _): &&mut (&str, Vec<&str>)| *name == "phases.main";
        let lines = all.iter_mut().find(of_phase).map(|(_, lines)| lines);
        lines.into_iter().for_each(|l| l.retain(|l| !l.starts_with("losses.")));
    }
    let text = |(name, lines): &(&str, Vec<&str>)| match *name {
        "" => lines.join("\n"),
        name => format!("[{name}]\n{}", lines.join("\n")),
    };
    let text = all.iter().map(text).collect::<Vec<_>>().join("\n");
    let graph = load_text("small.toml", &text, Path::new("."));
    let graph = graph.unwrap_or_else(|p| panic!("{changes}\n{p}"));
    let checked = check(&graph, &registry()).unwrap_or_else(|p| panic!("{changes}\n{p}"));
    (graph, checked)
}

/// A phase while it is trained, or afterwards.
pub(super) struct Trained {
    /// Weights at first, then after each step.
    pub weights: Vec<Numbers>,
    /// The lines of metrics.jsonl.
    pub rows: Vec<Value>,
    /// The videos of each forward pass of a step's part, source first, where each pass takes both streams.
    pub parts: Vec<Vec<Row>>,
    /// The videos of each call that takes them.
    pub calls: Vec<Vec<Row>>,
    /// Where the run stands.
    pub position: Position,
    /// All weights in the end.
    pub store: WeightStore,
    /// What the trainer reports.
    pub outcome: Result<PhaseReport, RunError>,
    /// The states that were saved.
    pub saved: Vec<Saved>,
    /// After how many steps an epoch was over.
    pub epochs: Vec<u64>,
    /// What the last pass over the lists had left, at each save.
    pub passes: Vec<Option<Refreshed>>,
}

/// A saved state: after how many steps, weights and what the optimiser keeps.
pub(super) type Saved = (u64, WeightStore, Option<OptimizerState>);

/// How to train, besides what the graph says.
pub(super) struct How {
    /// Which phase.
    pub phase: &'static str,
    /// Steps of it done before, with weights and what the optimiser keeps.
    pub from: Option<Saved>,
    /// What the last pass over the lists left then.
    pub refreshed: Option<Refreshed>,
    pub workers: usize,
    pub save_steps: Option<u64>,
    pub save_every: Duration,
}

impl Default for How {
    fn default() -> How {
        How {
            phase: "main",
            from: None,
            refreshed: None,
            workers: 2,
            save_steps: Some(1),
            save_every: Duration::MAX,
        }
    }
}

/// Sees every step.
struct Watcher<'a> {
    of: (&'a Graph, &'a Checked),
    phase: &'static str,
    workers: usize,
    passes: Vec<Option<Refreshed>>,
    weights: Vec<Numbers>,
    saved: Vec<Saved>,
    epochs: Vec<u64>,
}

impl PhaseHooks for Watcher<'_> {
    fn save(&mut self, step: u64, state: &mut State<'_>) -> Result<()> {
        let (store, optimizer) = (&*state.store, &*state.optimizer);
        self.passes.push(state.refreshed.clone());
        self.weights.push(numbers(store));
        // Weights change in place.
        let mut state = optimizer.state().clone();
        for Kept { buffers, .. } in state.weights.values_mut() {
            *buffers = buffers.iter().map(Tensor::copy).collect::<candle_core::Result<_>>()?;
        }
        let mut copied = store.clone();
        for (_, w) in copied.iter_mut() {
            w.value = w.value.copy()?;
        }
        self.saved.push((step, copied, Some(state)));
        Ok(())
    }

    fn epoch(&mut self, step: u64, _: &mut State<'_>) -> Result<(), RunError> {
        self.epochs.push(step);
        Ok(())
    }

    fn refresh(&mut self, step: u64, state: &mut State<'_>) -> Result<(), RunError> {
        let (graph, checked) = self.of;
        let phase = &checked.phases[self.phase];
        let program = &checked.views[&phase.refresh.as_ref().unwrap().0];
        let progress = Progress::new(true);
        let cx = ViewCx {
            key: Key::new(graph.seed.value).name("view").name(&program.name),
            feed: FeedOptions {
                workers: self.workers,
                ahead: 7,
            },
            device: &Device::Cpu,
            precision: Precision::F32,
            progress: &progress,
            ports: &[],
            each: None,
            bad_limit: Some(graph.bad_videos),
            classes: None,
        };
        let before = seen();
        let setup = set_up(program, None, &progress)?;
        let result = run_view(program, setup, state.store, &cx)?;
        // What the pass took is none of the steps' batches.
        seen();
        put_back(before);
        let refreshed = result.refreshed.unwrap();
        *state.refreshed = Some(Refreshed { step, ..refreshed });
        Ok(())
    }
}

/// All weights as numbers.
pub(super) fn numbers(store: &WeightStore) -> Numbers {
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    store
        .iter()
        .map(|(n, w)| (n.clone(), flat(&w.value).into_iter().map(f64::from).collect()))
        .collect()
}

/// Trains a phase of a graph.
pub(super) fn trained(graph: &Graph, checked: &Checked, how: How) -> Trained {
    seen();
    let (program, def) = (&checked.phases[how.phase], &graph.phases[how.phase]);
    let folder = tempfile::tempdir().unwrap();
    let metrics = folder.path().join("metrics.jsonl");
    let progress = Progress::new(true);
    let setup = set_up(program, Some(folder.path()), &progress).unwrap();
    let events = folder.path().join("events");
    let (mut log, _) = Log::open(&metrics, &events, &LogEnd::default()).unwrap();
    let mut optimizer = Optimizer::new(&def.optimizer);
    let (mut store, mut position) = (WeightStore::default(), Position::default());
    if let Some((step, weights, state)) = how.from {
        (position.step, store) = (step, weights);
        state.into_iter().for_each(|state| optimizer.restore(state).unwrap());
    }
    let mut refreshed = how.refreshed;
    let device = Device::Cpu;
    let (fresh, seed) = (position.step == 0, graph.seed.value);
    begin_phase(program, def, &mut store, fresh, seed, &device, &progress).unwrap();
    let cx = TrainCx {
        feed: FeedOptions {
            workers: how.workers,
            ahead: 7,
        },
        precision: Precision::F32,
        record: false,
        progress: &progress,
        bad_limit: graph.bad_videos,
        save_every: how.save_every,
        save_steps: how.save_steps,
    };
    let mut watcher = Watcher {
        of: (graph, checked),
        phase: how.phase,
        workers: how.workers,
        passes: vec![],
        weights: vec![],
        saved: vec![],
        epochs: vec![],
    };
    watcher.weights.push(numbers(&store));
    let run = PhaseRun::new(program, def, setup, seed, &device).unwrap();
    let mut state = State {
        store: &mut store,
        optimizer: &mut optimizer,
        position: &mut position,
        log: &mut log,
        refreshed: &mut refreshed,
    };
    let outcome = train(&run, &mut state, &cx, &mut watcher);
    watcher.weights.push(numbers(&store));
    let text = std::fs::read_to_string(&metrics).unwrap();
    let calls = seen();
    Trained {
        weights: watcher.weights,
        rows: text.lines().map(|l| serde_json::from_str(l).unwrap()).collect(),
        parts: calls.chunks(2).map(<[_]>::concat).collect(),
        calls,
        position,
        store,
        outcome,
        saved: watcher.saved,
        epochs: watcher.epochs,
        passes: watcher.passes,
    }
}

/// Asserts that two numbers agree as far as single precision goes.
#[track_caller]
pub(super) fn near(what: &str, found: f64, right: f64) {
    let error = (found - right).abs();
    assert!(
        error <= 2e-5 * right.abs().max(0.05),
        "{what}: {found}, and {right} is right"
    );
}

/// Trains the small graph with `changes`, and holds each step to `training`: its line in the log, and every weight after it.
/// `parts` are the forward passes of each step.
#[track_caller]
pub(super) fn hold(changes: &str, training: &Training, parts: &[usize]) -> Trained {
    let (graph, checked) = graph(changes);
    let run = trained(&graph, &checked, How::default());
    run.outcome.as_ref().unwrap();
    let steps = training.lr.len();
    assert_eq!(
        (run.rows.len(), run.weights.len(), parts.len()),
        (steps, steps + 1, steps),
        "{changes}"
    );
    let mut weights = run.weights[0].clone();
    let (mut kept, mut at) = (Moments::default(), 0);
    for (k, count) in parts.iter().enumerate() {
        let rows = run.parts[at..at + count].concat();
        at += count;
        for (name, right) in training.step(k, &mut weights, &mut kept, &rows) {
            let found = run.rows[k][name]
                .as_f64()
                .unwrap_or_else(|| panic!("no {name} in {}", run.rows[k]));
            near(&format!("step {k}, {name}"), found, right);
        }
        assert!(weights.keys().eq(run.weights[k + 1].keys()));
        for (name, right) in &weights {
            for (i, (found, right)) in run.weights[k + 1][name].iter().zip(right).enumerate() {
                near(&format!("after step {k}, {name}[{i}]"), *found, *right);
            }
        }
    }
    assert_eq!(at, run.parts.len(), "forward passes");
    run
}
