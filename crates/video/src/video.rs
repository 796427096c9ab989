//! Videos: opened once, asked for frames by number.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::backend::Decoding;
use crate::decode::decode_frames;
use crate::folder::{FolderIndex, Template};
use crate::h264::H264Index;
use crate::index::{Content, Stamp, VideoIndex};
use crate::regular::{not_a_file, open_file, refusal};
use crate::sniff::{HEAD, Kind, sniff};
use crate::{Checksum, Limits, RgbFrame, VideoError, checksum};

/// Takes a decoded frame, or why it could not be had, and says whether to go on.
pub type Sink<'a> = dyn FnMut(usize, Result<RgbFrame, VideoError>) -> ControlFlow<()> + 'a;

/// A source of frames. The crate's own are made by [`Video::open`]; another one (a decoder from
/// elsewhere, a generator) becomes a [`Video`] through [`Video::from_backend`].
pub trait Backend: fmt::Debug + Send + Sync {
    /// The file or folder, for messages.
    fn path(&self) -> &Path;
    /// Number of frames.
    fn frame_count(&self) -> usize;
    /// Width and height of every frame, upright, in pixels.
    fn size(&self) -> (usize, usize);
    /// Frames a second on average, if the source knows.
    fn fps(&self) -> Option<f64>;
    /// Decodes `frames`, ascending, without repeats and all below [`Backend::frame_count`], and
    /// gives each to `sink` once, in any order. The same frame is always the same bytes.
    ///
    /// # Errors
    /// Only what concerns the source as a whole; what concerns a frame goes to `sink`.
    fn decode(&self, frames: &[usize], sink: &mut Sink<'_>) -> Result<(), VideoError>;
}

/// How to open a video.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// The index of an earlier opening of the same file with the same options: it is not parsed
    /// again.
    pub index: Option<VideoIndex>,
    /// What decodes a file.
    pub decoding: Decoding,
    /// The checksum of the file, as a list has it: another file is an error. A file is read for it once in a process.
    pub checksum: Option<Checksum>,
    /// Frames to pass over at the beginning: frame 0 is this one of the file or folder.
    pub offset: usize,
    /// How many frames there are, from `offset` on; more than there are is an error. `None`: all.
    pub frames: Option<usize>,
    /// For a folder: the names of its files.
    pub template: Template,
    /// For a folder: the number of its first file, commonly 0 or 1.
    pub start_index: usize,
    /// Bounds on memory and work.
    pub limits: Limits,
}

/// A video: a file or a folder of images, of which any frames can be had.
///
/// Opening reads the tables only. No file is kept open and nothing is cached between calls, so a
/// `Video` is small and can be shared among threads.
#[derive(Debug)]
pub struct Video {
    backend: Box<dyn Backend>,
    index: Option<VideoIndex>,
    offset: usize,
    count: usize,
}

