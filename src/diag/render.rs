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
        for report in Report::all(&problems.files, problem) {
            let mut text = String::new();
            if handler.render_report(&mut text, &report).is_err() {
                text.clone_from(&report.message);
            }
            out.push_str(text.trim_matches('\n'));
            out.push('\n');
        }
        out.push('\n');
    }
    let text: Vec<&str> = out.lines().map(str::trim_end).collect();
    format!("{}\n{}\n", text.join("\n"), count(&problems.list))
        .trim_start_matches('\n')
        .to_string()
}

/// `3 errors, 2 warnings, 1 note`.
fn count(list: &[Problem]) -> String {
    let of = |severity, one: &str, many: &str| match list.iter().filter(|p| p.severity == severity).count() {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    let parts: Vec<String> = [
        of(Severity::Error, "error", "errors"),
        of(Severity::Warning, "warning", "warnings"),
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

/// What a problem has to say about one file.
#[derive(Debug)]
struct Report {
    message: String,
    severity: miette::Severity,
    source: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
}

impl Report {
    /// A report per file: the first with the problem's message, each other with its first label; help comes last.
    fn all(files: &Files, problem: &Problem) -> Vec<Report> {
        let severity = match problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        };
        let mut groups: Vec<(FileId, Vec<&(Place, String)>)> = vec![];
        for label in &problem.labels {
            match groups.iter_mut().find(|g| g.0 == label.0.file) {
                Some(g) => g.1.push(label),
                None => groups.push((label.0.file, vec![label])),
            }
        }
        let mut reports: Vec<Report> = vec![];
        for (file, labels) in groups {
            let first = reports.is_empty();
            // The label that introduces another file's lines is not written below them again.
            let spans = labels
                .iter()
                .enumerate()
                .map(|(i, l)| label(files, l, i == 0, first || i > 0));
            reports.push(Report {
                message: if first {
                    problem.message.clone()
                } else {
                    labels[0].1.clone()
                },
                severity: if first { severity } else { miette::Severity::Advice },
                source: Some(NamedSource::new(files.name(file), files.text(file).to_string())),
                labels: spans.collect(),
                help: None,
            });
        }
        if reports.is_empty() {
            let message = problem.message.clone();
            reports.push(Report {
                message,
                severity,
                source: None,
                labels: vec![],
                help: None,
            });
        }
        if let Some(last) = reports.last_mut() {
            last.help = problem.help.clone();
        }
        reports
    }
}

/// A label within the text, on character boundaries.
fn label(files: &Files, (place, text): &(Place, String), primary: bool, with_text: bool) -> LabeledSpan {
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
    let text = (with_text && !text.is_empty()).then(|| text.clone());
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn places_in_two_files_and_odd_spans() {
        let mut files = Files::default();
        let a = files.add_file("a.toml".as_ref(), "x = 1\ny = \"é\"\n");
        let b = files.add_text("--set", "x=2");
        let problem = Problem::error("`x` is set twice")
            .at(&Place { file: a, span: 0..1 }, "here")
            .at(&Place { file: b, span: 0..1 }, "and here")
            .help("once is enough");
        // Inside a character, and behind the end: a place that is off by some bytes is still shown.
        let odd = Problem::note("odd").at(&Place { file: a, span: 12..999 }, "so");
        let problems = Problems {
            files: Arc::new(files),
            list: vec![problem, odd, Problem::error("nowhere")],
        };
        let text = render(&problems, false);
        for part in [
            "[a.toml:1:1]",
            "[--set:1:1]",
            "and here",
            "once is enough",
            "[a.toml:2:6]",
            "nowhere",
            "2 errors, 1 note",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(render(&problems, true).contains('\u{1b}'));
    }
}
