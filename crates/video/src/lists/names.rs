//! Files with the names of classes, one a line.

mod numbers;

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

/// The names of the classes in a file, in order. Blank lines and comments (`#` and whitespace) are skipped. Lines may have
/// the numbers of their classes before or after the names, as in `0 walk`, `walk,0` or a table with the heading `id,name`.
///
/// # Errors
/// If the file is not text, names a class twice, or numbers its classes otherwise than from 0.
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
    if let Some(what) = other_file(&names) {
        return Err(BadNames {
            lines: vec![names[0].0],
            ..whole(what)
        });
    }
    if names.iter().all(|(_, name)| name.starts_with("- ")) {
        names
            .iter_mut()
            .for_each(|(_, name)| *name = unquoted(name[2..].trim()).to_owned());
    }
    let names = numbers::read(names)?;
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

/// The endings of the names of video files.
pub const VIDEO_ENDINGS: [&str; 8] = ["mp4", "avi", "mkv", "webm", "mov", "mpg", "m4v", "wmv"];

/// What a file is whose lines are no names of classes, as a fragment.
fn other_file(names: &[(usize, String)]) -> Option<String> {
    let (_, first) = names.first()?;
    let is_video = |word: &str| {
        let ending = word.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        ending.is_some_and(|e| VIDEO_ENDINGS.contains(&e.as_str()))
    };
    let has_video = |name: &str| name.split([' ', '\t', ',', ';']).any(is_video);
    if names.iter().all(|(_, name)| has_video(name)) {
        Some(format!(
            "is a list of videos, not a file of class names, as {first:?} has it"
        ))
    } else if first.strip_prefix("item").is_some_and(|rest| rest.trim() == "{") {
        Some("is a label map (pbtxt), not a file of class names".into())
    } else if names.len() == 1 && first.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';')) {
        Some(format!("names one class, {first:?}"))
    } else {
        None
    }
}
