//! Image operations on every frame of a video's clips.

use crate::contract::{Clips, FLOW};
use anyhow::{Result, ensure};
use glad_video::{CropBox, RgbFrame};
use std::sync::Arc;

/// Width and height of the frames.
pub(super) fn size(clips: &Clips) -> (usize, usize) {
    (clips.shape[3], clips.shape[2])
}

/// The same part of every frame. All of it is the clips themselves, not a copy.
pub(super) fn crop(clips: &Arc<Clips>, part: CropBox) -> Result<Arc<Clips>> {
    let CropBox { x, y, width, height } = part;
    let [n, t, h, w, c] = clips.shape;
    ensure!(
        x + width <= w && y + height <= h,
        "a part of {width}x{height} pixels at ({x}, {y}) does not lie in frames of {w}x{h}"
    );
    if (width, height) == (w, h) {
        return Ok(clips.clone());
    }
    let mut data = Vec::with_capacity(n * t * height * width * c);
    for frame in clips.data.chunks_exact(h * w * c) {
        for row in frame.chunks_exact(w * c).skip(y).take(height) {
            data.extend_from_slice(&row[x * c..(x + width) * c]);
        }
    }
    let shape = [n, t, height, width, c];
    Ok(Arc::new(Clips { shape, data }))
}

/// That the frames have a part of `height` by `width`.
pub(super) fn holds(clips: &Clips, height: usize, width: usize) -> Result<()> {
    let (w, h) = size(clips);
    ensure!(
        width <= w && height <= h,
        "the frames have {w}x{h} pixels, fewer than the {width}x{height} to be cut out; resize them first"
    );
    Ok(())
}

/// The middle of every frame; with an odd rest, one pixel nearer to the top left.
pub(super) fn centre_crop(clips: &Arc<Clips>, height: usize, width: usize) -> Result<Arc<Clips>> {
    holds(clips, height, width)?;
    let (w, h) = size(clips);
    let part = CropBox {
        x: (w - width) / 2,
        y: (h - height) / 2,
        width,
        height,
    };
    crop(clips, part)
}

/// Every frame through `change`, which gives frames of `width` by `height`. Where that is the size already, these are
/// the clips themselves.
pub(super) fn resize(
    clips: &Arc<Clips>,
    (width, height): (usize, usize),
    change: impl Fn(&RgbFrame) -> Result<RgbFrame>,
) -> Result<Arc<Clips>> {
    let [n, t, h, w, c] = clips.shape;
    if (width, height) == (w, h) {
        return Ok(clips.clone());
    }
    let mut data = Vec::with_capacity(n * t * height * width * c);
    for frame in clips.data.chunks_exact((h * w * c).max(1)) {
        match c {
            // Channels are resized each for itself, so a third one changes nothing.
            FLOW => {
                let padded = frame.chunks_exact(FLOW).flat_map(|p| [p[0], p[1], 0]).collect();
                let changed = change(&RgbFrame::new(w, h, padded)?)?;
                data.extend(changed.data().chunks_exact(3).flat_map(|p| [p[0], p[1]]));
            }
            _ => data.extend_from_slice(change(&RgbFrame::new(w, h, frame.to_vec())?)?.data()),
        }
    }
    let shape = [n, t, height, width, c];
    Ok(Arc::new(Clips { shape, data }))
}
