//! The possible boxes of a random crop.

/// A part of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CropBox {
    /// Left edge.
    pub x: usize,
    /// Top edge.
    pub y: usize,
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
}

/// Fixed positions of a multi-scale crop, in quarters of the remaining room: corners and
/// centre; then the middles of the edges and the middles between the corners and the centre.
const POSITIONS: [(usize, usize); 13] = [
    (0, 0),
    (4, 0),
    (0, 4),
    (4, 4),
    (2, 2),
    (0, 2),
    (4, 2),
    (2, 4),
    (2, 0),
    (1, 1),
    (3, 1),
    (1, 3),
    (3, 3),
];

/// The multi-scale crop of TSN and mmaction (`MultiScaleCrop`): square-ish parts whose sides are
/// the image's shorter side times one of a few scales, at fixed positions. The caller draws one of
/// [`MultiScaleCrop::boxes`], all equally likely, and resizes it to the output size.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiScaleCrop {
    /// Side lengths, as fractions of the image's shorter side.
    pub scales: Vec<f64>,
    /// How far apart in `scales` width and height may be, in list positions: 0 is always square.
    pub max_gap: usize,
    /// Whether to use all 13 positions, or the 5 of the corners and the centre.
    pub thirteen: bool,
}

impl Default for MultiScaleCrop {
    /// Scales 1, 0.875, 0.66, neighbouring scales may mix, 13 positions.
    fn default() -> Self {
        Self {
            scales: vec![1.0, 0.875, 0.66],
            max_gap: 1,
            thirteen: true,
        }
    }
}

impl MultiScaleCrop {
    /// Every part that can be taken of an image of `width` x `height` pixels, sizes first, then
    /// positions; the same part may occur more than once. A side within two pixels of the output's
    /// becomes the output's, where the image is large enough, so that nothing needs to be resized.
    /// Empty if the image or `scales` is.
    pub fn boxes(&self, (width, height): (usize, usize), (out_width, out_height): (usize, usize)) -> Vec<CropBox> {
        let base = width.min(height);
        if base == 0 {
            return Vec::new();
        }
        let side = |scale: f64, all: usize, out: usize| {
            let side = ((base as f64 * scale) as usize).clamp(1, all);
            if side.abs_diff(out) < 3 && (1..=all).contains(&out) {
                out
            } else {
                side
            }
        };
        let positions = &POSITIONS[..if self.thirteen { 13 } else { 5 }];
        let mut boxes = Vec::new();
        for (i, &h) in self.scales.iter().enumerate() {
            for (j, &w) in self.scales.iter().enumerate() {
                if i.abs_diff(j) > self.max_gap {
                    continue;
                }
                let w = side(w, width, out_width);
                let h = side(h, height, out_height);
                let (step_x, step_y) = ((width - w) / 4, (height - h) / 4);
                boxes.extend(positions.iter().map(|&(px, py)| CropBox {
                    x: px * step_x,
                    y: py * step_y,
                    width: w,
                    height: h,
                }));
            }
        }
        boxes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sizes_and_positions_of_mmaction() {
        let boxes = MultiScaleCrop::default().boxes((340, 256), (224, 224));
        assert_eq!(boxes.len(), 7 * 13);
        let sizes: Vec<(usize, usize)> = boxes.iter().step_by(13).map(|b| (b.width, b.height)).collect();
        let want = [
            (256, 256),
            (224, 256),
            (256, 224),
            (224, 224),
            (168, 224),
            (224, 168),
            (168, 168),
        ];
        assert_eq!(sizes, want);
        // Of the 256 x 256 crops, the second is at the right edge: 4 * ((340 - 256) / 4).
        assert_eq!((boxes[1].x, boxes[1].y), (84, 0));
        let centre = boxes[6 * 13 + 4];
        assert_eq!((centre.x, centre.y), (2 * 43, 2 * 22));
    }

    #[test]
    fn five_positions_are_the_first_of_the_thirteen() {
        let five = MultiScaleCrop {
            thirteen: false,
            max_gap: 0,
            ..Default::default()
        };
        assert_eq!(five.boxes((340, 256), (224, 224)).len(), 15);
        assert_eq!(five.boxes((0, 256), (224, 224)), []);
    }

    proptest! {
        #[test]
        fn boxes_lie_in_the_image(w in 1usize..500, h in 1usize..500, out in 1usize..300) {
            for b in MultiScaleCrop::default().boxes((w, h), (out, out)) {
                prop_assert!(b.width > 0 && b.height > 0);
                prop_assert!(b.x + b.width <= w && b.y + b.height <= h, "{b:?}");
            }
        }
    }
}
