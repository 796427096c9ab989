//! From the merged tree to a [`Graph`], or every mistake of every file at once.

use super::expand::{Expander, Flat, Member, Tie};
use super::layers::Reader;
use super::node::{NodeCx, known_streams};
use super::params::Params;
use super::phase::PhaseCx;
use super::refs::Resolver;
use super::set_arg::VERBS;
use super::ties::tie;
use crate::diag::{Problem, Spanned, suggest};
use crate::graph::{Graph, NodeDef, PhaseDef, Select, TopKeys, ViewDef, is_node_key};
use crate::keys::Table;
use crate::tree::History;
use crate::tree::{Out, is_name};
use crate::tree::{Tree, TreeValue};
use glad_nodes::Precision;
use indexmap::IndexMap;
use std::sync::Arc;

/// The default seed of a run.
const DEFAULT_SEED: u64 = 1;

/// Reads the merged tree; `setting` is the name of its lowest layer where it has a setting. Returns nothing where
/// anything is wrong; the problems are in `reader.problems`.
pub(super) fn build(reader: &mut Reader, tree: Tree, history: History, setting: Option<&str>) -> Option<Graph> {
    let mut problems = std::mem::take(&mut reader.problems);
    let out = &mut Out(&mut problems);
    let top = tree.entries()?.clone();
    let root = &tree.place;
    if let Some(t) = top.get("composite") {
        out.push(
            Problem::error("this file is a composite, not a graph")
                .at(&t.key, "here")
                .help("a graph uses it as a node's kind: `kind = \"lib/order.toml\"`"),
        );
        reader.problems = problems;
        return None;
    }
    top_keys(&top, out);

    let mut params = Params::of_graph(&tree, out);
    let mut section = |name: &str, out: &mut Out| -> IndexMap<String, Tree> {
        let Some(mut t) = top.get(name).cloned() else {
            return IndexMap::new();
        };
        // Nodes are resolved one by one, since composites have parameters of their own.
        if name != "nodes" {
            params.substitute(&mut t, out);
        }
        out.table(name, &t).cloned().unwrap_or_default()
    };
    let (nodes, phases, views) = (section("nodes", out), section("phases", out), section("views", out));
    let mut settled = top.clone();
    for (_, t) in settled
        .iter_mut()
        .filter(|(k, _)| !["nodes", "phases", "views", "params"].contains(&k.as_str()))
    {
        params.substitute(t, out);
    }
    let mut notes = vec![];
    let phases = living_rounds(phases, &mut notes);
    let (phases, gone) = living("phase", phases, &["losses", "rounds"], "loss", out, &mut notes);
    let (views, gone_views) = living("view", views, &["roots"], "root", out, &mut notes);
    for name in phases.keys().filter(|n| views.contains_key(*n)) {
        out.push(
            Problem::error(format!("`{name}` is a phase and a view"))
                .at(&phases[name].key, "a phase")
                .at(&views[name].key, "a view")
                .help("`run` names both: give one of them another name"),
        );
    }

    let sections = ["nodes", "phases", "views", "params"];
    let mut own = settled.clone();
    own.retain(|k, _| !sections.contains(&k.as_str()));
    let keys = TopKeys::read("", &own, out);
    if !settled.contains_key("streams") {
        out.push(
            Problem::error("the graph has no streams")
                .at(root, "")
                .help("write `streams = [\"source\", \"target\"]`"),
        );
    }
    let streams = keys.streams.unwrap_or_default();
    let all_streams = all_streams(&streams, &phases, &views);
    for s in &all_streams {
        if !is_name(&s.value) || is_node_key(&s.value) {
            let p = Problem::error(format!("`{}` cannot be a stream's name", s.value)).at(&s.place, "here");
            out.push(p.help("letters, digits and `_`; not a key that nodes have"));
        }
    }
    let stream_names: Vec<String> = all_streams.into_iter().map(|s| s.value).collect();

    dim_names(&settled, out);
    let classes = |names: Vec<Spanned<String>>| names.into_iter().map(|n| n.value).collect();
    let mut graph = Graph {
        title: keys.title,
        expect: keys.expect.and_then(|e| e.of(setting)),
        held_out: keys.held_out,
        oracle: keys.oracle,
        select: keys.select.unwrap_or_else(|| Spanned::new(Select::Last, root.clone())),
        bad_videos: keys.bad_videos,
        seed: keys.seed.unwrap_or_else(|| Spanned::new(DEFAULT_SEED, root.clone())),
        precision: keys
            .precision
            .unwrap_or_else(|| Spanned::new(Precision::default(), root.clone())),
        classes: keys.classes.map(|c| Spanned::new(classes(c.value), c.place)),
        run: keys.run.unwrap_or_default().0,
        streams,
        dims: keys.dims,
        nodes: IndexMap::new(),
        phases: IndexMap::new(),
        views: IndexMap::new(),
        files: Arc::default(),
        history,
        notes: vec![],
        tree,
    };
    graph.held_out = known_streams(std::mem::take(&mut graph.held_out), &stream_names, out);

    reader.problems = problems;
    let mut expander = Expander::new(reader, &stream_names);
    expander.graph(&nodes, &mut params);
    if expander.full {
        // References to what was left out would only hide the reason.
        return None;
    }
    let mut spread = |all: IndexMap<String, Tree>| -> IndexMap<String, Tree> {
        all.into_iter().map(|(name, t)| (name, expander.in_phase(t))).collect()
    };
    let (phases, views) = (spread(phases), spread(views));
    if expander.full {
        return None;
    }
    let expansion = expander.out;
    let mut problems = std::mem::take(&mut reader.problems);
    let out = &mut Out(&mut problems);

    let mut resolver = Resolver {
        scopes: &expansion.scopes,
        streams: &stream_names,
        history: &graph.history,
        problems: vec![],
    };
    let mut cx = NodeCx {
        files: &reader.files,
        streams: &stream_names,
        resolver: &mut resolver,
    };
    let ties: Vec<(String, Tie)> = expansion
        .nodes
        .iter()
        .filter_map(|flat| Some((flat.path.clone(), flat.weights.clone()?)))
        .collect();
    let read: Vec<NodeDef> = expansion
        .nodes
        .into_iter()
        .map(|flat: Flat| cx.node(flat, out))
        .collect();
    for node in read {
        if let Some(other) = graph.nodes.get(&node.path) {
            out.push(
                Problem::error(format!("there are two nodes `{}`", node.path))
                    .at(&node.place, "one here")
                    .at(&other.place, "one here"),
            );
        }
        graph.nodes.insert(node.path.clone(), node);
    }
    tie(&mut graph.nodes, &ties, out);
    outputs(&mut resolver);
    bypass(keys.bypass, &mut graph.nodes, &mut resolver, out);

    let mut cx = PhaseCx {
        streams: &stream_names,
        dims: &graph.dims,
        resolver: &mut resolver,
    };
    let mut read_phases: IndexMap<String, PhaseDef> = IndexMap::new();
    for (name, t) in &phases {
        read_phases.extend(cx.phase(name, t, out).map(|p| (name.clone(), p)));
    }
    let mut read_views: IndexMap<String, ViewDef> = IndexMap::new();
    for (name, t) in &views {
        read_views.extend(cx.view(name, t, out).map(|v| (name.clone(), v)));
    }
    out.0.append(&mut resolver.problems);
    (graph.phases, graph.views) = (read_phases, read_views);
    graph
        .run
        .retain(|r| !gone.contains(&r.value) && !gone_views.contains(&r.value));
    run(&mut graph, &settled, &phases, &views, out);
    validate(&graph, &views, out);
    notes.extend(unused(&params));
    graph.notes = notes;
    reader.problems = problems;
    Some(graph)
}

