//! The background of a video: the median of every pixel over time.
//!
//! What stands still is in most frames; what moves is nowhere for long.

use std::ops::ControlFlow;

use crate::{ImageError, RgbFrame, Video, VideoError};

/// What the median of an even number of values is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EvenMedian {
    /// The lower of the two in the middle: always a colour that occurs.
    #[default]
    Lower,
    /// Their mean, rounded down: what a cast of `numpy.median` to 8 bits gives.
    Mean,
}

/// Bytes of a frame handled at a time: the thresholds, the counts and this part of some hundred
/// frames stay in the cache through the eight rounds.
const TILE: usize = 1024;

/// Frames counted in 8 bits before the counts are put into wider ones.
const BLOCK: usize = 255;

/// Collects images of one size and gives their median, channel by channel.
///
/// Holds every image: `frames * height * width * 3` bytes.
#[derive(Debug, Default)]
pub struct Median {
    size: Option<(usize, usize)>,
    frames: Vec<Vec<u8>>,
}

impl Median {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image.
    ///
    /// # Errors
    /// If it is of another size than the first.
    pub fn push(&mut self, frame: RgbFrame) -> Result<(), ImageError> {
        let got = (frame.width(), frame.height());
        let (width, height) = *self.size.get_or_insert(got);
        if got != (width, height) {
            return Err(ImageError::Size {
                width,
                height,
                got_width: got.0,
                got_height: got.1,
            });
        }
        self.frames.push(frame.into_data());
        Ok(())
    }

    /// Number of images so far.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is no image yet.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The median of all images.
    ///
    /// # Errors
    /// If there is none.
    pub fn finish(&self, even: EvenMedian) -> Result<RgbFrame, ImageError> {
        let Some((width, height)) = self.size else {
            return Err(ImageError::NoImages);
        };
        let n = self.frames.len();
        let (lower, upper) = ((n - 1) / 2, n / 2);
        let mut out = vec![0u8; width * height * 3];
        let mut second = [0u8; TILE];
        for (i, tile) in out.chunks_mut(TILE).enumerate() {
            let at = i * TILE;
            self.select(lower, at, tile);
            if even == EvenMedian::Mean && upper != lower {
                let second = &mut second[..tile.len()];
                self.select(upper, at, second);
                for (a, &b) in tile.iter_mut().zip(&*second) {
                    *a = ((u16::from(*a) + u16::from(b)) / 2) as u8;
                }
            }
        }
        Ok(RgbFrame::of(width, height, out))
    }

    /// For every byte of a tile that begins at byte `at`, the value of rank `rank` (0 is the
    /// smallest) among the frames.
    ///
    /// A binary search over the eight bits of the answer, all bytes of the tile at once: the
    /// answer is at least `t` exactly if no more than `rank` values are below `t`. Comparing and
    /// counting are loops over bytes without branches, which compile to vector instructions.
    fn select(&self, rank: usize, at: usize, found: &mut [u8]) {
        let len = found.len();
        let (mut threshold, mut few) = ([0u8; TILE], [0u8; TILE]);
        let mut below = [0u32; TILE];
        let (threshold, few) = (&mut threshold[..len], &mut few[..len]);
        let below = &mut below[..len];
        found.fill(0);
        for bit in (0..8).rev() {
            for (t, &f) in threshold.iter_mut().zip(&*found) {
                *t = f | 1 << bit;
            }
            below.fill(0);
            for block in self.frames.chunks(BLOCK) {
                few.fill(0);
                for frame in block {
                    let values = &frame[at..at + len];
                    for ((n, &v), &t) in few.iter_mut().zip(values).zip(&*threshold) {
                        *n += u8::from(v < t);
                    }
                }
                for (sum, &n) in below.iter_mut().zip(&*few) {
                    *sum += u32::from(n);
                }
            }
            for ((f, &t), &n) in found.iter_mut().zip(&*threshold).zip(&*below) {
                *f = if n as usize <= rank { t } else { *f };
            }
        }
    }
}

/// How the background of a video is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackgroundOptions {
    /// What the median of an even number of frames is.
    pub even: EvenMedian,
    /// No more frames than this; of a longer video, that many, spread evenly. Default: 1024.
    pub max_frames: usize,
    /// No more bytes of frames than this are held; of a larger video, fewer frames, spread evenly.
    /// Default: 512 MiB, which is 2,000 frames of 340 × 256 pixels.
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

