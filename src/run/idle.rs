//! Losses that trained nothing: exactly 0 in every step of a phase.

use crate::graph::Graph;
use crate::program::{Program, ValueId};
use anyhow::{Context, Result};
use glad_nodes::Head;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// A line for each term of a phase's objective that was exactly 0 in every step, by the run's log: also of steps before a
/// kill, and of a phase that another run has trained.
///
/// # Errors
/// The log cannot be read.
pub(super) fn idle_losses(program: &Program, graph: &Graph, metrics: &Path) -> Result<Vec<String>> {
    let file = glad_video::open_file(metrics).with_context(|| format!("cannot read {}", metrics.display()))?;
    let phase = &graph.phases[&program.name];
    let weighted = |name: &str| phase.losses.get(name).is_some_and(|l| l.weight.value != 0.0);
    let mut idle: Vec<&str> = program
        .losses
        .iter()
        .map(|l| l.name.as_str())
        .filter(|n| weighted(n))
        .collect();
    let mut steps = 0;
    for line in BufReader::new(file).lines() {
        if idle.is_empty() {
            return Ok(vec![]);
        }
        let line = line.with_context(|| format!("cannot read {}", metrics.display()))?;
        let Ok(row) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if row["phase"] == program.name.as_str() && row.get("view").is_none() {
            steps += 1;
            idle.retain(|name| row[*name].as_f64() == Some(0.0));
        }
    }
    if steps == 0 {
        return Ok(vec![]);
    }
    let masked = |name: &str| {
        let term = program.losses.iter().find(|l| l.name == name);
        term.is_some_and(|t| takes_mask(program, &t.values))
    };
    let line = |name: &&str| {
        let why = match masked(name) {
            true => {
                ": no row counted, as where all videos are too short for clips in a defined order, or no prediction is trusted"
            }
            false => "",
        };
        format!(
            "loss `{name}` was 0 in every step of phase `{}`, and trained nothing{why}",
            program.name
        )
    };
    Ok(idle.iter().map(line).collect())
}

/// Whether a call that makes one of these values leaves rows out.
fn takes_mask(program: &Program, values: &[ValueId]) -> bool {
    let makers = values.iter().map(|v| &program.calls[program.values[v.0].call]);
    let mut inputs = makers.flat_map(|c| &c.inputs).flat_map(|(_, ids)| ids);
    inputs.any(|v| program.values[v.0].ty.head == Head::Mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load_text;

    #[test]
    fn a_loss_that_was_never_above_0_is_reported() {
        let text = "extends = \"full.toml\"\nset.setting = \"settings/smoke.toml\"";
        let graph = load_text("o.toml", text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
        let checked = crate::check::check(&graph, &glad_nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("metrics.jsonl");
        let idle = |phase: &str, lines: &str| {
            std::fs::write(&log, lines).unwrap();
            idle_losses(&checked.phases[phase], &graph, &log).unwrap()
        };
        let zero = "{\"phase\":\"warmup\",\"step\":0,\"tol\":0.0}\n{\"phase\":\"main\",\"step\":0,\"tol\":0.7}\n";
        let reported = "loss `tol` was 0 in every step of phase `warmup`, and trained nothing: no row counted, as where all \
                    videos are too short for clips in a defined order, or no prediction is trusted";
        assert_eq!(idle("warmup", &zero.repeat(3)), [reported]);
        let once = format!("{zero}{{\"phase\":\"warmup\",\"step\":1,\"tol\":1e-9}}\n");
        assert!(idle("warmup", &once).is_empty());
        // A line of a view, and a phase without a step, say nothing.
        let view = "{\"phase\":\"warmup\",\"view\":\"validate\",\"tol\":0.0}\n";
        assert!(idle("warmup", view).is_empty() && idle("warmup", "").is_empty());
        let main = "{\"phase\":\"main\",\"ce\":0.0,\"tol\":0.1,\"align_g\":0.0,\"align_l\":0.2,\"align_x\":0.3}\n";
        let reported = idle("main", main);
        assert_eq!(reported.len(), 2, "{reported:?}");
        assert_eq!(
            reported[0],
            "loss `ce` was 0 in every step of phase `main`, and trained nothing"
        );
    }
}
