//! From decoded planes to RGB.

use rusty_h264_common::YuvFrame;
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgb};

use crate::RgbFrame;

/// How Y, Cb and Cr become RGB.
///
/// What the bitstream says (VUI, H.264 annex E) is used; what it leaves open is taken as ffmpeg
/// takes it: limited range, and the matrix of BT.601 whatever the picture's size. Pipelines that
/// read frames through ffmpeg, OpenCV or decord see these colours, within 3 levels (ffmpeg's fast
/// path is that coarse; this one is within 1 of exact arithmetic). Luma below 16, which a video of
/// limited range should not hold, counts as 16 here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colour {
    pub full_range: bool,
    /// `matrix_coefficients` of table E-5; 2 is "unspecified".
    pub matrix: u8,
}

impl Colour {
    pub const UNSPECIFIED: Self = Self {
        full_range: false,
        matrix: 2,
    };

    fn standard_matrix(self) -> Option<YuvStandardMatrix> {
        Some(match self.matrix {
            1 => YuvStandardMatrix::Bt709,
            4 => YuvStandardMatrix::Fcc,
            2 | 3 | 5 | 6 => YuvStandardMatrix::Bt601,
            7 => YuvStandardMatrix::Smpte240,
            9 | 10 => YuvStandardMatrix::Bt2020,
            _ => return None,
        })
    }

    /// Whether the matrix is one that can be converted: not coded RGB, not YCgCo.
    pub fn is_supported(self) -> bool {
        self.standard_matrix().is_some()
    }
}

/// The window of a decoded picture that is to be shown, in luma pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

/// Converts the window of a picture. `left` and `top` are even (4:2:0 crops in pairs).
/// The error is a sentence fragment.
pub(crate) fn to_rgb(picture: &YuvFrame, window: Window, colour: Colour) -> Result<RgbFrame, String> {
    let Window {
        left,
        top,
        width,
        height,
    } = window;
    if !picture.is_valid() || left + width > picture.width || top + height > picture.height || width == 0 || height == 0
    {
        return Err(format!(
            "the decoder gave a picture of {}x{} pixels where {}x{} were announced",
            picture.width,
            picture.height,
            left + width,
            top + height
        ));
    }
    let matrix = colour
        .standard_matrix()
        .ok_or_else(|| format!("colour matrix {} is not supported", colour.matrix))?;
    let chroma = picture.width / 2;
    let corner = top / 2 * chroma + left / 2;
    let planes = YuvPlanarImage {
        y_plane: &picture.y[top * picture.width + left..],
        y_stride: picture.width as u32,
        u_plane: &picture.u[corner..],
        u_stride: chroma as u32,
        v_plane: &picture.v[corner..],
        v_stride: chroma as u32,
        width: width as u32,
        height: height as u32,
    };
    let range = if colour.full_range {
        YuvRange::Full
    } else {
        YuvRange::Limited
    };
    let mut rgb = vec![0; width * height * 3];
    yuv420_to_rgb(&planes, &mut rgb, (width * 3) as u32, range, matrix)
        .map_err(|e| format!("colour conversion failed: {e}"))?;
    Ok(RgbFrame::of(width, height, rgb))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Luma 16 to 235 from left to right; the right half is red, by its chroma.
    fn picture() -> YuvFrame {
        let mut p = YuvFrame::black(16, 4);
        for (i, y) in p.y.iter_mut().enumerate() {
            *y = [16, 30, 60, 90, 120, 150, 200, 235, 81, 81, 81, 81, 81, 81, 81, 81][i % 16];
        }
        for i in 0..p.v.len() {
            if i % 8 >= 4 {
                (p.u[i], p.v[i]) = (90, 240);
            }
        }
        p
    }

    fn window(left: usize, width: usize) -> Window {
        Window {
            left,
            top: 2,
            width,
            height: 2,
        }
    }

    fn limited(matrix: u8) -> Colour {
        Colour {
            full_range: false,
            matrix,
        }
    }

    #[test]
    fn ranges_and_matrices() {
        let grey = to_rgb(&picture(), window(0, 8), limited(2)).unwrap();
        assert_eq!(grey.pixel(0, 0), [0; 3]);
        assert_eq!(grey.pixel(7, 1), [255; 3]);
        let full = Colour {
            full_range: true,
            matrix: 2,
        };
        let grey = to_rgb(&picture(), window(0, 8), full).unwrap();
        assert_eq!(grey.pixel(3, 0), [90; 3]);
        // 81, 90, 240 is pure red in BT.601, and is what nothing is said of means.
        for unspecified in [2, 5, 6] {
            let red = to_rgb(&picture(), window(8, 8), limited(unspecified)).unwrap();
            let [r, g, b] = red.pixel(4, 0);
            assert!(r >= 253 && g <= 2 && b <= 2, "{r} {g} {b}");
        }
        let [r, g, _] = to_rgb(&picture(), window(8, 8), limited(1)).unwrap().pixel(4, 0);
        // BT.709: R = 1.164 (81 - 16) + 1.793 * 112, G = 75.7 + 0.213 * 38 - 0.533 * 112.
        assert!(r == 255 && g.abs_diff(24) <= 1, "{r} {g}");
        assert!(to_rgb(&picture(), window(0, 8), limited(0)).is_err());
    }

    #[test]
    fn the_window_is_cut_out_of_all_planes() {
        let whole = to_rgb(&picture(), window(0, 16), limited(2)).unwrap();
        let part = to_rgb(&picture(), window(6, 6), limited(2)).unwrap();
        for x in 0..6 {
            assert_eq!(part.pixel(x, 1), whole.pixel(x + 6, 1));
        }
        assert!(to_rgb(&picture(), window(10, 8), limited(2)).is_err());
    }
}
