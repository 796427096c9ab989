//! Running a checked graph: data side, compute side, phases, views, saved states.

mod checkpoint;
mod data;
mod device;
mod exec;
mod finite;
mod folder;
mod log;
mod memory;
mod optim;
mod peek;
mod progress;
mod rehearsal;
mod session;
mod setup;
mod share;
mod share_key;
mod staging;
mod start;
mod step;
mod stop;
mod train;
mod trial;
mod view;

pub use checkpoint::{Position, State, load};
pub use data::{BadVideo, FeedOptions, draw_key, sample_key};
pub use device::{DeviceMemory, device, device_memory, location, release_device_memory, reset_device_memory};
pub use folder::{RunFolder, cache_folder, write_whole};
pub use memory::{keep_freed_memory, physical_memory};
pub use peek::batch_at;
pub use progress::{Progress, duration};
pub use rehearsal::Rehearsal;
pub use session::{RunOptions, RunResult, run};
pub use setup::{Setup, make_data, set_up};
pub use share_key::{cache_key, cache_keys};
pub use stop::{STOPPED, Section, enter, listen};
pub use train::{NodeTime, PhaseReport};
pub use trial::{Trial, TrialOptions, try_phases};
pub use view::{NodeScores, PortValue, Prediction, ViewCx, ViewResult, run_view};

/// The run was asked to stop, and has saved its state.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;
