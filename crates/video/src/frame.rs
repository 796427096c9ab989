//! One RGB picture.

/// Why an image operation cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The bytes do not fit the size.
    #[error("{got} bytes are not an RGB image of {width}x{height} pixels, which has {}", width * height * 3)]
    Length {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Number of bytes.
        got: usize,
    },
    /// An image without pixels was requested.
    #[error("an image of {width}x{height} pixels is empty")]
    Empty {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// A crop reaches beyond the image.
    #[error("a crop of {}x{} pixels at ({}, {}) does not lie in an image of {width}x{height}", crop.width, crop.height, crop.x, crop.y)]
    Crop {
        /// The crop.
        crop: crate::CropBox,
        /// Width of the image in pixels.
        width: usize,
        /// Height of the image in pixels.
        height: usize,
    },
    /// Images that must have one size differ.
    #[error("an image of {got_width}x{got_height} pixels among images of {width}x{height}")]
    Size {
        /// Width of the others.
        width: usize,
        /// Height of the others.
        height: usize,
        /// Width of this one.
        got_width: usize,
        /// Height of this one.
        got_height: usize,
    },
    /// A median of no images was requested.
    #[error("a median needs at least one image")]
    NoImages,
    /// More images than a median by counting can take.
    #[error("a median by counting takes no more than {0} images")]
    TooMany(usize),
    /// The median failed.
    #[error("cannot take the median: {0}")]
    Median(String),
    /// The resize library failed.
    #[error("cannot resize: {0}")]
    Resize(String),
}

/// An 8-bit RGB picture: rows from top to bottom, interleaved, no padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbFrame {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl RgbFrame {
    /// A picture from `height * width * 3` bytes.
    ///
    /// # Errors
    /// If `data` has another length.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Self, ImageError> {
        if width.checked_mul(height).and_then(|n| n.checked_mul(3)) == Some(data.len()) {
            Ok(Self::of(width, height, data))
        } else {
            Err(ImageError::Length {
                width,
                height,
                got: data.len(),
            })
        }
    }

    /// A picture from bytes of the right length.
    pub(crate) fn of(width: usize, height: usize, data: Vec<u8>) -> Self {
        debug_assert_eq!(data.len(), width * height * 3);
        Self { width, height, data }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The bytes, shape `[height, width, 3]`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, shape `[height, width, 3]`, to change in place.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// The bytes, shape `[height, width, 3]`, moved out.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The three bytes of a pixel.
    ///
    /// # Panics
    /// If `x` or `y` is outside the picture.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        assert!(
            x < self.width && y < self.height,
            "pixel ({x}, {y}) of a {}x{} frame",
            self.width,
            self.height
        );
        let i = (y * self.width + x) * 3;
        [self.data[i], self.data[i + 1], self.data[i + 2]]
    }
}
