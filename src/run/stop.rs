//! Ctrl-C: the first one asks the run to save and stop, the second ends the process.

use std::sync::atomic::{AtomicUsize, Ordering};

static ASKED: AtomicUsize = AtomicUsize::new(0);

/// Listens for Ctrl-C and for the terminate signal. May be called more than once.
pub fn listen() {
    // An error means that somebody listens already; then theirs counts.
    let _ = ctrlc::set_handler(|| {
        if ASKED.fetch_add(1, Ordering::SeqCst) > 0 {
            std::process::exit(130);
        }
    });
}

/// Whether the run was asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst) > 0
}
