//! Lists and lengths of phases: batches that a list does not fill, and warm-ups that take all of a phase.

use super::place::list_place;
use super::{Cx, title, videos};
use crate::check::optim;
use crate::diag::Problem;
use crate::program::Program;

/// Checks a phase.
pub(super) fn check(cx: &mut Cx, program: &Program) {
    let phase = &cx.graph.phases[&program.name];
    let batch = phase.batch.value;
    let mut found = vec![];
    for (s, stream) in program.streams.iter().enumerate() {
        let Some(n) = cx.lists.of(program, s).map(|l| l.videos).filter(|n| *n < batch) else {
            continue;
        };
        let source = &cx.graph.nodes[&program.calls[program.sources[s]].node];
        let what = format!("stream {stream} has fewer videos than a batch");
        let consequence = match s {
            // An epoch is a pass over the first stream, and its last step may be short.
            0 => format!("{batch} videos a step, and each has {n}"),
            _ => format!("{batch} videos a step: some come several times in one"),
        };
        found.push(
            Problem::warning(what)
                .at(
                    &list_place(source, Some(stream), &program.split),
                    format!("the list names {}", videos(n)),
                )
                .at(&phase.batch.place, consequence)
                .help(format!("add videos, or give the phase a batch of {n} at most")),
        );
    }
    if let (Some(epochs), Some(first)) = (&phase.epochs, cx.lists.of(program, 0)) {
        let steps = (epochs.value as u64).saturating_mul(first.videos.div_ceil(batch) as u64);
        found.extend(optim::warm_up(cx.graph, phase, steps));
    }
    let title = title(program);
    found.into_iter().for_each(|p| cx.sink.push_in(&title, p));
}
