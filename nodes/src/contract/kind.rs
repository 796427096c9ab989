//! Node kinds.

use super::compute::{Compute, Metric, OverList};
use super::dim::DimScope;
use super::host::{Resource, Source, Stage};
use super::port::{Contract, Wiring};
use super::problem::ParamProblem;
use super::types::Type;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// What kinds are for; the folders they sit in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Lists, samplers, decoding, augmentation, the batch boundary.
    Data,
    /// Backbones and heads.
    Model,
    /// Domain alignment.
    Align,
    /// Temporal order.
    Order,
    /// Losses.
    Loss,
    /// Rearranging tensors.
    Tensor,
    /// Scores.
    Metric,
}

impl Group {
    /// Its name in lists.
    pub fn name(self) -> &'static str {
        match self {
            Group::Data => "data",
            Group::Model => "model",
            Group::Align => "align",
            Group::Order => "order",
            Group::Loss => "loss",
            Group::Tensor => "tensor",
            Group::Metric => "metric",
        }
    }
}

/// What a node is made from.
pub struct BuildCx<'a> {
    /// The types that arrive, by input port, in the order of the references (for a joint node: of the streams).
    pub inputs: IndexMap<String, Vec<Type>>,
    /// The types of the outputs, in the contract's order (for a joint node: of one stream).
    pub outputs: Vec<Type>,
    /// The graph's `dims` in this phase or view.
    pub dims: &'a DimScope,
    /// The folder against which relative paths are meant (of the file that wrote the parameter).
    pub folder: PathBuf,
}

impl BuildCx<'_> {
    /// The type at `port`.
    pub fn input(&self, port: &str) -> Option<&Type> {
        self.inputs.get(port)?.first()
    }
}

/// A node, ready to run.
pub enum Body {
    /// Names the videos of a stream.
    Source(Box<dyn Source>),
    /// Works on a sample.
    Stage(Box<dyn Stage>),
    /// Works on a whole list, once before a phase.
    Resource(Box<dyn Resource>),
    /// Gives a batch its values: stacks samples, or takes rows that a pass over the list left. The scheduler does it.
    Boundary,
    /// Works on a batch.
    Compute(Box<dyn Compute>),
    /// Works on the rows of a whole list, after a pass over it.
    OverList(Box<dyn OverList>),
    /// Scores a split.
    Metric(Box<dyn Metric>),
}

/// A node kind: a struct of parameters (its fields' docs are the parameters' docs) with a contract and an
/// implementation. One kind is one file.
pub trait Kind: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Its name in `kind = "…"`.
    const NAME: &'static str;
    /// What it is for.
    const GROUP: Group;

    /// What is wrong with the parameters beyond their types.
    fn validate(&self) -> Vec<ParamProblem> {
        vec![]
    }

    /// What is allowed and seldom meant, such as a strength of 0: reported as a warning.
    fn remarks(&self) -> Vec<ParamProblem> {
        vec![]
    }

    /// Ports and gradient, under these parameters and this wiring.
    fn contract(&self, wiring: &Wiring) -> Contract;

    /// The node itself. Cheap: no weights are made and no files opened here.
    ///
    /// # Errors
    /// What is wrong with the parameters, given what arrives.
    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>>;

    /// What these parameters mean, in lines for `explain`, where they are more than values.
    fn form(&self) -> Option<String> {
        None
    }
}

/// A [`Kind`] with its parameters read, as the framework holds it.
pub trait Node: Send + Sync {
    /// See [`Kind::remarks`].
    fn remarks(&self) -> Vec<ParamProblem>;
    /// See [`Kind::contract`].
    fn contract(&self, wiring: &Wiring) -> Contract;
    /// See [`Kind::build`].
    ///
    /// # Errors
    /// What is wrong with the parameters, given what arrives.
    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>>;
    /// See [`Kind::form`].
    fn form(&self) -> Option<String>;
}

impl<K: Kind> Node for K {
    fn remarks(&self) -> Vec<ParamProblem> {
        Kind::remarks(self)
    }
    fn contract(&self, wiring: &Wiring) -> Contract {
        Kind::contract(self, wiring)
    }
    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Kind::build(self, cx)
    }
    fn form(&self) -> Option<String> {
        Kind::form(self)
    }
}
