//! Operations on values with named axes, as few kinds of them as loops and products of matrices need. Equal operations exist
//! once, so what several formulas and gradients have in common is computed once.
//!
//! A value may lack axes that its formula has: its numbers are then the same along them. Axes of size 1 are left out always.

use crate::formula::typed::{Axis, Id};
use crate::op::matmul::Form;
use glad_ops::elementwise::{Binary, Unary};
use std::collections::HashMap;

/// A value, by its place in [`Graph::nodes`]. It comes after those that it is made of.
pub(super) type Val = usize;

/// Where a value comes from. Numbers are kept as bits, so that kinds can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// An input, by its place.
    Input(usize),
    /// The labels of an input as numbers.
    Labels(usize),
    /// What the host makes for this operation of the formula.
    Host(Id),
    /// The gradient that arrives for this output.
    Given(usize),
    /// This f64.
    Constant(u64),
    /// The number of this operation of the formula, which changes from step to step.
    Number(Id),
    /// The same numbers under other axes, or under the same in another order or with more (`true`: they are copied).
    Same(Val, bool),
    Unary(Unary, Val),
    Binary(Binary, Val, Val),
    /// The second where the first is 1, else the third.
    Select(Val, Val, Val),
    /// The first to the power of a number, or its derivative (`true`).
    Power(Val, Val, bool),
    /// The sum over the axes that the value does not have any more.
    Sum(Val),
    /// The largest along these axes.
    Max(Val),
    /// A product of matrices, with its sizes.
    Product(Form, [usize; 4], Val, Val),
}

/// A value and the axes that its numbers are ordered by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub kind: Kind,
    pub axes: Vec<Axis>,
}

/// All values.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    known: HashMap<Node, Val>,
    /// The size of each axis.
    sizes: Vec<usize>,
}

impl Graph {
    /// No values yet; axes have these sizes.
    pub(super) fn new(sizes: Vec<usize>) -> Graph {
        Graph {
            nodes: vec![],
            known: HashMap::new(),
            sizes,
        }
    }

