//! A limit in wall-clock time, for sources that hang.
//!
//! The time that a video takes depends on the machine, so this limit never marks a video as bad.
//! It turns a dead disk or a hanging decoder into an error that names the file.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::{OpenOptions, RgbFrame, Video, VideoError};

/// Frames decoded ahead of their use.
const AHEAD: usize = 4;

/// Opens and decodes on a separate thread, and waits up to a limit for it to open and for each frame. Time in
/// which the whole process is suspended does not count.
///
/// A hanging thread is abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// The longest time without a frame.
    pub limit: Duration,
}

impl Default for Watch {
    /// Ten minutes.
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(600),
        }
    }
}

enum Message<T> {
    Frame(usize, Result<RgbFrame, VideoError>),
    End(Result<T, VideoError>),
}

impl Watch {
    /// [`Video::open`].
    ///
    /// # Errors
    /// As there, and [`VideoError::Stalled`].
    pub fn open(self, path: &Path, options: &OpenOptions) -> Result<Video, VideoError> {
        let (owned, options) = (path.to_owned(), options.clone());
        let from = start(path, move |to| {
            let _ = to.send(Message::End(Video::open(&owned, &options)));
        })?;
        loop {
            if let Message::End(video) = self.next(path, &from)? {
                return video;
            }
        }
    }

    /// [`Video::examine`].
    ///
    /// # Errors
    /// As there, and [`VideoError::Stalled`].
    pub fn examine(self, video: &Arc<Video>) -> Result<(), VideoError> {
        let theirs = video.clone();
        let from = start(video.path(), move |to| {
            let _ = to.send(Message::End(theirs.examine()));
        })?;
        loop {
            if let Message::End(found) = self.next(video.path(), &from)? {
                return found;
            }
        }
    }

    /// [`Video::visit`].
    ///
    /// # Errors
    /// As there, and [`VideoError::Stalled`].
    pub fn visit(
        self,
        video: &Arc<Video>,
        wanted: &[usize],
        mut sink: impl FnMut(usize, Result<RgbFrame, VideoError>) -> ControlFlow<()>,
    ) -> Result<(), VideoError> {
        let (theirs, wanted) = (video.clone(), wanted.to_vec());
        let from = start(video.path(), move |to| {
            let ended = theirs.visit(&wanted, |number, outcome| {
                match to.send(Message::Frame(number, outcome)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            });
            let _ = to.send(Message::End(ended));
        })?;
        loop {
            match self.next(video.path(), &from)? {
                Message::Frame(number, outcome) => {
                    if sink(number, outcome).is_break() {
                        return Ok(());
                    }
                }
                Message::End(ended) => return ended,
            }
        }
    }

    fn next<T>(self, path: &Path, from: &Receiver<Message<T>>) -> Result<Message<T>, VideoError> {
        wait(self.limit, |step| from.recv_timeout(step)).map_err(|e| match e {
            RecvTimeoutError::Timeout => VideoError::Stalled {
                path: path.to_owned(),
                limit: self.limit,
            },
            RecvTimeoutError::Disconnected => VideoError::malformed(path, "its decoder gave up"),
        })
    }
}

/// The longest waiting step.
const STEP: Duration = Duration::from_secs(1);

/// Waits in many short steps and counts them instead of the time: while the process is suspended (a closed laptop, a
/// scheduler that stops a job) its decoder is suspended too, and that counts as one step, however long it takes.
fn wait<T>(
    limit: Duration,
    mut receive: impl FnMut(Duration) -> Result<T, RecvTimeoutError>,
) -> Result<T, RecvTimeoutError> {
    let step = (limit / 16).clamp(Duration::from_millis(1), STEP);
    let mut waited = Duration::ZERO;
    loop {
        match receive(step) {
            Err(RecvTimeoutError::Timeout) => waited += step,
            outcome => return outcome,
        }
        if waited >= limit {
            return Err(RecvTimeoutError::Timeout);
        }
    }
}

fn start<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(SyncSender<Message<T>>) + Send + 'static,
) -> Result<Receiver<Message<T>>, VideoError> {
    let (to, from) = sync_channel(AHEAD);
    thread::Builder::new()
        .name("decode".to_owned())
        .spawn(move || work(to))
        .map_err(|e| VideoError::io(path, e))?;
    Ok(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, Sink};
    use std::path::PathBuf;
    use std::sync::{Condvar, Mutex};

    /// Returns two frames, and then hangs.
    #[derive(Debug)]
    struct Hanging {
        path: PathBuf,
        never: (Mutex<()>, Condvar),
    }

    impl Backend for Hanging {
        fn path(&self) -> &Path {
            &self.path
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
        fn decode(&self, frames: &[usize], sink: &mut Sink<'_>) -> Result<(), VideoError> {
            for &n in frames {
                if n >= 2 {
                    let guard = self.never.0.lock().unwrap();
                    drop(self.never.1.wait_while(guard, |()| true).unwrap());
                }
                if sink(n, Ok(RgbFrame::of(2, 1, vec![n as u8; 6]))).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    fn hanging() -> Arc<Video> {
        Arc::new(Video::from_backend(Box::new(Hanging {
            path: "stuck.avi".into(),
            never: Default::default(),
        })))
    }

    #[test]
    fn a_source_that_hangs_is_an_error_with_its_name() {
        let watch = Watch {
            limit: Duration::from_millis(50),
        };
        let mut seen = vec![];
        let e = watch.visit(&hanging(), &[0, 1, 2, 3], |n, frame| {
            seen.push((n, frame.unwrap().pixel(0, 0)[0]));
            ControlFlow::Continue(())
        });
        let e = e.unwrap_err();
        assert!(matches!(e, VideoError::Stalled { .. }), "{e}");
        assert!(e.to_string().starts_with("stuck.avi: "), "{e}");
        assert_eq!(seen, [(0, 0), (1, 1)]);
    }

    /// A clock on which one step in the middle takes a day.
    #[test]
    fn time_in_which_the_process_is_suspended_does_not_count() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let mut clock = Duration::ZERO;
        let outcome = wait(minutes(10), |step| {
            let suspended = clock < minutes(5) && clock + step >= minutes(5);
            clock += if suspended { minutes(24 * 60) } else { step };
            match clock > minutes(24 * 60 + 8) {
                true => Ok("a frame"),
                false => Err(RecvTimeoutError::Timeout),
            }
        });
        assert_eq!(outcome, Ok("a frame"));
        // A hanging source is waited for no longer than the limit.
        let mut clock = Duration::ZERO;
        let outcome: Result<(), _> = wait(minutes(10), |step| {
            clock += step;
            Err(RecvTimeoutError::Timeout)
        });
        assert_eq!((outcome, clock), (Err(RecvTimeoutError::Timeout), minutes(10)));
    }

    #[test]
    fn what_does_not_hang_is_as_without() {
        let watch = Watch {
            limit: Duration::from_secs(600),
        };
        let mut seen = vec![];
        watch
            .visit(&hanging(), &[1, 0], |n, _| {
                seen.push(n);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(seen, [0, 1]);
        // The sink may end it, even before the point where it would hang.
        watch.visit(&hanging(), &[0, 5], |_, _| ControlFlow::Break(())).unwrap();
        let e = watch.visit(&hanging(), &[9], |_, _| ControlFlow::Continue(()));
        assert!(matches!(e, Err(VideoError::OutOfRange { frame: 9, .. })));
        let e = watch.open(Path::new("/nowhere/a.mp4"), &OpenOptions::default());
        assert!(matches!(e, Err(VideoError::Io { .. })));
    }
}
