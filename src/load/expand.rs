//! From the nodes of the files to nodes without composites.

use super::composite::{CompositeDef, arguments};
use super::layers::Reader;
use super::params::Params;
use crate::diag::{Place, Problem, Spanned, suggest};
use crate::graph::{Ema, Inputs, WeightsKeys, is_node_key};
use crate::keys::{Rules, Value};
use crate::tree::{Out, is_name};
use crate::tree::{Tree, TreeValue};
use indexmap::IndexMap;
use std::path::PathBuf;

/// A node that is not a composite, with its parameters resolved and its references not yet.
#[derive(Clone, Debug)]
pub(super) struct Flat {
    pub path: String,
    pub kind: Spanned<String>,
    /// Everything that was written in it, `kind` left out.
    pub table: IndexMap<String, Tree>,
    /// Where it was written.
    pub place: Place,
    /// Index of the scope that its references are resolved in.
    pub scope: usize,
    /// The composites around it, outermost first.
    pub inside: Vec<Spanned<String>>,
    /// `only` of the composites around it, innermost last.
    pub only: Vec<Tree>,
    /// Whether a composite around it is `train_only`.
    pub train_only: bool,
    /// The node whose weights it uses or copies.
    pub weights: Option<Tie>,
}

/// A reference to a node's weights.
#[derive(Clone, Debug)]
pub(super) struct Tie {
    /// The path of that node, as far as it is known: it may use another's weights itself, or not exist.
    pub owner: String,
    /// The composites around both nodes where their `weights` says so, and the one that says it: `(tied, owner)`.
    pub by: Option<(String, String)>,
    /// Of a copy: how much of it stays.
    pub ema: Option<Ema>,
    /// Where it was written.
    pub place: Place,
}

impl Tie {
    /// Of the node `path`, where a composite around it uses the weights of another.
    fn inside(&self, path: &str) -> Option<Tie> {
        let (from, to) = self.by.as_ref()?;
        Some(Tie {
            owner: format!("{to}{}", path.strip_prefix(from)?),
            ..self.clone()
        })
    }
}

/// What a name in a scope refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Node,
    Composite(usize),
}

/// The names that references may use: of the graph, or of one composite.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// The prefix of its names in paths: empty, or `tol.`.
    pub prefix: String,
    pub names: IndexMap<String, Member>,
    pub composite: Option<Instance>,
}

/// A node that is a composite.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// Index of the scope that it is in.
    pub parent: usize,
    /// Its path, and where it was written.
    pub node: Spanned<String>,
    /// Inputs that the composite has.
    pub declared: Vec<Spanned<String>>,
    /// References in the parent's scope.
    pub inputs: IndexMap<String, Vec<Spanned<String>>>,
    pub outputs: IndexMap<String, Spanned<String>>,
}

/// All nodes and scopes; scope 0 is the graph's.
#[derive(Default)]
pub(super) struct Expansion {
    pub nodes: Vec<Flat>,
    pub scopes: Vec<Scope>,
    /// Composite nodes with their tables, `$` replaced: what a phase may change.
    pub composites: IndexMap<String, (Tree, usize)>,
}

/// Expands composites; reads their files.
pub(super) struct Expander<'a> {
    pub reader: &'a mut Reader,
    pub streams: &'a [String],
    pub out: Expansion,
    defs: IndexMap<PathBuf, Option<CompositeDef>>,
    open: Vec<(PathBuf, Spanned<String>)>,
    /// Whether there are more nodes than a graph may have, which was reported.
    pub full: bool,
    /// The limit on nodes and scopes.
    pub most: usize,
}

/// The limits on nodes of a graph, composites included, and on the nesting of composites: several times what any method
/// needs, and few enough to be checked in seconds.
const MOST_NODES: usize = 2000;
const DEEPEST: usize = 16;

/// Settings of the composites around a node that apply to it.
#[derive(Clone, Default)]
pub(super) struct Around {
    pub scope: usize,
    pub inside: Vec<Spanned<String>>,
    pub only: Vec<Tree>,
    pub train_only: bool,
    pub weights: Option<Tie>,
}

impl<'a> Expander<'a> {
    pub(super) fn new(reader: &'a mut Reader, streams: &'a [String]) -> Self {
        let out = Expansion {
            scopes: vec![Scope::default()],
            ..Expansion::default()
        };
        Expander {
            reader,
            streams,
            out,
            defs: IndexMap::new(),
            open: vec![],
            full: false,
            most: MOST_NODES,
        }
    }

    pub(super) fn say(&mut self, p: Problem) {
        self.reader.problems.push(p);
    }

    /// The graph's nodes.
    pub(super) fn graph(&mut self, nodes: &IndexMap<String, Tree>, params: &mut Params) {
        self.scope(nodes, params, &Around::default());
    }

