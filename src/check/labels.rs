//! Where labels go: from the lists of streams to the calls that compare them with scores.

use super::draft::Draft;
use super::flow;
use super::prune::{comes_from, pattern};
use crate::diag::Problem;
use crate::program::{LabelUse, ValueId};
use glad_nodes::{DimExpr, Head, HeadExpr, Side};
use std::collections::{BTreeSet, HashMap};

/// Fills in the program's uses of labels; refuses rows of one stream with labels or masks of another.
pub(super) fn check(draft: &mut Draft) {
    let from = origins(draft);
    let mut uses = vec![];
    for (i, call) in draft.program.calls.iter().enumerate() {
        if call.side != Side::Device {
            continue;
        }
        paired(draft, i);
        for (port, values) in &call.inputs {
            for (n, value) in values.iter().enumerate() {
                let Some(streams) = from.get(value).filter(|_| !passes_on(draft, i, &from)) else {
                    continue;
                };
                let input = draft.sites[i].contract.inputs.iter().find(|p| p.name == *port);
                let losses = draft.program.losses.iter();
                let losses = losses.filter(|l| flow::makers(&draft.program, &l.values).contains(&i));
                let losses: Vec<String> = losses.map(|l| l.name.clone()).collect();
                uses.extend(streams.iter().map(|stream| {
                    LabelUse {
                        stream: *stream,
                        call: i,
                        port: (port.clone(), n),
                        scores: scores(draft, i, n),
                        needed: input.is_some_and(|p| p.labelled),
                        masked: call
                            .inputs
                            .iter()
                            .any(|(_, ids)| ids.iter().any(|v| is(draft, *v, &Head::Mask))),
                        losses: losses.clone(),
                    }
                }));
            }
        }
    }
    draft.program.labels = uses;
}

fn is(draft: &Draft, value: ValueId, head: &Head) -> bool {
    draft.program.values[value.0].ty.head == *head
}

/// The streams whose labels a value holds, for values that hold only labels from lists.
fn origins(draft: &Draft) -> HashMap<ValueId, BTreeSet<usize>> {
    let mut from: HashMap<ValueId, BTreeSet<usize>> = HashMap::new();
    for (call, site) in draft.program.calls.iter().zip(&draft.sites) {
        let per_stream = site.contract.outputs.len();
        for (i, id) in call.outputs.iter().enumerate() {
            let Some(id) = id.filter(|id| is(draft, *id, &Head::Label)) else {
                continue;
            };
            let output = &site.contract.outputs[i % per_stream];
            if output.supervision {
                from.extend(call.stream.map(|s| (id, BTreeSet::from([s]))));
            } else if call.side == Side::Boundary || matches!(output.ty.head, HeadExpr::Any(_)) {
                // Labels that a node makes itself, such as those of domains and orders, have classes of their own.
                let ports = site.contract.inputs.iter().filter(|p| comes_from(output, p));
                let values = ports.flat_map(|p| call.inputs.iter().filter(|(n, _)| *n == p.name));
                let streams: BTreeSet<usize> = values
                    .flat_map(|(_, ids)| ids)
                    .filter_map(|v| from.get(v))
                    .flatten()
                    .copied()
                    .collect();
                if !streams.is_empty() {
                    from.insert(id, streams);
                }
            }
        }
    }
    from
}

/// Whether a call only passes labels on.
fn passes_on(draft: &Draft, call: usize, from: &HashMap<ValueId, BTreeSet<usize>>) -> bool {
    let mut outputs = draft.program.calls[call].outputs.iter().flatten();
    outputs.any(|id| from.contains_key(id))
}

/// The scores that the `n`-th labels of a call are compared with.
fn scores(draft: &Draft, call: usize, n: usize) -> Option<ValueId> {
    let inputs = &draft.program.calls[call].inputs;
    let (_, all) = inputs
        .iter()
        .find(|(_, ids)| ids.iter().any(|v| is(draft, *v, &Head::Logits)))?;
    all.get(n).or(all.first()).copied()
}

