//! A picture of many frames, to look at.

use crate::config::MiniConfig;
use crate::error::MiniError;
use crate::motion::Class;
use crate::scene::Scene;
use crate::split::Split;

/// Columns between the parts of a sheet, in pixels.
const GAP: usize = 12;

/// A picture of many frames.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Width, in pixels.
    pub width: usize,
    /// Height, in pixels.
    pub height: usize,
    /// `height * width * 3` bytes, row by row, R, G, B.
    pub rgb: Vec<u8>,
}

/// Draws a sheet with a row for each class and a part for each of `splits`, side by side: in each,
/// `columns` frames, evenly spaced over the class's video number `round`, before encoding.
///
/// # Errors
/// [`MiniError::Config`] if the settings are out of range.
pub fn contact_sheet(config: &MiniConfig, splits: &[Split], columns: usize, round: usize) -> Result<Sheet, MiniError> {
    config.check()?;
    let size = config.size;
    let part = columns * size + GAP;
    let (width, height) = (splits.len() * part, Class::ALL.len() * size);
    let mut sheet = Sheet {
        width,
        height,
        rgb: vec![0; width * height * 3],
    };
    let mut frame = Vec::new();
    for class in 0..Class::ALL.len() {
        for (place, &split) in splits.iter().enumerate() {
            let scene = Scene::draw(config, split, class + round * Class::ALL.len());
            for column in 0..columns {
                let index = column * (scene.frame_count() - 1) / (columns - 1).max(1);
                scene.frame(index, &mut frame);
                for (y, row) in frame.chunks_exact(size * 3).enumerate() {
                    let at = ((class * size + y) * width + place * part + column * size) * 3;
                    sheet.rgb[at..at + row.len()].copy_from_slice(row);
                }
            }
        }
    }
    Ok(sheet)
}
