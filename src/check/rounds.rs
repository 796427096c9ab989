//! Rounds of a step: what runs in each, and whether what they name is trained.

use super::draft::Draft;
use super::flow;
use crate::diag::Problem;
use crate::graph::RoundDef;
use crate::program::{ProgramKind, Round, ValueId};
use glad_nodes::Role;

/// Whether a round may train the weights of `owner`: it names no node, or this one, or a composite around it.
pub(super) fn trains(round: &RoundDef, owner: &str) -> bool {
    (round.train.as_ref()).is_none_or(|names| names.iter().any(|n| is_or_in(owner, &n.value)))
}

/// Whether `node` is `name` or inside it.
fn is_or_in(node: &str, name: &str) -> bool {
    node.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Gives the program its rounds, with the calls that run in each: where a step has several, those that its losses need.
pub(super) fn fill(draft: &mut Draft) {
    let program = &draft.program;
    let round = |name: &str, repeat: usize, runs: Vec<bool>| Round {
        name: name.to_owned(),
        repeat,
        runs,
        trains: vec![false; program.calls.len()],
        grads: vec![false; program.values.len()],
    };
    let all = vec![true; program.calls.len()];
    draft.program.rounds = match program.kind {
        ProgramKind::View => vec![round("", 1, all)],
        ProgramKind::Phase => {
            let defs = draft.scene.cx.graph.phases[draft.scene.name].rounds.iter().enumerate();
            let made = defs.map(|(index, def)| {
                let terms = program.losses.iter().filter(|l| l.round == index);
                let values: Vec<ValueId> = terms.flat_map(|l| l.values.iter().copied()).collect();
                let needed = flow::makers(program, &values);
                let runs = (0..program.calls.len()).map(|i| def.name.is_empty() || needed.contains(&i));
                round(&def.name, def.repeat, runs.collect())
            });
            made.collect()
        }
    };
}

/// Refuses names in the `train` of a round that it cannot train. Runs after the gradient audit of the round.
pub(super) fn reached(draft: &Draft, index: usize) {
    let (cx, program) = (draft.scene.cx, &draft.program);
    let phase = &cx.graph.phases[draft.scene.name];
    let (def, round) = (&phase.rounds[index], &program.rounds[index]);
    for name in def.train.iter().flatten() {
        let nodes = cx.named(&name.value);
        // A node that uses the weights of another is reported for the phase.
        if nodes.iter().all(|n| n.weights.is_some()) {
            continue;
        }
        let trained = |i: &usize| round.trains[*i] && is_or_in(&program.calls[*i].owner, &name.value);
        if (0..program.calls.len()).any(|i| trained(&i)) {
            continue;
        }
        let here = |text: String| Problem::error(text).at(&name.place, format!("in `train` of round `{}`", def.name));
        let has = |n: &&&crate::graph::NodeDef| {
            let specs = program.weights.get(&n.path);
            specs.is_some_and(|w| w.iter().any(|s| s.role != Role::Buffer))
        };
        let runs = nodes.iter().any(|n| program.calls.iter().any(|c| c.node == n.path));
        let frozen = phase
            .frozen
            .iter()
            .find(|f| nodes.iter().any(|n| is_or_in(&n.path, &f.value)));
        let p = if let Some(frozen) = frozen {
            here(format!(
                "round `{}` cannot train `{}`: it is frozen",
                def.name, name.value
            ))
            .at(&frozen.place, "frozen in the whole phase")
            .help("leave it out of one of the two; a round leaves alone what its `train` does not name")
        } else if runs && !nodes.iter().any(|n| has(&n)) {
            here(format!("`{}` has no weights to train", name.value)).help("name nodes that have weights")
        } else {
            let own = phase.losses.values().filter(|l| l.round == index);
            let p = here(format!("no loss of round `{}` reaches `{}`", def.name, name.value));
            let p = own.take(4).fold(p, |p, l| p.at(&l.target.place, "a loss of the round"));
            p.help("leave it out of `train`; or look for a `detach`, or a port that takes no gradient, between it and the losses")
        };
        draft.scene.push(p);
    }
}

#[cfg(test)]
mod tests {
    use crate::check::check;
    use crate::check::testing::{graph, warnings};

    /// A domain classifier without a reversal, in these rounds.
    fn rounds(rounds: &str) -> String {
        format!(
            "drop = [\"align_g\", \"align_l\", \"align_x\", \"phases.main.losses\"]\n[nodes.rows]\nkind = \"domain_rows\"\ninputs = \
             {{ source = \"consensus.y@source\", target = \"consensus.y@target\" }}\n[nodes.domain]\nkind = \"mlp\"\nlayers = \
             2\noutputs = 1\nhead = \"Logits\"\ninputs = {{ x = \"rows.x\" }}\n[nodes.bce]\nkind = \"domain_bce\"\ninputs = {{ \
             logits = \"domain.logits\", domain = \"rows.domain\" }}\n{rounds}"
        )
    }

    fn round(name: &str, keys: &str) -> String {
        format!("[phases.main.rounds.{name}]\n{keys}\n")
    }

    #[test]
    fn what_a_round_trains_says_whether_an_adversary_aligns() {
        let head = round("head", "losses = { bce = 1.0 }\ntrain = [\"domain\"]");
        let of = |features: &str| {
            let losses = format!("losses = {{ ce = 1.0, tol = 0.1, {features}");
            warnings(&rounds(&(head.clone() + &round("features", &losses))))
        };
        // The classifier learns, and the features against it.
        assert!(of("bce = -0.1 }\ntrain = [\"backbone\", \"classify\", \"tol\"]").is_empty());
        assert_eq!(
            of("bce = 0.1 }\ntrain = [\"backbone\", \"classify\", \"tol\"]"),
            [
                "loss `features/bce` trains `backbone` to tell the domains apart: no gradient reversal is between (in phase main)"
            ]
        );
        assert_eq!(
            of("bce = -0.1 }"),
            [
                "loss `features/bce` has a negative weight, so its domain classifier is trained to be wrong (in phase main)"
            ]
        );
    }

    #[test]
    fn a_round_runs_what_its_losses_need_and_trains_what_it_names() {
        let all = round(
            "all",
            "losses = { ce = 1.0, tol = 0.1 }\ntrain = [\"backbone\", \"classify\", \"tol\"]",
        );
        let head = round("head", "losses = { bce = 1.0 }\ntrain = [\"domain\"]\nrepeat = 3");
        let graph = graph(&rounds(&(all + &head)));
        let checked = check(&graph, &glad_nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
        let program = &checked.phases["main"];
        let runs = |round: usize, node: &str| {
            let mut calls = program.calls.iter().zip(&program.rounds[round].runs);
            calls.any(|(c, runs)| c.node == node && *runs)
        };
        assert!(runs(0, "backbone") && runs(0, "ce") && !runs(0, "domain") && !runs(0, "rows"));
        assert!(runs(1, "backbone") && runs(1, "domain") && !runs(1, "ce") && !runs(1, "classify"));
        assert!(program.trains("domain", Some(1)) && !program.trains("domain", Some(0)));
        assert!(program.trains("backbone", Some(0)) && !program.trains("backbone", Some(1)));
        // A composite stands for the nodes inside.
        assert!(program.trains("tol.head", Some(0)) && !program.trains("tol.head", Some(1)));
        // No gradient passes below what a round trains.
        let features = program
            .values
            .iter()
            .position(|v| v.name.starts_with("backbone.feature"))
            .unwrap();
        assert!(program.rounds[0].grads[features] && !program.rounds[1].grads[features]);
        assert_eq!(program.passes().collect::<Vec<_>>(), [(0, 0), (1, 0), (1, 1), (1, 2)]);
        let reach: Vec<(&str, &str)> = (program.reach.iter())
            .filter(|r| r.loss.starts_with("head/"))
            .map(|r| (r.loss.as_str(), r.node.as_str()))
            .collect();
        assert_eq!(reach, [("head/bce", "domain")]);
    }
}
