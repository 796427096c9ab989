//! Composite nodes: files of nodes that are used as one node.

use super::builtin;
use super::layers::Reader;
use crate::diag::{FileId, Place, Problem, Spanned, suggest};
use crate::graph::{CompositeKeys, is_node_key};
use crate::keys::Table;
use crate::tree::{Out, Role, Tree};
use indexmap::IndexMap;
use std::path::{Path, PathBuf};

/// A composite file, read and checked by itself.
#[derive(Clone, Debug)]
pub(super) struct CompositeDef {
    /// Names of its inputs: what `in.NAME` stands for.
    pub inputs: Vec<Spanned<String>>,
    /// Its outputs, as references inside.
    pub outputs: IndexMap<String, Spanned<String>>,
    /// Its parameters with their defaults; `{}` is no default: the node has to give the value.
    pub params: IndexMap<String, Tree>,
    pub nodes: IndexMap<String, Tree>,
}

impl CompositeDef {
    /// Reads the file that `from` names.
    pub(super) fn read(reader: &mut Reader, path: &Path, from: &Place) -> Option<CompositeDef> {
        let (_, tree) = reader.file(path, Some(from), Role::Graph)?;
        let mut problems = vec![];
        let mut out = Out(&mut problems);
        let def = parse(&tree, from, &mut out);
        reader.problems.append(&mut problems);
        def
    }

    /// Whether a node's kind is a composite file.
    pub(super) fn is_file(kind: &str) -> bool {
        kind.ends_with(".toml") || builtin::is_named(kind)
    }

    /// The path of the file of `kind`, as written in `file`.
    pub(super) fn path(reader: &Reader, file: FileId, kind: &str) -> PathBuf {
        builtin::resolve(&reader.files.folder(file), kind)
    }

    /// Whether the parameter is required.
    pub(super) fn is_required(default: &Tree) -> bool {
        default.entries().is_some_and(IndexMap::is_empty)
    }
}

fn parse(tree: &Tree, from: &Place, out: &mut Out) -> Option<CompositeDef> {
    let top = tree.entries()?;
    let Some(head) = top.get("composite") else {
        out.push(
            Problem::error("this file is no composite")
                .at(from, "it is used as a kind here")
                .help("a composite has a table `[composite]` with `inputs`, `outputs` and `params`, and `nodes`"),
        );
        return None;
    };
    out.unknown_keys("a composite file", top, &["composite", "nodes"]);
    let head = out.table("composite", head)?;
    out.unknown_keys("`[composite]`", head, &CompositeKeys::names());
    let CompositeKeys {
        inputs,
        outputs,
        params,
    } = CompositeKeys::read("composite.", head, out);
    let params = params.entries;
    if outputs.is_empty()
        && head
            .get("outputs")
            .is_none_or(|t| t.entries().is_some_and(IndexMap::is_empty))
    {
        let p = Problem::error("the composite has no outputs").at(&top["composite"].key, "this one");
        out.push(p.help("write `outputs = { NAME = \"node.port\" }`; the first is what a loss takes"));
    }
    let nodes = top
        .get("nodes")
        .and_then(|t| out.table("nodes", t))
        .cloned()
        .unwrap_or_default();
    for (name, t) in params.iter().filter(|(name, _)| is_node_key(name)) {
        let p = Problem::error(format!("a composite's parameter may not be named `{name}`"));
        out.push(p.at(&t.key, "every node has this key"));
    }
    Some(CompositeDef {
        inputs,
        outputs,
        params,
        nodes,
    })
}

/// The values of a composite's parameters in the node that uses it; unknown and missing ones are reported.
pub(super) fn arguments(
    node: &str,
    def: &CompositeDef,
    given: IndexMap<String, Tree>,
    node_key: &Place,
    out: &mut Out,
) -> IndexMap<String, Option<Tree>> {
    let mut values: IndexMap<String, Option<Tree>> = IndexMap::new();
    for (name, value) in &given {
        if !def.params.contains_key(name) {
            let mut known: Vec<&str> = def.params.keys().map(String::as_str).collect();
            known.extend(["inputs", "only", "train_only", "weights"]);
            let p = Problem::error(format!("unknown parameter `{name}` of `{node}`"))
                .at(&value.key, "the composite has no such parameter")
                .help(suggest(name, "parameters", known));
            out.push(p);
        }
    }
    for (name, default) in &def.params {
        let value = match given.get(name) {
            Some(v) => Some(v.clone()),
            None if CompositeDef::is_required(default) => {
                let p = Problem::error(format!("`{node}` needs a value for `{name}`"))
                    .at(node_key, "it is not given here")
                    .at(&default.key, "this parameter has no default");
                out.push(p.help(format!("write `{name} = …`")));
                None
            }
            None => Some(default.clone()),
        };
        values.insert(name.clone(), value);
    }
    values
}
