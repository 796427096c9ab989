//! Node kinds and the list of them.

use super::compute::{Compute, Metric};
use super::dim::DimScope;
use super::host::{Resource, Source, Stage};
use super::port::{Contract, Wiring};
use super::types::Type;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

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

/// Something wrong with a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamProblem {
    /// Which: `schedule.kind`; empty for the node as a whole.
    pub path: String,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ParamProblem {
    /// A problem without further help.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        ParamProblem {
            path: path.into(),
            message: message.into(),
            help: None,
        }
    }

    /// With what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
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
    /// Stacks samples into batches on the device; the scheduler does it.
    Boundary,
    /// Works on a batch.
    Compute(Box<dyn Compute>),
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
    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>>;
}

/// A [`Kind`] with its parameters read, as the framework holds it.
pub trait Node: Send + Sync {
    /// See [`Kind::remarks`].
    fn remarks(&self) -> Vec<ParamProblem>;
    /// See [`Kind::contract`].
    fn contract(&self, wiring: &Wiring) -> Contract;
    /// See [`Kind::build`].
    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>>;
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
}

type Parse = fn(&Value) -> Result<Arc<dyn Node>, Vec<ParamProblem>>;

/// An entry of the [`Registry`].
#[derive(Clone)]
pub struct KindEntry {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub group: Group,
    /// JSON schema of its parameters, with their docs.
    pub schema: Value,
    parse: Parse,
}

impl KindEntry {
    /// The entry of `K`.
    pub fn of<K: Kind>() -> KindEntry {
        KindEntry {
            name: K::NAME,
            group: K::GROUP,
            schema: schemars::schema_for!(K).to_value(),
            parse: super::params::parse::<K>,
        }
    }

    /// Its docs: the rustdoc of the parameter struct.
    pub fn doc(&self) -> &str {
        self.schema["description"].as_str().unwrap_or("")
    }

    /// Names of its parameters.
    pub fn params(&self) -> Vec<&str> {
        self.schema["properties"]
            .as_object()
            .map(|o| o.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    /// A node with these parameters (a JSON object without `kind`, `inputs` and the framework's own keys), or all
    /// that is wrong with them.
    pub fn parse(&self, params: &Value) -> Result<Arc<dyn Node>, Vec<ParamProblem>> {
        (self.parse)(params)
    }
}

/// All kinds that graphs may use, by name.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: IndexMap<&'static str, KindEntry>,
}

impl Registry {
    /// Adds a kind. A name that is taken is a mistake in code and panics.
    pub fn add<K: Kind>(&mut self) -> &mut Self {
        let old = self.kinds.insert(K::NAME, KindEntry::of::<K>());
        assert!(old.is_none(), "node kind `{}` is registered twice", K::NAME);
        self
    }

    /// A kind.
    pub fn get(&self, name: &str) -> Option<&KindEntry> {
        self.kinds.get(name)
    }

    /// All kinds, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &KindEntry> {
        self.kinds.values()
    }
}
