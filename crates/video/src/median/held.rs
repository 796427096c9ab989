//! All images in memory, and the value of a rank among them.

use crate::ImageError;

#[derive(Debug, Default)]
pub(super) struct Held(Vec<Vec<u8>>);

impl Held {
    pub(super) fn push(&mut self, frame: Vec<u8>) {
        self.0.push(frame);
    }

    /// The value of rank `rank` (0 is the smallest) of every byte, and that of the next rank.
    pub(super) fn select(&self, rank: usize, found: &mut [u8], next: Option<&mut [u8]>) -> Result<(), ImageError> {
        let rows: Vec<&[u8]> = self.0.iter().map(Vec::as_slice).collect();
        glad_ops::rank::select(&rows, rank, found, next).map_err(|e| ImageError::Median(e.to_string()))
    }
}
