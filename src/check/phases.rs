//! What the run says of itself that needs no types: weights of losses, the choice of the result, phases left out.
//! Lengths, batches and names were checked as they were read.

use super::cx::Cx;
use crate::diag::{Problem, Spanned};
use crate::graph::Select;

/// Checks what needs no types.
pub(super) fn check(cx: &Cx) {
    for p in cx.graph.phases.values() {
        for (name, loss) in p.losses.iter().filter(|(_, l)| l.weight.value == 0.0) {
            cx.push(
                Problem::note(format!("loss `{name}` of phase {} has weight 0", p.name))
                    .at(&loss.weight.place, "it is computed and trains nothing"),
            );
        }
        if cx.graph.run.iter().all(|r| r.value != p.name) {
            cx.push(
                Problem::note(format!("phase {} is not in `run`", p.name))
                    .at(&p.place, "it is checked and not trained")
                    .help(format!("`append.run = [\"{}\"]` runs it", p.name)),
            );
        }
    }
    if cx.graph.select.value == Select::Best {
        select_best(cx);
    }
}

fn select_best(cx: &Cx) {
    let place = &cx.graph.select.place;
    if !cx.graph.oracle {
        cx.push(
            Problem::error("`select = \"best\"` chooses by labels of the target, which are held out")
                .at(place, "needs `oracle = true`")
                .help("leave it at \"last\", or say `oracle = true`, and every output will say so, too"),
        );
    }
    let validates = |r: &Spanned<String>| cx.graph.phases.get(&r.value).is_some_and(|p| p.validate.is_some());
    if !cx.graph.run.iter().any(validates) {
        cx.push(
            Problem::error("`select = \"best\"` has no scores to choose by")
                .at(place, "no phase of `run` has a `validate`")
                .help("name a view in the phase: `validate = \"validate\"`"),
        );
    }
}
