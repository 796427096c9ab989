//! From typed operations to those of a [`Graph`].

use super::graph::{Graph, Kind, Val};
use super::matrices::contract;
use crate::formula::functions::{Along, Reduce, Unary};
use crate::formula::host::Arrived;
use crate::formula::numbers::numbers;
use crate::formula::numeric::SHORTEST;
use crate::formula::parse::Binary;
use crate::formula::program::Program;
use crate::formula::typed::{Axis, Id, Op};
use anyhow::{Context, Result};
use glad_ops::elementwise::{Binary as Two, Unary as One};

/// A formula that is being lowered, for inputs of certain sizes.
#[derive(Clone)]
pub(super) struct Lowering<'p> {
    pub program: &'p Program,
    pub graph: Graph,
    /// The value of each operation; `None` where nothing needs it, or an axis has no rows.
    pub values: Vec<Option<Val>>,
}

impl<'p> Lowering<'p> {
    /// Lowers all operations that the outputs need.
    ///
    /// # Errors
    /// A value would be too large.
    pub(super) fn new(program: &'p Program, arrived: &Arrived<'_>) -> Result<Self> {
        let axes = 0..program.typed.axes.names.len();
        let mut lowering = Lowering {
            program,
            graph: Graph::new(axes.map(|a| arrived.size(a)).collect()),
            values: vec![],
        };
        let numbers = numbers(program, arrived, 0.0);
        for (id, needed) in program.needed.iter().enumerate() {
            let value = match needed {
                true => lowering.operation(id, arrived, &numbers)?,
                false => None,
            };
            lowering.values.push(value);
        }
        Ok(lowering)
    }

    /// Without axes of size 1.
    pub(super) fn longer(&self, axes: &[Axis]) -> Vec<Axis> {
        axes.iter().filter(|a| self.graph.size(**a) != 1).copied().collect()
    }

    /// The axes of an operation.
    pub(super) fn axes(&self, id: Id) -> Vec<Axis> {
        self.longer(&self.program.typed.nodes[id].axes)
    }

    /// The axes of `of` that `id` does not have.
    pub(super) fn beyond(&self, of: &[Axis], id: Id) -> Vec<Axis> {
        let own = &self.program.typed.nodes[id].axes;
        of.iter().filter(|a| !own.contains(a)).copied().collect()
    }

    /// The value of an operation.
    ///
    /// # Errors
    /// It has no rows.
    pub(super) fn value(&self, id: Id) -> Result<Val> {
        self.values[id].context("a value without rows is used as a tensor")
    }

