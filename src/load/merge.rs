//! Merges one layer with those below: plain tables add, `set` and `replace` change.

use super::layers::Layer;
use crate::diag::{Place, Problem, did_you_mean, suggest};
use crate::tree::{Change, History, Role};
use crate::tree::{Tree, TreeValue, dotted};
use indexmap::IndexMap;

/// The layers so far.
pub(super) struct Merger<'a> {
    pub problems: &'a mut Vec<Problem>,
    pub tree: Tree,
    pub history: History,
}

/// The sections whose entries `replace` replaces as a whole.
const REPLACEABLE: [&str; 3] = ["nodes", "phases", "views"];

impl Merger<'_> {
    /// Merges `layer` on top. Verbs see what is below and plain tables come after them, so that a file may drop a node
    /// and write it anew; `bypass` comes last and may name the file's own nodes.
    pub(super) fn lay(&mut self, layer: Layer) {
        self.history.layers.push((layer.file, layer.role));
        let TreeValue::Table(mut plain) = layer.tree.value else {
            return;
        };
        let mut verb = |name: &str| plain.shift_remove(name);
        let (drop, replace, set) = (verb("drop"), verb("replace"), verb("set"));
        let (remove, append, bypass) = (verb("remove"), verb("append"), verb("bypass"));
        if let Some(t) = drop {
            self.drop(t);
        }
        if let Some(t) = replace {
            self.replace(t);
        }
        let mut root = std::mem::replace(&mut self.tree, Tree::table(layer.tree.place.clone()));
        if let Some(t) = set.and_then(|t| self.verb_table("set", t)) {
            self.set(&mut root, t, &mut vec![], layer.role == Role::Set);
        }
        if let Some(t) = remove.and_then(|t| self.verb_table("remove", t)) {
            self.patch(&mut root, t, &mut vec![], false);
        }
        if let Some(t) = append.and_then(|t| self.verb_table("append", t)) {
            self.patch(&mut root, t, &mut vec![], true);
        }
        self.add(&mut root, plain, &mut vec![]);
        self.tree = root;
        if let Some(t) = bypass {
            self.bypass(t);
        }
    }

    fn verb_table(&mut self, verb: &str, t: Tree) -> Option<IndexMap<String, Tree>> {
        match t.value {
            TreeValue::Table(entries) => Some(entries),
            _ => {
                let p = Problem::error(format!("`{verb}` is a table")).at(&t.place, format!("this is {}", t.what()));
                self.problems
                    .push(p.help(format!("such as `{verb}.nodes.tol.hidden = …`")));
                None
            }
        }
    }

    /// Adds what does not exist yet.
    fn add(&mut self, base: &mut Tree, over: IndexMap<String, Tree>, path: &mut Vec<String>) {
        let entries = base.entries_mut().expect("only called for tables");
        for (key, mut value) in over {
            path.push(key.clone());
            match entries.get_mut(&key) {
                None => {
                    entries.insert(key, value);
                }
                Some(old) => match (old.entries(), value.entries_mut()) {
                    (Some(o), Some(new)) => {
                        let twice = path.len() == 2 && path[0] == "nodes" && o.contains_key("kind");
                        if twice && let Some(kind) = new.get("kind") {
                            let p = self.node_twice(&path[1], kind, &o["kind"]);
                            self.problems.push(p);
                        } else {
                            let new = std::mem::take(new);
                            self.add(old, new, path);
                        }
                    }
                    _ => {
                        let p = self.conflict(path, &value, old);
                        self.problems.push(p);
                    }
                },
            }
            path.pop();
        }
    }

    fn node_twice(&self, name: &str, new: &Tree, old: &Tree) -> Problem {
        Problem::error(format!("there is a node `{name}` already"))
            .at(&new.place, "written again here")
            .at(&old.place, format!("`{name}` was written here"))
            .help(format!(
                "to put another in its place, write `[replace.nodes.{name}]`; to change a parameter, `[set.nodes.{name}]`"
            ))
    }

    fn conflict(&self, path: &[String], new: &Tree, old: &Tree) -> Problem {
        let name = dotted(path.iter().map(String::as_str));
        let set = match new.entries() {
            Some(_) => format!("[set.{name}]"),
            None => format!("set.{name} = {new}"),
        };
        let list = match (old.items(), new.items()) {
            (Some(_), Some(_)) => format!("; to add to the list, `append.{name} = {new}`"),
            _ => String::new(),
        };
        Problem::error(format!("`{name}` is already set"))
            .at(&new.key, "set again here")
            .at(&old.key, "set here")
            .help(format!("a plain key only adds; to change it, write `{set}`{list}"))
    }

    /// Changes what exists. The command line may also add a parameter that no file writes.
    fn set(&mut self, base: &mut Tree, over: IndexMap<String, Tree>, path: &mut Vec<String>, command_line: bool) {
        for (key, mut value) in over {
            path.push(key.clone());
            let entries = match base.entries_mut() {
                Some(e) => e,
                None => {
                    // `--set` of something inside a value that is not a table.
                    let name = dotted(path[..path.len() - 1].iter().map(String::as_str));
                    let p = Problem::error(format!("`{name}` is {}, not a table", base.what()))
                        .at(&value.key, "so there is nothing inside it to set")
                        .at(&base.place, "it was written here");
                    self.problems.push(p);
                    path.pop();
                    continue;
                }
            };
            match entries.get_mut(&key) {
                Some(old) => match (old.entries().is_some(), value.entries_mut()) {
                    (true, Some(new)) => {
                        let new = std::mem::take(new);
                        self.set(old, new, path, command_line);
                    }
                    _ => {
                        let by = value.place.clone();
                        let old = std::mem::replace(old, value);
                        self.note("set", path, by, Some(old));
                    }
                },
                None if command_line && may_add(path) => {
                    entries.insert(key, value);
                }
                None => {
                    let p = self.nothing_to_set(entries, &value, path, command_line);
                    self.problems.push(p);
                }
            }
            path.pop();
        }
    }

    fn nothing_to_set(
        &self,
        siblings: &IndexMap<String, Tree>,
        value: &Tree,
        path: &[String],
        command_line: bool,
    ) -> Problem {
        let name = dotted(path.iter().map(String::as_str));
        let key = path.last().expect("never empty");
        let p = Problem::error(format!("`set` finds no `{name}` to change")).at(&value.key, "no layer below writes it");
        let p = self.was_dropped(p, path);
        let near = did_you_mean(key, siblings.keys().map(String::as_str));
        // A node has parameters that no layer writes; only its kind knows them.
        let parameter = path.len() > 2 && path[0] == "nodes" && !command_line;
        let help = match near {
            Some(h) if parameter => format!("{h} To add a parameter, write it without `set`: `{name} = {value}`"),
            Some(h) => h,
            None if command_line => suggest(key, &container(path), siblings.keys().map(String::as_str)),
            None => format!("to add it, write it without `set`: `{name} = {value}`"),
        };
        p.help(help)
    }

    /// Replaces whole nodes, phases and views.
    fn replace(&mut self, t: Tree) {
        let Some(sections) = self.verb_table("replace", t) else {
            return;
        };
        for (section, table) in sections {
            if !REPLACEABLE.contains(&section.as_str()) {
                let p = Problem::error(format!(
                    "`replace` works on nodes, phases and views, not on `{section}`"
                ))
                .at(&table.key, "here")
                .help(did_you_mean(&section, REPLACEABLE).unwrap_or_else(|| {
                    format!("`set.{section}…` changes a value; `drop` and then a plain table puts anything anew")
                }));
                self.problems.push(p);
                continue;
            }
            let what = table.what();
            let TreeValue::Table(items) = table.value else {
                let p = Problem::error(format!("`replace.{section}` is a table of {section}"));
                self.problems.push(p.at(&table.place, format!("this is {what}")));
                continue;
            };
            for (name, new) in items {
                let path = [section.clone(), name.clone()];
                let below = self.tree.at_mut([section.as_str()]).and_then(Tree::entries_mut);
                if let Some(old) = below.and_then(|s| s.get_mut(&name)) {
                    let by = new.key.clone();
                    let old = std::mem::replace(old, new);
                    self.note("replace", &path, by, Some(old));
                    continue;
                }
                let known = self.tree.get(&section).and_then(Tree::entries);
                let known = known.into_iter().flat_map(|s| s.keys().map(String::as_str));
                let p = Problem::error(format!("`replace` finds no `{section}.{name}`"))
                    .at(&new.key, "no layer below writes it")
                    .help(suggest(&name, &section, known));
                let p = self.was_dropped(p, &path);
                self.problems.push(p);
            }
        }
    }

    /// Records a change for `explain`.
    pub(super) fn note(&mut self, verb: &'static str, path: &[String], by: Place, old: Option<Tree>) {
        self.history
            .push(&dotted(path.iter().map(String::as_str)), Change { verb, by, old });
    }

    /// Adds where the value at `path`, or the table around it, was dropped.
    pub(super) fn was_dropped(&self, p: Problem, path: &[String]) -> Problem {
        for n in (1..=path.len()).rev() {
            let name = dotted(path[..n].iter().map(String::as_str));
            if let Some(c) = self.history.of(&name).iter().rev().find(|c| c.verb == "drop") {
                return p.at(&c.by, format!("`{name}` was dropped here"));
            }
        }
        p
    }
}

/// Whether `--set` may add a key at `path`: inside a node, phase or view, and at the top level; never a new node,
/// phase, parameter or dimension.
fn may_add(path: &[String]) -> bool {
    let sections = ["nodes", "phases", "views", "params", "dims"];
    match path {
        [top] => !sections.contains(&top.as_str()),
        [section, _] => !sections.contains(&section.as_str()),
        _ => true,
    }
}

/// What the siblings of the last key of `path` are called.
fn container(path: &[String]) -> String {
    match path {
        [_] | [] => "keys".into(),
        [section, _] => section.clone(),
        _ => format!(
            "keys of `{}`",
            dotted(path[..path.len() - 1].iter().map(String::as_str))
        ),
    }
}
