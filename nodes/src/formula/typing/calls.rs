//! Calls of functions.

use super::{Typer, Typing, Value};
use crate::formula::fault::{Fault, Span, listed, suggest};
use crate::formula::functions::{Function, function, names};
use crate::formula::parse::{Expr, Form, Word};
use crate::formula::typed::{Axis, Id, Op};

impl Typer {
    pub(super) fn call(&mut self, f: &Word, given: &[Expr], span: &Span) -> Typing<Id> {
        let Some((function, written)) = function(&f.name) else {
            let fault = Fault::new(&f.span, format!("there is no function `{}`", f.name));
            let known = self.known().any(|k| k == f.name);
            return Err(match known {
                true => Fault::new(&f.span, format!("`{}` is a value, not a function", f.name)).help(format!(
                    "axes are renamed with `{}[i,j]`, and a product has a `*`",
                    f.name
                )),
                false => fault.help(suggest(&f.name, names(), format!("functions: {}", listed(names())))),
            }
            .into());
        };
        let wants = match function {
            Function::Unary(_) | Function::Detach | Function::Size | Function::Index => 1..=1,
            Function::Larger(_) | Function::OneHot => 2..=2,
            Function::Where => 3..=3,
            Function::Reduce(_) => 1..=usize::MAX,
            Function::Along(_) => 2..=usize::MAX,
        };
        if !wants.contains(&given.len()) {
            let takes = match (wants.start(), wants.end()) {
                (1, 1) => "one argument".to_string(),
                (n, m) if n == m => format!("{n} arguments"),
                (1, _) => "a value".into(),
                _ => "a value and the axes that it runs along".into(),
            };
            let message = format!("`{}` takes {takes}, not {}", f.name, given.len());
            return Err(Fault::new(span, message)
                .help(format!("it is written `{written}`"))
                .into());
        }
        match function {
            Function::Unary(u) => {
                let of = self.number(&given[0])?;
                let axes = self.out.nodes[of].axes.clone();
                self.push(span, Op::Unary(u, of), axes, &[of])
            }
            Function::Detach => {
                let of = self.number(&given[0])?;
                let axes = self.out.nodes[of].axes.clone();
                self.push(span, Op::Detach(of), axes, &[of])
            }
            Function::Larger(larger) => {
                let (a, b) = (self.number(&given[0])?, self.number(&given[1])?);
                let axes = self.union(&[a, b]);
                self.push(span, Op::Larger(larger, a, b), axes, &[a, b])
            }
            Function::Where => {
                let c = self.truth(&given[0], "`where` asks for a comparison")?;
                let (a, b) = (self.number(&given[1])?, self.number(&given[2])?);
                let axes = self.union(&[c, a, b]);
                self.push(span, Op::Where(c, a, b), axes, &[c, a, b])
            }
            Function::Reduce(reduce) => self.reduce(reduce, f, given, span),
            Function::Along(along) => {
                let of = self.number(&given[0])?;
                let over = self.over(of, f, &given[1..])?;
                let axes = self.out.nodes[of].axes.clone();
                self.push(span, Op::Along(along, of, over), axes, &[of])
            }
            Function::Size => match axis_name(&given[0]) {
                Some(name) => {
                    let op = match self.out.axes.find(name) {
                        Some(axis) => Op::Size(self.out.axes.of(axis)),
                        None => Op::Dim(name.into()),
                    };
                    self.push(span, op, vec![], &[])
                }
                None => Err(
                    Fault::new(&given[0].span, "`size` is of an axis, or of one of the graph's `dims`")
                        .help("`size(n)`")
                        .into(),
                ),
            },
            Function::Index => {
                let axis = self.axis(&given[0])?;
                self.push(span, Op::Index, vec![axis], &[])
            }
            Function::OneHot => self.one_hot(given, span),
        }
    }

    fn one_hot(&mut self, given: &[Expr], span: &Span) -> Typing<Id> {
        match self.value(&given[0])? {
            Value::Labels(input, mut axes) => {
                let classes = self.axis(&given[1])?;
                if axes.contains(&classes) {
                    let message = format!("`{}` counts the labels", self.out.axes.name(classes));
                    return Err(Fault::new(&given[1].span, message)
                        .help("name the axis of the classes, such as that of the scores")
                        .into());
                }
                axes.push(classes);
                self.push(span, Op::OneHot(input), axes, &[])
            }
            Value::Of(_) => Err(Fault::new(&given[0].span, "these are no labels")
                .help("an input of labels is declared as such: `axes = { y = \"Label[n]\" }`")
                .into()),
        }
    }

    /// The axis that an argument names.
    fn axis(&mut self, e: &Expr) -> Typing<Axis> {
        let Some(name) = axis_name(e) else {
            return Err(Fault::new(&e.span, "expected the name of an axis").into());
        };
        self.out.axes.find(name).ok_or_else(|| {
            let known = || self.out.axes.names.iter().map(|a| a.name.as_str());
            let all = format!("axes here: {}; a new name is given by `x[i,d]`", listed(known()));
            Fault::new(&e.span, format!("nothing tells how long `{name}` is"))
                .help(suggest(name, known(), all))
                .into()
        })
    }

    /// The axes that arguments name, which the value has to have.
    pub(super) fn over(&mut self, of: Id, f: &Word, given: &[Expr]) -> Typing<Vec<Axis>> {
        let own = self.out.nodes[of].axes.clone();
        let mut over = vec![];
        for e in given {
            let Some(name) = axis_name(e) else {
                let fault = Fault::new(&e.span, format!("`{}` takes names of axes after the value", f.name));
                return Err(match f.name.as_str() {
                    "max" => fault.help("the larger of two values is `maximum(a, b)`"),
                    "min" => fault.help("the smaller of two values is `minimum(a, b)`"),
                    _ => fault,
                }
                .into());
            };
            let axis = self.out.axes.find(name).filter(|a| own.contains(a));
            let Some(axis) = axis else {
                let shown = self.show(&own);
                let names = own.iter().map(|a| self.out.axes.name(*a));
                return Err(Fault::new(&e.span, format!("there is no axis `{name}` in {shown}"))
                    .help(suggest(name, names, format!("what `{}` is of is {shown}", f.name)))
                    .into());
            };
            if over.contains(&axis) {
                return Err(Fault::new(&e.span, format!("the axis `{name}` is named twice")).into());
            }
            over.push(axis);
        }
        Ok(over)
    }
}

/// The name that an argument is, if it is one.
fn axis_name(e: &Expr) -> Option<&str> {
    match &e.form {
        Form::Name(name) => Some(name),
        _ => None,
    }
}
