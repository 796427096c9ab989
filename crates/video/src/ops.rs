//! Image operations on 8-bit RGB: resize, crop, mirror.

use std::cell::RefCell;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::{CropBox, ImageError, RgbFrame};

/// The interpolation of a resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "parameters",
    derive(serde::Deserialize, schemars::JsonSchema),
    serde(rename_all = "snake_case")
)]
pub enum Filter {
    /// From the four nearest pixels at every scale (OpenCV's `INTER_LINEAR`, which mmaction and its relatives use); aliases
    /// when shrinking strongly.
    #[default]
    Bilinear,
    /// From all covered pixels, with linear weights (Pillow's and torchvision's antialiased bilinear); equal to `bilinear`
    /// when enlarging.
    Antialiased,
}

thread_local! {
    /// Reuses its buffers between images.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// The image at exactly `width` x `height` pixels.
///
/// # Errors
/// If a side is zero, or too large for the resize library.
pub fn resize_exact(frame: &RgbFrame, width: usize, height: usize, filter: Filter) -> Result<RgbFrame, ImageError> {
    if (frame.width(), frame.height()) == (width, height) {
        return Ok(frame.clone());
    }
    if width == 0 || height == 0 {
        return Err(ImageError::Empty { width, height });
    }
    if frame.data().is_empty() {
        return Err(ImageError::Empty {
            width: frame.width(),
            height: frame.height(),
        });
    }
    let refused = |e: &dyn std::fmt::Display| ImageError::Resize(e.to_string());
    let side = |n: usize| u32::try_from(n).map_err(|e| refused(&e));
    // Typed images: the untyped ones would compile the resizer for every kind of pixel there is.
    let (from_width, from_height) = (side(frame.width())?, side(frame.height())?);
    let source = TypedImageRef::<U8x3>::from_buffer(from_width, from_height, frame.data()).map_err(|e| refused(&e))?;
    let mut data = vec![0; width * height * 3];
    let mut target =
        TypedImage::<U8x3>::from_buffer(side(width)?, side(height)?, &mut data).map_err(|e| refused(&e))?;
    let alg = match filter {
        Filter::Bilinear => ResizeAlg::Interpolation(FilterType::Bilinear),
        Filter::Antialiased => ResizeAlg::Convolution(FilterType::Bilinear),
    };
    let options = ResizeOptions::new().resize_alg(alg);
    RESIZER
        .with_borrow_mut(|r| r.resize_typed(&source, &mut target, &options))
        .map_err(|e| refused(&e))?;
    Ok(RgbFrame::of(width, height, data))
}

/// The size of an image scaled so that its shorter side is `short`: the longer one is rounded to
/// the nearest pixel, halves up (as `mmcv.rescale_size`).
pub fn short_side_size(width: usize, height: usize, short: usize) -> (usize, usize) {
    let least = width.min(height).max(1) as f64;
    let scaled = |side: usize| (side as f64 * (short as f64 / least) + 0.5) as usize;
    (scaled(width), scaled(height))
}

/// The image scaled so that its shorter side has `short` pixels.
///
/// # Errors
/// As [`resize_exact`].
pub fn resize_short_side(frame: &RgbFrame, short: usize, filter: Filter) -> Result<RgbFrame, ImageError> {
    let (width, height) = short_side_size(frame.width(), frame.height(), short);
    resize_exact(frame, width, height, filter)
}

/// A part of the image.
///
/// # Errors
/// If it is empty or extends past the image.
pub fn crop(frame: &RgbFrame, part: CropBox) -> Result<RgbFrame, ImageError> {
    let CropBox { x, y, width, height } = part;
    let fits =
        |at: usize, length: usize, all: usize| length > 0 && at.checked_add(length).is_some_and(|end| end <= all);
    if !fits(x, width, frame.width()) || !fits(y, height, frame.height()) {
        return Err(ImageError::Crop {
            crop: part,
            width: frame.width(),
            height: frame.height(),
        });
    }
    let mut data = Vec::with_capacity(width * height * 3);
    for row in frame.data().chunks_exact(frame.width() * 3).skip(y).take(height) {
        data.extend_from_slice(&row[x * 3..(x + width) * 3]);
    }
    Ok(RgbFrame::of(width, height, data))
}

/// The middle of the image; with an odd remainder, one pixel nearer to the top left.
///
/// # Errors
/// If the image is smaller than the crop.
pub fn centre_crop(frame: &RgbFrame, width: usize, height: usize) -> Result<RgbFrame, ImageError> {
    crop(
        frame,
        CropBox {
            x: frame.width().saturating_sub(width) / 2,
            y: frame.height().saturating_sub(height) / 2,
            width,
            height,
        },
    )
}

/// Mirrors left and right, in place.
pub fn flip_horizontal(frame: &mut RgbFrame) {
    let width = frame.width();
    if width == 0 {
        return;
    }
    for row in frame.data_mut().chunks_exact_mut(width * 3) {
        let (pixels, _) = row.as_chunks_mut::<3>();
        pixels.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ramp(width: usize, height: usize) -> RgbFrame {
        let data = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [(x * 4) as u8, (y * 4) as u8, 77]))
            .collect();
        RgbFrame::of(width, height, data)
    }

    #[test]
    fn short_side_as_mmcv() {
        assert_eq!(short_side_size(340, 256, 256), (340, 256));
        assert_eq!(short_side_size(320, 240, 256), (341, 256));
        assert_eq!(short_side_size(240, 320, 256), (256, 341));
        assert_eq!(short_side_size(568, 320, 256), (454, 256));
    }

    #[test]
    fn doubling_interpolates_at_pixel_centres() {
        // OpenCV's INTER_LINEAR of the row 0 40 80: edges repeat, the rest is at quarters.
        let row = RgbFrame::of(3, 1, vec![0, 0, 0, 40, 40, 40, 80, 80, 80]);
        for filter in [Filter::Bilinear, Filter::Antialiased] {
            let out = resize_exact(&row, 6, 1, filter).unwrap();
            let reds: Vec<u8> = out.data().chunks(3).map(|p| p[0]).collect();
            assert_eq!(reds, [0, 10, 30, 50, 70, 80], "{filter:?}");
        }
    }

    #[test]
    fn shrinking_tells_the_filters_apart() {
        let data = (0..12u8).flat_map(|x| [if x % 4 == 0 { 240 } else { 0 }; 3]);
        let row = RgbFrame::of(12, 1, data.collect());
        let bilinear = resize_exact(&row, 3, 1, Filter::Bilinear).unwrap();
        // The two nearest of every four pixels are both black.
        assert_eq!(bilinear.data(), [0; 9]);
        let smooth = resize_exact(&row, 3, 1, Filter::Antialiased).unwrap();
        assert!(smooth.data().iter().all(|&v| v > 20), "{smooth:?}");
    }

    #[test]
    fn crops() {
        let f = ramp(10, 8);
        let part = CropBox {
            x: 3,
            y: 2,
            width: 4,
            height: 5,
        };
        let c = crop(&f, part).unwrap();
        assert_eq!((c.width(), c.height()), (4, 5));
        assert_eq!(c.pixel(0, 0), f.pixel(3, 2));
        assert_eq!(c.pixel(3, 4), f.pixel(6, 6));
        let m = centre_crop(&f, 5, 5).unwrap();
        assert_eq!(m.pixel(0, 0), f.pixel(2, 1));
        assert!(matches!(centre_crop(&f, 11, 2), Err(ImageError::Crop { .. })));
        let beyond = CropBox { x: usize::MAX, ..part };
        assert!(matches!(crop(&f, beyond), Err(ImageError::Crop { .. })));
        let e = resize_exact(&f, 0, 5, Filter::Bilinear).unwrap_err();
        assert!(matches!(e, ImageError::Empty { width: 0, height: 5 }), "{e}");
    }

    proptest! {
        #[test]
        fn flipping_twice_changes_nothing(w in 1usize..9, h in 1usize..5, seed: u8) {
            let data = (0..w * h * 3).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect();
            let f = RgbFrame::of(w, h, data);
            let mut g = f.clone();
            flip_horizontal(&mut g);
            prop_assert_eq!(g.pixel(0, h - 1), f.pixel(w - 1, h - 1));
            flip_horizontal(&mut g);
            prop_assert_eq!(f, g);
        }

        #[test]
        fn resizing_keeps_a_uniform_image(w in 1usize..40, h in 1usize..40, ow in 1usize..40, oh in 1usize..40, v: u8) {
            let f = RgbFrame::of(w, h, vec![v; w * h * 3]);
            for filter in [Filter::Bilinear, Filter::Antialiased] {
                let out = resize_exact(&f, ow, oh, filter).unwrap();
                prop_assert_eq!(out.data(), &vec![v; ow * oh * 3][..]);
            }
        }
    }
}