fn top_keys(top: &IndexMap<String, Tree>, out: &mut Out) {
    for (key, value) in top {
        if TopKeys::names().contains(&key.as_str()) {
            continue;
        }
        let mut p = Problem::error(format!("unknown key `{key}`")).at(&value.key, "no such key at the top of a graph");
        let known = TopKeys::names()
            .into_iter()
            .chain(VERBS)
            .chain(["extends", "setting", "under"]);
        p.help = Some(suggest(key, "keys", known));
        out.push(p);
    }
}

/// Phases with losses, views with roots; the others are left out, with a note.
fn living(
    what: &str,
    all: IndexMap<String, Tree>,
    keys: &[&str],
    one: &str,
    out: &mut Out,
    notes: &mut Vec<Problem>,
) -> (IndexMap<String, Tree>, Vec<String>) {
    let mut gone = vec![];
    let mut kept = IndexMap::new();
    for (name, t) in all {
        let Some(table) = out.table(&format!("{what}s.{name}"), &t) else {
            gone.push(name);
            continue;
        };
        if !is_name(&name) {
            out.push(
                Problem::error(format!("`{name}` cannot be a {what}'s name"))
                    .at(&t.key, "here")
                    .help("letters, digits and `_`"),
            );
        }
        if keys.iter().all(|key| is_empty(table.get(*key))) {
            notes.push(
                Problem::note(format!("{what} `{name}` has no {one}, so it is left out"))
                    .at(&t.key, format!("this {what}")),
            );
            gone.push(name);
        } else {
            kept.insert(name, t);
        }
    }
    (kept, gone)
}

