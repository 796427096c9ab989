//! One phase or view before it is typed: its streams and sizes, and which nodes exist in it, once or per stream.

use super::cx::{Cx, inside};
use super::params::{self, Parsed};
use super::refresh::{AllLeft, Refreshed};
use crate::diag::{Place, Problem, Spanned};
use crate::graph::{NodeDef, PhaseDef, Ref, ViewDef};
use crate::program::ProgramKind;
use crate::tree::Tree;
use glad_nodes::{Contract, DimScope, Side, Wiring};
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
    /// The instance.
    pub inst: Inst,
    /// The port.
    pub port: String,
}

/// A phase or view with the graph around it.
pub(super) struct Scene<'c, 'g> {
    /// The context shared by all checks.
    pub cx: &'c Cx<'g>,
    /// Its name.
    pub name: &'g str,
    /// Whether it trains.
    pub kind: ProgramKind,
    /// Where it was written.
    pub place: &'g Place,
    /// The streams that it may use, in order, and after them those of which it may only use whole lists.
    pub streams: Vec<&'g str>,
    /// How many of `streams` run here.
    pub own: usize,
    /// Where the streams were written.
    pub streams_place: Option<&'g Place>,
    /// The split that it reads.
    pub split: &'g Spanned<String>,
    /// Videos per stream in one forward pass, the most where streams differ, and where that was written.
    pub batch: (usize, &'g Place),
    /// Sizes.
    pub dims: DimScope,
    /// Where the sizes were written.
    pub dim_places: BTreeMap<&'g str, &'g Place>,
    /// The view that the phase's `refresh` runs.
    pub refresh: Option<Refreshed<'c, 'g>>,
    overrides: &'g IndexMap<String, Spanned<IndexMap<String, Tree>>>,
    parsed: RefCell<HashMap<Inst, Option<Rc<Parsed<'g>>>>>,
    contracts: RefCell<HashMap<Inst, Option<Rc<Contract>>>>,
    streamless: RefCell<HashMap<usize, bool>>,
    /// Results of [`Scene::exists`], cached.
    pub exists: RefCell<HashMap<Inst, bool>>,
}

/// The default batch of a view, in videos per stream.
const VIEW_BATCH: usize = 8;

impl<'c, 'g> Scene<'c, 'g> {
    /// The scene of a phase.
    pub(super) fn of_phase(
        cx: &'c Cx<'g>,
        p: &'g PhaseDef,
        refresh: Option<(&'g Spanned<String>, Option<&'c AllLeft<'g>>)>,
    ) -> Self {
        let scene = Scene::new(
            cx,
            &p.name,
            ProgramKind::Phase,
            &p.place,
            (&p.streams, &p.split),
            p.micro_batch
                .as_ref()
                .map_or((p.batch.value.largest(), &p.batch.place), |m| {
                    (m.value.largest(), &m.place)
                }),
            &p.dims,
            &p.nodes,
        );
        let refresh = refresh.map(|(view, left)| Refreshed { view, left });
        Scene { refresh, ..scene }
    }

    /// The scene of a view.
    pub(super) fn of_view(cx: &'c Cx<'g>, v: &'g ViewDef) -> Self {
        Scene::new(
            cx,
            &v.name,
            ProgramKind::View,
            &v.place,
            (&v.streams, &v.split),
            v.batch.as_ref().map_or((VIEW_BATCH, &v.place), |b| (b.value, &b.place)),
            &v.dims,
            &v.nodes,
        )
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "what phases and views have in common, one by one"
    )]
    fn new(
        cx: &'c Cx<'g>,
        name: &'g str,
        kind: ProgramKind,
        place: &'g Place,
        (streams, split): (&'g Option<Vec<Spanned<String>>>, &'g Spanned<String>),
        batch: (usize, &'g Place),
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
            batch,
            dims: scope,
            dim_places,
            refresh: None,
            overrides,
            parsed: RefCell::default(),
            contracts: RefCell::default(),
            streamless: RefCell::default(),
            exists: RefCell::default(),
        }
    }

    /// `phase main`.
    pub(super) fn title(&self) -> String {
        match self.kind {
            ProgramKind::Phase => format!("phase {}", self.name),
            ProgramKind::View => format!("view {}", self.name),
        }
    }

    /// Reports a problem of this phase or view.
    pub(super) fn push(&self, problem: Problem) {
        self.cx.sink.borrow_mut().push_in(&self.title(), problem);
    }

