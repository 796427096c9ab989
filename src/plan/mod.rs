//! What runs, in which order, on which side, at what cost: one [`Program`] per phase and view.

mod program;

pub use program::{Call, LossTerm, Program, ProgramKind, Reach, ValueId, ValueInfo};
