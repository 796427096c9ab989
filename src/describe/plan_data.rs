//! The plan as plain data: the output of `glad-run plan --json`, and the source of the text's summary.

use super::plan::Target;
use crate::graph::{Graph, Often, PhaseDef};
use crate::program::{
    Call, Checked, Program, ProgramKind, RESULT_VIEW, Round, batch_bytes, cost, memory, row_bytes, sample_bytes,
    trainable,
};
use crate::tree::Role as Layer;
use candle_core::DeviceLocation;
use glad_nodes::{Body, Precision, Scheduled, Side};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// What runs, on what, and how large it is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The number of this format: 1.
    pub format: u32,
    /// The graph's title.
    pub title: Option<String>,
    /// The setting: its file, or the name of a built-in one.
    pub setting: Option<String>,
    /// The seed.
    pub seed: u64,
    /// Whether labels of held-out streams may be used.
    pub oracle: bool,
    /// The device: `cpu` or `cuda:0`.
    pub device: String,
    /// The precision really used on it.
    pub precision: Precision,
    /// Phases and views that run, in order.
    pub run: Vec<String>,
    /// All phases and views, those that run first.
    pub programs: Vec<ProgramPlan>,
}

/// A phase or view.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgramPlan {
    /// Its name.
    pub name: String,
    /// `phase` or `view`.
    pub kind: &'static str,
    /// Whether it runs, or scores or refreshes a phase that does.
    pub runs: bool,
    /// The split that it reads.
    pub split: String,
    /// The streams and how many videos their lists have; null where a list does not exist yet.
    pub videos: IndexMap<String, Option<usize>>,
    /// The graph's sizes here.
    pub dims: IndexMap<String, usize>,
    /// Videos of each stream in a step, the most where they differ; for a view, in a batch.
    pub batch: usize,
    /// Videos of each stream in one forward pass, the most where they differ.
    pub micro_batch: usize,
    /// Videos in a step, by stream, where they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batches: Option<IndexMap<String, usize>>,
    /// Videos in one forward pass, by stream, where they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_batches: Option<IndexMap<String, usize>>,
    /// The phase's epochs, where its length is given so.
    pub epochs: Option<usize>,
    /// The phase's steps, or the view's batches; null where they depend on a list that does not exist yet.
    pub steps: Option<u64>,
    /// The number of trainable parameters.
    pub parameters: usize,
    /// How many of them this phase trains.
    pub trained: usize,
    /// Multiply-adds of the forward passes of a step (for a view, of a batch).
    pub forward: u64,
    /// Approximate multiply-adds of a step with its backward passes; for a view as `forward`.
    pub step: u64,
    /// Approximate multiply-adds of all steps, and of the passes over lists between them.
    pub total: Option<u64>,
    /// Approximate peak bytes of a step.
    pub memory: MemoryPlan,
    /// The terms of the objective and their weights.
    pub losses: IndexMap<String, f64>,
    /// The rounds of a step, in order; absent where a step is one forward and backward pass and one update.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub rounds: Vec<RoundPlan>,
    /// Which loss reaches whose weights: 1 descends, −1 ascends, 0 both ways.
    pub gradients: Vec<Reached>,
    /// Nodes whose weights are reset.
    pub reset: Vec<String>,
    /// Nodes whose weights are frozen.
    pub frozen: Vec<String>,
    /// Nodes whose running statistics a view computes anew.
    pub statistics: Vec<String>,
    /// Weights that are a copy of another node's.
    pub copies: Vec<CopyPlan>,
    /// The passes over its lists between steps; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshPlan>,
    /// The key under which runs share the phase; null for views, and where a list is malformed.
    pub key: Option<String>,
    /// Nodes in the order in which they run, once per stream.
    pub calls: Vec<CallPlan>,
}

