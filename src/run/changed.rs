//! Whether a run that goes on reads what it began with.

use super::inputs::{FileInput, Inputs, ListInput, VideoInput};
use std::path::{Component, Path, PathBuf};

/// How what a run reads differs from what it began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Not at all.
    Same,
    /// The same content lies elsewhere or has other times: how, in words.
    Moved(String),
    /// Another content of what nothing is trained from, and all else is the same.
    Scored {
        /// What differs first, in words.
        what: String,
        /// Whether the rest lies elsewhere, or has other times.
        moved: bool,
    },
    /// Another content: what differs first, in words.
    Other(String),
}

/// Compares what a run reads with what it began with. `trains` tells whether the weights depend on what a phase or view reads.
pub(super) fn compare(before: &Inputs, now: &Inputs, trains: &dyn Fn(&str) -> bool) -> Change {
    let (mut moved, mut scored) = (None, None);
    for list in &now.lists {
        let old = list.used.iter().find_map(|place| before.at(place));
        let Some(old) = old else {
            // An optional view that was left out may run now.
            if list.optional {
                continue;
            }
            return Change::Other(format!("{} was not read before", list.named()));
        };
        match lists(old, list) {
            Change::Same => {}
            Change::Moved(how) => {
                moved.get_or_insert(how);
            }
            // Weights have as many outputs as there were classes.
            Change::Other(what) if !list.is_read_by(trains) && old.classes == list.classes => {
                scored.get_or_insert(what);
            }
            other => return other,
        }
    }
    for w in &now.weights {
        if let Some(old) = before
            .weights
            .iter()
            .find(|old| old.node == w.node && old.hash != w.hash)
        {
            return Change::Other(format!(
                "the weights that `{}` starts from are others: {} has the hash {}, the run began with {} of hash {}",
                w.node,
                w.file,
                &w.hash[..w.hash.len().min(16)],
                old.file,
                &old.hash[..old.hash.len().min(16)],
            ));
        }
    }
    match (scored, moved) {
        (Some(what), moved) => Change::Scored {
            what,
            moved: moved.is_some(),
        },
        (None, Some(how)) => Change::Moved(how),
        (None, None) => Change::Same,
    }
}

fn lists(before: &ListInput, now: &ListInput) -> Change {
    let list = now.named();
    if before.generated.is_some() && now.generated.is_some() && before.generated != now.generated {
        return Change::Other(format!(
            "the data of {list} is generated in another way than the run began with"
        ));
    }
    if before.classes != now.classes {
        let names = |list: &ListInput| list.classes.as_ref().map_or("no names".into(), |c| c.join(", "));
        return Change::Other(format!(
            "the classes of {list} are others: {}; the run began with {}",
            names(now),
            names(before)
        ));
    }
    // Where not one path is as it was, all of the data may lie elsewhere: paths count from the folder of all.
    let stays = before.videos.iter().zip(&now.videos).any(|(a, b)| a.1 == b.1);
    let base = |list: &ListInput| {
        if stays {
            PathBuf::new()
        } else {
            common_folder(&list.videos)
        }
    };
    let (old_base, new_base) = (base(before), base(now));
    let within = |v: &VideoInput, base: &Path| {
        Path::new(&v.1)
            .strip_prefix(base)
            .map_or(v.1.clone(), |p| p.to_string_lossy().into_owned())
    };
    for (a, b) in before.videos.iter().zip(&now.videos) {
        if within(a, &old_base) != within(b, &new_base) || (a.2, a.3, a.4) != (b.2, b.3, b.4) {
            return Change::Other(format!(
                "{list} is another one: the run began with {}, where there is now {}{}",
                row(a, before),
                row(b, now),
                counts(before, now)
            ));
        }
    }
    if before.videos.len() != now.videos.len() {
        let n = before.videos.len().min(now.videos.len());
        let first = match (before.videos.get(n), now.videos.get(n)) {
            (Some(gone), _) => format!("{} is gone", row(gone, before)),
            (_, Some(new)) => format!("{} is new", row(new, now)),
            (None, None) => String::new(),
        };
        return Change::Other(format!("{list} is another one: {first}{}", counts(before, now)));
    }
    let mut moved = None;
    for (a, b) in before.videos.iter().zip(&now.videos) {
        match files(a.5.as_ref(), b.5.as_ref()) {
            Change::Same if a.1 == b.1 => {}
            Change::Other(what) => {
                return Change::Other(format!("{} of {list} {what}", b.1));
            }
            _ if moved.is_some() => {}
            Change::Moved(what) if a.1 == b.1 => moved = Some(format!("{} of {list} {what}", b.1)),
            _ => {
                moved = Some(format!(
                    "the videos of {list} lie in another place: {}, before {}",
                    b.1, a.1
                ))
            }
        }
    }
    moved.map_or(Change::Same, Change::Moved)
}

