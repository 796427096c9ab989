//! Video in and out, in pure Rust.
//!
//! In: exact frames of H.264 files (mp4, mov) and of folders of images, by number, at the cost of
//! the groups of pictures they lie in ([`Video`]); the image operations of a training pipeline on
//! them; backgrounds as medians; annotation lists. Out: small H.264 files ([`write`]).

mod color;
mod decode;
mod error;
mod folder;
mod fragments;
mod frame;
mod h264;
mod index;
mod limits;
mod mp4;
mod nal;
mod orientation;
mod sample_table;
mod sniff;
mod sps;
mod video;
pub mod write;

pub use error::VideoError;
pub use folder::Template;
pub use frame::RgbFrame;
pub use index::VideoIndex;
pub use limits::Limits;
pub use orientation::Orientation;
pub use video::{Backend, OpenOptions, Sink, Video};
