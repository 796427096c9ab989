//! Nodes: from their tables to [`NodeDef`]s.

use super::builtin::{home, name_of};
use super::expand::{Flat, references};
use super::refs::{Resolver, Use};
use crate::diag::{Files, Problem, Spanned, suggest};
use crate::graph::{NodeDef, is_node_key};
use crate::tree::Out;
use crate::tree::{Tree, TreeValue};
use indexmap::IndexMap;
use std::path::PathBuf;

/// Parameters that name files. On the command line they are relative to the current folder, as in other programs.
const FILES: [&str; 6] = ["list", "root", "flow_root", "classes", "init", "out"];

/// What the relative paths of a node are resolved against.
#[derive(Clone, Copy)]
enum Base {
    /// A folder.
    Folder,
    /// Its kind is in a built-in file, which has no folder.
    BuiltIn,
}

/// Makes a path absolute where its file decides what it is relative to: paths of the command line, paths in the home
/// folder, and paths that other files give to a node of a built-in one. A list of names (`classes`) is not a path, nor
/// is `init = "random"`; of `init` as a table only `file` is one.
fn settle(files: &Files, base: Base, name: &str, t: &mut Tree) {
    let s = match &mut t.value {
        TreeValue::Table(entries) if name == "init" => {
            if let Some(t) = entries.get_mut("file") {
                settle(files, base, "file", t);
            }
            return;
        }
        TreeValue::Table(entries) => return entries.values_mut().for_each(|t| settle(files, base, name, t)),
        TreeValue::String(s) if name == "init" && s == "random" => return,
        TreeValue::String(s) => s,
        _ => return,
    };
    let expanded = home(s);
    let path = match (files.path(t.place.file), base) {
        _ if expanded.as_os_str() != s.as_str() => Some(expanded),
        (None, _) => Some(expanded),
        (Some(_), Base::Folder) => None,
        (Some(file), Base::BuiltIn) if name_of(file).is_some() => {
            while let Some(rest) = s.strip_prefix("../") {
                *s = rest.to_string();
            }
            None
        }
        (Some(_), Base::BuiltIn) => Some(files.folder(t.place.file).join(expanded)),
    };
    if let Some(Ok(path)) = path.map(std::path::absolute) {
        *s = path.display().to_string();
    }
}

/// The context for reading a node.
pub(super) struct NodeCx<'a, 'b> {
    pub files: &'a Files,
    pub streams: &'a [String],
    pub resolver: &'a mut Resolver<'b>,
}

impl NodeCx<'_, '_> {
    /// The node; its problems are reported.
    pub(super) fn node(&mut self, flat: Flat, out: &mut Out) -> NodeDef {
        let Flat {
            path,
            kind,
            mut table,
            place,
            scope,
            inside,
            mut only,
            train_only,
            weights: _,
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
            Some(f) => self.files.folder(f.place.file).join(home(&f.value)),
            None => self.files.folder(kind.place.file),
        };
        // Lists of generated data are named by their generator.
        let (folder, base) = match name_of(&folder) {
            Some(_) if table.contains_key("generate") => (PathBuf::new(), Base::Folder),
            Some(_) => (PathBuf::new(), Base::BuiltIn),
            None => (folder, Base::Folder),
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
            // What an unconnected input of the composite would have provided is left out.
            if !refs.is_empty() {
                inputs.insert(port, refs);
            }
        }
        let mut per_stream = self.per_stream(&path, &mut table, out);
        for params in std::iter::once(&mut table).chain(per_stream.values_mut()) {
            for name in FILES {
                if let Some(t) = params.get_mut(name) {
                    settle(self.files, base, name, t);
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
            weights: None,
            copy: None,
            bypass: None,
            folder,
            place,
            inside,
        }
    }

    /// Removes the tables of streams from a node's parameters.
    pub(super) fn per_stream(
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

    /// The streams in `only` of the node, and of every composite around it.
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

/// Those that are streams; others are reported.
pub(super) fn known_streams(names: Vec<Spanned<String>>, streams: &[String], out: &mut Out) -> Vec<Spanned<String>> {
    let (known, unknown): (Vec<_>, Vec<_>) = names.into_iter().partition(|n| streams.contains(&n.value));
    for n in unknown {
        let p = Problem::error(format!("unknown stream `{}`", n.value)).at(&n.place, "no such stream");
        out.push(p.help(suggest(&n.value, "streams", streams.iter().map(String::as_str))));
    }
    known
}