fn files(before: Option<&FileInput>, now: Option<&FileInput>) -> Change {
    match (before, now) {
        (None, None) => Change::Same,
        (Some(_), None) => Change::Other("is not there any more".into()),
        (None, Some(_)) => Change::Other("was not there when the run began".into()),
        (Some(a), Some(b)) if a.bytes != b.bytes => {
            Change::Other(format!("has {} bytes, and had {} when the run began", b.bytes, a.bytes))
        }
        (Some(a), Some(b)) if a.parts != b.parts => Change::Other("has another content than when the run began".into()),
        (Some(a), Some(b)) if a.real != b.real => Change::Moved("is a link to another place".into()),
        (Some(a), Some(b)) if a.time != b.time => Change::Moved("has another time of its last change".into()),
        _ => Change::Same,
    }
}

/// `line 3, v/a.mp4 (class walk)`.
fn row(video: &VideoInput, list: &ListInput) -> String {
    let VideoInput(line, path, label, offset, frames, _) = video;
    let mut what = vec![];
    if let Some(label) = label {
        let name = list.classes.as_ref().and_then(|c| c.get(*label as usize));
        what.push(format!("class {}", name.map_or(label.to_string(), Clone::clone)));
    } else {
        what.push("no class".into());
    }
    what.extend(offset.map(|n| format!("from frame {n}")));
    what.extend(frames.map(|n| format!("{n} frames")));
    let line = line.map_or(String::new(), |n| format!("line {n}, "));
    format!("{line}{path} ({})", what.join(", "))
}

/// `; 8 videos before, 7 now`, where that differs.
fn counts(before: &ListInput, now: &ListInput) -> String {
    match (before.videos.len(), now.videos.len()) {
        (a, b) if a == b => String::new(),
        (a, b) => format!("; {a} videos before, {b} now"),
    }
}

