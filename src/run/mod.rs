//! Running a checked graph: data side, compute side, phases, views, saved states.

mod bar;
mod begin;
mod changed;
mod checkpoint;
mod content;
mod data;
mod device;
mod exec;
mod finite;
mod folder;
mod idle;
mod inputs;
mod log;
mod memory;
mod optim;
mod peek;
mod phase;
mod progress;
mod record;
mod rehearsal;
mod session;
mod setup;
mod share;
mod share_key;
mod staging;
mod start;
mod step;
mod stop;
#[cfg(test)]
mod tests;
mod train;
mod trial;
mod view;

pub use begin::of_this_run;
pub use checkpoint::{Position, State, load};
pub use content::content_hash;
pub use data::{BadVideo, FeedOptions, draw_key, sample_key};
pub use device::{DeviceMemory, device, device_memory, location, release_device_memory, reset_device_memory};
pub use folder::{Begin, RunFolder, cache_folder, write_whole};
pub use inputs::Inputs;
pub use memory::{keep_freed_memory, physical_memory};
pub use peek::batch_at;
pub use progress::{Progress, duration};
pub use record::RunRecord;
pub use rehearsal::Rehearsal;
pub use session::{RunOptions, RunResult, run};
pub use setup::{Setup, make_data, set_up, set_up_with};
pub use share_key::{cache_key, cache_keys};
pub use stop::{STOPPED, Section, enter, listen};
pub use train::{NodeTime, PhaseReport};
pub use trial::{Trial, TrialOptions, try_phases};
pub use view::{NodeScores, PortValue, Prediction, RECALL, ViewCx, ViewResult, run_view};

/// A run neither began nor went on, and nothing was changed: the folder that it was to use is another's, or holds what does not
/// fit.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// The run was asked to stop, and has saved its state.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;
