//! From what was typed to a checked experiment.

use super::args::{GraphArgs, LayerArgs, MachineArgs};
use super::exit::Failure;
use crate::check::check;
use crate::diag::terminal;
use crate::graph::Graph;
use crate::load::{LoadOptions, load};
use crate::program::Checked;
use crate::run::{FeedOptions, device, keep_freed_memory};
use candle_core::Device;
use glad_nodes::Registry;
use std::path::Path;

/// A graph that passed its checks.
pub(super) struct Experiment {
    /// The graph.
    pub graph: Graph,
    /// Its programs.
    pub checked: Checked,
}

/// Loads and checks. Notes are in `checked`.
///
/// # Errors
/// [`Failure::Graph`]: the graph is wrong.
pub(super) fn open(
    graph: &Path,
    layers: &LayerArgs,
    seed: Option<u64>,
    registry: &Registry,
) -> Result<Experiment, Failure> {
    let mut set = layers.set.clone();
    set.extend(seed.map(|s| format!("seed={s}")));
    let options = LoadOptions {
        graph: graph.to_path_buf(),
        setting: layers.setting.clone(),
        with: layers.with.clone(),
        set,
    };
    let graph = load(&options)?;
    let checked = check(&graph, registry)?;
    Ok(Experiment { graph, checked })
}

/// As [`open`], from what a command takes.
///
/// # Errors
/// As [`open`].
pub(super) fn open_args(args: &GraphArgs, seed: Option<u64>, registry: &Registry) -> Result<Experiment, Failure> {
    open(&args.graph, &args.layers, seed, registry)
}

/// The last part of a graph file's name, without `.toml`: of `graphs/full.toml`, `full` and `glad:full` it is `full`.
pub(super) fn stem(graph: &Path) -> String {
    let stem = graph.file_stem().map_or("run".into(), |s| s.to_string_lossy());
    stem.strip_prefix("glad:").unwrap_or(&stem).to_string()
}

/// Threads and device.
pub(super) struct Machine {
    /// Data side.
    pub feed: FeedOptions,
    /// Compute side.
    pub device: Device,
}

/// Samples in flight for each worker: enough to ride out a slow video, few enough to bound the memory.
pub(super) const AHEAD_PER_WORKER: usize = 16;

/// How the data side is run with so many workers (or as many as there are cores).
pub(super) fn feed_options(workers: Option<usize>) -> FeedOptions {
    let workers = workers.unwrap_or_else(cores).max(1);
    FeedOptions {
        workers,
        ahead: workers * AHEAD_PER_WORKER,
    }
}

/// The largest number of threads that compute: beyond a few for each core, steps take minutes.
fn most_threads(cores: usize) -> usize {
    (4 * cores).max(16)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Sets up memory, threads and device.
///
/// # Errors
/// There is no such device, or the system allows fewer threads.
pub(super) fn machine(args: &MachineArgs) -> Result<Machine, Failure> {
    keep_freed_memory();
    threads(args.threads, args.quiet)?;
    Ok(Machine {
        feed: feed_options(args.workers),
        device: device(&args.device).map_err(|e| Failure::Usage(format!("{e:#}")))?,
    })
}

/// Sets up so many threads (or as many as there are cores), or as many as can still be of use, which is reported unless
/// `quiet`.
///
/// # Errors
/// The system allows fewer threads.
pub(super) fn threads(asked: Option<usize>, quiet: bool) -> Result<(), Failure> {
    let cores = cores();
    let asked = asked.unwrap_or(cores).max(1);
    let threads = asked.min(most_threads(cores));
    if threads < asked && !quiet {
        terminal::err(&format!(
            "{threads} threads compute instead of {asked}: with so many more than there are cores ({cores}) they mostly wait \
             for one another; the results are the same"
        ));
    }
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
        Err(e) if std::error::Error::source(&e).is_some() => {
            let advice = "the system allows fewer: name a number with --threads";
            Err(anyhow::Error::new(e)
                .context(format!("cannot start {threads} threads ({advice})"))
                .into())
        }
        // Any other error means that the pool is there already (made by a program that uses this as a library): then it counts.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_a_few_for_each_core() {
        assert_eq!([1, 2, 4, 64].map(most_threads), [16, 16, 16, 256]);
    }
}