    fn operation(&mut self, id: Id, arrived: &Arrived<'_>, numbers: &[f64]) -> Result<Option<Val>> {
        let typed = &self.program.typed;
        let node = &typed.nodes[id];
        let shape = arrived.shape(&node.axes)?;
        if shape.contains(&0) {
            return Ok(None);
        }
        if node.constant {
            return Ok(Some(match self.program.moves[id] {
                true => self.graph.add(Kind::Number(id), vec![]),
                false => self.graph.constant(numbers[id]),
            }));
        }
        let over_rows = matches!(node.op, Op::Reduce(..) | Op::Product(..) | Op::Distance(..));
        if over_rows && typed.below(id).iter().any(|b| self.values[*b].is_none()) {
            return Ok(Some(self.graph.constant(0.0)));
        }
        let axes = self.axes(id);
        Ok(Some(match &node.op {
            Op::Number(_) | Op::Size(_) | Op::Dim(_) | Op::Progress => self.graph.constant(numbers[id]),
            Op::Input(i) => self.graph.add(Kind::Input(*i), axes),
            Op::Index if axes.is_empty() => self.graph.constant(0.0),
            Op::OneHot(_) | Op::Class(..) | Op::Index => self.graph.add(Kind::Host(id), axes),
            Op::Labels(of, equal) => {
                let [a, b] = of.each_ref().map(|(i, own)| {
                    let own = self.longer(own);
                    let declared = self.longer(&typed.inputs[*i].axes);
                    let labels = self.graph.add(Kind::Labels(*i), declared.clone());
                    self.graph.renamed(labels, &declared, &own)
                });
                self.graph.binary(if *equal { Two::Equal } else { Two::NotEqual }, a, b)
            }
            Op::Renamed(of) => {
                let (value, from, to) = (self.value(*of)?, &typed.nodes[*of].axes, &node.axes);
                self.graph.renamed(value, from, to)
            }
            Op::Detach(of) => self.value(*of)?,
            Op::Unary(function, of) => {
                let of = self.value(*of)?;
                self.graph.unary(one(*function), of)
            }
            Op::Binary(Binary::Pow, x, e) => {
                let (x, e) = (self.value(*x)?, self.value(*e)?);
                self.graph.power(x, e, false)
            }
            Op::Binary(operation, a, b) => {
                let (a, b) = (self.value(*a)?, self.value(*b)?);
                self.graph.binary(two(*operation), a, b)
            }
            Op::Larger(larger, a, b) => {
                let (a, b) = (self.value(*a)?, self.value(*b)?);
                self.graph
                    .binary(if *larger { Two::Larger } else { Two::Smaller }, a, b)
            }
            Op::Where(c, a, b) => {
                let (c, a, b) = (self.value(*c)?, self.value(*a)?, self.value(*b)?);
                self.graph.select(c, a, b)
            }
            Op::Reduce(reduce, of) => {
                let (x, over) = (self.value(*of)?, self.beyond(&self.axes(*of), id));
                self.reduce(*reduce, x, &over)
            }
            Op::Along(along, of, over) => {
                let (x, over) = (self.value(*of)?, self.longer(over));
                match along {
                    Along::Softmax => self.softmax(x, &over),
                    Along::LogSoftmax => {
                        let (below, _, sum) = self.exponents(x, &over);
                        let log = self.graph.unary(One::Log, sum);
                        self.graph.difference(below, log)
                    }
                    Along::Normalize => {
                        let (_, length) = self.length(x, &over);
                        let divisor = self.divisor(length);
                        self.graph.quotient(x, divisor)
                    }
                }
            }
            Op::Product(groups, mean) => {
                let all = self.longer(&self.all_axes(groups));
                let over = self.beyond(&all, id);
                let (left, last) = self.sides(groups)?;
                let sum = contract(&mut self.graph, left, last, &over);
                self.mean(sum, &over, *mean)
            }
            Op::Distance(a, b, mean) => {
                let over = self.beyond(&self.axes(*a), id);
                let (a, b) = self.around(*a, *b)?;
                let distance = self.distance(a, b, &over);
                self.mean(distance, &over, *mean)
            }
        }))
    }

    /// A sum, or the mean.
    pub(super) fn mean(&mut self, sum: Val, over: &[Axis], mean: bool) -> Val {
        match mean {
            true => {
                let count = self.graph.elements(over) as f64;
                self.graph.scaled(sum, 1.0 / count)
            }
            false => sum,
        }
    }

    fn reduce(&mut self, reduce: Reduce, x: Val, over: &[Axis]) -> Val {
        match reduce {
            Reduce::Sum | Reduce::Mean => {
                let sum = self.graph.sum(x, over);
                self.mean(sum, over, reduce == Reduce::Mean)
            }
            Reduce::Max => self.graph.max(x, over),
            Reduce::Min => {
                let minus = self.graph.unary(One::Negative, x);
                let most = self.graph.max(minus, over);
                self.graph.unary(One::Negative, most)
            }
            Reduce::Norm => self.length(x, over).1,
            Reduce::LogSumExp => {
                let (_, most, sum) = self.exponents(x, over);
                let log = self.graph.unary(One::Log, sum);
                self.graph.sum_of(log, most)
            }
        }
    }

    /// x minus its largest number, that one, and the sum of the exponents of the first.
    fn exponents(&mut self, x: Val, over: &[Axis]) -> (Val, Val, Val) {
        let most = self.graph.max(x, over);
        let below = self.graph.difference(x, most);
        let e = self.graph.unary(One::Exp, below);
        (below, most, self.graph.sum(e, over))
    }

    pub(super) fn softmax(&mut self, x: Val, over: &[Axis]) -> Val {
        let (below, _, sum) = self.exponents(x, over);
        let e = self.graph.unary(One::Exp, below);
        self.graph.quotient(e, sum)
    }

