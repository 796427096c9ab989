//! The one way to standard output and standard error. Text is made safe to print (see [`printable`]), and nothing that happens
//! to a stream stops the work: a reader that went away is no error, and what else keeps output from being written is reported
//! by [`finish`].

use super::problem::Problems;
use super::render::render;
use super::text::{indented, printable};
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard};

/// What became of standard output.
#[derive(Debug)]
enum Output {
    Open,
    /// Its reader went away, as `head` does: nobody wants the rest.
    Left,
    /// It could not be written.
    Failed(io::Error),
}

static OUTPUT: Mutex<Output> = Mutex::new(Output::Open);

fn output() -> MutexGuard<'static, Output> {
    OUTPUT.lock().unwrap_or_else(|e| e.into_inner())
}

/// Writes to standard output what people read.
pub fn out(text: &str) {
    data(&printable(text));
}

/// Writes to standard output what programs read, byte by byte: it has to be free of control characters in its own way, as JSON
/// and XML are.
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

/// Whether a stream's reader is gone: a pipe's, or a terminal that was closed.
fn has_left(e: &io::Error) -> bool {
    // A terminal that is gone answers with EIO.
    e.kind() == io::ErrorKind::BrokenPipe || (e.raw_os_error() == Some(5) && cfg!(unix) && io::stdout().is_terminal())
}

/// Writes a message to standard error, with a line break. Where that fails there is nowhere to report it.
pub fn err(message: &str) {
    raw_err(&format!("{}\n", indented(message)));
}

/// Writes text of several paragraphs to standard error, such as what is wrong with a command line.
pub fn err_text(text: &str) {
    raw_err(&printable(text));
}

/// Writes problems to standard error, in colours on a terminal.
pub fn problems(problems: &Problems) {
    // What files hold is made safe to print in there, so that the colours stay.
    raw_err(&render(problems, io::stderr().is_terminal()));
}

fn raw_err(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// What kept output from being written, if anything did.
///
/// # Errors
/// Standard output could not be written, for another reason than that nobody reads it any more.
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
