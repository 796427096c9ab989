//! One video, from any form into the new one.

use super::super::footage::to_rgb;
use crate::contract::{DataError, Footage, Frame};
use glad_video::write::{VideoWriter, WriteError, WriteOptions};
use glad_video::{CropBox, ImageError, RgbFrame, ops};
use std::collections::BTreeMap;
use std::path::Path;

/// Frames that are held until those before them have come: decoding orders differ from the order of display by less.
const REORDERED: usize = 64;

/// Frames a second of what has none, such as a folder of images.
const FPS: f64 = 30.0;

/// How videos are coded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coding {
    /// Pixels of the shorter side, at most.
    pub short: usize,
    /// How pixels are made.
    pub filter: ops::Filter,
    /// Frames from one key frame to the next.
    pub gop: u32,
    /// The quantiser.
    pub qp: u8,
}

/// The size of the new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub width: usize,
    pub height: usize,
    /// Whether a column or a row is left out, in place of a resize.
    pub cropped: bool,
}

impl Coding {
    /// The size for a video of `width` by `height` pixels: both sides even.
    pub(super) fn size(&self, width: usize, height: usize) -> Size {
        let least = width.min(height);
        if least <= self.short {
            let (w, h) = (width & !1, height & !1);
            return Size {
                width: w,
                height: h,
                cropped: (w, h) != (width, height),
            };
        }
        // To the nearest even number: (side · short / least) / 2, rounded, times 2.
        let scaled = |side: usize| ((side * self.short + least) / (2 * least) * 2).max(2);
        Size {
            width: scaled(width),
            height: scaled(height),
            cropped: false,
        }
    }

    fn frame(&self, frame: Frame, size: Size) -> Result<RgbFrame, ImageError> {
        let frame = to_rgb(frame)?;
        let Size { width, height, cropped } = size;
        if cropped {
            let (x, y) = (0, 0);
            return ops::crop(&frame, CropBox { x, y, width, height });
        }
        ops::resize_exact(&frame, width, height, self.filter)
    }
}

/// Writes all frames of `whole`, in the order of display.
///
/// # Errors
/// [`DataError::Sample`]: a frame cannot be read or has another size than the first. [`DataError::Fatal`]: the new file cannot be
/// written.
pub(super) fn rewrite(whole: &dyn Footage, target: &Path, coding: &Coding, size: Size) -> Result<(), DataError> {
    let Size { width, height, .. } = size;
    let frames = whole.frame_count()?;
    let fps = whole.fps()?.filter(|f| (1.0..=1000.0).contains(f)).unwrap_or(FPS);
    let options = WriteOptions {
        qp: coding.qp,
        gop: coding.gop,
        durable: true,
        ..WriteOptions::default()
    };
    let mut ordered = Ordered {
        writer: VideoWriter::create_with(target, width, height, fps, options).map_err(blame)?,
        next: 0,
        early: BTreeMap::new(),
        scattered: false,
    };
    // All in one pass; where frames come too much out of order for that, a few at a time.
    let mut source: Option<(usize, usize)> = None;
    let mut step = frames;
    while ordered.next < frames {
        let wanted: Vec<usize> = (ordered.next..frames.min(ordered.next + step)).collect();
        let passed = whole.visit(&wanted, &mut |number, frame| {
            let got = (frame.width, frame.height);
            let of_first = *source.get_or_insert(got);
            if got != of_first {
                return Err(DataError::sample(format!(
                    "frame {number} has {}x{} pixels, the others have {}x{}",
                    got.0, got.1, of_first.0, of_first.1
                )));
            }
            ordered.take(number, coding.frame(frame, size)?)
        });
        match passed {
            Err(DataError::Sample(_)) if ordered.scattered && step > REORDERED => {
                ordered.early.clear();
                ordered.scattered = false;
                step = REORDERED;
            }
            passed => passed?,
        }
    }
    if !ordered.early.is_empty() {
        return Err(DataError::sample("there are more frames than were announced"));
    }
    let written = ordered.writer.finish().map_err(blame)?;
    if written != frames {
        return Err(DataError::sample(format!("{written} of {frames} frames were written")));
    }
    Ok(())
}

