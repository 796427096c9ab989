//! How many damaged pictures of H.264 files are decoded without an error: the table in CONFORMANCE.md.
//!
//! ```text
//! concealed FILE.mp4...
//! ```
//!
//! Every kind of damage is applied 100 times to one slice of the original file. It counts the times
//! that any frame is decoded without an error but differs from the intact file's.

use std::ops::ControlFlow;
use std::path::Path;
use std::{env, fs, process};

use glad_video::fuzzing::{Damage, Mutator, slices};
use glad_video::{DecoderChoice, OpenOptions, RgbFrame, Video, VideoError};

const ROUNDS: usize = 100;

fn main() {
    let files: Vec<String> = env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: concealed FILE.mp4...");
        process::exit(2);
    }
    println!("| of {ROUNDS} damaged pictures | {} |", files.join(" | "));
    println!("|---|{}", "---:|".repeat(files.len()));
    for damage in Damage::ALL {
        let counts: Vec<String> = files
            .iter()
            .map(|file| match concealed(Path::new(file), damage) {
                Ok(n) => n.to_string(),
                Err(e) => {
                    eprintln!("{e}");
                    process::exit(1);
                }
            })
            .collect();
        println!("| {damage:?} | {} |", counts.join(" | "));
    }
}

fn concealed(path: &Path, damage: Damage) -> Result<usize, VideoError> {
    let bytes = fs::read(path).unwrap_or_default();
    let slices = slices(path)?;
    let frames = frames(path)?;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let copy = folder.path().join("damaged.mp4");
    let mut dice = Mutator::new(1);
    let mut concealed = 0;
    for _ in 0..ROUNDS {
        let mut bytes = bytes.clone();
        let slice = slices[dice.roll(slices.len())].clone();
        damage.apply(&mut bytes[slice], &mut dice);
        fs::write(&copy, bytes).expect("a temporary file can be written");
        let video = open(&copy)?;
        let all: Vec<usize> = (0..video.frame_count()).collect();
        let mut wrong = 0;
        video.visit(&all, |n, outcome| {
            wrong += usize::from(outcome.is_ok_and(|frame| frame != frames[n]));
            match wrong {
                0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        })?;
        concealed += usize::from(wrong > 0);
    }
    Ok(concealed)
}

fn open(path: &Path) -> Result<Video, VideoError> {
    let options = OpenOptions {
        decoder: DecoderChoice::Rust,
        ..OpenOptions::default()
    };
    Video::open(path, &options)
}

fn frames(path: &Path) -> Result<Vec<RgbFrame>, VideoError> {
    let video = open(path)?;
    video.frames(&(0..video.frame_count()).collect::<Vec<_>>())
}
