//! Tokens as an expression. Nesting and size have bounds, so no text exhausts the stack.

use super::fault::{Fault, Span};
use super::lex::{Tok, Token, tokens};

/// Brackets and signs inside one another.
const DEEPEST: usize = 40;
/// Operations of one formula.
const MOST: usize = 400;

/// A name and where it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub name: String,
    pub span: Span,
}

/// An operation of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    And,
    Or,
}

impl Binary {
    /// As it is written.
    pub(super) fn sign(self) -> &'static str {
        LEVELS
            .iter()
            .flat_map(|l| l.iter())
            .find(|(_, b)| *b == self)
            .map_or("^", |(sign, _)| sign)
    }
}

/// The operators by how strongly they bind, the weakest first; `^` binds more strongly than all of them.
const LEVELS: [&[(&str, Binary)]; 5] = [
    &[("|", Binary::Or)],
    &[("&", Binary::And)],
    &[
        ("<", Binary::Less),
        ("<=", Binary::LessEqual),
        (">", Binary::Greater),
        (">=", Binary::GreaterEqual),
        ("==", Binary::Equal),
        ("!=", Binary::NotEqual),
    ],
    &[("+", Binary::Add), ("-", Binary::Sub)],
    &[("*", Binary::Mul), ("/", Binary::Div)],
];

/// The level of comparisons, which are not chained.
const COMPARISONS: usize = 2;

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Number(f64),
    Name(String),
    /// `x[i,d]`: a value with its axes renamed.
    Index(Word, Vec<Word>),
    /// `-x`
    Negative(Box<Expr>),
    /// `!c`
    Not(Box<Expr>),
    /// The operation, where its sign is, and the two sides.
    Binary(Binary, Span, Box<Expr>, Box<Expr>),
    /// `f(a, b)`
    Call(Word, Vec<Expr>),
}

/// An expression and its bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expr {
    pub form: Form,
    pub span: Span,
}

/// What an output's text states before `=`: `Logits[n,k] = …`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stated {
    pub head: Word,
    pub axes: Vec<Word>,
    pub span: Span,
}

/// A formula.
///
/// # Errors
/// The first thing that is wrong with the text.
pub(super) fn formula(text: &str) -> Result<Expr, Fault> {
    let mut p = Parser::of(text)?;
    let e = p.expression()?;
    p.end()?;
    Ok(e)
}

/// A formula, and before it what its value is to be.
///
/// # Errors
/// The first thing that is wrong with the text.
pub(super) fn output(text: &str) -> Result<(Option<Stated>, Expr), Fault> {
    let mut p = Parser::of(text)?;
    let mut depth = 0;
    let stated = p.tokens.iter().any(|t| {
        match t.tok {
            Tok::Sign("(" | "[") => depth += 1,
            Tok::Sign(")" | "]") => depth -= 1,
            _ => {}
        }
        depth == 0 && t.tok == Tok::Sign("=")
    });
    let stated = match stated {
        true => {
            let stated = p.head_and_axes()?;
            p.expect("=", "an output is written `NAME = \"Feature[n,d] = …\"`")?;
            Some(stated)
        }
        false => None,
    };
    let e = p.expression()?;
    p.end()?;
    Ok((stated, e))
}

/// The axes of an input, `n,d`, with or without what it is: `Label[n]`.
///
/// # Errors
/// The first thing that is wrong with the text.
pub(super) fn axes(text: &str) -> Result<(Option<Word>, Vec<Word>), Fault> {
    let mut p = Parser::of(text)?;
    let bracket = p.tokens.get(1).is_some_and(|t| t.tok == Tok::Sign("["));
    let found = match bracket {
        true => {
            let stated = p.head_and_axes()?;
            (Some(stated.head), stated.axes)
        }
        false => (None, p.words(Tok::End)?),
    };
    p.end()?;
    Ok(found)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    size: usize,
}

impl Parser {
    fn of(text: &str) -> Result<Parser, Fault> {
        Ok(Parser {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
            size: 0,
        })
    }

    /// The next token; the last one is the end, which is never passed.
    fn next(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.next().clone();
        self.at += 1;
        token
    }

    fn eat(&mut self, sign: &str) -> bool {
        let hit = matches!(self.next().tok, Tok::Sign(s) if s == sign);
        self.at += usize::from(hit);
        hit
    }

    fn here(&self) -> String {
        match &self.next().tok {
            Tok::Number(n) => format!("`{n}`"),
            Tok::Name(n) => format!("`{n}`"),
            Tok::Sign(s) => format!("`{s}`"),
            Tok::End => "the end".into(),
        }
    }

