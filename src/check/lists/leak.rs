//! Videos in several lists: those of a held-out stream that another stream trains on with labels, and those that are
//! scored after they were trained on.

use super::digest::{Digest, Shown, common};
use super::place::list_place;
use super::{About, Cx, title, videos};
use crate::diag::{Place, Problem};
use crate::graph::Select;
use crate::program::{Program, ProgramKind, RESULT_VIEW, ValueId};
use glad_nodes::{Body, Head, Side};
use std::collections::HashSet;

/// A stream's list in a phase or view.
#[derive(Clone, Copy)]
struct Read<'a> {
    program: &'a Program,
    stream: usize,
    list: &'a Digest,
}

impl<'a> Read<'a> {
    fn name(&self) -> &'a str {
        &self.program.streams[self.stream]
    }

    /// Whether labels of the list reach a loss, there or by what a pass over the list leaves for a phase.
    fn trains(&self) -> bool {
        let mut labels = self.program.labels.iter();
        labels.any(|l| l.stream == self.stream && !l.losses.is_empty()) || self.leaves()
    }

    /// Whether a node over lists, which phases take rows of, depends on labels of the list.
    fn leaves(&self) -> bool {
        if self.program.kind == ProgramKind::Phase {
            return false;
        }
        let is_label = |id: &ValueId| {
            let value = &self.program.values[id.0];
            let made = &self.program.calls[value.call];
            value.ty.head == Head::Label && value.stream == Some(self.stream) && made.side == Side::Boundary
        };
        let mut depends = HashSet::new();
        self.program.calls.iter().any(|call| {
            let mut inputs = call.inputs.iter().flat_map(|(_, ids)| ids);
            let found = inputs.any(|id| is_label(id) || depends.contains(id));
            if found {
                depends.extend(call.outputs.iter().flatten().copied());
            }
            found && call.over_list
        })
    }

    /// Whether labels of the list are used for scoring.
    fn scores(&self) -> bool {
        let mut labels = self.program.labels.iter().filter(|l| l.stream == self.stream);
        labels.any(|l| matches!(self.program.bodies[self.program.calls[l.call].body], Body::Metric(_)))
    }
}

/// Checks the lists of a run against each other.
pub(super) fn check(cx: &mut Cx, programs: &[&Program]) {
    let lists = cx.lists;
    let reads: Vec<Read> = (programs.iter())
        .flat_map(|program| {
            let of = move |stream| {
                Some(Read {
                    program,
                    stream,
                    list: lists.of(program, stream)?,
                })
            };
            (0..program.streams.len()).filter_map(of)
        })
        .collect();
    let held_out = |r: &Read| cx.graph.held_out.iter().any(|h| h.value == r.name());
    let mut found = vec![];
    for a in reads.iter().filter(|a| a.trains()) {
        for b in &reads {
            let leaks = held_out(b) && a.name() != b.name() && !held_out(a);
            let scored = !held_out(b) && a.name() == b.name() && b.program.kind == ProgramKind::View && b.scores();
            // One report per held-out stream, and one per list that several phases and views read.
            let of = if leaks { b.name() } else { &b.list.name };
            let pair = [a.name(), &a.list.name, of].map(String::from);
            if cx.shared.contains(&pair) {
                continue;
            }
            let p = match (leaks, scored && cx.about == About::All) {
                (true, _) => leak(cx, a, b).map(|p| (a.program, p)),
                (false, true) => seen(cx, a, b).map(|p| (b.program, p)),
                (false, false) => None,
            };
            if let Some(p) = p {
                cx.shared.insert(pair);
                found.push(p);
            }
        }
    }
    found.extend(chosen(cx, &reads));
    for (program, p) in found {
        cx.sink.push_in(&title(program), p);
    }
}

fn place(cx: &Cx, r: &Read) -> Place {
    let source = &cx.graph.nodes[&r.program.calls[r.program.sources[r.stream]].node];
    list_place(source, Some(r.name()), &r.program.split)
}

