//! Problems as text, each with the lines of the files that it is about.

use super::files::{FileId, Files, Place};
use super::problem::{Problem, Problems, Severity};
use super::text::{Quoted, one_line, printable};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use std::borrow::Cow;
use std::fmt;

/// The most problems that are shown: more would hide the first.
const SHOWN: usize = 100;
/// The most letters of a line.
const LONGEST: usize = 1000;

/// The problems, then a line with their number. Places in several files are shown in one snippet per file. Text from
/// files is made safe to print.
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
    for problem in problems.list.iter().take(SHOWN) {
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
    let end = if colour { "…\u{1b}[0m" } else { "…" };
    let text: Vec<Cow<'_, str>> = out.lines().map(|line| cut(line.trim_end(), end)).collect();
    let more = match problems.list.len().saturating_sub(SHOWN) {
        0 => String::new(),
        n => format!(", of which the last {n} are not shown"),
    };
    format!("{}\n{}{more}\n", text.join("\n"), count(&problems.list))
        .trim_start_matches('\n')
        .to_string()
}

/// The beginning of a line that no terminal shows in full: of a file of another kind, all of it may be one line.
fn cut<'t>(line: &'t str, end: &str) -> Cow<'t, str> {
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}{end}", &line[..at]).into(),
        None => line.into(),
    }
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

/// The part of a problem that concerns one file.
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
            let quoted = Quoted::new(files.text(file));
            // The label that introduces another file's lines is not repeated below them.
            let spans: Vec<LabeledSpan> = labels
                .iter()
                .enumerate()
                .map(|(i, l)| label(files, &quoted, l, i == 0, first || i > 0))
                .collect();
            let message = if first { &problem.message } else { &labels[0].1 };
            reports.push(Report {
                message: one_line(message).into_owned(),
                severity: if first { severity } else { miette::Severity::Advice },
                source: Some(NamedSource::new(one_line(files.name(file)), quoted.text.into_owned())),
                labels: spans,
                help: None,
            });
        }
        if reports.is_empty() {
            let message = one_line(&problem.message).into_owned();
            reports.push(Report {
                message,
                severity,
                source: None,
                labels: vec![],
                help: None,
            });
        }
        if let Some(last) = reports.last_mut() {
            last.help = problem.help.as_deref().map(|h| printable(h).into_owned());
        }
        reports
    }
}

/// A label within the text, on character boundaries.
fn label(
    files: &Files,
    quoted: &Quoted<'_>,
    (place, text): &(Place, String),
    primary: bool,
    with_text: bool,
) -> LabeledSpan {
    let source = files.text(place.file);
    let floor = |mut i: usize| {
        i = i.min(source.len());
        while !source.is_char_boundary(i) {
            i -= 1;
        }
        i
    };
    let start = floor(place.span.start);
    // A value over several lines is marked on its first line.
    let line_end = source[start..].find('\n').map_or(source.len(), |n| start + n);
    let end = floor(place.span.end).clamp(start, line_end.max(start));
    let (start, end) = (quoted.at(start), quoted.at(end));
    let span = SourceSpan::new(start.into(), end - start);
    let text = (with_text && !text.is_empty()).then(|| one_line(text).into_owned());
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
        // Inside a character, and past the end: a place that is off by some bytes is still shown.
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

    #[test]
    fn what_files_hold_does_not_steer_the_terminal() {
        let text = "x\u{1b}[8m = 1 # \u{202e}\ny = 2\n";
        let mut files = Files::default();
        let a = files.add_file("a\u{1b}]0;title\u{7}.toml".as_ref(), text);
        let at = |word: &str| {
            let start = text.find(word).unwrap();
            let span = start..start + word.len();
            Place { file: a, span }
        };
        let problem = Problem::error("`x\u{1b}[8m` is\nerror: forged")
            .at(&at("1 #"), "here\u{9b}2J")
            .at(&at("y"), "there")
            .help("no\u{200b}width");
        let problems = Problems {
            files: Arc::new(files),
            list: vec![problem],
        };
        let shown = render(&problems, false);
        let hidden = |c: char| c != '\n' && c.is_control() || "\u{202e}\u{200b}".contains(c);
        assert!(!shown.contains(hidden), "{shown:?}");
        for part in [
            "`x\\u{1b}[8m` is\\nerror: forged",
            "x\\u{1b}[8m = 1 # \\u{202e}",
            "a\\u{1b}]0;title\\u{7}.toml",
        ] {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
        let (marked, mark) = (line_of(&shown, " = 1 #"), line_of(&shown, "─┬─"));
        assert_eq!(
            column(marked, "1 #"),
            column(mark, "─┬─"),
            "the mark is below its word\n{shown}"
        );
    }

    fn line_of<'t>(text: &'t str, part: &str) -> &'t str {
        text.lines().find(|l| l.contains(part)).expect(part)
    }

    fn column(line: &str, part: &str) -> usize {
        line[..line.find(part).expect(part)].chars().count()
    }

    #[test]
    fn a_long_line_is_cut() {
        let mut files = Files::default();
        let a = files.add_file("a.toml".as_ref(), &format!("x = [{}]\n", "1, ".repeat(40_000)));
        let problem = Problem::error("`x` is long").at(&Place { file: a, span: 0..1 }, "here");
        let list = vec![problem];
        let text = render(
            &Problems {
                files: Arc::new(files),
                list,
            },
            false,
        );
        assert!(text.contains("x = [1, 1, ") && text.contains("…\n"), "{text}");
        assert!(text.contains("here") && text.len() < 3000, "{}", text.len());
    }

    #[test]
    fn so_many_problems_are_shown_and_no_more() {
        let list: Vec<Problem> = (0..SHOWN + 7).map(|i| Problem::error(format!("number {i}"))).collect();
        let files = Arc::default();
        let text = render(&Problems { files, list }, false);
        assert!(text.contains("number 99\n") && !text.contains("number 100"), "{text}");
        assert!(
            text.ends_with("107 errors, of which the last 7 are not shown\n"),
            "{text}"
        );
    }
}
