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
