//! Terms of an objective that are the same value, and clips that no term needs.

use super::cx::inside;
use super::draft::Draft;
use crate::diag::Problem;
use crate::program::{ProgramKind, ValueId};
use glad_nodes::{Count, Side};
use std::collections::HashMap;

/// Warns of terms that are one and the same: computed by the same call, or by calls that must agree.
pub(super) fn check(draft: &Draft) {
    if draft.program.kind != ProgramKind::Phase {
        return;
    }
    let phase = &draft.scene.cx.graph.phases[draft.scene.name];
    let same = numbered(draft);
    let mut seen: HashMap<(usize, Vec<usize>), &str> = HashMap::new();
    for term in &draft.program.losses {
        let mut values: Vec<usize> = term.values.iter().map(|v| same[v.0]).collect();
        values.sort_unstable();
        let term_of_round = (term.round, values);
        let Some(first) = seen.get(&term_of_round) else {
            seen.insert(term_of_round, &term.name);
            continue;
        };
        let (a, b) = (&phase.losses[*first], &phase.losses[&term.name]);
        let sum = a.weight.value + b.weight.value;
        let p = Problem::warning(format!("losses `{first}` and `{}` are the same value", term.name))
            .at(&a.target.place, format!("`{}`", a.target.value))
            .at(&b.target.place, format!("`{}` is the same", b.target.value));
        draft
            .scene
            .push(p.help(format!("together they are one term of weight {sum}: keep one of them")));
    }
}

/// Warns of clips that pass through the network without a loss on their features.
pub(super) fn clips(draft: &Draft) {
    let program = &draft.program;
    for (i, call) in program.calls.iter().enumerate() {
        let [(_, from)] = call.inputs.as_slice() else { continue };
        let alone = |v: &ValueId| {
            program
                .calls
                .iter()
                .filter(|c| c.inputs.iter().any(|(_, ids)| ids.contains(v)))
                .count()
                == 1
        };
        let Some(parts) = call.params.get("parts").and_then(|p| p.as_object()) else {
            continue;
        };
        if program.kind != ProgramKind::Phase || call.kind != "split" || !from.iter().all(alone) {
            continue;
        }
        for (name, _) in call.ports.iter().zip(&call.outputs).filter(|(_, o)| o.is_none()) {
            let size = parts.get(name).cloned().and_then(|size| Count::try_from(size).ok());
            if size.and_then(|s| s.get(&program.dims).ok()).is_none_or(|n| n == 0) {
                continue;
            }
            let node = draft.scene.node(draft.sites[i].insts[0]);
            // They may be meant: a joint network's batch statistics include all clips.
            let p = Problem::note(format!(
                "the clips of `{}.{name}` go through the network, and no loss takes them",
                node.path
            ))
            .at(&node.place, format!("nothing needs `{name}` here"));
            draft
                .scene
                .push(inside(p, node).help("give the phase none of them (its `dims`), or drop their sampler"));
        }
    }
}

/// A number for each value, the same where two calls compute the same: of equal kind, parameters and inputs, without
/// weights and random numbers.
fn numbered(draft: &Draft) -> Vec<usize> {
    let program = &draft.program;
    let mut same: Vec<usize> = (0..program.values.len()).collect();
    let mut first: HashMap<String, usize> = HashMap::new();
    for (i, (call, site)) in program.calls.iter().zip(&draft.sites).enumerate() {
        let plain = call.side == Side::Device && !site.contract.random && !program.weights.contains_key(&call.node);
        if !plain {
            continue;
        }
        let inputs: Vec<(&str, Vec<usize>)> = (call.inputs.iter())
            .map(|(port, ids): &(String, Vec<ValueId>)| (port.as_str(), ids.iter().map(|v| same[v.0]).collect()))
            .collect();
        let key = format!("{}\n{}\n{inputs:?}", call.kind, call.params);
        let one = *first.entry(key).or_insert(i);
        for (mine, theirs) in call.outputs.iter().zip(&program.calls[one].outputs) {
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                same[mine.0] = same[theirs.0];
            }
        }
    }
    same
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{notes, warnings};

    #[test]
    fn clips_that_no_loss_takes_are_reported() {
        let dropped = "drop = [\"align_g\", \"align_x\"]\n[set.nodes.consensus.inputs]\nx = \"views.local\"";
        let what = "the clips of `views.global` go through the network, and no loss takes them (in phase pretrain and \
                    phase main)";
        assert!(notes(dropped).iter().any(|n| n == what), "{:?}", notes(dropped));
        assert!(
            !notes(&format!("{dropped}\n[set.dims]\nG = 0"))
                .iter()
                .any(|n| n.contains("no loss takes them"))
        );
    }

    #[test]
    fn a_loss_that_counts_twice_is_reported() {
        let twice = |more: &str, losses: &str| warnings(&format!("{more}\n[phases.main.losses]\n{losses}"));
        let again = twice("", "again = { of = \"ce.loss\", weight = 0.5 }");
        assert_eq!(again, ["losses `ce` and `again` are the same value (in phase main)"]);
        let like = "[nodes.like]\nkind = \"cross_entropy\"\ninputs = { logits = \"classify.logits@source\", label = \
                    \"batch.label@source\" }";
        assert_eq!(
            twice(like, "like = 0.5"),
            ["losses `ce` and `like` are the same value (in phase main)"]
        );
        // Different parameters, inputs, weights or random numbers give different values.
        let smooth = like.replace("inputs", "smoothing = 0.1\ninputs");
        assert!(twice(&smooth, "like = 0.5").is_empty());
        let entropy =
            |stream: &str| format!("kind = \"entropy\"\ninputs = {{ logits = \"classify.logits@{stream}\" }}");
        let two = format!("[nodes.e]\n{}\n[nodes.f]\n{}", entropy("target"), entropy("source"));
        assert!(twice(&two, "e = 0.1\nf = 0.1").is_empty());
        let two = format!("[nodes.e]\n{}\n[nodes.f]\n{}", entropy("target"), entropy("target"));
        assert_eq!(
            twice(&two, "e = 0.1\nf = 0.1"),
            ["losses `e` and `f` are the same value (in phase main)"]
        );
    }
}
