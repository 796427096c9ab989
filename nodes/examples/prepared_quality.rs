//! How near prepared videos are to what they were made from: the PSNR of each frame against the old one, resized.
//!
//! `cargo run --release -p glad-nodes --example prepared_quality -- OLD_LIST NEW_LIST`, where the new list is what
//! `graphs/prepare.toml` made of the old one with nothing left out.

use anyhow::{Result, ensure};
use glad_video::lists::{ListOptions, read_list};
use glad_video::{OpenOptions, Video, ops};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

fn videos(list: &str) -> Result<Vec<Video>> {
    let folder = Path::new(list).parent().unwrap_or(Path::new(""));
    let entries = read_list(Path::new(list), &ListOptions::default())?;
    let open = |path: String| Ok(Video::open(&folder.join(path), &OpenOptions::default())?);
    entries.into_iter().map(|e| open(e.path)).collect()
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    ensure!(args.len() == 2, "usage: prepared_quality OLD_LIST NEW_LIST");
    let (old, new) = (videos(&args[0])?, videos(&args[1])?);
    ensure!(
        old.len() == new.len(),
        "the lists have {} and {} videos",
        old.len(),
        new.len()
    );
    for (old, new) in old.iter().zip(&new) {
        ensure!(
            old.frame_count() == new.frame_count(),
            "{}: frames are missing",
            new.path().display()
        );
        let (mut sum, mut least) = (0.0, f64::INFINITY);
        let mut failure = None;
        let all: Vec<usize> = (0..old.frame_count()).collect();
        old.visit(&all, |number, frame| {
            let compare = || -> Result<f64> {
                let want = ops::resize_exact(&frame?, new.width(), new.height(), ops::Filter::Bilinear)?;
                let got = new.frames(&[number])?.remove(0);
                let off = |(a, b): (&u8, &u8)| (f64::from(*a) - f64::from(*b)).powi(2);
                let squares: f64 = want.data().iter().zip(got.data()).map(off).sum();
                Ok(10.0 * (255.0 * 255.0 * want.data().len() as f64 / squares.max(1e-9)).log10())
            };
            match compare() {
                Ok(psnr) => (sum, least) = (sum + psnr, f64::min(least, psnr)),
                Err(e) => failure = Some(e),
            }
            if failure.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        if let Some(e) = failure {
            return Err(e);
        }
        println!(
            "{}: {} frames of {}x{}, PSNR in RGB {:.1} dB on average, {least:.1} at least; {} KiB, was {}",
            new.path().display(),
            new.frame_count(),
            new.width(),
            new.height(),
            sum / new.frame_count() as f64,
            fs::metadata(new.path())?.len() >> 10,
            fs::metadata(old.path())?.len() >> 10,
        );
    }
    Ok(())
}
