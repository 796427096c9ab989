//! Operators, and what is a number and what is true or false.

use super::{Typer, Typing, Value};
use crate::formula::fault::{Fault, Span};
use crate::formula::parse::{Binary, Expr};
use crate::formula::typed::{Axis, Id, Op};

impl Typer {
    /// An expression of numbers; truth values count as 1 and 0.
    pub(super) fn number(&mut self, expr: &Expr) -> Typing<Id> {
        let value = self.value(expr)?;
        self.numbers(value, expr)
    }

    fn numbers(&self, value: Value, expr: &Expr) -> Typing<Id> {
        match value {
            Value::Of(id) => Ok(id),
            Value::Labels(i, _) => {
                let name = &self.out.inputs[i].name;
                Err(Fault::new(&expr.span, format!("`{name}` are labels, no numbers"))
                    .help(format!(
                        "`one_hot({name}, k)` has a 1 at each label, and labels are compared: `{name}[i] == {name}[j]`"
                    ))
                    .into())
            }
        }
    }

    /// An expression that is true or false.
    pub(super) fn truth(&mut self, expr: &Expr, help: &str) -> Typing<Id> {
        let value = self.value(expr)?;
        self.true_or_false(value, expr, help)
    }

    fn true_or_false(&self, value: Value, expr: &Expr, help: &str) -> Typing<Id> {
        let id = self.numbers(value, expr)?;
        match self.out.nodes[id].truth {
            true => Ok(id),
            false => Err(Fault::new(&expr.span, "this is a number, neither true nor false")
                .help(format!("{help}, such as `x > 0`"))
                .into()),
        }
    }

    pub(super) fn union(&self, of: &[Id]) -> Vec<Axis> {
        let mut axes = vec![];
        for axis in of.iter().flat_map(|id| &self.out.nodes[*id].axes) {
            if !axes.contains(axis) {
                axes.push(*axis);
            }
        }
        axes
    }

    pub(super) fn binary(&mut self, operation: Binary, sign: &Span, a: &Expr, b: &Expr, span: &Span) -> Typing<Id> {
        let (left, right) = (self.value(a)?, self.value(b)?);
        if matches!(operation, Binary::Equal | Binary::NotEqual) {
            match (&left, &right) {
                (Value::Labels(i, x), Value::Labels(j, y)) => {
                    let new = y.iter().filter(|a| !x.contains(a));
                    let axes: Vec<Axis> = x.iter().chain(new).copied().collect();
                    let of = [(*i, x.clone()), (*j, y.clone())];
                    return self.push(span, Op::Labels(of, operation == Binary::Equal), axes, &[]);
                }
                (Value::Of(_), Value::Of(_)) => {}
                (Value::Labels(i, axes), Value::Of(class)) | (Value::Of(class), Value::Labels(i, axes)) => {
                    if !self.out.nodes[*class].constant {
                        return Err(
                            Fault::new(span, "labels are compared with labels and with the number of a class")
                                .help("such as `y[i] == y[j]` and `y == 1`")
                                .into(),
                        );
                    }
                    let op = Op::Class(*i, axes.clone(), *class, operation == Binary::Equal);
                    return self.push(span, op, axes.clone(), &[*class]);
                }
            }
        }
        let logic = matches!(operation, Binary::And | Binary::Or);
        let side = |value, e: &Expr| match logic {
            true => self.true_or_false(value, e, &format!("`{}` joins comparisons", operation.sign())),
            false => self.numbers(value, e),
        };
        let (a, b) = (side(left, a)?, side(right, b)?);
        if operation == Binary::Pow && !self.out.nodes[b].constant {
            return Err(Fault::new(sign, "the exponent depends on the inputs")
                .help("an exponent is made of numbers, `params`, `size` and `progress`; else `exp(b*log(a))`")
                .into());
        }
        let axes = self.union(&[a, b]);
        self.push(span, Op::Binary(operation, a, b), axes, &[a, b])
    }
}