/// The frames of a video of `count` frames that go into its background: all, or as many as allowed,
/// in the middle of equal parts of the video.
pub fn background_frames(count: usize, most: usize) -> Vec<usize> {
    let n = count.min(most.max(1));
    (0..n).map(|i| (2 * i + 1) * count / (2 * n)).collect()
}

/// The background of a video, each frame passed through `transform` first (a resize, say; all
/// results must have one size).
///
/// # Errors
/// If a frame that it needs cannot be had, or is of another size than the first.
pub fn background(
    video: &Video,
    options: &BackgroundOptions,
    mut transform: impl FnMut(RgbFrame) -> RgbFrame,
) -> Result<RgbFrame, VideoError> {
    let bytes = (video.width() * video.height() * 3).max(1);
    let most = options.max_frames.min(options.max_bytes / bytes);
    let wanted = background_frames(video.frame_count(), most);
    let mut median = Median::new();
    let mut failure = None;
    let fault = |e: ImageError| VideoError::malformed(video.path(), e.to_string());
    video.visit(&wanted, |_, outcome| {
        let pushed = outcome.and_then(|f| median.push(transform(f)).map_err(fault));
        match pushed {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => {
                failure = Some(e);
                ControlFlow::Break(())
            }
        }
    })?;
    match failure {
        Some(e) => Err(e),
        None => median.finish(options.even).map_err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_sorting(frames: &[Vec<u8>], even: EvenMedian) -> Vec<u8> {
        (0..frames[0].len())
            .map(|i| {
                let mut values: Vec<u8> = frames.iter().map(|f| f[i]).collect();
                values.sort_unstable();
                let (a, b) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
                match even {
                    EvenMedian::Lower => a,
                    EvenMedian::Mean => ((u16::from(a) + u16::from(b)) / 2) as u8,
                }
            })
            .collect()
    }

    fn median_of(frames: &[Vec<u8>], width: usize, even: EvenMedian) -> Vec<u8> {
        let mut m = Median::new();
        for f in frames {
            m.push(RgbFrame::of(width, f.len() / 3 / width, f.clone())).unwrap();
        }
        m.finish(even).unwrap().into_data()
    }

    /// A cheap stream of bytes that favours the ends of the range.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut s = seed | 1;
        (0..len)
            .map(|_| {
                s ^= s << 13;
                s ^= s >> 7;
                s ^= s << 17;
                match s >> 60 {
                    0 => 0,
                    1 => 255,
                    _ => (s >> 32) as u8,
                }
            })
            .collect()
    }

    proptest! {
        #[test]
        fn equals_sorting(n in 1usize..40, w in 1usize..20, h in 1usize..4, seed: u64) {
            let frames: Vec<Vec<u8>> = (0..n)
                .map(|i| noise(seed.wrapping_add(i as u64 * 0x9e37_79b9), w * h * 3))
                .collect();
            for even in [EvenMedian::Lower, EvenMedian::Mean] {
                prop_assert_eq!(median_of(&frames, w, even), by_sorting(&frames, even));
            }
        }

        #[test]
        fn background_frames_are_spread(count in 1usize..5000, most in 0usize..2000) {
            let f = background_frames(count, most);
            prop_assert_eq!(f.len(), count.min(most.max(1)));
            prop_assert!(f.windows(2).all(|w| w[0] < w[1]));
            prop_assert!(f.iter().all(|&i| i < count));
            if count <= most {
                prop_assert_eq!(f, (0..count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn more_frames_than_a_block_and_more_bytes_than_a_tile() {
        for n in [BLOCK, BLOCK + 1, 2 * BLOCK + 3] {
            let frames: Vec<Vec<u8>> = (0..n).map(|i| noise(i as u64 + 1, 3 * 400)).collect();
            for even in [EvenMedian::Lower, EvenMedian::Mean] {
                assert_eq!(median_of(&frames, 20, even), by_sorting(&frames, even));
            }
        }
    }

    #[test]
    fn sizes_must_agree_and_something_must_be_there() {
        let mut m = Median::new();
        assert_eq!(m.finish(EvenMedian::Lower).unwrap_err(), ImageError::NoImages);
        m.push(RgbFrame::of(2, 1, vec![0; 6])).unwrap();
        assert!(m.push(RgbFrame::of(1, 2, vec![0; 6])).is_err());
        assert_eq!(m.len(), 1);
        assert!(!m.is_empty());
    }
}
