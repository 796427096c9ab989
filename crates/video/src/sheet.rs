//! Contact sheets: many frames in one picture, each with a caption; and pictures as PNG.

use crate::ops::{Filter, resize_exact};
use crate::{ImageError, RgbFrame};
use font8x8::UnicodeFonts;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::io;

/// Pixels between frames.
const GAP: usize = 4;
const GROUND: u8 = 24;
/// Side of a letter, in font pixels.
const LETTER: usize = 8;

/// A frame of a sheet.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The frame, of any size.
    pub frame: RgbFrame,
    /// The caption under it, such as its number: ASCII; excess text is cut.
    pub caption: String,
}

/// The frames of each row side by side, rows below each other, no wider than `most` pixels: if necessary, all frames are
/// shrunk by the same factor.
///
/// # Errors
/// If there is no frame.
pub fn contact_sheet(rows: &[Vec<Cell>], most: usize) -> Result<RgbFrame, ImageError> {
    let cells = || rows.iter().flatten();
    let largest = |side: &dyn Fn(&RgbFrame) -> usize| cells().map(|c| side(&c.frame)).max().unwrap_or(0);
    let (width, height) = (largest(&RgbFrame::width), largest(&RgbFrame::height));
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    if width == 0 || height == 0 {
        return Err(ImageError::NoImages);
    }
    let room = (most.saturating_sub(GAP) / columns).saturating_sub(GAP).max(1);
    let shrink = (room as f64 / width as f64).min(1.0);
    let scaled = |side: usize| ((side as f64 * shrink).round() as usize).max(1);
    let (width, height) = (scaled(width), scaled(height));
    // Larger letters where there is room for the numbers of long videos.
    let zoom = if width >= 14 * LETTER { 2 } else { 1 };
    let strip = LETTER * zoom + 4;
    let mut sheet = Canvas::new(GAP + columns * (width + GAP), GAP + rows.len() * (height + strip + GAP));
    for (i, row) in rows.iter().enumerate() {
        for (j, cell) in row.iter().enumerate() {
            let (x, y) = (GAP + j * (width + GAP), GAP + i * (height + strip + GAP));
            let size = (scaled(cell.frame.width()), scaled(cell.frame.height()));
            sheet.put(x, y, &resize_exact(&cell.frame, size.0, size.1, Filter::Antialiased)?);
            sheet.write(x, y + height + 2, &cell.caption, zoom, width / (LETTER * zoom));
        }
    }
    RgbFrame::new(sheet.width, sheet.data.len() / 3 / sheet.width, sheet.data)
}

struct Canvas {
    width: usize,
    data: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            data: vec![GROUND; width * height * 3],
        }
    }

    fn put(&mut self, x: usize, y: usize, frame: &RgbFrame) {
        let row = frame.width() * 3;
        for (i, pixels) in frame.data().chunks_exact(row).enumerate() {
            let at = ((y + i) * self.width + x) * 3;
            self.data[at..at + row].copy_from_slice(pixels);
        }
    }

    /// At most `most` letters.
    fn write(&mut self, x: usize, y: usize, text: &str, zoom: usize, most: usize) {
        for (i, letter) in text.chars().take(most).enumerate() {
            let rows = font8x8::BASIC_FONTS.get(letter).unwrap_or([0; LETTER]);
            for (dy, bits) in rows.iter().enumerate() {
                for dx in (0..LETTER).filter(|dx| bits >> dx & 1 == 1) {
                    self.dot(x + (i * LETTER + dx) * zoom, y + dy * zoom, zoom);
                }
            }
        }
    }

    fn dot(&mut self, x: usize, y: usize, side: usize) {
        for row in y..y + side {
            let at = (row * self.width + x) * 3;
            self.data[at..at + side * 3].fill(235);
        }
    }
}

/// The picture as a PNG file.
///
/// # Errors
/// If it exceeds PNG's limits.
pub fn png(frame: &RgbFrame) -> io::Result<Vec<u8>> {
    let mut out = vec![];
    let side = |n: usize| u32::try_from(n).map_err(io::Error::other);
    let (width, height) = (side(frame.width())?, side(frame.height())?);
    PngEncoder::new(&mut out)
        .write_image(frame.data(), width, height, ExtendedColorType::Rgb8)
        .map_err(io::Error::other)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(width: usize, height: usize, value: u8, caption: &str) -> Cell {
        Cell {
            frame: RgbFrame::new(width, height, vec![value; width * height * 3]).unwrap(),
            caption: caption.into(),
        }
    }

    #[test]
    fn frames_lie_in_rows_with_their_words_under_them() {
        let rows = [
            vec![cell(20, 10, 100, "7"), cell(20, 10, 200, "")],
            vec![cell(10, 10, 50, "12345")],
        ];
        let sheet = contact_sheet(&rows, 1000).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (4 + 2 * 24, 4 + 2 * 26));
        assert_eq!(sheet.pixel(4, 4), [100; 3]);
        assert_eq!(sheet.pixel(28, 4), [200; 3]);
        assert_eq!(sheet.pixel(4, 30), [50; 3]);
        assert_eq!(sheet.pixel(0, 0), [GROUND; 3]);
        let written = |x: std::ops::Range<usize>, y: std::ops::Range<usize>| {
            y.flat_map(|y| x.clone().map(move |x| (x, y)))
                .filter(|(x, y)| sheet.pixel(*x, *y) == [235; 3])
                .count()
        };
        // the bits of a seven, and nothing under the frame without words
        let seven: u32 = font8x8::BASIC_FONTS
            .get('7')
            .unwrap()
            .iter()
            .map(|b| b.count_ones())
            .sum();
        assert_eq!(written(4..24, 14..26), seven as usize);
        assert_eq!(written(28..48, 14..26), 0);
        // two letters fit under 20 pixels
        assert_eq!(written(20..52, 40..52), 0);
        assert!(written(4..20, 40..52) > 0);
    }

    #[test]
    fn wide_rows_are_made_smaller() {
        let row: Vec<Cell> = (0..10).map(|i| cell(640, 480, i, "3")).collect();
        let sheet = contact_sheet(&[row], 1600).unwrap();
        assert!(sheet.width() <= 1600 && sheet.width() > 1500, "{}", sheet.width());
        assert_eq!(sheet.pixel(10, 10), [0; 3]);
        assert!(matches!(contact_sheet(&[], 100), Err(ImageError::NoImages)));
    }

    #[test]
    fn png_holds_the_same_pixels() {
        let data: Vec<u8> = (0..5 * 3 * 3).map(|i| i * 5).collect();
        let frame = RgbFrame::new(5, 3, data.clone()).unwrap();
        let read = image::load_from_memory(&png(&frame).unwrap()).unwrap().into_rgb8();
        assert_eq!((read.width(), read.height(), read.into_raw()), (5, 3, data));
    }
}