    fn expect(&mut self, sign: &str, help: &str) -> Result<Token, Fault> {
        match self.next().tok {
            Tok::Sign(s) if s == sign => Ok(self.take()),
            _ => Err(Fault::new(&self.next().span, format!("expected `{sign}`, found {}", self.here())).help(help)),
        }
    }

    fn end(&self) -> Result<(), Fault> {
        let (tok, span) = (&self.next().tok, &self.next().span);
        match tok {
            Tok::End => Ok(()),
            Tok::Sign("=") => Err(Fault::new(span, "`=` names nothing here").help(
                "a comparison is `==`; values are named in `let`, and an output may begin with `Feature[n,d] =`",
            )),
            Tok::Sign(")" | "]") => Err(Fault::new(span, format!("{} closes nothing", self.here()))),
            Tok::Number(_) | Tok::Name(_) => {
                Err(Fault::new(span, format!("expected an operator before {}", self.here()))
                    .help("a product has a `*`"))
            }
            Tok::Sign(_) => Err(Fault::new(span, format!("{} has no meaning here", self.here()))),
        }
    }

    fn made(&mut self, form: Form, span: Span) -> Result<Expr, Fault> {
        self.size += 1;
        match self.size > MOST {
            true => {
                Err(Fault::new(&span, format!("a formula has at most {MOST} operations"))
                    .help("name parts of it in `let`"))
            }
            false => Ok(Expr { form, span }),
        }
    }

    fn expression(&mut self) -> Result<Expr, Fault> {
        self.level(0)
    }

    fn level(&mut self, level: usize) -> Result<Expr, Fault> {
        let Some(signs) = LEVELS.get(level) else {
            return self.signed();
        };
        let mut left = self.level(level + 1)?;
        let mut before: Option<Span> = None;
        loop {
            let hit = match self.next().tok {
                Tok::Sign(s) => signs.iter().find(|(sign, _)| *sign == s),
                _ => None,
            };
            let Some((_, operation)) = hit else { return Ok(left) };
            let sign = self.take().span;
            if level == COMPARISONS && before.is_some() {
                return Err(Fault::new(&sign, "comparisons are not chained").help("`a < b & b < c`"));
            }
            before = Some(sign.clone());
            let right = self.level(level + 1)?;
            let span = left.span.start..right.span.end;
            left = self.made(Form::Binary(*operation, sign, Box::new(left), Box::new(right)), span)?;
        }
    }

