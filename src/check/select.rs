//! `select = "best"`: by which score, and whether that score may be used and changes.

use super::cx::Cx;
use super::flow;
use crate::diag::{Place, Problem};
use crate::graph::{PhaseDef, Select};
use crate::program::{LabelUse, Program};
use glad_nodes::Body;
use indexmap::IndexMap;

/// Checks the choice of the best state, and the views that validate a phase.
pub(super) fn check(cx: &Cx, phases: &IndexMap<String, Program>, views: &IndexMap<String, Program>) {
    let best = cx.graph.select.value == Select::Best;
    let place = &cx.graph.select.place;
    let mut validated = false;
    for def in cx.graph.run.iter().filter_map(|r| cx.graph.phases.get(&r.value)) {
        let Some(validate) = &def.validate else { continue };
        validated = true;
        let (Some(phase), Some(view)) = (phases.get(&def.name), views.get(&validate.value)) else {
            continue;
        };
        let scores: Vec<&LabelUse> = scores(view);
        if scores.is_empty() {
            let what = format!("view {} scores nothing", view.name);
            let p = match best {
                true => Problem::error(format!("{what}, and `select = \"best\"` depends on its scores"))
                    .at(place, "asked for here"),
                false => Problem::warning(what),
            };
            let p = p.at(&validate.place, format!("phase {} is validated by it", def.name));
            cx.push(p.help("give it a root such as `scores.mean_class_accuracy@source`, of a node that takes labels"));
        } else if best {
            held_out(cx, view, &scores, place);
            unmoved(cx, (phase, def), view, &scores, place);
        }
    }
    if best && !validated {
        cx.push(
            Problem::error("`select = \"best\"` has no scores to choose by")
                .at(place, "no phase of `run` has a `validate`")
                .help("name a view in the phase: `validate = \"validate\"`"),
        );
    }
}

/// What a view is scored by: metrics over labels. The best state has the largest value of the first of them.
fn scores(view: &Program) -> Vec<&LabelUse> {
    let is_metric = |u: &&LabelUse| matches!(view.bodies[view.calls[u.call].body], Body::Metric(_));
    view.labels.iter().filter(is_metric).collect()
}

/// Only an oracle may choose by the labels of a held-out stream.
fn held_out(cx: &Cx, view: &Program, scores: &[&LabelUse], place: &Place) {
    if cx.graph.oracle {
        return;
    }
    let held = |u: &&&LabelUse| cx.graph.held_out.iter().find(|h| h.value == view.streams[u.stream]);
    let Some((label, stream)) = scores.iter().find_map(|u| Some((*u, held(&u)?))) else {
        return;
    };
    let mut p = Problem::error(format!(
        "`select = \"best\"` would choose by labels of `{}`, which is held out",
        stream.value
    ))
    .at(place, "chooses here");
    let node = &cx.graph.nodes[&view.calls[label.call].node];
    let of_stream = |r: &&crate::diag::Spanned<crate::graph::Ref>| {
        r.value.node == node.path && r.value.stream.as_ref().is_none_or(|s| *s == stream.value)
    };
    if let Some(root) = cx.graph.views[&view.name].roots.iter().find(of_stream) {
        p = p.at(&root.place, format!("view {} scores `{}`", view.name, stream.value));
    }
    p = p.at(&stream.place, "held out here");
    cx.push(p.help(format!(
        "choose by a view that scores other streams, leave it at \"last\", or say `oracle = true`, and every output will say \
         so, too: `{}` is not to be seen in training",
        stream.value
    )));
}

/// Reports a score that the phase cannot change.
fn unmoved(cx: &Cx, (phase, def): (&Program, &PhaseDef), view: &Program, scores: &[&LabelUse], place: &Place) {
    let trains = |node: &str| phase.calls.iter().any(|c| c.node == node && c.trains);
    let moves = scores.iter().any(|u| {
        let makers = u.scores.map(|s| flow::makers(view, &[s])).unwrap_or_default();
        makers.iter().any(|c| trains(&view.calls[*c].node))
    });
    if !moves {
        let validate = def.validate.as_ref().expect("it is validated");
        cx.push(
            Problem::error(format!(
                "the scores of view {} do not depend on what phase {} trains",
                view.name, def.name
            ))
            .at(&validate.place, "they are the same after every epoch")
            .at(place, "so none of them is the best")
            .help("validate by a view of what is trained, or leave `select` at \"last\""),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{errors, notes, warnings};

    fn validated(view: &str, more: &str) -> String {
        format!("{more}\n[phases.main]\nvalidate = \"validate\"\n[set.views.validate]\nroots = [{view}]")
    }

    #[test]
    fn labels_that_are_not_held_out_may_choose() {
        let (source, target) = (
            "\"scores.mean_class_accuracy@source\"",
            "\"scores.mean_class_accuracy@target\"",
        );
        let best = "select = \"best\"";
        assert!(warnings(&validated(source, best)).is_empty());
        // Outputs that are not scored do not choose.
        assert!(warnings(&validated(&format!("{source}, \"classify.logits@target\""), best)).is_empty());
        let refused = ["`select = \"best\"` would choose by labels of `target`, which is held out"];
        assert_eq!(errors(&validated(target, best)), refused);
        assert_eq!(errors(&validated(&format!("{source}, {target}"), best)), refused);
        assert!(warnings(&validated(target, "oracle = true\nselect = \"best\"")).is_empty());
        assert_eq!(errors(best), ["`select = \"best\"` has no scores to choose by"]);
    }

    #[test]
    fn a_choice_needs_scores_that_change() {
        let none = "\"classify.logits@source\"";
        assert_eq!(warnings(&validated(none, "")), ["view validate scores nothing"]);
        let best = errors(&validated(none, "select = \"best\""));
        assert_eq!(
            best,
            ["view validate scores nothing, and `select = \"best\"` depends on its scores"]
        );
        let unmoved = String::from(
            "select = \"best\"\n[phases.warmup]\nvalidate = \"validate\"\nfrozen = [\"backbone\"]\n[set.views.validate]\nroots = \
             [\"scores.mean_class_accuracy@source\"]",
        );
        assert_eq!(
            errors(&unmoved),
            ["the scores of view validate do not depend on what phase warmup trains"]
        );
    }

    #[test]
    fn an_oracle_without_use_is_noted() {
        assert_eq!(notes("oracle = true"), ["`oracle = true` changes nothing"]);
        let used = "[set.nodes.ce.inputs]\nlogits = \"classify.logits@target\"\nlabel = \"batch.label@target\"";
        assert!(
            notes(&format!("oracle = true\n{used}"))
                .iter()
                .all(|n| n.starts_with("oracle: "))
        );
    }

    #[test]
    fn a_result_without_the_target_is_reported() {
        let found = warnings("[set.views.infer]\nroots = [\"scores.mean_class_accuracy@source\"]");
        assert_eq!(found, ["nothing scores `target`, to which the method adapts"]);
        assert!(warnings("[set.views.infer]\nroots = [\"classify.logits@target\"]").is_empty());
    }
}
