//! The pruned, typed, ordered form of one phase or view. The scheduler only walks it.

mod checked;
mod memory;
mod round;

pub use checked::{Checked, RESULT_VIEW};
pub use memory::{Memory, memory, sample_bytes};
pub(crate) use memory::{batch_bytes, cost, row_bytes, value_bytes};
pub use round::Round;

use crate::graph::{Often, Ramp};
use glad_nodes::{Body, DimScope, Gradient, Role, Scheduled, Side, Size, Type, WeightSpec};
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashSet};

/// An index into [`Program::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// Whether a program trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    /// A phase.
    Phase,
    /// A view.
    View,
}

/// One output of one call.
#[derive(Clone, Debug)]
pub struct ValueInfo {
    /// `node.port` or `node.port@stream`, for people.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// The stream it belongs to, an index into [`Program::streams`]; `None` for a value computed from several.
    pub stream: Option<usize>,
    /// Whether it is on the host or the device.
    pub side: Side,
    /// Whether it depends on a label of a held-out stream.
    pub held_out: bool,
    /// Whether a gradient is computed for it in any round (phases only): a loss depends on it, and something that trains
    /// is upstream.
    pub needs_grad: bool,
    /// The call that computes it.
    pub call: usize,
}

/// One execution of a node in a step (or for a sample, on the host side).
#[derive(Clone, Debug)]
pub struct Call {
    /// The node's path, which keys its random numbers.
    pub node: String,
    /// The node whose weights it uses: itself, unless its `weights` names another.
    pub owner: String,
    /// Its kind.
    pub kind: &'static str,
    /// The stream, an index into [`Program::streams`]; `None` for a node across streams.
    pub stream: Option<usize>,
    /// Videos of its stream in one forward pass. Where it takes several streams the mean of theirs, in which each counts as
    /// often as its numbers are among the inputs, rounded up.
    pub batch: usize,
    /// For a joint node: the streams of this call, in order; its inputs have one value per stream, its outputs are
    /// those of the first stream, then of the next.
    pub joint: Option<Vec<usize>>,
    /// Where it runs.
    pub side: Side,
    /// Values by input port, in the contract's order; a port without references is absent.
    pub inputs: Vec<(String, Vec<ValueId>)>,
    /// Outputs in the contract's order (joint: of the first stream, then of the next); `None` where nothing needs it.
    pub outputs: Vec<Option<ValueId>>,
    /// The names of the outputs' ports, as many as `outputs`.
    pub ports: Vec<String>,
    /// An index into [`Program::bodies`]; calls with the same parameters and types share one.
    pub body: usize,
    /// Its effect on gradients.
    pub gradient: Gradient,
    /// Roles of the weights of which its stream has its own.
    pub per_stream: Vec<Role>,
    /// For a call that takes a whole list, once before the phase: the stream whose list, an index into
    /// [`Program::streams`] or the name of a stream that the phase does not run.
    pub whole_list: Option<String>,
    /// Whether it is computed from the rows of a whole list at once: in a view after the last batch. In a phase its outputs
    /// are rows that the phase's `refresh` left, and come with a batch.
    pub over_list: bool,
    /// Whether its weights are trained in this phase, in any of its rounds.
    pub trains: bool,
    /// The parameters that it has here: those of the node, of its stream, and of the phase or view.
    pub params: serde_json::Value,
}

/// A term of the objective.
#[derive(Clone, Debug)]
pub struct LossTerm {
    /// Its name in the file, `ROUND/NAME` where the phase has rounds.
    pub name: String,
    /// The round that it belongs to, an index into [`Program::rounds`].
    pub round: usize,
    /// The loss values; more than one where the node exists once per stream: they are summed.
    pub values: Vec<ValueId>,
    /// Its weight.
    pub weight: f64,
    /// How the weight grows.
    pub ramp: Ramp,
    /// Whether it compares the rows of a step that is divided into parts: how many parts gave 0 is logged then, as those do in
    /// which it has no pair.
    pub divided: bool,
}

impl LossTerm {
    /// Its weight at a fraction `progress` of the phase, after `step` steps.
    pub fn weight_at(&self, progress: f64, step: u64) -> f64 {
        self.weight * self.ramp.at(progress, step)
    }
}

/// How a loss reaches a node's weights, from the gradient audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The loss's name.
    pub loss: String,
    /// The node whose weights it reaches.
    pub node: String,
    /// +1, −1, or 0 where it arrives by paths of both signs.
    pub sign: i8,
}

/// Where labels of a stream's list are compared with scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelUse {
    /// The stream whose list gives the labels, an index into [`Program::streams`].
    pub stream: usize,
    /// The call that takes them.
    pub call: usize,
    /// Its port, and which of the references there.
    pub port: (String, usize),
    /// The scores that they are compared with; their last size is the number of classes.
    pub scores: Option<ValueId>,
    /// Whether a video without a label is an error there.
    pub needed: bool,
    /// Whether rows are masked there, so that some labels are ignored.
    pub masked: bool,
    /// The terms of the objective that depend on them.
    pub losses: Vec<String>,
}

/// Weights that are a copy of another node's, and follow them.
#[derive(Clone, Debug, PartialEq)]
pub struct Copied {
    /// The node whose weights they are.
    pub node: String,
    /// The node that they are copied from.
    pub of: String,
    /// The share of itself that an update of the other's weights leaves in the copy.
    pub ema: Scheduled,
    /// Whether the copy begins with this phase: then its weights are those of the other before the first step.
    pub begins: bool,
    /// Whether it moves: whether the phase trains what it is a copy of, and `ema` is not 1.
    pub moves: bool,
}

