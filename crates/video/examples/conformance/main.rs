//! A table of each backend's result for each kind of file, compared to the program `ffmpeg`:
//!
//! ```text
//! cargo run --release -p glad-video --features ffmpeg --example conformance
//! ```
//!
//! which is the first part of CONFORMANCE.md; the example `concealed` measures the second part.
//!
//! With paths after `--`, the results for these files.

mod cases;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use cases::{CASES, Expect, frames_of_ffmpeg};
use glad_video::{DecoderChoice, OpenOptions, RgbFrame, Video, VideoError};

fn main() {
    let paths: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        table();
    }
    for path in paths {
        let truth = frames_of_ffmpeg(&path);
        let [rust, ffmpeg] = [DecoderChoice::Rust, DecoderChoice::Ffmpeg].map(|d| judge(&path, d, &truth));
        println!("{}: rust: {rust}; ffmpeg: {ffmpeg}", path.display());
    }
}

/// The table of all cases; exits with 1 if one differs from the expectation.
fn table() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!("# What each backend reads\n");
    println!(
        "Made by the command at the top of `examples/conformance/main.rs`, with {}.\n",
        version()
    );
    println!(
        "Every file has 50 frames of a test picture with noise (fewer where noted). *Exact*: as many frames as the \
         program `ffmpeg` gives (`-vsync passthrough -pix_fmt rgb24 -sws_flags bilinear`), each the same bytes, and \
         the same again when frames are asked for one by one and at random. Where frames differ, the peak \
         signal-to-noise ratio and the largest difference of a channel are reported.\n"
    );
    println!("| codec | container | | `rust` | `ffmpeg` |\n|---|---|---|---|---|");
    let (mut left_out, mut unexpected) = (Vec::new(), Vec::new());
    for case in CASES {
        let Some(path) = case.make(folder.path()) else {
            left_out.push(case.file);
            continue;
        };
        let truth = frames_of_ffmpeg(&path);
        let container = case.file.rsplit('.').next().unwrap_or_default();
        let [rust, ffmpeg] = [DecoderChoice::Rust, DecoderChoice::Ffmpeg].map(|d| judge(&path, d, &truth));
        let as_expected = match case.rust {
            Expect::Exact => rust.starts_with("exact"),
            Expect::Refused => rust.starts_with("refused"),
        };
        if !as_expected || !ffmpeg.starts_with("exact") {
            unexpected.push(case);
        }
        println!("| {} | {container} | {} | {rust} | {ffmpeg} |", case.codec, case.what);
    }
    if !left_out.is_empty() {
        println!("\nThis ffmpeg could not make: {}.", left_out.join(", "));
    }
    for case in &unexpected {
        eprintln!("not as it should be: {case}");
    }
    drop(folder);
    process::exit(i32::from(!unexpected.is_empty()));
}

fn version() -> String {
    let output = Command::new("ffmpeg")
        .arg("-version")
        .output()
        .expect("the program `ffmpeg`");
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.split(' ').take(3).collect();
    words.join(" ")
}

/// A backend's result for a file, in a few words.
fn judge(path: &Path, decoding: DecoderChoice, truth: &[u8]) -> String {
    let options = OpenOptions {
        decoder: decoding,
        ..OpenOptions::default()
    };
    match Video::open(path, &options) {
        Ok(video) => match compare(&video, truth) {
            Ok(text) => text,
            Err(e) => format!("error: {e}"),
        },
        Err(VideoError::Unsupported { what, .. }) => format!("refused: {what}"),
        Err(e) => format!("error: {e}"),
    }
}

fn compare(video: &Video, truth: &[u8]) -> Result<String, VideoError> {
    let all: Vec<usize> = (0..video.frame_count()).collect();
    let frames = video.frames(&all)?;
    let want = truth.len() / (video.width() * video.height() * 3);
    if frames.len() != want {
        return Ok(format!("{} frames, not {want}", frames.len()));
    }
    for &n in all.iter().step_by(all.len().div_ceil(50)) {
        // Alone, and with others.
        for wanted in [vec![n], vec![n, n / 2, (n * 7 + 3) % want, want - 1 - n]] {
            if video.frames(&wanted)?[0] != frames[n] {
                return Ok(format!("frame {n} depends on what else is asked for"));
            }
        }
    }
    Ok(difference(&frames, truth))
}

fn difference(frames: &[RgbFrame], truth: &[u8]) -> String {
    let (mut largest, mut squares) = (0u8, 0f64);
    for (got, want) in frames.iter().flat_map(|f| f.data()).zip(truth) {
        largest = largest.max(got.abs_diff(*want));
        squares += f64::from(got.abs_diff(*want)).powi(2);
    }
    if largest == 0 {
        return match frames.len() {
            50 => "exact".to_owned(),
            n => format!("exact, {n} frames"),
        };
    }
    let psnr = 10.0 * (255.0 * 255.0 * truth.len() as f64 / squares).log10();
    format!("{psnr:.1} dB, at most {largest}")
}
