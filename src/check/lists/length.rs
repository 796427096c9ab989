//! Lists and lengths of phases: batches that a list does not fill, warm-ups as long as the phase, and reversals that
//! never grow.

use super::place::list_place;
use super::{Cx, title, videos};
use crate::check::optim;
use crate::diag::Problem;
use crate::program::{Call, Program};
use glad_nodes::align::{Grl, Schedule};
use glad_nodes::{Gradient, Kind};

/// Checks a phase.
pub(super) fn check(cx: &mut Cx, program: &Program) {
    let phase = &cx.graph.phases[&program.name];
    let batches = phase.batch.value.of_each(&program.streams);
    let mut found = vec![];
    let sizes: Option<Vec<usize>> = (0..phase.epoch.lists(program.streams.len()))
        .map(|s| Some(cx.lists.of(program, s)?.videos))
        .collect();
    for (s, stream) in program.streams.iter().enumerate() {
        let batch = batches[s];
        let Some(n) = cx.lists.of(program, s).map(|l| l.videos).filter(|n| *n < batch) else {
            continue;
        };
        let source = &cx.graph.nodes[&program.calls[program.sources[s]].node];
        let what = format!("stream {stream} has fewer videos than a batch");
        // An epoch is a pass over this stream, and its last step may be short.
        let leads = sizes.as_ref().map_or(0, |sizes| phase.epoch.stream(sizes, &batches)) == s;
        if leads && phase.epoch.drop_last {
            let what = format!("an epoch of phase {} has no step", phase.name);
            let place = list_place(source, Some(stream), &program.split);
            let p = Problem::error(what).at(&place, format!("the list of stream {stream} names {}", videos(n)));
            let p = p.at(
                &phase.batch.place,
                format!("{batch} videos a step, and `drop_last` leaves shorter ones out"),
            );
            found.push(p.help(format!(
                "add videos, give the phase a batch of {n} at most, or leave `drop_last` out"
            )));
            continue;
        }
        let consequence = match leads {
            true => format!("{batch} videos a step, and each has {n}"),
            false => format!("{batch} videos a step: some come several times in one"),
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
    let per_epoch = sizes.map(|sizes| phase.epoch.steps(&sizes, &batches));
    let steps = match (&phase.steps, &phase.epochs, per_epoch) {
        (Some(steps), ..) => Some(steps.value as u64),
        (None, Some(epochs), Some(n)) => {
            let steps = n.saturating_mul(epochs.value as u64);
            found.extend(optim::warm_up(cx.graph, phase, steps));
            Some(steps)
        }
        _ => None,
    };
    if let Some(steps) = steps.filter(|n| *n > 0) {
        found.extend(program.calls.iter().filter_map(|call| weak(cx, program, call, steps)));
    }
    let title = title(program);
    found.into_iter().for_each(|p| cx.sink.push_in(&title, p));
}

/// Reports a reversal whose strength has hardly grown by the end of a phase.
fn weak(cx: &Cx, program: &Program, call: &Call, steps: u64) -> Option<Problem> {
    /// Below this strength the features hardly receive the domain classifier's gradient.
    const WEAK: f64 = 0.1;
    if call.gradient != Gradient::Reverses || call.kind != Grl::NAME {
        return None;
    }
    let schedule: Schedule = serde_json::from_value(call.params.get("schedule")?.clone()).ok()?;
    let last = steps.saturating_sub(1);
    let strength = schedule.strength(last as f64 / steps.max(1) as f64, last);
    if strength >= WEAK {
        return None;
    }
    let node = &cx.graph.nodes[&call.node];
    let phase = &cx.graph.phases[&program.name];
    let length = phase.steps.as_ref().or(phase.epochs.as_ref());
    let place = node.params.get("schedule").map_or(&node.place, |t| &t.place);
    let what = format!("λ of `{}` is at most {strength:.3} in all of the phase", call.node);
    let p = Problem::warning(what).at(place, "grows with the steps of the phase");
    let p = length.map_or(p.clone(), |l| {
        p.at(&l.place, format!("{steps} step{}", if steps == 1 { "" } else { "s" }))
    });
    Some(p.help("nothing is aligned: take more steps, or the schedule \"constant\""))
}