    /// `-x`, `!c`, and powers, which bind more strongly: `-x^2` is `-(x^2)`.
    fn signed(&mut self) -> Result<Expr, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let message = format!("more than {DEEPEST} brackets and signs are inside one another");
            return Err(Fault::new(&self.next().span, message).help("name parts of it in `let`"));
        }
        let start = self.next().span.start;
        let found = if self.eat("-") {
            let of = self.signed()?;
            let span = start..of.span.end;
            self.made(Form::Negative(Box::new(of)), span)
        } else if self.eat("!") {
            let of = self.signed()?;
            let span = start..of.span.end;
            self.made(Form::Not(Box::new(of)), span)
        } else {
            let base = self.atom()?;
            if matches!(self.next().tok, Tok::Sign("^")) {
                let sign = self.take().span;
                let exponent = self.signed()?;
                let span = base.span.start..exponent.span.end;
                self.made(
                    Form::Binary(Binary::Pow, sign, Box::new(base), Box::new(exponent)),
                    span,
                )
            } else {
                Ok(base)
            }
        };
        self.depth -= 1;
        found
    }

    fn atom(&mut self) -> Result<Expr, Fault> {
        let token = self.take();
        let span = token.span.clone();
        match token.tok {
            Tok::Number(n) => self.made(Form::Number(n), span),
            Tok::Sign("(") => {
                let mut inside = self.expression()?;
                let end = self.expect(")", "a bracket is closed by `)`")?;
                inside.span = span.start..end.span.end;
                Ok(inside)
            }
            Tok::Name(name) => {
                let word = Word {
                    name,
                    span: span.clone(),
                };
                if self.eat("[") {
                    let axes = self.words(Tok::Sign("]"))?;
                    let end = self.expect("]", "the names of axes are written `x[i,d]`")?;
                    return self.made(Form::Index(word, axes), span.start..end.span.end);
                }
                if self.eat("(") {
                    let mut given = vec![];
                    if !matches!(self.next().tok, Tok::Sign(")")) {
                        given.push(self.expression()?);
                        while self.eat(",") {
                            given.push(self.expression()?);
                        }
                    }
                    let help = format!("what `{}` is of is written `{}(…)`", word.name, word.name);
                    let end = self.expect(")", &help)?;
                    return self.made(Form::Call(word, given), span.start..end.span.end);
                }
                self.made(Form::Name(word.name), span)
            }
            Tok::End => {
                self.at -= 1;
                Err(Fault::new(&span, "the formula ends where a value is expected"))
            }
            Tok::Sign(sign) => Err(Fault::new(&span, format!("expected a value, found `{sign}`"))),
        }
    }

    /// `Logits[n,k]`
    fn head_and_axes(&mut self) -> Result<Stated, Fault> {
        let form = "what a value is, is written `Feature[n,d]`";
        let token = self.take();
        let Tok::Name(name) = token.tok else {
            return Err(Fault::new(&token.span, "expected a name such as `Feature`").help(form));
        };
        let head = Word { name, span: token.span };
        self.expect("[", form)?;
        let axes = self.words(Tok::Sign("]"))?;
        let end = self.expect("]", form)?;
        let span = head.span.start..end.span.end;
        Ok(Stated { head, axes, span })
    }

    /// Names with commas between them, up to `end`.
    fn words(&mut self, end: Tok) -> Result<Vec<Word>, Fault> {
        let mut words = vec![];
        while self.next().tok != end {
            if !words.is_empty() && !self.eat(",") {
                let message = format!("expected `,` or the end of the axes, found {}", self.here());
                return Err(Fault::new(&self.next().span, message).help("axes are names with commas: `n,d`"));
            }
            let token = self.take();
            match token.tok {
                Tok::Name(name) => words.push(Word { name, span: token.span }),
                _ => {
                    self.at -= 1;
                    let message = format!("expected the name of an axis, found {}", self.here());
                    return Err(Fault::new(&token.span, message).help("axes are names with commas: `n,d`"));
                }
            }
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expression with all its brackets.
    fn shown(e: &Expr) -> String {
        match &e.form {
            Form::Number(n) => n.to_string(),
            Form::Name(n) => n.clone(),
            Form::Index(of, axes) => {
                let axes: Vec<&str> = axes.iter().map(|w| w.name.as_str()).collect();
                format!("{}[{}]", of.name, axes.join(","))
            }
            Form::Negative(e) => format!("(-{})", shown(e)),
            Form::Not(e) => format!("(!{})", shown(e)),
            Form::Binary(b, _, l, r) => format!("({}{}{})", shown(l), b.sign(), shown(r)),
            Form::Call(f, of) => format!("{}({})", f.name, of.iter().map(shown).collect::<Vec<_>>().join(",")),
        }
    }

    #[test]
    fn operators_bind_as_in_papers() {
        for (text, want) in [
            ("1+2*3^2", "(1+(2*(3^2)))"),
            ("-x^2", "(-(x^2))"),
            ("a-b-c", "((a-b)-c)"),
            ("a/b*c", "((a/b)*c)"),
            ("2^-3^2", "(2^(-(3^2)))"),
            ("a < b & !c | d == e + 1", "(((a<b)&(!c))|(d==(e+1)))"),
            ("sum(x[i,d] * y, d)", "sum((x[i,d]*y),d)"),
            ("(a + b) * -c", "((a+b)*(-c))"),
        ] {
            assert_eq!(shown(&formula(text).unwrap()), want, "{text}");
        }
        let (stated, e) = output("Logits[n,k] = x / 2").unwrap();
        assert_eq!((stated.unwrap().axes.len(), shown(&e)), (2, "(x/2)".into()));
    }

    #[test]
    fn spans_are_those_of_the_text() {
        let text = "1 + (a * b)";
        let e = formula(text).unwrap();
        let Form::Binary(_, sign, _, right) = e.form else {
            panic!()
        };
        assert_eq!((&text[sign], &text[right.span]), ("+", "(a * b)"));
    }

    #[test]
    fn depth_and_size_have_bounds() {
        let deep = format!("{}x{}", "(".repeat(500), ")".repeat(500));
        assert!(formula(&deep).unwrap_err().message.contains("inside one another"));
        assert!(
            formula(&"-".repeat(2000))
                .unwrap_err()
                .message
                .contains("inside one another")
        );
        let wide = vec!["x"; 900].join("+");
        assert!(formula(&wide).unwrap_err().message.contains("at most 400"));
        let powers = vec!["x"; 900].join("^");
        assert!(formula(&powers).unwrap_err().message.contains("inside one another"));
    }
}