/// The phases without the rounds that have no loss, each with a note.
fn living_rounds(mut phases: IndexMap<String, Tree>, notes: &mut Vec<Problem>) -> IndexMap<String, Tree> {
    for (phase, t) in &mut phases {
        let Some(rounds) = t.at_mut(["rounds"]).and_then(Tree::entries_mut) else {
            continue;
        };
        rounds.retain(|name, round| {
            // What is no table is reported where it is read.
            let none = round.entries().is_some() && is_empty(round.get("losses"));
            if none {
                let what = format!("round `{name}` of phase `{phase}` has no loss, so it is left out");
                notes.push(Problem::note(what).at(&round.key, "this round"));
            }
            !none
        });
    }
    phases
}

/// Whether there is nothing in a table or list, or no such key.
fn is_empty(t: Option<&Tree>) -> bool {
    match t.map(|t| &t.value) {
        None => true,
        Some(TreeValue::Table(t)) => t.is_empty(),
        Some(TreeValue::Array(a)) => a.is_empty(),
        Some(_) => false,
    }
}

/// The graph's streams and those that only a phase or view has.
fn all_streams(
    streams: &[Spanned<String>],
    phases: &IndexMap<String, Tree>,
    views: &IndexMap<String, Tree>,
) -> Vec<Spanned<String>> {
    let mut all = streams.to_vec();
    for t in phases.values().chain(views.values()) {
        for s in t.get("streams").and_then(Tree::items).into_iter().flatten() {
            if let Some(text) = s.text().filter(|t| !all.iter().any(|a| a.value == **t)) {
                all.push(Spanned::new(text.to_string(), s.place.clone()));
            }
        }
    }
    all
}

/// Names that dimensions may have.
fn dim_names(top: &IndexMap<String, Tree>, out: &mut Out) {
    for (name, value) in top.get("dims").and_then(Tree::entries).into_iter().flatten() {
        if !is_name(name) || name == "B" {
            let p = Problem::error(format!("`{name}` cannot be a dimension's name")).at(&value.key, "here");
            out.push(p.help("letters, digits and `_`; `B` is the batch"));
        }
    }
}

