//! Lines that cannot be read, and files that are missing, damaged or of another length.

use super::{Finding, Item, Level, List, count, shown};
use crate::graph::bad_allowed;
use crate::lint::lists::Look;
use glad_nodes::Defect;
use indexmap::IndexMap;

impl List<'_> {
    pub(super) fn lines(&self, found: &mut Vec<Finding>) {
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

    pub(super) fn files(&self, limit: f64, found: &mut Vec<Finding>) {
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
            let (video, look) = match (video.footage.other(), &look.other) {
                // One of the two is enough to make a video bad.
                (Some(video), Some(other)) if other.is_bad() && !look.is_bad() => (video, other.as_ref()),
                _ => (video, look),
            };
            if let (
                Some(other),
                Some(Look {
                    remark: Some(remark), ..
                }),
            ) = (video.footage.other(), look.other.as_deref())
            {
                let text = format!("{}: {remark}", other.path.display());
                let item = Item {
                    place: video.line.clone(),
                    text,
                };
                remarks.push((other.path.is_dir(), item));
            }
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
                        let folder = video.path.is_dir();
                        remarks.push((folder, item(format!("{}: {remark}", video.path.display()))));
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
        let consequence = |n: usize| {
            if bad == all {
                " (no video of the list can be used)".into()
            } else if ends {
                let others = match n == bad {
                    true => String::new(),
                    false => format!("with the other bad ones {bad} of {all}, and "),
                };
                format!(" ({others}a run ends above {allowed}, by `bad_videos`)")
            } else {
                let then = match self.listed.trains {
                    true => "in training other videos take their places",
                    false => "they are not scored",
                };
                format!(" ({then}; a run ends above {allowed} of {all}, by `bad_videos`)")
            }
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
                "{} of {all} missing{otherwise}{}",
                count(items.len(), "video"),
                consequence(items.len())
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
                "{} of {all} of a kind that the backend `{backend}` does not read{}",
                count(items.len(), "video"),
                consequence(items.len())
            );
            self.push(found, level, what, remedy, items);
        }
        for (items, what, advice) in kinds {
            if !items.is_empty() {
                let what = format!(
                    "{} of {all} {what}{}",
                    count(items.len(), "video"),
                    consequence(items.len())
                );
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
        let (folders, tracks): (Vec<_>, Vec<_>) = remarks.into_iter().partition(|(folder, _)| *folder);
        let only = |remarks: Vec<(bool, Item)>| remarks.into_iter().map(|(_, item)| item).collect::<Vec<_>>();
        if !tracks.is_empty() {
            self.push(
                found,
                Level::Note,
                format!("{} of {all} of several video tracks", count(tracks.len(), "file")),
                "none, if the track that is read is the one that is meant (of those that the file enables, the largest); else keep \
                 that alone (ffmpeg -i IN -map 0:v:1 -c copy OUT, for the second)",
                only(tracks),
            );
        }
        if !folders.is_empty() {
            self.push(
                found,
                Level::Note,
                format!("{} of {all} with images that are no frames", count(folders.len(), "folder")),
                "none, if they show something else (optical flow, masks); else correct `template` or `start_index` of the node, or \
                 the names",
                only(folders),
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
}
