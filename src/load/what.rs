//! Recognises a file that was given as something else: one message instead of one for each of its lines.

use super::layers::{Layer, Stack};
use super::set_arg::VERBS;
use crate::diag::{Files, Place, Problem, did_you_mean};
use crate::graph::TopKeys;
use crate::keys::Table;
use crate::tree::{Role, Tree};

/// Whether a layer has what only a graph has.
fn streams(layer: &Layer) -> Option<&Tree> {
    layer.tree.get("streams")
}

fn known() -> impl Iterator<Item = &'static str> {
    let top = TopKeys::KEYS.iter().map(|k| k.name);
    top.chain(VERBS).chain(["extends", "setting", "under", "composite"])
}

fn name(files: &Files, layer: &Layer) -> String {
    files.name(layer.file).to_string()
}

/// A file that contains nothing of a graph.
fn stranger(files: &Files, layer: &Layer) -> Option<Problem> {
    let entries = layer.tree.entries().filter(|_| layer.role != Role::Set)?;
    let first = entries.first()?.1;
    let is_known = |key: &str| known().any(|k| k == key);
    // One key that is nearly right is a mistake of its own.
    let nearly = entries.len() == 1 && entries.keys().any(|k| did_you_mean(k, known()).is_some());
    if nearly || entries.keys().any(|k| is_known(k)) {
        return None;
    }
    let mut keys: Vec<&str> = entries.keys().map(String::as_str).take(4).collect();
    if entries.len() > keys.len() {
        keys.push("…");
    }
    let what = match layer.role {
        Role::Graph => "graph",
        Role::Setting => "setting",
        Role::With | Role::Set => "overlay",
    };
    let message = format!(
        "`{}` is no {what}: none of its keys is one of a graph",
        name(files, layer)
    );
    let p = Problem::error(message).at(&first.key, format!("it has {}", keys.join(", ")));
    Some(p.help("a graph has `streams`, `nodes` and `phases`; `glad-run schema` has all keys"))
}

/// Problems of the files given as the graph and as overlays, apart from the setting.
pub(super) fn of_graph(stack: &Stack, graph: &Place, with_setting: bool) -> Option<Problem> {
    let files = &stack.reader.files;
    let strange = stack.layers.iter().find_map(|l| stranger(files, l));
    if strange.is_some() {
        return strange;
    }
    let own: Vec<&Layer> = stack.layers.iter().filter(|l| l.role == Role::Graph).collect();
    let last = own.iter().find(|l| l.file == graph.file)?;
    if last.tree.get("composite").is_some() {
        return None;
    }
    let of_graph = own.iter().find_map(|l| streams(l));
    let others = stack.layers.iter().filter(|l| l.role == Role::With);
    let of_others = others.filter_map(|l| Some((l, streams(l)?))).next();
    match (of_graph, of_others) {
        (Some(ours), Some((other, theirs))) => Some(
            Problem::error(format!(
                "`{}` is a graph of its own, not an overlay",
                name(files, other)
            ))
            .at(&theirs.key, "an overlay has no `streams` of its own")
            .at(&ours.key, "these are the graph's")
            .help("run one of the two; or name this graph in the other's `extends`"),
        ),
        (None, None) if !with_setting => Some(no_graph(files, last, own.len() > 1)),
        _ => None,
    }
}

/// A graph without streams, or a file that has none: a setting, an overlay.
fn no_graph(files: &Files, layer: &Layer, extends: bool) -> Problem {
    let path = name(files, layer);
    let entries = layer.tree.entries();
    let verb = entries
        .into_iter()
        .flatten()
        .find(|(k, _)| VERBS.contains(&k.as_str()) && *k != "append");
    match verb.filter(|_| !extends) {
        Some((verb, t)) => Problem::error(format!("`{path}` is an overlay, not a graph"))
            .at(
                &t.key,
                format!("`{verb}` changes what a graph says, and this file extends none"),
            )
            .help(format!(
                "lay it on a graph: glad-run GRAPH --with {path}; or name the graph in it: `extends = \"GRAPH\"`"
            )),
        None if !extends && layer.tree.get("nodes").is_some() => Problem::error("this file is a setting, not a graph")
            .at(&layer.tree.place, "it has no `streams`")
            .help(format!(
                "a graph runs with it: `glad-run full --setting {path}`; a graph has `streams = [\"source\", \"target\"]`"
            )),
        None => Problem::error(format!("`{path}` is no whole graph: it has no `streams`"))
            .at(&layer.tree.place, "")
            .help(format!(
                "if it is a setting, run a graph with it: glad-run GRAPH --setting {path}; a graph says `streams = \
                 [\"source\", \"target\"]`"
            )),
    }
}

/// Problems of the files given as the setting: `graph` are the layers above.
pub(super) fn of_setting(files: &Files, setting: &[Layer], graph: &[Layer]) -> Option<Problem> {
    if let Some(p) = setting.iter().find_map(|l| stranger(files, l)) {
        return Some(p);
    }
    let (layer, theirs) = setting.iter().find_map(|l| Some((l, streams(l)?)))?;
    let ours = graph.iter().find_map(streams)?;
    let path = name(files, layer);
    Some(
        Problem::error(format!("`{path}` is a graph, not a setting"))
            .at(&theirs.key, "a setting has no `streams`")
            .at(&ours.key, "these are the graph's")
            .help(format!(
                "a setting has data, sizes, a backbone and lengths of phases; run the graph itself: glad-run {path}"
            )),
    )
}

/// A setting that extends the graph itself, at `place`.
pub(super) fn extends_graph(path: &str, place: &Place) -> Problem {
    Problem::error(format!("`{path}` is laid on this graph, so it cannot be its setting"))
        .at(place, "it extends a file of the graph")
        .help(format!(
            "run it by itself: glad-run {path}; or lay it on the graph: --with {path}"
        ))
}
