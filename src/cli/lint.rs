//! `glad-run lint`: what is wrong with a graph's lists and their files.

use super::args::GraphArgs;
use super::exit::Failure;
use super::experiment::{open_args, threads};
use crate::check::between_lists;
use crate::lint::{Level, findings, lists, page, text};
use crate::run::{Progress, write_whole};
use anyhow::Context;
use glad_nodes::Registry;
use std::path::{Path, PathBuf};

/// How to lint.
pub struct What<'a> {
    /// Where the report goes.
    pub out: Option<&'a Path>,
    /// Whether frames are decoded, too.
    pub decode: bool,
    /// Threads that look at files.
    pub workers: Option<usize>,
    /// Whether to show no progress.
    pub quiet: bool,
}

/// Looks at every line and file, writes the report, says the gravest. Fails where something is wrong.
pub fn lint(graph: &GraphArgs, what: What<'_>, registry: &Registry) -> Result<(), Failure> {
    let e = open_args(graph, None, registry)?;
    threads(what.workers);
    let progress = Progress::new(what.quiet);
    let lists = lists(&e.checked, what.decode, &progress)?;
    let found = findings(&lists, &between_lists(&e.graph, &e.checked), e.graph.bad_videos);
    let name = graph.graph.display().to_string();
    let out = match what.out {
        Some(out) => out.to_path_buf(),
        None => {
            let stem = graph
                .graph
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            PathBuf::from("runs").join(format!("lint-{stem}.md"))
        }
    };
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    write_whole(&out, page(&name, &lists, &found).as_bytes())?;
    print!("{}", text(&name, &lists, &found, &out.display().to_string()));
    match found.iter().any(|f| f.level != Level::Note) {
        true => Err(Failure::Said),
        false => Ok(()),
    }
}