    fn scope(&mut self, nodes: &IndexMap<String, Tree>, params: &mut Params, around: &Around) {
        for (name, table) in nodes {
            if self.full {
                return;
            }
            let mut table = table.clone();
            if let Some(p) = as_owner(name, &mut table, nodes) {
                self.out.scopes[around.scope].names.insert(name.clone(), Member::Node);
                self.say(p);
                continue;
            }
            params.substitute(&mut table, &mut Out(&mut self.reader.problems));
            // In an effective graph names contain dots.
            if !name.split('.').all(is_name) || name == "in" {
                let p = Problem::error(format!("`{name}` cannot be a node's name")).at(&table.key, "here");
                self.say(p.help("letters, digits and `_`; not `in`, which is what comes into a composite"));
            }
            self.node(name, table, params, around);
        }
    }

    /// Adds one node, or the nodes in it.
    pub(super) fn node(&mut self, name: &str, table: Tree, params: &Params, around: &Around) {
        if self.full {
            return;
        }
        if self.out.nodes.len() + self.out.scopes.len() > self.most {
            self.full = true;
            let p = Problem::error(format!("a graph may have {MOST_NODES} nodes, and this one has more"));
            let p = p.at(&table.key, "this one is one too many");
            return self.say(match around.inside.first() {
                Some(outer) => p.at(&outer.place, format!("inside `{}`", outer.value)),
                None => p,
            });
        }
        let path = format!("{}{name}", self.out.scopes[around.scope].prefix);
        let (place, key) = (table.place.clone(), table.key.clone());
        let mut out = Out(&mut self.reader.problems);
        let member = |e: &mut Expansion, m| e.scopes[around.scope].names.insert(name.to_string(), m);
        let whole = table.clone();
        let TreeValue::Table(mut entries) = table.value else {
            out.mistyped(&format!("nodes.{path}"), &table, "a table");
            member(&mut self.out, Member::Node);
            return;
        };
        let kind = match entries.shift_remove("kind") {
            Some(t) => out.string(&format!("nodes.{path}.kind"), &t).map(|k| (k, t)),
            None => {
                let p = Problem::error(format!("node `{path}` has no kind")).at(&key, "a node needs `kind = …`");
                out.push(p.help("`glad-run nodes` lists the kinds"));
                None
            }
        };
        let Some((kind, _)) = kind else {
            member(&mut self.out, Member::Node);
            return;
        };
        let mut out = Out(&mut self.reader.problems);
        let tie = entries
            .shift_remove("weights")
            .and_then(|t| WeightsKeys::read(&format!("nodes.{path}.weights"), &t, &Rules::NONE, &mut out));
        let tie = tie.map(|t| Tie {
            owner: format!("{}{}", self.out.scopes[around.scope].prefix, t.of.value),
            by: None,
            ema: t.ema,
            place: t.of.place,
        });
        if CompositeDef::is_file(&kind.value) {
            let at = self.out.scopes.len();
            member(&mut self.out, Member::Composite(at));
            self.out.composites.insert(path.clone(), (whole, around.scope));
            let node = Spanned::new(path, key);
            let mut around = around.clone();
            around.weights = match tie {
                Some(tie) => Some(Tie {
                    by: Some((node.value.clone(), tie.owner.clone())),
                    ..tie
                }),
                None => around.weights,
            };
            self.composite(node, kind, entries, params, &around);
        } else {
            member(&mut self.out, Member::Node);
            let around_it = around.weights.as_ref().and_then(|t| t.inside(&path));
            self.out.nodes.push(Flat {
                weights: tie.or(around_it),
                path,
                kind,
                table: entries,
                place,
                scope: around.scope,
                inside: around.inside.clone(),
                only: around.only.clone(),
                train_only: around.train_only,
            });
        }
    }

