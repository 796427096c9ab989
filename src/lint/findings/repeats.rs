//! Videos that are listed more than once.

use super::{Finding, Item, Level, List, count, shown};
use crate::lint::lists::Listed;
use glad_nodes::Video;
use indexmap::IndexMap;
use std::collections::HashMap;

impl List<'_> {
    /// The same video twice.
    pub(super) fn repeats(&self, found: &mut Vec<Finding>) {
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
                "keep the right line of each: both are trained on",
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
    pub(super) fn shared(&self, before: &[Listed], found: &mut Vec<Finding>) {
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
