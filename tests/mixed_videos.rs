//! The README's graph on a folder of many kinds: mp4 and AVI files, webm, folders of images.
//!
//! `apt-get install ffmpeg libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libclang-dev`
#![cfg(feature = "ffmpeg")]

mod common;

use common::*;
use glad_video::write::VideoWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A bright square that moves right (class 0) or down (class 1), as `name` in a folder, and the name in the list.
fn make(folder: &Path, class: usize, seed: usize) -> String {
    let (w, h) = (96, 80);
    let plain = folder.join(format!("{seed}.mp4"));
    let mut video = VideoWriter::create(&plain, w, h, 24.0).unwrap();
    for t in 0..20 + seed {
        let mut rgb = vec![40u8; w * h * 3];
        let (x0, y0) = if class == 0 {
            (4 + 2 * t, 20 + seed)
        } else {
            (20 + seed, 4 + 2 * t)
        };
        for y in y0..(y0 + 16).min(h) {
            for x in x0..(x0 + 16).min(w) {
                rgb[(y * w + x) * 3..][..3].copy_from_slice(&[220, 180, (20 * seed % 200) as u8]);
            }
        }
        video.push(&rgb).unwrap();
    }
    video.finish().unwrap();
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
    let name = match seed % 4 {
        0 => return format!("{seed}.mp4"),
        1 => format!("{seed}.avi"),
        2 => format!("{seed}.webm"),
        _ => format!("{seed}"),
    };
    match seed % 4 {
        1 => coded(&name, "-c:v mpeg4 -bf 2 -q:v 3"),
        2 => coded(&name, "-c:v libvpx-vp9 -b:v 400k"),
        _ => coded(&format!("{name}/img_%05d.jpg"), "-q:v 3"),
    }
    name
}

#[test]
fn trains_on_a_mixed_folder() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for list in ["source_train", "source_test", "target_train", "target_test"] {
        let folder = data.join(list);
        std::fs::create_dir_all(&folder).unwrap();
        let lines: String = (0..8)
            .map(|i| {
                let name = make(&folder, i / 4, i);
                let label = if list == "target_train" {
                    "-"
                } else {
                    ["right", "down"][i / 4]
                };
                format!("{list}/{name} {label}\n")
            })
            .collect();
        std::fs::write(data.join(format!("{list}.txt")), lines).unwrap();
    }
    std::fs::write(data.join("classes.txt"), "right\ndown\n").unwrap();
    let settings = dir.path().join("settings");
    std::fs::create_dir_all(&settings).unwrap();
    let own = std::fs::read_to_string(repository().join("graphs/settings/own_videos.toml"))
        .unwrap()
        .replace("../lib/", &format!("{}/graphs/lib/", repository().display()));
    std::fs::write(settings.join("mine.toml"), own).unwrap();
    let setting = settings.join("mine.toml").display().to_string();
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
    // Every video of both test lists, of whatever kind, has its row.
    let predictions = std::fs::read_to_string(Path::new(&out).join("predictions.csv")).unwrap();
    for list in ["source_test", "target_test"] {
        for i in 0..8 {
            let name = [
                format!("{i}.mp4"),
                format!("{i}.avi"),
                format!("{i}.webm"),
                format!("{i}"),
            ][i % 4]
                .clone();
            let at = format!("{list}/{name}");
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
