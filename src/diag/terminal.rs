//! The only way to standard output and standard error. Text is made safe to print (see [`printable`]), and no failure
//! of a stream stops the work: a closed pipe is not an error, and other failures are reported by [`finish`].

use super::problem::Problems;
use super::render::render;
use super::text::{indented, printable};
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard};

/// The state of standard output.
#[derive(Debug)]
enum Output {
    Open,
    /// The reader closed the pipe, as `head` does: no more output is wanted.
    Left,
    /// Writing failed.
    Failed(io::Error),
}

static OUTPUT: Mutex<Output> = Mutex::new(Output::Open);

fn output() -> MutexGuard<'static, Output> {
    OUTPUT.lock().unwrap_or_else(|e| e.into_inner())
}

/// Writes text for people to standard output.
pub fn out(text: &str) {
    data(&printable(text));
}

/// Writes data for programs to standard output, byte by byte: its format must exclude control characters itself, as
/// JSON and XML do.
pub fn data(text: &str) {
    let mut output = output();
    if let Output::Open = *output {
        *output = put(&mut io::stdout().lock(), text);
    }
}

fn put(to: &mut impl Write, text: &str) -> Output {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Ok(()) => Output::Open,
        Err(e) if has_left(&e) => Output::Left,
        Err(e) => Output::Failed(e),
    }
}

/// Whether the reader of a stream is gone: of a pipe, or a closed terminal.
fn has_left(e: &io::Error) -> bool {
    // A closed terminal answers with EIO.
    e.kind() == io::ErrorKind::BrokenPipe || (e.raw_os_error() == Some(5) && cfg!(unix) && io::stdout().is_terminal())
}

/// Writes a message to standard error, with a line break. Where that fails there is nowhere to report it.
pub fn err(message: &str) {
    raw_err(&format!("{}\n", indented(message)));
}

/// Writes text of several paragraphs to standard error, such as problems of a command line.
pub fn err_text(text: &str) {
    raw_err(&printable(text));
}

/// Writes problems to standard error, in colours on a terminal.
pub fn problems(problems: &Problems) {
    // Text from files is made safe to print in there, so that the colours stay.
    raw_err(&render(problems, io::stderr().is_terminal()));
}

fn raw_err(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Reports why output could not be written, if it failed.
///
/// # Errors
/// Standard output could not be written, for a reason other than a closed reader.
pub fn finish() -> io::Result<()> {
    match std::mem::replace(&mut *output(), Output::Left) {
        Output::Failed(e) => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refuses(io::ErrorKind);

    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_error_and_a_full_disk_is() {
        assert!(matches!(put(&mut vec![], "x"), Output::Open));
        assert!(matches!(
            put(&mut Refuses(io::ErrorKind::BrokenPipe), "x"),
            Output::Left
        ));
        let Output::Failed(e) = put(&mut Refuses(io::ErrorKind::StorageFull), "x") else {
            panic!("a full disk is an error");
        };
        assert_eq!(e.kind(), io::ErrorKind::StorageFull);
    }
}
