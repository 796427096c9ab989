//! One video before it is encoded.

use crate::auxiliary;
use crate::config::MiniConfig;
use crate::figure::Figure;
use crate::pose::Pose;
use crate::raster::Picture;
use crate::skeleton::{Joints, Stance};
use crate::source;
use crate::split::{Domain, Split};
use crate::target;

/// One video before it is encoded: figure, motion and background. Frames are drawn on request.
#[derive(Debug, Clone)]
pub struct Scene {
    pub(crate) moments: Vec<(Pose, Stance)>,
    pub(crate) figure: Figure,
    pub(crate) background: Picture,
}

impl Scene {
    /// Makes video `index` of `split`. Depends on the settings' seed, `split` and `index`, and on
    /// the settings that shape a video, but not on the counts.
    ///
    /// # Errors
    /// [`MiniError::Config`](crate::MiniError::Config) if the settings are out of range.
    pub fn new(config: &MiniConfig, split: Split, index: usize) -> Result<Self, crate::MiniError> {
        config.check()?;
        Ok(Self::draw(config, split, index))
    }

    /// [`new`](Self::new) for settings that were checked before.
    pub(crate) fn draw(config: &MiniConfig, split: Split, index: usize) -> Self {
        match split.domain() {
            Domain::Source => source::scene(config, split, index),
            Domain::Target => target::scene(config, split, index),
            Domain::Auxiliary => auxiliary::scene(config, split, index),
        }
    }

    /// Number of frames.
    pub fn frame_count(&self) -> usize {
        self.moments.len()
    }

    /// Height and width, in pixels.
    pub fn size(&self) -> usize {
        self.background.size
    }

    /// Draws frame `index` into `rgb`: `size * size * 3` bytes, row by row.
    ///
    /// # Panics
    /// If `index` is not below [`frame_count`](Self::frame_count).
    pub fn frame(&self, index: usize, rgb: &mut Vec<u8>) {
        let (pose, stance) = &self.moments[index];
        let mut picture = self.background.clone();
        self.figure
            .draw(&mut picture, &Joints::place(pose, stance), stance.scale);
        picture.write_bytes(rgb);
    }

    /// The picture without the figure: `size * size * 3` bytes.
    pub fn background(&self) -> Vec<u8> {
        let mut rgb = Vec::new();
        self.background.write_bytes(&mut rgb);
        rgb
    }
}

/// `count` values from `from` to `to`, both included.
pub(crate) fn steps(from: f32, to: f32, count: usize) -> impl Iterator<Item = f32> {
    let step = (to - from) / (count.max(2) - 1) as f32;
    (0..count).map(move |index| from + step * index as f32)
}
