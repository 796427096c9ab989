//! Problems, gathered over all phases and views: a problem found in several of them is reported once.

use crate::diag::{Place, Problem, Severity};
use std::collections::HashMap;

/// The problems found so far.
#[derive(Default)]
pub(super) struct Sink {
    found: Vec<Found>,
    seen: HashMap<(String, Vec<Place>), usize>,
}

struct Found {
    problem: Problem,
    /// The phases and views that it was found in; `None` for one of the graph as a whole.
    programs: Option<Vec<String>>,
}

impl Sink {
    /// Adds a problem of the graph as a whole.
    pub(super) fn push(&mut self, problem: Problem) {
        self.add(None, problem);
    }

    /// Adds a problem of `program` (`phase main`, `view infer`).
    pub(super) fn push_in(&mut self, program: &str, problem: Problem) {
        self.add(Some(program), problem);
    }

    /// The number of errors.
    pub(super) fn errors(&self) -> usize {
        self.found
            .iter()
            .filter(|f| f.problem.severity == Severity::Error)
            .count()
    }

    fn add(&mut self, program: Option<&str>, problem: Problem) {
        let places = problem.labels.iter().map(|(p, _)| p.clone()).collect();
        let key = (problem.message.clone(), places);
        match self.seen.get(&key) {
            None => {
                self.seen.insert(key, self.found.len());
                let programs = program.map(|p| vec![p.to_string()]);
                self.found.push(Found { problem, programs });
            }
            Some(i) => match (&mut self.found[*i].programs, program) {
                (Some(list), Some(p)) if !list.iter().any(|l| l == p) => list.push(p.to_string()),
                (Some(_), Some(_)) => {}
                (programs, _) => *programs = None,
            },
        }
    }

    /// The problems, each stating where it holds.
    pub(super) fn finish(self) -> Vec<Problem> {
        let with_programs = |f: Found| match f.programs {
            None => f.problem,
            Some(programs) => {
                let mut problem = f.problem;
                problem.message = format!("{} (in {})", problem.message, among(&programs));
                problem
            }
        };
        self.found.into_iter().map(with_programs).collect()
    }
}

/// `phase main`, `phase main and view infer`, `phase main, phase warmup, view infer and 2 more`.
fn among(programs: &[String]) -> String {
    match programs {
        [one] => one.clone(),
        [most @ .., last] if programs.len() <= 3 => format!("{} and {last}", most.join(", ")),
        _ => format!("{} and {} more", programs[..3].join(", "), programs.len() - 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_problem_is_reported_once() {
        let mut s = Sink::default();
        for program in ["phase main", "view a", "view b", "view c", "view a"] {
            s.push_in(program, Problem::error("x"));
        }
        s.push_in("phase main", Problem::error("y"));
        s.push(Problem::error("y"));
        assert_eq!(s.errors(), 2);
        let text: Vec<_> = s.finish().into_iter().map(|p| p.message).collect();
        assert_eq!(text, ["x (in phase main, view a, view b and 1 more)", "y"]);
    }
}
