//! What is wrong with nodes whatever the phase: kinds, parameters, ports, references, cycles.

use super::cx::{Cx, inputs_of, inside, outputs_of};
use super::params;
use crate::diag::{Problem, Spanned, did_you_mean};
use crate::graph::{NodeDef, Ref};
use glad_nodes::{Arity, Contract, Input, Side};
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::VecDeque;

/// Checks all nodes, used or not. `false` where nothing can be made of the graph: there is a cycle.
pub(super) fn check(cx: &Cx) -> bool {
    let contracts: Vec<Option<Contract>> = cx.graph.nodes.values().map(|n| kind_and_params(cx, n)).collect();
    for (node, contract) in cx.graph.nodes.values().zip(&contracts) {
        if let Some(c) = contract {
            ports(cx, node, c);
            for (port, refs) in &node.inputs {
                let Some(input) = c.inputs.iter().find(|i| i.name == *port) else { continue };
                refs.iter().for_each(|r| reference(cx, node, c, input, r, &contracts));
            }
        }
        only(cx, node);
    }
    overrides(cx);
    no_cycles(cx)
}

fn kind_and_params(cx: &Cx, node: &NodeDef) -> Option<Contract> {
    let kind = &node.kind;
    if cx.registry.get(&kind.value).is_none() {
        let p = Problem::error(format!("unknown node kind `{}`", kind.value)).at(&kind.place, "no such kind");
        let known = did_you_mean(&kind.value, cx.registry.iter().map(|k| k.name));
        let help = known.unwrap_or_else(|| "`glad-run nodes` lists all kinds".into());
        cx.push(inside(p, node).help(help));
        return None;
    }
    // Each variant is read, so that a mistake in one stream's parameters shows though no phase runs it.
    let mut first = None;
    let variants: Vec<Option<&str>> = match node.per_stream.is_empty() {
        true => vec![None],
        false => node.per_stream.keys().map(|s| Some(s.as_str())).collect(),
    };
    for stream in variants {
        let parsed = params::parse(cx, node, None, stream);
        first = first.or(parsed);
    }
    Some(first?.node.contract(&Cx::plain_wiring(node)))
}

/// Ports that are not there, and ports that lack what they need.
fn ports(cx: &Cx, node: &NodeDef, c: &Contract) {
    for (port, refs) in &node.inputs {
        let Some(input) = c.inputs.iter().find(|i| i.name == *port) else {
            let p = Problem::error(format!("`{}` has no input `{port}`", node.kind.value));
            let p = match refs.first() {
                Some(r) => p.at(&r.place, format!("given to `{port}`")),
                None => p.at(&node.place, "this node"),
            };
            let near = did_you_mean(port, c.inputs.iter().map(|i| i.name.as_str()));
            let help = format!("its inputs: {}", inputs_of(c));
            cx.push(inside(p, node).help(near.map_or(help.clone(), |n| format!("{n} {help}"))));
            continue;
        };
        let single = !input.all_streams && input.arity != Arity::Many;
        if single && refs.len() > 1 {
            let p = Problem::error(format!("input `{port}` of `{}` takes one reference, not {}", node.path, refs.len()))
                .at(&refs[1].place, "one too many")
                .help("a `concat` node makes one value of several");
            cx.push(inside(p, node));
        }
    }
    for input in &c.inputs {
        let connected = node.inputs.get(&input.name).is_some_and(|r| !r.is_empty());
        if !connected && input.arity != Arity::Optional {
            let p = Problem::error(format!("`{}` needs an input `{}`: {}", node.path, input.name, input.types[0]))
                .at(&node.place, format!("`{}` is not connected", input.name));
            let given = node.inputs.keys().map(String::as_str).collect::<Vec<_>>();
            let unknown = given.iter().find(|g| c.inputs.iter().all(|i| i.name != **g));
            let help = match unknown {
                Some(u) if did_you_mean(u, [input.name.as_str()]).is_some() => {
                    format!("is `{u}` meant to be `{}`?", input.name)
                }
                _ => format!("inputs = {{ {} = \"node.port\" }}: {}", input.name, input.doc),
            };
            cx.push(inside(p, node).help(help));
        }
    }
}

fn reference(
    cx: &Cx,
    node: &NodeDef,
    contract: &Contract,
    input: &Input,
    r: &Spanned<Ref>,
    contracts: &[Option<Contract>],
) {
    let Some((index, _, from)) = cx.graph.nodes.get_full(&r.value.node) else {
        cx.push(no_node(cx, r));
        return;
    };
    let Some(made) = &contracts[index] else { return };
    let Some(output) = made.outputs.iter().find(|o| o.name == r.value.port) else {
        cx.push(inside(no_port(from, made, r), node));
        return;
    };
    if input.whole_list && !(made.side == Side::Host && made.inputs.is_empty()) {
        let p = Problem::error(format!("input `{}` of `{}` takes a whole list, not single samples", input.name, node.path))
            .at(&r.place, format!("`{}` is made sample by sample", r.value.node))
            .help("connect the list itself, such as `videos.video@source`");
        cx.push(inside(p, node));
    }
    if let Some(p) = sides(node, contract.side, &input.name, r, (from, made.side), &output.ty.to_string()) {
        cx.push(p);
    }
}

/// A reference to a node that is not there.
pub(super) fn no_node(cx: &Cx, r: &Spanned<Ref>) -> Problem {
    let p = Problem::error(format!("there is no node `{}`", r.value.node)).at(&r.place, "no such node");
    match cx.suggest_node(&r.value.node) {
        Some(h) => p.help(h),
        None => p,
    }
}

