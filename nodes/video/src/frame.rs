//! One RGB picture.

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
    /// # Panics
    /// If `data` has another length.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Self {
        assert_eq!(data.len(), width * height * 3, "a {width}x{height} RGB frame");
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

    /// The bytes, shape `[height, width, 3]`, taken out.
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
