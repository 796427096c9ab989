//! Small H.264 mp4 files, written in pure Rust.
//!
//! For tests and for procedural data sets: constant quantiser, I- and P-frames, one key frame
//! every [`WriteOptions::gop`] frames, constant frame rate. The same frames and options give the
//! same bytes, on any thread and in any number of writers at once.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use rusty_h264_common::YuvPlanes;
use rusty_h264_encoder::{Encoder, EncoderConfig, Preset};
use shiguredo_mp4::TrackKind;
use shiguredo_mp4::Uint;
use shiguredo_mp4::boxes::{Avc1Box, AvccBox, SampleEntry, VisualSampleEntryFields};
use shiguredo_mp4::mux::{Mp4FileMuxer, MuxError, Sample};
use tempfile::NamedTempFile;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, rgb_to_yuv420};

/// The largest side the writer takes, in pixels: level 6.2 of H.264 ends near there.
const MAX_SIDE: usize = 8192;

/// Pictures from this height on are coded with the matrix of BT.709, smaller ones with BT.601's:
/// what readers assume of a file that does not say.
const HD_HEIGHT: usize = 720;

/// What can go wrong while a video is written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The picture size is odd, zero or too large.
    #[error(
        "{}: cannot write {width}x{height} pixels as H.264 4:2:0: width and height must be even and from 2 to {MAX_SIDE}; crop or pad the frames",
        path.display()
    )]
    Size {
        /// The file that was asked for.
        path: PathBuf,
        /// Width asked for, in pixels.
        width: usize,
        /// Height asked for, in pixels.
        height: usize,
    },
    /// An option or the frame rate is out of range.
    #[error("{}: {what}", path.display())]
    Option {
        /// The file that was asked for.
        path: PathBuf,
        /// What is out of range, and the range.
        what: String,
    },
    /// A frame is not `height * width * 3` bytes long.
    #[error(
        "{}: frame {frame} has {got} bytes, but {width}x{height} RGB needs {expected}",
        path.display()
    )]
    FrameLength {
        /// The file being written.
        path: PathBuf,
        /// Index of the frame, from 0.
        frame: usize,
        /// Width of the video, in pixels.
        width: usize,
        /// Height of the video, in pixels.
        height: usize,
        /// Bytes a frame needs.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// [`VideoWriter::finish`] was called before any frame came.
    #[error("{}: a video needs at least one frame", path.display())]
    Empty {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// The file could not be made, written or renamed.
    #[error("{}: cannot write: {source}", path.display())]
    Io {
        /// The file being written.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The encoder, the colour conversion or the container refused a frame.
    #[error("{}: cannot encode frame {frame}: {what}", path.display())]
    Encode {
        /// The file being written.
        path: PathBuf,
        /// Index of the frame, from 0.
        frame: usize,
        /// The library's answer.
        what: String,
    },
}

/// How much work the encoder puts into a frame. Quality hardly differs, for that is the
/// quantiser's part. The numbers are for pictures of 48x48 on one core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// Motion to whole pixels: about 40,000 frames/s, and files a tenth larger than `Balanced`.
    Fast,
    /// Motion to quarter pixels, Constrained Baseline profile: about 20,000 frames/s.
    #[default]
    Balanced,
    /// High profile with CABAC and the 8x8 transform: about 7,500 frames/s, and half as slow
    /// again to decode. Saves nothing on small pictures, more on large ones.
    Small,
}

/// How a video is coded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WriteOptions {
    /// Quantiser of the P-frames, 0 (best) to 51; key frames are coded 3 steps finer. 20 gives
    /// 36 to 37 dB in RGB on small pictures, where halving the colour planes costs the most.
    pub qp: u8,
    /// Frames from one key frame to the next: what a reader has to decode to reach a frame.
    pub gop: u32,
    /// Work put into a frame.
    pub effort: Effort,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            qp: 20,
            gop: 12,
            effort: Effort::Balanced,
        }
    }
}

