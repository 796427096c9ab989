//! The tables of a graph file, as written: their keys, defaults and documentation. [`super::def`] has what they mean.

use super::batch::Batch;
use super::epoch::EpochOver;
use super::expect::Expect;
use super::loss::LossKeys;
use super::optim::OptimizerDef;
use super::refresh::RefreshKeys;
use super::weights::WeightsKeys;
use crate::diag::Spanned;
use crate::keys::{Free, Rules, Sub, Table, Value, Word, schema, table};
use crate::tree::{Out, Tree, TreeValue, Written, string, strings};
use glad_nodes::Precision;
use indexmap::IndexMap;
use serde_json::{Value as Json, json};

/// Which weights of a run are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// Those of the last step.
    Last,
    /// Those of the best validation score.
    Best,
}

impl Word for Select {
    const WHAT: &'static str = "selection";
    const ALL: &'static [Select] = &[Select::Last, Select::Best];

    fn word(self) -> &'static str {
        match self {
            Select::Last => "last",
            Select::Best => "best",
        }
    }
}

table! {
    /// The top level of a graph.
    pub struct TopKeys as "experiment" {
        /// The experiment's title.
        title: Option<Spanned<String>>;
        /// The published number for this row, by the name of its setting; printed only under that setting.
        expect: Option<Expect>;
        /// Every node exists once per stream, with shared weights.
        streams: Option<Vec<Spanned<String>>>;
        /// Streams whose labels may reach no training loss.
        held_out: Vec<Spanned<String>>;
        /// Allows the use of held-out labels; every output then states it.
        oracle: bool;
        /// Which weights are scored: the last, or those of the best validation score (by held-out labels only with `oracle`).
        select: Option<Spanned<Select>>;
        /// The share of a list's videos that may be unusable.
        bad_videos: f64 = 0.01, [least = 0.0, most = 1.0];
        /// The seed of everything random.
        seed: Option<Spanned<u64>>;
        /// The precision in which a GPU computes: bf16 activations inside backbones, f32 numbers whose products may round to
        /// TF32, or f32 (the default). The CPU always computes in f32.
        precision: Option<Spanned<Precision>>;
        /// Phases and views to run, in order.
        run: Option<Order>;
        /// Class names.
        classes: Option<Spanned<Vec<Spanned<String>>>>;
        /// Nodes that pass their input through.
        bypass: Vec<Spanned<String>>;
        /// Names for sizes, for the whole graph.
        dims: IndexMap<String, Spanned<usize>>;
        /// Values that `"$name"` stands for.
        params: Free;
        /// Nodes, by name.
        nodes: Free, [of = "node"];
        /// Training phases, by name.
        phases: Free, [of = "phase"];
        /// Passes over the graph without training, by name.
        views: Free, [of = "view"];
    }
}

table! {
    /// A training phase.
    pub struct PhaseKeys as "phase" {
        /// Its own streams, if not the graph's.
        streams: Option<Vec<Spanned<String>>>;
        /// Which list it reads: `train` by default.
        split: Option<Spanned<String>>;
        /// Length in passes over the first stream, or over the list that `epoch` says.
        epochs: Option<Spanned<usize>>, [least = 1.0];
        /// Length in optimiser steps.
        steps: Option<Spanned<usize>>, [least = 1.0];
        /// Over which list a pass is an epoch: the first stream's (the default), or the longest.
        epoch: Option<Spanned<EpochOver>>;
        /// Leaves out the last step of an epoch where it has fewer videos than the others, for losses that compare the videos of
        /// a batch.
        drop_last: bool;
        /// Videos per stream in an optimiser step: a number for all, or a table of streams.
        batch: Option<Spanned<Batch>>, [least = 1.0, most = 1048576.0];
        /// Videos per stream in one forward and backward pass, for all or by stream; gradients of the parts are summed.
        micro_batch: Option<Spanned<Batch>>, [least = 1.0, most = 1048576.0];
        /// The phase's own seed, so that runs with other seeds share the phase.
        seed: Option<Spanned<u64>>;
        /// Sizes that differ from the graph's.
        dims: IndexMap<String, Spanned<usize>>;
        /// Node parameters that differ, by node.
        nodes: IndexMap<String, Spanned<Free>>;
        /// The objective: weights by node (its first output) or `"node.port"`.
        losses: IndexMap<String, Spanned<LossKeys>>;
        /// In place of `losses`: rounds of a step, by name in their order. Each has a forward pass with the present weights, a
        /// backward pass of its losses and an update, all on the step's batch.
        rounds: IndexMap<String, Spanned<Sub<RoundKeys>>>;
        /// Nodes or composites whose weights are reset here.
        reset: Vec<Spanned<String>>;
        /// Nodes or composites whose weights are frozen.
        frozen: Vec<Spanned<String>>;
        /// A view that runs over the phase's lists before its first step and now and then again; what its nodes over whole lists
        /// give a video stays until the next pass.
        refresh: Option<Spanned<Sub<RefreshKeys>>>;
        /// A view that is scored after every epoch, and at the end.
        validate: Option<Spanned<String>>;
        /// The optimiser.
        optimizer: Option<Sub<OptimizerDef>>;
    }
}

