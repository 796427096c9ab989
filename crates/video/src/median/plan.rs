//! Which frames of a video are looked at, and how, so that the memory has a bound.

use super::counts::{MOST, TOGETHER};
use super::{EvenMedian, Median, background_frames};

/// Bytes for every byte of an image when values are counted: 256 counts of 16 bits, and the images that wait for it.
const COUNTING: usize = 2 * 256 + TOGETHER;

/// How the background of a video is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackgroundOptions {
    /// What the median of an even number of frames is.
    pub even: EvenMedian,
    /// No more frames than this (and than 65,535); of a longer video, that many, spread evenly. Default: 1024.
    pub max_frames: usize,
    /// No more bytes than this for what is seen of the frames. Where the frames together are more, each value's times
    /// are counted, which takes `544 * height * width * 3` bytes however many frames there are and gives the same
    /// median; where that is more, too, fewer frames are looked at, spread evenly. Default: 512 MiB: 2,000 frames of
    /// 340 × 256 pixels are held, of 65,535 the values are counted, up to 640 × 480 pixels.
    pub max_bytes: usize,
}

impl Default for BackgroundOptions {
    fn default() -> Self {
        Self {
            even: EvenMedian::Lower,
            max_frames: 1024,
            max_bytes: 512 << 20,
        }
    }
}

impl BackgroundOptions {
    /// The frames to look at of a video of `count` frames of `frame_bytes` bytes each, and what takes them.
    pub fn plan(&self, count: usize, frame_bytes: usize) -> (Vec<usize>, Median) {
        let fit = |each: usize| self.max_bytes / each.max(1);
        let wanted = count.min(self.max_frames).min(MOST);
        let (most, median) = if wanted <= fit(frame_bytes) {
            (wanted, Median::new())
        } else if fit(frame_bytes.saturating_mul(COUNTING)) > 0 {
            (wanted, Median::counting())
        } else {
            (fit(frame_bytes), Median::new())
        };
        (background_frames(count, most), median)
    }
}
