//! What is wrong with lists and their files, in the order of what it does to a run.

mod files;
mod labels;
mod repeats;

use super::lists::Listed;
use crate::diag::{Place, Problem, Problems, Severity};
use glad_nodes::{ListScan, Video};

/// What a finding does to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It ends, or does not begin.
    Stops,
    /// It goes on, on other data than was meant.
    Hurts,
    /// Worth knowing; nothing is wrong by that alone.
    Note,
}

impl Level {
    /// All, the gravest first.
    pub const ALL: [Level; 3] = [Level::Stops, Level::Hurts, Level::Note];

    /// As a heading.
    pub fn heading(self) -> &'static str {
        match self {
            Level::Stops => "Stops a run",
            Level::Hurts => "Hurts silently",
            Level::Note => "Notes",
        }
    }
}

/// One place that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `list.txt:12`; empty for what is about the list as a whole.
    pub place: String,
    /// What is there.
    pub text: String,
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.text),
            place => write!(f, "{place}: {}", self.text),
        }
    }
}

/// One thing that is wrong with one list, with all its places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it does to a run.
    pub level: Level,
    /// The list, and whose it is.
    pub list: String,
    /// What it is, with how many.
    pub what: String,
    /// What to do about it.
    pub advice: String,
    /// Where it is.
    pub items: Vec<Item>,
}

/// All that is wrong with lists, the gravest first. `between` is what is wrong with them against each other and the graph,
/// `limit` the share of bad videos above which a run ends.
pub fn findings(lists: &[Listed], between: &Problems, limit: f64) -> Vec<Finding> {
    let mut found: Vec<Finding> = between.list.iter().map(|p| of_problem(p, between)).collect();
    for (i, listed) in lists.iter().enumerate() {
        match &listed.scan {
            Err(e) => {
                let finding = unread(listed, e);
                // The names of the classes are one file for all lists.
                if !found.contains(&finding) {
                    found.push(finding);
                }
            }
            Ok(scan) => {
                let list = List { listed, scan };
                list.lines(&mut found);
                list.files(limit, &mut found);
                list.labels(&mut found);
                list.repeats(&mut found);
                list.shared(&lists[..i], &mut found);
            }
        }
    }
    found.sort_by_key(|f| f.level);
    found
}

/// A list that cannot be read, or another file that it needs.
fn unread(listed: &Listed, error: &str) -> Finding {
    let list = format!("{} ({})", listed.name(), listed.whose());
    let Some(fault) = &listed.fault else {
        return Finding {
            level: Level::Stops,
            list,
            what: "the list cannot be read".into(),
            advice: "put the list there, or correct its path in the graph or setting".into(),
            items: vec![Item {
                place: String::new(),
                text: error.into(),
            }],
        };
    };
    let file = fault.file.display().to_string();
    let place = |line: &usize| Item {
        place: format!("{file}:{line}"),
        text: fault.what.clone(),
    };
    let whole = || Item {
        place: file.clone(),
        text: fault.what.clone(),
    };
    Finding {
        level: Level::Stops,
        what: format!("{} cannot be read", fault.role),
        advice: match fault.advice.as_str() {
            "" => "correct it, or its path in the graph or setting".into(),
            advice => advice.into(),
        },
        items: match fault.lines.as_slice() {
            [] => vec![whole()],
            lines => lines.iter().map(place).collect(),
        },
        list: match fault.role {
            "the list" => format!("{file} ({})", listed.whose()),
            _ => file,
        },
    }
}

/// A finding of the checker, as one of the linter.
fn of_problem(p: &Problem, of: &Problems) -> Finding {
    let item = |(place, text): &(Place, String)| Item {
        place: of.files.at(place),
        text: text.clone(),
    };
    Finding {
        level: match p.severity {
            Severity::Error => Level::Stops,
            Severity::Warning => Level::Hurts,
            Severity::Note => Level::Note,
        },
        list: p
            .labels
            .first()
            .map_or("the graph".into(), |(place, _)| of.files.at(place)),
        what: p.message.clone(),
        advice: p.help.clone().unwrap_or_else(|| "look at both".into()),
        items: p.labels.iter().map(item).collect(),
    }
}

/// A list that can be read.
struct List<'a> {
    listed: &'a Listed,
    scan: &'a ListScan,
}

/// `1 video`, `3 videos`.
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn shown(video: &Video) -> String {
    let stated = video.footage.stated();
    match (stated.offset, stated.frames) {
        (Some(from), Some(n)) => format!("{} (frames {from} to {})", video.path.display(), from + n.max(1) - 1),
        (Some(from), None) => format!("{} (from frame {from} on)", video.path.display()),
        _ => video.path.display().to_string(),
    }
}
impl List<'_> {
    fn push(&self, found: &mut Vec<Finding>, level: Level, what: String, advice: &str, items: Vec<Item>) {
        found.push(Finding {
            level,
            list: format!("{} ({})", self.listed.name(), self.listed.whose()),
            what,
            advice: advice.into(),
            items,
        });
    }
}
