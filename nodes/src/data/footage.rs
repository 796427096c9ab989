//! Frames of a listed video, by way of [`glad_video`].

use crate::contract::{Clue, DataError, Defect, Footage, Frame, ImagesStamp, Stated, Video as ListedVideo};
use glad_video::lists::Nearby;
use glad_video::{ImageError, OpenOptions, RgbFrame, Template, Video, VideoError, Watch};
use std::collections::HashMap;
use std::fmt::Write;
use std::io::ErrorKind;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::UNIX_EPOCH;

/// A file or folder, opened when its first frame is wanted; its index is kept from then on.
pub(super) struct ListedFootage {
    path: PathBuf,
    line: String,
    options: OpenOptions,
    stated: Stated,
    watch: Watch,
    /// Where to look for a file that is not there.
    nearby: Option<Arc<Nearby>>,
    /// What the list has for the home folder at the beginning of the path, and the rest.
    home: Option<(&'static str, Box<str>)>,
    /// The optical flow of the video.
    flow: Option<Arc<ListedVideo>>,
    opened: OnceLock<Arc<Video>>,
    remark: OnceLock<String>,
}

impl ListedFootage {
    pub(super) fn new(path: PathBuf, line: String, options: OpenOptions, stated: Stated, watch: Watch) -> Self {
        ListedFootage {
            path,
            line,
            options,
            stated,
            watch,
            nearby: None,
            home: None,
            flow: None,
            opened: OnceLock::new(),
            remark: OnceLock::new(),
        }
    }