/// Writes one mp4 file of H.264 video, frame by frame.
///
/// The file appears under its name, whole, when [`finish`](Self::finish) returns; until then the
/// data are in a temporary file beside it, which goes when the writer is dropped.
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
    encoder: Encoder,
    muxer: Mp4FileMuxer,
    out: BufWriter<NamedTempFile>,
    /// Bytes written so far: where the next sample starts.
    position: u64,
    timescale: NonZeroU32,
    frames: usize,
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

    /// Starts a video of `width` by `height` pixels at `fps` frames a second (kept to a
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
        let mut out = BufWriter::new(temporary_beside(&path).map_err(|source| WriteError::Io {
            path: path.clone(),
            source,
        })?);
        let head = muxer.initial_boxes_bytes();
        out.write_all(head).map_err(|source| WriteError::Io {
            path: path.clone(),
            source,
        })?;
        let position = head.len() as u64;
        let timescale = NonZeroU32::new((fps * 1000.0).round() as u32).unwrap_or(NonZeroU32::MIN);
        Ok(Self {
            path,
            width,
            height,
            encoder,
            muxer,
            out,
            position,
            timescale,
            frames: 0,
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
    /// [`WriteError::FrameLength`] for a frame of another size (the video can go on without it),
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
            let entry = sets.sample_entry(self.width, self.height);
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

    /// Completes the file and puts it under its name, replacing what was there. Returns the
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
        let io = |source| WriteError::Io {
            path: path.clone(),
            source,
        };
        for (offset, bytes) in boxes.offset_and_bytes_pairs() {
            self.out.seek(SeekFrom::Start(offset)).map_err(io)?;
            self.out.write_all(bytes).map_err(io)?;
        }
        let file = self.out.into_inner().map_err(|e| io(e.into_error()))?;
        file.persist(&path).map_err(|e| io(e.error))?;
        Ok(self.frames)
    }

    /// Fills the planes from one RGB frame, limited range as in nearly every H.264 file.
    fn convert(&mut self, rgb: &[u8]) -> Result<(), WriteError> {
        let matrix = if self.height < HD_HEIGHT {
            YuvStandardMatrix::Bt601
        } else {
            YuvStandardMatrix::Bt709
        };
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
            matrix,
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

    fn io_error(&self, source: std::io::Error) -> WriteError {
        WriteError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

/// A temporary file in the folder of `path`, with the permissions of an ordinary file.
fn temporary_beside(path: &Path) -> std::io::Result<NamedTempFile<File>> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".writing-").suffix(".mp4");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// The encoder's settings: everything that looks ahead is off, so that one frame in gives one
/// access unit out, and key frames fall every `gop` frames.
fn encoder_config(width: usize, height: usize, fps: f64, options: WriteOptions) -> EncoderConfig {
    let mut config = match options.effort {
        Effort::Fast | Effort::Balanced => EncoderConfig::baseline(width, height),
        Effort::Small => EncoderConfig::new(width, height),
    };
    config.preset = match options.effort {
        Effort::Fast => Preset::Fast,
        Effort::Balanced | Effort::Small => Preset::Balanced,
    };
    config.qp = options.qp;
    config.gop_size = options.gop;
    config.min_keyint = options.gop;
    config.scenecut = 0;
    config.mbtree = false;
    config.num_ref_frames = 1;
    config.framerate = fps as f32;
    config.level_idc = level(config.mb_width() * config.mb_height(), fps);
    config
}

/// The lowest level (as `level_idc`) that admits `macroblocks` a picture at `fps` pictures a
/// second: H.264, table A-1, columns MaxFS and MaxMBPS.
fn level(macroblocks: usize, fps: f64) -> u8 {
    const LEVELS: [(u8, usize, f64); 14] = [
        (10, 99, 1_485.0),
        (11, 396, 3_000.0),
        (12, 396, 6_000.0),
        (13, 396, 11_880.0),
        (21, 792, 19_800.0),
        (22, 1_620, 20_250.0),
        (30, 1_620, 40_500.0),
        (31, 3_600, 108_000.0),
        (32, 5_120, 216_000.0),
        (40, 8_192, 245_760.0),
        (42, 8_704, 522_240.0),
        (50, 22_080, 589_824.0),
        (51, 36_864, 983_040.0),
        (52, 36_864, 2_073_600.0),
    ];
    let rate = macroblocks as f64 * fps;
    LEVELS
        .iter()
        .find(|&&(_, picture, second)| macroblocks <= picture && rate <= second)
        .map_or(62, |&(level, ..)| level)
}

/// The headers a decoder starts from.
#[derive(Default)]
struct ParameterSets {
    sequence: Vec<Vec<u8>>,
    picture: Vec<Vec<u8>>,
}

impl ParameterSets {
    /// The `avc1` entry of the container, or `None` where a header is missing.
    fn sample_entry(self, width: usize, height: usize) -> Option<SampleEntry> {
        let &[_, profile, compatibility, level, ..] = self.sequence.first()?.as_slice() else {
            return None;
        };
        self.picture.first()?;
        // Only the profiles above Main carry the sample format (ISO/IEC 14496-15, 5.3.3.1).
        let high = !matches!(profile, 66 | 77 | 88);
        Some(SampleEntry::Avc1(Avc1Box {
            visual: VisualSampleEntryFields {
                data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
                width: u16::try_from(width).ok()?,
                height: u16::try_from(height).ok()?,
                horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
                vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
                frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
                compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
                depth: VisualSampleEntryFields::DEFAULT_DEPTH,
            },
            avcc_box: AvccBox {
                avc_profile_indication: profile,
                profile_compatibility: compatibility,
                avc_level_indication: level,
                length_size_minus_one: Uint::new(3),
                sps_list: self.sequence,
                pps_list: self.picture,
                chroma_format: high.then(|| Uint::new(1)),
                bit_depth_luma_minus8: high.then(|| Uint::new(0)),
                bit_depth_chroma_minus8: high.then(|| Uint::new(0)),
                sps_ext_list: Vec::new(),
            },
            unknown_boxes: Vec::new(),
        }))
    }
}

/// Turns an Annex B access unit (start codes) into a container sample (32-bit lengths), with the
/// parameter sets taken out. Returns whether it holds an IDR picture.
fn to_length_prefixed(unit: &[u8], sample: &mut Vec<u8>, sets: &mut ParameterSets) -> bool {
    sample.clear();
    let mut idr = false;
    for nal in nal_units(unit) {
        match nal[0] & 0x1f {
            7 => sets.sequence.push(nal.to_vec()),
            8 => sets.picture.push(nal.to_vec()),
            // Delimiters have no use in a container, which delimits by itself.
            9 => {}
            kind => {
                idr |= kind == 5;
                sample.extend_from_slice(&(nal.len() as u32).to_be_bytes());
                sample.extend_from_slice(nal);
            }
        }
    }
    idr
}

/// The NAL units between the start codes of an Annex B stream, none of them empty.
fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts: Vec<usize> = stream
        .windows(3)
        .enumerate()
        .filter(|(_, code)| code == &[0, 0, 1])
        .map(|(at, _)| at)
        .collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([stream.len()]).collect();
    starts.into_iter().zip(ends).filter_map(move |(at, end)| {
        let nal = &stream[at + 3..end];
        // A NAL unit never ends in a zero byte: those belong to the next start code.
        let last = nal.iter().rposition(|&byte| byte != 0)?;
        Some(&nal[..=last])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box that moves one pixel a frame.
    fn picture(t: usize) -> Vec<u8> {
        (0..48 * 32)
            .flat_map(|i| {
                let (x, y) = (i % 48, i / 48);
                let inside = (x + 48 - t % 48) % 48 < 9 && y > 10 && y < 25;
                if inside { [200, 140, 160] } else { [70, 100, 90] }
            })
            .collect()
    }

    fn write(path: &Path, frames: usize, options: WriteOptions) -> Result<usize, WriteError> {
        let mut video = VideoWriter::create_with(path, 48, 32, 24.0, options)?;
        for t in 0..frames {
            video.push(&picture(t))?;
        }
        video.finish()
    }

    #[test]
    fn same_frames_give_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let options = WriteOptions::default();
        let paths = ["a.mp4", "b.mp4", "c.mp4", "d.mp4"].map(|name| dir.path().join(name));
        std::thread::scope(|scope| {
            for path in &paths {
                scope.spawn(move || write(path, 30, options).unwrap());
            }
        });
        let first = std::fs::read(&paths[0]).unwrap();
        for path in &paths[1..] {
            assert_eq!(first, std::fs::read(path).unwrap());
        }
        let finer = dir.path().join("finer.mp4");
        write(&finer, 30, WriteOptions { qp: 10, ..options }).unwrap();
        assert_ne!(first, std::fs::read(&finer).unwrap());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        for (effort, gop, frames) in [
            (Effort::Fast, 12, 30),
            (Effort::Balanced, 1, 5),
            (Effort::Small, 250, 30),
            (Effort::Small, 12, 1),
        ] {
            let path = dir.path().join(format!("{effort:?}-{gop}.mp4"));
            let options = WriteOptions { qp: 16, gop, effort };
            assert_eq!(write(&path, frames, options).unwrap(), frames);
            let video = crate::Video::open(&path, &crate::OpenOptions::default()).unwrap();
            assert_eq!((video.frame_count(), video.width(), video.height()), (frames, 48, 32));
            assert_eq!(video.fps(), Some(24.0));
            let wanted: Vec<usize> = (0..frames).collect();
            for (t, read) in video.frames(&wanted).unwrap().iter().enumerate() {
                let squares: f64 = picture(t)
                    .iter()
                    .zip(read.data())
                    .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
                    .sum();
                let psnr = 10.0 * (255.0 * 255.0 * read.data().len() as f64 / squares).log10();
                assert!(psnr > 28.0, "{effort:?}, frame {t}: {psnr:.1} dB");
            }
        }
    }

    #[test]
    fn nothing_is_left_of_an_unfinished_video() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("never.mp4");
        let mut video = VideoWriter::create(&path, 32, 32, 24.0).unwrap();
        video.push(&[7; 32 * 32 * 3]).unwrap();
        drop(video);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let empty = VideoWriter::create(&path, 32, 32, 24.0).unwrap();
        assert!(matches!(empty.finish(), Err(WriteError::Empty { .. })));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn refuses_what_it_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.mp4");
        for (width, height) in [(47, 48), (48, 47), (0, 48), (48, 8194)] {
            let error = VideoWriter::create(&path, width, height, 24.0).err().unwrap();
            assert!(error.to_string().contains("must be even"), "{error}");
        }
        for fps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = VideoWriter::create(&path, 48, 48, fps).err().unwrap();
            assert!(error.to_string().contains("fps is"), "{error}");
        }
        let options = WriteOptions {
            qp: 52,
            ..WriteOptions::default()
        };
        assert!(VideoWriter::create_with(&path, 48, 48, 24.0, options).is_err());
        let options = WriteOptions {
            gop: 0,
            ..WriteOptions::default()
        };
        assert!(VideoWriter::create_with(&path, 48, 48, 24.0, options).is_err());
        let missing = dir.path().join("no/such/folder/x.mp4");
        let error = VideoWriter::create(missing, 48, 48, 24.0).err().unwrap();
        assert!(matches!(error, WriteError::Io { .. }), "{error}");
    }

    #[test]
    fn a_short_frame_is_refused_and_the_video_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.mp4");
        let mut video = VideoWriter::create(&path, 32, 32, 24.0).unwrap();
        video.push(&[7; 32 * 32 * 3]).unwrap();
        let error = video.push(&[7; 100]).unwrap_err();
        assert!(error.to_string().contains("frame 1 has 100 bytes"), "{error}");
        video.push(&[8; 32 * 32 * 3]).unwrap();
        assert_eq!(video.finish().unwrap(), 2);
    }

    #[test]
    fn splits_annex_b() {
        let stream = [0, 0, 0, 1, 0x67, 5, 6, 0, 0, 1, 0x68, 9, 0, 0, 0, 1, 0x65, 0, 2];
        let units: Vec<&[u8]> = nal_units(&stream).collect();
        assert_eq!(units, [&[0x67, 5, 6][..], &[0x68, 9], &[0x65, 0, 2]]);
        let (mut sample, mut sets) = (Vec::new(), ParameterSets::default());
        assert!(to_length_prefixed(&stream, &mut sample, &mut sets));
        assert_eq!(sample, [0, 0, 0, 3, 0x65, 0, 2]);
        assert_eq!((sets.sequence.len(), sets.picture.len()), (1, 1));
    }

    #[test]
    fn levels_admit_the_picture() {
        assert_eq!(level(9, 24.0), 10);
        assert_eq!(level(340 * 256 / 256, 30.0), 13);
        assert_eq!(level(8160, 30.0), 40);
        assert_eq!(level(260_000, 30.0), 62);
    }
}
