//! Parsers of untrusted input, for fuzz targets and tests. Each returns for any bytes; the number counts what was read.

use crate::diag::{Severity, render};
use crate::load::{effective, load_text};
use crate::run;
use candle_core::Device;
use std::cell::RefCell;
use std::path::Path;

thread_local! {
    /// A temporary folder for this thread, with nothing in it that a graph could name.
    static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

fn with_folder<R>(body: impl FnOnce(&Path) -> R) -> R {
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| tempfile::tempdir().expect("a temporary folder can be made"));
        body(folder.path())
    })
}

/// A graph file. Every error has a place; a valid graph can be written and read again. Returns the number of its nodes.
pub fn graph(bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    with_folder(|folder| match load_text("graph.toml", &text, folder) {
        Ok(graph) => {
            let again = load_text("again.toml", &effective(&graph), folder);
            assert!(
                again.is_ok(),
                "the effective graph cannot be read:\n{}",
                effective(&graph)
            );
            graph.nodes.len()
        }
        Err(problems) => {
            assert!(problems.has_errors());
            let printed = render(&problems, false);
            for e in problems.list.iter().filter(|e| e.severity == Severity::Error) {
                assert!(!e.labels.is_empty(), "no place: {printed}");
            }
            0
        }
    })
}

/// A saved state. Returns the number of its weights.
pub fn checkpoint(bytes: &[u8]) -> usize {
    with_folder(|folder| {
        let path = folder.join("state.safetensors");
        std::fs::write(&path, bytes).expect("a temporary file can be written");
        match run::load(&path, &Device::Cpu) {
            Ok(state) => state.store.iter().count(),
            Err(e) => {
                let text = format!("{e:#}");
                assert!(text.contains("state.safetensors"), "{text}");
                0
            }
        }
    })
}
