//! Weights from phase to phase: those trained in one must fit the next, or be reset there.

use super::cx::{Cx, inside};
use crate::diag::{Problem, Spanned};
use crate::graph::NodeDef;
use crate::program::Program;
use glad_nodes::WeightSpec;
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashSet};

/// How two lists of weights differ, in words; `None` where they are the same. A stream's own weights come and go with the
/// stream.
pub(super) fn difference(old: &[WeightSpec], new: &[WeightSpec]) -> Option<String> {
    for n in new.iter().filter(|n| n.starts_as().is_none()) {
        match old.iter().find(|o| o.name == n.name) {
            None => return Some(format!("`{}` {:?} is new", n.name, n.shape)),
            Some(o) if o.shape != n.shape => return Some(format!("`{}` {:?} becomes {:?}", n.name, o.shape, n.shape)),
            Some(_) => {}
        }
    }
    let mut all = old.iter().filter(|o| o.starts_as().is_none());
    let gone = all.find(|o| new.iter().all(|n| n.name != o.name))?;
    Some(format!("`{}` {:?} is gone", gone.name, gone.shape))
}

/// A node's weights, and the program that used them last.
struct Held<'p> {
    specs: &'p [WeightSpec],
    phase: &'p str,
}

/// Goes through `run` with the weights that each phase leaves. `result` is the view that scores a run.
/// Banks of several lists are reported already.
pub(super) fn check(
    cx: &Cx,
    phases: &IndexMap<String, Program>,
    views: &IndexMap<String, Program>,
    (result, banks): (&str, &HashSet<String>),
) {
    let mut held: IndexMap<&str, Held> = IndexMap::new();
    let mut of_run = cx.graph.run.iter().filter(|r| cx.graph.phases.contains_key(&r.value));
    let all_there = of_run.all(|r| phases.contains_key(&r.value));
    for entry in &cx.graph.run {
        if let Some(program) = phases.get(&entry.value) {
            let def = &cx.graph.phases[&entry.value];
            if all_there {
                def.reset
                    .iter()
                    .for_each(|name| never_ran(cx, name, &held, &program.name));
            }
            for (node, specs) in program.weights.iter().filter(|(n, _)| !banks.contains(*n)) {
                if let Some(h) = held.get(node.as_str())
                    && !program.reset.contains(node)
                    && let Some(d) = difference(h.specs, specs)
                {
                    changed(cx, &cx.graph.nodes[node], h.phase, program, &d);
                }
                held.insert(
                    node,
                    Held {
                        specs,
                        phase: &program.name,
                    },
                );
            }
            let within = def.validate.iter().chain(def.refresh.as_ref().map(|r| &r.view));
            for (name, view) in within.filter_map(|v| Some((v, views.get(&v.value)?))) {
                fits(cx, view, &held, Some(name));
            }
        } else if let Some(view) = views.get(&entry.value) {
            fits(cx, view, &held, Some(entry));
        }
    }
    if let Some(view) = views
        .get(result)
        .filter(|_| !cx.graph.run.iter().any(|r| r.value == result))
    {
        fits(cx, view, &held, None);
    }
}

fn never_ran(cx: &Cx, name: &Spanned<String>, held: &IndexMap<&str, Held>, phase: &str) {
    let nodes = cx.named(&name.value);
    let known = nodes.iter().any(|n| held.contains_key(n.path.as_str()));
    if !nodes.is_empty() && !known {
        cx.push(
            Problem::note(format!("`reset` of `{}` in phase {phase} changes nothing", name.value))
                .at(&name.place, "no earlier phase has trained it"),
        );
    }
}

/// `G = 0, L = 3 in phase warmup (graphs/full.toml:112), G = 1, L = 2 in phase main (…)`, for the sizes that differ.
fn dims(cx: &Cx, before: &str, after: &str) -> Option<String> {
    let all = |name: &str| {
        let own = match cx.graph.phases.get(name) {
            Some(p) => (&p.dims, format!("phase {name}")),
            None => (&cx.graph.views[name].dims, format!("view {name}")),
        };
        let mut dims: IndexMap<String, Spanned<usize>> = cx.graph.dims.clone();
        dims.extend(own.0.iter().map(|(k, v)| (k.clone(), v.clone())));
        (dims, own.1)
    };
    let ((a, a_title), (b, b_title)) = (all(before), all(after));
    let differ: Vec<&String> = a
        .keys()
        .filter(|k| a.get(*k).map(|d| d.value) != b.get(*k).map(|d| d.value))
        .collect();
    if differ.is_empty() {
        return None;
    }
    let say = |d: &IndexMap<String, Spanned<usize>>, title: &str| {
        let parts: Vec<String> = differ
            .iter()
            .filter_map(|k| Some(format!("{k} = {}", d.get(*k)?.value)))
            .collect();
        let places: BTreeSet<String> = differ.iter().filter_map(|k| Some(cx.at(&d.get(*k)?.place))).collect();
        let places: Vec<String> = places.into_iter().collect();
        format!("{} in {title} ({})", parts.join(", "), places.join(", "))
    };
    Some(format!("{}; {}", say(&a, &a_title), say(&b, &b_title)))
}

fn changed(cx: &Cx, node: &NodeDef, before: &str, program: &Program, difference: &str) {
    let phase = &cx.graph.phases[&program.name];
    let top = node.inside.first().map_or(&node.path, |s| &s.value);
    let p = Problem::error(format!(
        "the weights of `{}` change shape between phase {before} and phase {}",
        node.path, program.name
    ))
    .at(&node.place, difference)
    .at(&cx.graph.phases[before].place, format!("trained in phase {before}"))
    .at(&phase.place, "and used again here");
    let reset = format!(
        "say `reset = [\"{top}\"]` in phase {} to start them anew there",
        program.name
    );
    let help = match dims(cx, before, &program.name) {
        Some(d) => format!("{d}; {reset}"),
        None => reset,
    };
    cx.push(inside(p, node).help(help));
}

fn fits(cx: &Cx, view: &Program, held: &IndexMap<&str, Held>, by: Option<&Spanned<String>>) {
    for (path, specs) in &view.weights {
        let Some(h) = held.get(path.as_str()) else { continue };
        let Some(d) = difference(h.specs, specs) else { continue };
        let node = &cx.graph.nodes[path];
        let mut p = Problem::error(format!(
            "view {} needs other weights of `{path}` than phase {} leaves behind",
            view.name, h.phase
        ))
        .at(&node.place, d)
        .at(&cx.graph.views[&view.name].place, "this view")
        .at(&cx.graph.phases[h.phase].place, "trained here");
        if let Some(by) = by {
            p = p.at(&by.place, "asked for here");
        }
        let p = inside(p, node);
        cx.push(match dims(cx, h.phase, &view.name) {
            Some(d) => p.help(d),
            None => p.help("give the node the same sizes and parameters in both"),
        });
    }
}
