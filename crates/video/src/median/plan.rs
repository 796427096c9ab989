//! Which frames of a video are used, and how, in bounded memory.

use super::counts::{MOST, TOGETHER};
use super::{EvenMedian, Median, background_frames};

/// Bytes for every byte of an image when values are counted: 256 counts of 16 bits, and the images that wait to be counted.
const COUNTING: usize = 2 * 256 + TOGETHER;

/// How the background of a video is computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackgroundOptions {
    /// The median of an even number of frames.
    pub even: EvenMedian,
    /// No more frames than this (and than 65,535); of a longer video, that many, spread evenly. Default: 1024.
    pub max_frames: usize,
    /// The maximum memory in bytes. If the frames together take more, the occurrences of each value
    /// are counted, which takes `544 * height * width * 3` bytes for any number of frames and has the same
    /// median; if that takes more, too, fewer frames are used, spread evenly. Default: 512 MiB: 2,000 frames of
    /// 340 × 256 pixels are kept, or 65,535 counted, up to 640 × 480 pixels.
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
    /// The frames to use of a video of `count` frames of `frame_bytes` bytes each, and the median that collects them.
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
