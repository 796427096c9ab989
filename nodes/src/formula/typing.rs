//! Types of expressions: named axes, truth values, labels.

use super::fault::{Fault, Span, listed, suggest};
use super::functions::{Function, Reduce, Unary, function, names};
use super::parse::{Binary, Expr, Form, Word};
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

    fn name(&mut self, name: &str, span: &Span) -> Typing<Value> {
        if let Some(i) = self.input(name) {
            let axes = self.out.inputs[i].axes.clone();
            return Ok(match self.out.inputs[i].is_label() {
                true => Value::Labels(i, axes),
                false => Value::Of(self.push(span, Op::Input(i), axes, &[])?),
            });
        }
        if let Some(value) = self.params.get(name).copied() {
            self.used.push(name.into());
            return Ok(Value::Of(self.push(span, Op::Number(value), vec![], &[])?));
        }
        if self.lets.contains_key(name) {
            self.used.push(name.into());
            self.settle(name);
            return match &self.lets[name] {
                Let::Done(value) => Ok(value.clone()),
                Let::Begun | Let::Open(..) => {
                    Err(Fault::new(span, format!("`{name}` of `let` is made of itself")).into())
                }
                Let::Wrong => Err(Stop::Reported),
            };
        }
        if name == "progress" {
            return Ok(Value::Of(self.push(span, Op::Progress, vec![], &[])?));
        }
        let fault = Fault::new(span, format!("there is no value `{name}` here"));
        Err(match (function(name), self.out.axes.find(name)) {
            (Some((_, written)), _) => {
                Fault::new(span, format!("`{name}` is a function")).help(format!("it is written `{written}`"))
            }
            (None, Some(_)) => Fault::new(span, format!("`{name}` is an axis, not a value")).help(format!(
                "`size({name})` is its size, and `index({name})` are the positions along it"
            )),
            (None, None) => {
                let known: Vec<&str> = self.known().collect();
                let all = format!("values here: {}", listed(known.iter().copied()));
                fault.help(suggest(name, known, all))
            }
        }
        .into())
    }

    /// The names of all values.
    fn known(&self) -> impl Iterator<Item = &str> {
        let inputs = self.out.inputs.iter().map(|i| i.name.as_str());
        let own = self.lets.keys().chain(self.params.keys()).map(String::as_str);
        inputs.chain(own).chain(["progress"])
    }

    /// `x[i,d]`
    fn index(&mut self, of: &Word, words: &[Word], span: &Span) -> Typing<Value> {
        let value = self.name(&of.name, &of.span)?;
        let axes = self.axes(&value);
        if axes.len() != words.len() {
            let own = self.show(&axes);
            let takes = match axes.len() {
                1 => "1 name".to_string(),
                n => format!("{n} names"),
            };
            let message = format!("`{}` is {own}, which takes {takes}, not {}", of.name, words.len());
            return Err(Fault::new(span, message).into());
        }
        let mut named = vec![];
        for (word, axis) in words.iter().zip(&axes) {
            let known = self.out.axes.find(&word.name);
            let new = known.unwrap_or_else(|| self.out.axes.add(&word.name, *axis));
            let (is, wants) = (self.out.axes.of(new), self.out.axes.of(*axis));
            if is != wants {
                let (is, wants) = (self.out.axes.name(is), self.out.axes.name(wants));
                let message = format!("`{}` would run over {wants} here", word.name);
                return Err(Fault::new(&word.span, message)
                    .help(match is == word.name {
                        true => format!("`{is}` is an axis of its own: take a new name for {wants}, such as `i`"),
                        false => format!("it runs over {is} elsewhere: take another name for {wants}"),
                    })
                    .into());
            }
            if named.contains(&new) {
                let message = format!("`{}` is named twice", word.name);
                return Err(Fault::new(&word.span, message)
                    .help(format!(
                        "for a diagonal name both and compare them: `where(index(i) == index(j), {}[i,j], 0)`",
                        of.name
                    ))
                    .into());
            }
            named.push(new);
        }
        Ok(match value {
            _ if named == axes => value,
            Value::Labels(i, _) => Value::Labels(i, named),
            Value::Of(id) => Value::Of(self.push(span, Op::Renamed(id), named, &[id])?),
        })
    }

    /// An expression of numbers; truth values count as 1 and 0.
    fn number(&mut self, expr: &Expr) -> Typing<Id> {
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
    fn truth(&mut self, expr: &Expr, help: &str) -> Typing<Id> {
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

    fn union(&self, of: &[Id]) -> Vec<Axis> {
        let mut axes = vec![];
        for axis in of.iter().flat_map(|id| &self.out.nodes[*id].axes) {
            if !axes.contains(axis) {
                axes.push(*axis);
            }
        }
        axes
    }

    fn binary(&mut self, operation: Binary, sign: &Span, a: &Expr, b: &Expr, span: &Span) -> Typing<Id> {
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

    fn call(&mut self, f: &Word, given: &[Expr], span: &Span) -> Typing<Id> {
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
    fn over(&mut self, of: Id, f: &Word, given: &[Expr]) -> Typing<Vec<Axis>> {
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

    fn reduce(&mut self, reduce: Reduce, f: &Word, given: &[Expr], span: &Span) -> Typing<Id> {
        let of = self.number(&given[0])?;
        let own = self.out.nodes[of].axes.clone();
        if own.is_empty() {
            let fault = Fault::new(span, format!("`{}` of a single number is that number", f.name));
            return Err(match (f.name.as_str(), given.len()) {
                ("max", 2) => fault.help("the larger of two values is `maximum(a, b)`"),
                ("min", 2) => fault.help("the smaller of two values is `minimum(a, b)`"),
                _ => fault,
            }
            .into());
        }
        let over = match &given[1..] {
            [] => own.clone(),
            named => self.over(of, f, named)?,
        };
        let axes: Vec<Axis> = own.iter().filter(|a| !over.contains(a)).copied().collect();
        let mean = reduce == Reduce::Mean;
        if matches!(reduce, Reduce::Sum | Reduce::Mean) {
            if let Some((a, b)) = self.distance(of, &over) {
                return self.push(span, Op::Distance(a, b, mean), axes, &[a, b]);
            }
            let groups = self.groups(of);
            if groups.len() > 1 {
                let all = groups.concat();
                return self.push(span, Op::Product(groups, mean), axes, &all);
            }
        }
        self.push(span, Op::Reduce(reduce, of), axes, &[of])
    }

    /// The two sides of a squared difference that share all axes of the sum, and have one of their own each.
    fn distance(&self, of: Id, over: &[Axis]) -> Option<(Id, Id)> {
        let nodes = &self.out.nodes;
        let Op::Binary(Binary::Pow, base, exponent) = nodes[of].op else {
            return None;
        };
        let (Op::Binary(Binary::Sub, a, b), Op::Number(2.0)) = (&nodes[base].op, &nodes[exponent].op) else {
            return None;
        };
        let (x, y) = (&nodes[*a].axes, &nodes[*b].axes);
        let shared = over.iter().all(|axis| x.contains(axis) && y.contains(axis));
        let own = x.iter().any(|axis| !y.contains(axis)) && y.iter().any(|axis| !x.contains(axis));
        (shared && own).then_some((*a, *b))
    }

    /// The factors of a product, those that another one has all axes of together with that one.
    fn groups(&self, of: Id) -> Vec<Vec<Id>> {
        let mut factors = vec![];
        self.factors(of, &mut factors);
        // The one with most axes first; a stable sort keeps the order of the text.
        factors.sort_by_key(|id| std::cmp::Reverse(self.out.nodes[*id].axes.len()));
        let mut groups: Vec<(Vec<Axis>, Vec<Id>)> = vec![];
        for id in factors {
            let axes = &self.out.nodes[id].axes;
            match groups.iter_mut().find(|(own, _)| axes.iter().all(|a| own.contains(a))) {
                Some((_, group)) => group.push(id),
                None => groups.push((axes.clone(), vec![id])),
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    fn factors(&self, of: Id, found: &mut Vec<Id>) {
        match self.out.nodes[of].op {
            Op::Binary(Binary::Mul, a, b) => {
                self.factors(a, found);
                self.factors(b, found);
            }
            _ => found.push(of),
        }
    }
}

/// The name that an argument is, if it is one.
fn axis_name(e: &Expr) -> Option<&str> {
    match &e.form {
        Form::Name(name) => Some(name),
        _ => None,
    }
}

/// Whether a name is taken by the language.
pub(super) fn reserved(name: &str) -> bool {
    name == "progress" || function(name).is_some()
}
