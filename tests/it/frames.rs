//! `glad-run frames`: pictures that are the video's frames, and what a sampler picks.

use crate::common::*;
use glad_video::write::VideoWriter;
use glad_video::{OpenOptions, Template, Video};
use std::path::Path;

/// 30 frames of 96 by 64 pixels that differ.
fn video(path: &Path) {
    let mut v = VideoWriter::create(path, 96, 64, 24.0).unwrap();
    for t in 0..30 {
        let pixel = |i: usize| [(i % 96 * 2) as u8, (8 * t) as u8, 120];
        let rgb: Vec<u8> = (0..96 * 64).flat_map(pixel).collect();
        v.push(&rgb).unwrap();
    }
    v.finish().unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|n| n.into_string().unwrap()).collect();
    names.sort();
    names
}

/// Width and height of a PNG.
fn size(path: &Path) -> (u32, u32) {
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x89PNG"));
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn pictures_are_the_frames() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a video.mp4");
    video(&path);
    let file = path.display().to_string();
    let out = dir.path().join("out");
    let to = out.display().to_string();
    let printed = ok(&["frames", &file, "--index", "7,0,21,7", "--out", &to]);
    assert!(printed.contains("30 frames of 96x64; 3 written"), "{printed}");
    assert_eq!(
        names(&out),
        ["a video_00000.png", "a video_00007.png", "a video_00021.png"]
    );
    let frames = Video::open(&path, &OpenOptions::default())
        .unwrap()
        .frames(&[0, 7, 21])
        .unwrap();
    for (i, frame) in [0, 7, 21].into_iter().zip(&frames) {
        let options = OpenOptions {
            template: Template::parse("a video_%05d.png").unwrap(),
            start_index: i,
            frames: Some(1),
            ..OpenOptions::default()
        };
        let read = Video::open(&out, &options).unwrap().frames(&[0]).unwrap();
        assert_eq!(read[0], *frame, "frame {i}");
    }

    // all of them, from a folder of images, too
    let all = dir.path().join("all");
    let to = all.display().to_string();
    ok(&["frames", &file, &file, "--out", &to, "--quiet"]);
    assert_eq!(
        names(&all).len(),
        60,
        "two videos of one name do not write over each other"
    );
    let from_folder = dir.path().join("again");
    let printed = ok(&[
        "frames",
        &to,
        "--template",
        "a video_%05d.png",
        "--index",
        "29",
        "--out",
        &from_folder.display().to_string(),
    ]);
    assert!(printed.contains("30 frames of 96x64"), "{printed}");
    assert_eq!(names(&from_folder), ["all_00029.png"]);
}

#[test]
fn a_sheet_and_what_a_sampler_picks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.mp4");
    video(&path);
    let (file, to) = (path.display().to_string(), dir.path().display().to_string());
    let sheet = dir.path().join("v_sheet.png");
    let printed = ok(&["frames", &file, "--sheet", "--index", "0,1,2,3", "--out", &to]);
    assert!(
        printed.contains("4 on ") && printed.contains("v_sheet.png"),
        "{printed}"
    );
    // two rows of two: 4 pixels between frames of 96 by 64, under each 12 for its number
    assert_eq!(size(&sheet), (4 + 2 * 100, 4 + 2 * (64 + 12 + 4)));
    // The same again is no other; of other frames it is not overwritten.
    ok(&["frames", &file, "--sheet", "--index", "0,1,2,3", "--out", &to]);
    let out = glad(&["frames", &file, "--sheet", "--index", "0,1", "--out", &to]);
    let printed = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.code() == Some(3) && printed.contains("v_sheet.png is there already and is another picture"),
        "{printed}"
    );
    assert_eq!(size(&sheet), (4 + 2 * 100, 4 + 2 * (64 + 12 + 4)));
    std::fs::remove_file(&sheet).unwrap();

    // 2 local clips of 8 frames in the main phase, 3 in the warm-up
    let full = graph("full.toml");
    let picks = |more: &[&str]| {
        let mut args = vec![
            "frames", &file, "--sheet", "--out", &to, "--graph", &full, "--node", "local",
        ];
        args.extend(more);
        ok(&args);
        let size = size(&sheet);
        std::fs::remove_file(&sheet).unwrap();
        size
    };
    assert_eq!(picks(&[]), (4 + 8 * 100, 4 + 2 * 80));
    assert_eq!(picks(&["--in", "warmup"]), (4 + 8 * 100, 4 + 3 * 80));
    assert_eq!(picks(&["--set", "dims.T=4"]), (4 + 4 * 100, 4 + 2 * 80));
}

#[test]
fn what_cannot_be_had_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.mp4");
    video(&path);
    let (file, to) = (path.display().to_string(), dir.path().join("out").display().to_string());
    let failed = |args: &[&str]| {
        let out = glad(args);
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, printed) = failed(&["frames", &file, "--index", "3,30", "--out", &to]);
    assert_eq!(code, Some(3));
    assert!(
        printed.contains("there is no frame 30: the video has 30, 0 to 29"),
        "{printed}"
    );
    // One that is asked for is reported once, and so is the cause.
    assert!(!printed.contains("videos failed"), "{printed}");
    let (code, printed) = failed(&["frames", "no.mp4", "--out", &to]);
    assert_eq!(
        (code, printed.as_str()),
        (
            Some(3),
            "error: no.mp4: cannot read: No such file or directory (os error 2)\n"
        )
    );
    // the others are written
    let (code, printed) = failed(&["frames", "no.mp4", &file, "--index", "3", "--out", &to]);
    assert_eq!(code, Some(3));
    assert!(
        printed.contains("no.mp4") && printed.contains("1 of 2 videos failed"),
        "{printed}"
    );
    assert_eq!(names(Path::new(&to)), ["v_00003.png"]);
    let full = graph("full.toml");
    let sampler = |node: &str| failed(&["frames", &file, "--out", &to, "--graph", &full, "--node", node]);
    assert_eq!(sampler("decode").0, Some(2));
    let (code, printed) = sampler("locl");
    assert_eq!(code, Some(2));
    assert!(printed.contains("did you mean `local`?"), "{printed}");
    assert_eq!(failed(&["frames", &file, "--index", "x", "--out", &to]).0, Some(2));
}

#[test]
fn pictures_of_another_video_stay() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    for (i, folder) in ["a", "b"].into_iter().enumerate() {
        std::fs::create_dir(at(folder)).unwrap();
        own::square(at(&format!("{folder}/x.mp4")).as_ref(), i, 3 * i, Default::default());
    }
    let frames = |video: &str| glad(&["frames", &at(video), "--index", "0,1", "--out", &at("look")]);
    for _ in 0..2 {
        assert!(frames("a/x.mp4").status.success(), "the same pictures again");
    }
    let before = std::fs::read(at("look/x_00000.png")).unwrap();
    let out = frames("b/x.mp4");
    let printed = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.code() == Some(3) && printed.contains("is another picture"),
        "{printed}"
    );
    assert_eq!(std::fs::read(at("look/x_00000.png")).unwrap(), before);
}
