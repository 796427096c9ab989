//! References: `node.port`, `node.port@stream`, `in.port`, through composites to the nodes inside.

use super::expand::{Instance, Member, Scope};
use crate::diag::{Place, Problem, Spanned, did_you_mean, suggest};
use crate::graph::Ref;
use crate::tree::History;
use crate::tree::is_name;

/// Where a reference is used: what may be omitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// An input or a root: the port has to be named.
    Value,
    /// A loss: a node alone stands for its first output.
    Loss,
}

/// Resolves references.
pub(super) struct Resolver<'a> {
    pub scopes: &'a [Scope],
    pub streams: &'a [String],
    pub history: &'a History,
    pub problems: Vec<Problem>,
}

/// The most composites that a reference may pass through; more is a cycle.
const DEEPEST: usize = 64;

impl Resolver<'_> {
    /// What `text` refers to in scope `scope`: one output, or none (an unconnected `in.port`), or several.
    pub(super) fn resolve(&mut self, scope: usize, text: &Spanned<String>, how: Use) -> Vec<Spanned<Ref>> {
        let refs = self.find(scope, &text.value, &text.place, how, 0).unwrap_or_else(|p| {
            self.problems.push(*p);
            vec![]
        });
        refs.into_iter().map(|r| Spanned::new(r.value, r.place)).collect()
    }

    fn find(
        &self,
        scope: usize,
        text: &str,
        place: &Place,
        how: Use,
        depth: usize,
    ) -> Result<Vec<Spanned<Ref>>, Box<Problem>> {
        if depth > DEEPEST {
            let p = Problem::error("references through composites go in a circle").at(place, "one of them");
            return Err(Box::new(p));
        }
        let (head, stream) = match text.split_once('@') {
            Some((head, stream)) => (head, Some(stream)),
            None => (text, None),
        };
        if head.is_empty() || !head.split('.').all(is_name) {
            let p = Problem::error(format!("`{text}` is no reference"))
                .at(place, "here")
                .help("a reference is \"node.port\" or \"node.port@stream\"");
            return Err(Box::new(p));
        }
        if let Some(s) = stream.filter(|s| !self.streams.iter().any(|k| k == s)) {
            let p = Problem::error(format!("unknown stream `{s}`"))
                .at(place, "no such stream")
                .help(suggest(s, "streams", self.streams.iter().map(String::as_str)));
            return Err(Box::new(p));
        }
        let found = match (&self.scopes[scope].composite, head.strip_prefix("in.")) {
            (Some(instance), Some(port)) => self.comes_in(instance, port, place, depth)?,
            (None, Some(_)) => {
                let p = Problem::error(format!("`{head}` is what comes into a composite"));
                return Err(Box::new(p.at(place, "this is no composite's file")));
            }
            (_, None) => self.local(scope, head, place, how, depth)?,
        };
        found.into_iter().map(|r| in_stream(r, stream, text, place)).collect()
    }

    /// What the node that uses the composite connects to `in.port`.
    fn comes_in(
        &self,
        instance: &Instance,
        port: &str,
        place: &Place,
        depth: usize,
    ) -> Result<Vec<Spanned<Ref>>, Box<Problem>> {
        if !instance.declared.iter().any(|d| d.value == port) {
            let known = instance.declared.iter().map(|d| d.value.as_str());
            let p = Problem::error(format!("the composite has no input `{port}`"))
                .at(place, "no such input")
                .help(suggest(port, "inputs", known));
            return Err(Box::new(p));
        }
        let mut refs = vec![];
        for text in instance.inputs.get(port).into_iter().flatten() {
            refs.extend(self.find(instance.parent, &text.value, &text.place, Use::Value, depth + 1)?);
        }
        Ok(refs)
    }

    fn local(
        &self,
        scope: usize,
        head: &str,
        place: &Place,
        how: Use,
        depth: usize,
    ) -> Result<Vec<Spanned<Ref>>, Box<Problem>> {
        // A composite's output takes precedence over a node inside it with the same name.
        let output = !self.scopes[scope].names.contains_key(head) && self.is_output(scope, head);
        if let Some((path, member)) = self.member(scope, head).filter(|_| !output) {
            return match (member, how) {
                (Member::Node, Use::Loss) => Ok(vec![reference(path, "", place)]),
                (Member::Composite(inner), Use::Loss) => {
                    let instance = self.scopes[inner].composite.as_ref().expect("a composite's scope");
                    match instance.outputs.first() {
                        Some((_, text)) => self
                            .find(inner, &text.value, &text.place, how, depth + 1)
                            .map(|r| here(r, place)),
                        // Its file was reported as wrong.
                        None => Ok(vec![]),
                    }
                }
                (Member::Node, Use::Value) => {
                    let p = Problem::error(format!("`{head}` names a node, but none of its ports"))
                        .at(place, "which of its outputs?")
                        .help(format!(
                            "write `{head}.PORT`; `glad-run nodes KIND` lists a kind's ports"
                        ));
                    Err(Box::new(p))
                }
                (Member::Composite(inner), Use::Value) => {
                    let instance = self.scopes[inner].composite.as_ref().expect("a composite's scope");
                    let outputs: Vec<String> = instance.outputs.keys().map(|o| format!("`{head}.{o}`")).collect();
                    let p = Problem::error(format!("`{head}` names a node, but none of its ports"))
                        .at(place, "which of its outputs?")
                        .help(format!("outputs here: {}", outputs.join(", ")));
                    Err(Box::new(p))
                }
            };
        }
        let Some((node, port)) = head.rsplit_once('.') else {
            return Err(self.unknown(scope, head, place));
        };
        match self.member(scope, node) {
            Some((path, Member::Node)) => Ok(vec![reference(path, port, place)]),
            Some((_, Member::Composite(inner))) => {
                let instance = self.scopes[inner].composite.as_ref().expect("a composite's scope");
                match instance.outputs.get(port) {
                    Some(text) => self
                        .find(inner, &text.value, &text.place, Use::Value, depth + 1)
                        .map(|r| here(r, place)),
                    None if instance.outputs.is_empty() => Ok(vec![]),
                    None => {
                        let p = Problem::error(format!("`{node}` has no output `{port}`"))
                            .at(place, "no such output")
                            .at(&instance.node.place, format!("`{node}` is a composite"))
                            .help(suggest(port, "outputs", instance.outputs.keys().map(String::as_str)));
                        Err(Box::new(p))
                    }
                }
            }
            None => Err(self.unknown(scope, node, place)),
        }
    }

    /// Whether `head` is an output of a composite in `scope`.
    fn is_output(&self, scope: usize, head: &str) -> bool {
        let Some((node, port)) = head.rsplit_once('.') else {
            return false;
        };
        match self.member(scope, node) {
            Some((_, Member::Composite(inner))) => self.scopes[inner]
                .composite
                .as_ref()
                .is_some_and(|c| c.outputs.contains_key(port)),
            _ => false,
        }
    }

    /// The node or composite at `path` in `scope`, with its full path: also of nodes inside composites.
    fn member(&self, scope: usize, path: &str) -> Option<(String, Member)> {
        let s = &self.scopes[scope];
        if let Some(m) = s.names.get(path) {
            return Some((format!("{}{path}", s.prefix), *m));
        }
        path.match_indices('.')
            .find_map(|(i, _)| match s.names.get(&path[..i]) {
                Some(Member::Composite(inner)) => self.member(*inner, &path[i + 1..]),
                _ => None,
            })
    }

    fn unknown(&self, scope: usize, node: &str, place: &Place) -> Box<Problem> {
        let s = &self.scopes[scope];
        let whose = match &s.composite {
            Some(c) => format!(" in composite `{}`", c.node.value),
            None => String::new(),
        };
        let mut p = Problem::error(format!("unknown node `{node}`{whose}")).at(place, "no node of this name");
        let change = self
            .history
            .of(&format!("nodes.{node}"))
            .iter()
            .rev()
            .find(|c| c.verb == "drop");
        match change.filter(|_| scope == 0) {
            Some(c) => {
                p = p.at(&c.by, format!("`{node}` was dropped here"));
                p.help = Some("drop what uses it, too, or `set` that to use something else".into());
            }
            None => p.help = did_you_mean(node, s.names.keys().map(String::as_str)),
        }
        Box::new(p)
    }

    /// The nodes at or below `name`: what `frozen`, `reset` and `bypass` name.
    pub(super) fn node_or_composite(&mut self, name: &Spanned<String>) -> Option<Member> {
        match self.member(0, &name.value) {
            Some((_, m)) => Some(m),
            // In an effective graph a composite is a prefix of its nodes' names.
            None if self.scopes[0].names.keys().any(|k| {
                k.strip_prefix(name.value.as_str())
                    .is_some_and(|rest| rest.starts_with('.'))
            }) =>
            {
                Some(Member::Composite(0))
            }
            None => {
                let p = self.unknown(0, &name.value, &name.place);
                self.problems.push(*p);
                None
            }
        }
    }
}

fn reference(node: String, port: &str, place: &Place) -> Spanned<Ref> {
    Spanned::new(
        Ref {
            node,
            port: port.into(),
            stream: None,
        },
        place.clone(),
    )
}

/// References resolved through a composite's output are placed where the output was requested.
fn here(refs: Vec<Spanned<Ref>>, place: &Place) -> Vec<Spanned<Ref>> {
    refs.into_iter().map(|r| Spanned::new(r.value, place.clone())).collect()
}

/// Adds `@stream` to the result.
fn in_stream(
    mut r: Spanned<Ref>,
    stream: Option<&str>,
    text: &str,
    place: &Place,
) -> Result<Spanned<Ref>, Box<Problem>> {
    match (&r.value.stream, stream) {
        (_, None) => {}
        (None, Some(s)) => r.value.stream = Some(s.into()),
        (Some(old), Some(s)) if old == s => {}
        (Some(old), Some(_)) => {
            let p = Problem::error(format!("`{text}` asks for another stream than it gets"))
                .at(place, "here")
                .at(&r.place, format!("this is of stream `{old}`"));
            return Err(Box::new(p));
        }
    }
    Ok(r)
}
