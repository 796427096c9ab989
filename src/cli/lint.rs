//! `glad-run lint`: what is wrong with a graph's lists and their files.

use super::args::GraphArgs;
use super::exit::Failure;
use super::experiment::{open_args, stem, threads};
use super::output::{ends_in, writable};
use crate::check::between_lists;
use crate::diag::{printable, terminal};
use crate::lint::{Level, findings, lists, page, text};
use crate::run::{Progress, write_out};
use glad_nodes::Registry;
use std::path::{Path, PathBuf};

/// How to lint.
pub(super) struct What<'a> {
    /// Where the report goes.
    pub out: Option<&'a Path>,
    /// Whether frames are decoded, too.
    pub decode: bool,
    /// Threads that look at files.
    pub workers: Option<usize>,
    /// Whether to show no progress.
    pub quiet: bool,
}

/// Looks at every line and file, writes the report, and prints the worst.
///
/// # Errors
/// The graph is wrong, a report that was asked for cannot be written, or something worse than a note is found.
pub(super) fn lint(graph: &GraphArgs, what: What<'_>, registry: &Registry) -> Result<(), Failure> {
    let out = match what.out {
        Some(out) => out.to_path_buf(),
        None => PathBuf::from("runs").join(format!("lint-{}.md", stem(&graph.graph))),
    };
    ends_in(&out, "a report", &["md", "markdown", "txt"])?;
    let e = open_args(graph, None, registry)?;
    // Where no file is asked for, the findings are worth their while without one.
    let place = writable(&out);
    if let (Some(_), Err(e)) = (what.out, &place) {
        return Err(anyhow::anyhow!("{e:#}").into());
    }
    threads(what.workers, what.quiet)?;
    let progress = Progress::new(what.quiet);
    let lists = lists(&e.checked, what.decode, &progress)?;
    let found = findings(&lists, &between_lists(&e.graph, &e.checked), e.graph.bad_videos);
    let name = graph.graph.display().to_string();
    let written = place.and_then(|()| write_out(&out, printable(&page(&name, &lists, &found)).as_bytes()));
    let report = written.is_ok().then(|| out.display().to_string());
    terminal::out(&text(&name, &lists, &found, report.as_deref()));
    if let Err(e) = written {
        terminal::err(&format!(
            "the report with every line could not be written: {e:#}\nname another place with --out FILE"
        ));
    }
    match found.iter().any(|f| f.level != Level::Note) {
        true => Err(Failure::Said),
        false => Ok(()),
    }
}
