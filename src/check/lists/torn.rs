//! Videos that one list gives several labels.

use super::digest::{Digest, Shown};
use super::place::list_place;
use super::{Cx, title, videos};
use crate::diag::{Place, Problem};
use crate::program::Program;
use std::collections::HashSet;

/// Checks each list whose labels are used, once.
pub(super) fn check(cx: &mut Cx, programs: &[&Program]) {
    let mut seen: HashSet<(Place, String)> = HashSet::new();
    for program in programs {
        for (s, stream) in program.streams.iter().enumerate() {
            let used = program.labels.iter().any(|l| l.stream == s);
            let Some(list) = cx.lists.of(program, s).filter(|_| used) else {
                continue;
            };
            let source = &cx.graph.nodes[&program.calls[program.sources[s]].node];
            let place = list_place(source, Some(stream), &program.split);
            if let Some(p) = torn(list, stream, &place)
                && seen.insert((place, list.name.clone()))
            {
                cx.sink.push_in(&title(program), p);
            }
        }
    }
}

/// The warning about a list, where one video (the same frames of the same file) has several labels in it.
fn torn(list: &Digest, stream: &str, place: &Place) -> Option<Problem> {
    let same = |a: &Shown, b: &Shown| (a.file, a.from, a.to) == (b.file, b.from, b.to);
    let pairs = list.shown.chunk_by(same).filter_map(|lines| {
        let mut labelled = lines.iter().filter_map(|l| Some((l.line, l.label()?)));
        let first = labelled.next()?;
        Some((first, labelled.find(|other| other.1 != first.1)?))
    });
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    let ((line, label), (again, other)) = *pairs.first()?;
    let name = |label: u32| {
        let class = list.classes.as_ref().and_then(|c| c.get(label as usize));
        class.map_or(label.to_string(), |class| format!("`{class}`"))
    };
    let one_of = match pairs.len() {
        1 => String::new(),
        n => format!("; one of {n}"),
    };
    let shown = format!(
        "{0}:{line} has {1}, and {0}:{again} has {2}{one_of}",
        list.name,
        name(label),
        name(other)
    );
    Some(
        Problem::warning(format!(
            "{} of stream {stream} {} several labels",
            videos(pairs.len()),
            if pairs.len() == 1 { "has" } else { "have" }
        ))
        .at(place, shown)
        .help("keep the right line of each, since all of them are used (`glad-run lint` names every one)"),
    )
}
