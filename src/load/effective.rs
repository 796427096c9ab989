//! The effective experiment as one graph file: all layers merged, composites expanded, parameters in place.

use crate::diag::{Place, Spanned};
use crate::graph::{
    Expect, Graph, Inputs, LossDef, LossKeys, NodeDef, NodeKeys, Often, Order, PhaseDef, PhaseKeys, Ref, RefreshDef,
    RefreshKeys, RoundDef, RoundKeys, TopKeys, ViewDef, ViewKeys, WeightsKeys,
};
use crate::keys::{Free, Sub, Table};
use crate::tree::{Tree, TreeValue, Written, dotted, key};
use glad_nodes::Precision;
use indexmap::IndexMap;
use std::fmt::Write;

/// Lines longer than this are broken into tables.
const WIDTH: usize = 110;

/// TOML text that loads to the same graph from any folder (`folder` keys state what relative paths are resolved
/// against), and whose own effective text is identical to the byte. It does not hold where values were written:
/// `explain` shows that.
pub fn effective(graph: &Graph) -> String {
    text(&plain(graph))
}

/// The effective text without the locations of lists, videos, class names and weights: graphs with equal text are the
/// same experiment on data that may have been moved. The content of the files is compared elsewhere.
pub fn experiment(graph: &Graph) -> String {
    let mut tree = plain(graph);
    let streams: Vec<&str> = graph.streams.iter().map(|s| s.value.as_str()).collect();
    let tables = |t: &mut Tree, then: &mut dyn FnMut(&mut Tree)| {
        t.entries_mut()
            .into_iter()
            .flat_map(IndexMap::values_mut)
            .for_each(then);
    };
    let nodes = |t: &mut Tree| tables(t, &mut |node| without_places(node, &streams));
    if let Some(t) = tree.at_mut(["nodes"]) {
        nodes(t);
    }
    for section in ["phases", "views"] {
        if let Some(t) = tree.at_mut([section]) {
            tables(t, &mut |item| {
                if let Some(t) = item.at_mut(["nodes"]) {
                    nodes(t);
                }
            });
        }
    }
    text(&tree)
}

/// Removes file locations from a node's parameters, and those of its streams.
fn without_places(node: &mut Tree, streams: &[&str]) {
    let Some(params) = node.entries_mut() else { return };
    params.shift_remove("folder");
    params.shift_remove("root");
    params.shift_remove("flow_root");
    for (name, value) in params {
        match (name.as_str(), &mut value.value) {
            ("list" | "classes", TreeValue::String(s)) => s.clear(),
            ("list", TreeValue::Table(splits)) => {
                splits
                    .values_mut()
                    .for_each(|t| t.value = TreeValue::String(String::new()));
            }
            // A value without these is a word such as `random`.
            ("init", TreeValue::String(s)) if s.contains(['/', '\\', '.']) => s.clear(),
            ("init", TreeValue::Table(entries)) => {
                if let Some(file) = entries.get_mut("file") {
                    file.value = TreeValue::String(String::new());
                }
            }
            (stream, TreeValue::Table(_)) if streams.contains(&stream) => without_places(value, &[]),
            _ => {}
        }
    }
}

fn text(plain: &Tree) -> String {
    let mut out =
        String::from("# The effective experiment: layers merged, composites expanded, parameters in place.\n\n");
    let entries = plain.entries().expect("a table");
    for (name, value) in entries.iter().filter(|(_, v)| v.entries().is_none()) {
        let _ = writeln!(out, "{} = {value}", key(name));
    }
    for (section, table) in entries {
        let Some(items) = table.entries() else { continue };
        if section == "dims" || section == "expect" {
            write_table(&mut out, &[section], items);
            continue;
        }
        for (name, item) in items {
            write_table(&mut out, &[section, name], item.entries().expect("a table"));
        }
    }
    out
}

