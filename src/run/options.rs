//! How a graph is run.

use super::data::FeedOptions;
use super::folder::Begin;
use candle_core::Device;
use std::path::PathBuf;
use std::time::Duration;

/// How a graph is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The run's folder.
    pub out: PathBuf,
    /// Whether a run begins in `out`, or goes on there.
    pub begin: Begin,
    /// The run's seed.
    pub seed: u64,
    /// Data side.
    pub feed: FeedOptions,
    /// Where tensors live.
    pub device: Device,
    /// Where results that runs share are kept; `None` where there is no such folder, and in a run that shares nothing.
    pub cache: Option<PathBuf>,
    /// Seconds between saved states.
    pub save_every: Duration,
    /// Steps between saved states, besides.
    pub save_steps: Option<u64>,
    /// Whether a phase that another run has trained in just the same way is taken from there.
    pub share: bool,
    /// Whether nodes record work of a GPU that repeats (CUDA graphs). The results are the same.
    pub record: bool,
}
