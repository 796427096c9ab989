//! Problems of nodes in every phase: kinds, parameters, ports, references, cycles.

use super::cx::{Cx, inputs_of, inside, outputs_of};
use super::cycles;
use super::params::{self, Parsed, param_places};
use crate::diag::{Problem, Spanned, did_you_mean};
use crate::graph::{NodeDef, Ref};
use glad_nodes::{Arity, Contract, DimExpr, Head, HeadExpr, Input, Side, TypeExpr};
use std::collections::BTreeSet;

/// Checks all nodes, used or not. `false` where no program can be built: there is a cycle.
pub(super) fn check(cx: &Cx) -> bool {
    let contracts: Vec<Option<Contract>> = cx.graph.nodes.values().map(|n| kind_and_params(cx, n)).collect();
    for (node, contract) in cx.graph.nodes.values().zip(&contracts) {
        let before = cx.sink.borrow().errors();
        if let Some(c) = contract {
            ports(cx, node, c);
            for (port, refs) in &node.inputs {
                let Some(input) = c.inputs.iter().find(|i| i.name == *port) else {
                    continue;
                };
                refs.iter().for_each(|r| reference(cx, node, c, input, r, &contracts));
            }
            bypass(cx, node, c);
        }
        if cx.sink.borrow().errors() > before {
            cx.broken.borrow_mut().insert(node.path.clone());
        }
    }
    overrides(cx);
    cycles::none(cx)
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
    // Each variant is parsed, so that a mistake in one stream's parameters is found even if no phase runs it.
    let mut first = None;
    let variants: Vec<Option<&str>> = match node.per_stream.is_empty() {
        true => vec![None],
        false => node.per_stream.keys().map(|s| Some(s.as_str())).collect(),
    };
    for stream in variants {
        let parsed = params::parse(cx, node, None, stream);
        if let Some(p) = &parsed {
            unknown_dims(cx, node, p);
            params::remarks(cx, node, p, stream, None);
        }
        first = first.or(parsed);
    }
    Some(first?.node.contract(&Cx::plain_wiring(node)))
}

/// Reports names of `dims` that the graph does not have. Phases and views have the same names.
fn unknown_dims(cx: &Cx, node: &NodeDef, parsed: &Parsed) {
    let c = parsed.node.contract(&Cx::plain_wiring(node));
    let types = c
        .inputs
        .iter()
        .flat_map(|i| &i.types)
        .chain(c.outputs.iter().map(|o| &o.ty));
    let names: BTreeSet<String> = types
        .flat_map(|t| &t.dims)
        .flat_map(DimExpr::globals)
        .map(String::from)
        .collect();
    for n in names.into_iter().filter(|n| !cx.graph.dims.contains_key(n)) {
        let known: Vec<&str> = cx.graph.dims.keys().map(String::as_str).collect();
        let help = did_you_mean(&n, known.iter().copied());
        let places = param_places(&parsed.written, &DimExpr::Global(n.clone()));
        let p = Problem::error(format!("unknown dimension `{n}`"))
            .at(
                places.first().unwrap_or(&node.place),
                format!("a parameter of `{}`", node.path),
            )
            .help(help.unwrap_or_else(|| format!("`dims` of the graph: {}", known.join(", "))));
        cx.push(inside(p, node));
        cx.broken.borrow_mut().insert(node.path.clone());
    }
}

/// Reports ports that do not exist, and ports that lack what they need.
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
        let single = !input.all_streams && !matches!(input.arity, Arity::Many | Arity::Any);
        if single && refs.len() > 1 {
            let p = Problem::error(format!(
                "input `{port}` of `{}` takes one reference, not {}",
                node.path,
                refs.len()
            ))
            .at(&refs[1].place, "one too many")
            .help(match input.types[0].head == HeadExpr::Is(Head::Clip) {
                true => "a `join_clips` node puts the clips of several side by side",
                false => "a `concat` node makes one value of several",
            });
            cx.push(inside(p, node));
        }
    }
    for input in &c.inputs {
        let connected = node.inputs.get(&input.name).is_some_and(|r| !r.is_empty());
        if !connected && !matches!(input.arity, Arity::Optional | Arity::Any) {
            let p = Problem::error(format!(
                "`{}` needs an input `{}`: {}",
                node.path, input.name, input.types[0]
            ))
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
        let p = Problem::error(format!(
            "input `{}` of `{}` takes a whole list, not single samples",
            input.name, node.path
        ))
        .at(&r.place, format!("`{}` is made sample by sample", r.value.node))
        .help("connect the list itself, such as `videos.video@source`");
        cx.push(inside(p, node));
    }
    if let Some(p) = sides(
        node,
        contract.side,
        &input.name,
        r,
        (from, made.side),
        &output.ty.to_string(),
    ) {
        cx.push(p);
    }
}

