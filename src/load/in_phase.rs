//! A phase's or view's changes to a composite: which parameters of which nodes inside.

use super::expand::{Around, Expander, Flat};
use super::params::Params;
use crate::diag::Problem;
use crate::graph::is_node_key;
use crate::tree::{Tree, TreeValue};
use indexmap::IndexMap;
use std::collections::HashMap;

impl Expander<'_> {
    /// The table of a phase or view, with entries for composites in `nodes` replaced by entries for the nodes inside.
    pub(super) fn in_phase(&mut self, mut phase: Tree) -> Tree {
        let Some(nodes) = phase.at_mut(["nodes"]).and_then(Tree::entries_mut) else {
            return phase;
        };
        let mut spread: IndexMap<String, Tree> = IndexMap::new();
        let (composites, plain): (IndexMap<_, _>, IndexMap<_, _>) = std::mem::take(nodes)
            .into_iter()
            .partition(|(name, _)| self.out.composites.contains_key(name));
        for (name, change) in &composites {
            for (inner, params) in self.changed(name, change) {
                let whole = Tree {
                    value: TreeValue::Table(params),
                    place: change.place.clone(),
                    key: change.key.clone(),
                };
                spread.insert(inner, whole);
            }
        }
        // An entry for a node inside by its own name takes precedence over one for the composite.
        for (name, change) in plain {
            match spread.get_mut(&name).and_then(Tree::entries_mut) {
                Some(there) if change.entries().is_some() => {
                    there.extend(change.entries().cloned().into_iter().flatten())
                }
                _ => drop(spread.insert(name, change)),
            }
        }
        *nodes = spread;
        phase
    }

    /// The parameters of nodes inside composite `path` that differ under `change`.
    fn changed(&mut self, path: &str, change: &Tree) -> Vec<(String, IndexMap<String, Tree>)> {
        let Some((mut whole, scope)) = self.out.composites.get(path).cloned() else {
            return vec![];
        };
        let (Some(entries), Some(table)) = (change.entries(), whole.entries_mut()) else {
            let p = Problem::error(format!(
                "`{path}`: expected a table of parameters, found {}",
                change.what()
            ));
            self.say(p.at(&change.place, "this value"));
            return vec![];
        };
        for (key, value) in entries {
            if is_node_key(key) {
                let p = Problem::error(format!("`{key}` of a node is the same in all phases and views"));
                self.say(p.at(&value.key, "only parameters may differ"));
                continue;
            }
            table.insert(key.clone(), value.clone());
        }
        // Expanded once more, next to the existing nodes.
        let (nodes, scopes) = (self.out.nodes.len(), self.out.scopes.len());
        let most = self.most;
        self.most += nodes + scopes;
        let names = std::mem::take(&mut self.out.scopes[scope].names);
        let composites = std::mem::take(&mut self.out.composites);
        let name = path[self.out.scopes[scope].prefix.len()..].to_string();
        self.node(
            &name,
            whole,
            &Params::default(),
            &Around {
                scope,
                ..Around::default()
            },
        );
        let new = self.out.nodes.split_off(nodes);
        self.out.scopes.truncate(scopes);
        self.out.scopes[scope].names = names;
        self.out.composites = composites;
        self.most = most;

        let mut found = vec![];
        // Of two nodes of one name, which is an error of its own, neither is the one that changes.
        let mut there: HashMap<&str, Option<&Flat>> = HashMap::new();
        for node in &self.out.nodes {
            let known = there.entry(&node.path);
            known.and_modify(|n| *n = None).or_insert(Some(node));
        }
        let mut problems = vec![];
        for flat in new {
            let Some(Some(old)) = there.get(flat.path.as_str()) else {
                continue;
            };
            let same = |key: &str, value: &Tree| old.table.get(key).is_some_and(|o| o.same(value));
            let changed = flat.table.into_iter().filter(|(key, value)| !same(key, value));
            let (fixed, params): (IndexMap<_, _>, IndexMap<_, _>) = changed.partition(|(key, _)| is_node_key(key));
            for (key, t) in fixed {
                let p = Problem::error(format!(
                    "`{key}` of `{}` is the same in all phases and views",
                    flat.path
                ));
                problems.push(p.at(&t.place, "only parameters may differ"));
            }
            if !params.is_empty() {
                found.push((flat.path, params));
            }
        }
        problems.into_iter().for_each(|p| self.say(p));
        found
    }
}
