//! Reading and writing video in pure Rust.
//!
//! In: exact frames of H.264 files (mp4, mov) and of folders of images, by number, at the cost of decoding
//! their groups of pictures ([`Video`]); the image operations of a training pipeline on
//! them ([`ops`], [`MultiScaleCrop`]); backgrounds as medians ([`background`]); annotation lists
//! ([`lists`]). Out: small H.264 files ([`mod@write`]).

mod access;
mod bits;
mod boxes;
mod checksum;
mod color;
mod crops;
mod decode;
mod decoder_choice;
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
mod jpeg;
mod limits;
pub mod lists;
mod median;
mod mp4;
mod nal;
pub mod ops;
mod options;
mod orientation;
mod parameter_sets;
mod picture;
mod regular;
mod sample_table;
mod sheet;
mod slice_header;
mod sniff;
mod source;
mod sps;
mod template;
mod verify;
mod video;
mod watch;
pub mod write;

pub use checksum::Checksum;
pub use crops::{CropBox, MultiScaleCrop};
pub use decoder_choice::{DecoderChoice, decoders};
pub use error::VideoError;
pub use folder::{first_number, likely_template};
pub use frame::{ImageError, RgbFrame};
pub use index::VideoIndex;
pub use limits::Limits;
pub use median::{BackgroundOptions, EvenMedian, Median, background, background_frames};
pub use options::{Numbering, OpenOptions};
pub use orientation::Orientation;
pub use regular::{may_be_written, open_file, read_bytes, read_text};
pub use sheet::{Cell, contact_sheet, png};
pub use source::{Backend, Sink};
pub use template::Template;
pub use video::Video;
pub use watch::Watch;