/// Bytes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryPlan {
    /// Peak of activations, gradients and buffers of the operations.
    pub activations: u64,
    /// Weights, with the optimiser's state of trained ones.
    pub weights: u64,
    /// Samples in the queue between the data side and the compute side.
    pub queue: u64,
    /// The next batch, stacked.
    pub batch: u64,
}

/// A round of a step; its losses are those whose names begin with `NAME/`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoundPlan {
    /// Its name.
    pub name: String,
    /// How often it is taken in a step.
    pub repeat: usize,
    /// The nodes whose weights it trains.
    pub trains: Vec<String>,
}

/// A loss that reaches the weights of a node.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// The loss.
    pub loss: String,
    /// The node.
    pub node: String,
    /// 1, −1 or 0.
    pub sign: i8,
}

/// Passes over the lists of a phase between its steps.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshPlan {
    /// The view.
    pub view: String,
    /// How many passes; null where they depend on a list that does not exist yet.
    pub passes: Option<u64>,
    /// Approximate multiply-adds of all passes.
    pub total: Option<u64>,
    /// Bytes of each video that stay from one pass to the next.
    pub row: u64,
    /// Bytes of each video that a pass holds until its last batch.
    pub held: u64,
}

/// Weights that are a copy of another node's.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyPlan {
    /// The node whose weights they are.
    pub node: String,
    /// The node that they are copied from.
    pub of: String,
    /// The share of itself that an update of the other's weights leaves in the copy.
    pub ema: Scheduled,
    /// Whether the copy begins here, with the phase.
    pub begins: bool,
    /// Whether it moves here.
    pub moves: bool,
}

/// A node in a stream.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallPlan {
    /// The node's path.
    pub node: String,
    /// Its kind.
    pub kind: &'static str,
    /// The node whose weights it uses, where it has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// `data`, `boundary` or `device`.
    pub side: &'static str,
    /// Its streams; several where they are computed jointly, none for a value computed from several.
    pub streams: Vec<String>,
    /// The outputs that are needed, with their types; of a joint node those of one stream.
    pub outputs: IndexMap<String, String>,
    /// Its parameters here, in this phase or view.
    pub params: Value,
    /// Multiply-adds of its forward pass.
    pub forward: u64,
}

impl Plan {
    /// The plan of all phases and views. `key` computes the key under which runs share a phase.
    pub fn new(
        checked: &Checked,
        graph: &Graph,
        target: Target,
        key: &dyn Fn(&str) -> anyhow::Result<Option<String>>,
    ) -> Plan {
        let run = in_order(checked, graph);
        let mut programs: Vec<&Program> = checked.phases.values().chain(checked.views.values()).collect();
        programs.sort_by_key(|p| run.iter().position(|r| *r == p.name).unwrap_or(usize::MAX));
        let validates = |name: &str| {
            let phases = run.iter().filter_map(|r| graph.phases.get(r));
            let mut views = phases.flat_map(|p| p.validate.iter().chain(p.refresh.as_ref().map(|r| &r.view)));
            views.any(|v| v.value == name)
        };
        let mut lists = Lists::default();
        let setting = graph.history.layers.iter().rfind(|l| l.1 == Layer::Setting);
        Plan {
            format: 1,
            title: graph.title.as_ref().map(|t| t.value.clone()),
            setting: setting.map(|l| graph.files.name(l.0).to_string()),
            seed: graph.seed.value,
            oracle: graph.oracle,
            device: device_name(target.device),
            precision: graph.precision.value.on(target.device),
            programs: programs
                .into_iter()
                .map(|p| ProgramPlan {
                    runs: run.contains(&p.name) || validates(&p.name),
                    key: (p.kind == ProgramKind::Phase)
                        .then(|| key(&p.name).ok().flatten())
                        .flatten(),
                    ..program((checked, p), graph, target, &mut lists)
                })
                .collect(),
            run,
        }
    }
}

