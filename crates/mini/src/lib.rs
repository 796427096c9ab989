//! "Mini Kinetics to BABEL": a procedural data set that fits a CPU core and a minute.
//!
//! Real Kinetics and BABEL cannot be shipped. This substitute has their two gaps: the **source** is
//! long, untrimmed videos of clothed figures in front of textured backgrounds that correlate with the class;
//! the **target** is short, trimmed videos of a grey body over a grey checkerboard. A third,
//! **auxiliary** set of other motions stands for the large data set that backbones are pretrained
//! on. The figure is an articulated side view; the twelve classes differ in how
//! it moves, and some classes differ only in order or tempo.
//!
//! [`generate`] writes H.264 mp4 files and list files. Everything is a pure function of
//! [`MiniConfig`]: each video draws from a random stream keyed by seed, split and index, so the
//! bytes do not depend on threads, on the number of videos or on what else is generated.
//!
//! ```no_run
//! use glad_mini::{MiniConfig, cache_dir, generate};
//!
//! let folder = generate(&cache_dir()?, &MiniConfig::default(), &|_| ())?;
//! assert!(folder.join("target_test.txt").exists());
//! # Ok::<(), glad_mini::MiniError>(())
//! ```
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod auxiliary;
mod background;
mod cache;
mod config;
mod dataset;
mod error;
mod figure;
mod flow;
mod motion;
mod pose;
mod raster;
mod scene;
mod sheet;
mod skeleton;
mod source;
mod split;
mod stream;
mod target;

pub use cache::cache_dir;
pub use config::{MiniConfig, Range};
pub use dataset::{FLOW_FILES, FLOW_FOLDER, GENERATOR_VERSION, Progress, folder, generate, identity, is_complete};
pub use error::MiniError;
pub use motion::Class;
pub use scene::Scene;
pub use sheet::contact_sheet;
pub use split::{Domain, Split};
