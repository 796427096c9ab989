//! Video in and out, in pure Rust.
//!
//! In: exact frames of H.264 files (mp4, mov) and of folders of images, by number, at the cost of
//! the groups of pictures they lie in ([`Video`]); the image operations of a training pipeline on
//! them ([`ops`], [`MultiScaleCrop`]); backgrounds as medians ([`background`]); annotation lists
//! ([`lists`]). Out: small H.264 files ([`mod@write`]).

mod access;
mod backend;
mod color;
mod crops;
mod decode;
mod error;
#[cfg(feature = "ffmpeg")]
mod ffmpeg;
mod folder;
mod fragments;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod h264;
mod index;
mod limits;
pub mod lists;
mod median;
mod mp4;
mod nal;
pub mod ops;
mod orientation;
mod parameter_sets;
mod sample_table;
mod sheet;
mod sniff;
mod sps;
mod video;
mod watch;
pub mod write;

pub use backend::{Decoding, decoders};
pub use crops::{CropBox, MultiScaleCrop};
pub use error::VideoError;
pub use folder::Template;
pub use frame::{ImageError, RgbFrame};
pub use index::VideoIndex;
pub use limits::Limits;
pub use median::{BackgroundOptions, EvenMedian, Median, background, background_frames};
pub use orientation::Orientation;
pub use sheet::{Cell, contact_sheet, png};
pub use video::{Backend, OpenOptions, Sink, Video};
pub use watch::Watch;
