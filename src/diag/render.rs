//! Problems as text, each with the lines of the files that it is about.

use super::files::{FileId, Files, Place};
use super::problem::{Problem, Problems, Severity};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use std::fmt;

/// All problems, then a line that counts them. Places in several files are shown one snippet per file.
pub fn render(problems: &Problems, colour: bool) -> String {
    let theme = if colour {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(100)
        .with_context_lines(1);
    let mut out = String::new();
    for problem in &problems.list {
        let report = Report::new(&problems.files, problem);
        if handler.render_report(&mut out, &report).is_err() {
            out.push_str(&problem.message);
        }
        while out.ends_with('\n') {
            out.pop();
        }
        out.push_str("\n\n");
    }
    let text: Vec<&str> = out.lines().map(str::trim_end).collect();
    format!("{}\n{}\n", text.join("\n"), count(&problems.list))
        .trim_start_matches('\n')
        .to_string()
}

/// `3 errors, 1 note`.
fn count(list: &[Problem]) -> String {
    let of = |severity, one: &str, many: &str| match list.iter().filter(|p| p.severity == severity).count() {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    let parts: Vec<String> = [
        of(Severity::Error, "error", "errors"),
        of(Severity::Note, "note", "notes"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        "no errors".into()
    } else {
        parts.join(", ")
    }
}

/// A problem in one file, with the other files' snippets as related reports.
#[derive(Debug)]
struct Report {
    message: String,
    severity: miette::Severity,
    source: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
    related: Vec<Report>,
}

impl Report {
    fn new(files: &Files, problem: &Problem) -> Report {
        let severity = match problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Note => miette::Severity::Advice,
        };
        let mut groups: Vec<(FileId, Vec<&(Place, String)>)> = vec![];
        for label in &problem.labels {
            match groups.iter_mut().find(|g| g.0 == label.0.file) {
                Some(g) => g.1.push(label),
                None => groups.push((label.0.file, vec![label])),
            }
        }
        let mut reports = groups.into_iter().map(|(file, labels)| Report {
            // A snippet of another file is introduced by its first label.
            message: labels[0].1.clone(),
            severity,
            source: Some(source(files, file)),
            labels: labels
                .iter()
                .enumerate()
                .map(|(i, l)| label(files, l, i == 0))
                .collect(),
            help: None,
            related: vec![],
        });
        let first = reports.next();
        let related: Vec<Report> = reports
            .map(|mut r| {
                r.severity = miette::Severity::Advice;
                r
            })
            .collect();
        let (source, labels) = first.map(|r| (r.source, r.labels)).unwrap_or_default();
        Report {
            message: problem.message.clone(),
            severity,
            source,
            labels,
            help: problem.help.clone(),
            related,
        }
    }
}

fn source(files: &Files, file: FileId) -> NamedSource<String> {
    NamedSource::new(files.name(file), files.text(file).to_string())
}

/// A label within the text, on character boundaries.
fn label(files: &Files, (place, text): &(Place, String), primary: bool) -> LabeledSpan {
    let source = files.text(place.file);
    let floor = |mut i: usize| {
        i = i.min(source.len());
        while !source.is_char_boundary(i) {
            i -= 1;
        }
        i
    };
    let start = floor(place.span.start);
    // A value over several lines is marked on its first.
    let line_end = source[start..].find('\n').map_or(source.len(), |n| start + n);
    let end = floor(place.span.end).clamp(start, line_end.max(start));
    let span = SourceSpan::new(start.into(), end - start);
    let text = (!text.is_empty()).then(|| text.clone());
    if primary {
        LabeledSpan::new_primary_with_span(text, span)
    } else {
        LabeledSpan::new_with_span(text, span)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty())
            .then(|| Box::new(self.labels.iter().cloned()) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        (!self.related.is_empty())
            .then(|| Box::new(self.related.iter().map(|r| r as &dyn Diagnostic)) as Box<dyn Iterator<Item = _>>)
    }
}
