//! Phases that runs share: one that another run has trained in just the same way is taken from there, with its log.

use super::checkpoint::{self, Position, State};
use super::folder::write_whole;
use super::log::{Log, Row, row};
use anyhow::{Context, Result, ensure};
use candle_core::Device;
use glad_nodes::WeightStore;
use std::path::{Path, PathBuf};

/// The phases that are kept, by key.
pub(super) struct Shared {
    folder: Option<PathBuf>,
}

/// What is kept of a phase.
pub(super) enum Kept {
    /// Nothing.
    Nothing,
    /// Files that are not as they were written: why.
    Damaged(String),
    /// The state after it, and the lines of its log.
    Phase(Box<State>, String),
}

impl Shared {
    /// Below `cache`.
    pub(super) fn new(cache: Option<&Path>) -> Shared {
        Shared {
            folder: cache.map(|c| c.join("phases")),
        }
    }

    /// The state after the phase, and the lines of its log, if some run has left them.
    pub(super) fn find(&self, key: &str, device: &Device) -> Kept {
        let Some(folder) = self.folder.as_deref() else {
            return Kept::Nothing;
        };
        let path = state_of(folder, key);
        if !path.exists() {
            return Kept::Nothing;
        }
        let read = || -> Result<(State, String)> {
            let state = checkpoint::load(&path, device)?;
            ensure!(
                state.position.graph == key,
                "{} holds the weights of another phase",
                path.display()
            );
            let at = log_of(folder, key);
            let log = glad_video::read_text(&at).with_context(|| format!("cannot read {}", at.display()))?;
            ensure!(
                blake3::hash(log.as_bytes()).to_hex().as_str() == state.position.metrics_hash,
                "{} is damaged: its bytes are not those that were written",
                at.display()
            );
            Ok((state, log))
        };
        match read() {
            Ok((state, log)) => Kept::Phase(Box::new(state), log),
            Err(e) => Kept::Damaged(format!("{e:#}")),
        }
    }

    /// Keeps the state after a phase. The log goes first: a state is only found with its log.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn keep(&self, key: &str, store: &WeightStore, log: &str) -> Result<()> {
        let folder = self.folder.as_deref();
        let folder = folder.context("neither GLAD_CACHE nor a home folder is set")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        write_whole(&log_of(folder, key), log.as_bytes())?;
        let position = Position {
            format: Position::FORMAT,
            graph: key.to_owned(),
            metrics_bytes: log.len() as u64,
            metrics_hash: blake3::hash(log.as_bytes()).to_hex().to_string(),
            ..Position::default()
        };
        checkpoint::save(&state_of(folder, key), &position, store, None, None)
    }
}

fn state_of(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.safetensors"))
}

fn log_of(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.jsonl"))
}

/// The lines of a phase in a run's log.
///
/// # Errors
/// The log cannot be read.
pub(super) fn lines_of(metrics: &Path, phase: &str) -> Result<String> {
    let text = glad_video::read_text(metrics).with_context(|| format!("cannot read {}", metrics.display()))?;
    let of_phase = |line: &&str| {
        serde_json::from_str::<serde_json::Value>(line).is_ok_and(|v| v["phase"] == phase && v.get("view").is_none())
    };
    Ok(text.lines().filter(of_phase).flat_map(|l| [l, "\n"]).collect())
}

/// Writes the lines of a shared phase into a run's log.
///
/// # Errors
/// The log cannot be written.
pub(super) fn replay(lines: &str, phase: &str, log: &mut Log) -> Result<()> {
    for line in lines.lines() {
        let Row { head, values } = row(line)?;
        let at = head.get("step").and_then(|s| s.as_u64()).unwrap_or(0);
        log.write(head, phase, at, &values)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let shared = Shared::new(Some(dir.path()));
        let folder = dir.path().join("phases");
        let (state, log_at) = (|key: &str| state_of(&folder, key), |key: &str| log_of(&folder, key));
        assert!(matches!(Shared::new(None).find("k", &Device::Cpu), Kept::Nothing));
        let find = |key: &str| shared.find(key, &Device::Cpu);
        assert!(matches!(find("k"), Kept::Nothing));
        let log = "{\"phase\":\"main\",\"step\":0,\"ce\":0.5}\n";
        shared.keep("k", &WeightStore::default(), log).unwrap();
        assert!(matches!(find("k"), Kept::Phase(_, text) if text == log));
        for damaged in ["", &log[..9], &log.replace("0.5", "0.6")] {
            std::fs::write(log_at("k"), damaged).unwrap();
            let Kept::Damaged(why) = find("k") else {
                panic!("{damaged}")
            };
            assert!(why.contains("k.jsonl is damaged"), "{why}");
        }
        std::fs::remove_file(log_at("k")).unwrap();
        assert!(matches!(find("k"), Kept::Damaged(why) if why.contains("k.jsonl")));
        // Taken for another phase's.
        shared.keep("k", &WeightStore::default(), log).unwrap();
        std::fs::rename(state("k"), state("l")).unwrap();
        std::fs::rename(log_at("k"), log_at("l")).unwrap();
        assert!(matches!(find("l"), Kept::Damaged(why) if why.contains("of another phase")));
        std::fs::write(state("l"), "x").unwrap();
        assert!(matches!(find("l"), Kept::Damaged(why) if why.contains("l.safetensors")));
    }
}