/// The folder that holds all videos of a list.
fn common_folder(videos: &[VideoInput]) -> PathBuf {
    let parts = |v: &VideoInput| -> Vec<String> {
        let folder = Path::new(&v.1).parent().map(Path::components);
        let text = |c: Component<'_>| c.as_os_str().to_string_lossy().into_owned();
        folder.into_iter().flatten().map(text).collect()
    };
    let mut common = videos.first().map(parts).unwrap_or_default();
    for v in videos {
        let own = parts(v);
        let same = common.iter().zip(&own).take_while(|(a, b)| a == b).count();
        common.truncate(same);
    }
    common.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::inputs::WeightsInput;

    /// A list of `path class bytes time`.
    fn list(rows: &[(&str, u64, u64, u64)]) -> ListInput {
        let video = |(i, (path, class, bytes, time)): (usize, &(&str, u64, u64, u64))| {
            let file = FileInput {
                bytes: *bytes,
                parts: None,
                time: Some(time.to_string()),
                real: None,
            };
            VideoInput(
                Some(i as u64 + 1),
                path.to_string(),
                Some(*class),
                None,
                None,
                Some(file),
            )
        };
        ListInput {
            used: vec!["main videos@source".into()],
            file: "data/a.txt".into(),
            split: "train".into(),
            classes: Some(vec!["walk".into(), "run".into()]),
            count: rows.len(),
            videos: rows.iter().enumerate().map(video).collect(),
            ..ListInput::default()
        }
    }

    fn change(before: &[(&str, u64, u64, u64)], now: &[(&str, u64, u64, u64)]) -> Change {
        let inputs = |rows| Inputs {
            lists: vec![list(rows)],
            weights: vec![],
        };
        compare(&inputs(before), &inputs(now), &|_| true)
    }

    fn other(what: &str) -> Change {
        Change::Other(what.into())
    }

    const ROWS: [(&str, u64, u64, u64); 3] = [("v/a.mp4", 0, 7, 1), ("v/b.mp4", 1, 8, 2), ("w/c.mp4", 0, 9, 3)];

    #[test]
    fn another_content_is_named() {
        let of = "the list data/a.txt (main videos@source, split train)";
        assert_eq!(change(&ROWS, &ROWS), Change::Same);
        assert_eq!(
            change(&ROWS, &ROWS[1..]),
            other(&format!(
                "{of} is another one: the run began with line 1, v/a.mp4 (class walk), where there is now line 1, v/b.mp4 \
                 (class run); 3 videos before, 2 now"
            ))
        );
        assert_eq!(
            change(&ROWS, &ROWS[..2]),
            other(&format!(
                "{of} is another one: line 3, w/c.mp4 (class walk) is gone; 3 videos before, 2 now"
            ))
        );
        let mut rows = ROWS;
        rows[1].1 = 0;
        assert_eq!(
            change(&ROWS, &rows),
            other(&format!(
                "{of} is another one: the run began with line 2, v/b.mp4 (class run), where there is now line 2, v/b.mp4 \
                 (class walk)"
            ))
        );
        let mut rows = ROWS;
        rows[2].2 = 10;
        assert_eq!(
            change(&ROWS, &rows),
            other(&format!("w/c.mp4 of {of} has 10 bytes, and had 9 when the run began"))
        );
    }

    #[test]
    fn what_only_views_read_may_be_another() {
        let two = |train: &[(&str, u64, u64, u64)], test: &[(&str, u64, u64, u64)]| {
            let used = ["infer videos@target", "scenes videos@target"]
                .map(String::from)
                .to_vec();
            let test = ListInput { used, ..list(test) };
            Inputs {
                lists: vec![list(train), test],
                weights: vec![],
            }
        };
        let change = |now: Inputs, trains: &dyn Fn(&str) -> bool| compare(&two(&ROWS, &ROWS), &now, trains);
        let phases = |name: &str| name == "main";
        let Change::Scored { what, moved } = change(two(&ROWS, &ROWS[1..]), &phases) else {
            panic!()
        };
        assert!(what.ends_with("3 videos before, 2 now") && !moved, "{what}");
        let later = ROWS.map(|(path, class, bytes, time)| (path, class, bytes, time + 1));
        let both = change(two(&later, &ROWS[1..]), &phases);
        assert!(matches!(both, Change::Scored { moved: true, .. }), "{both:?}");
        // A view that a phase is validated with, a list of a phase, and other classes.
        let validated = |name: &str| ["main", "scenes"].contains(&name);
        assert!(matches!(change(two(&ROWS, &ROWS[1..]), &validated), Change::Other(_)));
        assert!(matches!(change(two(&ROWS[1..], &ROWS[1..]), &phases), Change::Other(_)));
        let mut classes = two(&ROWS, &ROWS);
        classes.lists[1].classes = None;
        assert!(matches!(change(classes, &phases), Change::Other(_)));
    }

    #[test]
    fn data_staged_anew_is_the_same() {
        let staged =
            |prefix: &str| ROWS.map(|(path, class, bytes, time)| (format!("{prefix}/{path}"), class, bytes, time));
        let (a, b) = (staged("/tmp/job1"), staged("/scratch/x/job2"));
        fn rows(r: &[(String, u64, u64, u64)]) -> Vec<(&str, u64, u64, u64)> {
            r.iter().map(|(p, c, b, t)| (p.as_str(), *c, *b, *t + 5)).collect()
        }
        let Change::Moved(how) = change(&rows(&a), &rows(&b)) else {
            panic!()
        };
        assert!(
            how.ends_with("lie in another place: /scratch/x/job2/v/a.mp4, before /tmp/job1/v/a.mp4"),
            "{how}"
        );
        // Elsewhere, and another content.
        let mut changed = rows(&b);
        changed[2].0 = "/scratch/x/job2/w/d.mp4";
        assert!(matches!(change(&rows(&a), &changed), Change::Other(_)));
        // In place, with new times.
        let mut rows = ROWS;
        rows[0].3 = 99;
        let Change::Moved(how) = change(&ROWS, &rows) else {
            panic!()
        };
        assert!(
            how.starts_with("v/a.mp4 of ") && how.ends_with("another time of its last change"),
            "{how}"
        );
    }

    #[test]
    fn classes_weights_and_links_count() {
        let inputs = |edit: fn(&mut Inputs)| {
            let weights = WeightsInput {
                node: "backbone".into(),
                file: "w.pth".into(),
                hash: "0123456789abcdef0".into(),
            };
            let mut inputs = Inputs {
                lists: vec![list(&ROWS)],
                weights: vec![weights],
            };
            edit(&mut inputs);
            inputs
        };
        let after = |edit| compare(&inputs(|_| {}), &inputs(edit), &|_| true);
        let Change::Other(e) = after(|i| i.lists[0].classes.as_mut().unwrap().reverse()) else {
            panic!()
        };
        assert!(e.contains("run, walk; the run began with walk, run"), "{e}");
        let Change::Other(e) = after(|i| i.weights[0].hash = "fedcba98765432100".into()) else {
            panic!()
        };
        assert!(e.contains("`backbone`") && e.contains("fedcba9876543210,"), "{e}");
        let Change::Moved(e) = after(|i| i.lists[0].videos[0].5.as_mut().unwrap().real = Some("/x".into())) else {
            panic!()
        };
        assert!(e.contains("link"), "{e}");
        // Weights that are loaded already need not be there any more; an optional view may begin to run.
        assert_eq!(after(|i| i.weights.clear()), Change::Same);
        let added = |optional| {
            move |i: &mut Inputs| {
                let used = vec!["scenes videos@source".into()];
                i.lists.push(ListInput {
                    used,
                    optional,
                    ..list(&ROWS)
                });
            }
        };
        let with = |optional: bool| {
            let mut now = inputs(|_| {});
            added(optional)(&mut now);
            compare(&inputs(|_| {}), &now, &|_| true)
        };
        assert_eq!(with(true), Change::Same);
        assert!(matches!(with(false), Change::Other(_)));
    }
}