    /// The node of an instance.
    pub(super) fn node(&self, inst: Inst) -> &'g NodeDef {
        self.cx.node(inst.node)
    }

    /// `node.port`, or `node.port@stream`.
    pub(super) fn out_name(&self, out: &Out) -> String {
        let node = &self.node(out.inst).path;
        match out.inst.stream {
            Some(s) => format!("{node}.{}@{}", out.port, self.streams[s]),
            None => format!("{node}.{}", out.port),
        }
    }

    /// The node with the parameters that it has here; `None` where they are wrong (already reported).
    pub(super) fn parsed(&self, inst: Inst) -> Option<Rc<Parsed<'g>>> {
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
    pub(super) fn contract_with(&self, inst: Inst, wiring: &Wiring) -> Option<Contract> {
        if self.cx.broken.borrow().contains(&self.node(inst).path) {
            return None;
        }
        Some(self.parsed(inst)?.node.contract(wiring))
    }

    /// The contract of an instance, from its references alone.
    pub(super) fn contract(&self, inst: Inst) -> Option<Rc<Contract>> {
        if let Some(c) = self.contracts.borrow().get(&inst) {
            return c.clone();
        }
        let c = self
            .contract_with(inst, &Cx::plain_wiring(self.node(inst)))
            .map(Rc::new);
        self.contracts.borrow_mut().insert(inst, c.clone());
        c
    }

    /// Whether the node exists once and belongs to no stream: all its inputs name a stream, or come from nodes of no
    /// stream, or enter through ports that accept all streams.
    pub(super) fn streamless(&self, index: usize) -> bool {
        if let Some(s) = self.streamless.borrow().get(&index) {
            return *s;
        }
        let node = self.cx.node(index);
        // References without a stream must enter through ports that accept all streams; which ports these are may
        // depend on parameters, and those on the stream: any stream's will do.
        let open: Vec<&str> = node
            .inputs
            .iter()
            .filter(|(_, refs)| {
                refs.iter()
                    .any(|r| r.value.stream.is_none() && !self.needs_no_stream(r))
            })
            .map(|(port, _)| port.as_str())
            .collect();
        let sample = Inst {
            node: index,
            stream: node.per_stream.keys().find_map(|s| self.stream_index(s)),
        };
        let contract = self.contract(sample);
        let takes_all = |port: &str| {
            contract
                .as_ref()
                .is_some_and(|c| c.inputs.iter().any(|i| i.name == port && i.all_streams))
        };
        let is_source = contract
            .as_ref()
            .is_none_or(|c| c.inputs.is_empty() && c.side == Side::Host);
        let answer = match node.inputs.values().all(Vec::is_empty) {
            true => !is_source,
            false => open.into_iter().all(takes_all),
        };
        self.streamless.borrow_mut().insert(index, answer);
        answer
    }

    fn needs_no_stream(&self, r: &Spanned<Ref>) -> bool {
        self.cx
            .graph
            .nodes
            .get_index_of(&r.value.node)
            .is_some_and(|i| self.streamless(i))
    }

    /// Whether the outputs of an instance are rows that a pass over a list left, and not computed in a step.
    pub(super) fn is_kept(&self, inst: Inst) -> bool {
        self.kind == ProgramKind::Phase && self.contract(inst).is_some_and(|c| c.over_list)
    }

    /// The index of a stream.
    pub(super) fn stream_index(&self, name: &str) -> Option<usize> {
        self.streams.iter().position(|s| *s == name)
    }

    /// `G = 0, L = 3 in phase main (graphs/full.toml:7)`, for the names that exist.
    pub(super) fn dims_text<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let mut by_line: IndexMap<String, Vec<String>> = IndexMap::new();
        for n in names {
            if let (Some(v), Some(place)) = (self.dims.globals.get(n), self.dim_places.get(n)) {
                by_line.entry(self.cx.at(place)).or_default().push(format!("{n} = {v}"));
            }
        }
        let parts = by_line
            .iter()
            .map(|(at, d)| format!("{} in {} ({at})", d.join(", "), self.title()));
        let text = parts.collect::<Vec<_>>().join("; ");
        (!text.is_empty()).then_some(text)
    }

    /// A problem, with the composite around its node shown.
    pub(super) fn inside(&self, problem: Problem, inst: Inst) -> Problem {
        inside(problem, self.node(inst))
    }
}