    /// A value.
    pub(super) fn add(&mut self, kind: Kind, axes: Vec<Axis>) -> Val {
        let node = Node { kind, axes };
        if let Some(found) = self.known.get(&node) {
            return *found;
        }
        self.known.insert(node.clone(), self.nodes.len());
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn axes(&self, of: Val) -> &[Axis] {
        &self.nodes[of].axes
    }

    pub(super) fn size(&self, axis: Axis) -> usize {
        self.sizes[axis]
    }

    /// The number of elements along these axes.
    pub(super) fn elements(&self, axes: &[Axis]) -> usize {
        axes.iter().map(|a| self.size(*a)).product()
    }

    pub(super) fn constant(&mut self, x: f64) -> Val {
        self.add(Kind::Constant(x.to_bits()), vec![])
    }

    /// The number that a value is, if it is the same in every step.
    pub(super) fn as_constant(&self, of: Val) -> Option<f64> {
        match self.nodes[of].kind {
            Kind::Constant(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    pub(super) fn unary(&mut self, f: Unary, x: Val) -> Val {
        let axes = self.axes(x).to_vec();
        self.add(Kind::Unary(f, x), axes)
    }

    pub(super) fn binary(&mut self, f: Binary, a: Val, b: Val) -> Val {
        match (f, self.as_constant(a), self.as_constant(b)) {
            (Binary::Add, Some(x), Some(y)) => return self.constant(x + y),
            (Binary::Sub, Some(x), Some(y)) => return self.constant(x - y),
            (Binary::Mul, Some(x), Some(y)) => return self.constant(x * y),
            (Binary::Div, Some(x), Some(y)) => return self.constant(x / y),
            (Binary::Add | Binary::Sub, _, Some(0.0)) | (Binary::Mul | Binary::Div, _, Some(1.0)) => return a,
            (Binary::Add, Some(0.0), _) | (Binary::Mul, Some(1.0), _) => return b,
            _ => {}
        }
        let axes = self.union(&[a, b]);
        self.add(Kind::Binary(f, a, b), axes)
    }

    pub(super) fn sum_of(&mut self, a: Val, b: Val) -> Val {
        self.binary(Binary::Add, a, b)
    }

    pub(super) fn difference(&mut self, a: Val, b: Val) -> Val {
        self.binary(Binary::Sub, a, b)
    }

    pub(super) fn times(&mut self, a: Val, b: Val) -> Val {
        self.binary(Binary::Mul, a, b)
    }

    pub(super) fn quotient(&mut self, a: Val, b: Val) -> Val {
        self.binary(Binary::Div, a, b)
    }

    pub(super) fn scaled(&mut self, x: Val, by: f64) -> Val {
        let by = self.constant(by);
        self.times(x, by)
    }

    pub(super) fn select(&mut self, c: Val, a: Val, b: Val) -> Val {
        let axes = self.union(&[c, a, b]);
        self.add(Kind::Select(c, a, b), axes)
    }

    /// xᵉ, or its derivative.
    pub(super) fn power(&mut self, x: Val, e: Val, slope: bool) -> Val {
        match (self.as_constant(e), slope) {
            (Some(1.0), false) => x,
            (Some(0.0), false) | (Some(1.0), true) => self.constant(1.0),
            (Some(0.0), true) => self.constant(0.0),
            (Some(2.0), false) => self.times(x, x),
            (Some(2.0), true) => self.scaled(x, 2.0),
            (Some(0.5), false) => self.unary(Unary::Sqrt, x),
            (Some(0.5), true) => {
                let (half, root) = (self.constant(0.5), self.unary(Unary::Sqrt, x));
                self.quotient(half, root)
            }
            (Some(-1.0), false) => {
                let one = self.constant(1.0);
                self.quotient(one, x)
            }
            _ => {
                let axes = self.axes(x).to_vec();
                self.add(Kind::Power(x, e, slope), axes)
            }
        }
    }

    /// The sum over `over`, of which the value may lack some.
    pub(super) fn sum(&mut self, x: Val, over: &[Axis]) -> Val {
        let (own, left) = self.without(x, over);
        let lacks: Vec<Axis> = over.iter().filter(|a| !self.axes(x).contains(a)).copied().collect();
        let sum = match own {
            true => self.add(Kind::Sum(x), left),
            false => x,
        };
        self.scaled(sum, self.elements(&lacks) as f64)
    }

    /// The largest along `over`.
    pub(super) fn max(&mut self, x: Val, over: &[Axis]) -> Val {
        match self.without(x, over) {
            (true, left) => self.add(Kind::Max(x), left),
            (false, _) => x,
        }
    }

    /// Whether a value has any of the axes `over`, and its other axes.
    fn without(&self, x: Val, over: &[Axis]) -> (bool, Vec<Axis>) {
        let (own, left): (Vec<Axis>, Vec<Axis>) = self.axes(x).iter().partition(|a| over.contains(a));
        (!own.is_empty(), left)
    }

    /// With the axes `from` under the names `to`.
    pub(super) fn renamed(&mut self, x: Val, from: &[Axis], to: &[Axis]) -> Val {
        let new = |a: &Axis| from.iter().position(|f| f == a).map_or(*a, |i| to[i]);
        let axes: Vec<Axis> = self.axes(x).iter().map(new).collect();
        match axes == self.axes(x) {
            true => x,
            false => self.add(Kind::Same(self.storage(x), false), axes),
        }
    }

    /// With exactly these axes in this order.
    pub(super) fn ordered(&mut self, x: Val, axes: &[Axis]) -> Val {
        match self.axes(x) == axes {
            true => x,
            false => self.add(Kind::Same(x, true), axes.to_vec()),
        }
    }

    /// The value that holds the numbers of this one.
    pub(super) fn storage(&self, of: Val) -> Val {
        match self.nodes[of].kind {
            Kind::Same(x, false) => self.storage(x),
            _ => of,
        }
    }

    /// What a value is made of.
    pub(super) fn below(&self, of: Val) -> Vec<Val> {
        match self.nodes[of].kind {
            Kind::Input(_) | Kind::Labels(_) | Kind::Host(_) | Kind::Given(_) | Kind::Constant(_) | Kind::Number(_) => {
                vec![]
            }
            Kind::Same(x, _) | Kind::Unary(_, x) | Kind::Power(x, _, _) | Kind::Sum(x) | Kind::Max(x) => vec![x],
            Kind::Binary(_, a, b) | Kind::Product(_, _, a, b) => vec![a, b],
            Kind::Select(c, a, b) => vec![c, a, b],
        }
    }

    /// All axes of some values, those of the one with most of them first.
    fn union(&self, of: &[Val]) -> Vec<Axis> {
        let most = of
            .iter()
            .map(|v| self.axes(*v))
            .reduce(|most, axes| match axes.len() > most.len() {
                true => axes,
                false => most,
            });
        let mut axes = most.unwrap_or_default().to_vec();
        for axis in of.iter().flat_map(|v| self.axes(*v)) {
            if !axes.contains(axis) {
                axes.push(*axis);
            }
        }
        axes
    }
}
