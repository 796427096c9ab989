//! Weights from files: PyTorch's `.pth` in both of its formats, and `.safetensors`; and arrays of features from these and
//! NumPy's files.
//!
//! [`start`] is the parameter that names a file. [`file`] opens it: [`archive`] and [`pickle`] read what `.pth` is made of
//! without executing it, [`torch`] finds the tensors in it, [`header`] reads safetensors; each tensor is an
//! [`entry`]. [`choose`] finds the network among them ([`names`] maps names), [`load`] checks that it fits, and otherwise
//! reports with [`family`] what the file is. [`arrays`] reads rows of arrays, of which [`npy`] and [`numpy`] find those in
//! NumPy's own files and in pickles.

mod archive;
mod arrays;
mod bytes;
mod choose;
mod entry;
mod family;
mod file;
pub(super) mod fuzzing;
mod header;
mod load;
mod names;
mod npy;
mod numpy;
mod pickle;
mod start;
mod torch;

pub(crate) use arrays::{ArrayError, ArrayFile, row_size};
pub(crate) use load::{examine, load};
pub use start::{Start, StartFile};
