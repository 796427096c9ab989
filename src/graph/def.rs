//! The graph, its nodes, phases and views.

use super::batch::Batch;
use super::epoch::Epoch;
use super::file::Select;
use super::loss::Ramp;
use super::optim::OptimizerDef;
use super::refresh::RefreshDef;
use super::weights::CopyDef;
use crate::diag::{Files, Place, Problem, Spanned};
use crate::tree::{History, Tree};
use glad_nodes::Precision;
use indexmap::IndexMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A reference to an output: `node.port` or `node.port@stream`. Composite nodes have dotted names: `align_g.mlp.y`
/// is port `y` of node `align_g.mlp`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ref {
    /// The node's path.
    pub node: String,
    /// The port; empty where the file names the node alone (a loss).
    pub port: String,
    /// The stream, where one is named.
    pub stream: Option<String>,
}

/// As a file writes it: `node.port@stream`.
impl std::fmt::Display for Ref {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.node)?;
        if !self.port.is_empty() {
            write!(f, ".{}", self.port)?;
        }
        match &self.stream {
            Some(s) => write!(f, "@{s}"),
            None => Ok(()),
        }
    }
}

/// A node.
#[derive(Clone, Debug)]
pub struct NodeDef {
    /// Its path: its name, with the names of the composites around it before it.
    pub path: String,
    /// Its kind (never a composite: those are expanded).
    pub kind: Spanned<String>,
    /// Parameters for all streams; `$name` is already replaced.
    pub params: IndexMap<String, Tree>,
    /// Parameters that differ, by stream.
    pub per_stream: IndexMap<String, IndexMap<String, Tree>>,
    /// References, by input port.
    pub inputs: IndexMap<String, Vec<Spanned<Ref>>>,
    /// The streams it works in; in others a node with one type in and out is bypassed, any other is absent.
    pub only: Option<Vec<Spanned<String>>>,
    /// Bypassed in views.
    pub train_only: bool,
    /// The path of the node whose weights it uses: never one that uses another's itself.
    pub weights: Option<Spanned<String>>,
    /// What its own weights are a copy of, where they are one: never a copy itself.
    pub copy: Option<CopyDef>,
    /// Bypassed everywhere (an overlay's `bypass`): outputs are the input of the same type.
    pub bypass: Option<Place>,
    /// The folder that relative paths in its parameters are resolved against: that of the file that wrote `kind`, or
    /// the node's `folder`.
    pub folder: PathBuf,
    /// Where it was written.
    pub place: Place,
    /// The nodes of composites around it, outermost first: name and where that node was written.
    pub inside: Vec<Spanned<String>>,
}

impl NodeDef {
    /// Of a node with a copy of weights: the name of what is copied, which is a composite where its `weights` says so, that of
    /// the original, and where the former was written.
    pub fn copied(&self) -> Option<(&str, &str, &Place)> {
        let of = self.copy.as_ref()?.of.value.as_str();
        let whole = self.inside.iter().find_map(|outer| {
            let rest = self.path.strip_prefix(&outer.value)?;
            Some((outer.value.as_str(), of.strip_suffix(rest)?, &outer.place))
        });
        Some(whole.unwrap_or((&self.path, of, &self.place)))
    }

    /// The path that its weights are kept under: its own, or that of the node whose weights it uses.
    pub fn owner(&self) -> &str {
        self.weights.as_ref().map_or(&self.path, |w| &w.value)
    }
}

/// A term of a phase's objective.
#[derive(Clone, Debug)]
pub struct LossDef {
    /// The output, usually a node's first.
    pub target: Spanned<Ref>,
    /// Its weight.
    pub weight: Spanned<f64>,
    /// How the weight grows.
    pub ramp: Ramp,
    /// The round that it is a term of, an index into [`PhaseDef::rounds`].
    pub round: usize,
}

/// A round of a step: a forward pass, a backward pass of its losses and an update, on the step's batch.
#[derive(Clone, Debug)]
pub struct RoundDef {
    /// Its name; empty for the one round of a phase that has `losses`.
    pub name: String,
    /// Where it was written.
    pub place: Place,
    /// The nodes (or composites) whose weights it updates; `None`: all that its losses reach.
    pub train: Option<Vec<Spanned<String>>>,
    /// How often in a step.
    pub repeat: usize,
}

impl RoundDef {
    /// What a number of this round is called in logs and messages: `ROUND/NAME`, or the name alone in a phase without
    /// `rounds`.
    pub fn label(&self, name: &str) -> String {
        match self.name.as_str() {
            "" => name.to_owned(),
            round => format!("{round}/{name}"),
        }
    }
}

