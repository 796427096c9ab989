//! The order in which values are computed: loops over all elements of some axes, each for as many operations as it can hold,
//! and products of matrices between them.

use super::access::Access;
use super::graph::{Graph, Kind, Val};
use crate::formula::typed::Axis;
use crate::op::matmul::Form;
use glad_ops::elementwise::{Binary, Unary};
use std::collections::{BTreeMap, BTreeSet};

/// Operations of one loop: their numbers should stay in the first-level cache.
const MOST_OPERATIONS: usize = 48;

/// Where an operation of a loop finds its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// What the loop has read or computed, by its place.
    Register(usize),
    /// A value whose numbers are those of the loop, in their order.
    Whole(Val),
}

/// An exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Exponent {
    Constant(f64),
    /// That of this value in this step.
    Number(Val),
}

/// An operation of a loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Instruction {
    Same(Arg),
    Unary(Unary, Arg),
    Binary(Binary, Arg, Arg),
    Select(Arg, Arg, Arg),
    /// A power, or its derivative (`true`).
    Power(Arg, Exponent, bool),
}

/// A sum, or the largest number (`true`), over some axes of a loop.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fold {
    pub of: Arg,
    pub largest: bool,
    /// Where the loop's elements go.
    pub access: Access,
    /// Numbers of the result.
    pub len: usize,
    pub to: Val,
}

/// A loop over the elements of some axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Loop {
    pub len: usize,
    /// What is read at each place, into the first registers; single numbers once.
    pub reads: Vec<(Val, Access)>,
    /// What is computed, into the next registers.
    pub body: Vec<Instruction>,
    /// Registers that are kept as values.
    pub stores: Vec<(usize, Val)>,
    pub folds: Vec<Fold>,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work {
    Loop(Loop),
    Product(Form, [usize; 4], Val, Val, Val),
}

/// What is done, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Each with the values that nothing needs after it.
    pub steps: Vec<(Work, Vec<Val>)>,
    /// The values that it reads and does not compute, constants left out.
    pub sources: Vec<Val>,
}

/// A step that is being filled.
enum Draft {
    Loop {
        over: Vec<Axis>,
        of: Vec<Val>,
    },
    /// With the two values that it reads.
    Product(Work, [Val; 2]),
}

/// What makes a plan.
struct Planner<'g> {
    graph: &'g Graph,
    drafts: Vec<Draft>,
    /// The step that computes a value.
    step: BTreeMap<Val, usize>,
    sources: BTreeSet<Val>,
    /// Values that have numbers of their own after their step.
    stored: BTreeSet<Val>,
}

impl Plan {
    /// How to compute `targets`, where the values `known` are there already.
    pub(super) fn new(graph: &Graph, targets: &[Val], known: &BTreeSet<Val>) -> Plan {
        let mut needed = vec![false; graph.nodes.len()];
        targets.iter().for_each(|v| needed[*v] = true);
        for v in (0..needed.len()).rev().filter(|v| !known.contains(v)) {
            if needed[v] {
                graph.below(v).into_iter().for_each(|b| needed[b] = true);
            }
        }
        let mut planner = Planner {
            graph,
            drafts: vec![],
            step: BTreeMap::new(),
            sources: BTreeSet::new(),
            stored: targets.iter().map(|v| graph.storage(*v)).collect(),
        };
        for v in (0..needed.len()).filter(|v| needed[*v]) {
            match known.contains(&v) {
                true => {
                    planner.sources.insert(v);
                }
                false => planner.place(v),
            }
        }
        planner.sink();
        planner.store();
        planner.finish(targets)
    }
}