/// A reference to an output that is not there.
pub(super) fn no_port(from: &NodeDef, made: &Contract, r: &Spanned<Ref>) -> Problem {
    let port = &r.value.port;
    let near = did_you_mean(port, made.outputs.iter().map(|o| o.name.as_str()));
    let help = format!("its outputs: {}", outputs_of(made));
    Problem::error(format!("`{}` has no output `{port}`", from.path))
        .at(&r.place, "no such output")
        .at(&from.place, format!("`{}` is a `{}`", from.path, from.kind.value))
        .help(near.map_or(help.clone(), |n| format!("{n} {help}")))
}

/// Whether a value of one side arrives at a port of the other.
pub(super) fn sides(
    node: &NodeDef,
    side: Side,
    port: &str,
    r: &Spanned<Ref>,
    (from, made): (&NodeDef, Side),
    ty: &str,
) -> Option<Problem> {
    let on_host = made == Side::Host;
    let wants_host = side != Side::Device;
    if on_host == wants_host {
        return None;
    }
    let (what, help) = match on_host {
        true => (
            format!("`{}` works on batches on the device, and `{}` is made on the data side", node.path, r.value.node),
            "put it through a `batch` node, which takes samples to the device",
        ),
        false => (
            format!("`{}` works on samples on the data side, and `{}` is already on the device", node.path, r.value.node),
            "nothing goes back from the device: take it from before the `batch` node",
        ),
    };
    let p = Problem::error(what)
        .at(&r.place, format!("{ty} arrives at `{port}`"))
        .at(&from.place, format!("`{}` is made here", from.path));
    Some(inside(p, node).help(help))
}

/// Streams that `only` names.
fn only(cx: &Cx, node: &NodeDef) {
    for s in node.only.iter().flatten().filter(|s| !cx.is_stream(&s.value)) {
        let p = Problem::error(format!("there is no stream `{}`", s.value)).at(&s.place, "in `only`");
        let known = did_you_mean(&s.value, cx.streams().iter().copied());
        cx.push(p.help(known.unwrap_or_else(|| format!("streams: {}", cx.streams().join(", ")))));
    }
}

/// Nodes that phases and views give parameters to.
fn overrides(cx: &Cx) {
    let phases = cx.graph.phases.values().map(|p| &p.nodes);
    for nodes in phases.chain(cx.graph.views.values().map(|v| &v.nodes)) {
        for (name, params) in nodes.iter() {
            match cx.graph.nodes.get(name) {
                Some(node) => {
                    let own = params.value.keys().find(|k| cx.is_stream(k)).map(String::as_str);
                    let stream = own.or(node.per_stream.keys().next().map(String::as_str));
                    params::parse(cx, node, Some(&params.value), stream);
                }
                None => {
                    let p = Problem::error(format!("there is no node `{name}`"))
                        .at(&params.place, "parameters for a node that is not there");
                    let composite = !cx.named(name).is_empty();
                    let help = match composite {
                        true => {
                            let below: Vec<_> = cx.named(name).iter().map(|n| format!("`{}`", n.path)).collect();
                            Some(format!("it is a composite: give them to one of {}", below.join(", ")))
                        }
                        false => cx.suggest_node(name),
                    };
                    cx.push(match help {
                        Some(h) => p.help(h),
                        None => p,
                    });
                }
            }
        }
    }
}

fn no_cycles(cx: &Cx) -> bool {
    let mut g: DiGraph<(), ()> = DiGraph::new();
    let ids: Vec<NodeIndex> = cx.graph.nodes.values().map(|_| g.add_node(())).collect();
    for (i, node) in cx.graph.nodes.values().enumerate() {
        for r in node.inputs.values().flatten() {
            if let Some(from) = cx.graph.nodes.get_index_of(&r.value.node) {
                g.update_edge(ids[from], ids[i], ());
            }
        }
    }
    let mut knots: Vec<Vec<usize>> = tarjan_scc(&g)
        .into_iter()
        .filter(|c| c.len() > 1 || g.find_edge(c[0], c[0]).is_some())
        .map(|c| c.into_iter().map(NodeIndex::index).collect())
        .collect();
    knots.iter_mut().for_each(|k| k.sort());
    knots.sort();
    for knot in &knots {
        cx.push(cycle(cx, knot));
    }
    knots.is_empty()
}

/// The shortest way from the first node of `knot` back to it.
fn cycle(cx: &Cx, knot: &[usize]) -> Problem {
    let start = knot[0];
    let feeds = |i: usize| -> Vec<usize> {
        let refs = cx.node(i).inputs.values().flatten();
        refs.filter_map(|r| cx.graph.nodes.get_index_of(&r.value.node)).filter(|f| knot.contains(f)).collect()
    };
    // Backwards from `start` to what feeds it; `next[n]` is the node that `n` feeds on this way.
    let (mut next, mut queue) = (std::collections::HashMap::new(), VecDeque::from([start]));
    let mut path = vec![start];
    'search: while let Some(n) = queue.pop_front() {
        for f in feeds(n) {
            if f == start {
                let mut at = n;
                while at != start {
                    path.push(at);
                    at = next[&at];
                }
                break 'search;
            }
            if let std::collections::hash_map::Entry::Vacant(e) = next.entry(f) {
                e.insert(n);
                queue.push_back(f);
            }
        }
    }
    path.push(start);
    let names: Vec<&str> = path.iter().map(|i| cx.node(*i).path.as_str()).collect();
    let mut p = Problem::error(format!("nodes feed each other in a cycle: {}", names.join(" → ")));
    for pair in path.windows(2) {
        let (from, to) = (cx.node(pair[0]), cx.node(pair[1]));
        if let Some(r) = to.inputs.values().flatten().find(|r| r.value.node == from.path) {
            p = p.at(&r.place, format!("`{}` takes from `{}`", to.path, from.path));
        }
    }
    p.help("a node can only take what was computed before it: leave one of these references out")
}
