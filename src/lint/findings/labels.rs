//! Labels: missing ones, classes without videos, numbers that begin with 1.

use super::{Finding, Item, Level, List, count};
use glad_video::lists::is_heading;

/// The beginning of an advice where the first class has no videos and its name may be the heading of the file.
fn heading(name: &str) -> String {
    match is_heading(name) {
        true => format!("take `{name}` out of the names, if it is the heading of their file; if it is a class, "),
        false => String::new(),
    }
}

impl List<'_> {
    pub(super) fn labels(&self, found: &mut Vec<Finding>) {
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
}