/// Rows that are used together, which a contract calls by the same name, belong to the same videos: labels and masks to those
/// of the scores, views to one another.
fn paired(draft: &Draft, call: usize) {
    if draft.program.calls[call].joint.is_some() {
        return;
    }
    let inputs = &draft.program.calls[call].inputs;
    let marks = |port: usize| {
        let mut all = inputs[port].1.iter();
        all.all(|v| is(draft, *v, &Head::Label) || is(draft, *v, &Head::Mask))
    };
    for a in 0..inputs.len() {
        for b in a..inputs.len() {
            // Labels are not compared with masks: both are compared with the scores.
            if marks(a) && marks(b) {
                continue;
            }
            // Told as rows with their marks.
            let (rows, with) = if marks(a) { (b, a) } else { (a, b) };
            for n in 0..inputs[rows].1.len() {
                let others = if rows == with { 0..n } else { 0..inputs[with].1.len() };
                if let Some(m) = others.into_iter().find(|m| apart(draft, call, [(rows, n), (with, *m)])) {
                    let (first, second) = if rows == with {
                        ((rows, m), (rows, n))
                    } else {
                        ((rows, n), (with, m))
                    };
                    different(draft, call, first, second);
                    if rows == with {
                        break;
                    }
                }
            }
        }
    }
}

/// Whether two references of a call, by port and place, are of the same rows by its contract, and of different streams.
fn apart(draft: &Draft, call: usize, [a, b]: [(usize, usize); 2]) -> bool {
    let inputs = &draft.program.calls[call].inputs;
    let rows = |(port, n): (usize, usize)| {
        let contract = &draft.sites[call].contract;
        let input = contract.inputs.iter().find(|i| i.name == inputs[port].0)?;
        match pattern(input, n).dims.first() {
            Some(DimExpr::Local(name)) => Some(name.clone()),
            _ => None,
        }
    };
    let stream = |(port, n): (usize, usize)| draft.program.values[inputs[port].1[n].0].stream;
    let same = rows(a).is_some_and(|r| rows(b) == Some(r));
    same && stream(a).is_some_and(|s| stream(b).is_some_and(|t| s != t))
}

