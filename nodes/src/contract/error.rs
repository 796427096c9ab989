//! Errors of the data side: whose fault they are decides what a run does.

use super::lint::FileFault;
use std::fmt;

/// Why the data side could not do what it was asked.
///
/// A kind's author chooses the variant, and the runner matches on it. `?` makes a [`DataError::Sample`] of the errors of
/// anyhow, I/O and Candle; what is not the video's fault is made by [`DataError::fatal`]:
///
/// ```
/// use glad_nodes::{DataError, Footage};
/// use std::path::Path;
/// fn keep(footage: &dyn Footage, folder: &Path) -> Result<(), DataError> {
///     // A damaged video is a `Sample`, a decoder that hangs is `Fatal`, and each stays what it is.
///     let frame = footage.frames(&[0])?.remove(0);
///     // A full disk says nothing about the video.
///     let file = folder.join("0.rgb");
///     std::fs::write(&file, &*frame.data).map_err(|e| DataError::fatal(format!("{}: {e}", file.display())))
/// }
/// ```
///
/// It does not implement [`std::error::Error`], so that `?` cannot turn it into an [`anyhow::Error`], which would forget the
/// variant, and a hanging disk would then make every video of a list bad. A function that uses [`Footage`](super::Footage)
/// therefore returns a `DataError` itself:
///
/// ```compile_fail,E0277
/// use glad_nodes::Footage;
/// fn frames(footage: &dyn Footage) -> anyhow::Result<usize> {
///     Ok(footage.frame_count()?)
/// }
/// ```
#[non_exhaustive]
pub enum DataError {
    /// The sample cannot be used: its video is bad. In training another video takes its place, a view leaves it out, and the
    /// report lists it.
    Sample(anyhow::Error),
    /// Something that says nothing about the video, such as a full disk or a decoder that hangs. It ends the run.
    Fatal(anyhow::Error),
}

impl DataError {
    /// A [`DataError::Sample`] with this message.
    pub fn sample(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> DataError {
        DataError::Sample(anyhow::Error::msg(message))
    }

    /// A [`DataError::Fatal`] with this message.
    pub fn fatal(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> DataError {
        DataError::Fatal(anyhow::Error::msg(message))
    }

    /// The same variant, with what was being done put in front of the message.
    ///
    /// ```
    /// use glad_nodes::DataError;
    /// let e = DataError::fatal("the disk is full").context("list.txt:3");
    /// assert!(matches!(e, DataError::Fatal(_)));
    /// assert_eq!(format!("{e:#}"), "list.txt:3: the disk is full");
    /// ```
    #[must_use]
    pub fn context(self, what: impl fmt::Display + Send + Sync + 'static) -> DataError {
        match self {
            DataError::Sample(e) => DataError::Sample(e.context(what)),
            DataError::Fatal(e) => DataError::Fatal(e.context(what)),
        }
    }

    /// The error without its variant, for callers to whom both are the same.
    pub fn into_anyhow(self) -> anyhow::Error {
        match self {
            DataError::Sample(e) | DataError::Fatal(e) => e,
        }
    }

    fn cause(&self) -> &anyhow::Error {
        match self {
            DataError::Sample(e) | DataError::Fatal(e) => e,
        }
    }
}

/// `{}` is what failed last, `{:#}` with its causes.
impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.cause(), f)
    }
}

impl fmt::Debug for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            DataError::Sample(_) => "Sample",
            DataError::Fatal(_) => "Fatal",
        };
        write!(f, "{variant}: {:?}", self.cause())
    }
}

impl From<anyhow::Error> for DataError {
    fn from(e: anyhow::Error) -> Self {
        DataError::Sample(e)
    }
}

impl From<std::io::Error> for DataError {
    fn from(e: std::io::Error) -> Self {
        DataError::Sample(e.into())
    }
}

impl From<candle_core::Error> for DataError {
    fn from(e: candle_core::Error) -> Self {
        DataError::Sample(e.into())
    }
}

/// Why a source cannot give a list, its classes or its data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file is of no use as a whole; reports name it.
    #[error(transparent)]
    File(#[from] FileFault),
    /// Anything else, such as lines that are malformed.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn what_a_question_mark_meets_is_the_samples_fault() {
        fn of<E: Into<DataError>>(e: E) -> DataError {
            e.into()
        }
        let io = || std::io::Error::other("cut off");
        for e in [
            of(anyhow!("cut off")),
            of(io()),
            of(candle_core::Error::Msg("cut off".into())),
        ] {
            assert!(matches!(e, DataError::Sample(_)), "{e:?}");
            assert_eq!(e.to_string(), "cut off");
        }
    }

    #[test]
    fn context_keeps_the_variant() {
        let text = |e: &DataError| (format!("{e}"), format!("{e:#}"));
        let e = DataError::sample("damaged").context("a.mp4").context("node `n`");
        assert!(matches!(e, DataError::Sample(_)));
        assert_eq!(text(&e), ("node `n`".into(), "node `n`: a.mp4: damaged".into()));
        let e = DataError::fatal("hangs").context("a.mp4").context("node `n`");
        assert!(matches!(e, DataError::Fatal(_)));
        assert_eq!(text(&e), ("node `n`".into(), "node `n`: a.mp4: hangs".into()));
        assert!(format!("{e:?}").starts_with("Fatal: node `n`"), "{e:?}");
        assert_eq!(format!("{:#}", e.into_anyhow()), "node `n`: a.mp4: hangs");
    }

    #[test]
    fn a_source_error_reads_as_what_it_is_of() {
        let other = |e: SourceError| format!("{:#}", anyhow::Error::from(e));
        let chain = || Err::<(), _>(anyhow!("no such file")).context("list.txt").unwrap_err();
        assert_eq!(other(chain().into()), "list.txt: no such file");
        assert_eq!(format!("{:#}", SourceError::from(chain())), "list.txt: no such file");
        let fault = FileFault {
            role: "the list",
            file: "list.txt".into(),
            what: "is JSON".into(),
            advice: String::new(),
            lines: vec![],
        };
        assert_eq!(other(fault.into()), "list.txt: is JSON");
    }
}
