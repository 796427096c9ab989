//! The backgrounds behind the figure.

use std::f32::consts::{FRAC_PI_2, FRAC_PI_4, TAU};

use crate::raster::{Picture, Rgb, hsv};
use crate::stream::Stream;

/// Frame height, in pixels, for which lengths in pixels are given here.
const REFERENCE: f32 = 48.0;

/// Families of source backgrounds: one for each class.
pub(crate) const FAMILIES: usize = 12;

/// Grey level about which contrast is reduced.
const MID: f32 = 175.0;

/// Contrast and texture of a painted background: see the settings of the same names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Contrast and saturation about mid grey, 0 to 1.
    pub contrast: f32,
    /// Strength of pattern, noise and furniture, 0 to 1.
    pub texture: f32,
}

/// Smooth noise: standard normal values on a lattice of `cells` squares a side, blended between.
/// `size * size` values.
pub(crate) fn lattice_noise(size: usize, cells: usize, stream: &mut Stream) -> Vec<f32> {
    let side = cells + 1;
    let lattice: Vec<f32> = (0..side * side).map(|_| stream.normal(1.0)).collect();
    let axis: Vec<(usize, f32)> = (0..size)
        .map(|pixel| {
            let at = pixel as f32 * cells as f32 / size as f32;
            let cell = (at as usize).min(cells - 1);
            let part = at - cell as f32;
            (cell, part * part * (3.0 - 2.0 * part))
        })
        .collect();
    let mut noise = Vec::with_capacity(size * size);
    for &(row, down) in &axis {
        for &(column, right) in &axis {
            let corner = |dy: usize, dx: usize| lattice[(row + dy) * side + column + dx];
            let top = corner(0, 0) * (1.0 - right) + corner(0, 1) * right;
            let bottom = corner(1, 0) * (1.0 - right) + corner(1, 1) * right;
            noise.push(top * (1.0 - down) + bottom * down);
        }
    }
    noise
}

/// A room or place of the given family (0 to 11): the family sets the hues of wall and ground and
/// the wall's pattern (stripes upright, level or slanted, or blobs); the rest is the video's own.
pub(crate) fn painted(family: usize, size: usize, look: Look, stream: &mut Stream) -> Picture {
    let unit = size as f32 / REFERENCE;
    let hue = family as f32 / FAMILIES as f32 + stream.normal(0.02);
    let wall = hsv(hue, stream.uniform(0.3, 0.7), stream.uniform(0.65, 0.95));
    let ground_hue = hue + [0.45, 0.12, 0.3][family % 3] + stream.normal(0.03);
    let ground = hsv(ground_hue, stream.uniform(0.2, 0.6), stream.uniform(0.5, 0.85));
    let horizon = stream.uniform(0.55, 0.8) * size as f32;

    let pattern = family % 4;
    let angle = stream.uniform(-0.15, 0.15) + [0.0, FRAC_PI_2, FRAC_PI_4, 0.0][pattern];
    let (sin, cos) = angle.sin_cos();
    let frequency = stream.uniform(0.5, 1.3) / unit;
    let strength = stream.uniform(0.06, 0.16);
    let phase = stream.uniform(0.0, TAU);
    let cells = 5 + stream.below(4);
    let blobs = lattice_noise(size, cells, stream);
    let soil = lattice_noise(size, 12, stream);
    let cells = 3 + stream.below(4);
    let light = lattice_noise(size, cells, stream);

    let mut pixel = 0;
    let mut picture = Picture::new(size, |x, y| {
        let mark = if y > horizon {
            0.08 * soil[pixel]
        } else if pattern < 3 {
            strength * (frequency * (x * cos + y * sin) + phase).sin().signum()
        } else {
            strength * blobs[pixel].signum()
        };
        let shade = 1.0 + look.texture * (mark + 0.07 * light[pixel] + stream.normal(0.05));
        pixel += 1;
        let base = if y > horizon { ground } else { wall };
        base.map(|value| value * shade)
    });
    for _ in 0..stream.below(3) {
        furniture(&mut picture, unit, look, stream);
    }
    for value in picture.pixels.iter_mut().flatten() {
        *value = (MID + look.contrast * (value.clamp(0.0, 255.0) - MID)).clamp(0.0, 255.0);
    }
    picture
}

