//! One phase or view before it is typed: its streams and sizes, and which nodes exist in it, once or per stream.

use super::cx::{Cx, inside};
use super::params::{self, Parsed};
use super::wiring;
use crate::diag::{Place, Problem, Spanned, did_you_mean};
use crate::graph::{NodeDef, PhaseDef, Ref, ViewDef};
use crate::load::Tree;
use crate::plan::ProgramKind;
use glad_nodes::{Arity, Contract, DimScope, Input, Side, TypeExpr, Wiring};
use indexmap::IndexMap;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A node, in a stream if it exists once per stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Inst {
    /// An index into the graph's nodes.
    pub node: usize,
    /// An index into [`Scene::streams`].
    pub stream: Option<usize>,
}

/// An output of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Out {
    /// Whose.
    pub inst: Inst,
    /// Which.
    pub port: String,
}

/// A phase or view with the graph around it.
pub(super) struct Scene<'c, 'g> {
    /// What all checks share.
    pub cx: &'c Cx<'g>,
    /// Its name.
    pub name: &'g str,
    /// Whether it trains.
    pub kind: ProgramKind,
    /// Where it was written.
    pub place: &'g Place,
    /// The streams that it may use, in order, and after them those of which it may only take whole lists.
    pub streams: Vec<&'g str>,
    /// How many of `streams` are its own.
    pub own: usize,
    streams_place: Option<&'g Place>,
    /// The split that it reads.
    pub split: &'g Spanned<String>,
    /// Sizes.
    pub dims: DimScope,
    /// Where the sizes were written.
    pub dim_places: BTreeMap<&'g str, &'g Place>,
    overrides: &'g IndexMap<String, Spanned<IndexMap<String, Tree>>>,
    parsed: RefCell<HashMap<Inst, Option<Rc<Parsed<'g>>>>>,
    streamless: RefCell<HashMap<usize, bool>>,
    exists: RefCell<HashMap<Inst, bool>>,
}

/// What becomes of an instance here.
enum Status {
    /// It runs.
    Runs,
    /// It does not; its one input goes through where it can. The place and words say why.
    Skipped(Place, String),
}

impl<'c, 'g> Scene<'c, 'g> {
    /// Of a phase.
    pub fn of_phase(cx: &'c Cx<'g>, p: &'g PhaseDef) -> Self {
        Scene::new(cx, &p.name, ProgramKind::Phase, &p.place, (&p.streams, &p.split), &p.dims, &p.nodes)
    }

    /// Of a view.
    pub fn of_view(cx: &'c Cx<'g>, v: &'g ViewDef) -> Self {
        Scene::new(cx, &v.name, ProgramKind::View, &v.place, (&v.streams, &v.split), &v.dims, &v.nodes)
    }

    fn new(
        cx: &'c Cx<'g>,
        name: &'g str,
        kind: ProgramKind,
        place: &'g Place,
        (streams, split): (&'g Option<Vec<Spanned<String>>>, &'g Spanned<String>),
        dims: &'g IndexMap<String, Spanned<usize>>,
        overrides: &'g IndexMap<String, Spanned<IndexMap<String, Tree>>>,
    ) -> Self {
        let listed = streams.as_ref().unwrap_or(&cx.graph.streams);
        let mut all: Vec<&str> = vec![];
        for s in listed {
            if !all.contains(&s.value.as_str()) {
                all.push(&s.value);
            }
        }
        let own = all.len();
        all.extend(cx.streams().iter().filter(|s| !listed.iter().any(|l| l.value == **s)));
        let (mut scope, mut dim_places) = (DimScope::default(), BTreeMap::new());
        for (n, d) in cx.graph.dims.iter().chain(dims) {
            scope.globals.insert(n.clone(), d.value);
            dim_places.insert(n.as_str(), &d.place);
        }
        Scene {
            cx,
            name,
            kind,
            place,
            streams: all,
            own,
            streams_place: listed.first().map(|s| &s.place),
            split,
            dims: scope,
            dim_places,
            overrides,
            parsed: RefCell::default(),
            streamless: RefCell::default(),
            exists: RefCell::default(),
        }
    }

