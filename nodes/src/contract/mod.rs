//! The contract of a node: ports and types, parameters, weights, randomness, and the traits that a kind implements.
//!
//! Start with [`Kind`]; a whole kind in one screen is `examples/custom-node`.

mod compute;
mod dim;
mod host;
mod kind;
mod lint;
mod params;
mod port;
mod precision;
mod rng;
mod types;
mod weights;

pub use compute::{Compute, Cost, Distribution, Metric, Saved, Scores, Step, Tally};
pub use dim::{DimError, DimExpr, DimScope, Size};
pub use host::{
    Args, Clips, Fatal, Footage, Frame, FrameIndex, HostValue, ImageBank, ImagesStamp, PrepareCx, Resource, SampleCx, Source, Stage,
    Video,
};
pub use kind::{Body, BuildCx, Group, Kind, KindEntry, Node, ParamProblem, Registry};
pub use lint::{Defect, ListScan, Malformed, Stated};
pub use params::Count;
pub use port::{Arity, Contract, Gradient, Input, Output, Side, Wiring};
pub use precision::Precision;
pub use rng::{Draw, Key};
pub use types::{Bindings, HeadExpr, Misfit, Type, TypeExpr};
pub use weights::{Init, LoadedWeights, Role, Scope, Weight, WeightSpec, WeightStore};
