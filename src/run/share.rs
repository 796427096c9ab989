//! Phases that runs share: one that another run has trained in just the same way is taken from there, with its log.

use super::checkpoint::{self, Position, State};
use super::folder::write_whole;
use super::log::Log;
use anyhow::{Context, Result};
use candle_core::Device;
use glad_nodes::WeightStore;
use std::path::{Path, PathBuf};

/// The phases that are kept, by key.
pub struct Shared {
    folder: Option<PathBuf>,
}

impl Shared {
    /// Below `cache`.
    pub fn new(cache: Option<&Path>) -> Shared {
        Shared {
            folder: cache.map(|c| c.join("phases")),
        }
    }

    /// The state after the phase, and the lines of its log, if some run has left them.
    pub fn find(&self, key: &str, device: &Device) -> Option<(State, String)> {
        let folder = self.folder.as_deref()?;
        let log = std::fs::read_to_string(log_of(folder, key)).ok()?;
        // A file that cannot be read any more is as good as none: the phase is trained again.
        let state = checkpoint::load(&state_of(folder, key), device).ok()?;
        Some((state, log))
    }

    /// Keeps the state after a phase. The log goes first: a state is only found with its log.
    pub fn keep(&self, key: &str, store: &WeightStore, log: &str) -> Result<()> {
        let folder = self.folder.as_deref();
        let folder = folder.context("neither GLAD_CACHE nor a home folder is set")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        write_whole(&log_of(folder, key), log.as_bytes())?;
        let position = Position {
            format: Position::FORMAT,
            ..Position::default()
        };
        checkpoint::save(&state_of(folder, key), &position, store, None)
    }
}

fn state_of(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.safetensors"))
}

fn log_of(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.jsonl"))
}

/// The lines of a phase in a run's log.
pub fn lines_of(metrics: &Path, phase: &str) -> Result<String> {
    let text = std::fs::read_to_string(metrics).with_context(|| format!("cannot read {}", metrics.display()))?;
    let of_phase = |line: &&str| {
        serde_json::from_str::<serde_json::Value>(line).is_ok_and(|v| v["phase"] == phase && v.get("view").is_none())
    };
    Ok(text.lines().filter(of_phase).flat_map(|l| [l, "\n"]).collect())
}

/// Writes the lines of a shared phase into a run's log.
pub fn replay(lines: &str, phase: &str, log: &mut Log) -> Result<()> {
    for line in lines.lines() {
        let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)?;
        let at = row.get("step").and_then(|s| s.as_u64()).unwrap_or(0);
        let (mut head, mut values) = (serde_json::Map::new(), vec![]);
        for (name, v) in row {
            match v.as_f64() {
                Some(x) if !matches!(name.as_str(), "step" | "epoch") => values.push((name, x)),
                _ => {
                    head.insert(name, v);
                }
            }
        }
        log.write(head, phase, at, &values)?;
    }
    Ok(())
}