fn write_table(out: &mut String, path: &[&str], table: &IndexMap<String, Tree>) {
    out.push('\n');
    let _ = writeln!(out, "[{}]", dotted(path.iter().copied()));
    let mut long = vec![];
    // Rounds are taken in the order of the file, so one of them must not go before another for being short.
    let rounds = matches!(path, ["phases", _, "rounds"]);
    for (name, value) in table {
        let line = format!("{} = {value}", key(name));
        match value.entries() {
            Some(entries) if rounds || line.chars().count() > WIDTH => long.push((name, entries)),
            _ => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    for (name, entries) in long {
        let mut path = path.to_vec();
        path.push(name);
        write_table(out, &path, entries);
    }
}

/// The graph as the tree of a file without layers, verbs, composites and parameters. Defaults are left out, so that
/// graphs with the same meaning have the same tree.
pub(super) fn plain(graph: &Graph) -> Tree {
    let section = |items: Vec<(&String, Tree)>| Free {
        entries: items.into_iter().map(|(k, t)| (k.clone(), t)).collect(),
        key: None,
    };
    let named = |c: &Spanned<Vec<String>>| {
        let names = c.value.iter().map(|n| Spanned::new(n.clone(), c.place.clone()));
        Spanned::new(names.collect(), c.place.clone())
    };
    let bypassed = graph.nodes.values().filter_map(|n| {
        let place = n.bypass.clone()?;
        Some(Spanned::new(n.path.clone(), place))
    });
    let keys = TopKeys {
        title: graph.title.clone(),
        expect: graph.expect.clone().map(Expect::without_setting),
        streams: Some(graph.streams.clone()),
        held_out: graph.held_out.clone(),
        oracle: graph.oracle,
        select: Some(graph.select.clone()),
        bad_videos: graph.bad_videos,
        seed: Some(graph.seed.clone()),
        precision: Some(graph.precision.clone()).filter(|p| p.value != Precision::default()),
        run: Some(Order(graph.run.clone())),
        classes: graph.classes.as_ref().map(named),
        bypass: bypassed.collect(),
        dims: graph.dims.clone(),
        params: Free::default(),
        nodes: section(graph.nodes.iter().map(|(k, n)| (k, node(n))).collect()),
        phases: section(
            graph
                .phases
                .iter()
                .map(|(k, p)| (k, written(&p.place, &phase(p))))
                .collect(),
        ),
        views: section(
            graph
                .views
                .iter()
                .map(|(k, v)| (k, written(&v.place, &view(v))))
                .collect(),
        ),
    };
    written(&graph.tree.place, &keys)
}

/// A table at `place`.
fn written(place: &Place, table: &impl Table) -> Tree {
    let mut to = Written::at(place);
    table.write(&mut to);
    to.tree()
}

fn node(n: &NodeDef) -> Tree {
    let folder = || {
        let folder = if n.folder.as_os_str().is_empty() {
            ".".as_ref()
        } else {
            &*n.folder
        };
        let folder = std::path::absolute(folder).unwrap_or_else(|_| n.folder.clone());
        Spanned::new(folder.display().to_string(), n.kind.place.clone())
    };
    let texts = |refs: &Vec<Spanned<Ref>>| refs.iter().map(reference).collect();
    let keys = NodeKeys {
        kind: Some(n.kind.clone()),
        folder: names_files(n).then(folder),
        only: n.only.clone(),
        train_only: n.train_only,
        weights: weights(n),
        inputs: Inputs(
            n.inputs
                .iter()
                .map(|(port, refs)| (port.clone(), texts(refs)))
                .collect(),
        ),
    };
    let mut to = Written::at(&n.kind.place);
    keys.write(&mut to);
    // References come last, as in hand-written files.
    let mut tree = to.tree();
    let entries = tree.entries_mut().expect("a table");
    let inputs = entries.shift_remove("inputs");
    entries.extend(n.params.iter().map(|(name, value)| (name.clone(), value.clone())));
    let mut to = Written::at(&n.kind.place);
    for (stream, params) in &n.per_stream {
        to.put(stream, TreeValue::Table(params.clone()));
    }
    to.opt("inputs", inputs.map(|t| t.value));
    entries.extend(to.tree().entries().expect("a table").clone());
    tree
}

fn weights(n: &NodeDef) -> Option<WeightsKeys> {
    let shared = n.weights.as_ref().map(|of| WeightsKeys {
        of: of.clone(),
        ema: None,
    });
    let copy = n.copy.as_ref().map(|c| WeightsKeys {
        of: c.of.clone(),
        ema: Some(c.ema.clone()),
    });
    shared.or(copy)
}

/// Whether a parameter may be a relative path, so that the folder that it is resolved against matters: a string of a
/// source, or any that looks like a path. The loader does not know the kinds.
fn names_files(n: &NodeDef) -> bool {
    fn any(t: &Tree, source: bool) -> bool {
        match &t.value {
            TreeValue::String(s) => source || s.contains(['/', '.']),
            TreeValue::Array(a) => a.iter().any(|t| any(t, source)),
            TreeValue::Table(e) => e.values().any(|t| any(t, source)),
            _ => false,
        }
    }
    let params = n.params.values().chain(n.per_stream.values().flat_map(|p| p.values()));
    params.into_iter().any(|t| any(t, n.inputs.is_empty()))
}

fn phase(p: &PhaseDef) -> PhaseKeys {
    PhaseKeys {
        streams: p.streams.clone(),
        split: Some(p.split.clone()),
        epochs: p.epochs.clone(),
        steps: p.steps.clone(),
        epoch: p.epoch.over.clone(),
        drop_last: p.epoch.drop_last,
        batch: Some(p.batch.clone()),
        micro_batch: p.micro_batch.clone(),
        seed: p.seed.clone(),
        dims: p.dims.clone(),
        nodes: overrides(&p.nodes),
        losses: losses(p, ""),
        rounds: p
            .rounds
            .iter()
            .filter(|r| !r.name.is_empty())
            .map(|r| round(p, r))
            .collect(),
        reset: p.reset.clone(),
        frozen: p.frozen.clone(),
        refresh: p.refresh.as_ref().map(refresh),
        validate: p.validate.clone(),
        optimizer: Some(Sub(p.optimizer.clone())),
    }
}

fn refresh(r: &RefreshDef) -> Spanned<Sub<RefreshKeys>> {
    let of = |n: usize| Some(Spanned::new(n, r.often.place.clone()));
    let (every, steps, times) = match r.often.value {
        Often::Epochs(n) => (of(n), None, None),
        Often::Steps(n) => (None, of(n), None),
        Often::Times(n) => (None, None, of(n)),
    };
    let keys = RefreshKeys {
        view: Some(r.view.clone()),
        every,
        steps,
        times,
    };
    Spanned::new(Sub(keys), r.view.place.clone())
}

fn view(v: &ViewDef) -> ViewKeys {
    ViewKeys {
        streams: v.streams.clone(),
        split: Some(v.split.clone()),
        batch: v.batch.clone(),
        dims: v.dims.clone(),
        nodes: overrides(&v.nodes),
        roots: v.roots.iter().map(reference).collect(),
        statistics: v.statistics.clone(),
        optional: v.optional,
    }
}

/// A round, by its name.
fn round(p: &PhaseDef, r: &RoundDef) -> (String, Spanned<Sub<RoundKeys>>) {
    let keys = RoundKeys {
        losses: losses(p, &r.name),
        train: r.train.clone(),
        repeat: r.repeat,
    };
    (r.name.clone(), Spanned::new(Sub(keys), r.place.clone()))
}

/// The terms of the round of this name.
fn losses(p: &PhaseDef, round: &str) -> IndexMap<String, Spanned<LossKeys>> {
    let own = p.losses.iter().filter(|(_, l)| p.rounds[l.round].name == round);
    let name = |label: &String| match round {
        "" => label.clone(),
        round => label[round.len() + 1..].to_owned(),
    };
    own.map(|(label, l)| (name(label), loss(&name(label), l))).collect()
}

fn loss(name: &str, l: &LossDef) -> Spanned<LossKeys> {
    let place = l.target.place.clone();
    let term = LossKeys {
        of: Some(reference(&l.target)).filter(|of| of.value != name),
        weight: l.weight.clone(),
        ramp: l.ramp,
        key: place.clone(),
    };
    Spanned::new(term, place)
}

fn overrides(nodes: &IndexMap<String, Spanned<IndexMap<String, Tree>>>) -> IndexMap<String, Spanned<Free>> {
    let free = |params: &Spanned<IndexMap<String, Tree>>| {
        let entries = params.value.clone();
        Spanned::new(Free { entries, key: None }, params.place.clone())
    };
    nodes
        .iter()
        .map(|(node, params)| (node.clone(), free(params)))
        .collect()
}

fn reference(r: &Spanned<Ref>) -> Spanned<String> {
    let Ref { node, port, stream } = &r.value;
    let dot = if port.is_empty() { "" } else { "." };
    let at = stream.as_ref().map(|s| format!("@{s}")).unwrap_or_default();
    Spanned::new(format!("{node}{dot}{port}{at}"), r.place.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load_text;

    #[test]
    fn an_experiment_is_the_same_wherever_its_files_lie() {
        let of = |videos: &str, backbone: &str, folder: &str| {
            let text = format!(
                "streams = [\"source\"]\nrun = []\n[nodes.videos]\nkind = \"video_list\"\n{videos}\n[nodes.backbone]\nkind = \
                 \"tsm\"\n{backbone}\ninputs = {{ clips = \"videos.video\" }}\n[views.infer]\nsplit = \"test\"\nroots = \
                 [\"backbone.feature\"]\n"
            );
            let graph = load_text("g.toml", &text, std::path::Path::new(folder)).unwrap_or_else(|p| panic!("{p}"));
            (effective(&graph), experiment(&graph))
        };
        let lists = "source.list = { train = \"a.txt\", test = \"b.txt\" }\nclasses = \"c.txt\"";
        let before = of(lists, "init = \"w.pth\"", "/a");
        for (videos, backbone, folder) in [
            (lists, "init = \"w.pth\"", "/b"),
            (
                "source.list = { train = \"/x/a.txt\", test = \"/x/b.txt\" }\nclasses = \"/x/c.txt\"\nsource.root = \"/x\"",
                "init = \"../w.pth\"",
                "/a",
            ),
        ] {
            let now = of(videos, backbone, folder);
            assert_ne!(now.0, before.0);
            assert_eq!(now.1, before.1);
        }
        for (videos, backbone) in [
            (
                "source.list = { train = \"a.txt\" }\nclasses = \"c.txt\"",
                "init = \"w.pth\"",
            ),
            ("source.list = \"a.txt\"\nclasses = \"c.txt\"", "init = \"w.pth\""),
            (&format!("{lists}\nformat = \"babel\""), "init = \"w.pth\""),
            (lists, "init = \"random\""),
            (lists, ""),
            (lists, "init = \"w.pth\"\ndepth = 50"),
        ] {
            assert_ne!(of(videos, backbone, "/a").1, before.1, "{videos} {backbone}");
        }
    }
}