/// A box somewhere, with an opacity that follows the texture.
fn furniture(picture: &mut Picture, unit: f32, look: Look, stream: &mut Stream) {
    let size = picture.size;
    let centre = [stream.uniform(0.0, size as f32), stream.uniform(0.0, size as f32)];
    let half = [stream.uniform(2.0, 6.0) * unit, stream.uniform(2.0, 6.0) * unit];
    let colour = hsv(stream.unit(), stream.uniform(0.1, 0.6), stream.uniform(0.4, 0.9));
    let cover = 0.5 * look.texture;
    for (pixel, value) in picture.pixels.iter_mut().enumerate() {
        let at = [(pixel % size) as f32 + 0.5, (pixel / size) as f32 + 0.5];
        if (0..2).all(|axis| (at[axis] - centre[axis]).abs() < half[axis]) {
            let mixed: Rgb = std::array::from_fn(|c| value[c] * (1.0 - cover) + colour[c] * cover);
            *value = mixed;
        }
    }
}

/// The grey void of rendered motion capture: a checkerboard floor in perspective, fading into the
/// wall at the horizon; `centre` is the column of its vanishing point.
pub(crate) fn checkerboard(size: usize, centre: f32, stream: &mut Stream) -> Picture {
    let unit = size as f32 / REFERENCE;
    let horizon = stream.uniform(0.52, 0.66) * size as f32;
    let wall = stream.uniform(165.0, 195.0);
    let centre = centre + stream.uniform(-3.0, 3.0) * unit;
    let across = stream.uniform(1.4, 1.8);
    let (away, offset) = (stream.uniform(28.0, 36.0) * unit, stream.uniform(0.0, 2.0));
    let (dark, step) = (stream.uniform(135.0, 150.0), stream.uniform(30.0, 45.0));
    Picture::new(size, |x, y| {
        if y <= horizon {
            return [wall; 3];
        }
        let depth = (y - horizon).max(0.5 * unit);
        let column = ((x - centre) / depth * across).floor();
        let row = (away / depth + offset).floor();
        let floor = dark + step * (column + row).rem_euclid(2.0);
        let clear = (depth / (6.0 * unit)).min(1.0);
        [floor * clear + wall * (1.0 - clear); 3]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(index: usize) -> Stream {
        Stream::new(0, "test", index, "background")
    }

    fn mean(picture: &Picture, rows: std::ops::Range<usize>) -> Rgb {
        let pixels = &picture.pixels[rows.start * picture.size..rows.end * picture.size];
        std::array::from_fn(|c| pixels.iter().map(|pixel| pixel[c]).sum::<f32>() / pixels.len() as f32)
    }

    #[test]
    fn contrast_pulls_towards_mid_grey() {
        let spread = |contrast| {
            let picture = painted(4, 48, Look { contrast, texture: 0.4 }, &mut stream(1));
            picture
                .pixels
                .iter()
                .flatten()
                .map(|value| (value - MID).abs())
                .sum::<f32>()
        };
        let (full, third, none) = (spread(1.0), spread(0.3), spread(0.0));
        assert!(
            none == 0.0 && (third / full - 0.3).abs() < 1e-3,
            "{full} {third} {none}"
        );
    }

    #[test]
    fn families_have_hues_of_their_own() {
        let look = Look {
            contrast: 1.0,
            texture: 0.4,
        };
        // Walls of one family lie closer to each other than to the opposite family's.
        let wall = |family, index| mean(&painted(family, 48, look, &mut stream(index)), 0..20);
        let chroma = |[r, g, b]: Rgb| [r - g, g - b];
        let apart = |a: Rgb, b: Rgb| {
            let (a, b) = (chroma(a), chroma(b));
            (a[0] - b[0]).hypot(a[1] - b[1])
        };
        for family in 0..6 {
            let same = apart(wall(family, 1), wall(family, 2));
            let other = apart(wall(family, 1), wall(family + 6, 3));
            assert!(same < other, "family {family}: {same} against {other}");
        }
    }

    #[test]
    fn checkerboard_is_grey_with_two_tones_near_the_viewer() {
        let picture = checkerboard(48, 24.0, &mut stream(3));
        assert!(picture.pixels.iter().all(|[r, g, b]| r == g && g == b));
        let front: Vec<f32> = picture.pixels[47 * 48..].iter().map(|pixel| pixel[0]).collect();
        let (low, high) = front
            .iter()
            .fold((255f32, 0f32), |(low, high), &v| (low.min(v), high.max(v)));
        assert!(high - low > 25.0);
    }

    #[test]
    fn noise_is_smooth_between_lattice_points() {
        let noise = lattice_noise(64, 4, &mut stream(4));
        let steepest = noise
            .windows(2)
            .enumerate()
            .filter(|(i, _)| i % 64 != 63)
            .map(|(_, w)| (w[0] - w[1]).abs());
        assert!(steepest.fold(0.0, f32::max) < 0.5);
        assert!(noise.iter().any(|&value| value > 0.3) && noise.iter().any(|&value| value < -0.3));
    }
}