    /// With a place to look where the file is not there: the paths of its list are relative to that. `home` is how the path
    /// begins with the home folder, and the rest.
    pub(super) fn near(mut self, nearby: Arc<Nearby>, home: Option<(&'static str, &str)>) -> Self {
        self.nearby = Some(nearby);
        self.home = home.map(|(start, rest)| (start, rest.into()));
        self
    }

    /// With its optical flow.
    pub(super) fn with_flow(mut self, flow: Option<Arc<ListedVideo>>) -> Self {
        self.flow = flow;
        self
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file or the images of the folder, as they are now.
    pub(super) fn files(&self) -> Option<ImagesStamp> {
        if self.path.is_dir() {
            return self.images();
        }
        let name = self.path.file_name()?.to_str()?.to_owned();
        stamp_of(self.path.parent()?, std::iter::once(name))
    }

    fn video(&self) -> Result<&Arc<Video>, DataError> {
        if let Some(v) = self.opened.get() {
            return Ok(v);
        }
        // Threads that come at the same time may open it twice: the first one's is kept.
        let video = self.watch.open(&self.path, &self.options).map_err(|e| self.error(e))?;
        self.note(&video);
        Ok(self.opened.get_or_init(|| Arc::new(video)))
    }

    fn note(&self, video: &Video) {
        if let Some(remark) = video.remark() {
            self.remark.get_or_init(|| remark.to_owned());
        }
    }

    /// `e`, which names the file, with the line of the list.
    fn error(&self, e: VideoError) -> DataError {
        let text = format!("{}: {e}", self.line);
        match e {
            // A hanging disk or decoder is no property of the video.
            VideoError::Stalled { .. } => DataError::fatal(format!(
                "{text}; look at the disk, take the video off the list, or raise `stall_minutes` of `video_list`"
            )),
            VideoError::Io { cause, .. } if is_missing(&cause) => not_there(text, self.clue()),
            _ => DataError::sample(text),
        }
    }
}

impl Footage for ListedFootage {
    fn frame_count(&self) -> Result<usize, DataError> {
        Ok(self.video()?.frame_count())
    }

    fn frames(&self, wanted: &[usize]) -> Result<Vec<Frame>, DataError> {
        let mut found = HashMap::with_capacity(wanted.len());
        self.visit(wanted, &mut |i, frame| {
            found.insert(i, frame);
            Ok(())
        })?;
        let frame = |i: &usize| {
            let lost = || DataError::sample(format!("{}: frame {i} did not come", self.line));
            found.get(i).cloned().ok_or_else(lost)
        };
        wanted.iter().map(frame).collect()
    }

    fn visit(
        &self,
        wanted: &[usize],
        take: &mut dyn FnMut(usize, Frame) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut failure = None;
        let visited = self.watch.visit(self.video()?, wanted, |i, outcome| {
            let taken = outcome.map_err(|e| self.error(e)).and_then(|f| take(i, to_frame(f)));
            match taken {
                Ok(()) => ControlFlow::Continue(()),
                Err(e) => {
                    failure = Some(e);
                    ControlFlow::Break(())
                }
            }
        });
        visited.map_err(|e| self.error(e))?;
        failure.map_or(Ok(()), Err)
    }

    fn stated(&self) -> Stated {
        self.stated
    }

    fn backend(&self) -> &'static str {
        self.options.decoder.name()
    }

    fn inspect(&self) -> Result<usize, Defect> {
        match std::fs::metadata(&self.path) {
            Err(e) if is_missing(&e) => return Err(Defect::Missing),
            Err(e) => return Err(Defect::Unreadable(format!("{}: {e}", self.path.display()))),
            Ok(_) => {}
        }
        // Not kept open: a report looks at tens of thousands, once.
        let failed = match self.watch.open(&self.path, &self.options) {
            Ok(v) => {
                self.note(&v);
                let found = v.frame_count();
                return match self.stated.frames {
                    Some(stated) if found < stated => Err(Defect::Short { stated, found }),
                    _ => match self.watch.examine(&Arc::new(v)) {
                        Ok(()) => Ok(found),
                        Err(e) => Err(Defect::Unreadable(e.to_string())),
                    },
                };
            }
            Err(VideoError::Unsupported { what, hint, .. }) => {
                return Err(Defect::Unsupported {
                    what,
                    backend: self.backend(),
                    remedy: hint,
                });
            }
            Err(e) => Defect::Unreadable(e.to_string()),
        };
        let Some(offset) = self.stated.offset else {
            return Err(failed);
        };
        let whole = OpenOptions {
            offset: 0,
            frames: None,
            ..self.options.clone()
        };
        Err(match self.watch.open(&self.path, &whole).map(|v| v.frame_count()) {
            Ok(found) if offset >= found => Defect::Offset { offset, found },
            Ok(found) => match self.stated.frames {
                Some(stated) if found - offset < stated => Defect::Short {
                    stated,
                    found: found - offset,
                },
                _ => failed,
            },
            Err(_) => failed,
        })
    }

    fn reading(&self) -> String {
        let OpenOptions {
            template,
            start_index,
            numbering,
            checksum,
            ..
        } = &self.options;
        let checksum = checksum.map_or(String::new(), |c| c.to_string());
        format!("{} {start_index} {numbering:?} {checksum}", template.name(0))
    }

    fn remark(&self) -> Option<String> {
        self.remark.get().cloned()
    }

    fn clue(&self) -> Option<Clue> {
        let nearby = self.nearby.as_ref()?;
        if let Some((start, rest)) = &self.home {
            let glad_video::lists::Clue { found, advice } = nearby.clue_from_home(start, rest, &self.path)?;
            return Some(Clue { found, advice });
        }
        clue(nearby, &self.path, self.stated)
    }

    fn fps(&self) -> Result<Option<f64>, DataError> {
        Ok(self.video()?.fps())
    }

    fn whole(&self) -> Option<(Arc<dyn Footage>, usize)> {
        let OpenOptions { offset, frames, .. } = self.options;
        if (offset, frames) == (0, None) {
            return None;
        }
        let options = OpenOptions {
            offset: 0,
            frames: None,
            ..self.options.clone()
        };
        let whole = ListedFootage::new(
            self.path.clone(),
            self.line.clone(),
            options,
            Stated::default(),
            self.watch,
        );
        Some((Arc::new(whole), offset))
    }

    fn stamp(&self) -> Option<String> {
        let path = self.path.canonicalize().ok()?;
        let meta = path.metadata().ok()?;
        let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let OpenOptions {
            offset,
            frames,
            template,
            start_index,
            ..
        } = &self.options;
        let mut s = format!("{}\n{} {}\n", path.display(), meta.len(), modified.as_nanos());
        write!(s, "{offset} {frames:?} {start_index} {}", template.name(0)).ok()?;
        if meta.is_dir() {
            // A folder's own time stamp changes when files come and go, not when one is rewritten.
            let (first, last) = (
                start_index + offset,
                start_index + offset + self.frame_count().ok()? - 1,
            );
            for number in first..=last {
                let meta = path.join(template.name(number)).metadata().ok()?;
                let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
                write!(s, "\n{} {}", meta.len(), modified.as_nanos()).ok()?;
            }
        }
        Some(s)
    }

    fn other(&self) -> Option<&Arc<ListedVideo>> {
        self.flow.as_ref()
    }

    fn images(&self) -> Option<ImagesStamp> {
        let OpenOptions {
            offset,
            frames,
            template,
            start_index,
            ..
        } = &self.options;
        if !self.path.is_dir() {
            return None;
        }
        let first = start_index.saturating_add(*offset);
        files_of_folder(
            &self.path,
            template,
            first..first.saturating_add(frames.unwrap_or(usize::MAX)),
        )
    }
}

/// The files of a folder as they are now: those of these numbers, up to the first that is not there.
pub(super) fn files_of_folder(folder: &Path, template: &Template, numbers: Range<usize>) -> Option<ImagesStamp> {
    stamp_of(folder, numbers.map(|number| template.name(number)))
}

/// The files of these names, up to the first that is not there.
fn stamp_of(folder: &Path, names: impl Iterator<Item = String>) -> Option<ImagesStamp> {
    let (mut bytes, mut sizes, mut times) = (0u64, blake3::Hasher::new(), blake3::Hasher::new());
    for name in names {
        let Ok(meta) = folder.join(&name).metadata() else {
            break;
        };
        let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        bytes += meta.len();
        sizes.update(format!("{name} {}\n", meta.len()).as_bytes());
        times.update(&modified.as_nanos().to_le_bytes());
    }
    let short = |hash: blake3::Hasher| hash.finalize().to_hex()[..32].to_owned();
    Some(ImagesStamp {
        bytes,
        sizes: short(sizes),
        times: short(times),
    })
}

/// What may be meant by a path of a list where there is nothing.
pub(super) fn clue(nearby: &Nearby, path: &Path, stated: Stated) -> Option<Clue> {
    let written = path.strip_prefix(nearby.root()).unwrap_or(path).to_str()?;
    let numbers: Vec<usize> = stated.offset.into_iter().chain(stated.frames).collect();
    let glad_video::lists::Clue { found, advice } = nearby.clue(written, &numbers)?;
    Some(Clue { found, advice })
}

/// That a file of a list is not there, with what may be meant.
pub(super) fn not_there(text: String, clue: Option<Clue>) -> DataError {
    DataError::sample(match clue {
        Some(clue) if clue.found.is_empty() => format!("{text}; {}", clue.advice),
        Some(clue) => format!("{text}; {clue} there: {}", clue.advice),
        None => text,
    })
}

/// Whether nothing is at a path, also where a part of it is a file and no folder.
pub(super) fn is_missing(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// A frame of a wrong shape is the video's fault.
impl From<ImageError> for DataError {
    fn from(e: ImageError) -> Self {
        DataError::Sample(e.into())
    }
}

/// Without a copy of the bytes.
pub(super) fn to_frame(f: RgbFrame) -> Frame {
    Frame {
        width: f.width(),
        height: f.height(),
        data: Arc::new(f.into_data()),
    }
}

/// Without a copy of the bytes where nothing else holds them.
pub(super) fn to_rgb(f: Frame) -> Result<RgbFrame, ImageError> {
    let data = Arc::try_unwrap(f.data).unwrap_or_else(|shared| shared.as_ref().clone());
    RgbFrame::new(f.width, f.height, data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glad_video::{Backend, Sink};
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    /// Gives frame 0 and waits for ever before any other.
    #[derive(Debug, Default)]
    struct Hanging(Mutex<()>, Condvar);

    impl Backend for Hanging {
        fn path(&self) -> &Path {
            Path::new("stuck.avi")
        }
        fn frame_count(&self) -> usize {
            9
        }
        fn size(&self) -> (usize, usize) {
            (2, 1)
        }
        fn fps(&self) -> Option<f64> {
            None
        }
        fn decode(&self, frames: &[usize], sink: &mut Sink<'_>) -> std::result::Result<(), VideoError> {
            for &n in frames {
                if n > 0 {
                    let guard = self.0.lock().unwrap();
                    drop(self.1.wait_while(guard, |()| true).unwrap());
                }
                if sink(n, Ok(RgbFrame::new(2, 1, vec![7; 6]).unwrap())).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    #[test]
    fn a_decoder_that_hangs_ends_the_run_and_names_the_file() {
        let footage = ListedFootage::new(
            "stuck.avi".into(),
            "list.txt:4".into(),
            OpenOptions::default(),
            Stated::default(),
            Watch {
                limit: Duration::from_millis(40),
            },
        );
        footage
            .opened
            .set(Arc::new(Video::from_backend(Box::new(Hanging::default()))))
            .unwrap();
        assert_eq!(footage.frames(&[0, 0]).unwrap().len(), 2);
        let e = footage.frames(&[0, 3]).unwrap_err();
        assert!(matches!(e, DataError::Fatal(_)), "{e:?}");
        let text = format!("{e:#}");
        assert!(text.starts_with("list.txt:4: stuck.avi: nothing came of it"), "{text}");
        assert!(text.contains("stall_minutes"), "{text}");
        // A mistake of the one who asks is none of the machine's.
        let e = footage
            .visit(&[0], &mut |_, _| Err(DataError::sample("no")))
            .unwrap_err();
        assert!(matches!(e, DataError::Sample(_)), "{e:?}");
        let e = footage
            .visit(&[0], &mut |_, _| Err(DataError::fatal("full")))
            .unwrap_err();
        assert!(matches!(e, DataError::Fatal(_)), "{e:?}");
    }
}