    /// `phase main`.
    pub fn title(&self) -> String {
        match self.kind {
            ProgramKind::Phase => format!("phase {}", self.name),
            ProgramKind::View => format!("view {}", self.name),
        }
    }

    /// Notes a problem of this phase or view.
    pub fn push(&self, problem: Problem) {
        self.cx.sink.borrow_mut().push_in(&self.title(), problem);
    }

    /// The node of an instance.
    pub fn node(&self, inst: Inst) -> &'g NodeDef {
        self.cx.node(inst.node)
    }

    /// `node`, or `node@stream`.
    pub fn inst_name(&self, inst: Inst) -> String {
        match inst.stream {
            Some(s) => format!("{}@{}", self.node(inst).path, self.streams[s]),
            None => self.node(inst).path.clone(),
        }
    }

    /// `node.port`, or `node.port@stream`.
    pub fn out_name(&self, out: &Out) -> String {
        let node = &self.node(out.inst).path;
        match out.inst.stream {
            Some(s) => format!("{node}.{}@{}", out.port, self.streams[s]),
            None => format!("{node}.{}", out.port),
        }
    }

    /// The node with the parameters that it has here; `None` where they are wrong, which has been told.
    pub fn parsed(&self, inst: Inst) -> Option<Rc<Parsed<'g>>> {
        if let Some(p) = self.parsed.borrow().get(&inst) {
            return p.clone();
        }
        let node = self.node(inst);
        let overrides = Cx::overrides(self.overrides, node);
        let stream = inst.stream.map(|s| self.streams[s]);
        let p = params::parse(self.cx, node, overrides, stream).map(Rc::new);
        self.parsed.borrow_mut().insert(inst, p.clone());
        p
    }

    /// The contract of an instance, with `wiring`.
    pub fn contract_with(&self, inst: Inst, wiring: &Wiring) -> Option<Contract> {
        Some(self.parsed(inst)?.node.contract(wiring))
    }

    /// The contract of an instance, by its references alone.
    pub fn contract(&self, inst: Inst) -> Option<Contract> {
        self.contract_with(inst, &Cx::plain_wiring(self.node(inst)))
    }

    /// Whether the node exists once, belonging to no stream: all its inputs name a stream, or come from nodes of no
    /// stream, or enter through ports that take all streams.
    pub fn streamless(&self, index: usize) -> bool {
        if let Some(s) = self.streamless.borrow().get(&index) {
            return *s;
        }
        let node = self.cx.node(index);
        // References that say nothing of a stream must enter through ports that take them all; which those are may
        // depend on parameters, and those on the stream: any stream's will do.
        let open: Vec<&str> = node
            .inputs
            .iter()
            .filter(|(_, refs)| refs.iter().any(|r| r.value.stream.is_none() && !self.from_streamless(r)))
            .map(|(port, _)| port.as_str())
            .collect();
        let sample = Inst { node: index, stream: node.per_stream.keys().find_map(|s| self.stream_index(s)) };
        let contract = self.contract(sample);
        let takes_all = |port: &str| {
            contract.as_ref().is_some_and(|c| c.inputs.iter().any(|i| i.name == port && i.all_streams))
        };
        let is_source = contract.as_ref().is_none_or(|c| c.inputs.is_empty() && c.side == Side::Host);
        let answer = match node.inputs.values().all(Vec::is_empty) {
            true => !is_source,
            false => open.into_iter().all(takes_all),
        };
        self.streamless.borrow_mut().insert(index, answer);
        answer
    }

    fn from_streamless(&self, r: &Spanned<Ref>) -> bool {
        self.cx.graph.nodes.get_index_of(&r.value.node).is_some_and(|i| self.streamless(i))
    }

    fn stream_index(&self, name: &str) -> Option<usize> {
        self.streams.iter().position(|s| *s == name)
    }

    fn status(&self, inst: Inst) -> Status {
        let node = self.node(inst);
        if let Some(place) = &node.bypass {
            return Status::Skipped(place.clone(), format!("`{}` is bypassed", node.path));
        }
        if node.train_only && self.kind == ProgramKind::View {
            return Status::Skipped(node.place.clone(), format!("`{}` is `train_only`, and this is a view", node.path));
        }
        if let (Some(only), Some(s)) = (&node.only, inst.stream)
            && only.iter().all(|o| o.value != self.streams[s])
        {
            let names: Vec<_> = only.iter().map(|o| o.value.as_str()).collect();
            let place = only.first().map_or(&node.place, |o| &o.place).clone();
            return Status::Skipped(place, format!("`{}` is only in stream {}", node.path, names.join(", ")));
        }
        Status::Runs
    }

    /// The input that stands in for `port` where the node is bypassed: the one of the same form of type (a crop's
    /// sizes may change), or of several the one of the same name.
    fn passing(&self, inst: Inst, port: &str) -> Option<Input> {
        let c = self.contract(inst)?;
        let out = c.outputs.iter().find(|o| o.name == port)?;
        let alike = |i: &&Input| {
            let one = i.arity != Arity::Many && !i.all_streams && !i.whole_list;
            one && same_form(&i.types[0], &out.ty)
        };
        let all: Vec<&Input> = c.inputs.iter().filter(alike).collect();
        match all.as_slice() {
            [one] => Some((*one).clone()),
            many => many.iter().find(|i| i.name == port).map(|i| (*i).clone()),
        }
    }

    /// The output that is meant by `out`, past everything that is bypassed. `r` is the reference that asks for it.
    fn follow(&self, out: Out, r: &Spanned<Ref>) -> Result<Out, Option<Problem>> {
        let Status::Skipped(place, why) = self.status(out.inst) else {
            let c = self.contract(out.inst).ok_or(None)?;
            return match c.outputs.iter().any(|o| o.name == out.port) {
                true => Ok(out),
                false => Err(Some(wiring::no_port(self.node(out.inst), &c, r))),
            };
        };
        self.contract(out.inst).ok_or(None)?;
        let node = self.node(out.inst);
        let through = self.passing(out.inst, &out.port).and_then(|i| node.inputs.get(&i.name)?.first());
        match through {
            Some(r) => Ok(self.targets(r, out.inst.stream, false, false)?.remove(0)),
            None => Err(Some(
                Problem::error(format!("there is no `{}`", self.out_name(&out)))
                    .at(&r.place, "it is needed here")
                    .at(&place, why)
                    .help("a node is passed by where an input has the type of the output; this one has none such"),
            )),
        }
    }

    /// The outputs that `r` means for something in `stream`. With `spread`, a reference that names no stream means
    /// all in which it exists; with `whole`, the stream need not run here. Errors that were told before are `None`.
    pub fn targets(
        &self,
        r: &Spanned<Ref>,
        stream: Option<usize>,
        spread: bool,
        whole: bool,
    ) -> Result<Vec<Out>, Option<Problem>> {
        let Some(node) = self.cx.graph.nodes.get_index_of(&r.value.node) else {
            return Err(Some(wiring::no_node(self.cx, r)));
        };
        let out = |stream| Out { inst: Inst { node, stream }, port: r.value.port.clone() };
        let named = match &r.value.stream {
            None => None,
            Some(name) => Some(self.stream_here(name, r, whole)?),
        };
        if self.streamless(node) {
            if let Some(name) = &r.value.stream {
                let p = Problem::error(format!("`{}` exists once, and belongs to no stream", r.value.node))
                    .at(&r.place, format!("`@{name}` is one too many"))
                    .at(&self.cx.node(node).place, "all its inputs name their streams");
                return Err(Some(p.help(format!("write `{}.{}`", r.value.node, r.value.port))));
            }
            return Ok(vec![self.follow(out(None), r)?]);
        }
        if let Some(s) = named {
            return Ok(vec![self.follow(out(Some(s)), r)?]);
        }
        if let (Some(s), false) = (stream, spread) {
            return Ok(vec![self.follow(out(Some(s)), r)?]);
        }
        let here: Vec<Out> = (0..self.own).map(|s| out(Some(s))).filter(|o| self.exists(o.inst)).collect();
        if here.is_empty() {
            let p = Problem::error(format!("`{}` exists in no stream here", r.value.node)).at(&r.place, "needed here");
            return Err(Some(p));
        }
        here.into_iter().map(|o| self.follow(o, r)).collect()
    }

    fn stream_here(&self, name: &str, r: &Spanned<Ref>, whole: bool) -> Result<usize, Option<Problem>> {
        match self.stream_index(name) {
            Some(i) if i < self.own || whole => Ok(i),
            found => {
                let own = &self.streams[..self.own];
                let p = match found {
                    Some(_) => Problem::error(format!("stream `{name}` does not run in {}", self.title())),
                    None => Problem::error(format!("there is no stream `{name}`")),
                };
                let p = p.at(&r.place, format!("`{}` of stream {name} is needed", r.value.node));
                let p = match self.streams_place {
                    Some(place) => p.at(place, format!("{} runs {}", self.title(), own.join(", "))),
                    None => p,
                };
                Err(Some(match did_you_mean(name, own.iter().copied()) {
                    Some(h) => p.help(h),
                    None => p,
                }))
            }
        }
    }

    /// Whether an instance exists: neither it nor what it needs is kept out of its stream by `only`.
    fn exists(&self, inst: Inst) -> bool {
        if let Some(e) = self.exists.borrow().get(&inst) {
            return *e;
        }
        let Some(c) = self.contract(inst) else { return true };
        let node = self.node(inst);
        let there = |port: &str| {
            let spread = c.inputs.iter().any(|i| i.name == port && i.all_streams);
            node.inputs.get(port).into_iter().flatten().all(|r| self.target_exists(r, inst.stream, spread))
        };
        let answer = match self.status(inst) {
            Status::Runs => node.inputs.keys().all(|p| there(p)),
            Status::Skipped(..) => {
                let passed: Vec<Input> = c.outputs.iter().filter_map(|o| self.passing(inst, &o.name)).collect();
                passed.first().is_some_and(|i| there(&i.name))
            }
        };
        self.exists.borrow_mut().insert(inst, answer);
        answer
    }

    fn target_exists(&self, r: &Spanned<Ref>, stream: Option<usize>, spread: bool) -> bool {
        let Some(node) = self.cx.graph.nodes.get_index_of(&r.value.node) else { return true };
        if self.streamless(node) {
            return self.exists(Inst { node, stream: None });
        }
        match (&r.value.stream, stream) {
            (Some(name), _) => match self.stream_index(name) {
                Some(i) => self.exists(Inst { node, stream: Some(i) }),
                None => true,
            },
            (None, Some(s)) if !spread => self.exists(Inst { node, stream: Some(s) }),
            _ => (0..self.own).any(|s| self.exists(Inst { node, stream: Some(s) })),
        }
    }

    /// Where a loss or root names a node alone, its first output.
    pub fn with_port(&self, r: &Spanned<Ref>) -> Spanned<Ref> {
        let mut r = r.clone();
        if r.value.port.is_empty()
            && let Some(node) = self.cx.graph.nodes.get_index_of(&r.value.node)
        {
            let stream = match self.streamless(node) {
                true => None,
                false => Some(0).filter(|_| self.own > 0),
            };
            if let Some(o) = self.contract(Inst { node, stream }).and_then(|c| c.outputs.into_iter().next()) {
                r.value.port = o.name;
            }
        }
        r
    }

    /// `L = 2 in phase main (graphs/full.toml:7)`, for each of the names.
    pub fn dims_text<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let mut said: Vec<String> = vec![];
        for n in names {
            if let (Some(v), Some(place)) = (self.dims.globals.get(n), self.dim_places.get(n)) {
                let text = format!("`{n} = {v}` in {} ({})", self.title(), self.cx.at(place));
                if !said.contains(&text) {
                    said.push(text);
                }
            }
        }
        (!said.is_empty()).then(|| said.join(", "))
    }

    /// A problem with the composite around its node shown.
    pub fn inside(&self, problem: Problem, inst: Inst) -> Problem {
        inside(problem, self.node(inst))
    }
}

fn same_form(a: &TypeExpr, b: &TypeExpr) -> bool {
    a.head == b.head && a.dims.len() == b.dims.len() && a.rest == b.rest
}
