//! Files with the names of classes, one a line.

use super::encoding::{self, Meant};
use super::separator::unquoted;
use super::text::lines;
use std::collections::HashMap;

/// What is wrong with a file of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadNames {
    /// What it is, as a fragment: `names the class "walk" twice`.
    pub what: String,
    /// What to do about it.
    pub advice: String,
    /// The lines, from 1; none if it concerns the whole file.
    pub lines: Vec<usize>,
}

const NAMES: Meant = Meant {
    what: "a file of class names",
    each: "the name of a class on each line",
    form: FORM,
};

const FORM: &str = "write the names of the classes, one a line, in the order of their numbers from 0";

/// The names of the classes in a file, in order. Blank lines and comments (`#` and whitespace) are skipped.
///
/// # Errors
/// If the file is not text, names a class twice, or numbers its lines.
pub fn class_names(bytes: &[u8]) -> Result<Vec<String>, BadNames> {
    let whole = |what: String| BadNames {
        what,
        advice: FORM.into(),
        lines: vec![],
    };
    let text = encoding::text(bytes, &NAMES).map_err(|what| match what.split_once(": ") {
        Some((what, advice)) => BadNames {
            what: what.to_owned(),
            advice: advice.to_owned(),
            lines: vec![],
        },
        None => whole(what),
    })?;
    let mut names: Vec<(usize, String)> = vec![];
    let mut unreadable = vec![];
    for (line, name) in lines(&text.bytes) {
        match std::str::from_utf8(name) {
            Ok(name) => names.push((line, unquoted(name.trim_end_matches([',', ';']).trim()).to_owned())),
            Err(_) => unreadable.push(line),
        }
    }
    if !unreadable.is_empty() {
        return Err(BadNames {
            what: "is not UTF-8 text".into(),
            advice: "save it as UTF-8".into(),
            lines: unreadable,
        });
    }
    if names.is_empty() {
        return Err(whole("names no classes".into()));
    }
    if let Some(from) = numbered(&names) {
        return Err(BadNames {
            what: format!("numbers its lines from {from}, as {:?} has it", names[0].1),
            advice: "take the numbers away: a class's number is its place, from 0; labels that are numbers have to count from 0, \
                     too"
                .into(),
            lines: names.iter().map(|(line, _)| *line).take(1).collect(),
        });
    }
    let mut first: HashMap<&str, usize> = HashMap::new();
    let mut twice: Vec<(&str, Vec<usize>)> = vec![];
    for (line, name) in &names {
        match first.get(name.as_str()) {
            None => drop(first.insert(name, *line)),
            Some(before) => match twice.iter_mut().find(|(n, _)| n == name) {
                Some((_, lines)) => lines.push(*line),
                None => twice.push((name, vec![*before, *line])),
            },
        }
    }
    if !twice.is_empty() {
        let named: Vec<&str> = twice.iter().map(|(n, _)| *n).collect();
        return Err(BadNames {
            what: format!("classes come twice: {}", named.join(", ")),
            advice: "give each class one line; the numbers of those after it change".into(),
            lines: twice.into_iter().flat_map(|(_, lines)| lines).collect(),
        });
    }
    Ok(names.into_iter().map(|(_, name)| name).collect())
}

/// Whether a name of a class may be the heading of a file's first line: it names what the lines hold.
pub fn is_heading(name: &str) -> bool {
    const HEADINGS: [&str; 12] = [
        "action",
        "actions",
        "category",
        "class",
        "class_name",
        "class_names",
        "classes",
        "label",
        "label_name",
        "labels",
        "name",
        "names",
    ];
    HEADINGS.contains(&name.trim().to_lowercase().replace([' ', '-'], "_").as_str())
}

/// The first number of names that are numbered in front, or after a comma: `0 walk`, `1 run` (of two or more).
fn numbered(names: &[(usize, String)]) -> Option<usize> {
    let number = |name: &str, end: bool| {
        let mark = |c: char| matches!(c, ',' | ';' | '\t');
        let parts = match end {
            // A name may end in a number (`level 0`).
            true => name.rsplit_once(mark).map(|(rest, n)| (n, rest)),
            false => name.split_once(|c: char| c.is_whitespace() || mark(c) || matches!(c, ':' | '.' | ')')),
        };
        let (number, rest) = parts?;
        number.trim().parse::<usize>().ok().filter(|_| !rest.trim().is_empty())
    };
    [false, true].into_iter().find_map(|end| {
        let first = number(&names[0].1, end).filter(|n| *n < 2 && names.len() > 1)?;
        let counts = |(i, (_, name)): (usize, &(usize, String))| number(name, end) == Some(first + i);
        names.iter().enumerate().all(counts).then_some(first)
    })
}
