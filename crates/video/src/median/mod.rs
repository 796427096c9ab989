//! The background of a video: the median of every pixel over time.
//!
//! Static parts are in most frames; moving parts are nowhere for long.

mod counts;
mod held;
mod plan;

pub use plan::BackgroundOptions;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use crate::{ImageError, RgbFrame, Video, VideoError};
use counts::Counts;
use held::Held;

/// The median of an even number of values. Of an odd number both are the middle value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "parameters",
    derive(serde::Deserialize, schemars::JsonSchema),
    serde(rename_all = "snake_case")
)]
pub enum EvenMedian {
    /// The lower of the two middle values, a colour that occurs: `numpy.quantile(frames, 0.5, axis=0, method="lower")`.
    #[default]
    Lower,
    /// The mean of the two, rounded down: `numpy.median(frames, axis=0).astype(numpy.uint8)`.
    Mean,
}

/// Collects images of one size and computes their median, channel by channel.
#[derive(Debug)]
pub struct Median {
    size: Option<(usize, usize)>,
    count: usize,
    values: Values,
}

/// The values seen at every pixel.
#[derive(Debug)]
enum Values {
    /// All values.
    Held(Held),
    /// The count of each value.
    Counts(Counts),
}

impl Default for Median {
    fn default() -> Self {
        Self::new()
    }
}

impl Median {
    /// An empty median that keeps every image: `frames * height * width * 3` bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Values::Held(Held::default()))
    }

    /// An empty median that keeps `544 * height * width * 3` bytes for any number of images (at most 65,535).
    #[must_use]
    pub fn counting() -> Self {
        Self::of(Values::Counts(Counts::default()))
    }

    fn of(values: Values) -> Self {
        Self {
            size: None,
            count: 0,
            values,
        }
    }

    /// Adds an image.
    ///
    /// # Errors
    /// If its size differs from the first's, or the maximum count is exceeded.
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
        match &mut self.values {
            Values::Held(held) => held.push(frame.into_data()),
            Values::Counts(_) if self.count == counts::MOST => return Err(ImageError::TooMany(counts::MOST)),
            Values::Counts(counts) => counts.push(frame.into_data()),
        }
        self.count += 1;
        Ok(())
    }

    /// Number of images so far.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no image yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The median of all images.
    ///
    /// # Errors
    /// If there are no images.
    pub fn finish(&mut self, even: EvenMedian) -> Result<RgbFrame, ImageError> {
        let Some((width, height)) = self.size else {
            return Err(ImageError::NoImages);
        };
        let (lower, upper) = ((self.count - 1) / 2, self.count / 2);
        let mut out = vec![0u8; width * height * 3];
        let mut second = (even == EvenMedian::Mean && upper != lower).then(|| vec![0u8; out.len()]);
        match &mut self.values {
            Values::Held(held) => held.select(lower, &mut out, second.as_deref_mut())?,
            Values::Counts(counts) => counts.select(lower, &mut out, second.as_deref_mut()),
        }
        for (a, b) in out.iter_mut().zip(second.iter().flatten()) {
            *a = ((u16::from(*a) + u16::from(*b)) / 2) as u8;
        }
        Ok(RgbFrame::of(width, height, out))
    }
}

/// The frames of a video of `count` frames that its background is computed from: all, or as many as allowed,
/// in the middle of equal parts of the video.
pub fn background_frames(count: usize, most: usize) -> Vec<usize> {
    let n = count.min(most.max(1));
    (0..n).map(|i| (2 * i + 1) * count / (2 * n)).collect()
}

/// The background of a video, each frame passed through `transform` first (such as a resize; all
/// results must have one size).
///
/// # Errors
/// If a frame that it needs cannot be read, or is of another size than the first.
pub fn background(
    video: &Video,
    options: &BackgroundOptions,
    mut transform: impl FnMut(RgbFrame) -> RgbFrame,
) -> Result<RgbFrame, VideoError> {
    let (wanted, mut median) = options.plan(video.frame_count(), video.width() * video.height() * 3);
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
