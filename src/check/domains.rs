//! Nodes that compare two domains: those with ports `source` and `target`. With the same domain on both sides such a
//! node computes a meaningless value without failing.

use super::cx::inside;
use super::draft::Draft;
use super::flow;
use super::gradients::{Signs, back};
use crate::diag::{Problem, Spanned};
use crate::graph::Ref;
use crate::program::{ProgramKind, ValueId};
use glad_nodes::{Gradient, Head};
use std::collections::BTreeSet;

const SIDES: [&str; 2] = ["source", "target"];

/// Checks the sides of every node that compares domains.
pub(super) fn check(draft: &Draft) {
    for call in 0..draft.program.calls.len() {
        let inputs = &draft.program.calls[call].inputs;
        let port = |name: &str| inputs.iter().position(|(n, _)| n == name);
        if let (Some(a), Some(b)) = (port(SIDES[0]), port(SIDES[1])) {
            sides(draft, call, [a, b]);
        }
    }
}

fn sides(draft: &Draft, call: usize, ports: [usize; 2]) {
    let program = &draft.program;
    let node = &draft.scene.cx.graph.nodes[&program.calls[call].node];
    let values = ports.map(|p| &program.calls[call].inputs[p].1);
    let refs = ports.map(|p| &draft.sites[call].refs[p]);
    let streams: [BTreeSet<usize>; 2] = values.map(|v| v.iter().flat_map(|v| program.streams_of(*v)).collect());
    let names = |of: &BTreeSet<usize>| {
        of.iter()
            .map(|s| program.streams[*s].as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let printed = |r: &Spanned<Ref>, side: usize| format!("`{}` as the {}", r.value, SIDES[side]);
    let both = |p: Problem, i: usize, j: usize| {
        p.at(&refs[0][i].place, printed(refs[0][i], 0))
            .at(&refs[1][j].place, printed(refs[1][j], 1))
    };
    let twice = |i: &usize| values[1].iter().position(|v| *v == values[0][*i]).map(|j| (*i, j));
    if let Some((i, j)) = (0..values[0].len()).find_map(|i| twice(&i)) {
        let what = format!(
            "`{}` compares `{}` with itself",
            node.path, program.values[values[0][i].0].name
        );
        draft
            .scene
            .push(inside(both(Problem::error(what), i, j), node).help(other(draft, refs[1][j])));
    } else if streams[0] == streams[1] && streams[0].len() == 1 {
        let what = format!(
            "both sides of `{}` are of stream {}: there are no two domains to compare",
            node.path,
            names(&streams[0])
        );
        draft
            .scene
            .push(inside(both(Problem::error(what), 0, 0), node).help(other(draft, refs[1][0])));
    } else if let shared = streams[0].intersection(&streams[1]).copied().collect::<BTreeSet<_>>()
        && !shared.is_empty()
    {
        let what = format!("stream {} is on both sides of `{}`", names(&shared), node.path);
        let of = |side: usize| {
            let mut all = values[side].iter();
            all.position(|v| !program.streams_of(*v).is_disjoint(&shared))
                .unwrap_or(0)
        };
        let p = both(Problem::warning(what), of(0), of(1));
        draft
            .scene
            .push(inside(p, node).help("its rows count as source and as target: is one of them of another stream?"));
    } else if names(&streams[0]) == SIDES[1] && names(&streams[1]) == SIDES[0] {
        let what = format!(
            "`{}` takes the target for the source, and the source for the target",
            node.path
        );
        draft
            .scene
            .push(inside(both(Problem::warning(what), 0, 0), node).help("exchange the two"));
    }
}

/// The correction suggested for a reference to the wrong stream.
fn other(draft: &Draft, r: &Spanned<Ref>) -> String {
    let streams = &draft.program.streams;
    match (&r.value.stream, streams.as_slice()) {
        (Some(own), [a, b]) => {
            let stream = if own == a { b } else { a };
            let meant = Ref {
                stream: Some(stream.clone()),
                ..r.value.clone()
            };
            format!("did you mean `{meant}`?")
        }
        _ => "a value of another stream belongs on one of the sides".into(),
    }
}

/// Warns of domain classifiers that do not align: without a reversal the features learn to differ, and a reversal with
/// nothing trained in front of it has no effect. Runs after the gradient audit.
pub(super) fn adversaries(draft: &Draft) {
    if draft.program.kind != ProgramKind::Phase {
        return;
    }
    let program = &draft.program;
    for (i, call) in program.calls.iter().enumerate() {
        let node = &draft.scene.cx.graph.nodes[&call.node];
        let reverses_nothing = call.gradient == Gradient::Reverses
            && call
                .inputs
                .iter()
                .flat_map(|(_, ids)| ids)
                .all(|v| !program.values[v.0].needs_grad);
        if reverses_nothing {
            let p = Problem::warning(format!(
                "`{}` reverses the gradient of nothing that is trained",
                call.node
            ))
            .at(&node.place, "no weight that trains is before it");
            let help = "what is before it is frozen, or behind a `detach`: the loss trains its own head alone";
            draft.scene.push(inside(p, node).help(help));
        }
        unreversed(draft, i);
    }
}

/// A call that stacks two domains and labels their rows, with a loss on these labels whose gradient reaches the
/// features unreversed.
fn unreversed(draft: &Draft, stack: usize) {
    let program = &draft.program;
    let features: Vec<ValueId> = SIDES
        .iter()
        .flat_map(|s| flow::at(program, stack, s))
        .copied()
        .collect();
    let mut domains = program.calls[stack].outputs.iter().flatten();
    let Some(domain) = domains
        .find(|v| program.values[v.0].ty.head == Head::Label)
        .filter(|_| !features.is_empty())
    else {
        return;
    };
    let phase = &draft.scene.cx.graph.phases[draft.scene.name];
    let node = &draft.scene.cx.graph.nodes[&program.calls[stack].node];
    let upstream = flow::makers(program, &features);
    // Scores may be stacked as well as features: the reversal is then before the stacking.
    let turned_before = upstream
        .iter()
        .any(|c| program.calls[*c].gradient == Gradient::Reverses);
    for (i, loss) in program.calls.iter().enumerate() {
        if !loss.inputs.iter().any(|(_, ids)| ids.contains(domain)) {
            continue;
        }
        let own: Vec<ValueId> = loss.outputs.iter().flatten().copied().collect();
        for term in &program.losses {
            let makers = flow::makers(program, &term.values);
            if term.weight == 0.0 || !makers.contains(&i) {
                continue;
            }
            // What the term's round trains in front of the stacking, and behind it.
            let trains = |c: &&usize| program.rounds[term.round].trains[**c];
            let Some(first) = upstream.iter().find(trains).map(|c| &program.calls[*c].node) else {
                continue;
            };
            let head = makers.difference(&upstream).any(|c| trains(&c));
            let target = &phase.losses[&term.name];
            let (values, _) = back(draft, &own, Signs::of(term.weight));
            let arrives: Vec<Signs> = features.iter().filter_map(|v| values.get(v)).copied().collect();
            let all =
                |turned: bool| !arrives.is_empty() && arrives.iter().all(|s| s.sign() == if turned { -1 } else { 1 });
            if all(false) && term.weight > 0.0 && !turned_before {
                let p = Problem::warning(format!(
                    "loss `{}` trains `{first}` to tell the domains apart: no gradient reversal is between",
                    term.name
                ));
                let p = p
                    .at(&target.target.place, "this term of the objective")
                    .at(&node.place, "the domains are stacked here");
                draft.scene.push(inside(p, node).help(
                    "put a `grl` before the domain classifier (graphs/lib/adversary.toml has one), or, if its accuracy is \
                     all that is wanted, a `detach`",
                ));
            } else if all(true) && term.weight < 0.0 && head {
                let p = Problem::warning(format!(
                    "loss `{}` has a negative weight, so its domain classifier is trained to be wrong",
                    term.name
                ));
                let p = p
                    .at(&target.weight.place, "negative")
                    .at(&node.place, "the domains are stacked here");
                draft.scene.push(inside(p, node).help(
                    "give it a positive weight, and put a `grl` before the classifier: only the features are to be reversed",
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{errors, warnings};

    fn align(source: &str, target: &str) -> String {
        format!("[set.nodes.align_g]\ninputs = {{ source = {source}, target = {target} }}")
    }

    #[test]
    fn a_value_is_not_compared_with_itself() {
        let (s, t) = ("\"global_mean.y@source\"", "\"global_mean.y@target\"");
        let both = |s: &str, t: &str| errors(&align(s, t));
        assert_eq!(
            both(s, s),
            ["`align_g.rows` compares `global_mean.y@source` with itself (in phase main)"]
        );
        assert_eq!(
            both(t, t),
            ["`align_g.rows` compares `global_mean.y@target` with itself (in phase main)"]
        );
        // Also within a list of several.
        let lists = both(&format!("[{s}, \"local_mean.y@source\"]"), &format!("[{t}, {s}]"));
        assert_eq!(
            lists,
            ["`align_g.rows` compares `global_mean.y@source` with itself (in phase main)"]
        );
        let one = both(s, "\"local_mean.y@source\"");
        let of_one =
            "both sides of `align_g.rows` are of stream source: there are no two domains to compare (in phase main)";
        assert_eq!(one, [of_one]);
    }

    #[test]
    fn a_stream_on_both_sides_and_sides_that_are_exchanged_are_warned_of() {
        let mixed = align(
            "[\"global_mean.y@source\", \"local_mean.y@target\"]",
            "[\"global_mean.y@target\", \"consensus.y@target\"]",
        );
        assert_eq!(
            warnings(&mixed),
            ["stream target is on both sides of `align_g.rows` (in phase main)"]
        );
        let exchanged = align("\"global_mean.y@target\"", "\"global_mean.y@source\"");
        assert_eq!(
            warnings(&exchanged),
            ["`align_g.rows` takes the target for the source, and the source for the target (in phase main)"]
        );
        assert!(warnings("").is_empty(), "{:?}", warnings(""));
        // Views are checked, too.
        let gap = |target: &str| {
            format!(
                "[nodes.gap]\nkind = \"background_gap\"\ninputs = {{ source = \"consensus.y@source\", target = \"{target}\" }}\n\
                 [views.gap]\nroots = [\"gap.delta_bg\"]"
            )
        };
        assert_eq!(
            errors(&gap("consensus.y@source")),
            ["`gap` compares `consensus.y@source` with itself (in view gap)"]
        );
        assert!(warnings(&gap("consensus.y@target")).is_empty());
    }

    /// Adversaries without the composite: rows, the nodes in between, a classifier, a loss of this weight.
    fn adversary(between: &str, weight: &str) -> String {
        format!(
            "drop = [\"align_g\", \"align_l\", \"align_x\"]\n[nodes.rows]\nkind = \"domain_rows\"\ninputs = {{ source = \
             \"consensus.y@source\", target = \"consensus.y@target\" }}\n{between}\n[nodes.domain]\nkind = \"mlp\"\nlayers = \
             2\noutputs = 1\nhead = \"Logits\"\ninputs = {{ x = \"{}\" }}\n[nodes.bce]\nkind = \"domain_bce\"\ninputs = {{ \
             logits = \"domain.logits\", domain = \"rows.domain\" }}\n[phases.main.losses]\nbce = {weight}",
            if between.is_empty() { "rows.x" } else { "turned.x" },
        )
    }

    #[test]
    fn an_adversary_reverses_the_gradient_of_something() {
        let grl = "[nodes.turned]\nkind = \"grl\"\ninputs = { x = \"rows.x\" }";
        assert!(
            warnings(&adversary(grl, "0.5")).is_empty(),
            "{:?}",
            warnings(&adversary(grl, "0.5"))
        );
        assert_eq!(
            warnings(&adversary("", "0.5")),
            ["loss `bce` trains `backbone` to tell the domains apart: no gradient reversal is between (in phase main)"]
        );
        assert_eq!(
            warnings(&adversary("", "-0.5")),
            ["loss `bce` has a negative weight, so its domain classifier is trained to be wrong (in phase main)"]
        );
        // A probe: it is meant to train nothing in front of it.
        let probe = "[nodes.stop]\nkind = \"detach\"\ninputs = { x = \"rows.x\" }\n[nodes.turned]\nkind = \"grl\"\ninputs = { \
                     x = \"stop.y\" }";
        assert_eq!(
            warnings(&adversary(probe, "0.5")),
            ["`turned` reverses the gradient of nothing that is trained (in phase main)"]
        );
        let frozen = warnings("[phases.main]\nfrozen = [\"backbone\"]");
        assert_eq!(frozen.len(), 3, "{frozen:?}");
        assert!(
            frozen
                .iter()
                .all(|w| w.ends_with(".grl` reverses the gradient of nothing that is trained (in phase main)"))
        );
        let zero = warnings("[nodes.align_g]\nscale = 0.0");
        assert_eq!(
            zero,
            ["parameter `scale` of `align_g.grl`: with 0 no gradient passes: nothing before it is aligned"]
        );
    }
}
