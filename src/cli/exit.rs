//! Exit codes, and what is said with them.

use crate::diag::{Problems, render};
use crate::run::{Refused, Stopped};
use std::io::IsTerminal;
use std::process::ExitCode;

/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The graph is wrong, or its data are not there; nothing ran.
pub const GRAPH: u8 = 1;
/// The run failed.
pub const RUN: u8 = 3;
/// The run was asked to stop, and its state is saved.
pub const STOPPED: u8 = 130;

/// Why a command ended without its result.
#[derive(Debug)]
pub enum Failure {
    /// The graph is wrong.
    Graph(Problems),
    /// Several graphs were checked and some are wrong; all has been said.
    Said,
    /// The command line asks for something that does not fit.
    Usage(String),
    /// The run's folder does not fit; nothing ran.
    Refused(Refused),
    /// Something failed on the way.
    Run(anyhow::Error),
}

impl From<Problems> for Failure {
    fn from(p: Problems) -> Self {
        Failure::Graph(p)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(e: anyhow::Error) -> Self {
        match e.downcast::<Problems>() {
            Ok(p) => Failure::Graph(p),
            Err(e) => Failure::Run(e),
        }
    }
}

impl Failure {
    /// Says it on standard error; gives the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Failure::Graph(p) => {
                eprint!("{}", render(p, std::io::stderr().is_terminal()));
                ExitCode::from(GRAPH)
            }
            Failure::Said => ExitCode::from(GRAPH),
            Failure::Refused(e) => {
                eprintln!("error: {e}");
                ExitCode::from(GRAPH)
            }
            Failure::Usage(text) => {
                eprintln!("error: {text}\n\nsee glad-run --help");
                ExitCode::from(USAGE)
            }
            Failure::Run(e) if e.chain().any(|c| c.is::<Stopped>()) => ExitCode::from(STOPPED),
            Failure::Run(e) => {
                eprintln!("error: {e:#}");
                ExitCode::from(RUN)
            }
        }
    }
}
