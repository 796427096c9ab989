//! The command line: `glad-run GRAPH`, and the commands around it.

mod args;
mod builtin;
mod cache;
mod commands;
mod exit;
mod experiment;
mod frames;
mod lint;
mod model;
mod output;
mod port;
mod predict;
mod train;

use crate::diag::terminal;
use anyhow::Context;
use clap::Parser;
use glad_nodes::Registry;
use std::process::ExitCode;

pub use exit::Failure;

/// Runs the command line with the given node kinds. A program with node kinds of its own calls this, too.
pub fn main(registry: Registry) -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(a) => a,
        Err(e) => return refused(&e),
    };
    let done = commands::run(args, &registry);
    let done = done.and_then(|()| finished());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Help and version, or what is wrong with the command line.
fn refused(e: &clap::Error) -> ExitCode {
    let text = e.render().to_string();
    if e.use_stderr() {
        terminal::err_text(&text);
        if let Some(hint) = args::command_meant() {
            terminal::err_text(&format!("\n{hint}\n"));
        }
        return ExitCode::from(exit::USAGE);
    }
    terminal::out(&text);
    match finished() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// An error where standard output could not be written.
fn finished() -> Result<(), Failure> {
    Ok(terminal::finish().context("cannot write to standard output")?)
}
