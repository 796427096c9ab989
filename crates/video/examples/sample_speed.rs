//! How fast samples are read: frames of a plan, decoded, scaled to a short side of 256 and cropped
//! to 224. `tools/compare/video.py` compares it to other decoders.
//!
//! ```text
//! sample_speed rust|ffmpeg kept|anew THREADS PLAN
//! ```
//!
//! A line of the plan is a path and the frames of one sample, all between tabs. With `kept`, the
//! index of a file is made before the clock starts, as from the second epoch on; with `anew`, once
//! a sample. Prints the seconds that all samples took.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use std::{env, fs, process, thread};

use glad_video::ops::{Filter, centre_crop, resize_short_side};
use glad_video::{DecoderChoice, OpenOptions, Video, VideoError};

struct Sample {
    path: PathBuf,
    frames: Vec<usize>,
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [backend, index, threads, plan] = &arguments[..] else {
        eprintln!("usage: sample_speed rust|ffmpeg kept|anew THREADS PLAN");
        process::exit(2);
    };
    let decoding = if backend == "ffmpeg" {
        DecoderChoice::Ffmpeg
    } else {
        DecoderChoice::Rust
    };
    let threads: usize = threads.parse().expect("THREADS is a number");
    let samples: Vec<Sample> = fs::read_to_string(plan).expect("the plan").lines().map(parse).collect();

    let open = |path: &Path| {
        let options = OpenOptions {
            decoder: decoding,
            ..OpenOptions::default()
        };
        Video::open(path, &options).unwrap_or_else(|e| panic!("{e}"))
    };
    let mut kept = HashMap::new();
    if index == "kept" {
        for s in &samples {
            kept.entry(s.path.clone()).or_insert_with(|| open(&s.path));
        }
    }
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(sample) = samples.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let read = match kept.get(&sample.path) {
                        Some(video) => read(video, sample),
                        None => read(&open(&sample.path), sample),
                    };
                    read.unwrap_or_else(|e| panic!("{e}"));
                }
            });
        }
    });
    println!("{:.4}", start.elapsed().as_secs_f64());
}

fn parse(line: &str) -> Sample {
    let mut words = line.split('\t');
    Sample {
        path: words.next().unwrap_or_default().into(),
        frames: words.map(|w| w.parse().expect("a frame's number")).collect(),
    }
}

fn read(video: &Video, sample: &Sample) -> Result<(), VideoError> {
    let crops = video.frames_with(&sample.frames, |_, frame| {
        let scaled = match frame.width().min(frame.height()) {
            256 => frame,
            _ => resize_short_side(&frame, 256, Filter::Bilinear).expect("a size to scale to"),
        };
        centre_crop(&scaled, 224, 224).expect("a crop inside")
    })?;
    assert_eq!(crops.len(), sample.frames.len());
    Ok(())
}