impl Video {
    /// Opens a folder of jpeg or png frames, an mp4 or mov file with H.264, or, with the feature
    /// `ffmpeg`, any video file that the system's FFmpeg reads.
    ///
    /// # Errors
    /// If it cannot be read, is of a kind this build does not decode (the message says which and
    /// what to do), breaks its format, is beyond the limits, has fewer frames than
    /// [`OpenOptions::frames`] says, or is not what [`OpenOptions::index`] or [`OpenOptions::checksum`] was made from.
    /// What is neither a file nor a folder, such as a named pipe, is refused unopened.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, VideoError> {
        let metadata = fs::metadata(path).map_err(|e| VideoError::io(path, e))?;
        if let Some(what) = not_a_file(&metadata).filter(|_| !metadata.is_dir()) {
            return Err(VideoError::io(path, refusal(what)));
        }
        let stamp = Stamp::of(&metadata);
        if let Some(expected) = options.checksum {
            checksum::check(path, stamp, expected)?;
        }
        let index = match &options.index {
            Some(index) => {
                index.check(path, stamp)?;
                index.clone()
            }
            None if metadata.is_dir() => {
                let content = FolderIndex::read(path, options)?;
                VideoIndex::new(stamp, Content::Folder(content))
            }
            None => VideoIndex::new(stamp, index_file(path, options)?),
        };
        // A folder's index is of the window alone.
        let offset = match &index.0.content {
            Content::Folder(_) => 0,
            _ => options.offset,
        };
        let backend = Indexed {
            path: path.to_owned(),
            stamp,
            index: index.clone(),
            #[cfg(feature = "ffmpeg")]
            decoding: options.decoding,
            limits: options.limits.clone(),
        };
        let mut video = Self::from_backend(Box::new(backend));
        video.index = Some(index);
        video.cut(path, offset, options.frames)?;
        Ok(video)
    }

    /// A video of another source of frames.
    pub fn from_backend(backend: Box<dyn Backend>) -> Self {
        Self {
            count: backend.frame_count(),
            offset: 0,
            index: None,
            backend,
        }
    }

    /// Keeps `frames` frames from `offset` on.
    fn cut(&mut self, path: &Path, offset: usize, frames: Option<usize>) -> Result<(), VideoError> {
        let all = self.backend.frame_count();
        let rest = all.saturating_sub(offset);
        let count = frames.unwrap_or(rest);
        if count > rest || rest == 0 {
            return Err(VideoError::malformed(
                path,
                format!(
                    "{} from frame {offset} on are expected, but it has {all} frames",
                    match frames {
                        Some(n) => format!("{n} frames"),
                        None => "frames".to_owned(),
                    }
                ),
            ));
        }
        (self.offset, self.count) = (offset, count);
        Ok(())
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        self.backend.path()
    }

    /// The index, to open the same file again with; `None` for a foreign [`Backend`].
    pub fn index(&self) -> Option<&VideoIndex> {
        self.index.as_ref()
    }

    /// What a reader may want to know of a sound file, such as which of several tracks is read.
    pub fn remark(&self) -> Option<&str> {
        match &self.index.as_ref()?.0.content {
            Content::H264(h) => h.remark.as_deref(),
            #[cfg(feature = "ffmpeg")]
            Content::Av(a) => a.remark.as_deref(),
            Content::Folder(_) => None,
        }
    }

    /// Number of frames.
    pub fn frame_count(&self) -> usize {
        self.count
    }

    /// Width of the upright frames, in pixels as they are stored: the sample aspect ratio is not
    /// applied.
    pub fn width(&self) -> usize {
        self.backend.size().0
    }

    /// Height of the upright frames, in pixels as they are stored.
    pub fn height(&self) -> usize {
        self.backend.size().1
    }

    /// Frames a second on average; `None` where nothing says so, as in a folder.
    pub fn fps(&self) -> Option<f64> {
        self.backend.fps()
    }

    /// The frames of the given numbers, in that order; any order, repeats allowed. Each is decoded
    /// once, with what it is predicted from and no more. A frame is the same bytes whatever else
    /// is asked for.
    ///
    /// # Errors
    /// The first frame, in decoding order, that cannot be had, or what is wrong with the file.
    pub fn frames(&self, wanted: &[usize]) -> Result<Vec<RgbFrame>, VideoError> {
        self.frames_with(wanted, |_, frame| frame)
    }

    /// As [`Video::frames`], but each frame passes through `transform` as soon as it is decoded:
    /// the full-size pictures are never held together. Repeats are clones.
    ///
    /// # Errors
    /// As [`Video::frames`].
    pub fn frames_with<T: Clone>(
        &self,
        wanted: &[usize],
        mut transform: impl FnMut(usize, RgbFrame) -> T,
    ) -> Result<Vec<T>, VideoError> {
        let mut failure = None;
        let mut done: HashMap<usize, T> = HashMap::with_capacity(wanted.len());
        self.visit(wanted, |number, outcome| match outcome {
            Ok(frame) => {
                done.insert(number, transform(number, frame));
                ControlFlow::Continue(())
            }
            Err(e) => {
                failure = Some(e);
                ControlFlow::Break(())
            }
        })?;
        if let Some(e) = failure {
            return Err(e);
        }
        let mut uses: HashMap<usize, usize> = HashMap::with_capacity(done.len());
        for &n in wanted {
            *uses.entry(n).or_default() += 1;
        }
        wanted
            .iter()
            .map(|n| {
                let left = uses.entry(*n).or_default();
                *left = left.saturating_sub(1);
                let value = if *left == 0 {
                    done.remove(n)
                } else {
                    done.get(n).cloned()
                };
                value.ok_or_else(|| VideoError::damaged(self.path(), *n, "its backend did not deliver it"))
            })
            .collect()
    }

    /// Gives every frame asked for to `sink` once, or why it cannot be had, in the order in which
    /// decoding is cheapest. Damage to some frames does not keep the others back.
    ///
    /// # Errors
    /// What concerns the file as a whole, or a number that is out of range.
    pub fn visit(
        &self,
        wanted: &[usize],
        mut sink: impl FnMut(usize, Result<RgbFrame, VideoError>) -> ControlFlow<()>,
    ) -> Result<(), VideoError> {
        let mut frames = wanted.to_vec();
        frames.sort_unstable();
        frames.dedup();
        if let Some(&frame) = frames.last().filter(|&&f| f >= self.count) {
            return Err(VideoError::OutOfRange {
                path: self.path().to_owned(),
                frame,
                count: self.count,
            });
        }
        frames.iter_mut().for_each(|f| *f += self.offset);
        let offset = self.offset;
        self.backend.decode(&frames, &mut |frame, outcome| {
            let outcome = outcome.map_err(|e| match e {
                VideoError::Damaged { path, frame, reason } => VideoError::Damaged {
                    path,
                    frame: frame - offset,
                    reason,
                },
                other => other,
            });
            sink(frame - offset, outcome)
        })
    }
}

