//! What runs, in which order, on which side, at what cost: one [`Program`] per phase and view.

mod key;
mod memory;
mod program;
mod table;
mod text;

pub use memory::{Memory, memory, sample_bytes};
pub use program::{Call, LossTerm, Program, ProgramKind, Reach, ValueId, ValueInfo};
pub(crate) use table::{bytes, table};
pub use text::{Target, other_precision, plan_text};
