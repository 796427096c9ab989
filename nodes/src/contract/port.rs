//! The contract of a node: its ports, and what its gradient does.

use super::types::TypeExpr;
use super::weights::Role;
use std::collections::BTreeMap;

/// Where a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Per sample, on the worker threads of the data side.
    Host,
    /// Takes samples from the host and makes batches on the device.
    Boundary,
    /// Per batch, on the compute device.
    Device,
}

/// How many references a port takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// A list of one or more; references to empty views are left out of it.
    Many,
    /// As [`Arity::Many`], or nothing.
    Any,
}

/// What the gradient does on its way from a node's outputs to its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gradient {
    /// Arrives with its sign.
    Keeps,
    /// Arrives reversed (gradient reversal layer).
    Reverses,
    /// Does not arrive.
    Stops,
}

/// An input port.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name in `inputs`.
    pub name: String,
    /// The type of each reference connected to it (one for [`Arity::One`]).
    pub types: Vec<TypeExpr>,
    /// How many references it takes.
    pub arity: Arity,
    /// Only so many of the references count, the first ones as written; nothing is computed for the others. `None`: all.
    pub first: Option<usize>,
    /// Takes all streams of a reference that names none, in the graph's order.
    pub all_streams: bool,
    /// Whether a gradient can arrive here.
    pub differentiable: bool,
    /// Takes the whole list, once before the phase, not sample by sample.
    pub whole_list: bool,
    /// Takes labels, and every row that counts has to have one: a video without a label is an error here.
    pub labelled: bool,
    /// What it is, for people.
    pub doc: &'static str,
}

/// An output port.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name in references.
    pub name: String,
    /// Its type.
    pub ty: TypeExpr,
    /// The inputs that it is computed from; `None` is all of them.
    pub from: Option<Vec<String>>,
    /// Whether its gradient passes to inputs, and not to weights alone.
    pub passes: bool,
    /// The label of a sample: may not reach a training loss where the stream is held out.
    pub supervision: bool,
    /// What it is, for people.
    pub doc: &'static str,
}

/// A node's inputs, outputs and what it does to gradients, for one setting of its parameters and its wiring.
///
/// ```
/// use glad_nodes::{Arity, Contract, Side};
/// let c = Contract::on(Side::Device)
///     .input("x", "Feature[B,D]", "features")
///     .input("mask", "Mask[B]", "rows that count")
///     .optional()
///     .output("y", "Feature[B,D]", "the features of those rows");
/// assert_eq!(c.inputs[1].arity, Arity::Optional);
/// assert_eq!(c.outputs[0].name, "y");
/// ```
#[derive(Clone, Debug)]
pub struct Contract {
    /// Where it runs.
    pub side: Side,
    /// Input ports.
    pub inputs: Vec<Input>,
    /// Output ports; the first is what `"node"` without a port means for a loss.
    pub outputs: Vec<Output>,
    /// What it does to gradients.
    pub gradient: Gradient,
    /// One call takes all the streams that are needed of it, and gives each stream its outputs
    /// (joint batch statistics). Its inputs stay per stream.
    pub joint: bool,
    /// Whether it draws random numbers in training.
    pub random: bool,
    /// Whether it compares rows of a step with each other, so that parts of a step are another computation.
    pub whole_step: bool,
    /// Roles of the weights of which each stream has its own (running statistics; scale and shift of norms).
    pub per_stream: Vec<Role>,
    /// Two ports whose rows it pairs by their place, though they may be of different streams.
    pub by_place: Option<[&'static str; 2]>,
    /// Whether it is computed from the rows of all videos of a list at once, after a pass over them.
    pub over_list: bool,
}

/// What is connected to a node, as far as a contract may depend on it.
#[derive(Clone, Debug, Default)]
pub struct Wiring {
    /// References per input port, after those that do not count ([`Input::first`]) and empty views were left out, and
    /// `all_streams` ports were spread.
    pub count: BTreeMap<String, usize>,
}

impl Wiring {
    /// References connected to `port`.
    pub fn of(&self, port: &str) -> usize {
        self.count.get(port).copied().unwrap_or(0)
    }
}

impl Contract {
    /// A contract without ports.
    pub fn on(side: Side) -> Contract {
        Contract {
            side,
            inputs: vec![],
            outputs: vec![],
            gradient: match side {
                Side::Device => Gradient::Keeps,
                _ => Gradient::Stops,
            },
            joint: false,
            random: false,
            whole_step: false,
            per_stream: vec![],
            by_place: None,
            over_list: false,
        }
    }

    /// Adds an input that takes one reference.
    #[must_use]
    pub fn input(mut self, name: impl Into<String>, ty: &str, doc: &'static str) -> Self {
        self.inputs.push(Input {
            name: name.into(),
            types: vec![TypeExpr::parse(ty)],
            arity: Arity::One,
            first: None,
            all_streams: false,
            differentiable: true,
            whole_list: false,
            labelled: false,
            doc,
        });
        self
    }

