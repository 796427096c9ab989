//! An experiment as plain data: all layers merged, composites expanded, every value with its place.

mod def;
mod optim;

pub use def::{Graph, LossDef, NodeDef, PhaseDef, Ref, ViewDef, bad_allowed};
pub use optim::{GroupDef, OptimizerDef, ScheduleDef};
