//! Bounds on what an untrusted file can make a reader do.

/// Bounds on memory and work. Exceeding one is a
/// [`VideoError::Limit`](crate::VideoError::Limit), not an attempt.
///
/// They bound work (samples, bytes), never time, so that a file's validity does not depend
/// on the load of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Pixels of one picture, before cropping. Default: 4096 × 2304.
    pub max_pixels: u64,
    /// Coded pictures (samples) of a video, or files of a folder. Default: 2²⁰, nearly ten hours
    /// at 30 frames a second.
    pub max_samples: u64,
    /// Bytes of one coded picture. Default: 32 MiB.
    pub max_sample_bytes: u64,
    /// Bytes of the container's tables (`moov` and all `moof` boxes together). Default: 128 MiB.
    pub max_index_bytes: u64,
    /// Coded pictures processed in one call, whether decoded or skipped. Default: 2²⁰.
    pub max_read: u64,
    /// Macroblocks (16 × 16 pixels) decoded in one call, counting each slice up to the end of its picture, which it may
    /// reach. Default: 2³⁴, which is two thousand million pictures of 100 × 100 pixels, or 19 hours of 1920 × 1080 in one
    /// slice at 30 frames a second.
    pub max_macroblocks: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: 4096 * 2304,
            max_samples: 1 << 20,
            max_sample_bytes: 32 << 20,
            max_index_bytes: 128 << 20,
            max_read: 1 << 20,
            max_macroblocks: 1 << 34,
        }
    }
}
