//! A whole small run: trained, scored, written; the same bits with any number of threads.

use crate::common::*;
use std::path::Path;

fn train(dir: &Path, extra: &[&str]) -> String {
    let (smoke, full, out) = (smoke(), graph("full.toml"), dir.display().to_string());
    let mut args = vec![
        full.as_str(),
        "--setting",
        smoke.as_str(),
        "--out",
        out.as_str(),
        "--no-share",
    ];
    args.extend(extra);
    ok(&args)
}

#[test]
fn trains_scores_and_writes_everything_down() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let printed = train(&run, &[]);
    assert!(printed.contains("target") && printed.contains("source"), "{printed}");
    assert!(printed.contains("mean class accuracy"), "{printed}");
    for f in [
        "graph.toml",
        "plan.txt",
        "metrics.jsonl",
        "predictions.csv",
        "summary.json",
        "report.html",
    ] {
        assert!(
            run.join(f).metadata().is_ok_and(|m| m.len() > 0),
            "{f} is missing or empty"
        );
    }
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let (starts, rows): (Vec<serde_json::Value>, Vec<serde_json::Value>) = metrics
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .partition(|l: &serde_json::Value| l.get("phase").is_none());
    assert_eq!(starts, [serde_json::json!({ "starts_from": { "backbone": "random" } })]);
    let steps = |phase: &str| rows.iter().filter(|r| r["phase"] == phase).count();
    assert_eq!((steps("pretrain"), steps("warmup"), steps("main")), (60, 10, 12));
    // A warm-up of three steps, on a cosine of twelve; and the losses by their weights.
    for (k, row) in rows.iter().filter(|r| r["phase"] == "main").enumerate() {
        let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name} in {row}"));
        let (k, adv) = (k as f64, number("align_g") + number("align_l") + number("align_x"));
        let lr = 0.05 * ((k + 1.0) / 3.0).min(1.0) * 0.5 * (1.0 + (std::f64::consts::PI * k / 12.0).cos());
        assert!((number("lr") - lr).abs() < 1e-9, "{row}: the rate is {lr}");
        let total = number("ce") + 0.1 * number("tol") + 0.33 * adv;
        assert!((number("loss") - total).abs() < 1e-5, "{row}: the total is {total}");
    }
    // it does learn: pretraining's loss falls by more than a third
    let mean = |rows: &[serde_json::Value]| {
        rows.iter().map(|r| r["auxiliary_ce"].as_f64().unwrap()).sum::<f64>() / rows.len() as f64
    };
    let (first, last) = (mean(&rows[..10]), mean(&rows[50..60]));
    assert!(last < 0.66 * first, "{first} → {last}");
    let predictions = std::fs::read_to_string(run.join("predictions.csv")).unwrap();
    assert_eq!(
        predictions.lines().count(),
        1 + 24 + 24,
        "one row a test video of each stream"
    );

    // the effective graph runs by itself, and is the same experiment
    let again = dir.path().join("again");
    let g = run.join("graph.toml").display().to_string();
    ok(&[g.as_str(), "--out", &again.display().to_string(), "--no-share"]);
    assert_eq!(differing(&run, &again), Vec::<String>::new());

    // and a folder that holds a run is not overwritten
    let out = glad(&[g.as_str(), "--out", &run.display().to_string()]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("--resume"));

    // the finished run predicts other videos, with probabilities and with features
    let run = run.display().to_string();
    let video = some_video().display().to_string();
    let printed = ok(&["predict", "--run", &run, &video]);
    assert!(printed.contains('%') || printed.contains("0."), "{printed}");
    let features = dir.path().join("f.safetensors");
    ok(&[
        "predict",
        "--run",
        &run,
        &video,
        "--port",
        "consensus.y",
        "--out",
        &features.display().to_string(),
    ]);
    let file = std::fs::read(&features).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    assert_eq!(tensors.tensors()[0].1.shape().last(), Some(&64));
    let printed = ok(&["eval", "--run", &run]);
    assert!(printed.contains("mean class accuracy"), "{printed}");
}

fn some_video() -> std::path::PathBuf {
    fn find(dir: &Path) -> Option<std::path::PathBuf> {
        let mut entries: Vec<_> = std::fs::read_dir(dir).ok()?.flatten().map(|e| e.path()).collect();
        entries.sort();
        entries.into_iter().find_map(|p| {
            if p.is_dir() {
                find(&p)
            } else {
                (p.extension()? == "mp4").then_some(p)
            }
        })
    }
    find(&cache()).expect("the data set is in the cache")
}

#[test]
fn workers_and_threads_change_no_bit_and_the_seed_does() {
    let dir = tempfile::tempdir().unwrap();
    let at = |n: &str| dir.path().join(n);
    train(&at("one"), &["--workers", "1", "--threads", "1"]);
    train(&at("four"), &["--workers", "4", "--threads", "3"]);
    assert_eq!(differing(&at("one"), &at("four")), Vec::<String>::new());
    train(&at("seed"), &["--workers", "2", "--seed", "7"]);
    let differ = differing(&at("one"), &at("seed"));
    for f in ["metrics.jsonl", "predictions.csv", "checkpoints/last.safetensors"] {
        assert!(differ.contains(&f.to_string()), "{f} is the same for another seed");
    }
}

#[test]
fn parts_of_a_batch_add_up_and_the_best_state_is_an_oracles() {
    let dir = tempfile::tempdir().unwrap();
    // in parts of two, and chosen by the target's validation labels
    let oracle = [
        "--set",
        "phases.main.validate=validate",
        "--set",
        "select=best",
        "--set",
        "oracle=true",
    ];
    let parts = ["--set", "phases.main.micro_batch=2", "--set", "phases.main.steps=19"];
    let run = dir.path().join("best");
    let printed = train(&run, &[&oracle[..], &parts[..]].concat());
    assert!(printed.contains("oracle"), "{printed}");
    let scores: Vec<f64> = std::fs::read_to_string(run.join("metrics.jsonl"))
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap())
        .filter(|row| row["view"] == "validate")
        .map(|row| row["scores.mean_class_accuracy@target"].as_f64().unwrap())
        .collect();
    assert_eq!(
        scores.len(),
        3,
        "after each of two epochs of nine steps, and at the end"
    );
    let last = std::fs::read(run.join("checkpoints/last.safetensors")).unwrap();
    let best = std::fs::read(run.join("checkpoints/best.safetensors")).unwrap();
    let weights = |bytes: &[u8]| {
        let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
        file.tensor("weight/classify.weight").unwrap().data().to_vec()
    };
    // the first of equal scores is kept: unless the last is the best, the two states differ
    let chosen = scores.iter().fold(f64::MIN, |m, s| m.max(*s));
    assert_eq!(
        weights(&last) == weights(&best),
        scores[..2].iter().all(|s| *s < chosen)
    );

    // whole batches and parts are different steps: batch statistics are those of each part
    let whole = dir.path().join("whole");
    train(&whole, &[&oracle[..], &["--set", "phases.main.steps=19"]].concat());
    assert!(differing(&run, &whole).contains(&"metrics.jsonl".to_string()));
}
