//! A problem and a list of them.

use super::files::{Files, Place};
use std::sync::Arc;

/// The severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs, but is probably not what was meant: the run prints it, and the report holds it.
    Warning,
    /// Worth knowing; `check` and `plan` go on.
    Note,
}

/// A problem.
#[derive(Clone, Debug)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// Where, the main place first; each with a few words.
    pub labels: Vec<(Place, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// An error with no place yet.
    pub fn error(message: impl Into<String>) -> Self {
        Problem {
            severity: Severity::Error,
            message: message.into(),
            labels: vec![],
            help: None,
        }
    }

    /// A warning with no place yet.
    pub fn warning(message: impl Into<String>) -> Self {
        Problem {
            severity: Severity::Warning,
            ..Problem::error(message)
        }
    }

    /// A note with no place yet.
    pub fn note(message: impl Into<String>) -> Self {
        Problem {
            severity: Severity::Note,
            ..Problem::error(message)
        }
    }

    /// Adds a place.
    pub fn at(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.labels.push((place.clone(), label.into()));
        self
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Problems and the texts that they point into.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    /// The texts.
    pub files: Arc<Files>,
    /// The problems, in the order they were found.
    pub list: Vec<Problem>,
}

impl Problems {
    /// Whether anything stops a run.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|p| p.severity == Severity::Error)
    }

    /// These, after others of the same experiment: a mistake hides no warning.
    pub fn after(mut self, others: &Problems) -> Problems {
        self.list.splice(0..0, others.list.iter().cloned());
        self
    }
}

impl Problems {
    /// The warnings, a line each: `graphs/mine.toml:12: message`.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.list.iter().filter(|p| p.severity == Severity::Warning);
        let line = |p: &Problem| match p.labels.first() {
            Some((place, _)) => format!("{}: {}", self.files.at(place), p.message),
            None => p.message.clone(),
        };
        warnings.map(line).collect()
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", super::render(self, false))
    }
}

impl std::error::Error for Problems {}
