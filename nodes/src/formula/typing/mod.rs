//! Types of expressions: named axes, truth values, labels.

mod calls;
mod names;
mod operators;
mod sums;

use super::fault::{Fault, Span};
use super::functions::{Unary, function};
use super::parse::{Binary, Expr, Form};
use super::typed::{Axis, Id, Named, Node, Op, Typed};
use std::collections::BTreeMap;

/// Operations below one another: Candle follows them by recursion.
const DEEPEST: usize = 150;
/// Axes of one value.
const MOST_AXES: usize = 6;

/// The value of an expression.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Numbers.
    Of(Id),
    /// The labels of an input, under these axes.
    Labels(usize, Vec<Axis>),
}

/// A name of `let`, and how far it is.
pub(super) enum Let {
    /// Its expression, and the number of its text.
    Open(Expr, usize),
    /// It is being typed.
    Begun,
    /// Its value.
    Done(Value),
    /// Something is wrong with it, which has been reported.
    Wrong,
}

/// Why an expression has no type.
pub(super) enum Stop {
    /// This is wrong with it.
    Fault(Fault),
    /// It uses something wrong that has been reported.
    Reported,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

type Typing<T> = Result<T, Stop>;

/// What types expressions.
pub(super) struct Typer {
    pub out: Typed,
    pub params: BTreeMap<String, f64>,
    pub lets: BTreeMap<String, Let>,
    /// Names of `let` and `params` that were used.
    pub used: Vec<String>,
    /// What was found to be wrong, by path.
    pub faults: Vec<(String, Fault)>,
    /// The number of the text being typed.
    pub text: usize,
}

impl Typer {
    /// Types the text of this number, after the names of axes in it are known; what is wrong is kept.
    pub(super) fn text(&mut self, number: usize, expr: &Expr) -> Option<Value> {
        let before = std::mem::replace(&mut self.text, number);
        self.bind(expr);
        let found = match self.value(expr) {
            Ok(v) => Some(v),
            Err(Stop::Reported) => None,
            Err(Stop::Fault(fault)) => {
                self.fault(number, fault);
                None
            }
        };
        self.text = before;
        found
    }

    /// Keeps what is wrong with a text.
    pub(super) fn fault(&mut self, number: usize, fault: Fault) {
        self.faults.push((self.out.texts[number].path.clone(), fault));
    }

    /// Adds a text.
    pub(super) fn add_text(&mut self, path: String, text: &str) -> usize {
        self.out.texts.push(Named {
            path,
            text: text.trim().into(),
            value: None,
        });
        self.out.texts.len() - 1
    }

    /// Types a name of `let`, if that was not done yet.
    pub(super) fn settle(&mut self, name: &str) {
        let Some(entry) = self.lets.get_mut(name) else { return };
        if !matches!(entry, Let::Open(..)) {
            return;
        }
        let Let::Open(expr, number) = std::mem::replace(entry, Let::Begun) else {
            return;
        };
        let value = self.text(number, &expr);
        if let Some(Value::Of(id)) = value {
            self.out.texts[number].value = Some(id);
        }
        self.lets.insert(name.to_string(), value.map_or(Let::Wrong, Let::Done));
    }

    /// Gives the new names of axes in `x[i,d]` the sizes that they rename.
    fn bind(&mut self, expr: &Expr) {
        match &expr.form {
            Form::Number(_) | Form::Name(_) => {}
            Form::Negative(e) | Form::Not(e) => self.bind(e),
            Form::Binary(_, _, a, b) => {
                self.bind(a);
                self.bind(b);
            }
            Form::Call(_, given) => given.iter().for_each(|e| self.bind(e)),
            Form::Index(of, words) => {
                self.settle(&of.name);
                let axes = match (self.input(&of.name), self.lets.get(&of.name)) {
                    (Some(i), _) => self.out.inputs[i].axes.clone(),
                    (None, Some(Let::Done(value))) => self.axes(value),
                    _ => return,
                };
                for (word, axis) in words.iter().zip(axes) {
                    if self.out.axes.find(&word.name).is_none() {
                        self.out.axes.add(&word.name, axis);
                    }
                }
            }
        }
    }

    fn input(&self, name: &str) -> Option<usize> {
        self.out.inputs.iter().position(|i| i.name == name)
    }

    /// The axes of a value.
    pub(super) fn axes(&self, value: &Value) -> Vec<Axis> {
        match value {
            Value::Of(id) => self.out.nodes[*id].axes.clone(),
            Value::Labels(_, axes) => axes.clone(),
        }
    }

    fn show(&self, axes: &[Axis]) -> String {
        self.out.axes.show(axes)
    }

    fn value(&mut self, expr: &Expr) -> Typing<Value> {
        let span = &expr.span;
        let id = match &expr.form {
            Form::Number(n) => self.push(span, Op::Number(*n), vec![], &[])?,
            Form::Name(name) => return self.name(name, span),
            Form::Index(of, axes) => return self.index(of, axes, span),
            Form::Negative(e) => {
                let of = self.number(e)?;
                let axes = self.out.nodes[of].axes.clone();
                self.push(span, Op::Unary(Unary::Negative, of), axes, &[of])?
            }
            Form::Not(e) => {
                let of = self.truth(e, "`!` turns a comparison round")?;
                let axes = self.out.nodes[of].axes.clone();
                self.push(span, Op::Unary(Unary::Not, of), axes, &[of])?
            }
            Form::Binary(operation, sign, a, b) => self.binary(*operation, sign, a, b, span)?,
            Form::Call(f, given) => self.call(f, given, span)?,
        };
        Ok(Value::Of(id))
    }

    /// Adds an operation that uses the operations `of`.
    fn push(&mut self, span: &Span, op: Op, axes: Vec<Axis>, of: &[Id]) -> Typing<Id> {
        let nodes = &self.out.nodes;
        let depth = 1 + of.iter().map(|i| nodes[*i].depth).max().unwrap_or(0);
        if depth > DEEPEST {
            let message = format!("more than {DEEPEST} operations are below one another");
            return Err(Fault::new(span, message).into());
        }
        if axes.len() > MOST_AXES {
            let message = format!("this has {} axes, and {MOST_AXES} is the most", axes.len());
            return Err(Fault::new(span, format!("{message}: {}", self.show(&axes))).into());
        }
        let truth = match op {
            Op::Labels(..) | Op::Class(..) | Op::Unary(Unary::Not, _) => true,
            Op::Binary(b, ..) => !matches!(b, Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Pow),
            Op::Renamed(of) => nodes[of].truth,
            Op::Input(i) => self.out.inputs[i].is_mask(),
            _ => false,
        };
        let from_input = matches!(
            op,
            Op::Input(_) | Op::OneHot(_) | Op::Labels(..) | Op::Class(..) | Op::Index
        );
        let differentiable = match op {
            Op::Input(_) => !truth,
            Op::Detach(_) => false,
            Op::Where(_, a, b) => nodes[a].differentiable || nodes[b].differentiable,
            _ => !truth && of.iter().any(|i| nodes[*i].differentiable),
        };
        self.out.nodes.push(Node {
            constant: !from_input && of.iter().all(|i| nodes[*i].constant),
            op,
            axes,
            truth,
            differentiable,
            depth,
            text: self.text,
            span: span.clone(),
        });
        Ok(self.out.nodes.len() - 1)
    }
}

/// Whether a name is taken by the language.
pub(super) fn reserved(name: &str) -> bool {
    name == "progress" || function(name).is_some()
}
