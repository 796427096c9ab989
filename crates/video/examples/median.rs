//! The median of raw frames, and the time that it takes; `tools/compare/median.py` compares it to numpy.
//!
//! `cargo run --release -p glad-video --example median -- FRAMES.rgb WIDTH HEIGHT OUT.rgb`: a line for each instruction
//! set that this processor has and each way of treating an even number of frames; the median of the last one is written.

use glad_ops::{Isa, isa};
use glad_video::{EvenMedian, Median, RgbFrame};
use std::error::Error;
use std::time::Instant;

const RUNS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [frames, width, height, out] = args.as_slice() else {
        return Err("usage: median FRAMES.rgb WIDTH HEIGHT OUT.rgb".into());
    };
    let (width, height): (usize, usize) = (width.parse()?, height.parse()?);
    let bytes = std::fs::read(frames)?;
    let mut median = Median::new();
    for frame in bytes.chunks_exact(width * height * 3) {
        median.push(RgbFrame::new(width, height, frame.to_vec())?)?;
    }
    for isa in Isa::available() {
        for even in [EvenMedian::Lower, EvenMedian::Mean] {
            let (mut best, mut sum) = (f64::INFINITY, 0.0);
            for _ in 0..RUNS {
                let since = Instant::now();
                let image = isa::with(isa, || median.finish(even))?;
                let ms = since.elapsed().as_secs_f64() * 1e3;
                (best, sum) = (f64::min(best, ms), sum + ms);
                std::fs::write(out, image.data())?;
            }
            println!("{isa} {even:?} {best:.2} {:.2}", sum / RUNS as f64);
        }
    }
    Ok(())
}