fn different(draft: &Draft, call: usize, a: (usize, usize), b: (usize, usize)) {
    let called = &draft.program.calls[call];
    let node = &draft.scene.cx.graph.nodes[&called.node];
    let stream = |(port, n): (usize, usize)| {
        let value = called.inputs[port].1[n];
        let stream = draft.program.values[value.0].stream;
        stream.map_or("", |s| draft.program.streams[s].as_str())
    };
    let at = |p: Problem, of: (usize, usize)| {
        let r = &draft.sites[call].refs[of.0][of.1];
        p.at(&r.place, format!("`{}`: videos of {}", r.value, stream(of)))
    };
    let p = Problem::error(format!(
        "`{}` takes `{}` of stream {} with `{}` of stream {}: they are of different videos",
        node.path,
        called.inputs[a.0].0,
        stream(a),
        called.inputs[b.0].0,
        stream(b)
    ));
    draft
        .scene
        .push(super::cx::inside(at(at(p, a), b), node).help("take both from the same stream"));
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{errors, graph, notes};
    use crate::program::LabelUse;

    #[test]
    fn uses_are_those_of_the_lists_labels() {
        let checked = crate::check::check(&graph(""), &glad_nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
        let reported = |name: &str| -> Vec<String> {
            let p = checked.phases.get(name).unwrap_or_else(|| &checked.views[name]);
            let say = |u: &LabelUse| {
                let (call, n) = (&p.calls[u.call], u.classes(p));
                format!(
                    "{} {} {n:?} {} {} {:?}",
                    call.node, p.streams[u.stream], u.needed, u.masked, u.losses
                )
            };
            p.labels.iter().map(say).collect()
        };
        // Labels of orders and domains are made by nodes.
        assert!(reported("warmup").is_empty(), "{:?}", reported("warmup"));
        assert_eq!(reported("main"), ["ce source Some(12) true false [\"ce\"]"]);
        assert_eq!(
            reported("pretrain"),
            ["auxiliary_ce auxiliary Some(12) true false [\"auxiliary_ce\"]"]
        );
        let infer = [
            "scores source Some(12) false false []",
            "scores target Some(12) false false []",
        ];
        assert_eq!(reported("infer"), infer);
    }

    #[test]
    fn rows_go_with_labels_of_the_same_stream() {
        let refused = errors("[set.nodes.ce.inputs]\nlogits = \"classify.logits@target\"");
        assert_eq!(
            refused,
            [
                "`ce` takes `logits` of stream target with `label` of stream source: they are of different videos (in phase main)"
            ]
        );
        let scored = errors("[set.nodes.scores.inputs]\nlabel = \"batch.label@source\"");
        let infer = "`scores` takes `logits` of stream target with `label` of stream source: they are of different videos (in \
                     view infer and view validate)";
        assert_eq!(scored, [infer]);
        let masks = errors(
            "[set.nodes.tol]\ninputs = { x = \"views.local\", valid = [\"batch.valid@target\", \"batch.valid@source\"] }",
        );
        assert!(
            masks
                .iter()
                .any(|m| m.starts_with("`tol.ce` takes `logits` of stream source with `mask` of stream target")),
            "{masks:?}"
        );
    }

    #[test]
    fn views_are_of_the_same_videos() {
        let nce = |x: &str, label: &str| {
            errors(&format!(
                "[nodes.nce]\nkind = \"contrastive\"\ntemperature = 0.5\ninputs = {{ x = [{x}]{label} }}\n\
                 [phases.main.losses]\nnce = 1.0"
            ))
        };
        let both = "\"consensus.y@source\", \"consensus.y@target\"";
        let x =
            "`nce` takes `x` of stream source with `x` of stream target: they are of different videos (in phase main)";
        assert_eq!(nce(both, ""), [x]);
        let label = "`nce` takes `x` of stream target with `label` of stream source: they are of different videos (in phase \
                     main)";
        assert_eq!(nce(both, ", label = \"batch.label@source\""), [x, label]);
        let side = errors(
            "[nodes.side]\nkind = \"concat\"\ninputs = { x = [\"consensus.y@source\", \"consensus.y@target\"] }\n\
             [nodes.c]\nkind = \"linear\"\noutputs = \"K\"\nhead = \"Logits\"\ninputs = { x = \"side.y\" }\n\
             [nodes.h]\nkind = \"entropy\"\ninputs = { logits = \"c.logits\" }\n[phases.main.losses]\nh = 1.0",
        );
        assert_eq!(
            side,
            [
                "`side` takes `x` of stream source with `x` of stream target: they are of different videos (in phase main)"
            ]
        );
    }

    #[test]
    fn labels_of_one_stream_may_stand_besides_rows_of_another() {
        let formula = |rows: &str| {
            format!(
                r#"
                [nodes.own]
                kind   = "formula"
                inputs = {{ z = "classify.logits@source", x = "consensus.y@target", y = "batch.label@source" }}
                axes   = {{ z = "n,k", x = "{rows},d", y = "Label[n]" }}
                loss   = "mean(sum(one_hot(y, k)*z, k)) + mean(x)"
                [phases.main.losses]
                own = 1.0
                "#
            )
        };
        // Accepted.
        notes(&formula("m"));
        assert_eq!(
            errors(&formula("n")),
            [
                "`own` takes `z` of stream source with `x` of stream target: they are of different videos (in phase main)",
                "`own` takes `x` of stream target with `y` of stream source: they are of different videos (in phase main)"
            ]
        );
    }

    #[test]
    fn a_single_class_is_refused() {
        let one = errors("[set.dims]\nK = 1");
        assert!(
            one.iter()
                .any(|e| e.contains("`ce`: `logits` are scores of a single class")),
            "{one:?}"
        );
        assert!(
            one.iter()
                .any(|e| e.contains("`scores`: `logits` are scores of a single class")),
            "{one:?}"
        );
    }
}
