//! `graphs/prepare.toml` on a user's videos: killed at several moments, it ends with the same files; the new lists
//! train; a broken video is left out and reported.
#![cfg(unix)]

use crate::common::*;
use glad_video::write::WriteOptions;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A setting with lists of six videos each, every one with a single key frame.
fn data(dir: &Path) -> String {
    own::lists(dir, 6, |folder, class, i| {
        let name = format!("clip {i}.mp4");
        let options = WriteOptions {
            gop: 250,
            ..WriteOptions::default()
        };
        own::square(&folder.join(&name), class, i, options);
        name
    });
    own::setting(dir)
}

fn args(setting: &str, prepared: &Path, out: &Path) -> Vec<String> {
    vec![
        graph("prepare.toml"),
        "--setting".into(),
        setting.into(),
        "--set".into(),
        format!("nodes.prepared.out={}", prepared.display()),
        "--set".into(),
        "nodes.prepared.short=64".into(),
        "--out".into(),
        out.display().to_string(),
    ]
}

/// All files below a folder, with their bytes.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(root).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            // A file that is being written may be gone by now.
            found.extend(std::fs::read(&path).ok().map(|bytes| (path, bytes)));
        }
    }
    found
}

fn below(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let inside = |(p, b): (PathBuf, Vec<u8>)| (p.strip_prefix(root).unwrap().to_path_buf(), b);
    files(root).into_iter().map(inside).collect()
}

/// The number of whole videos so far.
fn made(root: &Path) -> usize {
    let whole = |p: &PathBuf| {
        let name = p.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(".mp4") && !name.starts_with('.')
    };
    files(root).keys().filter(|p| whole(p)).count()
}

#[test]
fn killed_at_any_moment_it_goes_on_and_the_lists_train() {
    let dir = tempfile::tempdir().unwrap();
    let setting = data(dir.path());
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let printed = ok(&args(&setting, &whole, &dir.path().join("run")));
    assert!(printed.contains("source_train.txt: 6 videos"), "{printed}");
    assert_eq!(made(&whole), 24);

    let mut kills = 0;
    for (round, until) in [1, 3, 8, 15, 22].into_iter().enumerate() {
        let out = dir.path().join(format!("run-{round}"));
        let mut child = command(&args(&setting, &cut, &out)).spawn().unwrap();
        loop {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            if made(&cut) >= until {
                child.kill().unwrap(); // SIGKILL
                child.wait().unwrap();
                kills += 1;
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert!(kills >= 3, "only {kills} kills came in time");
    ok(&args(&setting, &cut, &dir.path().join("last")));
    let (a, mut b) = (below(&whole), below(&cut));
    // A file that was created and not yet locked when its writer was killed counts as left behind after a minute.
    b.retain(|path, _| !path.file_name().unwrap().to_string_lossy().starts_with(".unlocked-"));
    let names = |m: &BTreeMap<PathBuf, Vec<u8>>| m.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    let differing: Vec<&PathBuf> = a.keys().filter(|k| a[*k] != b[*k]).collect();
    assert_eq!(differing, Vec::<&PathBuf>::new());

    let mut train = vec![graph("full.toml"), "--setting".into(), setting];
    for (stream, split, list) in [
        ("source", "train", "source_train"),
        ("source", "test", "source_test"),
        ("target", "train", "target_train"),
        ("target", "test", "target_test"),
    ] {
        let list = cut.join(format!("{list}.txt"));
        train.extend([
            "--set".into(),
            format!("nodes.videos.{stream}.list.{split}={}", list.display()),
        ]);
    }
    for set in [
        "phases.warmup.epochs=1",
        "phases.main.epochs=1",
        "phases.warmup.batch=4",
    ] {
        train.extend(["--set".into(), set.into()]);
    }
    let trained = dir.path().join("trained");
    train.extend(["--out".into(), trained.display().to_string()]);
    ok(&train);
    let predictions = std::fs::read_to_string(trained.join("predictions.csv")).unwrap();
    assert!(predictions.contains("videos/target_test/clip 3-"), "{predictions}");
}

#[test]
fn broken_videos_are_left_out_or_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let setting = data(dir.path());
    let broken = dir.path().join("data/target_train/clip 5.mp4");
    let bytes = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let new = dir.path().join("new");
    // One of six is within the default limit, rounded up.
    let printed = ok(&args(&setting, &new, &dir.path().join("run")));
    assert!(printed.contains("target_train.txt: 5 videos, 1 left out"), "{printed}");
    let list = std::fs::read_to_string(new.join("target_train.txt")).unwrap();
    assert!(list.contains("# left out: ") && list.contains("clip 5.mp4"), "{list}");

    std::fs::write(dir.path().join("data/target_train/clip 4.mp4"), b"").unwrap();
    let failed = glad(&args(&setting, &new, &dir.path().join("worse")));
    assert_eq!(failed.status.code(), Some(3));
    let printed = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(
        printed.contains("bad_videos") && printed.contains("target_train.txt"),
        "{printed}"
    );
    // Whole files were kept.
    assert!(made(&new) >= 22);
}