fn line(r: &Read, shown: &Shown) -> String {
    format!("{}:{}", r.list.name, shown.line)
}

/// Reports videos of a held-out stream that are trained on with labels because another stream's list contains them.
fn leak(cx: &Cx, a: &Read, b: &Read) -> Option<Problem> {
    let both: Vec<(Shown, Shown)> = common(&a.list.shown, &b.list.shown)
        .into_iter()
        .filter(|(shown, _)| shown.label().is_some())
        .collect();
    let (first, again) = both.iter().min_by_key(|(shown, _)| shown.line)?;
    let what = format!(
        "{} of `{}`, which is held out, {} trained on with labels by stream {}",
        videos(both.len()),
        b.name(),
        if both.len() == 1 { "is" } else { "are" },
        a.name()
    );
    let p = match cx.graph.oracle {
        true => Problem::note(format!("oracle: {what}")),
        false => Problem::error(what),
    };
    let p = p
        .at(
            &place(cx, a),
            format!("{} of stream {}, with a label", line(a, first), a.name()),
        )
        .at(
            &place(cx, b),
            format!("{} of stream {} ({})", line(b, again), b.name(), b.program.split),
        );
    let held = cx.graph.held_out.iter().find(|h| h.value == b.name());
    let p = held.map_or(p.clone(), |h| p.at(&h.place, "held out here"));
    Some(match cx.graph.oracle {
        true => p,
        false => p.help(format!(
            "take them out of one of the lists, or say `oracle = true`, and every output will say so, too: `{}` is not to be \
             seen with labels",
            b.name()
        )),
    })
}

/// Reports videos that a stream is scored on after it was trained on them.
fn seen(cx: &Cx, a: &Read, b: &Read) -> Option<Problem> {
    let both = common(&b.list.shown, &a.list.shown);
    let (first, again) = both.iter().min_by_key(|(shown, _)| shown.line)?;
    let what = format!(
        "{} of {} of stream {} are scored, and trained on, too",
        both.len(),
        videos(b.list.videos),
        b.name()
    );
    // A view of the training split scores training videos on purpose.
    let p = match a.program.split == b.program.split {
        true => Problem::note(what),
        false => Problem::warning(what),
    };
    Some(
        p.at(&place(cx, b), format!("{} ({})", line(b, first), b.program.split))
            .at(&place(cx, a), format!("{} ({})", line(a, again), a.program.split))
            .help("take them out of one of the lists, unless the protocol tests on what it has seen in training"),
    )
}

/// Reports videos that both choose the best state and score the result.
fn chosen<'a>(cx: &Cx, reads: &[Read<'a>]) -> Option<(&'a Program, Problem)> {
    if cx.graph.select.value != Select::Best {
        return None;
    }
    let phases = cx.graph.run.iter().filter_map(|r| cx.graph.phases.get(&r.value));
    let by: Vec<&str> = phases
        .filter_map(|p| Some(p.validate.as_ref()?.value.as_str()))
        .collect();
    let chooses = |r: &&Read| r.scores() && by.contains(&r.program.name.as_str()) && r.program.name != RESULT_VIEW;
    let scores = |r: &&Read| r.scores() && r.program.name == RESULT_VIEW;
    for a in reads.iter().filter(chooses) {
        for b in reads.iter().filter(scores).filter(|b| b.name() == a.name()) {
            let both = common(&b.list.shown, &a.list.shown);
            let Some((first, again)) = both.iter().min_by_key(|(shown, _)| shown.line) else {
                continue;
            };
            let what = format!(
                "the best state is chosen by {} of the {} of stream {} that it is scored on",
                both.len(),
                videos(b.list.videos),
                b.name()
            );
            let p = Problem::warning(what)
                .at(&place(cx, b), format!("{} ({})", line(b, first), b.program.split))
                .at(&place(cx, a), format!("{} ({})", line(a, again), a.program.split))
                .at(&cx.graph.select.place, "chooses");
            return Some((
                b.program,
                p.help("keep videos for the choice that are not in the test list"),
            ));
        }
    }
    None
}