    /// Expands a composite node into a scope of its own, which is always added, so that references to it resolve.
    fn composite(
        &mut self,
        node: Spanned<String>,
        kind: Spanned<String>,
        mut entries: IndexMap<String, Tree>,
        params: &Params,
        around: &Around,
    ) {
        let at = self.out.scopes.len();
        let instance = Instance {
            parent: around.scope,
            node: node.clone(),
            declared: vec![],
            inputs: IndexMap::new(),
            outputs: IndexMap::new(),
        };
        let scope = Scope {
            prefix: format!("{}.", node.value),
            names: IndexMap::new(),
            composite: Some(instance),
        };
        self.out.scopes.push(scope);
        let path = CompositeDef::path(self.reader, kind.place.file, &kind.value);
        if let Some(i) = self.open.iter().position(|o| o.0 == path) {
            let mut names: Vec<&str> = self.open[i..].iter().map(|o| o.1.value.as_str()).collect();
            names.push(&kind.value);
            let mut p = Problem::error(format!("composites contain each other: {}", names.join(" → ")))
                .at(&kind.place, "this is inside itself");
            for (_, k) in &self.open[i..] {
                p = p.at(&k.place, format!("{} is used here", k.value));
            }
            return self.say(p);
        }
        if self.open.len() >= DEEPEST {
            // One message, whatever else is wrong in there.
            self.full = true;
            let p = Problem::error(format!("composites are more than {DEEPEST} deep inside one another"));
            let p = p.at(&kind.place, "this one is one too many");
            return self.say(match around.inside.first() {
                Some(outer) => p.at(&outer.place, format!("inside `{}`", outer.value)),
                None => p,
            });
        }
        let Some(def) = self.def(&path, &kind) else { return };
        let mut out = Out(&mut self.reader.problems);
        let inputs = entries.shift_remove("inputs");
        let mut around = around.clone();
        around.scope = at;
        around.inside.push(node.clone());
        around.only.extend(entries.shift_remove("only"));
        if let Some(t) = entries.shift_remove("train_only") {
            around.train_only |= out
                .boolean(&format!("nodes.{}.train_only", node.value), &t)
                .unwrap_or(false);
        }
        for stream in self.streams {
            if let Some(t) = entries.shift_remove(stream) {
                let p = Problem::error("a composite has the same parameters in every stream")
                    .at(&t.key, format!("`{stream}` is a stream"));
                out.push(p.help("a parameter of a node inside may differ: write it in the composite's file"));
            }
            if let Some(t) = def.params.get(stream) {
                let p = Problem::error(format!("`{stream}` is a stream, and no name for a parameter"));
                out.push(p.at(&t.key, "rename this one"));
            }
        }
        for (port, t) in inputs.iter().filter_map(Tree::entries).flatten() {
            if !def.inputs.iter().any(|d| d.value == *port) {
                let known = def.inputs.iter().map(|d| d.value.as_str());
                let p = Problem::error(format!("`{}` has no input `{port}`", node.value))
                    .at(&t.key, "the composite has no such input")
                    .help(suggest(port, "inputs", known));
                out.push(p);
            }
        }
        let inputs = inputs.map_or(IndexMap::new(), |t| references(&node.value, &t, &mut out));
        let values = arguments(&node.value, &def, entries, &node.place, &mut out);
        let instance = self.out.scopes[at].composite.as_mut().expect("made above");
        instance.declared = def.inputs.clone();
        instance.inputs = inputs;
        instance.outputs = def.outputs.clone();
        let before = out.0.len();
        let mut inner = params.of_composite(values, &mut out);
        let sound = out.0.len() == before;
        self.open.push((path, kind));
        self.scope(&def.nodes, &mut inner, &around);
        self.open.pop();
        // A value that could not be found may be what would use another.
        for (name, _) in inner.unused().filter(|_| sound) {
            let at = &def.params[name].key;
            let p = Problem::error(format!("nothing in the composite uses its parameter `{name}`"));
            self.say(p.at(at, "no `$` names it"));
        }
    }

    fn def(&mut self, path: &PathBuf, kind: &Spanned<String>) -> Option<CompositeDef> {
        if !self.defs.contains_key(path) {
            let def = CompositeDef::read(self.reader, path, &kind.place);
            self.defs.insert(path.clone(), def);
        }
        self.defs[path].clone()
    }
}

/// A node that uses or copies the weights of another beside it, and names no kind, is as that one: of its kind, with the
/// parameters that it does not give itself. What belongs to the other alone stays there: its inputs and streams, and what its
/// weights start from. Gives what is wrong where there is no such other.
fn as_owner(name: &str, table: &mut Tree, nodes: &IndexMap<String, Tree>) -> Option<Problem> {
    let owner = |t: &Tree| -> Option<Tree> {
        let weights = t.get("weights").filter(|_| t.get("kind").is_none())?;
        let of = weights.get("of").unwrap_or(weights);
        of.text().map(|_| of.clone())
    };
    // A chain of such nodes may run into a circle.
    let (mut next, mut left) = (owner(table), nodes.len());
    while let Some(of) = next.filter(|_| left > 0) {
        left -= 1;
        let text = of.text().unwrap_or_default();
        let Some(at) = nodes.get(text) else {
            let others = nodes.keys().map(String::as_str).filter(|n| *n != name);
            let p = Problem::error(format!("`{name}` has no kind, and nothing to take one from"))
                .at(&of.place, "no node of this name is beside it");
            return Some(p.help(suggest(text, "nodes", others)));
        };
        for (key, value) in at.entries().into_iter().flatten() {
            let taken = key == "kind" || key == "folder" || !is_node_key(key) && key != "init";
            if let Some(own) = table.entries_mut().filter(|own| taken && !own.contains_key(key)) {
                own.insert(key.clone(), value.clone());
            }
        }
        next = owner(at);
    }
    None
}

/// The references of `inputs`, by port.
pub(super) fn references(node: &str, inputs: &Tree, out: &mut Out) -> IndexMap<String, Vec<Spanned<String>>> {
    let at = format!("nodes.{node}.inputs");
    Inputs::read(&at, inputs, &Rules::NONE, out).unwrap_or_default().0
}
