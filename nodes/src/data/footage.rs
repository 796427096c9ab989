//! Frames of a listed video, by way of [`glad_video`].

use crate::contract::{Defect, Footage, Frame, Stated};
use anyhow::{Result, anyhow};
use glad_video::{OpenOptions, RgbFrame, Video, VideoError};
use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::UNIX_EPOCH;

/// A file or folder, opened when its first frame is wanted; its index is kept from then on.
pub(super) struct ListedFootage {
    path: PathBuf,
    line: String,
    options: OpenOptions,
    stated: Stated,
    opened: OnceLock<Video>,
}

impl ListedFootage {
    pub(super) fn new(path: PathBuf, line: String, options: OpenOptions, stated: Stated) -> Self {
        ListedFootage {
            path,
            line,
            options,
            stated,
            opened: OnceLock::new(),
        }
    }

    fn video(&self) -> Result<&Video> {
        if let Some(v) = self.opened.get() {
            return Ok(v);
        }
        // Threads that come at the same time may open it twice: the first one's is kept.
        let video = Video::open(&self.path, &self.options).map_err(|e| self.error(e))?;
        Ok(self.opened.get_or_init(|| video))
    }

    /// `e`, which names the file, with the line of the list.
    fn error(&self, e: VideoError) -> anyhow::Error {
        anyhow!("{}: {e}", self.line)
    }
}

impl Footage for ListedFootage {
    fn frame_count(&self) -> Result<usize> {
        Ok(self.video()?.frame_count())
    }

    fn frames(&self, wanted: &[usize]) -> Result<Vec<Frame>> {
        let frames = self.video()?.frames_with(wanted, |_, f| to_frame(f));
        frames.map_err(|e| self.error(e))
    }

    fn visit(&self, wanted: &[usize], take: &mut dyn FnMut(usize, Frame) -> Result<()>) -> Result<()> {
        let mut failure = None;
        let visited = self.video()?.visit(wanted, |i, outcome| {
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

    fn inspect(&self) -> Result<usize, Defect> {
        match std::fs::metadata(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Defect::Missing),
            Err(e) => return Err(Defect::Unreadable(format!("{}: {e}", self.path.display()))),
            Ok(_) => {}
        }
        // Not kept open: a report looks at tens of thousands, once.
        let failed = match Video::open(&self.path, &self.options) {
            Ok(v) => {
                let found = v.frame_count();
                return match self.stated.frames {
                    Some(stated) if found < stated => Err(Defect::Short { stated, found }),
                    _ => Ok(found),
                };
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
        Err(match Video::open(&self.path, &whole).map(|v| v.frame_count()) {
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
            // A folder's own time stamp tells that files came and went, not that one was written anew.
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
}

/// Without a copy of the bytes.
pub(super) fn to_frame(f: RgbFrame) -> Frame {
    Frame {
        width: f.width(),
        height: f.height(),
        data: Arc::new(f.into_data()),
    }
}

/// Without a copy of the bytes where nobody else holds them.
pub(super) fn to_rgb(f: Frame) -> Result<RgbFrame> {
    let data = Arc::try_unwrap(f.data).unwrap_or_else(|shared| shared.as_ref().clone());
    Ok(RgbFrame::new(f.width, f.height, data)?)
}
