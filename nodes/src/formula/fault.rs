//! What is wrong with a formula, and where in its text.

use crate::ParamProblem;
use std::ops::Range;

/// Bytes of a text.
pub(super) type Span = Range<usize>;

/// Something wrong with one of a node's texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where in the text.
    pub span: Span,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// What to write.
    pub help: Option<String>,
}

impl Fault {
    /// A fault without help.
    pub(super) fn new(span: &Span, message: impl Into<String>) -> Fault {
        Fault {
            span: span.clone(),
            message: message.into(),
            help: None,
        }
    }

    /// With what to write.
    pub(super) fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    /// As a problem of the parameter `path`.
    pub(super) fn of(self, path: &str) -> ParamProblem {
        let problem = ParamProblem::new(path, self.message).within(self.span);
        match self.help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}

/// `did you mean …?` for a word not in `known`, else `or`.
pub(super) fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, or: impl Into<String>) -> String {
    let word = word.to_lowercase();
    let letters = word.chars().count();
    let distance = |name: &str| strsim::damerau_levenshtein(&word, &name.to_lowercase());
    // Of a name of one letter any other letter would be one change away.
    let near = known
        .into_iter()
        .map(|name| (distance(name), name))
        .filter(|(edits, name)| {
            *edits <= 2 && 2 * edits <= letters.max(name.chars().count()) && *edits < letters.max(2)
        });
    match near.min_by_key(|(edits, _)| *edits) {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => or.into(),
    }
}

/// `a, b, c`, or `none`.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.as_slice() {
        [] => "none".into(),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn near_names_are_suggested() {
        let known = ["softmax", "log_softmax", "source", "n"];
        let of = |word| suggest(word, known, "?");
        assert_eq!(of("sofmax"), "did you mean `softmax`?");
        assert_eq!(of("sorce"), "did you mean `source`?");
        assert_eq!(of("m"), "?");
        assert_eq!(of("entropy"), "?");
    }
}
