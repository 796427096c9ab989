//! What the linter prints on a terminal: the worst first, a few places of each.

use super::findings::{Finding, Level};
use super::lists::Listed;
use crate::diag::one_line;
use std::fmt::Write;

/// Places that are shown of a finding.
const PLACES: usize = 3;

/// A summary. `report` is where all of it is, if it could be written.
pub fn text(graph: &str, lists: &[Listed], findings: &[Finding], report: Option<&str>) -> String {
    let mut out = String::new();
    for level in Level::ALL {
        let of: Vec<&Finding> = findings.iter().filter(|f| f.level == level).collect();
        if of.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{}", level.heading().to_uppercase());
        let mut list = "";
        for f in of {
            if f.list != list {
                list = &f.list;
                let _ = writeln!(out, "  {}", one_line(list));
            }
            let _ = writeln!(out, "    {}", one_line(&f.what));
            for item in f.items.iter().take(PLACES) {
                let _ = writeln!(out, "      {}", one_line(&item.to_string()));
            }
            if f.items.len() > PLACES {
                let report = if report.is_some() { " in the report" } else { "" };
                let _ = writeln!(out, "      … and {} more{report}", f.items.len() - PLACES);
            }
            let _ = writeln!(out, "      → {}", f.advice);
        }
        out += "\n";
    }
    out += &table(lists);
    let wrong = findings.iter().filter(|f| f.level != Level::Note).count();
    let verdict = match (wrong, findings.len()) {
        (0, 0) => "nothing is wrong".into(),
        (0, n) => format!("nothing is wrong, {n} {}", if n == 1 { "note" } else { "notes" }),
        (n, _) => format!("{n} {} wrong", if n == 1 { "thing is" } else { "things are" }),
    };
    let report = report.map_or(String::new(), |r| format!("; {} has every line", one_line(r)));
    let _ = writeln!(out, "\n{}: {verdict}{report}", one_line(graph));
    out
}

/// What a table of lists shows of each.
pub(super) fn row(l: &Listed) -> [String; 8] {
    use glad_nodes::Defect;
    let (videos, malformed, columns) = match &l.scan {
        // What an empty list has for columns is no one's guess.
        Ok(s) if s.videos.is_empty() && s.malformed.is_empty() => (0, 0, "-".into()),
        Ok(s) => (s.videos.len(), s.malformed.len(), s.columns.clone()),
        Err(_) => (0, 0, "not readable".into()),
    };
    let looks = || {
        l.looks.iter().map(|k| match &k.other {
            Some(other) if !k.is_bad() => other.as_ref(),
            _ => k,
        })
    };
    let of = |which: &dyn Fn(&Defect) -> bool| looks().filter(|k| k.frames.as_ref().is_err_and(which)).count();
    let missing = of(&|d| *d == Defect::Missing);
    let short = of(&|d| matches!(d, Defect::Short { .. } | Defect::Offset { .. }));
    let unreadable = looks().filter(|k| k.damage.is_some()).count()
        + of(&|d| matches!(d, Defect::Unreadable(_) | Defect::Unsupported { .. }));
    [
        l.stream.clone(),
        l.splits.join(", "),
        videos.to_string(),
        malformed.to_string(),
        missing.to_string(),
        unreadable.to_string(),
        short.to_string(),
        columns,
    ]
}

/// The columns of [`row`].
pub(super) const COLUMNS: [&str; 8] = [
    "stream",
    "splits",
    "videos",
    "malformed",
    "missing",
    "unreadable",
    "short",
    "columns",
];

fn table(lists: &[Listed]) -> String {
    let rows: Vec<[String; 8]> = [COLUMNS.map(String::from)]
        .into_iter()
        .chain(lists.iter().map(row))
        .collect();
    let wide = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for r in &rows {
        let mut line = String::new();
        for (c, text) in r.iter().enumerate() {
            let w = wide(c);
            // Numbers stand to the right.
            let _ = match c {
                2..=6 => write!(line, "  {text:>w$}"),
                _ => write!(line, "  {text:w$}"),
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}
