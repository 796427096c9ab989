//! A formula's text as tokens.

use super::fault::{Fault, Span};

/// Bytes of the longest formula.
pub(super) const LONGEST: usize = 4000;

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tok {
    /// A number, not below zero.
    Number(f64),
    /// A name.
    Name(String),
    /// An operator or a bracket.
    Sign(&'static str),
    /// The end of the text.
    End,
}

/// A token and its bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub tok: Tok,
    pub span: Span,
}

/// Longer ones first.
const SIGNS: [&str; 20] = [
    "<=", ">=", "==", "!=", "+", "-", "*", "/", "^", "(", ")", "[", "]", ",", "<", ">", "=", "&", "|", "!",
];

/// What is written elsewhere in place of a sign, and the sign here.
const FOREIGN: [(&str, &str); 11] = [
    ("**", "`^` is the power: `x^2`"),
    ("&&", "both hold: `a & b`"),
    ("||", "one of them holds: `a | b`"),
    ("×", "`*` is the product"),
    ("·", "`*` is the product"),
    ("⋅", "`*` is the product"),
    ("−", "`-` is the difference"),
    ("≤", "write `<=`"),
    ("≥", "write `>=`"),
    ("≠", "write `!=`"),
    (
        "$",
        "a parameter is written by its name alone, and its value stands in `params`",
    ),
];

/// The tokens of `text`, the last of which is [`Tok::End`].
///
/// # Errors
/// The text is too long, or there is something in it that no formula has.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    if text.len() > LONGEST {
        let message = format!("a formula has at most {LONGEST} bytes, and this one has {}", text.len());
        return Err(Fault::new(&(0..text.len()), message).help("name parts of it in `let`"));
    }
    let mut found = vec![];
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if let Some((foreign, help)) = FOREIGN.iter().find(|(f, _)| rest.starts_with(f)) {
            let span = at..at + foreign.len();
            return Err(Fault::new(&span, format!("`{foreign}` is no sign of formulas")).help(*help));
        }
        let (tok, len) = if first.is_ascii_digit() || first == '.' {
            number(rest, at)?
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            let len = end.unwrap_or(rest.len());
            (Tok::Name(rest[..len].to_string()), len)
        } else if let Some(sign) = SIGNS.iter().find(|s| rest.starts_with(**s)) {
            (Tok::Sign(sign), sign.len())
        } else {
            let span = at..at + first.len_utf8();
            return Err(Fault::new(&span, format!("`{first}` is no sign of formulas")));
        };
        found.push(Token {
            tok,
            span: at..at + len,
        });
        at += len;
    }
    found.push(Token {
        tok: Tok::End,
        span: text.len()..text.len(),
    });
    Ok(found)
}

/// The number that `rest` begins with, and its length; `2d` and `1.2.3` are none.
fn number(rest: &str, at: usize) -> Result<(Tok, usize), Fault> {
    let bytes = rest.as_bytes();
    let sign_of_exponent = |i: usize| {
        matches!(bytes[i], b'+' | b'-')
            && i > 0
            && matches!(bytes[i - 1], b'e' | b'E')
            && bytes.get(i + 1).is_some_and(u8::is_ascii_digit)
    };
    let part = |i: usize, c: char| c.is_alphanumeric() || c == '.' || c == '_' || sign_of_exponent(i);
    let end = rest.char_indices().find(|(i, c)| !part(*i, *c));
    let word = &rest[..end.map_or(rest.len(), |(i, _)| i)];
    let span = at..at + word.len();
    // Rust also reads `inf` and `nan`, but those do not begin with a digit.
    match word.parse::<f64>() {
        Ok(x) if x.is_finite() => Ok((Tok::Number(x), word.len())),
        Ok(_) => Err(Fault::new(&span, format!("`{word}` is larger than any number"))),
        Err(_) => {
            let fault = Fault::new(&span, format!("`{word}` is not a number"));
            let digits = word.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(0);
            let (digits, name) = word.split_at(digits);
            Err(match digits.parse::<f64>().is_ok() && !name.is_empty() {
                true => fault.help(format!("a product has a `*`: `{digits}*{name}`")),
                false => fault,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names() {
        let of = |text: &str| tokens(text).unwrap().into_iter().map(|t| t.tok).collect::<Vec<_>>();
        assert_eq!(of("1e-3")[0], Tok::Number(1e-3));
        assert_eq!(of(".5")[0], Tok::Number(0.5));
        assert_eq!(
            of("2-1"),
            [Tok::Number(2.0), Tok::Sign("-"), Tok::Number(1.0), Tok::End]
        );
        assert_eq!(of("λ_1")[0], Tok::Name("λ_1".into()));
        assert_eq!(of(" <= <")[..2], [Tok::Sign("<="), Tok::Sign("<")]);
        for bad in ["1.2.3", "2d", "1e", "1e999", "#", "é2 § 1", "1e+"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }
}
