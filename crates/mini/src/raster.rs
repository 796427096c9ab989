//! Drawing into a picture of floating-point RGB.

use crate::skeleton::Point;

/// Red, green and blue, 0 to 255.
pub(crate) type Rgb = [f32; 3];

/// A square picture; row by row from the top.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    /// Height and width, in pixels.
    pub size: usize,
    /// `size * size` pixels.
    pub pixels: Vec<Rgb>,
}

impl Picture {
    /// A picture whose pixels are `colour(x, y)`, at the pixels' centres.
    pub(crate) fn new(size: usize, mut colour: impl FnMut(f32, f32) -> Rgb) -> Self {
        let pixels = (0..size * size)
            .map(|pixel| colour((pixel % size) as f32 + 0.5, (pixel / size) as f32 + 0.5))
            .collect();
        Self { size, pixels }
    }

    /// Draws the points within `radius` of the segment from `a` to `b`, with edges one pixel
    /// soft. `cloth` (as many values as pixels) lightens and darkens the colour.
    pub(crate) fn capsule(&mut self, a: Point, b: Point, radius: f32, colour: Rgb, cloth: Option<&[f32]>) {
        let size = self.size;
        let span = |axis: usize| {
            let reach = radius + 1.0;
            let low = (a[axis].min(b[axis]) - reach).floor().clamp(0.0, size as f32);
            let high = (a[axis].max(b[axis]) + reach).ceil().clamp(0.0, size as f32);
            low as usize..high as usize
        };
        let along = [b[0] - a[0], b[1] - a[1]];
        // A circle is a segment without length; the small term avoids 0 / 0.
        let per_length = 1.0 / (along[0] * along[0] + along[1] * along[1] + 1e-6);
        let outside = (radius + 0.5) * (radius + 0.5);
        let columns = span(0);
        for y in span(1) {
            let py = y as f32 + 0.5 - a[1];
            for x in columns.clone() {
                let px = x as f32 + 0.5 - a[0];
                let t = ((px * along[0] + py * along[1]) * per_length).clamp(0.0, 1.0);
                let (dx, dy) = (px - t * along[0], py - t * along[1]);
                let squared = dx * dx + dy * dy;
                if squared >= outside {
                    continue;
                }
                let cover = (0.5 + radius - squared.sqrt()).min(1.0);
                let pixel = y * size + x;
                let shade = cloth.map_or(1.0, |cloth| 1.0 + cloth[pixel]);
                for (value, colour) in self.pixels[pixel].iter_mut().zip(colour) {
                    *value += cover * ((colour * shade).clamp(0.0, 255.0) - *value);
                }
            }
        }
    }

    /// The picture as bytes: `size * size * 3`, R, G, B.
    pub(crate) fn write_bytes(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        // The conversion saturates.
        bytes.extend(self.pixels.iter().flatten().map(|&value| (value + 0.5) as u8));
    }
}

/// A colour from hue (any number; 1 is once round), saturation and value, 0 to 1.
pub(crate) fn hsv(hue: f32, saturation: f32, value: f32) -> Rgb {
    // https://en.wikipedia.org/wiki/HSL_and_HSV#HSV_to_RGB_alternative
    [5.0, 3.0, 1.0].map(|n: f32| {
        let k = (n + 6.0 * hue).rem_euclid(6.0);
        255.0 * value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn white(size: usize) -> Picture {
        Picture::new(size, |_, _| [255.0; 3])
    }

    fn area(picture: &Picture) -> f32 {
        picture.pixels.iter().map(|pixel| 1.0 - pixel[0] / 255.0).sum()
    }

    #[test]
    fn capsules_cover_their_area() {
        for (a, b, radius) in [
            ([20.0, 20.0], [20.0, 20.0], 6.0),
            ([10.0, 12.0], [30.0, 25.0], 3.0),
            ([30.0, 8.0], [8.0, 33.0], 4.5),
        ] {
            let mut picture = white(40);
            picture.capsule(a, b, radius, [0.0; 3], None);
            let length = f32::hypot(a[0] - b[0], a[1] - b[1]);
            let expected = std::f32::consts::PI * radius * radius + 2.0 * radius * length;
            let covered = area(&picture);
            assert!(
                (covered - expected).abs() < 0.02 * expected,
                "{covered} against {expected}"
            );
        }
    }

    #[test]
    fn capsules_outside_leave_the_picture_alone() {
        let mut picture = white(16);
        for far in [-1000.0, -8.0, 24.0, 1e9, f32::MAX.sqrt()] {
            picture.capsule([far, far], [far + 2.0, far], 3.0, [0.0; 3], None);
        }
        assert_eq!(area(&picture), 0.0);
        picture.capsule([-2.0, 8.0], [1.0, 8.0], 3.0, [0.0; 3], None);
        assert!(area(&picture) > 5.0);
    }

    #[test]
    fn hues_are_where_they_belong() {
        assert_eq!(hsv(0.0, 1.0, 1.0), [255.0, 0.0, 0.0]);
        assert_eq!(hsv(1.0 / 3.0, 1.0, 1.0).map(f32::round), [0.0, 255.0, 0.0]);
        assert_eq!(hsv(-1.0 / 3.0, 1.0, 1.0).map(f32::round), [0.0, 0.0, 255.0]);
        assert_eq!(hsv(0.7, 0.0, 0.5), [127.5; 3]);
    }
}