/// A phase or view, ready to run.
pub struct Program {
    /// The phase's or view's name.
    pub name: String,
    /// Whether it trains.
    pub kind: ProgramKind,
    /// The streams that run, in order.
    pub streams: Vec<String>,
    /// The split that it reads.
    pub split: String,
    /// Videos per stream in one forward pass; the most of a stream where they differ.
    pub batch: usize,
    /// How many such passes the batch of a step is divided into.
    pub parts: usize,
    /// Those of each stream, in the order of `streams`.
    pub batches: Vec<usize>,
    /// The graph's `dims` in it.
    pub dims: DimScope,
    /// All values.
    pub values: Vec<ValueInfo>,
    /// All calls, in an order in which every value is computed before it is used.
    pub calls: Vec<Call>,
    /// The nodes' implementations.
    pub bodies: Vec<Body>,
    /// The source call of each stream (an index into `calls`), in the order of `streams`.
    pub sources: Vec<usize>,
    /// The weights of every node that runs, by the path of the node that owns them; and of copies that only follow.
    pub weights: IndexMap<String, Vec<WeightSpec>>,
    /// Which of them are copies of others.
    pub copies: Vec<Copied>,
    /// What a step does, in order: of a phase without `rounds` and of a view one.
    pub rounds: Vec<Round>,
    /// The objective (phases).
    pub losses: Vec<LossTerm>,
    /// The roots (views).
    pub roots: Vec<ValueId>,
    /// The gradient audit (phases).
    pub reach: Vec<Reach>,
    /// Where the lists' labels are compared with scores.
    pub labels: Vec<LabelUse>,
    /// Nodes that are frozen in it.
    pub frozen: Vec<String>,
    /// Nodes whose weights are reset in it.
    pub reset: Vec<String>,
    /// Nodes whose running statistics a view computes anew.
    pub statistics: Vec<String>,
    /// The view that a phase runs over its lists between steps, and when.
    pub refresh: Option<(String, Often)>,
    /// How many values the optimiser's state has for each trained one: 0 in a view.
    pub kept: usize,
}

impl LabelUse {
    /// The number of classes that the scores distinguish; a single score distinguishes two.
    pub fn classes(&self, program: &Program) -> Option<usize> {
        let n = program.values[self.scores?.0].ty.known(-1)?;
        Some(n.max(2))
    }
}

impl Program {
    /// Whether the weights under the path `owner` are a copy of another node's.
    pub fn copy(&self, owner: &str) -> Option<&Copied> {
        self.copies.iter().find(|c| c.node == owner)
    }

    /// Whether a call trains the weights under the path `owner` here.
    pub fn trains(&self, owner: &str) -> bool {
        self.calls.iter().any(|c| c.owner == owner && c.trains)
    }

    /// Videos of the stream of a value in one forward pass; for a value of several streams their mean, see [`Call::batch`].
    pub fn batch_of(&self, id: ValueId) -> usize {
        let value = &self.values[id.0];
        value
            .stream
            .map_or_else(|| self.calls[value.call].batch, |s| self.batches[s])
    }

    /// The streams whose videos a value is computed from.
    pub fn streams_of(&self, id: ValueId) -> BTreeSet<usize> {
        let (mut found, mut seen, mut asked) = (BTreeSet::new(), BTreeSet::new(), vec![id]);
        while let Some(v) = asked.pop() {
            let info = &self.values[v.0];
            match info.stream {
                Some(s) => {
                    found.insert(s);
                }
                None if seen.insert(v) => {
                    let inputs = self.calls[info.call].inputs.iter();
                    asked.extend(inputs.flat_map(|(_, ids)| ids));
                }
                None => {}
            }
        }
        found
    }

    /// [`Call::batch`] of a call with these inputs, whose own values are all there.
    pub(crate) fn batch_of_inputs(&self, inputs: impl Iterator<Item = ValueId>) -> usize {
        let (mut videos, mut numbers) = (0u128, 0u128);
        for id in inputs {
            let ty = &self.values[id.0].ty;
            if ty.dims.iter().any(|d| matches!(d, Size::Batch(_))) {
                let of_one = ty.elements(1).unwrap_or(1) as u128;
                numbers += of_one;
                videos += of_one * self.batch_of(id) as u128;
            }
        }
        match numbers {
            0 => self.batch,
            _ => videos.div_ceil(numbers) as usize,
        }
    }

    /// Whether the streams have different numbers of videos in a forward pass.
    pub fn uneven(&self) -> bool {
        self.batches.iter().any(|n| *n != self.batch)
    }

    /// The number of trainable parameters.
    pub fn parameters(&self) -> usize {
        self.weights.values().map(|specs| trainable(specs)).sum()
    }
}

/// How many numbers of these weights can be trained. What only a stream's own weights start as is not used itself.
pub fn trainable(specs: &[WeightSpec]) -> usize {
    let starts: HashSet<&str> = specs.iter().filter_map(WeightSpec::starts_as).collect();
    let used = specs
        .iter()
        .filter(|s| s.role != Role::Buffer && !starts.contains(s.name.as_str()));
    used.map(WeightSpec::elements).sum()
}
