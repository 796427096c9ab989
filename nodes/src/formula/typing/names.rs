//! Names: inputs, `params`, `let`, and values with other names for their axes.

use super::{Let, Stop, Typer, Typing, Value};
use crate::formula::fault::{Fault, Span, listed, suggest};
use crate::formula::functions::function;
use crate::formula::parse::Word;
use crate::formula::typed::Op;

impl Typer {
    pub(super) fn name(&mut self, name: &str, span: &Span) -> Typing<Value> {
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
    pub(super) fn known(&self) -> impl Iterator<Item = &str> {
        let inputs = self.out.inputs.iter().map(|i| i.name.as_str());
        let own = self.lets.keys().chain(self.params.keys()).map(String::as_str);
        inputs.chain(own).chain(["progress"])
    }

    /// `x[i,d]`
    pub(super) fn index(&mut self, of: &Word, words: &[Word], span: &Span) -> Typing<Value> {
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
}
