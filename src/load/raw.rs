//! From text to [`Tree`]: every syntax error of a file at once.

use crate::diag::{FileId, Place, Problem};
use crate::tree::{Tree, TreeValue};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The most syntax errors of a file that are shown.
const SHOWN: usize = 5;
/// The limit on the nesting of tables and lists.
const DEEPEST: usize = 64;

/// Reads one text. What could be read is returned with the problems.
pub(super) fn parse(file: FileId, text: &str, problems: &mut Vec<Problem>) -> Tree {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut cx = Convert {
        file,
        offset: 0,
        depth: 0,
        problems,
    };
    // A file of another kind has an error in each line.
    if let (Some(first), Some(kind)) = (errors.first(), other_kind(text)) {
        cx.syntax(first, text);
        if let Some(last) = cx.problems.last_mut() {
            last.help = Some(format!(
                "this looks like {kind}, and graph files are TOML, such as `dims = {{ T = 4 }}`"
            ));
        }
        return Tree::table(cx.place(0..0));
    }
    let more = errors.len().saturating_sub(SHOWN);
    for e in errors.iter().take(SHOWN) {
        cx.syntax(e, text);
    }
    if let (true, Some(last)) = (more > 0, cx.problems.last_mut()) {
        last.help = Some(format!("there are {more} more such errors: is this file TOML at all?"));
    }
    let place = cx.place(0..0);
    Tree {
        value: cx.table(table.get_ref()),
        key: place.clone(),
        place,
    }
}

/// What a text that is not TOML seems to be.
fn other_kind(text: &str) -> Option<&'static str> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = lines.next()?;
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    let yaml = |line: &str| {
        line.split_once(':')
            .is_some_and(|(key, rest)| is_key(key) && (rest.is_empty() || rest.starts_with(' ')))
    };
    match first {
        _ if first.starts_with('{') => Some("JSON"),
        _ if first.starts_with('<') => Some("a web page or XML"),
        _ if first == "---" || yaml(first) => Some("YAML"),
        _ => None,
    }
}

/// Reads `text[at..]` as one value; `None` where it is not one.
pub(super) fn parse_value(file: FileId, text: &str, at: usize) -> Option<Tree> {
    let (value, errors) = DeValue::parse_recoverable(&text[at..]);
    if !errors.is_empty() {
        return None;
    }
    let mut problems = vec![];
    let mut cx = Convert {
        file,
        offset: at,
        depth: 0,
        problems: &mut problems,
    };
    let tree = cx.value(&value, None);
    problems.is_empty().then_some(tree)
}

struct Convert<'a> {
    file: FileId,
    offset: usize,
    /// The number of tables and lists around.
    depth: usize,
    problems: &'a mut Vec<Problem>,
}

impl Convert<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        Place {
            file: self.file,
            span: span.start + self.offset..span.end + self.offset,
        }
    }

    fn syntax(&mut self, e: &toml::de::Error, text: &str) {
        let span = e.span().unwrap_or(text.len()..text.len());
        let message = e.message().lines().collect::<Vec<_>>().join(", ");
        let help = message.contains("duplicate key").then_some("a file writes a key once");
        let mut p = Problem::error(format!("not TOML: {message}")).at(&self.place(span), "here");
        p.help = help.map(String::from);
        self.problems.push(p);
    }

    fn value(&mut self, v: &Spanned<DeValue<'_>>, key: Option<&Place>) -> Tree {
        let place = self.place(v.span());
        // A table implied by dotted keys has no text of its own: its key stands for it.
        let place = match key {
            Some(k) if place.span.is_empty() => k.clone(),
            _ => place,
        };
        let value = match v.get_ref() {
            DeValue::String(s) => TreeValue::String(s.to_string()),
            DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
                Ok(n) => TreeValue::Integer(n),
                Err(_) => {
                    let message = format!("`{i}` is too large a whole number");
                    self.problems
                        .push(Problem::error(message).at(&place, "at most 9223372036854775807"));
                    TreeValue::Integer(0)
                }
            },
            DeValue::Float(x) => match x.as_str().parse::<f64>() {
                Ok(n) if n.is_finite() || x.as_str().contains(['i', 'n']) => TreeValue::Float(n),
                _ => {
                    let message = format!("`{x}` is no number that a computer can hold");
                    self.problems.push(Problem::error(message).at(&place, "here"));
                    TreeValue::Float(0.0)
                }
            },
            DeValue::Boolean(b) => TreeValue::Boolean(*b),
            DeValue::Datetime(d) => TreeValue::Datetime(d.to_string()),
            DeValue::Array(_) | DeValue::Table(_) if self.depth >= DEEPEST => {
                let message = format!("tables and lists are nested more than {DEEPEST} deep");
                self.problems
                    .push(Problem::error(message).at(&place, "this one is one too many"));
                TreeValue::Boolean(false)
            }
            DeValue::Array(a) => {
                self.depth += 1;
                let items = a.iter().map(|v| self.value(v, None)).collect();
                self.depth -= 1;
                TreeValue::Array(items)
            }
            DeValue::Table(t) => {
                self.depth += 1;
                let table = self.table(t);
                self.depth -= 1;
                table
            }
        };
        Tree {
            value,
            key: key.cloned().unwrap_or_else(|| place.clone()),
            place,
        }
    }

    fn table(&mut self, t: &DeTable<'_>) -> TreeValue {
        let entry = |(k, v): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let key: &std::borrow::Cow<'_, str> = k.get_ref();
            let place = self.place(k.span());
            (key.to_string(), self.value(v, Some(&place)))
        };
        TreeValue::Table(t.iter().map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Files;

    fn messages(text: &str) -> Vec<String> {
        let mut problems = vec![];
        let file = Files::default().add_text("x.toml", text);
        parse(file, text, &mut problems);
        problems.into_iter().map(|p| p.message).collect()
    }

    #[test]
    fn the_nesting_of_tables_and_lists_is_limited_and_their_number_is_not() {
        let nested = |n: usize| format!("a = {}{}\n", "[".repeat(n), "]".repeat(n));
        assert_eq!(messages(&nested(DEEPEST)), [""; 0]);
        let refused = ["tables and lists are nested more than 64 deep"];
        assert_eq!(messages(&nested(DEEPEST + 1)), refused);
        let tables = format!("[{}]\nx = 1\n", vec!["a"; DEEPEST + 1].join("."));
        assert_eq!(messages(&tables), refused);
        // Side by side.
        let lists = format!("a = [{}]\n", "[[1]], ".repeat(2 * DEEPEST));
        let tables: String = (0..2 * DEEPEST)
            .map(|i| format!("[b.t{i}]\nx = {{ y = 1 }}\n"))
            .collect();
        assert_eq!(messages(&(lists + &tables)), [""; 0]);
    }
}
