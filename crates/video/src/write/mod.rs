//! Small H.264 mp4 files, written in pure Rust.
//!
//! For tests and for procedural data sets: constant quantiser, I- and P-frames, one key frame
//! every [`WriteOptions::gop`] frames, constant frame rate, and the colours described in the stream and in
//! the container. The same frames and options give the same bytes, on any thread and in any number
//! of writers at once.

mod colour;
mod container;
mod error;
mod options;
mod partial;

pub use error::WriteError;
pub use options::{Effort, WriteOptions};
pub use partial::sweep;

use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use rusty_h264_common::YuvPlanes;
use rusty_h264_encoder::Encoder;
use shiguredo_mp4::TrackKind;
use shiguredo_mp4::mux::{Mp4FileMuxer, MuxError, Sample};
use tempfile::NamedTempFile;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, rgb_to_yuv420};

use colour::Matrix;
use container::{ParameterSets, to_length_prefixed};
use options::encoder_config;

/// The largest side that the writer accepts, in pixels: level 6.2 of H.264 ends near there.
const MAX_SIDE: usize = 8192;

/// Writes one mp4 file of H.264 video, frame by frame.
///
/// The complete file appears under its name when [`finish`](Self::finish) returns; until then the
/// data are in a temporary file next to it, which is deleted when the writer is dropped.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("grey.mp4");
/// use glad_video::write::VideoWriter;
///
/// let mut video = VideoWriter::create(&path, 32, 24, 25.0)?;
/// for level in 0..10 {
///     video.push(&vec![100 + level; 32 * 24 * 3])?;
/// }
/// assert_eq!(video.finish()?, 10);
/// # Ok::<(), glad_video::write::WriteError>(())
/// ```
pub struct VideoWriter {
    path: PathBuf,
    width: usize,
    height: usize,
    matrix: Matrix,
    encoder: Encoder,
    muxer: Mp4FileMuxer,
    out: BufWriter<NamedTempFile>,
    /// Bytes written so far: where the next sample starts.
    position: u64,
    timescale: NonZeroU32,
    frames: usize,
    durable: bool,
    planes: Planes,
    sample: Vec<u8>,
}

