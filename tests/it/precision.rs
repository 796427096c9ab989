//! `precision` on the CPU, which computes only in f32: the same bits, reported once, and recorded in the result.

use crate::common::*;
use std::path::Path;

/// Two steps in this precision.
fn run(out: &Path, more: &[&str]) -> std::process::Output {
    let (full, smoke, out) = (graph("full.toml"), smoke(), out.display().to_string());
    let mut args = vec![&*full, "--setting", &smoke, "--no-share", "--out", &out];
    args.extend(["--set", "run=[\"pretrain\"]", "--set", "phases.pretrain.steps=2"]);
    args.extend(more);
    glad(&args)
}

#[test]
fn the_cpu_says_that_it_computes_in_f32() {
    let dir = tempfile::tempdir().unwrap();
    let (full, half) = (dir.path().join("full"), dir.path().join("half"));
    let printed = run(&full, &[]);
    assert!(printed.status.success());
    assert!(!String::from_utf8_lossy(&printed.stderr).contains("precision"));
    let printed = run(&half, &["--set", "precision=bf16"]);
    assert!(printed.status.success());
    let printed = String::from_utf8_lossy(&printed.stderr).into_owned();
    let lines: Vec<&str> = printed.lines().filter(|l| l.contains("precision")).collect();
    assert_eq!(lines, ["precision: f32, for the CPU has no other (bf16 is for GPUs)"]);

    let read = |run: &Path, file: &str| std::fs::read_to_string(run.join(file)).unwrap();
    assert_eq!(read(&full, "metrics.jsonl"), read(&half, "metrics.jsonl"));
    assert!(read(&half, "graph.toml").contains("\nprecision = \"bf16\"\n"));
    assert!(read(&half, "plan.txt").contains(lines[0]));
    assert!(read(&half, "report.html").contains("Computed in f32 (the graph asks for bf16)"));
    let summary: serde_json::Value = serde_json::from_str(&read(&half, "summary.json")).unwrap();
    assert_eq!(
        summary["precision"],
        serde_json::json!({ "graph": "bf16", "used": ["f32"] })
    );

    // A run keeps its precision.
    let printed = run(&half, &["--resume"]);
    assert_eq!(printed.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&printed.stderr).into_owned();
    assert!(
        printed.ends_with("holds a run in bf16, so it cannot be resumed in f32: add --set precision=bf16\n"),
        "{printed}"
    );
}
