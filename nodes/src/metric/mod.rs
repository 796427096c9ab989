//! Scores, and measures between lists.

mod background_gap;
mod classification;
mod length_gap;

pub use background_gap::BackgroundGap;
pub use classification::Classification;
pub use length_gap::{KnownGap, LengthGap};
