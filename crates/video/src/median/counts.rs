//! Histograms of every byte: memory does not depend on the length of the video.

/// Images that can be counted: a count has 16 bits.
pub(super) const MOST: usize = u16::MAX as usize;

/// Images that are counted together, so that the counts of a byte are in the cache when needed.
pub(super) const TOGETHER: usize = 32;

/// Bytes of an image whose counts are in the cache at a time.
const COLUMNS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Counts {
    /// 256 counts for every byte of an image.
    counts: Vec<[u16; 256]>,
    /// Images that are not counted yet.
    waiting: Vec<Vec<u8>>,
}

impl Counts {
    pub(super) fn push(&mut self, frame: Vec<u8>) {
        self.waiting.push(frame);
        if self.waiting.len() == TOGETHER {
            self.count();
        }
    }

    fn count(&mut self) {
        let Some(first) = self.waiting.first() else { return };
        self.counts.resize(first.len(), [0; 256]);
        for (i, counts) in self.counts.chunks_mut(COLUMNS).enumerate() {
            for frame in &self.waiting {
                let values = &frame[i * COLUMNS..][..counts.len()];
                for (counts, value) in counts.iter_mut().zip(values) {
                    counts[usize::from(*value)] += 1;
                }
            }
        }
        self.waiting.clear();
    }

    /// The value of rank `rank` (0 is the smallest) of every byte, and that of the next rank.
    pub(super) fn select(&mut self, rank: usize, found: &mut [u8], next: Option<&mut [u8]>) {
        self.count();
        for (out, rank) in [(Some(found), rank), (next, rank + 1)] {
            for (out, counts) in out.into_iter().flatten().zip(&self.counts) {
                *out = value_of(rank, counts);
            }
        }
    }
}

/// The smallest value up to which more than `rank` values were counted.
fn value_of(rank: usize, counts: &[u16; 256]) -> u8 {
    let mut seen = 0;
    for (value, n) in (0..=u8::MAX).zip(counts) {
        seen += usize::from(*n);
        if seen > rank {
            return value;
        }
    }
    u8::MAX
}
