//! Checks of the run that need no types: weights of losses, phases left out, optimisers. Batches and names were checked
//! when they were read.

use super::cx::Cx;
use super::optim;
use crate::diag::{Problem, Spanned};
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
        copied(cx, p);
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

/// Where a phase names nodes and means their weights: in what, and the name.
fn names(phase: &PhaseDef) -> impl Iterator<Item = (&'static str, &Spanned<String>)> {
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
    frozen.chain(reset).chain(groups).chain(trained)
}

/// Refuses names of nodes whose weights are a copy of another's: only these can be frozen, reset or grouped.
fn copied(cx: &Cx, phase: &PhaseDef) {
    for (what, name) in names(phase) {
        let nodes = cx.named(&name.value);
        let copies: Vec<_> = nodes.iter().filter_map(|n| n.copied()).collect();
        let Some((_, of, _)) = copies.first().filter(|_| copies.len() == nodes.len()) else {
            continue;
        };
        let place = nodes.iter().find_map(|n| n.copy.as_ref()).map(|c| &c.of.place);
        let p = Problem::error(format!(
            "the weights of `{}` are a copy, so {what} cannot name it",
            name.value
        ))
        .at(&name.place, format!("in {what} of phase {}", phase.name));
        let p = place.into_iter().fold(p, |p, place| p.at(place, "copied here"));
        cx.push(p.help(match what {
            "`reset`" => {
                format!("it begins as a copy of `{of}` where it is first needed, and anew where `{of}` is reset")
            }
            "`frozen`" => {
                format!("no loss trains it; `ema = 1.0` keeps it as it begins, `frozen = [\"{of}\"]` also `{of}`")
            }
            _ => format!("the optimiser does not move it: name `{of}`"),
        }));
    }
}

/// Refuses names of nodes that have no weights of their own, where weights are meant.
fn borrowed(cx: &Cx, phase: &PhaseDef) {
    for (what, name) in names(phase) {
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
