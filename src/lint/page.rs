//! The linter's report: every place of every finding, the lists, and the videos of each class.

use super::findings::{Finding, Level};
use super::lists::Listed;
use super::text::{COLUMNS, row};
use std::fmt::Write;

/// The report, as Markdown.
pub fn page(graph: &str, lists: &[Listed], findings: &[Finding]) -> String {
    let mut out = format!("# Lists of {graph}\n\n");
    for level in Level::ALL {
        let of: Vec<&Finding> = findings.iter().filter(|f| f.level == level).collect();
        let _ = writeln!(out, "- {}: {}", level.heading(), of.len());
    }
    for level in Level::ALL {
        let of: Vec<&Finding> = findings.iter().filter(|f| f.level == level).collect();
        if of.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n## {}", level.heading());
        for f in of {
            let _ = writeln!(
                out,
                "\n### {}\n\n{}\n\nWhat to do: {}.",
                f.what,
                code(&f.list),
                f.advice
            );
            if !f.items.is_empty() {
                // In a block of code, paths are left as they are.
                out += "\n```\n";
                for item in &f.items {
                    let _ = writeln!(out, "{}", item.to_string().replace("```", "` ` `"));
                }
                out += "```\n";
            }
        }
    }
    out += "\n## Lists\n\n";
    let columns: Vec<&str> = ["list"].into_iter().chain(COLUMNS).collect();
    line(&mut out, columns.iter().map(|c| c.to_string()));
    line(&mut out, columns.iter().map(|_| "---".to_string()));
    for l in lists {
        line(&mut out, [code(&l.name())].into_iter().chain(row(l)));
    }
    classes(&mut out, lists);
    out
}

/// Lists of the same classes share a table.
fn classes(out: &mut String, lists: &[Listed]) {
    let mut groups: Vec<(&Option<Vec<String>>, Vec<&Listed>)> = vec![];
    for l in lists.iter().filter(|l| l.per_class().iter().any(|n| *n > 0)) {
        match groups.iter_mut().find(|(c, _)| **c == l.classes) {
            Some((_, of)) => of.push(l),
            None => groups.push((&l.classes, vec![l])),
        }
    }
    for (_, of) in groups {
        out.push_str("\n## Videos of each class\n\n");
        let counts: Vec<Vec<usize>> = of.iter().map(|l| l.per_class()).collect();
        let whose = of.iter().map(|l| format!("{} {}", l.stream, l.splits.join(", ")));
        line(out, ["class".to_string()].into_iter().chain(whose));
        line(out, (0..=of.len()).map(|_| "---".to_string()));
        for k in 0..counts.iter().map(Vec::len).max().unwrap_or(0) {
            let name = of[0].class(k);
            let n = counts.iter().map(|c| match c.get(k) {
                Some(0) | None => "**0**".to_string(),
                Some(n) => n.to_string(),
            });
            line(out, [name].into_iter().chain(n));
        }
    }
}

fn line(out: &mut String, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.map(|c| c.replace('|', "\\|")).collect();
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'"))
}