/// What runs: `run`, then the view that scores, unless `run` has views.
fn in_order(checked: &Checked, graph: &Graph) -> Vec<String> {
    let mut run: Vec<String> = graph.run.iter().map(|r| r.value.clone()).collect();
    if !run.iter().any(|n| checked.views.contains_key(n)) && checked.views.contains_key(RESULT_VIEW) {
        run.push(RESULT_VIEW.into());
    }
    run
}

fn device_name(device: DeviceLocation) -> String {
    match device {
        DeviceLocation::Cpu => "cpu".into(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// Lengths of lists, each read once.
#[derive(Default)]
struct Lists(std::collections::HashMap<(String, String, String), Option<usize>>);

impl Lists {
    fn videos(&mut self, p: &Program, stream: usize) -> Option<usize> {
        let call = &p.calls[p.sources[stream]];
        let Body::Source(source) = &p.bodies[call.body] else {
            return None;
        };
        let list = (call.node.clone(), p.streams[stream].clone(), p.split.clone());
        *self.0.entry(list).or_insert_with(|| {
            let there = source.absent().is_empty();
            there.then(|| source.videos(&p.split).ok()).flatten().map(|v| v.len())
        })
    }
}

fn program((checked, p): (&Checked, &Program), graph: &Graph, target: Target, lists: &mut Lists) -> ProgramPlan {
    let precision = graph.precision.value.on(target.device);
    let m = memory(p, precision);
    let def: Option<&PhaseDef> = graph.phases.get(&p.name).filter(|_| p.kind == ProgramKind::Phase);
    let batches = def.map_or_else(|| p.batches.clone(), |d| d.batch.value.of_each(&p.streams));
    let batch = batches.iter().copied().max().unwrap_or(p.batch);
    let videos: IndexMap<String, Option<usize>> = (0..p.streams.len())
        .map(|s| (p.streams[s].clone(), lists.videos(p, s)))
        .collect();
    let passes = |n: usize| n.div_ceil(batch.max(1)) as u64;
    let epochs = def.and_then(|d| d.epochs.as_ref()).map(|e| e.value);
    let steps = match (def, epochs) {
        (Some(d), Some(e)) => {
            let lists = videos.values().take(d.epoch.lists(videos.len()));
            let sizes: Option<Vec<usize>> = lists.copied().collect();
            sizes.map(|sizes| (e as u64).saturating_mul(d.epoch.steps(&sizes, &batches)))
        }
        (Some(d), None) => d.steps.as_ref().map(|s| s.value as u64),
        (None, _) => {
            let all: Option<Vec<usize>> = videos.values().copied().collect();
            all.and_then(|n| n.into_iter().max()).map(passes)
        }
    };
    let parts = batch.div_ceil(p.batch.max(1)) as u64;
    let forward = m.macs * parts;
    let step = m.both_ways() * parts;
    let refresh = refresh((checked, p), graph, target, lists, def, (&videos, &batches), steps);
    let passes = refresh.as_ref().map_or(Some(0), |r| r.total);
    let largest = (0..p.streams.len()).map(|s| sample_bytes(p, s)).max().unwrap_or(0);
    ProgramPlan {
        name: p.name.clone(),
        kind: if def.is_some() { "phase" } else { "view" },
        runs: false,
        split: p.split.clone(),
        videos,
        dims: p.dims.globals.iter().map(|(n, v)| (n.clone(), *v)).collect(),
        batch,
        micro_batch: p.batch,
        batches: (p.uneven()).then(|| p.streams.iter().cloned().zip(batches).collect()),
        micro_batches: (p.uneven()).then(|| p.streams.iter().cloned().zip(p.batches.iter().copied()).collect()),
        epochs,
        steps,
        parameters: p.parameters(),
        trained: p
            .weights
            .iter()
            .filter(|(n, _)| def.is_some() && p.trains(n))
            .map(|(_, w)| trainable(w))
            .sum(),
        forward,
        step,
        total: (steps.zip(passes)).map(|(n, passes)| n.saturating_mul(step).saturating_add(passes)),
        memory: MemoryPlan {
            activations: m.peak,
            weights: m.weights,
            queue: largest * target.ahead as u64,
            batch: batch_bytes(p),
        },
        losses: p.losses.iter().map(|l| (l.name.clone(), l.weight)).collect(),
        rounds: rounds(p),
        gradients: p
            .reach
            .iter()
            .map(|r| Reached {
                loss: r.loss.clone(),
                node: r.node.clone(),
                sign: r.sign,
            })
            .collect(),
        reset: p.reset.clone(),
        frozen: p.frozen.clone(),
        statistics: p.statistics.clone(),
        copies: p
            .copies
            .iter()
            .map(|c| CopyPlan {
                node: c.node.clone(),
                of: c.of.clone(),
                ema: c.ema,
                begins: c.begins,
                moves: c.moves,
            })
            .collect(),
        refresh,
        key: None,
        calls: p.calls.iter().map(|c| call(p, c, precision)).collect(),
    }
}

/// The passes over the lists of a phase of so many videos by stream, videos of them in a step, and steps.
fn refresh(
    (checked, p): (&Checked, &Program),
    graph: &Graph,
    target: Target,
    lists: &mut Lists,
    def: Option<&PhaseDef>,
    (videos, batches): (&IndexMap<String, Option<usize>>, &[usize]),
    steps: Option<u64>,
) -> Option<RefreshPlan> {
    let ((view, often), def) = (p.refresh.as_ref()?, def?);
    let pass = checked.views.get(view)?;
    let sizes: Option<Vec<usize>> = videos.values().take(def.epoch.lists(videos.len())).copied().collect();
    let per_epoch = match often {
        Often::Epochs(_) => sizes.map(|sizes| def.epoch.steps(&sizes, batches)),
        _ => Some(1),
    };
    let passes = steps.zip(per_epoch).map(|(steps, per)| often.passes(steps, per));
    let once = program((checked, pass), graph, target, lists).total;
    Some(RefreshPlan {
        view: view.clone(),
        passes,
        total: passes.zip(once).map(|(n, once)| n.saturating_mul(once)),
        row: row_bytes(p),
        held: row_bytes(pass),
    })
}

fn rounds(p: &Program) -> Vec<RoundPlan> {
    let named = p.rounds.iter().enumerate().filter(|(_, r)| !r.name.is_empty());
    let plan = |(i, r): (usize, &Round)| RoundPlan {
        name: r.name.clone(),
        repeat: r.repeat,
        trains: p
            .weights
            .keys()
            .filter(|owner| p.trains_in(i, owner))
            .cloned()
            .collect(),
    };
    named.map(plan).collect()
}

fn call(p: &Program, c: &Call, precision: Precision) -> CallPlan {
    let streams = match (&c.joint, c.stream) {
        (Some(all), _) => all.clone(),
        (None, one) => one.into_iter().collect(),
    };
    let of_one = c.outputs.len() / c.joint.as_ref().map_or(1, |j| j.len().max(1));
    let outputs = c.outputs[..of_one].iter().zip(&c.ports);
    CallPlan {
        node: c.node.clone(),
        kind: c.kind,
        weights: (c.owner != c.node).then(|| c.owner.clone()),
        side: match c.side {
            Side::Host => "data",
            Side::Boundary => "boundary",
            Side::Device => "device",
        },
        streams: match &c.whole_list {
            Some(list) => vec![list.clone()],
            None => streams.into_iter().map(|s| p.streams[s].clone()).collect(),
        },
        outputs: outputs
            .filter_map(|(id, port)| Some((port.clone(), p.values[(*id)?.0].ty.to_string())))
            .collect(),
        params: c.params.clone(),
        forward: cost(p, c, precision).macs,
    }
}

/// The schema of what `glad-run plan --json` prints.
pub fn plan_schema() -> Value {
    schemars::generate::SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<Plan>()
        .into()
}