/// A training phase.
#[derive(Clone, Debug)]
pub struct PhaseDef {
    /// Its name.
    pub name: String,
    /// Where it was written.
    pub place: Place,
    /// Its own streams, if not the graph's.
    pub streams: Option<Vec<Spanned<String>>>,
    /// Which list it reads: `train` by default.
    pub split: Spanned<String>,
    /// Length in epochs.
    pub epochs: Option<Spanned<usize>>,
    /// Length in optimiser steps.
    pub steps: Option<Spanned<usize>>,
    /// What an epoch is.
    pub epoch: Epoch,
    /// Videos per stream in an optimiser step.
    pub batch: Spanned<Batch>,
    /// Videos per stream in one forward and backward pass, in as many parts of each stream; gradients of the step's parts add up, batch statistics are
    /// those of each part.
    pub micro_batch: Option<Spanned<Batch>>,
    /// Sizes that differ from the graph's.
    pub dims: IndexMap<String, Spanned<usize>>,
    /// Node parameters that differ, by node path; the same keys as in the node (streams included).
    pub nodes: IndexMap<String, Spanned<IndexMap<String, Tree>>>,
    /// The rounds of a step, in order: one without a name where the file gives the phase `losses`.
    pub rounds: Vec<RoundDef>,
    /// The terms of all rounds' objectives, by [`RoundDef::label`] of the name in the file.
    pub losses: IndexMap<String, LossDef>,
    /// Nodes (or composites) whose weights start anew here.
    pub reset: Vec<Spanned<String>>,
    /// Nodes (or composites) whose weights are reset here.
    pub frozen: Vec<Spanned<String>>,
    /// The phase's own seed, so that runs with other seeds share the phase.
    pub seed: Option<Spanned<u64>>,
    /// The optimiser.
    pub optimizer: OptimizerDef,
    /// A view that runs over its lists now and then, for the nodes over whole lists.
    pub refresh: Option<RefreshDef>,
    /// A view that is scored every so many epochs (or every `steps / n`), besides at the end.
    pub validate: Option<Spanned<String>>,
}

impl PhaseDef {
    /// Where a loss is written: `phases.main.losses.ce`, `phases.main.rounds.features.losses.ce`.
    pub fn path(&self, loss: &str) -> String {
        let round = self.losses.get(loss).map_or("", |l| &self.rounds[l.round].name);
        match loss.strip_prefix(round).and_then(|rest| rest.strip_prefix('/')) {
            Some(name) if !round.is_empty() => format!("phases.{}.rounds.{round}.losses.{name}", self.name),
            _ => format!("phases.{}.losses.{loss}", self.name),
        }
    }
}

/// A pass over the graph without training: inference, measures, preparation.
#[derive(Clone, Debug)]
pub struct ViewDef {
    /// Its name.
    pub name: String,
    /// Where it was written.
    pub place: Place,
    /// Its own streams, if not the graph's.
    pub streams: Option<Vec<Spanned<String>>>,
    /// Which list it reads: `test` by default.
    pub split: Spanned<String>,
    /// Videos per stream at a time.
    pub batch: Option<Spanned<usize>>,
    /// Sizes that differ from the graph's.
    pub dims: IndexMap<String, Spanned<usize>>,
    /// Node parameters that differ, by node path.
    pub nodes: IndexMap<String, Spanned<IndexMap<String, Tree>>>,
    /// What is computed.
    pub roots: Vec<Spanned<Ref>>,
    /// Nodes or composites whose running statistics it computes anew.
    pub statistics: Vec<Spanned<String>>,
    /// Whether a run leaves it out, and reports that, where data or weights that it starts from are missing.
    pub optional: bool,
}

/// An experiment.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The texts it was read from.
    pub files: Arc<Files>,
    /// The merged tree before composites were expanded: what `explain`, `diff` and `graph.toml` work on.
    pub tree: Tree,
    /// What the layers changed: shown by `explain`.
    pub history: History,
    /// Notes on how it was put together.
    pub notes: Vec<Problem>,
    /// Its title.
    pub title: Option<Spanned<String>>,
    /// The published number for this row.
    pub expect: Option<Spanned<String>>,
    /// Streams, in order.
    pub streams: Vec<Spanned<String>>,
    /// Streams whose labels may reach no training loss.
    pub held_out: Vec<Spanned<String>>,
    /// Whether held-out labels may be used after all; every output then states it.
    pub oracle: bool,
    /// Which weights are scored.
    pub select: Spanned<Select>,
    /// Names for sizes.
    pub dims: IndexMap<String, Spanned<usize>>,
    /// Phases and views to run, in order.
    pub run: Vec<Spanned<String>>,
    /// The share of bad videos above which a run ends ([`bad_allowed`]).
    pub bad_videos: f64,
    /// The seed of a run: everything random in training follows from it.
    pub seed: Spanned<u64>,
    /// The precision in which a GPU computes.
    pub precision: Spanned<Precision>,
    /// Nodes, by path, in file order.
    pub nodes: IndexMap<String, NodeDef>,
    /// Phases, by name.
    pub phases: IndexMap<String, PhaseDef>,
    /// Views, by name.
    pub views: IndexMap<String, ViewDef>,
    /// Class names, where the graph gives them.
    pub classes: Option<Spanned<Vec<String>>>,
}

impl Graph {
    /// What the weights under the path `owner` are a copy of, where they are one.
    pub fn copied(&self, owner: &str) -> Option<&CopyDef> {
        self.nodes.get(owner)?.copy.as_ref()
    }
}

/// How many of the `videos` of a list may be bad before a run ends, for a `share` of them: rounded up, so that one bad
/// video of a short list never ends a run.
pub fn bad_allowed(share: f64, videos: usize) -> usize {
    // 7 % of 100 is 7.000000000000001 in floating point.
    (share * videos as f64 - 1e-9).ceil().max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_bad_videos_is_rounded_up() {
        let of = |share, videos| bad_allowed(share, videos);
        assert_eq!(
            [of(0.01, 8), of(0.01, 100), of(0.01, 101), of(0.0, 50), of(1.0, 50)],
            [1, 1, 2, 0, 50]
        );
        assert_eq!(
            [of(0.07, 100), of(0.29, 100), of(0.0, 0), of(0.1, 1_000_000)],
            [7, 29, 0, 100_000]
        );
    }
}
