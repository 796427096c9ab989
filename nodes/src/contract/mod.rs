//! The contract of a node: ports and types, parameters, weights, randomness, and the traits that a kind implements.
//!
//! Start with [`Kind`]; a whole kind in one screen is `examples/custom-node`.

mod autodiff;
mod compute;
mod defect;
mod dim;
mod error;
mod footage;
mod head;
mod host;
mod kind;
mod lint;
mod params;
mod parse;
mod port;
mod precision;
mod problem;
mod registry;
mod rng;
mod saved;
mod schedule;
mod types;
mod weights;

pub use autodiff::{Autodiff, Differentiable, Tracked};
pub use compute::{Compute, Cost, Distribution, Metric, OverList, Saved, Scores, StartsFrom, Step, Tally};
pub use defect::{Clue, Defect, Stated};
pub use dim::{DimError, DimExpr, DimScope, Size};
pub use error::{DataError, SourceError};
pub use footage::{Footage, Frame, ImagesStamp, Origin, Video};
pub use head::Head;
pub use host::{
    Args, Clips, FLOW, Features, FrameIndex, HostValue, ImageBank, PrepareCx, RGB, Resource, SampleCx, Source, Stage,
};
pub use kind::{Body, BuildCx, Group, Kind, Node};
pub use lint::{FileFault, ListScan, Listing, Malformed};
pub use params::Count;
pub use port::{Arity, Contract, Gradient, Input, Output, Side, Wiring};
pub use precision::Precision;
pub use problem::ParamProblem;
pub use registry::{KindEntry, Registry};
pub use rng::{Draw, Key};
pub use saved::{arrived, kept};
pub use schedule::{Change, Schedule, Scheduled};
pub use types::{Bindings, HeadExpr, Misfit, Type, TypeExpr};
pub use weights::{Init, LoadedWeights, Role, Scope, Weight, WeightSpec, WeightStore};
