//! The command line: `glad-run GRAPH`, and the commands around it.

mod args;
mod builtin;
mod commands;
mod exit;
mod experiment;
mod frames;
mod lint;
mod model;
mod predict;
mod train;

use clap::Parser;
use glad_nodes::Registry;
use std::process::ExitCode;

pub use exit::Failure;

/// Runs the command line with the given node kinds. A program of one's own with kinds of one's own calls this, too.
pub fn main(registry: Registry) -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(a) => a,
        Err(e) => {
            let _ = e.print();
            if let (true, Some(hint)) = (e.use_stderr(), args::command_meant()) {
                eprintln!("\n{hint}");
            }
            return ExitCode::from(if e.use_stderr() { exit::USAGE } else { 0 });
        }
    };
    match commands::run(args, &registry) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