    /// Adds an input that takes a list; `types` has one type per connected reference (see [`Wiring::of`]),
    /// and at least one, which documents the port.
    #[must_use]
    pub fn many(mut self, name: impl Into<String>, types: &[String], doc: &'static str) -> Self {
        self.inputs.push(Input {
            name: name.into(),
            types: types.iter().map(|t| TypeExpr::parse(t)).collect(),
            arity: Arity::Many,
            first: None,
            all_streams: false,
            differentiable: true,
            whole_list: false,
            labelled: false,
            doc,
        });
        self
    }

    /// The input added last may be left unconnected.
    #[must_use]
    pub fn optional(mut self) -> Self {
        let i = self.last_input();
        i.arity = match i.arity {
            Arity::Many if !i.all_streams => Arity::Any,
            _ => Arity::Optional,
        };
        self
    }

    /// Of the references to the input added last only the first `n` count, `None`: all.
    #[must_use]
    pub fn first(mut self, n: Option<usize>) -> Self {
        self.last_input().first = n;
        self
    }

    /// The input added last takes all streams of a reference that names none.
    #[must_use]
    pub fn all_streams(mut self) -> Self {
        let i = self.last_input();
        i.all_streams = true;
        i.arity = Arity::Many;
        self
    }

    /// No gradient goes to the input added last.
    #[must_use]
    pub fn constant(mut self) -> Self {
        self.last_input().differentiable = false;
        self
    }

    /// The input added last takes the whole list, once before the phase.
    #[must_use]
    pub fn whole_list(mut self) -> Self {
        self.last_input().whole_list = true;
        self
    }

    /// The input added last takes labels, and needs one for every row that counts: lists with videos that have none are
    /// refused before anything runs.
    pub fn labelled(mut self) -> Self {
        self.last_input().labelled = true;
        self
    }

    /// Adds an output.
    #[must_use]
    pub fn output(mut self, name: impl Into<String>, ty: &str, doc: &'static str) -> Self {
        self.outputs.push(Output {
            name: name.into(),
            ty: TypeExpr::parse(ty),
            from: None,
            passes: true,
            supervision: false,
            doc,
        });
        self
    }

    /// The output added last is computed from these inputs alone.
    #[must_use]
    pub fn from(mut self, inputs: &[&str]) -> Self {
        self.last_output().from = Some(inputs.iter().map(|s| s.to_string()).collect());
        self
    }

    /// The gradient of the output added last trains the node's weights, and goes to no input: an input is a constant to
    /// it.
    #[must_use]
    pub fn for_weights(mut self) -> Self {
        self.last_output().passes = false;
        self
    }

    /// The output added last is a label.
    #[must_use]
    pub fn supervision(mut self) -> Self {
        self.last_output().supervision = true;
        self
    }

    /// Says what the node does to gradients.
    #[must_use]
    pub fn gradient(mut self, gradient: Gradient) -> Self {
        self.gradient = gradient;
        self
    }

    /// One call takes all streams that are needed.
    #[must_use]
    pub fn joint(mut self, joint: bool) -> Self {
        self.joint = joint;
        self
    }

    /// The node draws random numbers in training.
    #[must_use]
    pub fn random(mut self) -> Self {
        self.random = true;
        self
    }

    /// The node compares rows of a step with each other: a phase that divides its steps into parts is warned of.
    #[must_use]
    pub fn whole_step(mut self) -> Self {
        self.whole_step = true;
        self
    }

    /// Each stream has its own weights of these roles.
    #[must_use]
    pub fn per_stream(mut self, roles: Vec<Role>) -> Self {
        self.per_stream = roles;
        self
    }

    /// The node pairs the rows of these two ports by their place: there have to be as many of both, also where they are of
    /// streams with batches of their own.
    #[must_use]
    pub fn by_place(mut self, a: &'static str, b: &'static str) -> Self {
        self.by_place = Some([a, b]);
        self
    }

    /// The node is computed from the rows of all videos of a list at once, one row a video, and gives one row for each video
    /// of its first port: in a view after the last batch. In a phase its outputs are those of the phase's `refresh`, for the
    /// videos of the step ([`crate::OverList`]). No gradient passes.
    #[must_use]
    pub fn over_list(mut self) -> Self {
        self.over_list = true;
        self.gradient = Gradient::Stops;
        self
    }

    fn last_input(&mut self) -> &mut Input {
        self.inputs.last_mut().expect("an input was added before")
    }

    fn last_output(&mut self) -> &mut Output {
        self.outputs.last_mut().expect("an output was added before")
    }
}
