//! The README's graph on a person's own mp4 files: lists, a class list, and nothing of the small data set.

mod common;

use common::*;
use glad_video::write::VideoWriter;
use std::fmt::Write as _;
use std::path::Path;

/// A bright square on a dark ground that moves right (class 0) or down (class 1), in files of several sizes.
fn make(path: &Path, class: usize, seed: usize) {
    let (w, h) = [(96, 80), (80, 96), (128, 72)][seed % 3];
    let mut video = VideoWriter::create(path, w, h, 24.0).unwrap();
    for t in 0..20 + seed % 7 {
        let mut rgb = vec![40u8; w * h * 3];
        let at = 4 + 2 * t;
        let (x0, y0) = if class == 0 {
            (at, 20 + seed % 9)
        } else {
            (20 + seed % 9, at)
        };
        for y in y0..(y0 + 16).min(h) {
            for x in x0..(x0 + 16).min(w) {
                rgb[(y * w + x) * 3..][..3].copy_from_slice(&[220, 180, (20 * seed % 200) as u8]);
            }
        }
        video.push(&rgb).unwrap();
    }
    video.finish().unwrap();
}

#[test]
fn trains_on_lists_of_mp4_files() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for (list, labelled) in [
        ("source_train", true),
        ("source_test", true),
        ("target_train", false),
        ("target_test", true),
    ] {
        std::fs::create_dir_all(data.join(list)).unwrap();
        let mut text = String::new();
        for i in 0..8 {
            let name = format!("{list}/clip {i}.mp4");
            make(&data.join(&name), i % 2, i);
            let label = if labelled { ["right", "down"][i % 2] } else { "-" };
            writeln!(text, "{name} {label}").unwrap();
        }
        std::fs::write(data.join(format!("{list}.txt")), text).unwrap();
    }
    std::fs::write(data.join("classes.txt"), "right\ndown\n").unwrap();
    // what the README says: copy the setting, name the lists
    let settings = dir.path().join("settings");
    std::fs::create_dir_all(&settings).unwrap();
    let own = std::fs::read_to_string(repository().join("graphs/settings/own_videos.toml"))
        .unwrap()
        .replace("../lib/", &format!("{}/graphs/lib/", repository().display()));
    std::fs::write(settings.join("mine.toml"), own).unwrap();
    let setting = settings.join("mine.toml").display().to_string();
    let out = dir.path().join("run").display().to_string();
    let short = [
        "--set",
        "phases.warmup.epochs=1",
        "--set",
        "phases.main.epochs=2",
        "--set",
        "phases.warmup.batch=4",
    ];
    let mut args = vec![
        graph("full.toml"),
        "--setting".into(),
        setting,
        "--out".into(),
        out.clone(),
    ];
    args.extend(short.map(String::from));
    let said = ok(&args);
    assert!(
        said.contains("target") && said.lines().filter(|l| l.trim_end().ends_with(" 8")).count() == 2,
        "{said}"
    );
    let predictions = std::fs::read_to_string(format!("{out}/predictions.csv")).unwrap();
    assert!(
        predictions.contains("clip 3.mp4") && predictions.contains("down"),
        "{predictions}"
    );

    // a broken file does not stop training, and is told
    std::fs::write(data.join("target_train/clip 5.mp4"), b"not a video").unwrap();
    let out = dir.path().join("bad").display().to_string();
    args[4] = out.clone();
    args.extend(["--set", "bad_videos=0.2", "--no-share"].map(String::from));
    ok(&args);
    let summary = std::fs::read_to_string(format!("{out}/summary.json")).unwrap();
    assert!(summary.contains("clip 5.mp4"), "{summary}");

    // two of eight are more than a fifth: the run ends and names one
    std::fs::write(data.join("target_train/clip 6.mp4"), b"").unwrap();
    std::fs::write(data.join("target_train/clip 7.mp4"), b"").unwrap();
    args[4] = dir.path().join("worse").display().to_string();
    let failed = glad(&args);
    assert_eq!(failed.status.code(), Some(3));
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(
        said.contains("bad_videos") && said.contains("target_train.txt"),
        "{said}"
    );
}