/// One picture in YCbCr 4:2:0: `y` is `height * width` bytes, `u` and `v` a quarter of it each.
struct Planes {
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl VideoWriter {
    /// Starts a video of `width` by `height` pixels at `fps` frames a second, with
    /// [`WriteOptions::default`].
    ///
    /// # Errors
    /// As [`create_with`](Self::create_with).
    pub fn create(path: impl AsRef<Path>, width: usize, height: usize, fps: f64) -> Result<Self, WriteError> {
        Self::create_with(path, width, height, fps, WriteOptions::default())
    }

    /// Starts a video of `width` by `height` pixels at `fps` frames a second (rounded to a
    /// thousandth).
    ///
    /// # Errors
    /// [`WriteError::Size`] for odd or impossible sizes, [`WriteError::Option`] for options out
    /// of range, [`WriteError::Io`] if the folder is missing or cannot be written.
    pub fn create_with(
        path: impl AsRef<Path>,
        width: usize,
        height: usize,
        fps: f64,
        options: WriteOptions,
    ) -> Result<Self, WriteError> {
        let path = path.as_ref().to_path_buf();
        let side_fits = |side: usize| (2..=MAX_SIDE).contains(&side) && side.is_multiple_of(2);
        if !side_fits(width) || !side_fits(height) {
            return Err(WriteError::Size { path, width, height });
        }
        let wrong = if options.qp > 51 {
            Some(format!("qp is {}, but must be 0 to 51", options.qp))
        } else if options.gop == 0 {
            Some("gop is 0, but must be at least 1".into())
        } else if !(0.001..=1000.0).contains(&fps) {
            Some(format!("fps is {fps}, but must be 0.001 to 1000"))
        } else {
            None
        };
        if let Some(what) = wrong {
            return Err(WriteError::Option { path, what });
        }
        let encode = |what: String| WriteError::Encode {
            path: path.clone(),
            frame: 0,
            what,
        };
        let encoder =
            Encoder::new(encoder_config(width, height, fps, options)).map_err(|error| encode(format!("{error:?}")))?;
        let muxer = Mp4FileMuxer::new().map_err(|error| encode(error.to_string()))?;
        let mut out = BufWriter::new(partial::beside(&path).map_err(|cause| WriteError::Io {
            path: path.clone(),
            cause,
        })?);
        let head = muxer.initial_boxes_bytes();
        out.write_all(head).map_err(|cause| WriteError::Io {
            path: path.clone(),
            cause,
        })?;
        let position = head.len() as u64;
        let timescale = NonZeroU32::new((fps * 1000.0).round() as u32).unwrap_or(NonZeroU32::MIN);
        Ok(Self {
            path,
            width,
            height,
            matrix: Matrix::of_height(height),
            encoder,
            muxer,
            out,
            position,
            timescale,
            frames: 0,
            durable: options.durable,
            planes: Planes {
                y: vec![0; width * height],
                u: vec![0; width * height / 4],
                v: vec![0; width * height / 4],
            },
            sample: Vec::new(),
        })
    }

    /// Adds one frame: `rgb` is `height * width * 3` bytes, row by row, R, G, B.
    ///
    /// # Errors
    /// [`WriteError::FrameLength`] for a frame of another size (the video can continue without it),
    /// [`WriteError::Encode`] and [`WriteError::Io`] if it cannot be coded or written.
    pub fn push(&mut self, rgb: &[u8]) -> Result<(), WriteError> {
        let expected = self.width * self.height * 3;
        if rgb.len() != expected {
            return Err(WriteError::FrameLength {
                path: self.path.clone(),
                frame: self.frames,
                width: self.width,
                height: self.height,
                expected,
                got: rgb.len(),
            });
        }
        self.convert(rgb)?;
        let Planes { y, u, v } = &self.planes;
        let picture = YuvPlanes::tight(self.width, self.height, y, u, v)
            .ok_or_else(|| self.encode_error("the planes do not fit the picture"))?;
        let unit = self
            .encoder
            .encode_planes(&picture)
            .map_err(|error| self.encode_error(format!("{error:?}")))?;
        let mut sets = ParameterSets::default();
        let keyframe = to_length_prefixed(&unit, &mut self.sample, &mut sets);
        if self.sample.is_empty() {
            return Err(self.encode_error("the encoder gave no picture"));
        }
        let sample_entry = if self.frames == 0 {
            let entry = sets.sample_entry(self.width, self.height, self.matrix);
            Some(entry.ok_or_else(|| self.encode_error("the first picture has no headers"))?)
        } else {
            None
        };
        self.out
            .write_all(&self.sample)
            .map_err(|source| self.io_error(source))?;
        let sample = Sample {
            track_kind: TrackKind::Video,
            sample_entry,
            keyframe,
            timescale: self.timescale,
            duration: 1000,
            composition_time_offset: None,
            data_offset: self.position,
            data_size: self.sample.len(),
        };
        self.muxer
            .append_sample(&sample)
            .map_err(|error: MuxError| self.encode_error(error.to_string()))?;
        self.position += self.sample.len() as u64;
        self.frames += 1;
        Ok(())
    }

    /// Completes the file and renames it to its final name, replacing an existing file. Returns the
    /// number of frames.
    ///
    /// # Errors
    /// [`WriteError::Empty`] without a frame, [`WriteError::Io`] if the file cannot be written or
    /// renamed; then nothing is left behind.
    pub fn finish(mut self) -> Result<usize, WriteError> {
        if self.frames == 0 {
            return Err(WriteError::Empty { path: self.path });
        }
        let boxes = match self.muxer.finalize() {
            Ok(boxes) => boxes.clone(),
            Err(error) => return Err(self.encode_error(error.to_string())),
        };
        let path = self.path;
        let io = |cause| WriteError::Io {
            path: path.clone(),
            cause,
        };
        for (offset, bytes) in boxes.offset_and_bytes_pairs() {
            self.out.seek(SeekFrom::Start(offset)).map_err(io)?;
            self.out.write_all(bytes).map_err(io)?;
        }
        let file = self.out.into_inner().map_err(|e| io(e.into_error()))?;
        if self.durable {
            file.as_file().sync_all().map_err(io)?;
        }
        file.persist(&path).map_err(|e| io(e.error))?;
        Ok(self.frames)
    }

    /// Fills the planes from one RGB frame, limited range as in nearly every H.264 file.
    fn convert(&mut self, rgb: &[u8]) -> Result<(), WriteError> {
        let (width, height) = (self.width as u32, self.height as u32);
        let mut image = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(&mut self.planes.y),
            y_stride: width,
            u_plane: BufferStoreMut::Borrowed(&mut self.planes.u),
            u_stride: width / 2,
            v_plane: BufferStoreMut::Borrowed(&mut self.planes.v),
            v_stride: width / 2,
            width,
            height,
        };
        rgb_to_yuv420(
            &mut image,
            rgb,
            width * 3,
            YuvRange::Limited,
            self.matrix.standard(),
            YuvConversionMode::Balanced,
        )
        .map_err(|error| self.encode_error(error.to_string()))
    }

    fn encode_error(&self, what: impl Into<String>) -> WriteError {
        WriteError::Encode {
            path: self.path.clone(),
            frame: self.frames,
            what: what.into(),
        }
    }

    fn io_error(&self, cause: std::io::Error) -> WriteError {
        WriteError::Io {
            path: self.path.clone(),
            cause,
        }
    }
}

#[cfg(test)]
mod tests;