    /// √Σx² where it is not 0, else 1; and √Σx².
    pub(super) fn length(&mut self, x: Val, over: &[Axis]) -> (Val, Val) {
        let graph = &mut self.graph;
        let squares = graph.times(x, x);
        let sum = graph.sum(squares, over);
        let zero = graph.constant(0.0);
        let none = graph.binary(Two::Equal, sum, zero);
        let sum = graph.sum_of(sum, none);
        let root = graph.unary(One::Sqrt, sum);
        (root, graph.difference(root, none))
    }

    /// What `normalize` divides by.
    pub(super) fn divisor(&mut self, length: Val) -> Val {
        let least = self.graph.constant(SHORTEST);
        self.graph.binary(Two::Larger, length, least)
    }

    /// All axes of the factors of a product.
    pub(super) fn all_axes(&self, groups: &[Vec<Id>]) -> Vec<Axis> {
        let mut all = vec![];
        for axis in groups.iter().flatten().flat_map(|f| &self.program.typed.nodes[*f].axes) {
            if !all.contains(axis) {
                all.push(*axis);
            }
        }
        all
    }

    /// The product of values, element by element.
    pub(super) fn product(&mut self, of: &[Val]) -> Val {
        let one = self.graph.constant(1.0);
        of.iter().fold(one, |all, v| self.graph.times(all, *v))
    }

    /// The product of a group's factors.
    pub(super) fn group(&mut self, factors: &[Id]) -> Result<Val> {
        let factors = factors.iter().map(|f| self.value(*f)).collect::<Result<Vec<Val>>>()?;
        Ok(self.product(&factors))
    }

    /// The product of all groups but the last, and the last.
    pub(super) fn sides(&mut self, groups: &[Vec<Id>]) -> Result<(Val, Val)> {
        let (last, before) = groups.split_last().context("a product has groups")?;
        let before = before.iter().map(|g| self.group(g)).collect::<Result<Vec<Val>>>()?;
        Ok((self.product(&before), self.group(last)?))
    }

    /// Two values around the mean of the first over the axes that the second does not have.
    pub(super) fn around(&mut self, a: Id, b: Id) -> Result<(Val, Val)> {
        let own = self.beyond(&self.axes(a), b);
        let (a, b) = (self.value(a)?, self.value(b)?);
        let sum = self.graph.sum(a, &own);
        let centre = self.mean(sum, &own, true);
        Ok((self.graph.difference(a, centre), self.graph.difference(b, centre)))
    }

    /// The sum of `(a − b)²` from squares and products, not below 0.
    pub(super) fn distance(&mut self, a: Val, b: Val, over: &[Axis]) -> Val {
        let graph = &mut self.graph;
        let [aa, bb] = [a, b].map(|x| {
            let squares = graph.times(x, x);
            graph.sum(squares, over)
        });
        let ab = contract(graph, a, b, over);
        let (sum, twice) = (graph.sum_of(aa, bb), graph.scaled(ab, 2.0));
        let distance = graph.difference(sum, twice);
        graph.unary(One::Relu, distance)
    }
}

fn one(function: Unary) -> One {
    match function {
        Unary::Exp => One::Exp,
        Unary::Log => One::Log,
        Unary::Sqrt => One::Sqrt,
        Unary::Abs => One::Abs,
        Unary::Relu => One::Relu,
        Unary::Sigmoid => One::Sigmoid,
        Unary::LogSigmoid => One::LogSigmoid,
        Unary::Softplus => One::Softplus,
        Unary::Tanh => One::Tanh,
        Unary::Negative => One::Negative,
        Unary::Not => One::Not,
    }
}

/// The function of an operator; of truth values `and` is the product and `or` the larger. Powers have an operation of
/// their own.
fn two(operation: Binary) -> Two {
    match operation {
        Binary::Add => Two::Add,
        Binary::Sub => Two::Sub,
        Binary::Mul | Binary::And | Binary::Pow => Two::Mul,
        Binary::Div => Two::Div,
        Binary::Or => Two::Larger,
        Binary::Less => Two::Less,
        Binary::LessEqual => Two::LessEqual,
        Binary::Greater => Two::Greater,
        Binary::GreaterEqual => Two::GreaterEqual,
        Binary::Equal => Two::Equal,
        Binary::NotEqual => Two::NotEqual,
    }
}