/// A full disk is no fault of the video.
fn blame(e: WriteError) -> DataError {
    match e {
        WriteError::Io { .. } => DataError::fatal(e.to_string()),
        e => DataError::Sample(e.into()),
    }
}

/// Frames come in the order of decoding and go in the order of display.
struct Ordered {
    writer: VideoWriter,
    /// The frame to be written next.
    next: usize,
    early: BTreeMap<usize, RgbFrame>,
    /// Whether more frames came early than are held.
    scattered: bool,
}

impl Ordered {
    fn take(&mut self, number: usize, frame: RgbFrame) -> Result<(), DataError> {
        self.early.insert(number, frame);
        while let Some(frame) = self.early.remove(&self.next) {
            self.writer.push(frame.data()).map_err(blame)?;
            self.next += 1;
        }
        if self.early.len() > REORDERED {
            self.scattered = true;
            return Err(DataError::sample("its frames are too much out of order"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames that come in the reverse order; with `stuck`, the disk hangs after so many.
    struct Backwards {
        frames: usize,
        stuck: Option<usize>,
    }

    impl Footage for Backwards {
        fn frame_count(&self) -> Result<usize, DataError> {
            Ok(self.frames)
        }
        fn frames(&self, wanted: &[usize]) -> Result<Vec<Frame>, DataError> {
            let frame = |i: &usize| Frame {
                width: 16,
                height: 16,
                data: vec![*i as u8; 16 * 16 * 3].into(),
            };
            Ok(wanted.iter().map(frame).collect())
        }
        fn visit(
            &self,
            wanted: &[usize],
            take: &mut dyn FnMut(usize, Frame) -> Result<(), DataError>,
        ) -> Result<(), DataError> {
            for (done, i) in wanted.iter().rev().enumerate() {
                if self.stuck == Some(done) {
                    return Err(DataError::fatal("nothing came of it"));
                }
                take(*i, self.frames(&[*i])?.remove(0))?;
            }
            Ok(())
        }
    }

    #[test]
    fn frames_that_come_out_of_order_are_asked_for_a_few_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.mp4");
        let coding = Coding {
            short: 16,
            filter: ops::Filter::Bilinear,
            gop: 12,
            qp: 4,
        };
        let go = |stuck| {
            let frames = 2 * REORDERED + 9;
            rewrite(&Backwards { frames, stuck }, &target, &coding, coding.size(16, 16))
        };
        go(None).unwrap();
        let video = glad_video::Video::open(&target, &glad_video::OpenOptions::default()).unwrap();
        assert_eq!(video.frame_count(), 2 * REORDERED + 9);
        for (i, frame) in video.frames(&[3, 70, 130]).unwrap().iter().enumerate() {
            let (right, found) = ([3, 70, 130][i], i32::from(frame.data()[0]));
            assert!((found - right).abs() <= 2, "{found}, and {right} is right");
        }
        // What is not the video's fault is not taken for an order.
        let e = go(Some(REORDERED)).unwrap_err();
        assert!(matches!(e, DataError::Fatal(_)), "{e:?}");
    }

    #[test]
    fn sizes_are_even() {
        let coding = Coding {
            short: 256,
            filter: ops::Filter::Bilinear,
            gop: 12,
            qp: 18,
        };
        let size = |w, h| {
            let Size { width, height, cropped } = coding.size(w, h);
            (width, height, cropped)
        };
        assert_eq!(size(320, 240), (320, 240, false));
        assert_eq!(size(321, 241), (320, 240, true));
        assert_eq!(size(640, 480), (342, 256, false));
        assert_eq!(size(480, 640), (256, 342, false));
        assert_eq!(size(1920, 1080), (456, 256, false));
        assert_eq!(size(1279, 719), (456, 256, false));
        assert_eq!(size(257, 257), (256, 256, false));
    }
}
