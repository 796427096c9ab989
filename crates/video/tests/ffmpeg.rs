//! Files of every kind, read through the system's FFmpeg, against the program `ffmpeg`.
//!
//! `apt-get install ffmpeg libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libclang-dev`
#![cfg(feature = "ffmpeg")]

#[path = "../examples/conformance/cases.rs"]
mod cases;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use cases::{CASES, Case, Expect, frames_of_ffmpeg};
use glad_video::{DecoderChoice, OpenOptions, RgbFrame, Video, VideoError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// The files that could be made, and their frames.
struct Made {
    case: &'static Case,
    path: PathBuf,
    truth: Vec<RgbFrame>,
}

static FILES: LazyLock<(tempfile::TempDir, Vec<Made>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let made = CASES
        .iter()
        .filter_map(|case| {
            let path = case.make(folder.path())?;
            // The size comes from the backend; the frames show that it is right.
            let (width, height) = open(&path, DecoderChoice::Ffmpeg)
                .map(|v| (v.width(), v.height()))
                .unwrap();
            let truth = frames_of_ffmpeg(&path)
                .chunks(width * height * 3)
                .map(|f| RgbFrame::new(width, height, f.to_vec()).unwrap())
                .collect();
            Some(Made { case, path, truth })
        })
        .collect();
    (folder, made)
});

fn open(path: &Path, decoding: DecoderChoice) -> Result<Video, VideoError> {
    let options = OpenOptions {
        decoder: decoding,
        ..OpenOptions::default()
    };
    Video::open(path, &options)
}

fn all(video: &Video) -> Vec<usize> {
    (0..video.frame_count()).collect()
}

#[test]
fn every_frame_is_ffmpegs() {
    assert!(
        FILES.1.len() > 40,
        "this ffmpeg makes only {} kinds of files",
        FILES.1.len()
    );
    for Made { case, path, truth } in &FILES.1 {
        let video = open(path, DecoderChoice::Ffmpeg).unwrap();
        assert_eq!(video.frame_count(), truth.len(), "{case}");
        assert!(video.frames(&all(&video)).unwrap() == *truth, "{case}");
    }
}

#[test]
fn the_rust_backend_reads_the_same_or_says_which_reads_it() {
    for Made { case, path, truth } in &FILES.1 {
        match (open(path, DecoderChoice::Rust), case.rust) {
            (Ok(video), Expect::Exact) => assert!(video.frames(&all(&video)).unwrap() == *truth, "{case}"),
            (Err(e @ VideoError::Unsupported { .. }), Expect::Refused) => {
                let text = e.to_string();
                assert!(text.contains("take the backend `ffmpeg`, or `auto`"), "{text}");
            }
            (other, _) => panic!("{case}: {:?}", other.map(|v| v.frame_count())),
        }
    }
}

#[test]
fn any_frames_are_those_of_the_whole() {
    for Made { case, path, truth } in &FILES.1 {
        for decoding in [DecoderChoice::Rust, DecoderChoice::Ffmpeg] {
            let Ok(video) = open(path, decoding) else { continue };
            let mut runner = TestRunner::new(Config {
                cases: 12,
                failure_persistence: None,
                ..Config::default()
            });
            let picks = prop::collection::vec(0..truth.len(), 1..6);
            let outcome = runner.run(&picks, |wanted| {
                let frames = video.frames(&wanted).unwrap();
                prop_assert!(frames.iter().zip(&wanted).all(|(f, &i)| *f == truth[i]));
                Ok(())
            });
            outcome.unwrap_or_else(|e| panic!("{case}, {decoding}: {e}"));
        }
    }
}

