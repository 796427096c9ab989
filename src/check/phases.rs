//! Checks of the run that need no types: weights of losses, phases left out, optimisers. Batches and names were checked
//! when they were read.

use super::cx::Cx;
use super::optim;
use crate::diag::Problem;
use crate::graph::{NodeDef, PhaseDef};

/// Checks what needs no types.
pub(super) fn check(cx: &Cx) {
    for p in cx.graph.phases.values() {
        for (name, loss) in p.losses.iter().filter(|(_, l)| l.weight.value == 0.0) {
            cx.push(
                Problem::warning(format!("loss `{name}` of phase {} has weight 0", p.name))
                    .at(&loss.weight.place, "it is computed and trains nothing")
                    .help(format!("`drop = [\"{}\"]` leaves it out", p.path(name))),
            );
        }
        for (i, round) in p.rounds.iter().enumerate() {
            let mut weights = (p.losses.values())
                .filter(|l| l.round == i)
                .map(|l| l.weight.value)
                .peekable();
            if weights.peek().is_none() || weights.any(|w| w != 0.0) {
                continue;
            }
            let (what, place, here) = match round.name.as_str() {
                "" => (format!("phase {}", p.name), &p.place, "this phase"),
                name => (
                    format!("round `{name}` of phase {}", p.name),
                    &round.place,
                    "this round",
                ),
            };
            let error = Problem::error(format!("{what} trains nothing: all its losses have weight 0"));
            cx.push(error.at(place, here));
        }
        for reset in &p.reset {
            if let Some(frozen) = p.frozen.iter().find(|f| f.value == reset.value) {
                cx.push(
                    Problem::warning(format!(
                        "`{}` starts anew in phase {} and is not trained there",
                        reset.value, p.name
                    ))
                    .at(&reset.place, "`reset` here")
                    .at(&frozen.place, "and `frozen` here")
                    .help("what was learned before is lost: leave one of the two out"),
                );
            }
        }
        borrowed(cx, p);
        optim::check(cx, p);
        if cx.graph.run.iter().all(|r| r.value != p.name) {
            cx.push(
                Problem::note(format!("phase {} is not in `run`", p.name))
                    .at(&p.place, "it is checked and not trained")
                    .help(format!("`append.run = [\"{}\"]` runs it", p.name)),
            );
        }
    }
}

/// Refuses names of nodes that have no weights of their own, where weights are meant.
fn borrowed(cx: &Cx, phase: &PhaseDef) {
    let groups = phase
        .optimizer
        .groups
        .iter()
        .flat_map(|g| &g.nodes)
        .map(|n| ("a group", n));
    let frozen = phase.frozen.iter().map(|n| ("`frozen`", n));
    let reset = phase.reset.iter().map(|n| ("`reset`", n));
    let trained = phase
        .rounds
        .iter()
        .flat_map(|r| &r.train)
        .flatten()
        .map(|n| ("`train`", n));
    for (what, name) in frozen.chain(reset).chain(groups).chain(trained) {
        let nodes = cx.named(&name.value);
        let tie = |n: &&NodeDef| {
            n.weights
                .as_ref()
                .filter(|w| nodes.iter().all(|m| m.path != w.value))
                .cloned()
        };
        let ties: Vec<_> = nodes.iter().filter_map(tie).collect();
        if let Some(first) = ties.first().filter(|_| ties.len() == nodes.len()) {
            let p = Problem::error(format!(
                "`{}` has no weights of its own, so {what} cannot name it",
                name.value
            ));
            let p = p.at(&name.place, format!("in {what} of phase {}", phase.name));
            let owner = first
                .value
                .strip_suffix(nodes[0].path.strip_prefix(&name.value).unwrap_or_default());
            let owner = owner.unwrap_or(&first.value);
            cx.push(
                p.at(&first.place, "it uses another's")
                    .help(format!("name their owner, `{owner}`")),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{errors, warnings};

    #[test]
    fn weights_of_0_and_weights_that_are_lost_are_reported() {
        let zero = warnings("[set.phases.main.losses]\nalign_g = 0.0");
        assert_eq!(zero, ["loss `align_g` of phase main has weight 0"]);
        let all = errors("[set.phases.warmup.losses]\ntol = 0.0");
        assert_eq!(all, ["phase warmup trains nothing: all its losses have weight 0"]);
        let lost = warnings(
            "[phases.main]\nfrozen = [\"tol\"]\n[set.phases.main.losses]\ntol = { of = \"tol\", weight = 1.0 }",
        );
        assert_eq!(lost, ["`tol` starts anew in phase main and is not trained there"]);
    }
}
