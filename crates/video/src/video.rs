//! Videos: opened once, then read by frame number.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::decode::decode_frames;
use crate::folder::FolderIndex;
use crate::h264::H264Index;
use crate::index::{Index, Place, Stamp, VideoIndex};
use crate::regular::{not_a_file, open_file, refusal};
use crate::sniff::{HEAD, Kind, sniff};
use crate::{Backend, OpenOptions, RgbFrame, Sink, VideoError, verify};

/// A video: a file or a folder of images, with random access to frames.
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
    /// Anything but a file or folder, such as a named pipe, is rejected without opening it.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, VideoError> {
        let metadata = fs::metadata(path).map_err(|e| VideoError::io(path, e))?;
        if let Some(what) = not_a_file(&metadata).filter(|_| !metadata.is_dir()) {
            return Err(VideoError::io(path, refusal(what)));
        }
        let stamp = Stamp::of(&metadata);
        if let Some(expected) = options.checksum {
            verify::check(path, stamp, expected)?;
        }
        let index = match &options.index {
            Some(index) => {
                index.check(path, stamp)?;
                index.clone()
            }
            None if metadata.is_dir() => VideoIndex::new(stamp, FolderIndex::read(path, options)?),
            None => index_file(path, stamp, options)?,
        };
        // A folder's index covers only the window.
        let offset = if index.content().is_folder() { 0 } else { options.offset };
        let backend = Opened {
            index: index.clone(),
            place: Place {
                path: path.to_owned(),
                decoder: options.decoder,
                limits: options.limits.clone(),
            },
        };
        let mut video = Self::from_backend(Box::new(backend));
        video.index = Some(index);
        video.cut(path, offset, options.frames)?;
        Ok(video)
    }

    /// A video from another source of frames.
    #[must_use]
    pub fn from_backend(backend: Box<dyn Backend>) -> Self {
        Self {
            count: backend.frame_count(),
            offset: 0,
            index: None,
            backend,
        }
    }

    /// Restricts the video to `frames` frames from `offset` on.
    fn cut(&mut self, path: &Path, offset: usize, frames: Option<usize>) -> Result<(), VideoError> {
        let all = self.backend.frame_count();
        let rest = all.saturating_sub(offset);
        let count = frames.unwrap_or(rest);
        if count > rest || rest == 0 {
            return Err(VideoError::malformed(
                path,
                format!(
                    "{} from frame {offset} on {} expected, but it has {all} frame{}",
                    match frames {
                        Some(1) => "1 frame".to_owned(),
                        Some(n) => format!("{n} frames"),
                        None => "frames".to_owned(),
                    },
                    if frames == Some(1) { "is" } else { "are" },
                    if all == 1 { "" } else { "s" },
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

    /// The index, for opening the same file again; `None` for a foreign [`Backend`].
    pub fn index(&self) -> Option<&VideoIndex> {
        self.index.as_ref()
    }

    /// A remark on a valid file, such as which of several tracks is read.
    #[must_use]
    pub fn remark(&self) -> Option<&str> {
        self.index.as_ref()?.content().remark()
    }

    /// Looks at each image of a folder without decoding it: that it is a file, complete at its end, and of the size of the
    /// first. Of a file nothing is read: opening it has read its tables.
    ///
    /// # Errors
    /// The first image that is damaged.
    pub fn examine(&self) -> Result<(), VideoError> {
        self.backend.examine()
    }

    /// Number of frames.
    pub fn frame_count(&self) -> usize {
        self.count
    }

    /// Width of the upright frames, in stored pixels: the sample aspect ratio is not
    /// applied.
    pub fn width(&self) -> usize {
        self.backend.size().0
    }

    /// Height of the upright frames, in stored pixels.
    pub fn height(&self) -> usize {
        self.backend.size().1
    }

    /// Frames a second on average; `None` if unknown, as for a folder.
    pub fn fps(&self) -> Option<f64> {
        self.backend.fps()
    }

    /// The frames of the given numbers, in that order; any order, repeats allowed. Each is decoded
    /// once, with its reference pictures only. A frame has the same bytes whatever else
    /// is requested.
    ///
    /// # Errors
    /// The first frame, in decoding order, that cannot be decoded, or an error of the file.
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

    /// Passes every requested frame, or its error, to `sink` once, in the order in which
    /// decoding is cheapest. Damage to some frames does not affect the others.
    ///
    /// # Errors
    /// Errors of the file as a whole, or a number that is out of range.
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
struct Opened {
    index: VideoIndex,
    place: Place,
}

impl Backend for Opened {
    fn path(&self) -> &Path {
        &self.place.path
    }

    fn frame_count(&self) -> usize {
        self.index.content().frame_count()
    }

    fn size(&self) -> (usize, usize) {
        self.index.content().size()
    }

    fn fps(&self) -> Option<f64> {
        self.index.content().fps()
    }

    fn examine(&self) -> Result<(), VideoError> {
        self.index.content().examine(&self.place)
    }

    fn decode(&self, frames: &[usize], sink: &mut Sink<'_>) -> Result<(), VideoError> {
        let path = &self.place.path;
        // Files change; folders are checked file by file.
        if !self.index.content().is_folder() {
            let metadata = fs::metadata(path).map_err(|e| VideoError::io(path, e))?;
            self.index.check(path, Stamp::of(&metadata))?;
        }
        self.index.content().decode(&self.place, frames, sink)
    }
}

impl Index for H264Index {
    fn frame_count(&self) -> usize {
        self.frames.len()
    }

    fn size(&self) -> (usize, usize) {
        H264Index::size(self)
    }

    fn fps(&self) -> Option<f64> {
        self.fps
    }

    fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    fn decode(&self, place: &Place, frames: &[usize], sink: &mut Sink<'_>) -> Result<(), VideoError> {
        #[cfg(feature = "ffmpeg")]
        if place.decoder.is_ffmpeg() {
            return crate::ffmpeg::h264::decode_frames(&place.path, self, &place.limits, frames, sink);
        }
        decode_frames(&place.path, self, &place.limits, frames, sink)
    }
}

/// Indexes a file, if this build can read its kind.
fn index_file(path: &Path, stamp: Stamp, options: &OpenOptions) -> Result<VideoIndex, VideoError> {
    if !options.decoder.is_built() {
        return Err(VideoError::Unsupported {
            path: path.to_owned(),
            what: "the backend `ffmpeg` is asked for".to_owned(),
            hint: "this build does not have it: build with `--features ffmpeg`, or take the backend `auto`".to_owned(),
        });
    }
    // Untrusted input must not end a process, even if a library panics.
    let indexed = catch_unwind(AssertUnwindSafe(|| index_in_rust(path, options)))
        .unwrap_or_else(|_| Err(VideoError::malformed(path, "reading its index failed")));
    match indexed {
        Ok(index) => Ok(VideoIndex::new(stamp, index)),
        #[cfg(feature = "ffmpeg")]
        Err(VideoError::Unsupported { .. }) if options.decoder.is_ffmpeg() => {
            let index = crate::ffmpeg::AvIndex::read(path, &options.limits)?;
            Ok(VideoIndex::new(stamp, index))
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
        Kind::Unknown if options.decoder.is_ffmpeg() => Err(VideoError::unsupported(path, "a file of an unknown kind")),
        Kind::Unknown => Err(VideoError::malformed(
            path,
            "it does not begin like any known kind of video",
        )),
    }
}
