//! The verbs on names and lists: `drop`, `bypass`, `append`, `remove`.

use super::merge::Merger;
use super::set_arg::key_path;
use crate::diag::{Place, Problem, did_you_mean, suggest};
use crate::tree::{Tree, TreeValue, dotted};
use indexmap::IndexMap;

impl Merger<'_> {
    /// Drops nodes, with every loss term and root that names them; loss terms; anything by its path.
    pub(super) fn drop(&mut self, t: Tree) {
        for item in self.names("drop", &t) {
            let (name, place) = (item.0.as_str(), item.1);
            let node = name.strip_prefix("nodes.").unwrap_or(name);
            if self.drop_node(node, &place) || self.drop_losses(name, &place) || self.drop_path(name, &place) {
                continue;
            }
            let known = self.droppable();
            let p = Problem::error(format!("`drop` finds no `{name}`"))
                .at(&place, "no node, loss, phase or view has this name")
                .help(did_you_mean(name, known.iter().map(String::as_str)).unwrap_or_else(|| {
                    "it takes names of nodes and losses, or paths such as \"phases.warmup\"; `explain` shows all".into()
                }));
            let path = ["nodes".to_string(), name.to_string()];
            let p = self.was_dropped(p, &path);
            self.problems.push(p);
        }
    }

    fn droppable(&self) -> Vec<String> {
        let mut known = vec![];
        for section in ["nodes", "phases", "views"] {
            for name in self
                .tree
                .get(section)
                .and_then(Tree::entries)
                .into_iter()
                .flat_map(|t| t.keys())
            {
                known.push(if section == "nodes" {
                    name.clone()
                } else {
                    format!("{section}.{name}")
                });
            }
        }
        for phase in self
            .tree
            .get("phases")
            .and_then(Tree::entries)
            .into_iter()
            .flat_map(|t| t.values())
        {
            let rounds = phase.get("rounds").and_then(Tree::entries).into_iter();
            let holders = rounds.flat_map(|t| t.values()).chain([phase]);
            let losses = holders.filter_map(|t| t.get("losses").and_then(Tree::entries));
            known.extend(losses.flat_map(|t| t.keys().cloned()));
        }
        known
    }

    fn drop_node(&mut self, name: &str, by: &Place) -> bool {
        let Some(nodes) = self.tree.at_mut(["nodes"]).and_then(Tree::entries_mut) else {
            return false;
        };
        // In an effective graph, a composite has become the nodes `name.…`.
        let keys: Vec<String> = nodes.keys().filter(|k| is_or_in(k, name)).cloned().collect();
        let gone: Vec<(String, Option<Tree>)> = keys.into_iter().map(|k| (k.clone(), nodes.shift_remove(&k))).collect();
        let found = !gone.is_empty();
        for (key, old) in gone {
            self.note("drop", &["nodes".into(), key], by.clone(), old);
        }
        if found {
            self.forget(name, by);
        }
        found
    }

    /// Removes a dropped node from everything but other nodes' inputs.
    fn forget(&mut self, name: &str, by: &Place) {
        let mut removed: Vec<(Vec<String>, Tree)> = vec![];
        for section in ["phases", "views"] {
            let Some(all) = self.tree.at_mut([section]).and_then(Tree::entries_mut) else {
                continue;
            };
            for (phase, table) in all {
                let path = |rest: &[&str]| -> Vec<String> {
                    [section, phase].iter().chain(rest).map(|s| s.to_string()).collect()
                };
                let Some(table) = table.entries_mut() else { continue };
                for (at, losses) in objectives(table) {
                    losses.retain(|k, v| {
                        let target = v.get("of").and_then(Tree::text).unwrap_or(k);
                        let keep = !names_node(target, name);
                        if !keep {
                            let at: Vec<&str> = at.iter().map(String::as_str).chain([k.as_str()]).collect();
                            removed.push((path(&at), v.clone()));
                        }
                        keep
                    });
                }
                if let Some(nodes) = table.get_mut("nodes").and_then(Tree::entries_mut) {
                    nodes.retain(|k, v| {
                        let keep = !is_or_in(k, name);
                        if !keep {
                            removed.push((path(&["nodes", k]), v.clone()));
                        }
                        keep
                    });
                }
                for list in ["reset", "frozen", "roots"] {
                    if let Some(TreeValue::Array(items)) = table.get_mut(list).map(|t| &mut t.value) {
                        items.retain(|i| !i.text().is_some_and(|t| names_node(t, name)));
                    }
                }
                let rounds = table.get_mut("rounds").and_then(Tree::entries_mut);
                for round in rounds.into_iter().flat_map(IndexMap::values_mut) {
                    if let Some(TreeValue::Array(items)) = round.at_mut(["train"]).map(|t| &mut t.value) {
                        items.retain(|i| !i.text().is_some_and(|t| names_node(t, name)));
                    }
                }
                forget_groups(table, name);
            }
        }
        for (path, old) in removed {
            self.note("drop", &path, by.clone(), Some(old));
        }
    }

    /// Drops the loss terms of this name from all phases and their rounds.
    fn drop_losses(&mut self, name: &str, by: &Place) -> bool {
        let mut removed = vec![];
        if let Some(phases) = self.tree.at_mut(["phases"]).and_then(Tree::entries_mut) {
            for (phase, table) in phases {
                let Some(table) = table.entries_mut() else { continue };
                for (at, losses) in objectives(table) {
                    if let Some(old) = losses.shift_remove(name) {
                        let head = ["phases".to_owned(), phase.clone()];
                        let path: Vec<String> = head.into_iter().chain(at).chain([name.to_owned()]).collect();
                        removed.push((path, old));
                    }
                }
            }
        }
        let found = !removed.is_empty();
        for (path, old) in removed {
            self.note("drop", &path, by.clone(), Some(old));
        }
        found
    }

    /// Drops whatever is at a dotted path, such as `expect`; a phase or view is also removed from `run`.
    fn drop_path(&mut self, name: &str, by: &Place) -> bool {
        let Some(path) = key_path(name) else {
            return false;
        };
        let (last, parents) = path.split_last().expect("one or more");
        let parent = self
            .tree
            .at_mut(parents.iter().map(String::as_str))
            .and_then(Tree::entries_mut);
        let Some(old) = parent.and_then(|t| t.shift_remove(last)) else {
            return false;
        };
        if let ([section], Some(TreeValue::Array(run))) = (parents, self.tree.at_mut(["run"]).map(|t| &mut t.value))
            && (section == "phases" || section == "views")
        {
            run.retain(|i| i.text() != Some(last));
        }
        self.note("drop", &path, by.clone(), Some(old));
        true
    }

    /// Marks nodes as bypassed; the loader checks the names once composites are expanded.
    pub(super) fn bypass(&mut self, t: Tree) {
        let names = self.names("bypass", &t);
        let root = self.tree.entries_mut().expect("the root is a table");
        let list = root.entry("bypass".into()).or_insert_with(|| Tree {
            value: TreeValue::Array(vec![]),
            place: t.place.clone(),
            key: t.key.clone(),
        });
        let TreeValue::Array(items) = &mut list.value else {
            return;
        };
        let mut new = vec![];
        for (name, place) in names {
            if let Some(old) = items.iter().find(|i| i.text() == Some(&name)) {
                self.problems.push(
                    Problem::error(format!("`{name}` is bypassed already"))
                        .at(&place, "again here")
                        .at(&old.place, "bypassed here"),
                );
                continue;
            }
            items.push(Tree {
                value: TreeValue::String(name.clone()),
                place: place.clone(),
                key: place.clone(),
            });
            new.push((name, place));
        }
        for (name, place) in new {
            self.note("bypass", &["nodes".into(), name], place, None);
        }
    }

    /// The strings of a list; one string stands for a list of one.
    fn names(&mut self, verb: &str, t: &Tree) -> Vec<(String, Place)> {
        let items = t.items().map_or(std::slice::from_ref(t), |items| items);
        let mut names = vec![];
        for item in items {
            match item.text() {
                Some(text) => names.push((text.to_string(), item.place.clone())),
                None => {
                    let p = Problem::error(format!("`{verb}` is a list of names"))
                        .at(&item.place, format!("this is {}", item.what()))
                        .help(format!("such as `{verb} = [\"tol\"]`"));
                    self.problems.push(p);
                }
            }
        }
        names
    }

    /// `append` and `remove`: a tree of lists.
    pub(super) fn patch(
        &mut self,
        base: &mut Tree,
        over: IndexMap<String, Tree>,
        path: &mut Vec<String>,
        append: bool,
    ) {
        let verb = if append { "append" } else { "remove" };
        for (key, value) in over {
            path.push(key.clone());
            let name = dotted(path.iter().map(String::as_str));
            let known: Vec<String> = base.entries().into_iter().flat_map(|e| e.keys().cloned()).collect();
            match (base.entries_mut().and_then(|e| e.get_mut(&key)), value.value) {
                (None, new) => {
                    let list = Tree {
                        value: new,
                        place: value.place,
                        key: value.key,
                    };
                    let mut p = Problem::error(format!("`{verb}` finds no list `{name}`"))
                        .at(&list.key, "no layer below writes it");
                    p = self.was_dropped(p, path);
                    let near = did_you_mean(&key, known.iter().map(String::as_str));
                    p.help = near.or_else(|| {
                        (append && list.items().is_some()).then(|| format!("to begin it, write `{name} = {list}`"))
                    });
                    self.problems.push(p);
                }
                (Some(old), TreeValue::Table(new)) if old.entries().is_some() => self.patch(old, new, path, append),
                (Some(old), TreeValue::Array(items)) => {
                    // A single reference is a list of one.
                    let single = old.text().is_some() && path.len() == 4 && path[2] == "inputs";
                    let before = old.clone();
                    if single {
                        let item = old.clone();
                        old.value = TreeValue::Array(vec![Tree {
                            key: item.place.clone(),
                            ..item
                        }]);
                    }
                    let what = old.what();
                    match &mut old.value {
                        TreeValue::Array(list) => {
                            for item in items {
                                self.patch_item(list, item, &name, append);
                            }
                            let by = value.place.clone();
                            self.note(verb, path, by, Some(before));
                        }
                        _ => self.problems.push(
                            Problem::error(format!("`{verb}` works on lists, and `{name}` is {what}"))
                                .at(&value.key, "here")
                                .at(&old.place, "it was written here")
                                .help(format!("to change it, write `set.{name} = …`")),
                        ),
                    }
                }
                (Some(_), new) => {
                    let found = Tree {
                        value: new,
                        place: value.place,
                        key: value.key,
                    };
                    let help = match append {
                        true => format!("such as `append.{name} = [{found}]`"),
                        false => format!("to remove all of it, write `drop = [\"{name}\"]`"),
                    };
                    self.problems.push(
                        Problem::error(format!("`{verb}.{name}` is a list of what to {verb}"))
                            .at(&found.place, format!("this is {}", found.what()))
                            .help(help),
                    );
                }
            }
            path.pop();
        }
    }

    fn patch_item(&mut self, list: &mut Vec<Tree>, item: Tree, name: &str, append: bool) {
        let found = list.iter().position(|i| i.same(&item));
        match (append, found) {
            // Numbers may repeat.
            (true, Some(i)) if item.text().is_some() => self.problems.push(
                Problem::error(format!("`{name}` holds {item} already"))
                    .at(&item.place, "appended again here")
                    .at(&list[i].place, "it is here"),
            ),
            (true, _) => list.push(item),
            (false, Some(i)) => {
                list.remove(i);
            }
            (false, None) => {
                let known: Vec<String> = list
                    .iter()
                    .map(Tree::to_string)
                    .map(|s| s.trim_matches('"').into())
                    .collect();
                let word = item.to_string();
                self.problems.push(
                    Problem::error(format!("`{name}` holds no {item}"))
                        .at(&item.place, "so it cannot be removed")
                        .help(suggest(
                            word.trim_matches('"'),
                            "items",
                            known.iter().map(String::as_str),
                        )),
                );
            }
        }
    }
}

