//! A long run uses no more memory than a short one.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::{Container, all, encode, file};
use glad_video::{OpenOptions, Video, Watch};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Decodes; each opens the file with its index or by parsing, reads a few frames or all, or meets damage.
fn decodes(files: &[common::TestFile], videos: &mut [Arc<Video>], from: usize, count: usize) -> usize {
    let watch = Watch::default();
    let mut frames = 0;
    for i in from..from + count {
        let which = i % files.len();
        if i % 10 == 0 {
            let options = OpenOptions {
                index: (i % 20 == 0).then(|| videos[which].index().unwrap().clone()),
                ..OpenOptions::default()
            };
            videos[which] = Arc::new(watch.open(&files[which].path, &options).unwrap());
        }
        let video = &videos[which];
        let n = video.frame_count();
        let wanted = match i % 3 {
            0 => vec![i % n],
            1 => vec![i % n, (i + 5) % n, (i + 1) % n],
            _ => all(video),
        };
        watch
            .visit(video, &wanted, |_, outcome| {
                frames += usize::from(outcome.is_ok());
                if i % 7 == 0 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap();
    }
    frames
}

#[test]
fn twenty_thousand_decodes_take_no_more_memory_than_a_thousand() {
    let plain = encode(32, 32, 12, 4, 0);
    let reordered = encode(32, 32, 12, 6, 2);
    let mut damaged = plain.clone();
    let length = damaged.units[5].bytes.len();
    damaged.units[5].bytes[length / 2..].fill(0);
    let files = [&plain, &reordered, &damaged].map(|coded| file(&Container::default().write(coded)));
    let mut videos: Vec<Arc<Video>> = files
        .iter()
        .map(|f| Arc::new(Video::open(&f.path, &OpenOptions::default()).unwrap()))
        .collect();
    decodes(&files, &mut videos, 0, 1000);
    MEMORY.reset_peak_usage();
    decodes(&files, &mut videos, 1000, 1000);
    let peak = MEMORY.peak_usage();
    MEMORY.reset_peak_usage();
    let frames = decodes(&files, &mut videos, 2000, 18_000);
    assert!(frames > 40_000, "{frames}");
    let later = MEMORY.peak_usage();
    // Threads that end a little later sometimes hold one or two more frames; a leak of 20 bytes a decode would be more.
    assert!(later < peak + (256 << 10), "{peak} bytes at first, {later} bytes later");
}
