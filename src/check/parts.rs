//! Steps that are divided into parts (`micro_batch`), and nodes to which that makes a difference.

use super::cx::inside;
use super::draft::Draft;
use crate::diag::Problem;
use crate::program::ValueId;
use glad_nodes::Head;

/// Warns of nodes that compare the rows of a step, and get only those of a part of it; marks the losses that they are.
pub(super) fn check(draft: &mut Draft) {
    let phase = &draft.scene.cx.graph.phases[draft.scene.name];
    let Some(part) = &phase.micro_batch else { return };
    let streams = &draft.program.streams;
    if streams.iter().all(|s| part.value.of(s) >= phase.batch.value.of(s)) {
        return;
    }
    for (call, site) in draft.program.calls.iter().zip(&draft.sites) {
        if !site.contract.whole_step {
            continue;
        }
        let node = &draft.scene.cx.graph.nodes[&call.node];
        let values = &draft.program.values;
        let is_loss = call
            .outputs
            .iter()
            .flatten()
            .any(|id| values[id.0].ty.head == Head::Loss);
        // Else it normalizes.
        let (does, differs, expect) = match is_loss {
            true => ("compares", "its loss is another one on parts", "the loss"),
            false => (
                "takes statistics of",
                "its output is another one on parts",
                "the statistics",
            ),
        };
        let p = Problem::warning(format!(
            "`{}` {does} the videos of a step, and gets {} of {} at a time",
            call.node, part.value, phase.batch.value
        ))
        .at(&part.place, "a part of a step")
        .at(&node.place, differs);
        draft
            .scene
            .push(inside(p, node).help(format!("drop `micro_batch`, or expect {expect} of a smaller batch")));
    }
    let compares = |v: &ValueId| draft.sites[draft.program.values[v.0].call].contract.whole_step;
    let marked: Vec<bool> = (draft.program.losses.iter())
        .map(|term| term.values.iter().any(compares))
        .collect();
    for (term, divided) in draft.program.losses.iter_mut().zip(marked) {
        term.divided = divided;
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::warnings;

    #[test]
    fn losses_over_pairs_are_reported_of_parts() {
        let with = |more: &str| {
            let mmd = "[nodes.gap]\nkind = \"mmd\"\ninputs = { source = \"consensus.y@source\", target = \
                       \"consensus.y@target\" }\n[phases.main.losses]\ngap = 1.0\n[set.phases.main]\nbatch = 8";
            let all = warnings(&format!("{mmd}\n{more}"));
            all.into_iter()
                .filter(|w| w.contains("`gap` compares"))
                .collect::<Vec<_>>()
        };
        assert!(with("").is_empty(), "{:?}", with(""));
        let reported = "`gap` compares the videos of a step, and gets 2 of 8 at a time (in phase main)";
        assert_eq!(with("[phases.main]\nmicro_batch = 2"), [reported]);
        assert!(with("[phases.main]\nmicro_batch = 8").is_empty());
    }

    #[test]
    fn statistics_are_reported_of_parts() {
        let norm = "[nodes.norm]\nkind = \"batch_norm\"\ninputs = { x = \"consensus.y\" }\n[set.nodes.classify]\ninputs = { x = \
                    \"norm.y\" }\n[set.phases.main]\nbatch = 8\n[phases.main]\nmicro_batch = 2";
        let all = warnings(norm);
        let reported = "`norm` takes statistics of the videos of a step, and gets 2 of 8 at a time (in phase main)";
        assert!(all.iter().any(|w| w == reported), "{all:?}");
    }
}
