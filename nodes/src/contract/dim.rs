//! Symbolic sizes: what a dimension may be written as, and what it resolves to.

use std::collections::BTreeMap;
use std::fmt;

/// A size that the checker knows in one phase or view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// A number.
    Known(usize),
    /// So many rows for every sample of the batch: `Batch(2)` is `2·B`.
    Batch(usize),
    /// Differs from sample to sample (height and width before the crop).
    Ragged,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Known(n) => write!(f, "{n}"),
            Size::Batch(1) => write!(f, "B"),
            Size::Batch(n) => write!(f, "{n}*B"),
            Size::Ragged => write!(f, "~"),
        }
    }
}

/// A dimension as a contract or a graph writes it: `G+L`, `N!`, `2*D`, `B`, `3`, `~`.
///
/// A bare name is local to the node (`D`); a name behind `$` is one of the graph's `dims` (`$G`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DimExpr {
    /// A number.
    Number(usize),
    /// The batch, `B`.
    Batch,
    /// A ragged dimension, `~`.
    Ragged,
    /// A name of the node's own.
    Local(String),
    /// A name of the graph's `dims`.
    Global(String),
    /// A sum.
    Sum(Vec<DimExpr>),
    /// A product.
    Product(Vec<DimExpr>),
    /// A factorial.
    Factorial(Box<DimExpr>),
}

/// Bytes of the longest expression, which bounds how deep one is nested.
const LONGEST: usize = 200;

/// Why a dimension has no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DimError {
    /// A name of `dims` that the graph does not have.
    #[error("unknown dimension `{0}`")]
    UnknownGlobal(String),
    /// A local name that no input has bound.
    #[error("dimension `{0}` is not known here")]
    Unbound(String),
    /// Arithmetic that has no meaning or no room.
    #[error("`{0}` has no size: {1}")]
    Arithmetic(String, &'static str),
}

/// The names that [`DimExpr::eval`] may use.
#[derive(Clone, Debug, Default)]
pub struct DimScope {
    /// The graph's `dims`, as they stand in this phase or view.
    pub globals: BTreeMap<String, usize>,
    /// What the node's inputs have bound so far.
    pub locals: BTreeMap<String, Size>,
}

impl DimExpr {
    /// Parses an expression. `bare_is_global` decides what a bare name is: in a graph file a dimension of the
    /// graph, in a contract a name of the node's own.
    ///
    /// ```
    /// use glad_nodes::{DimExpr, DimScope, Size};
    /// let mut scope = DimScope::default();
    /// scope.globals.extend([("G".to_string(), 1), ("L".to_string(), 2)]);
    /// assert_eq!(DimExpr::parse("G+L", true).unwrap().eval(&scope), Ok(Size::Known(3)));
    /// assert!(DimExpr::parse("G+", true).is_err());
    /// ```
    ///
    /// # Errors
    /// The text is no expression of sizes: what is wrong, in words.
    pub fn parse(text: &str, bare_is_global: bool) -> Result<DimExpr, String> {
        if text.len() > LONGEST {
            return Err(format!(
                "a dimension takes at most {LONGEST} letters, and this one has {}",
                text.len()
            ));
        }
        let mut p = Parser {
            text,
            at: 0,
            bare_is_global,
        };
        let e = p.sum()?;
        p.skip();
        if p.at < text.len() {
            return Err(format!("unexpected `{}` in dimension `{text}`", &text[p.at..]));
        }
        Ok(e)
    }