table! {
    /// A round of a phase's step.
    pub struct RoundKeys as "round" {
        /// Its objective, as a phase's.
        losses: IndexMap<String, Spanned<LossKeys>>;
        /// Nodes or composites whose weights it updates, and no others: all that its losses reach by default.
        train: Option<Vec<Spanned<String>>>;
        /// How often it is taken in a step, each time with the weights that the last one left.
        repeat: usize = 1, [least = 1.0, most = 1024.0, omit = 1.0];
    }
}

table! {
    /// A pass over the graph without training.
    pub struct ViewKeys as "view" {
        /// Its own streams, if not the graph's.
        streams: Option<Vec<Spanned<String>>>;
        /// Which list it reads: `test` by default.
        split: Option<Spanned<String>>;
        /// Videos per stream at a time.
        batch: Option<Spanned<usize>>, [least = 1.0, most = 1048576.0];
        /// Sizes that differ from the graph's.
        dims: IndexMap<String, Spanned<usize>>;
        /// Node parameters that differ, by node.
        nodes: IndexMap<String, Spanned<Free>>;
        /// The outputs that it computes.
        roots: Vec<Spanned<String>>;
        /// Nodes or composites whose running statistics it computes anew, as the means over its videos, with batches as in training.
        statistics: Vec<Spanned<String>>;
        /// A run leaves it out, and reports that, where data or weights that it starts from are missing.
        optional: bool;
    }
}

table! {
    /// What the framework reads of every node; its parameters and its tables of streams stand beside.
    pub struct NodeKeys as "node" {
        /// The node's kind, or a composite's file; that of the node that `weights` names where it is left out.
        kind: Option<Spanned<String>>;
        /// The folder that relative paths in its parameters are resolved against.
        folder: Option<Spanned<String>>;
        /// The streams it works in; in others it is bypassed or absent.
        only: Option<Vec<Spanned<String>>>;
        /// Bypassed in views.
        train_only: bool;
        /// The node whose weights it uses, in place of weights of its own, or of whose weights its own are a copy.
        weights: Option<WeightsKeys>;
        /// References, by input port.
        inputs: Inputs;
    }
}

table! {
    /// Makes this file a kind of node.
    pub struct CompositeKeys as "composite" {
        /// Its input ports; nodes refer to them as `in.NAME`.
        inputs: Vec<Spanned<String>>;
        /// Its output ports, by name: references inside.
        outputs: IndexMap<String, Spanned<String>>;
        /// Its parameters with their defaults; `{}` has to be given.
        params: Free;
    }
}

/// What runs, in order: unlike other lists of names it may hold a view twice.
#[derive(Clone, Debug, Default)]
pub struct Order(pub Vec<Spanned<String>>);

impl Value for Order {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        let items = out.list(at, t)?;
        Some(Order(
            items
                .iter()
                .filter_map(|i| out.string(&format!("items of {at}"), i))
                .collect(),
        ))
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        Some(strings(self.0.iter().map(|s| &s.value)))
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        schema::or_param(json!({ "type": "array", "items": { "type": "string" }, "description": doc }))
    }
}

/// References by input port: one, or several.
#[derive(Clone, Debug, Default)]
pub struct Inputs(pub IndexMap<String, Vec<Spanned<String>>>);

impl Value for Inputs {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        let mut inputs = IndexMap::new();
        for (port, value) in out.table(at, t)? {
            let at = format!("{at}.{port}");
            let mut texts = vec![];
            for item in value.items().unwrap_or(std::slice::from_ref(value)) {
                match &item.value {
                    TreeValue::String(_) => texts.extend(out.string(&at, item)),
                    _ => out.mistyped(&at, item, "a reference such as \"node.port\", or a list of them"),
                }
            }
            inputs.insert(port.clone(), texts);
        }
        Some(Inputs(inputs))
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        let mut to = Written::nowhere();
        for (port, texts) in &self.0 {
            match texts.as_slice() {
                [one] => to.put(port, string(&one.value)),
                many => to.put(port, strings(many.iter().map(|m| &m.value))),
            }
        }
        (!self.0.is_empty()).then(|| to.tree().value)
    }

    fn schema(_: &str, _: &Rules) -> Json {
        schema::to("inputs")
    }
}

/// Whether `key` of a node is the framework's, and no parameter.
pub fn is_node_key(key: &str) -> bool {
    NodeKeys::KEYS.iter().any(|k| k.name == key)
}
