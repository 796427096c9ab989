//! Weights from files: PyTorch's `.pth` in both of its formats, and `.safetensors`.
//!
//! [`start`] is the parameter that names a file. [`file`] opens it: [`archive`] and [`pickle`] read what `.pth` is made of
//! without executing it, [`torch`] finds the tensors in it, [`header`] reads safetensors; each tensor is an
//! [`entry`]. [`choose`] finds the network among them ([`names`] maps names), [`load`] checks that it fits, and otherwise
//! reports with [`family`] what the file is.

mod archive;
mod choose;
mod entry;
mod family;
mod file;
pub(super) mod fuzzing;
mod header;
mod load;
mod names;
mod pickle;
mod start;
mod torch;

pub(crate) use load::{examine, load};
pub use start::{Start, StartFile};
