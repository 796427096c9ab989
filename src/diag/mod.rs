//! Messages: what is wrong, where in which file (both ends of a conflict), and what to do.

mod files;
mod path;
mod problem;
mod render;
mod suggest;
pub mod terminal;
mod text;

pub use files::{FileId, Files, Place, Spanned};
pub(crate) use path::{lexical, shown, simplified};
pub use problem::{Problem, Problems, Severity};
pub use render::render;
pub use suggest::{did_you_mean, suggest};
pub use text::{indented, one_line, printable};
