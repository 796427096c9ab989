//! Scores.

mod classification;

pub use classification::Classification;
