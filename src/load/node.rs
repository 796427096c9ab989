//! Nodes: from their tables to [`NodeDef`]s.

use super::expand::{Flat, references};
use super::refs::{Resolver, Use};
use crate::diag::{Files, Problem, Spanned, suggest};
use crate::graph::{NodeDef, is_node_key};
use crate::tree::Out;
use crate::tree::{Tree, TreeValue};
use indexmap::IndexMap;

/// Parameters that name files. Where they are given on the command line, they are meant from the current folder, as
/// other programs take them.
const FILES: [&str; 4] = ["list", "root", "classes", "init"];

/// Makes paths absolute that begin with `~/`, the home folder, and relative ones that the command line gave. A list of names (`classes`) is none, nor is `init = "random"`,
/// and of the table that `init` may be only `file` is one.
fn from_here(files: &Files, name: &str, t: &mut Tree) {
    match &mut t.value {
        TreeValue::Table(entries) if name == "init" => {
            if let Some(t) = entries.get_mut("file") {
                from_here(files, "file", t);
            }
        }
        TreeValue::String(s) if name == "init" && s == "random" => {}
        TreeValue::Table(entries) => entries.values_mut().for_each(|t| from_here(files, name, t)),
        TreeValue::String(s) if s.starts_with("~/") => {
            if let Some(home) = std::env::home_dir().filter(|h| !h.as_os_str().is_empty()) {
                *s = home.join(&s[2..]).display().to_string();
            }
        }
        TreeValue::String(s) if files.path(t.place.file).is_none() => {
            if let Ok(path) = std::path::absolute(&*s) {
                *s = path.display().to_string();
            }
        }
        _ => {}
    }
}

/// What reading a node needs to know.
pub(super) struct NodeCx<'a, 'b> {
    pub files: &'a Files,
    pub streams: &'a [String],
    pub resolver: &'a mut Resolver<'b>,
}

impl NodeCx<'_, '_> {
    /// The node, with what is wrong told.
    pub fn node(&mut self, flat: Flat, out: &mut Out) -> NodeDef {
        let Flat {
            path,
            kind,
            mut table,
            place,
            scope,
            inside,
            mut only,
            train_only,
        } = flat;
        let name = |key: &str| format!("nodes.{path}.{key}");
        only.extend(table.shift_remove("only"));
        let only = self.only(&name("only"), &only, out);
        let own = table
            .shift_remove("train_only")
            .and_then(|t| out.boolean(&name("train_only"), &t));
        let folder = match table
            .shift_remove("folder")
            .and_then(|t| out.string(&name("folder"), &t))
        {
            Some(f) => self.files.folder(f.place.file).join(f.value),
            None => self.files.folder(kind.place.file),
        };
        let raw = table
            .shift_remove("inputs")
            .map_or(IndexMap::new(), |t| references(&path, &t, out));
        let mut inputs = IndexMap::new();
        for (port, texts) in raw {
            let refs: Vec<_> = texts
                .iter()
                .flat_map(|t| self.resolver.resolve(scope, t, Use::Value))
                .collect();
            // What an unconnected input of the composite would have brought is left out.
            if !refs.is_empty() {
                inputs.insert(port, refs);
            }
        }
        let mut per_stream = self.per_stream(&path, &mut table, out);
        for params in std::iter::once(&mut table).chain(per_stream.values_mut()) {
            for name in FILES {
                if let Some(t) = params.get_mut(name) {
                    from_here(self.files, name, t);
                }
            }
        }
        NodeDef {
            path: path.clone(),
            kind,
            params: table,
            per_stream,
            inputs,
            only,
            train_only: train_only || own.unwrap_or(false),
            bypass: None,
            folder,
            place,
            inside,
        }
    }

    /// Takes the tables of streams out of a node's parameters.
    pub fn per_stream(
        &self,
        path: &str,
        table: &mut IndexMap<String, Tree>,
        out: &mut Out,
    ) -> IndexMap<String, IndexMap<String, Tree>> {
        let mut per_stream = IndexMap::new();
        for stream in self.streams {
            let Some(t) = table.shift_remove(stream) else { continue };
            match t.entries() {
                Some(entries) => {
                    for key in entries.keys().filter(|k| is_node_key(k)) {
                        let p = Problem::error(format!("`{key}` cannot differ from stream to stream"));
                        out.push(p.at(&entries[key].key, format!("inside `nodes.{path}.{stream}`")));
                    }
                    let entries = entries.iter().filter(|(k, _)| !is_node_key(k));
                    per_stream.insert(stream.clone(), entries.map(|(k, v)| (k.clone(), v.clone())).collect());
                }
                None => {
                    let p = Problem::error(format!("`nodes.{path}.{stream}`: expected a table, found {}", t.what()))
                        .at(&t.key, format!("`{stream}` is a stream"))
                        .help(format!(
                            "parameters of stream `{stream}` are written `{stream}.NAME = …`"
                        ));
                    out.push(p);
                }
            }
        }
        per_stream
    }

    /// Streams that `only` of the node, and of every composite around it, name.
    fn only(&self, name: &str, lists: &[Tree], out: &mut Out) -> Option<Vec<Spanned<String>>> {
        let mut all: Option<Vec<Spanned<String>>> = None;
        for list in lists {
            let Some(names) = out.names(name, list) else { continue };
            let names = known_streams(names, self.streams, out);
            all = Some(match all {
                None => names,
                Some(before) => before
                    .into_iter()
                    .filter(|b| names.iter().any(|n| n.value == b.value))
                    .collect(),
            });
        }
        all
    }
}

/// Those that are streams; others are told.
pub(super) fn known_streams(names: Vec<Spanned<String>>, streams: &[String], out: &mut Out) -> Vec<Spanned<String>> {
    let (known, unknown): (Vec<_>, Vec<_>) = names.into_iter().partition(|n| streams.contains(&n.value));
    for n in unknown {
        let p = Problem::error(format!("unknown stream `{}`", n.value)).at(&n.place, "no such stream");
        out.push(p.help(suggest(&n.value, "streams", streams.iter().map(String::as_str))));
    }
    known
}
