//! Exit codes, and what is printed with them.

use crate::diag::{Problems, terminal};
use crate::run::{RunError, STOPPED};
use std::process::ExitCode;

/// The command line is wrong.
pub(super) const USAGE: u8 = 2;
/// The graph is wrong, its data are not there, or the run's folder is refused; nothing ran.
pub(super) const GRAPH: u8 = 1;
/// The run failed.
pub(super) const RUN: u8 = 3;

/// Why a command ended without its result.
#[derive(Debug)]
pub enum Failure {
    /// The graph is wrong.
    Graph(Problems),
    /// Several graphs were checked and some are wrong; all has been printed.
    Said,
    /// Data that can be made could not be, or there is no room for what would run.
    Absent(anyhow::Error),
    /// The command line asks for something that does not fit.
    Usage(String),
    /// The run's folder does not fit; nothing ran.
    Refused(String),
    /// Something failed on the way; all has been printed.
    Failed,
    /// The run was asked to stop, and has saved its state; all has been printed.
    Stopped,
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
        Failure::Run(e)
    }
}

impl From<RunError> for Failure {
    fn from(e: RunError) -> Self {
        match e {
            RunError::Refused(why) => Failure::Refused(why),
            RunError::Stopped => Failure::Stopped,
            RunError::Failed(e) => Failure::Run(e),
        }
    }
}

/// Some of `videos` failed, each of which has been reported.
pub(super) fn some_failed(failed: usize, videos: usize) -> Failure {
    match videos {
        1 => Failure::Failed,
        n => Failure::Run(anyhow::anyhow!("{failed} of {n} videos failed")),
    }
}

impl Failure {
    /// Prints it on standard error; returns the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Failure::Graph(p) => {
                terminal::problems(p);
                ExitCode::from(GRAPH)
            }
            Failure::Said => ExitCode::from(GRAPH),
            Failure::Absent(e) => {
                terminal::err(&format!("error: {e:#}"));
                ExitCode::from(GRAPH)
            }
            Failure::Refused(e) => {
                terminal::err(&format!("error: {e}"));
                ExitCode::from(GRAPH)
            }
            Failure::Usage(text) => {
                terminal::err(&format!("error: {text}"));
                terminal::err_text("\nsee glad-run --help\n");
                ExitCode::from(USAGE)
            }
            Failure::Failed => ExitCode::from(RUN),
            Failure::Stopped => ExitCode::from(STOPPED),
            Failure::Run(e) => {
                terminal::err(&format!("error: {e:#}"));
                ExitCode::from(RUN)
            }
        }
    }
}
