//! Teachers: networks whose weights are an average of another's, in whole runs.
#![cfg(unix)]

use crate::common::*;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

fn args(out: &Path, more: &[&str]) -> Vec<String> {
    let own = ["--setting", &smoke(), "--no-share", "--quiet", "--save-every", "2"].map(String::from);
    let mut v = vec![
        graph("methods/mean_teacher.toml"),
        "--out".into(),
        out.display().to_string(),
    ];
    v.extend(own);
    for set in [
        "phases.pretrain.steps=3",
        "phases.main.steps=6",
        "phases.main.optimizer.warmup_steps=1",
    ] {
        v.extend(["--set".into(), set.into()]);
    }
    v.extend(["--set".into(), "phases.pretrain.optimizer.warmup_steps=1".into()]);
    v.extend(more.iter().map(|m| m.to_string()));
    v
}

/// The numbers of a saved state below a node.
fn below(run: &Path, node: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = std::fs::read(run.join("checkpoints/last.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |data: &[u8]| {
        let each = data.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap()));
        each.collect::<Vec<_>>()
    };
    let tensors = file.tensors();
    let of_node = tensors.iter().filter_map(|(name, t)| {
        let name = name.strip_prefix("weight/")?.strip_prefix(node)?.strip_prefix('.')?;
        Some((name.to_string(), numbers(t.data())))
    });
    of_node.collect()
}

fn lines(run: &Path) -> usize {
    std::fs::read_to_string(run.join("metrics.jsonl"))
        .map_or(0, |t| t.lines().filter(|l| l.contains("\"main\"")).count())
}

#[test]
fn a_teacher_is_saved_resumed_and_scored() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    ok(&args(&whole, &[]));
    // Its statistics are the student's, and its weights lag behind them.
    let (student, teacher) = (below(&whole, "backbone"), below(&whole, "teacher"));
    assert!(student.len() > 20 && student.keys().eq(teacher.keys()));
    for (name, value) in &student {
        let same = *value == teacher[name];
        assert_eq!(same, name.contains("running_"), "{name}");
        if !same {
            let square = |v: f32| f64::from(v) * f64::from(v);
            let apart: f64 = value.iter().zip(&teacher[name]).map(|(a, b)| square(a - b)).sum();
            let size: f64 = value.iter().map(|a| square(*a)).sum();
            assert!(apart < size.max(1e-6), "{name}: {apart} of {size}");
        }
    }
    // Killed in the main phase, and resumed with another number of threads.
    let more = ["--threads", "1", "--workers", "1"];
    let mut child = command(&args(&cut, &more)).spawn().unwrap();
    while child.try_wait().unwrap().is_none() && lines(&cut) < 3 {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    ok(&args(&cut, &["--resume"]));
    assert_eq!(differing(&whole, &cut), Vec::<String>::new());
    // The folder is the model: the teacher in it is scored again.
    let scores = |text: String| {
        let lines = text.lines().filter(|l| l.contains("mean class accuracy"));
        lines.map(String::from).collect::<Vec<_>>()
    };
    let again = scores(ok(&["eval", "--run", &whole.display().to_string()]));
    assert!(!again.is_empty());
    assert_eq!(again, scores(ok(&args(&whole, &["--resume"]))));
}