/// Reports a reference to a node that does not exist.
pub(super) fn no_node(cx: &Cx, r: &Spanned<Ref>) -> Problem {
    let p = Problem::error(format!("there is no node `{}`", r.value.node)).at(&r.place, "no such node");
    match cx.suggest_node(&r.value.node) {
        Some(h) => p.help(h),
        None => p,
    }
}

/// Reports a reference to an output that does not exist.
pub(super) fn no_port(from: &NodeDef, made: &Contract, r: &Spanned<Ref>) -> Problem {
    let port = &r.value.port;
    let near = did_you_mean(port, made.outputs.iter().map(|o| o.name.as_str()));
    let mut help = format!("its outputs: {}", outputs_of(made));
    if from.kind.value == "video_list" && matches!(port.as_str(), "video" | "flow") {
        help += "; its `modalities` say which of pictures and optical flow it has, and [\"rgb\", \"flow\"] are both";
    }
    Problem::error(format!("`{}` has no output `{port}`", from.path))
        .at(&r.place, "no such output")
        .at(&from.place, format!("`{}` is a `{}`", from.path, from.kind.value))
        .help(near.map_or(help.clone(), |n| format!("{n} {help}")))
}

/// Reports a value of one side (data or device) at a port of the other.
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
            format!(
                "`{}` works on batches on the device, and `{}` is made on the data side",
                node.path, r.value.node
            ),
            "put it through a `batch` node, which takes samples to the device",
        ),
        false => (
            format!(
                "`{}` works on samples on the data side, and `{}` is already on the device",
                node.path, r.value.node
            ),
            "nothing goes back from the device: take it from before the `batch` node",
        ),
    };
    let p = Problem::error(what)
        .at(&r.place, format!("{ty} arrives at `{port}`"))
        .at(&from.place, format!("`{}` is made here", from.path));
    Some(inside(p, node).help(help))
}

/// A bypassed node must have an input that can replace an output.
fn bypass(cx: &Cx, node: &NodeDef, c: &Contract) {
    let Some(place) = &node.bypass else { return };
    if c.outputs.iter().all(|o| passing(c, &o.name).is_none()) {
        cx.push(
            Problem::error(format!(
                "`{}` cannot be bypassed: none of its inputs is of the type of an output",
                node.path
            ))
            .at(place, "bypassed here")
            .at(&node.place, format!("takes {}; gives {}", inputs_of(c), outputs_of(c)))
            .help("drop it, and what needs it, or replace it"),
        );
    }
}

/// The input that replaces output `port` where a node is bypassed: the one with the same form of type (a crop's sizes
/// may change), or of several the one with the same name.
pub(super) fn passing<'c>(c: &'c Contract, port: &str) -> Option<&'c Input> {
    let out = c.outputs.iter().find(|o| o.name == port)?;
    let form = |t: &TypeExpr| (t.head.clone(), t.dims.len(), t.rest.clone());
    let alike = |i: &&Input| {
        let one = !matches!(i.arity, Arity::Many | Arity::Any) && !i.all_streams && !i.whole_list;
        one && form(&i.types[0]) == form(&out.ty)
    };
    let all: Vec<&Input> = c.inputs.iter().filter(alike).collect();
    match all.as_slice() {
        [one] => Some(one),
        many => many.iter().find(|i| i.name == port).copied(),
    }
}

/// Parameters that phases and views give to nodes. The loader has checked that the nodes exist.
fn overrides(cx: &Cx) {
    let phases = cx.graph.phases.values().map(|p| &p.nodes);
    for (name, params) in phases.chain(cx.graph.views.values().map(|v| &v.nodes)).flatten() {
        let Some(node) = cx.graph.nodes.get(name) else { continue };
        let own = params.value.keys().find(|k| cx.is_stream(k)).map(String::as_str);
        let stream = own.or(node.per_stream.keys().next().map(String::as_str));
        if let Some(p) = params::parse(cx, node, Some(&params.value), stream) {
            unknown_dims(cx, node, &p);
            params::remarks(cx, node, &p, stream, Some(&params.value));
        }
    }
}