#[test]
fn an_index_serves_again() {
    for file in ["mpeg4b.avi", "hevc.ts", "gop.mp4"] {
        let made = FILES.1.iter().find(|m| m.case.file == file).unwrap();
        let options = OpenOptions {
            index: open(&made.path, DecoderChoice::Auto).unwrap().index().cloned(),
            offset: 10,
            frames: Some(20),
            ..OpenOptions::default()
        };
        let video = Video::open(&made.path, &options).unwrap();
        assert_eq!(video.frame_count(), 20);
        assert!(video.frames(&[7]).unwrap()[0] == made.truth[17]);
    }
}

/// Changed bytes are reported if the decoder detects them, and damage nothing outside their group. No
/// decoder detects all: CABAC can decode any bits, so H.264 and above all HEVC can continue
/// with garbage to the end of a picture.
#[test]
fn damage_stays_in_its_group_and_is_reported_where_it_is_noticed() {
    for (file, decoding) in [
        ("gop.mp4", DecoderChoice::Rust),
        ("gop.mp4", DecoderChoice::Ffmpeg),
        ("h264.mkv", DecoderChoice::Ffmpeg),
        ("hevc.mp4", DecoderChoice::Ffmpeg),
        ("mpeg4b.avi", DecoderChoice::Ffmpeg),
        ("mpeg2.ts", DecoderChoice::Ffmpeg),
    ] {
        let (mut wrong, mut reported, mut sound) = (0, 0, 0);
        let made = FILES.1.iter().find(|m| m.case.file == file).unwrap();
        let bytes = fs::read(&made.path).unwrap();
        let path = made.path.with_file_name(format!("damaged-{file}"));
        for k in 0..24 {
            let mut bytes = bytes.clone();
            let at = 3000 + (bytes.len() - 6000) * k / 24;
            bytes[at..at + 40].fill(0xa5);
            fs::write(&path, &bytes).unwrap();
            let Ok(video) = open(&path, decoding) else {
                reported += 1;
                continue;
            };
            if video.frame_count() != made.truth.len() {
                continue;
            }
            let visited = video.visit(&all(&video), |n, frame| {
                match frame {
                    Ok(frame) if frame == made.truth[n] => sound += 1,
                    Ok(_) => wrong += 1,
                    Err(_) => reported += 1,
                }
                ControlFlow::Continue(())
            });
            reported += usize::from(visited.is_err());
        }
        println!("{file}, {decoding}: {wrong} wrong, {reported} reported, {sound} sound");
        assert!(reported > 0, "{file}, {decoding}");
        // Groups have 12 to 15 pictures, and up to three of the next are predicted from them.
        assert!(
            wrong + reported <= 24 * 18,
            "{file}, {decoding}: {wrong} wrong, {reported} reported"
        );
    }
}

#[test]
fn files_cut_short_are_refused_or_keep_what_is_there() {
    for Made { case, path, truth } in &FILES.1 {
        let bytes = fs::read(path).unwrap();
        let cut = path.with_file_name(format!("cut-{}", case.file));
        for share in [0, 1, 5, 9] {
            fs::write(&cut, &bytes[..bytes.len() * share / 10]).unwrap();
            let Ok(video) = open(&cut, DecoderChoice::Ffmpeg) else {
                continue;
            };
            let visited = video.visit(&all(&video), |n, frame| {
                if let Ok(frame) = frame {
                    // The last one may be truncated, in containers that do not state its length.
                    assert!(
                        n + 2 >= video.frame_count() || frame == truth[n],
                        "{}, {share}: {n}",
                        case.file
                    );
                }
                ControlFlow::Continue(())
            });
            let _ = visited;
        }
    }
}

#[test]
fn files_that_name_other_files_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let target = FILES.1[0].path.display().to_string();
    for (name, text) in [
        (
            "list.m3u8",
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n"),
        ),
        ("list.ffconcat", format!("ffconcat version 1.0\nfile '{target}'\n")),
        ("text.avi", "not a video".to_owned()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let e = open(&path, DecoderChoice::Ffmpeg).unwrap_err();
        assert!(matches!(e, VideoError::Malformed { .. }), "{e}");
    }
}
