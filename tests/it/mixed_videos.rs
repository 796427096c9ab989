//! The README's graph on videos of several formats: mp4, AVI and webm files, folders of images.
//!
//! `apt-get install ffmpeg libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libclang-dev`
#![cfg(feature = "ffmpeg")]

use crate::common::*;
use glad_video::write::WriteOptions;
use std::path::{Path, PathBuf};
use std::process::Command;

/// mp4 files, AVI files, webm files, folders of images.
fn name(seed: usize) -> String {
    match seed % 4 {
        0 => format!("{seed}.mp4"),
        1 => format!("{seed}.avi"),
        2 => format!("{seed}.webm"),
        _ => format!("{seed}"),
    }
}

/// A moving square in a folder, as a file or folder in one of four formats; its name.
fn make(folder: &Path, class: usize, seed: usize) -> String {
    let plain = folder.join(format!("{seed}.mp4"));
    own::square(&plain, class, seed, WriteOptions::default());
    let coded = |name: &str, arguments: &str| {
        let to: PathBuf = folder.join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let mut made = Command::new("ffmpeg");
        made.args(["-nostdin", "-v", "error", "-i"])
            .arg(&plain)
            .args(arguments.split(' '))
            .arg(&to);
        assert!(made.status().expect("the program `ffmpeg`").success(), "{name}");
        std::fs::remove_file(&plain).unwrap();
    };
    let name = name(seed);
    match seed % 4 {
        0 => {}
        1 => coded(&name, "-c:v mpeg4 -bf 2 -q:v 3"),
        2 => coded(&name, "-c:v libvpx-vp9 -b:v 400k"),
        _ => coded(&format!("{name}/img_%05d.jpg"), "-q:v 3"),
    }
    name
}

#[test]
fn trains_on_a_mixed_folder() {
    let dir = tempfile::tempdir().unwrap();
    own::lists(dir.path(), 8, make);
    let setting = own::setting(dir.path());
    let out = dir.path().join("run").display().to_string();
    let sets = [
        "nodes.videos.start_index=1",
        "phases.warmup.epochs=1",
        "phases.main.epochs=1",
        "phases.warmup.batch=4",
        "bad_videos=0",
    ];
    let mut args = vec![
        graph("full.toml"),
        "--setting".into(),
        setting,
        "--out".into(),
        out.clone(),
    ];
    for set in sets {
        args.extend(["--set".into(), set.into()]);
    }
    ok(&args);
    // Every video of both test lists, in whatever format, has its row.
    let predictions = std::fs::read_to_string(Path::new(&out).join("predictions.csv")).unwrap();
    for list in ["source_test", "target_test"] {
        for i in 0..8 {
            let at = format!("{list}/{}", name(i));
            assert_eq!(
                predictions
                    .lines()
                    .filter(|l| l.split(',').any(|w| w.ends_with(&at)))
                    .count(),
                1,
                "{at}:\n{predictions}"
            );
        }
    }
}

/// A list whose backend does not read all of its files, next to one of the same files whose backend does.
#[test]
fn the_linter_looks_with_the_backend_of_each_list() {
    let dir = tempfile::tempdir().unwrap();
    own::lists(dir.path(), 8, make);
    let data = dir.path().join("data");
    let source = std::fs::read_to_string(data.join("source_test.txt")).unwrap();
    std::fs::write(data.join("target_test.txt"), &source).unwrap();
    let report = dir.path().join("report.md");
    let out = glad(&[
        "lint".into(),
        graph("full.toml"),
        "--setting".into(),
        own::setting(dir.path()),
        "--set".into(),
        "nodes.videos.start_index=1".into(),
        "--set".into(),
        "nodes.videos.source.backend=rust".into(),
        "--out".into(),
        report.display().to_string(),
    ]);
    let printed = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(1), "{printed}");
    // two of eight are AVI files, two webm
    assert!(
        printed.contains(
            "4 videos of 8 of a kind that the backend `rust` does not read (a run ends above 1, by `bad_videos`)"
        ),
        "{printed}"
    );
    assert!(printed.contains("1.avi is an AVI file"), "{printed}");
    assert!(printed.contains("take the backend `ffmpeg`, or `auto`"), "{printed}");
    let report = std::fs::read_to_string(report).unwrap();
    let about_target = report
        .split("\n### ")
        .any(|f| f.contains("(target: ") && f.contains("backend"));
    assert!(!about_target, "{report}");
}
