//! A small run that must learn: bars that move across or down, source and target of different colours. Chance is one half.

use crate::common::*;
use glad_video::write::{VideoWriter, WriteOptions};
use std::path::Path;

const SIZE: usize = 48;

/// A clip of 24 frames: a bar that moves across (class 0) or down (class 1), in the colours of its domain. Its start,
/// speed and length differ from clip to clip.
fn clip(path: &Path, class: usize, i: usize, target: bool) {
    let (ground, bar) = match target {
        true => ([70, 65, 85], [190, 205, 190]),
        false => ([40, 60, 45], [230, 200, 120]),
    };
    let mut video = VideoWriter::create_with(path, SIZE, SIZE, 24.0, WriteOptions::default()).unwrap();
    let (side, from, length) = (4 + 7 * i % 29, 1 + i % 5, 10 + 3 * i % 7);
    for t in 0..24 {
        let at = from + t * (10 + i % 4) / 8;
        let mut rgb: Vec<u8> = ground.repeat(SIZE * SIZE);
        for (a, b) in (at..at + 5).flat_map(|a| (side..side + length).map(move |b| (a, b))) {
            let (x, y) = if class == 0 { (a, b) } else { (b, a) };
            if x < SIZE && y < SIZE {
                rgb[(y * SIZE + x) * 3..][..3].copy_from_slice(&bar);
            }
        }
        video.push(&rgb).unwrap();
    }
    video.finish().unwrap();
}

#[test]
fn a_small_run_learns_the_source_and_carries_it_to_the_target() {
    let dir = tempfile::tempdir().unwrap();
    own::lists(dir.path(), 24, |folder, class, i| {
        let name = format!("{i}.mp4");
        clip(
            &folder.join(&name),
            class,
            i,
            folder.ends_with("target_train") || folder.ends_with("target_test"),
        );
        name
    });
    let (setting, out) = (own::setting(dir.path()), dir.path().join("run").display().to_string());
    let mut args = vec![
        graph("full.toml"),
        "--setting".into(),
        setting,
        "--out".into(),
        out.clone(),
        "--no-share".into(),
    ];
    for set in [
        "drop=phases.warmup",
        // The direction of the motion is the class: no mirroring.
        "bypass=augment.flip",
        "dims.T=4",
        "params.local_interval=3",
        "params.order_weight=0.5",
        "params.adv_weight=0.1",
        "nodes.augment.short=36",
        "nodes.augment.size=32",
        "phases.main.epochs=40",
        "phases.main.reset=[]",
        "phases.main.optimizer.lr=0.03",
    ] {
        args.extend(["--set".to_string(), set.into()]);
    }
    ok(&args);
    let text = std::fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    let rows = text
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let rows: Vec<_> = rows.filter(|r| r["phase"] == "main").collect();
    assert_eq!(rows.len(), 120);
    let mean = |rows: &[serde_json::Value], name: &str| {
        rows.iter().map(|r| r[name].as_f64().unwrap()).sum::<f64>() / rows.len() as f64
    };
    // Chance is ln 2: of two classes, of two orders, and of two domains, which should stay indistinguishable.
    for name in ["ce", "tol"] {
        let (begins, ends) = (mean(&rows[..3], name), mean(&rows[108..], name));
        assert!(begins > 0.5 && ends < 0.3, "{name}: {begins} → {ends}");
    }
    for name in ["align_g", "align_l", "align_x"] {
        let ends = mean(&rows[108..], name);
        assert!((0.3..1.2).contains(&ends), "{name}: {ends}");
    }
    let summary = std::fs::read_to_string(dir.path().join("run/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let predictions = std::fs::read_to_string(dir.path().join("run/predictions.csv")).unwrap();
    for stream in ["source", "target"] {
        let of_stream = || predictions.lines().filter(|l| l.starts_with(stream));
        let right = of_stream().filter(|l| l.split(',').nth(4) == Some("true")).count();
        assert_eq!(of_stream().count(), 24);
        assert!(right >= 21, "{stream}: {right} of 24\n{summary:#}\n{predictions}");
    }
}