    /// The size under `scope`.
    ///
    /// # Errors
    /// A name in it is not known, or the size is too large.
    pub fn eval(&self, scope: &DimScope) -> Result<Size, DimError> {
        let bad = |why| Err(DimError::Arithmetic(self.to_string(), why));
        Ok(match self {
            DimExpr::Number(n) => Size::Known(*n),
            DimExpr::Batch => Size::Batch(1),
            DimExpr::Ragged => Size::Ragged,
            DimExpr::Local(n) => *scope.locals.get(n).ok_or_else(|| DimError::Unbound(n.clone()))?,
            DimExpr::Global(n) => Size::Known(*scope.globals.get(n).ok_or_else(|| DimError::UnknownGlobal(n.clone()))?),
            DimExpr::Sum(terms) => {
                let (mut known, mut batch) = (0usize, 0usize);
                for t in terms {
                    match t.eval(scope)? {
                        Size::Known(n) => match known.checked_add(n) {
                            Some(k) => known = k,
                            None => return bad("it is too large"),
                        },
                        Size::Batch(n) => match batch.checked_add(n) {
                            Some(b) => batch = b,
                            None => return bad("it is too large"),
                        },
                        Size::Ragged => return bad("a size that differs per video cannot be added"),
                    }
                }
                match (known, batch) {
                    (n, 0) => Size::Known(n),
                    (0, n) => Size::Batch(n),
                    _ => return bad("a batch and a number cannot be added"),
                }
            }
            DimExpr::Product(terms) => {
                let (mut known, mut batch) = (1usize, None);
                for t in terms {
                    match t.eval(scope)? {
                        Size::Known(n) => {
                            known = match known.checked_mul(n) {
                                Some(k) => k,
                                None => return bad("it is too large"),
                            }
                        }
                        Size::Batch(n) if batch.is_none() => batch = Some(n),
                        Size::Batch(_) => return bad("two batches cannot be multiplied"),
                        Size::Ragged => return bad("a size that differs per video cannot be multiplied"),
                    }
                }
                match batch {
                    None => Size::Known(known),
                    Some(n) => match n.checked_mul(known) {
                        Some(n) => Size::Batch(n),
                        None => return bad("it is too large"),
                    },
                }
            }
            DimExpr::Factorial(e) => match e.eval(scope)? {
                Size::Known(n) if n <= 8 => Size::Known((1..=n).product()),
                Size::Known(_) => return bad("a factorial above 8! is too large"),
                _ => return bad("only a number has a factorial"),
            },
        })
    }

    /// The names of the graph's `dims` in it.
    pub fn globals(&self) -> Vec<&str> {
        match self {
            DimExpr::Global(n) => vec![n],
            DimExpr::Sum(v) | DimExpr::Product(v) => v.iter().flat_map(|e| e.globals()).collect(),
            DimExpr::Factorial(e) => e.globals(),
            _ => vec![],
        }
    }
}

impl fmt::Display for DimExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(f: &mut fmt::Formatter<'_>, v: &[DimExpr], sep: &str) -> fmt::Result {
            for (i, e) in v.iter().enumerate() {
                if i > 0 {
                    write!(f, "{sep}")?;
                }
                match e {
                    DimExpr::Sum(_) => write!(f, "({e})")?,
                    _ => write!(f, "{e}")?,
                }
            }
            Ok(())
        }
        match self {
            DimExpr::Number(n) => write!(f, "{n}"),
            DimExpr::Batch => write!(f, "B"),
            DimExpr::Ragged => write!(f, "~"),
            DimExpr::Local(n) | DimExpr::Global(n) => write!(f, "{n}"),
            DimExpr::Sum(v) => list(f, v, "+"),
            DimExpr::Product(v) => list(f, v, "*"),
            DimExpr::Factorial(e) => match **e {
                DimExpr::Sum(_) | DimExpr::Product(_) => write!(f, "({e})!"),
                _ => write!(f, "{e}!"),
            },
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    bare_is_global: bool,
}