/// Checks that every output of every composite resolves, even where nothing uses it.
fn outputs(resolver: &mut Resolver) {
    let outputs: Vec<(usize, Spanned<String>)> = (resolver.scopes.iter().enumerate())
        .flat_map(|(i, s)| {
            s.composite
                .iter()
                .flat_map(move |c| c.outputs.values().map(move |o| (i, o.clone())))
        })
        .collect();
    for (scope, text) in outputs {
        resolver.resolve(scope, &text, super::refs::Use::Value);
    }
}

fn bypass(names: Vec<Spanned<String>>, nodes: &mut IndexMap<String, NodeDef>, resolver: &mut Resolver, out: &mut Out) {
    for name in names {
        match resolver.node_or_composite(&name) {
            Some(Member::Node) => {
                if let Some(node) = nodes.get_mut(&name.value) {
                    node.bypass = Some(name.place);
                }
            }
            Some(Member::Composite(_)) => {
                let inside = nodes.keys().filter(|k| k.starts_with(&format!("{}.", name.value)));
                let inside: Vec<String> = inside.map(|k| format!("`{k}`")).collect();
                let p = Problem::error(format!(
                    "`{}` is a composite, and only a node can be bypassed",
                    name.value
                ))
                .at(&name.place, "here")
                .help(format!(
                    "nodes inside: {}; or leave it out with `drop`",
                    inside.join(", ")
                ));
                out.push(p);
            }
            None => {}
        }
    }
}

/// Checks the names in `run`; without it all phases run, in the order of the files.
fn run(
    graph: &mut Graph,
    top: &IndexMap<String, Tree>,
    phases: &IndexMap<String, Tree>,
    views: &IndexMap<String, Tree>,
    out: &mut Out,
) {
    if !top.contains_key("run") {
        graph.run = graph
            .phases
            .values()
            .map(|p| Spanned::new(p.name.clone(), p.place.clone()))
            .collect();
    }
    for (i, r) in graph.run.iter().enumerate() {
        if phases.contains_key(&r.value) {
            if let Some(first) = graph.run[..i].iter().find(|o| o.value == r.value) {
                out.push(
                    Problem::error(format!("phase `{}` runs twice", r.value))
                        .at(&r.place, "again here")
                        .at(&first.place, "it runs here")
                        .help("a phase runs once; give a second one a name of its own"),
                );
            }
        } else if !views.contains_key(&r.value) {
            let known = phases.keys().chain(views.keys()).map(String::as_str);
            let mut p = Problem::error(format!("`run` names `{}`, which is no phase or view", r.value))
                .at(&r.place, "nothing of this name")
                .help(suggest(&r.value, "phases and views", known));
            for section in ["phases", "views"] {
                let changes = graph.history.of(&format!("{section}.{}", r.value));
                if let Some(c) = changes.iter().rev().find(|c| c.verb == "drop") {
                    p = p.at(&c.by, "it was dropped here");
                }
            }
            out.push(p);
        }
    }
}

fn validate(graph: &Graph, views: &IndexMap<String, Tree>, out: &mut Out) {
    let refresh = graph.phases.values().filter_map(|p| Some(&p.refresh.as_ref()?.view));
    for v in graph.phases.values().filter_map(|p| p.validate.as_ref()).chain(refresh) {
        if !views.contains_key(&v.value) {
            let p = Problem::error(format!("unknown view `{}`", v.value)).at(&v.place, "no view of this name");
            out.push(p.help(suggest(&v.value, "views", views.keys().map(String::as_str))));
        }
    }
}

fn unused(params: &Params) -> Option<Problem> {
    let unused: Vec<(&str, &Tree)> = params.unused().collect();
    let names: Vec<&str> = unused.iter().map(|u| u.0).collect();
    let (_, first) = unused.first()?;
    let what = if names.len() == 1 {
        "parameter that nothing uses"
    } else {
        "parameters that nothing uses"
    };
    Some(Problem::note(format!("{what}: {}", names.join(", "))).at(&first.key, "no `$` names it"))
}
