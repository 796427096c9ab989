//! Turning pictures upright.

use crate::RgbFrame;

/// How stored pictures are to be turned or mirrored to stand upright: one of the eight symmetries
/// of a rectangle, from the display matrix of the track header (ISO/IEC 14496-12, 8.3.2), or the EXIF orientation of an image
/// (CIPA DC-008, tag 0x0112).
///
/// Column `(x, y)` of a picture is shown at `(a·x + c·y, b·x + d·y)`, up to a shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orientation {
    /// Rows become columns.
    transpose: bool,
    /// Mirrored left to right, after the transposition.
    flip_x: bool,
    /// Mirrored top to bottom, after the transposition.
    flip_y: bool,
}

impl Orientation {
    /// As stored.
    pub const UPRIGHT: Self = Self {
        transpose: false,
        flip_x: false,
        flip_y: false,
    };

    /// From the nine numbers `a b u c d v x y w` of a display matrix. A matrix that is not a
    /// multiple of a quarter turn (a shear, a slant, all zero) is interpreted by its larger diagonal,
    /// which is what players without free rotation show.
    #[must_use]
    pub fn from_display_matrix(matrix: &[i32; 9]) -> Self {
        let [a, b, _, c, d, ..] = matrix.map(i64::from);
        if b.abs() + c.abs() > a.abs() + d.abs() {
            Self {
                transpose: true,
                flip_x: c < 0,
                flip_y: b < 0,
            }
        } else {
            Self {
                transpose: false,
                flip_x: a < 0,
                flip_y: d < 0,
            }
        }
    }

    /// From the number of an EXIF orientation; what is none is upright.
    #[must_use]
    pub fn from_exif(number: u8) -> Self {
        let (transpose, flip_x, flip_y) = match number {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self {
            transpose,
            flip_x,
            flip_y,
        }
    }

    /// Width and height of the upright picture.
    pub fn size(self, width: usize, height: usize) -> (usize, usize) {
        if self.transpose {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// The upright picture.
    pub fn apply(self, frame: RgbFrame) -> RgbFrame {
        if self == Self::UPRIGHT {
            return frame;
        }
        let (sw, sh) = (frame.width(), frame.height());
        let (w, h) = self.size(sw, sh);
        let src = frame.data();
        let mut out = Vec::with_capacity(src.len());
        for y in 0..h {
            let y = if self.flip_y { h - 1 - y } else { y };
            for x in 0..w {
                let x = if self.flip_x { w - 1 - x } else { x };
                let (sx, sy) = if self.transpose { (y, x) } else { (x, y) };
                let i = (sy * sw + sx) * 3;
                out.extend_from_slice(&src[i..i + 3]);
            }
        }
        RgbFrame::of(w, h, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: i32 = 0x10000;

    fn matrix(a: i32, b: i32, c: i32, d: i32) -> [i32; 9] {
        [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 0x4000_0000]
    }

    /// Pixels 1 2 3 / 4 5 6, the number in every channel.
    fn picture() -> RgbFrame {
        RgbFrame::of(3, 2, (1..=6u8).flat_map(|v| [v; 3]).collect())
    }

    fn turned(m: [i32; 9]) -> (usize, usize, Vec<u8>) {
        let f = Orientation::from_display_matrix(&m).apply(picture());
        let pixels = f.data().chunks(3).map(|p| p[0]).collect();
        (f.width(), f.height(), pixels)
    }

    #[test]
    fn quarter_turns_follow_the_matrix() {
        assert_eq!(turned(matrix(1, 0, 0, 1)), (3, 2, vec![1, 2, 3, 4, 5, 6]));
        // (x, y) -> (-y, x): a quarter turn clockwise, as phones write for portrait.
        assert_eq!(turned(matrix(0, 1, -1, 0)), (2, 3, vec![4, 1, 5, 2, 6, 3]));
        assert_eq!(turned(matrix(-1, 0, 0, -1)), (3, 2, vec![6, 5, 4, 3, 2, 1]));
        assert_eq!(turned(matrix(0, -1, 1, 0)), (2, 3, vec![3, 6, 2, 5, 1, 4]));
    }

    #[test]
    fn mirrors_follow_the_matrix() {
        assert_eq!(turned(matrix(-1, 0, 0, 1)), (3, 2, vec![3, 2, 1, 6, 5, 4]));
        assert_eq!(turned(matrix(1, 0, 0, -1)), (3, 2, vec![4, 5, 6, 1, 2, 3]));
        assert_eq!(turned(matrix(0, 1, 1, 0)), (2, 3, vec![1, 4, 2, 5, 3, 6]));
    }

    /// Row 0 and column 0 of the stored picture are at the visual side that the standard names.
    #[test]
    fn exif_numbers_name_the_sides() {
        let turned = |number: u8| {
            let f = Orientation::from_exif(number).apply(picture());
            (f.width(), f.data().chunks(3).map(|p| p[0]).collect::<Vec<u8>>())
        };
        for (number, width, pixels) in [
            (0, 3, [1, 2, 3, 4, 5, 6]),
            // Top and left, top and right, bottom and right, bottom and left.
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            // Left and top, right and top, right and bottom, left and bottom.
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [4, 1, 5, 2, 6, 3]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [3, 6, 2, 5, 1, 4]),
            (9, 3, [1, 2, 3, 4, 5, 6]),
        ] {
            assert_eq!(turned(number), (width, pixels.to_vec()), "{number}");
        }
    }

    #[test]
    fn a_matrix_of_zeros_is_upright() {
        assert_eq!(Orientation::from_display_matrix(&[0; 9]), Orientation::UPRIGHT);
    }
}