impl Parser<'_> {
    fn skip(&mut self) {
        while self.text[self.at..].starts_with(' ') {
            self.at += 1;
        }
    }
    fn eat(&mut self, c: char) -> bool {
        self.skip();
        let hit = self.text[self.at..].starts_with(c);
        if hit {
            self.at += c.len_utf8();
        }
        hit
    }
    fn sum(&mut self) -> Result<DimExpr, String> {
        let mut v = vec![self.product()?];
        while self.eat('+') {
            v.push(self.product()?);
        }
        Ok(if v.len() == 1 { v.remove(0) } else { DimExpr::Sum(v) })
    }
    fn product(&mut self) -> Result<DimExpr, String> {
        let mut v = vec![self.atom()?];
        while self.eat('*') {
            v.push(self.atom()?);
        }
        Ok(if v.len() == 1 { v.remove(0) } else { DimExpr::Product(v) })
    }
    fn atom(&mut self) -> Result<DimExpr, String> {
        self.skip();
        let mut e = if self.eat('(') {
            let e = self.sum()?;
            if !self.eat(')') {
                return Err(format!("missing `)` in dimension `{}`", self.text));
            }
            e
        } else if self.eat('~') {
            DimExpr::Ragged
        } else {
            let global = self.eat('$');
            let rest = &self.text[self.at..];
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            let word = &rest[..end];
            self.at += end;
            if word.is_empty() {
                return Err(format!("expected a name or a number in dimension `{}`", self.text));
            } else if word.as_bytes()[0].is_ascii_digit() {
                DimExpr::Number(
                    word.parse()
                        .map_err(|_| format!("`{word}` is not a number in dimension `{}`", self.text))?,
                )
            } else if word == "B" {
                DimExpr::Batch
            } else if global || self.bare_is_global {
                DimExpr::Global(word.into())
            } else {
                DimExpr::Local(word.into())
            }
        };
        while self.eat('!') {
            e = DimExpr::Factorial(Box::new(e));
        }
        Ok(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(text: &str) -> Result<Size, DimError> {
        let scope = DimScope {
            globals: [("G".into(), 1), ("L".into(), 2)].into(),
            locals: [("N".into(), Size::Known(3)), ("H".into(), Size::Ragged)].into(),
        };
        DimExpr::parse(text, false).unwrap().eval(&scope)
    }

    #[test]
    fn sizes() {
        assert_eq!(eval("$G+$L"), Ok(Size::Known(3)));
        assert_eq!(eval("N!"), Ok(Size::Known(6)));
        assert_eq!(eval("(N+1)!*2"), Ok(Size::Known(48)));
        assert_eq!(eval("B+B"), Ok(Size::Batch(2)));
        assert_eq!(eval("2*B"), Ok(Size::Batch(2)));
        assert_eq!(eval("H"), Ok(Size::Ragged));
        assert_eq!(eval("M"), Err(DimError::Unbound("M".into())));
        let bad = |text: &str| eval(text).unwrap_err().to_string();
        assert_eq!(bad("B+1"), "`B+1` has no size: a batch and a number cannot be added");
        assert_eq!(
            bad("H+1"),
            "`H+1` has no size: a size that differs per video cannot be added"
        );
        assert_eq!(bad("B*B"), "`B*B` has no size: two batches cannot be multiplied");
        assert_eq!(
            bad("2*H"),
            "`2*H` has no size: a size that differs per video cannot be multiplied"
        );
        assert_eq!(bad("9!"), "`9!` has no size: a factorial above 8! is too large");
        assert_eq!(eval("8!"), Ok(Size::Known(40_320)));
        assert_eq!(bad("B!"), "`B!` has no size: only a number has a factorial");
        assert_eq!(eval("$X"), Err(DimError::UnknownGlobal("X".into())));
    }

    #[test]
    fn mistakes_are_errors() {
        for (text, why) in [
            ("", "expected a name or a number in dimension ``"),
            ("G+", "expected a name or a number in dimension `G+`"),
            ("(G", "missing `)` in dimension `(G`"),
            ("G)", "unexpected `)` in dimension `G)`"),
            ("2x!", "`2x` is not a number in dimension `2x!`"),
            (
                "99999999999999999999999",
                "`99999999999999999999999` is not a number in dimension `99999999999999999999999`",
            ),
            ("é", "expected a name or a number in dimension `é`"),
        ] {
            assert_eq!(DimExpr::parse(text, true).unwrap_err(), why);
        }
    }

    #[test]
    fn writes_what_it_read() {
        for text in ["G+L", "N!", "2*(G+L)", "(N+1)!", "~", "B"] {
            assert_eq!(DimExpr::parse(text, false).unwrap().to_string(), text);
        }
    }
}