/// The crate's own sources: a path and its index.
#[derive(Debug)]
struct Indexed {
    path: PathBuf,
    stamp: Stamp,
    index: VideoIndex,
    #[cfg(feature = "ffmpeg")]
    decoding: Decoding,
    limits: Limits,
}

impl Backend for Indexed {
    fn path(&self) -> &Path {
        &self.path
    }

    fn frame_count(&self) -> usize {
        self.index.0.content.frame_count()
    }

    fn size(&self) -> (usize, usize) {
        match &self.index.0.content {
            Content::H264(h) => h.size(),
            #[cfg(feature = "ffmpeg")]
            Content::Av(a) => a.size(),
            Content::Folder(f) => (f.width, f.height),
        }
    }

    fn fps(&self) -> Option<f64> {
        match &self.index.0.content {
            Content::H264(h) => h.fps,
            #[cfg(feature = "ffmpeg")]
            Content::Av(a) => a.fps,
            Content::Folder(_) => None,
        }
    }

    fn decode(&self, frames: &[usize], sink: &mut Sink<'_>) -> Result<(), VideoError> {
        let (path, limits) = (&self.path, &self.limits);
        match &self.index.0.content {
            Content::Folder(f) => return f.decode(path, limits, frames, sink),
            // Files change; folders are looked at file by file.
            _ => {
                let metadata = fs::metadata(path).map_err(|e| VideoError::io(path, e))?;
                if Stamp::of(&metadata) != self.stamp {
                    return Err(VideoError::Changed { path: path.clone() });
                }
            }
        }
        match &self.index.0.content {
            #[cfg(feature = "ffmpeg")]
            Content::H264(h) if self.decoding.is_ffmpeg() => {
                crate::ffmpeg::h264::decode_frames(path, h, limits, frames, sink)
            }
            Content::H264(h) => decode_frames(path, h, limits, frames, sink),
            #[cfg(feature = "ffmpeg")]
            Content::Av(a) => a.decode(path, limits, frames, sink),
            Content::Folder(f) => f.decode(path, limits, frames, sink),
        }
    }
}

/// Indexes a file, if it is of a kind that this build reads.
fn index_file(path: &Path, options: &OpenOptions) -> Result<Content, VideoError> {
    if !options.decoding.is_built() {
        return Err(VideoError::Unsupported {
            path: path.to_owned(),
            what: "the backend `ffmpeg` is asked for".to_owned(),
            hint: "this build does not have it: build with `--features ffmpeg`, or take the backend `auto`".to_owned(),
        });
    }
    // Untrusted input must not end a process, whatever a library makes of it.
    let indexed = catch_unwind(AssertUnwindSafe(|| index_in_rust(path, options)))
        .unwrap_or_else(|_| Err(VideoError::malformed(path, "reading its index failed")));
    match indexed {
        Ok(index) => Ok(Content::H264(index)),
        #[cfg(feature = "ffmpeg")]
        Err(VideoError::Unsupported { .. }) if options.decoding.is_ffmpeg() => {
            Ok(Content::Av(crate::ffmpeg::AvIndex::read(path, &options.limits)?))
        }
        Err(e) => Err(e),
    }
}

fn index_in_rust(path: &Path, options: &OpenOptions) -> Result<H264Index, VideoError> {
    let io = |e| VideoError::io(path, e);
    let mut file = open_file(path).map_err(io)?;
    let mut head = Vec::new();
    (&mut file).take(HEAD).read_to_end(&mut head).map_err(io)?;
    match sniff(&head) {
        Kind::Mp4 => H264Index::read(path, &mut file, &options.limits),
        Kind::Other(what) => Err(VideoError::unsupported(path, what)),
        Kind::NoVideo(what) => Err(VideoError::malformed(
            path,
            format!("there is no video in it; it is {what}"),
        )),
        Kind::Empty => Err(VideoError::malformed(path, "the file is empty")),
        Kind::Unknown if options.decoding.is_ffmpeg() => {
            Err(VideoError::unsupported(path, "a file of an unknown kind"))
        }
        Kind::Unknown => Err(VideoError::malformed(
            path,
            "it does not begin like any known kind of video",
        )),
    }
}
