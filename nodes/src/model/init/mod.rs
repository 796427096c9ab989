//! Weights from files: PyTorch's `.pth` in both of its formats, and `.safetensors`.
//!
//! [`pickle`] reads the language that `.pth` is written in without doing anything it says; [`torch`] finds the tensors
//! in what was read; [`file`] reads their numbers; [`names`] maps their names; [`load`] puts them together with the
//! weights that a network has.

mod file;
pub mod fuzzing;
mod load;
mod names;
mod pickle;
mod torch;

pub(crate) use load::load;
