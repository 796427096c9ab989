//! The effective experiment as one graph file: all layers merged, composites expanded, parameters in place.

use crate::diag::{Files, Place};
use crate::graph::{Graph, GroupDef, LossDef, NodeDef, OptimizerDef, PhaseDef, Ref, ScheduleDef, ViewDef};
use crate::tree::{Tree, TreeValue, dotted, key};
use glad_nodes::Precision;
use indexmap::IndexMap;
use std::fmt::Write;

/// Lines are broken into tables where they would be longer.
const WIDTH: usize = 110;

/// TOML text that loads to the same graph from any folder (`folder` keys say where relative paths are meant from), and
/// whose own effective text is the same again, to the byte: where values were written is not in it, for `explain`
/// tells that.
pub fn effective(graph: &Graph) -> String {
    text(&plain(graph))
}

/// The effective text without what only says where lists, videos, names of classes and weights lie: graphs with equal text
/// are the same experiment on data that may have been moved. What the files hold is compared elsewhere.
pub fn experiment(graph: &Graph) -> String {
    let mut tree = plain(graph);
    let streams: Vec<&str> = graph.streams.iter().map(|s| s.value.as_str()).collect();
    let tables = |t: &mut Tree, then: &mut dyn FnMut(&mut Tree)| {
        t.entries_mut().into_iter().flat_map(IndexMap::values_mut).for_each(then);
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

/// Takes the places of files out of a node's parameters, and those of its streams.
fn without_places(node: &mut Tree, streams: &[&str]) {
    let Some(params) = node.entries_mut() else { return };
    params.shift_remove("folder");
    params.shift_remove("root");
    for (name, value) in params {
        match (name.as_str(), &mut value.value) {
            ("list" | "classes", TreeValue::String(s)) => s.clear(),
            ("list", TreeValue::Table(splits)) => {
                splits.values_mut().for_each(|t| t.value = string(""));
            }
            // Without these it is a word such as `random`.
            ("init", TreeValue::String(s)) if s.contains(['/', '\\', '.']) => s.clear(),
            ("init", TreeValue::Table(entries)) => {
                if let Some(file) = entries.get_mut("file") {
                    file.value = string("");
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
        if section == "dims" {
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
    for (name, value) in table {
        let line = format!("{} = {value}", key(name));
        match value.entries() {
            Some(entries) if line.chars().count() > WIDTH => long.push((name, entries)),
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

/// The graph as the tree of a file without layers, verbs, composites and parameters. What is at its default is left
/// out, so that graphs that mean the same have the same tree.
pub(super) fn plain(graph: &Graph) -> Tree {
    let at = &graph.tree.place;
    let mut top = Table::new(at);
    top.opt("title", graph.title.as_ref().map(|t| string(&t.value)));
    top.opt("expect", graph.expect.as_ref().map(|t| string(&t.value)));
    top.put("streams", strings(graph.streams.iter().map(|s| &s.value)));
    if !graph.held_out.is_empty() {
        top.put("held_out", strings(graph.held_out.iter().map(|s| &s.value)));
    }
    if graph.oracle {
        top.put("oracle", TreeValue::Boolean(true));
    }
    top.put("select", string(&graph.select.value));
    top.put("bad_videos", TreeValue::Float(graph.bad_videos));
    top.put("seed", TreeValue::Integer(graph.seed.value as i64));
    if graph.precision.value != Precision::default() {
        top.put("precision", string(graph.precision.value.name()));
    }
    top.put("run", strings(graph.run.iter().map(|s| &s.value)));
    top.opt("classes", graph.classes.as_ref().map(|c| strings(&c.value)));
    let bypass: Vec<&String> = graph
        .nodes
        .values()
        .filter(|n| n.bypass.is_some())
        .map(|n| &n.path)
        .collect();
    if !bypass.is_empty() {
        top.put("bypass", strings(bypass));
    }
    top.put("dims", sizes(&graph.dims, at));
    let section = |items: Vec<(&String, Table)>| {
        TreeValue::Table(items.into_iter().map(|(k, t)| (k.clone(), t.tree())).collect())
    };
    top.put(
        "nodes",
        section(graph.nodes.iter().map(|(k, n)| (k, node(n))).collect()),
    );
    top.put(
        "phases",
        section(graph.phases.iter().map(|(k, p)| (k, phase(p))).collect()),
    );
    top.put(
        "views",
        section(graph.views.iter().map(|(k, v)| (k, view(v))).collect()),
    );
    top.tree()
}

fn node(n: &NodeDef) -> Table {
    let mut t = Table::new(&n.kind.place);
    t.put("kind", string(&n.kind.value));
    if names_files(n) {
        let folder = std::path::absolute(if n.folder.as_os_str().is_empty() {
            ".".as_ref()
        } else {
            &*n.folder
        });
        t.put(
            "folder",
            string(&folder.unwrap_or_else(|_| n.folder.clone()).display().to_string()),
        );
    }
    if let Some(only) = &n.only {
        t.put("only", strings(only.iter().map(|s| &s.value)));
    }
    if n.train_only {
        t.put("train_only", TreeValue::Boolean(true));
    }
    for (name, value) in &n.params {
        t.put(name, value.value.clone());
    }
    for (stream, params) in &n.per_stream {
        t.put(stream, TreeValue::Table(params.clone()));
    }
    if !n.inputs.is_empty() {
        let mut inputs = Table::new(&n.kind.place);
        for (port, refs) in &n.inputs {
            let texts: Vec<String> = refs.iter().map(|r| reference(&r.value)).collect();
            match texts.as_slice() {
                [one] => inputs.put(port, string(one)),
                many => inputs.put(port, strings(many)),
            }
        }
        t.put("inputs", inputs.tree().value);
    }
    t
}

/// Whether a parameter may be a relative path, so that the folder that it is meant from matters: a string of a source,
/// or any that looks like one. The loader does not know the kinds.
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

fn phase(p: &PhaseDef) -> Table {
    let mut t = Table::new(&p.place);
    if let Some(streams) = &p.streams {
        t.put("streams", strings(streams.iter().map(|s| &s.value)));
    }
    t.put("split", string(&p.split.value));
    t.opt("epochs", p.epochs.as_ref().map(|n| whole(n.value)));
    t.opt("steps", p.steps.as_ref().map(|n| whole(n.value)));
    t.put("batch", whole(p.batch.value));
    t.opt("micro_batch", p.micro_batch.as_ref().map(|n| whole(n.value)));
    t.opt("seed", p.seed.as_ref().map(|s| TreeValue::Integer(s.value as i64)));
    if !p.dims.is_empty() {
        t.put("dims", sizes(&p.dims, &p.place));
    }
    overrides(&mut t, &p.nodes);
    t.put("losses", losses(&p.losses, &p.place));
    for (name, list) in [("reset", &p.reset), ("frozen", &p.frozen)] {
        if !list.is_empty() {
            t.put(name, strings(list.iter().map(|s| &s.value)));
        }
    }
    t.opt("validate", p.validate.as_ref().map(|v| string(&v.value)));
    t.put("optimizer", optimizer(&p.optimizer, &p.place));
    t
}

fn losses(losses: &IndexMap<String, LossDef>, at: &Place) -> TreeValue {
    let mut t = Table::new(at);
    for (name, loss) in losses {
        let target = reference(&loss.target.value);
        let weight = TreeValue::Float(loss.weight.value);
        if target == *name {
            t.put(name, weight);
        } else {
            let mut long = Table::new(at);
            long.put("of", string(&target));
            long.put("weight", weight);
            t.put(name, long.tree().value);
        }
    }
    t.tree().value
}

fn optimizer(o: &OptimizerDef, at: &Place) -> TreeValue {
    let mut t = Table::new(at);
    t.put("kind", string("sgd"));
    t.put("lr", TreeValue::Float(o.lr));
    t.put("momentum", TreeValue::Float(o.momentum));
    t.put("weight_decay", TreeValue::Float(o.weight_decay));
    if o.nesterov {
        t.put("nesterov", TreeValue::Boolean(true));
    }
    t.opt("clip_norm", o.clip_norm.map(TreeValue::Float));
    if o.warmup_steps > 0 {
        t.put("warmup_steps", whole(o.warmup_steps));
    }
    let mut s = Table::new(at);
    match &o.schedule {
        ScheduleDef::Constant => s.put("kind", string("constant")),
        ScheduleDef::Step { at, gamma } => {
            s.put("kind", string("step"));
            let items = at.iter().map(|n| s.item(whole(*n))).collect();
            s.put("at", TreeValue::Array(items));
            s.put("gamma", TreeValue::Float(*gamma));
        }
        ScheduleDef::Cosine { end } => {
            s.put("kind", string("cosine"));
            s.put("end", TreeValue::Float(*end));
        }
    }
    t.put("schedule", s.tree().value);
    if !o.groups.is_empty() {
        let groups = o.groups.iter().map(|g| group(g, at)).collect();
        t.put("groups", TreeValue::Array(groups));
    }
    t.tree().value
}

fn group(g: &GroupDef, at: &Place) -> Tree {
    let mut t = Table::new(at);
    if !g.nodes.is_empty() {
        t.put("nodes", strings(g.nodes.iter().map(|n| &n.value)));
    }
    if !g.roles.is_empty() {
        let names = super::optim::ROLES
            .iter()
            .filter(|r| g.roles.contains(&r.1))
            .map(|r| r.0);
        t.put("roles", strings(names));
    }
    t.put("lr_scale", TreeValue::Float(g.lr_scale));
    t.opt("weight_decay", g.weight_decay.map(TreeValue::Float));
    t.tree()
}

fn view(v: &ViewDef) -> Table {
    let mut t = Table::new(&v.place);
    if let Some(streams) = &v.streams {
        t.put("streams", strings(streams.iter().map(|s| &s.value)));
    }
    t.put("split", string(&v.split.value));
    t.opt("batch", v.batch.as_ref().map(|n| whole(n.value)));
    if !v.dims.is_empty() {
        t.put("dims", sizes(&v.dims, &v.place));
    }
    overrides(&mut t, &v.nodes);
    t.put("roots", strings(v.roots.iter().map(|r| reference(&r.value))));
    if v.optional {
        t.put("optional", TreeValue::Boolean(true));
    }
    t
}

fn overrides(t: &mut Table, nodes: &IndexMap<String, crate::diag::Spanned<IndexMap<String, Tree>>>) {
    if nodes.is_empty() {
        return;
    }
    let mut all = Table::new(&t.0.place);
    for (node, params) in nodes {
        all.put(node, TreeValue::Table(params.value.clone()));
    }
    t.put("nodes", all.tree().value);
}

fn reference(r: &Ref) -> String {
    let port = if r.port.is_empty() {
        String::new()
    } else {
        format!(".{}", r.port)
    };
    let stream = r.stream.as_ref().map(|s| format!("@{s}")).unwrap_or_default();
    format!("{}{port}{stream}", r.node)
}

fn string(s: &str) -> TreeValue {
    TreeValue::String(s.to_string())
}

fn whole(n: usize) -> TreeValue {
    TreeValue::Integer(n as i64)
}

/// A list of strings; nobody asks for their places.
fn strings<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> TreeValue {
    let at = Files::default().add_text("", "").start();
    let item = |s: S| Tree {
        value: string(s.as_ref()),
        place: at.clone(),
        key: at.clone(),
    };
    TreeValue::Array(items.into_iter().map(item).collect())
}

fn sizes(dims: &IndexMap<String, crate::diag::Spanned<usize>>, at: &Place) -> TreeValue {
    let mut t = Table::new(at);
    for (name, n) in dims {
        t.put(name, whole(n.value));
    }
    t.tree().value
}

/// A table that is being written, all of it at one place.
struct Table(Tree);

impl Table {
    fn new(at: &Place) -> Table {
        Table(Tree::table(at.clone()))
    }

    fn item(&self, value: TreeValue) -> Tree {
        Tree {
            value,
            place: self.0.place.clone(),
            key: self.0.place.clone(),
        }
    }

    fn put(&mut self, name: &str, value: TreeValue) {
        let item = self.item(value);
        self.0.entries_mut().expect("a table").insert(name.to_string(), item);
    }

    fn opt(&mut self, name: &str, value: Option<TreeValue>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn tree(self) -> Tree {
        self.0
    }
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
            ("source.list = { train = \"a.txt\" }\nclasses = \"c.txt\"", "init = \"w.pth\""),
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
