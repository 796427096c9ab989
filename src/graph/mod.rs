//! An experiment as plain data: all layers merged, composites expanded, every value with its place.

mod batch;
mod def;
mod epoch;
mod expect;
mod file;
mod loss;
mod optim;
mod refresh;
mod schedule;
mod weights;

pub use batch::Batch;
pub use def::{Graph, LossDef, NodeDef, PhaseDef, Ref, RoundDef, ViewDef, bad_allowed};
pub use epoch::{Epoch, EpochOver};
pub use expect::Expect;
pub use file::{CompositeKeys, Inputs, NodeKeys, Order, PhaseKeys, RoundKeys, Select, TopKeys, ViewKeys, is_node_key};
pub use loss::{LossKeys, Ramp};
pub use optim::{GroupDef, OptimizerDef, OptimizerKind, Update};
pub use refresh::{Often, RefreshDef, RefreshKeys};
pub use schedule::{CosineDef, InverseDef, LinearDef, Over, Per, ScheduleDef, StepDef};
pub use weights::{CopyDef, Ema, WeightsKeys, ema_at, ema_shown};
