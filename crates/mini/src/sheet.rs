//! A contact sheet: a picture of many frames.

use crate::config::MiniConfig;
use crate::error::MiniError;
use crate::motion::Class;
use crate::scene::Scene;
use crate::split::Split;
use glad_video::{Cell, RgbFrame};

/// Draws a sheet with a row for each class, and in it for each of `splits` `columns` frames, evenly spaced over the
/// class's video number `round`, before encoding; with its number under each.
///
/// # Errors
/// [`MiniError::Config`] if the settings are out of range.
pub fn contact_sheet(
    config: &MiniConfig,
    splits: &[Split],
    columns: usize,
    round: usize,
) -> Result<RgbFrame, MiniError> {
    config.check()?;
    let size = config.size;
    let row = |class: usize| -> Result<Vec<Cell>, MiniError> {
        let mut cells = vec![];
        for &split in splits {
            let scene = Scene::draw(config, split, class + round * Class::ALL.len());
            for column in 0..columns {
                let index = column * (scene.frame_count() - 1) / (columns - 1).max(1);
                let mut data = Vec::new();
                scene.frame(index, &mut data);
                cells.push(Cell {
                    frame: RgbFrame::new(size, size, data)?,
                    caption: index.to_string(),
                });
            }
        }
        Ok(cells)
    };
    let rows = (0..Class::ALL.len()).map(row).collect::<Result<Vec<_>, _>>()?;
    Ok(glad_video::contact_sheet(&rows, usize::MAX)?)
}
