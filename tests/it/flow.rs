//! Optical flow of a user's videos: folders of images next to mp4 files, from the lists to a trained run.

use crate::common::*;
use glad_video::write::WriteOptions;
use glad_video::{RgbFrame, png};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// The setting with flow: a folder for each video, and a network.
const SETTING: &str = r#"
extends = "mine.toml"

[params]
flow_interval = 1

[nodes.videos]
modalities    = ["rgb", "flow"]
flow_root     = "flow"
flow_template = ["x_%03d.png", "y_%03d.png"]

[nodes.flow_augment]
kind   = "glad:lib/resize_crop_flip"
short  = "$short"
size   = "$size"
inputs = { clips = "flow_decode.clips" }

[nodes.flow_normalize]
kind   = "normalize"
mean   = [128.0, 128.0]
std    = [128.0, 128.0]
inputs = { clips = "flow_batch.clips" }

[nodes.flow_backbone]
kind        = "tsm"
depth       = "small"
init        = "random"
batch_stats = "joint"
inputs      = { clips = "flow_normalize.clips" }
"#;

/// Eight videos a list, each with the flow of its square: two pixels a frame, to the right or down.
fn data(dir: &Path) {
    own::lists(dir, 8, |folder, class, i| {
        let name = format!("clip_{i}");
        own::square(&folder.join(format!("{name}.mp4")), class, i, WriteOptions::default());
        let list = folder.file_name().unwrap();
        let flow = dir.join("flow").join(list).join(&name);
        fs::create_dir_all(&flow).unwrap();
        for t in 0..19 {
            for (component, axis) in [("x", 0), ("y", 1)] {
                let byte = if class == axis { 141 } else { 128 };
                let image = RgbFrame::new(48, 40, vec![byte; 48 * 40 * 3]).unwrap();
                fs::write(flow.join(format!("{component}_{t:03}.png")), png(&image).unwrap()).unwrap();
            }
        }
        format!("{name}.mp4")
    });
    own::setting(dir);
    fs::write(dir.join("flow.toml"), SETTING).unwrap();
}

fn glad_in(dir: &Path, args: &[&str]) -> Output {
    let mut c = command(args);
    c.current_dir(dir).env("GLAD_CACHE", dir.join("cache"));
    c.output().expect("the program starts")
}

fn printed(out: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )
}

/// A command on MM-SADA with the setting, in few and small steps.
fn on_flow(dir: &Path, command: &[&str], more: &[&str]) -> Output {
    let graph = graph("methods/mm_sada.toml");
    let mut args = command.to_vec();
    args.extend([graph.as_str(), "--setting", "flow.toml"]);
    for set in [
        "phases.warmup.epochs=1",
        "phases.main.epochs=1",
        "phases.warmup.batch=4",
        "phases.main.batch=4",
        "dims.T=2",
        "params.short=36",
        "params.size=32",
    ] {
        args.extend(["--set", set]);
    }
    args.extend(more);
    glad_in(dir, &args)
}

fn flow_of(dir: &Path, video: &str) -> PathBuf {
    dir.join("flow").join(video)
}

#[test]
fn flow_is_trained_on_and_held_to_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    let out = on_flow(dir.path(), &["lint"], &[]);
    assert!(out.status.success(), "{}", printed(&out));
    let out = on_flow(dir.path(), &[], &["--out", "run"]);
    assert!(out.status.success(), "{}", printed(&out));

    // One file of a new video below the folder of the lists, with its flow.
    let out = glad_in(dir.path(), &["predict", "--run", "run", "data/target_test/clip_1.mp4"]);
    assert!(out.status.success(), "{}", printed(&out));

    // Another image of flow is other data.
    let image = flow_of(dir.path(), "source_train/clip_3/y_004.png");
    let other = RgbFrame::new(48, 40, (0..48 * 40).flat_map(|i| [(i % 251) as u8; 3]).collect()).unwrap();
    fs::write(&image, png(&other).unwrap()).unwrap();
    let out = on_flow(dir.path(), &[], &["--out", "run", "--resume"]);
    let text = printed(&out);
    assert!(!out.status.success() && text.contains("source_train.txt"), "{text}");
}

#[test]
fn missing_flow_is_a_missing_video() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    for i in [2, 5] {
        fs::remove_dir_all(flow_of(dir.path(), &format!("target_test/clip_{i}"))).unwrap();
    }
    let out = on_flow(dir.path(), &[], &["--out", "run"]);
    let text = printed(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(
        text.contains("2 of the 8 videos of the list data/target_test.txt") && text.contains("flow/target_test/clip_2"),
        "{text}"
    );
    let out = on_flow(dir.path(), &["lint"], &[]);
    let text = printed(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("flow/target_test/clip_5 is not there"), "{text}");
    // One component alone, and an image that is cut off.
    fs::remove_file(flow_of(dir.path(), "source_train/clip_1/y_018.png")).unwrap();
    fs::write(
        flow_of(dir.path(), "source_train/clip_2/x_003.png"),
        b"\x89PNG\r\n\x1a\n",
    )
    .unwrap();
    let text = printed(&on_flow(dir.path(), &["lint"], &[]));
    assert!(text.contains("its flow has 19 images across and 18 down"), "{text}");
    assert!(text.contains("x_003.png"), "{text}");
    let text = printed(&on_flow(dir.path(), &["check"], &["--files"]));
    assert!(text.contains("its flow has 19 images across and 18 down"), "{text}");
}

#[test]
fn frames_shows_pictures_alone() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    let video = "data/source_test/clip_0.mp4";
    let args = |node| {
        let graph = graph("methods/mm_sada.toml");
        let graph = ["--graph", &graph, "--setting", "flow.toml", "--node", node].map(String::from);
        [
            vec!["frames".to_string(), video.into(), "--out".into(), "look".into()],
            graph.to_vec(),
        ]
        .concat()
    };
    let run = |node| {
        let args = args(node);
        glad_in(dir.path(), &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let out = run("flow_window");
    assert_eq!(out.status.code(), Some(2), "{}", printed(&out));
    assert!(
        printed(&out).contains("`flow_window` names images of optical flow"),
        "{}",
        printed(&out)
    );
    let out = run("global");
    assert!(out.status.success(), "{}", printed(&out));
}