/// The tables of losses of a phase, each with its path there: the phase's own, and those of its rounds.
fn objectives(phase: &mut IndexMap<String, Tree>) -> Vec<(Vec<String>, &mut IndexMap<String, Tree>)> {
    let mut all = vec![];
    for (key, t) in phase {
        match key.as_str() {
            "losses" => all.extend(t.entries_mut().map(|losses| (vec![key.clone()], losses))),
            "rounds" => {
                for (round, t) in t.entries_mut().into_iter().flatten() {
                    let losses = t.at_mut(["losses"]).and_then(Tree::entries_mut);
                    let path = vec![key.clone(), round.clone(), "losses".to_owned()];
                    all.extend(losses.map(|losses| (path, losses)));
                }
            }
            _ => {}
        }
    }
    all
}

/// Drops a node from the groups of a phase's optimiser; a group that becomes empty is removed, for an empty list means
/// all.
fn forget_groups(phase: &mut IndexMap<String, Tree>, name: &str) {
    let groups = phase.get_mut("optimizer").and_then(|o| o.at_mut(["groups"]));
    let Some(TreeValue::Array(groups)) = groups.map(|t| &mut t.value) else {
        return;
    };
    groups.retain_mut(|g| match g.at_mut(["nodes"]).map(|t| &mut t.value) {
        Some(TreeValue::Array(nodes)) if !nodes.is_empty() => {
            nodes.retain(|n| !n.text().is_some_and(|t| is_or_in(t, name)));
            !nodes.is_empty()
        }
        _ => true,
    });
}

/// Whether `key` is node `name` or one inside it.
fn is_or_in(key: &str, name: &str) -> bool {
    key.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether the reference is to node `name` or one inside it.
fn names_node(reference: &str, name: &str) -> bool {
    is_or_in(reference.split('@').next().unwrap_or_default(), name)
}
