//! A formula after typing: operations on values with named axes, each after those that it uses.

use super::fault::Span;
use super::functions::{Along, Reduce, Unary};
use super::parse::Binary;

/// An operation, by its place in [`Typed::nodes`].
pub(super) type Id = usize;
/// The name of an axis, by its place in [`Axes::names`].
pub(super) type Axis = usize;

/// What an operation is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// A number of the text, or of `params`.
    Number(f64),
    /// The size of an axis.
    Size(Axis),
    /// One of the graph's `dims`.
    Dim(String),
    /// The share of the phase that is done.
    Progress,
    /// An input, by its place among them.
    Input(usize),
    /// The classes of an input of labels: 1 at the label, 0 elsewhere.
    OneHot(usize),
    /// Whether the labels of two inputs, under these axes, are equal (`true`) or differ.
    Labels([(usize, Vec<Axis>); 2], bool),
    /// Whether the labels of an input, under these axes, are of this class (`true`) or of another.
    Class(usize, Vec<Axis>, Id, bool),
    /// 0, 1, 2, … along the axis.
    Index,
    /// The same numbers under other axes.
    Renamed(Id),
    /// The same numbers without a gradient.
    Detach(Id),
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    /// The larger (`true`) or smaller of two.
    Larger(bool, Id, Id),
    Where(Id, Id, Id),
    /// Over the axes that the operation does not have any more.
    Reduce(Reduce, Id),
    /// Along these axes.
    Along(Along, Id, Vec<Axis>),
    /// The sum (or mean, `true`) of a product of groups of factors, of which none has all axes.
    Product(Vec<Vec<Id>>, bool),
    /// The sum (or mean, `true`) of the squared differences of two values that each have an axis of their own.
    Distance(Id, Id, bool),
}

/// An operation with its type.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub op: Op,
    /// The axes of its value, in order.
    pub axes: Vec<Axis>,
    /// Whether it is true or false: 1 or 0 in arithmetic.
    pub truth: bool,
    /// Whether it is a number that no input has to do with.
    pub constant: bool,
    /// Whether a gradient goes through it to an input.
    pub differentiable: bool,
    /// Operations below one another, up to this one.
    pub depth: usize,
    /// The text that it is in, and where.
    pub text: usize,
    pub span: Span,
}

/// An axis: its name, and the declared axis whose size it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AxisName {
    pub name: String,
    pub of: Axis,
}

/// The axes of a formula. The declared ones have their own size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Axes {
    pub names: Vec<AxisName>,
}

impl Axes {
    /// The axis of this name.
    pub(super) fn find(&self, name: &str) -> Option<Axis> {
        self.names.iter().position(|a| a.name == name)
    }

    /// The name of an axis.
    pub(super) fn name(&self, axis: Axis) -> &str {
        &self.names[axis].name
    }

    /// The declared axis that it has the size of.
    pub(super) fn of(&self, axis: Axis) -> Axis {
        self.names[axis].of
    }

    /// The axis of this name, which is declared here if it is new.
    pub(super) fn declare(&mut self, name: &str) -> Axis {
        self.find(name).unwrap_or_else(|| self.add(name, self.names.len()))
    }

    /// Adds a name for an axis with the size of `of`.
    pub(super) fn add(&mut self, name: &str, of: Axis) -> Axis {
        let of = self.names.get(of).map_or(of, |a| a.of);
        self.names.push(AxisName { name: name.into(), of });
        self.names.len() - 1
    }

    /// `[n,d]`
    pub(super) fn show(&self, axes: &[Axis]) -> String {
        let names: Vec<&str> = axes.iter().map(|a| self.name(*a)).collect();
        format!("[{}]", names.join(","))
    }
}

/// An input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub name: String,
    /// What it has to be, where that is stated.
    pub head: Option<String>,
    pub axes: Vec<Axis>,
}

impl Input {
    /// Whether it is of labels.
    pub(super) fn is_label(&self) -> bool {
        self.head.as_deref() == Some("Label")
    }

    /// Whether it is a mask of rows.
    pub(super) fn is_mask(&self) -> bool {
        self.head.as_deref() == Some("Mask")
    }
}

/// An output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub name: String,
    pub head: String,
    pub axes: Vec<Axis>,
    pub value: Id,
}

/// A name of `let`, or an output, and its value, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// The parameter that its text is.
    pub path: String,
    pub text: String,
    pub value: Option<Id>,
}

/// A node's formulas, typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Typed {
    pub axes: Axes,
    pub inputs: Vec<Input>,
    pub nodes: Vec<Node>,
    pub outputs: Vec<Output>,
    /// All texts, by their number in [`Node::text`].
    pub texts: Vec<Named>,
    /// Names of `let` and `params` that nothing uses, as paths.
    pub unused: Vec<String>,
}

impl Typed {
    /// Which operations the outputs need.
    pub(super) fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        self.outputs.iter().for_each(|o| needed[o.value] = true);
        for id in (0..self.nodes.len()).rev() {
            if needed[id] {
                self.below(id).into_iter().for_each(|b| needed[b] = true);
            }
        }
        needed
    }

    /// The operations that an operation uses.
    pub(super) fn below(&self, id: Id) -> Vec<Id> {
        match &self.nodes[id].op {
            Op::Number(_) | Op::Size(_) | Op::Dim(_) | Op::Progress => vec![],
            Op::Input(_) | Op::OneHot(_) | Op::Labels(..) | Op::Index => vec![],
            Op::Class(_, _, a, _)
            | Op::Renamed(a)
            | Op::Detach(a)
            | Op::Unary(_, a)
            | Op::Reduce(_, a)
            | Op::Along(_, a, _) => vec![*a],
            Op::Binary(_, a, b) | Op::Larger(_, a, b) | Op::Distance(a, b, _) => vec![*a, *b],
            Op::Where(c, a, b) => vec![*c, *a, *b],
            Op::Product(groups, _) => groups.concat(),
        }
    }

    /// The inputs of which an operation reads the values.
    pub(super) fn reads(&self, id: Id) -> Vec<usize> {
        match &self.nodes[id].op {
            Op::Input(i) | Op::OneHot(i) => vec![*i],
            Op::Class(i, ..) => vec![*i],
            Op::Labels(of, _) => of.iter().map(|(i, _)| *i).collect(),
            _ => vec![],
        }
    }

    /// For each input whether a gradient goes to it.
    pub(super) fn differentiable(&self) -> Vec<bool> {
        let mut wanted = vec![false; self.nodes.len()];
        self.outputs.iter().for_each(|o| wanted[o.value] = true);
        let mut inputs = vec![false; self.inputs.len()];
        for id in (0..self.nodes.len()).rev() {
            if !(wanted[id] && self.nodes[id].differentiable) {
                continue;
            }
            if let Op::Input(i) = self.nodes[id].op {
                inputs[i] = true;
            }
            self.below(id).into_iter().for_each(|b| wanted[b] = true);
        }
        inputs
    }
}
