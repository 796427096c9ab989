//! Scores as rows of tables, class by class where there is a confusion matrix.

use crate::graph::Graph;
use crate::program::Program;
use crate::run::{NodeScores, RECALL, ViewResult};
use anyhow::Result;
use glad_nodes::Body;

/// The scores of a metric node in a stream.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The stream, or the node, or both where they are needed to distinguish rows.
    pub name: String,
    /// Values, the main one first, without those of single classes.
    pub values: Vec<(String, f64)>,
    /// Videos scored.
    pub videos: Option<usize>,
    /// Decimals of values that are not fractions; fractions are shown as percentages.
    pub decimals: Option<usize>,
}

impl Row {
    /// A value as text.
    pub(super) fn shown(&self, v: f64) -> String {
        match self.decimals {
            None => percent(v),
            Some(n) => format!("{v:.n$}"),
        }
    }
}

/// `26.3 %`.
pub(super) fn percent(v: f64) -> String {
    format!("{:.1} %", 100.0 * v)
}

/// The rows of a view: held-out streams first, since they matter most.
pub(super) fn rows(graph: &Graph, view: &ViewResult) -> Vec<Row> {
    let several = view.scores.iter().any(|s| s.node != view.scores[0].node);
    let row = |s: &NodeScores| {
        let stream = s.stream.as_deref().unwrap_or("all");
        let of_stream = |name: &str| view.counts.iter().find(|(c, _)| c == name).map(|(_, n)| *n);
        Row {
            name: if several {
                format!("{} {stream}", s.node)
            } else {
                stream.to_string()
            },
            values: s
                .scores
                .values
                .iter()
                .filter(|(n, _)| !n.starts_with(RECALL))
                .cloned()
                .collect(),
            videos: match (&s.scores.confusion, &s.stream) {
                (Some(c), _) => Some(c.iter().flatten().sum::<u64>() as usize),
                (None, Some(name)) => of_stream(name),
                (None, None) => Some(view.counts.iter().map(|(_, n)| n).sum()),
            },
            decimals: match s.scores.confusion {
                Some(_) => None,
                None => Some(s.scores.decimals.unwrap_or(4)),
            },
        }
    };
    ordered(graph, view).into_iter().map(row).collect()
}

/// Scores, those of held-out streams first.
pub(super) fn ordered<'v>(graph: &Graph, view: &'v ViewResult) -> Vec<&'v NodeScores> {
    let held = |s: &NodeScores| {
        s.stream
            .as_ref()
            .is_some_and(|n| graph.held_out.iter().any(|h| h.value == *n))
    };
    let (mut first, rest): (Vec<_>, Vec<_>) = view.scores.iter().partition(|s| held(s));
    first.extend(rest);
    first
}

/// The readable name of a score.
pub(super) fn words(name: &str) -> String {
    match name {
        "top1" => "top-1".into(),
        // The measures of the paper, by their names in graphs.
        n if n.starts_with("delta_") => n.into(),
        n => n.replace('_', " "),
    }
}

/// The name of class `i`, or its number.
pub(super) fn class_name(classes: &[String], i: usize) -> String {
    classes.get(i).cloned().unwrap_or_else(|| i.to_string())
}

/// The names of the classes that a program's lists provide; empty where no list does.
///
/// # Errors
/// The class names of a source cannot be read.
pub fn class_names(program: &Program) -> Result<Vec<String>> {
    for call in &program.sources {
        if let Body::Source(s) = &program.bodies[program.calls[*call].body]
            && let Some(names) = s.classes()?
        {
            return Ok(names);
        }
    }
    Ok(vec![])
}

/// A class in a confusion matrix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClassRow {
    /// Its name.
    pub name: String,
    /// The number of its videos.
    pub videos: u64,
    /// The share of them that is classified correctly; `None` where there are none.
    pub recall: Option<f64>,
    /// The class that it is most often confused with, if any, and how often.
    pub taken_for: Option<(String, u64)>,
}

/// Class by class.
pub(super) fn per_class(classes: &[String], confusion: &[Vec<u64>]) -> Vec<ClassRow> {
    let row = |(k, counts): (usize, &Vec<u64>)| {
        let videos: u64 = counts.iter().sum();
        let wrong = counts.iter().enumerate().filter(|(j, n)| *j != k && **n > 0);
        ClassRow {
            name: class_name(classes, k),
            videos,
            recall: (videos > 0).then(|| counts[k] as f64 / videos as f64),
            // The first of equal counts.
            taken_for: wrong
                .rev()
                .max_by_key(|(_, n)| **n)
                .map(|(j, n)| (class_name(classes, j), *n)),
        }
    };
    confusion.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_say_what_they_are_taken_for() {
        let classes = ["run".to_string(), "jump".to_string()];
        let rows = per_class(&classes, &[vec![3, 1, 0], vec![2, 0, 2], vec![0, 0, 0]]);
        assert_eq!(rows[0].recall, Some(0.75));
        assert_eq!(rows[0].taken_for, Some(("jump".into(), 1)));
        assert_eq!(rows[1].taken_for, Some(("run".into(), 2)), "the first of equals");
        assert_eq!(
            rows[2],
            ClassRow {
                name: "2".into(),
                videos: 0,
                recall: None,
                taken_for: None
            }
        );
    }
}
