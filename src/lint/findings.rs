//! What is wrong with lists and their files, in the order of what it does to a run.

use super::lists::Listed;
use crate::diag::{Place, Problem, Problems, Severity};
use crate::graph::bad_allowed;
use glad_nodes::{Defect, ListScan, Video};
use glad_video::lists::is_heading;
use indexmap::IndexMap;
use std::collections::HashMap;

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

/// The beginning of an advice where the first class has no videos and its name may be the heading of the file.
fn heading(name: &str) -> String {
    match is_heading(name) {
        true => format!("take `{name}` out of the names, if it is the heading of their file; if it is a class, "),
        false => String::new(),
    }
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

    fn lines(&self, found: &mut Vec<Finding>) {
        let (videos, bad) = (self.scan.videos.len(), &self.scan.malformed);
        let items = bad.iter().map(|m| Item {
            place: m.line.clone(),
            text: m.reason.clone(),
        });
        if self.scan.undecided {
            self.push(
                found,
                Level::Stops,
                "which columns the list has is open".into(),
                "say it by `columns` or `format` of the node, or in the list",
                items.collect(),
            );
        } else if !bad.is_empty() {
            self.push(
                found,
                Level::Stops,
                format!("{} of {} malformed", count(bad.len(), "line"), videos + bad.len()),
                match bad.iter().all(|m| m.reason.starts_with("label ")) {
                    true => "correct the labels, or delete the lines",
                    false => {
                        "correct or delete them; if many are, the list is of another kind than was taken: say `format` or \
                         `columns` of the node"
                    }
                },
                items.collect(),
            );
        } else if videos == 0 {
            self.push(
                found,
                Level::Stops,
                "the list names no videos".into(),
                "fill it, or name another list",
                vec![],
            );
        }
        for note in &self.scan.notes {
            let what = format!("the list {note}");
            self.push(found, Level::Note, what, "none, if that is what it is", vec![]);
        }
    }

    fn files(&self, limit: f64, found: &mut Vec<Finding>) {
        let all = self.scan.videos.len();
        // By kind of defect: of those that make a video bad in a run, and those that do not.
        // By what may be meant instead.
        let mut missing: IndexMap<Option<(bool, String)>, Vec<Item>> = IndexMap::new();
        let mut unreadable = vec![];
        // By what does not read them, and what would.
        let mut unsupported: IndexMap<(&str, &str), Vec<Item>> = IndexMap::new();
        let mut offset = vec![];
        let mut short = vec![];
        let mut cut = vec![];
        let mut longer = vec![];
        let mut few = vec![];
        let mut remarks = vec![];
        let least = self.listed.clip.unwrap_or(6);
        for (video, look) in self.scan.videos.iter().zip(&self.listed.looks) {
            let item = |text: String| Item {
                place: video.line.clone(),
                text,
            };
            let stated = video.footage.stated();
            match &look.frames {
                Err(d @ Defect::Missing) => {
                    let clue = video.footage.clue();
                    let there = clue.as_ref().filter(|c| !c.found.is_empty());
                    let there = there.map_or(String::new(), |c| format!("; {c}"));
                    let text = format!("{} {d}{there}", video.path.display());
                    let of = clue.map(|c| (!c.found.is_empty(), c.advice));
                    missing.entry(of).or_default().push(item(text));
                }
                Err(Defect::Unreadable(reason)) => unreadable.push(item(reason.clone())),
                Err(d @ Defect::Unsupported { backend, remedy, .. }) => {
                    let of = unsupported.entry((*backend, remedy.as_str())).or_default();
                    of.push(item(format!("{} {d}", video.path.display())));
                }
                Err(d @ Defect::Offset { .. }) => offset.push(item(format!("{} {d}", video.path.display()))),
                Err(d @ Defect::Short { .. }) if stated.offset.is_some() => {
                    short.push(item(format!("{}: {d}", shown(video))));
                }
                Err(d @ Defect::Short { found, .. }) => {
                    cut.push(item(format!("{} {d}", video.path.display())));
                    if *found < least {
                        few.push(item(format!("{}: {}", shown(video), count(*found, "frame"))));
                    }
                }
                Ok(n) => {
                    if let Some(remark) = &look.remark {
                        remarks.push(item(format!("{}: {remark}", video.path.display())));
                    }
                    if stated.offset.is_none()
                        && let Some(s) = stated.frames.filter(|s| s < n)
                    {
                        let text = format!("{} has {n} frames where the list says {s}", video.path.display());
                        longer.push(item(text));
                    }
                    if *n < least {
                        few.push(item(format!("{}: {}", shown(video), count(*n, "frame"))));
                    }
                }
            }
            if let Some(damage) = &look.damage {
                unreadable.push(item(damage.clone()));
            }
        }
        let unread: usize = unsupported.values().map(Vec::len).sum();
        let missing_ones: usize = missing.values().map(Vec::len).sum();
        let bad = missing_ones + unreadable.len() + unread + offset.len() + short.len();
        let allowed = bad_allowed(limit, all);
        let ends = bad > allowed || bad == all;
        let level = if ends { Level::Stops } else { Level::Hurts };
        let consequence = if bad == all {
            " (no video of the list can be used)".into()
        } else if ends {
            format!(" (with the other bad ones {bad} of {all}, and a run ends above {allowed}, by `bad_videos`)")
        } else {
            let then = match self.listed.trains {
                true => "in training other videos take their places",
                false => "they are not scored",
            };
            format!(" ({then}; a run ends above {allowed} of {all}, by `bad_videos`)")
        };
        for (clue, items) in missing {
            let (otherwise, advice) = match clue {
                Some((true, advice)) => (", and there under another path", advice),
                Some((false, advice)) => ("", advice),
                None => (
                    "",
                    "fetch the files, correct the paths (`root` of the node is the folder that they are relative to), or \
                     delete the lines"
                        .into(),
                ),
            };
            let what = format!(
                "{} of {all} missing{otherwise}{consequence}",
                count(items.len(), "video")
            );
            self.push(found, level, what, &advice, items);
        }
        let kinds: [(Vec<Item>, &str, &str); 3] = [
            (
                unreadable,
                "unreadable",
                "fetch or convert the files again, or delete the lines",
            ),
            (
                offset,
                "beginning after the end of the file",
                "correct the offsets: they count from the file's first frame (`start_index`, for folders)",
            ),
            (
                short,
                "of fewer frames than stated",
                "correct the lines, or extract the frames again: a segment reaches beyond its file",
            ),
        ];
        for ((backend, remedy), items) in unsupported {
            let what = format!(
                "{} of {all} of a kind that the backend `{backend}` does not read{consequence}",
                count(items.len(), "video")
            );
            self.push(found, level, what, remedy, items);
        }
        for (items, what, advice) in kinds {
            if !items.is_empty() {
                let what = format!("{} of {all} {what}{consequence}", count(items.len(), "video"));
                self.push(found, level, what, advice, items);
            }
        }
        if !cut.is_empty() {
            self.push(
                found,
                Level::Hurts,
                format!("{} of {all} of fewer frames than stated", count(cut.len(), "file")),
                "fetch the files again, if they were cut short; a run takes the frames that there are",
                cut,
            );
        }
        if !few.is_empty() {
            self.push(
                found,
                Level::Note,
                format!("{} of {all} of fewer than {least} frames", count(few.len(), "video")),
                "samplers repeat frames of them, and the order of their clips may not be defined; delete the lines if \
                 they are accidents",
                few,
            );
        }
        if !remarks.is_empty() {
            self.push(
                found,
                Level::Note,
                format!("{} of {all} of several video tracks", count(remarks.len(), "file")),
                "none, if the largest is meant, which is read; else keep the one that is meant (ffmpeg -i IN -map 0:1 -c \
                 copy OUT)",
                remarks,
            );
        }
        if !longer.is_empty() {
            self.push(
                found,
                Level::Note,
                format!("{} of {all} of more frames than stated", count(longer.len(), "file")),
                "none: a run takes all frames that there are",
                longer,
            );
        }
    }

    fn labels(&self, found: &mut Vec<Finding>) {
        let videos = &self.scan.videos;
        let unlabelled: Vec<Item> = videos
            .iter()
            .filter(|v| v.label.is_none())
            .map(|v| Item {
                place: v.line.clone(),
                text: format!("{} has no label", v.path.display()),
            })
            .collect();
        let trained_on = &self.listed.trained_on;
        if !unlabelled.is_empty() && !trained_on.is_empty() {
            let losses: Vec<String> = trained_on.iter().map(|l| format!("`{l}`")).collect();
            self.push(
                found,
                Level::Stops,
                format!(
                    "{} of {} without a label, which {} needs",
                    count(unlabelled.len(), "video"),
                    videos.len(),
                    losses.join(", ")
                ),
                "label them, delete their lines, or leave the stream out of the loss",
                unlabelled.clone(),
            );
        } else if unlabelled.len() == videos.len() {
            if !videos.is_empty() {
                self.push(
                    found,
                    Level::Note,
                    "no video has a label".into(),
                    "none, where the stream is held out in training; nothing can be scored on it",
                    vec![],
                );
            }
            return;
        } else if !unlabelled.is_empty() {
            let n = unlabelled.len();
            self.push(
                found,
                Level::Note,
                format!("{} of {} without a label", count(n, "video"), videos.len()),
                "give them labels: scores pass them over",
                unlabelled,
            );
        }
        if videos.iter().all(|v| v.label.is_none()) {
            return;
        }
        let Some(classes) = self.listed.scored.or(self.listed.class_count) else {
            return;
        };
        let beyond: Vec<Item> = videos
            .iter()
            .filter_map(|v| Some((v, v.label.filter(|l| *l >= classes)?)))
            .map(|(v, l)| Item {
                place: v.line.clone(),
                text: format!("label {l} is beyond the {classes} classes (0 to {})", classes - 1),
            })
            .collect();
        let labels = || videos.iter().filter_map(|v| v.label);
        let shifted = labels().min() == Some(1) && labels().max() == Some(classes) && self.scan.numbered;
        // More names than scores are one mistake, which the checks of lists against the graph report where they read the list.
        let named = self.listed.classes.as_ref().map_or(0, Vec::len);
        let more_names = named > classes && self.scan.malformed.is_empty();
        if !beyond.is_empty() && !more_names {
            self.push(
                found,
                Level::Stops,
                format!(
                    "{} of {} with a label beyond the classes",
                    count(beyond.len(), "video"),
                    videos.len()
                ),
                &match shifted {
                    true => "the labels begin with 1, and classes are numbered from 0: make each label 1 less".into(),
                    false => format!(
                        "{}correct them, or give the classifier as many outputs as there are classes (`dims.K`)",
                        heading(&self.listed.class(0))
                    ),
                },
                beyond,
            );
        }
        let classes = self.listed.class_count.unwrap_or(classes);
        let counts = self.listed.per_class();
        let empty: Vec<String> = (0..classes)
            .filter(|k| counts.get(*k).is_none_or(|n| *n == 0))
            .map(|k| self.listed.class(k))
            .collect();
        // Numbers that all are one too high leave the first class without videos: that is one mistake.
        if !empty.is_empty() && !shifted {
            let first_only = counts.first() == Some(&0) && empty.len() == 1 && classes > 1;
            let from_one = match (first_only, self.scan.numbered) {
                (true, true) => "do the labels begin with 1? Classes are numbered from 0; if they do not, ".into(),
                (true, false) => heading(&self.listed.class(0)),
                (false, _) => String::new(),
            };
            let consequence = match self.listed.trains {
                true => "what is trained on the labels of this list never sees them",
                false => "mean class accuracy is over the other classes",
            };
            self.push(
                found,
                Level::Hurts,
                format!(
                    "{} of {classes} without samples",
                    if empty.len() == 1 {
                        "1 class".into()
                    } else {
                        format!("{} classes", empty.len())
                    }
                ),
                &format!("{from_one}add videos of them, or leave the classes out: {consequence}"),
                vec![Item {
                    place: String::new(),
                    text: empty.join(", "),
                }],
            );
        }
    }

    /// The same video twice.
    fn repeats(&self, found: &mut Vec<Finding>) {
        let mut same: IndexMap<_, Vec<&Video>> = IndexMap::new();
        for (segment, video) in self.listed.segments() {
            same.entry(segment).or_default().push(video);
        }
        let (mut torn, mut twice) = (vec![], vec![]);
        for videos in same.values().filter(|v| v.len() > 1) {
            let line = |v: &Video| v.line.rsplit(':').next().unwrap_or_default().to_string();
            let label = |v: &Video| v.label.map_or("-".into(), |l| self.listed.class(l));
            let several = videos.iter().any(|v| v.label != videos[0].label);
            let text = match several {
                true => videos
                    .iter()
                    .map(|v| format!("{} in line {}", label(v), line(v)))
                    .collect::<Vec<_>>()
                    .join(", "),
                false => {
                    let again: Vec<String> = videos[1..].iter().map(|v| line(v)).collect();
                    format!("again in line {}", again.join(", "))
                }
            };
            let item = Item {
                place: videos[0].line.clone(),
                text: format!("{}: {text}", shown(videos[0])),
            };
            if several { torn.push(item) } else { twice.push(item) }
        }
        if !torn.is_empty() {
            self.push(
                found,
                Level::Hurts,
                format!("{} with two labels", count(torn.len(), "video")),
                "keep the right line of each: the network is told both",
                torn,
            );
        }
        if !twice.is_empty() {
            self.push(
                found,
                Level::Note,
                format!("{} listed more than once", count(twice.len(), "video")),
                "delete the repetitions, unless they are meant to count more",
                twice,
            );
        }
    }

    /// Videos that another list of the same stream has, too, where one of them is trained on.
    fn shared(&self, before: &[Listed], found: &mut Vec<Finding>) {
        for other in before.iter().filter(|o| o.stream == self.listed.stream) {
            // The same list under another backend is no other list.
            if other.trains == self.listed.trains || other.name() == self.listed.name() {
                continue;
            }
            let theirs: HashMap<_, &str> = other.segments().map(|(s, v)| (s, v.line.as_str())).collect();
            let items: Vec<Item> = self
                .listed
                .segments()
                .filter_map(|(segment, v)| Some((v, theirs.get(&segment)?)))
                .map(|(v, line)| Item {
                    place: v.line.clone(),
                    text: format!("{} is {line}, too", shown(v)),
                })
                .collect();
            if !items.is_empty() {
                self.push(
                    found,
                    Level::Note,
                    format!(
                        "{} of {} in both {} and {}",
                        count(items.len(), "video"),
                        self.scan.videos.len(),
                        self.listed.splits.join(", "),
                        other.splits.join(", ")
                    ),
                    "take them out of one list, unless the protocol tests on what it has seen in training",
                    items,
                );
            }
        }
    }
}