impl Planner<'_> {
    /// Puts a value into the first step that can compute it.
    fn place(&mut self, v: Val) {
        let over = match &self.graph.nodes[v].kind {
            Kind::Input(_) | Kind::Labels(_) | Kind::Host(_) | Kind::Given(_) => {
                self.sources.insert(v);
                return;
            }
            Kind::Constant(_) | Kind::Number(_) | Kind::Same(_, false) => return,
            Kind::Product(form, sizes, a, b) => {
                let of = [*a, *b].map(|v| self.graph.storage(v));
                self.step.insert(v, self.drafts.len());
                let work = Work::Product(*form, *sizes, of[0], of[1], v);
                self.drafts.push(Draft::Product(work, of));
                return;
            }
            Kind::Sum(x) | Kind::Max(x) => self.graph.axes(*x).to_vec(),
            _ => self.graph.axes(v).to_vec(),
        };
        let first = self
            .graph
            .below(v)
            .into_iter()
            .map(|b| self.after(b, &over))
            .max()
            .unwrap_or(0);
        let fits = |draft: &Draft| match draft {
            Draft::Loop { over: own, of } => *own == over && of.len() < MOST_OPERATIONS,
            Draft::Product(..) => false,
        };
        let found = (first..self.drafts.len()).find(|i| fits(&self.drafts[*i]));
        let step = found.unwrap_or(self.drafts.len());
        if found.is_none() {
            self.drafts.push(Draft::Loop {
                over: over.clone(),
                of: vec![],
            });
        }
        if let Draft::Loop { of, .. } = &mut self.drafts[step] {
            of.push(v);
        }
        self.step.insert(v, step);
    }

    /// Whether a loop can use a value that it computes, before it is complete.
    fn inside(&self, v: Val, step: usize, over: &[Axis]) -> bool {
        let of_elements = !matches!(
            self.graph.nodes[v].kind,
            Kind::Sum(_) | Kind::Max(_) | Kind::Product(..)
        );
        self.step.get(&v) == Some(&step) && of_elements && self.graph.axes(v) == over
    }

    /// The first step of a loop over `over` that can use a value.
    fn after(&self, v: Val, over: &[Axis]) -> usize {
        match self.step.get(&self.graph.storage(v)) {
            None => 0,
            Some(step) if self.inside(v, *step, over) => *step,
            Some(step) => step + 1,
        }
    }

    /// Moves loops into later ones over the same axes where nothing between needs them: what only the later one uses is then
    /// never stored.
    fn sink(&mut self) {
        let users = self.users();
        for i in (0..self.drafts.len()).rev() {
            let Draft::Loop { over, of } = &self.drafts[i] else {
                continue;
            };
            let uses = of.iter().flat_map(|v| users.get(v).into_iter().flatten());
            let elsewhere = uses.filter(|(user, _)| self.step[user] != i);
            let last = elsewhere.map(|(user, used)| match self.over(*user) {
                Some(over) if self.inside(*used, i, over) => self.step[user],
                _ => self.step[user] - 1,
            });
            let last = last.min().unwrap_or(self.drafts.len() - 1);
            let fits = |draft: &Draft| match draft {
                Draft::Loop { over: own, of: later } => own == over && of.len() + later.len() <= MOST_OPERATIONS,
                Draft::Product(..) => false,
            };
            let Some(into) = (i + 1..=last).find(|j| fits(&self.drafts[*j])) else {
                continue;
            };
            let moved = match &mut self.drafts[i] {
                Draft::Loop { of, .. } => std::mem::take(of),
                Draft::Product(..) => vec![],
            };
            moved.iter().for_each(|v| {
                self.step.insert(*v, into);
            });
            if let Draft::Loop { of, .. } = &mut self.drafts[into] {
                of.extend(moved);
                of.sort_unstable();
            }
        }
    }

    /// The values that use each one, and under which place.
    fn users(&self) -> BTreeMap<Val, Vec<(Val, Val)>> {
        let mut users: BTreeMap<Val, Vec<(Val, Val)>> = BTreeMap::new();
        for user in self.step.keys() {
            for used in self.graph.below(*user) {
                users.entry(self.graph.storage(used)).or_default().push((*user, used));
            }
        }
        users
    }

    /// The axes of the loop that a value is in.
    fn over(&self, v: Val) -> Option<&[Axis]> {
        match self.drafts.get(*self.step.get(&v)?)? {
            Draft::Loop { over, .. } => Some(over),
            Draft::Product(..) => None,
        }
    }

    /// Finds the values that other steps than their own use.
    fn store(&mut self) {
        for (v, step) in &self.step {
            for b in self.graph.below(*v) {
                if !self.over(*v).is_some_and(|over| self.inside(b, *step, over)) {
                    self.stored.insert(self.graph.storage(b));
                }
            }
        }
    }

    fn finish(self, targets: &[Val]) -> Plan {
        let mut plan = Plan::default();
        let mut last: BTreeMap<Val, usize> = BTreeMap::new();
        let empty = |draft: &Draft| matches!(draft, Draft::Loop { of, .. } if of.is_empty());
        for (i, draft) in self.drafts.iter().enumerate().filter(|(_, d)| !empty(d)) {
            let (work, reads) = match draft {
                Draft::Product(work, of) => (work.clone(), of.to_vec()),
                Draft::Loop { over, of } => self.of_loop(i, over, of),
            };
            reads.into_iter().for_each(|v| {
                last.insert(self.graph.storage(v), plan.steps.len());
            });
            plan.steps.push((work, vec![]));
        }
        let targets: BTreeSet<Val> = targets.iter().map(|v| self.graph.storage(*v)).collect();
        let computed = |v: &Val| self.step.contains_key(v) && !targets.contains(v);
        for (v, i) in last.into_iter().filter(|(v, _)| computed(v)) {
            plan.steps[i].1.push(v);
        }
        plan.sources = self.sources.into_iter().collect();
        plan
    }

    /// A loop, and the values that it reads.
    fn of_loop(&self, step: usize, over: &[Axis], of: &[Val]) -> (Work, Vec<Val>) {
        let graph = self.graph;
        let mut done = Loop {
            len: graph.elements(over),
            ..Loop::default()
        };
        // What is read, with the axes that it has here.
        let mut whole: Vec<Val> = vec![];
        let mut read: Vec<Val> = vec![];
        for v in of
            .iter()
            .flat_map(|v| graph.below(*v))
            .filter(|v| !self.inside(*v, step, over))
        {
            let access = Access::new(graph, graph.axes(v), over);
            if access.is_whole() && !self.is_number(v) {
                whole.push(v);
            } else if !read.contains(&v) {
                read.push(v);
                done.reads.push((graph.storage(v), access));
            }
        }
        let computed: Vec<Val> = of.iter().filter(|v| self.inside(**v, step, over)).copied().collect();
        let arg = |v: Val| {
            let before = read.iter().chain(&computed).position(|r| *r == v);
            before.map_or(Arg::Whole(graph.storage(v)), Arg::Register)
        };
        for v in of {
            let instruction = match graph.nodes[*v].kind {
                Kind::Same(x, _) => Instruction::Same(arg(x)),
                Kind::Unary(f, x) => Instruction::Unary(f, arg(x)),
                Kind::Binary(f, a, b) => Instruction::Binary(f, arg(a), arg(b)),
                Kind::Select(c, a, b) => Instruction::Select(arg(c), arg(a), arg(b)),
                Kind::Power(x, e, slope) => {
                    let e = graph.as_constant(e).map_or(Exponent::Number(e), Exponent::Constant);
                    Instruction::Power(arg(x), e, slope)
                }
                Kind::Sum(x) | Kind::Max(x) => {
                    done.folds.push(Fold {
                        of: arg(x),
                        largest: matches!(graph.nodes[*v].kind, Kind::Max(_)),
                        access: Access::new(graph, graph.axes(*v), over),
                        len: graph.elements(graph.axes(*v)),
                        to: *v,
                    });
                    continue;
                }
                _ => continue,
            };
            if self.stored.contains(v) {
                done.stores.push((read.len() + done.body.len(), *v));
            }
            done.body.push(instruction);
        }
        let reads = whole.into_iter().chain(read).filter(|v| !self.is_number(*v)).collect();
        (Work::Loop(done), reads)
    }

    fn is_number(&self, v: Val) -> bool {
        matches!(self.graph.nodes[v].kind, Kind::Constant(_) | Kind::Number(_))
    }
}
