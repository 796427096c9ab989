//! The port whose values `predict` writes.

use super::exit::Failure;
use crate::diag::{Problem, did_you_mean};
use crate::program::{Program, ValueId};
use glad_nodes::Side;

/// A port as `--port` names it, and the stream behind `@`, where it names one.
pub(super) fn split(port: &str) -> (&str, Option<&str>) {
    match port.split_once('@') {
        Some((port, stream)) => (port, Some(stream)),
        None => (port, None),
    }
}

/// The stream that `--port` names, else `otherwise`.
///
/// # Errors
/// The view does not run it.
pub(super) fn stream(port: Option<&str>, program: &Program, otherwise: String) -> Result<String, Failure> {
    let Some(asked) = port.and_then(|p| split(p).1) else {
        return Ok(otherwise);
    };
    if program.streams.iter().any(|s| s == asked) {
        return Ok(asked.to_owned());
    }
    let hint = did_you_mean(asked, program.streams.iter().map(String::as_str));
    Err(Failure::Usage(format!(
        "view `{}` has no stream `{asked}` (of --port): {}",
        program.name,
        hint.unwrap_or_else(|| format!("it has {}", program.streams.join(", ")))
    )))
}

/// Only values on the device are kept as numbers.
///
/// # Errors
/// The port is computed for each video by itself, before there is a batch.
pub(super) fn on_device(port: Option<&str>, program: &Program) -> Result<(), Failure> {
    let of_host = |id: &&ValueId| program.calls[program.values[id.0].call].side == Side::Host;
    match port.zip(program.roots.iter().find(of_host)) {
        None => Ok(()),
        Some((port, id)) => {
            let value = &program.values[id.0];
            Err(Failure::Usage(format!(
                "`{}` ({}) is no device value, and --port writes those: name a port of the batch or behind it",
                split(port).0,
                value.ty
            )))
        }
    }
}

/// An error of a graph that only --port has changed, in the user's words: the place in the graph is none that they wrote.
pub(super) fn blamed(failure: Failure, port: Option<&str>) -> Failure {
    match (failure, port) {
        (Failure::Graph(problems), Some(port)) => {
            let text = |p: &Problem| match &p.help {
                Some(help) => format!("{} ({help})", p.message),
                None => p.message.clone(),
            };
            let all: Vec<String> = problems.list.iter().map(text).collect();
            Failure::Usage(format!("--port {port}: {}", all.join("; ")))
        }
        (failure, _) => failure,
    }
}
