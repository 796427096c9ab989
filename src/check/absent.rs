//! Data that is not there, and lists that are malformed or do not fit the graph.

use super::lists::{self, About, Lists, list_place};
use super::sink::Sink;
use crate::diag::shown;
use crate::diag::{Problem, Problems, Severity, did_you_mean};
use crate::graph::Graph;
use crate::program::{Call, Checked, Program, RESULT_VIEW};
use glad_nodes::{Body, Compute, Source, StartsFrom};
use std::collections::HashSet;
use std::path::Path;

/// What becomes of data that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A note.
    Notes,
    /// An error: it is about to be read.
    Needed,
    /// An error; and every video of every list is looked at, too.
    Files,
}

/// What is not there of the data and weights that a run reads: notes, or errors with `files` (then every video of every list is
/// looked at, too). Lists that are there and malformed, splits that a list does not have, and lists that do not fit what the
/// graph does with them are errors; what may not be meant is a warning.
///
/// Of optional views nothing is an error: a run leaves them out.
pub fn absent(graph: &Graph, checked: &Checked, files: bool) -> Problems {
    let look = if files { Look::Files } else { Look::Notes };
    absent_of(graph, runs(graph, checked), look)
}

/// As [`absent`], of these programs alone.
pub fn absent_of<'c>(graph: &Graph, programs: impl Iterator<Item = &'c Program>, look_at: Look) -> Problems {
    let programs: Vec<&Program> = programs.collect();
    let mut out = Found {
        list: vec![],
        seen: HashSet::new(),
        lists: Lists::default(),
        examined: HashSet::new(),
    };
    for program in &programs {
        let look_at = if is_optional(graph, program) {
            Look::Notes
        } else {
            look_at
        };
        for (i, call) in program.calls.iter().enumerate() {
            if let Body::Compute(compute) = &program.bodies[call.body] {
                weights(graph, &call.node, compute.as_ref(), look_at, &mut out);
            }
            let Body::Source(source) = &program.bodies[call.body] else {
                continue;
            };
            let stream = program
                .sources
                .iter()
                .position(|s| *s == i)
                .map(|s| program.streams[s].as_str());
            look(graph, program, (call, stream), source.as_ref(), look_at, &mut out);
        }
    }
    let mut sink = Sink::default();
    lists::check(graph, &programs, &out.lists, About::All, &mut sink);
    let mut list = out.list;
    list.extend(sink.finish());
    Problems {
        files: graph.files.clone(),
        list,
    }
}

/// What is wrong with the lists of a run against each other and the graph, where they are there: for the linter, which looks
/// at the lines of each list itself.
pub fn between_lists(graph: &Graph, checked: &Checked) -> Problems {
    let programs: Vec<&Program> = runs(graph, checked).collect();
    let (mut lists, mut sink) = (Lists::default(), Sink::default());
    for program in &programs {
        for call in &program.calls {
            if let Body::Source(source) = &program.bodies[call.body] {
                // A list that cannot be read is told as such by whoever reads its lines.
                let _ = lists.read(program, call, source.as_ref());
            }
        }
    }
    lists::check(graph, &programs, &lists, About::Lists, &mut sink);
    Problems {
        files: graph.files.clone(),
        list: sink.finish(),
    }
}

fn is_optional(graph: &Graph, program: &Program) -> bool {
    graph.views.get(&program.name).is_some_and(|v| v.optional)
}

/// The optional views that a run leaves out, because data or weights that they start from are not there: names and
/// reasons.
pub fn left_out(graph: &Graph, checked: &Checked) -> Vec<(String, String)> {
    let optional = runs(graph, checked).filter(|p| is_optional(graph, p));
    let reason = |program: &Program| {
        let missing = |call: &Call| match &program.bodies[call.body] {
            Body::Compute(compute) => missing_file(compute.as_ref())
                .map(|f| format!("the weights of `{}` are not there: {}", call.node, shown(f))),
            Body::Source(source) => source.absent(false).into_iter().next(),
            _ => None,
        };
        program.calls.iter().find_map(missing)
    };
    optional.filter_map(|p| Some((p.name.clone(), reason(p)?))).collect()
}

/// The programs that a run uses: what `run` names, the views that its phases are validated by, and, where `run` names no
/// view, the one that scores.
pub fn runs<'c>(graph: &Graph, checked: &'c Checked) -> impl Iterator<Item = &'c Program> {
    let named: Vec<&str> = graph.run.iter().map(|r| r.value.as_str()).collect();
    let validated = named
        .iter()
        .filter_map(|n| graph.phases.get(*n)?.validate.as_ref())
        .map(|v| v.value.as_str());
    let used: HashSet<String> = named
        .iter()
        .copied()
        .chain(validated)
        .chain(
            [RESULT_VIEW]
                .into_iter()
                .filter(|_| !named.iter().any(|n| graph.views.contains_key(*n))),
        )
        .map(String::from)
        .collect();
    checked
        .phases
        .values()
        .chain(checked.views.values())
        .filter(move |p| used.contains(&p.name))
}

struct Found {
    list: Vec<Problem>,
    seen: HashSet<(String, String)>,
    lists: Lists,
    /// Nodes whose file of weights was looked into.
    examined: HashSet<String>,
}

impl Found {
    fn add(&mut self, node: &str, problem: Problem) {
        if self.seen.insert((node.to_string(), problem.message.clone())) {
            self.list.push(problem);
        }
    }
}

fn look(
    graph: &Graph,
    program: &Program,
    (call, stream): (&Call, Option<&str>),
    source: &dyn Source,
    look_at: Look,
    out: &mut Found,
) {
    let node = &graph.nodes[&call.node];
    let place = list_place(node, stream, &program.split);
    let whose = match stream {
        Some(s) => format!("the list of stream {s}"),
        None => "the list".to_string(),
    };
    let splits = source.splits();
    if !splits.is_empty() && !splits.contains(&program.split) {
        let asked = match graph.phases.get(&program.name) {
            Some(p) => &p.split.place,
            None => &graph.views[&program.name].split.place,
        };
        let p = Problem::error(format!("`{}` has no split `{}`", call.node, program.split))
            .at(asked, format!("{} reads it", program.name))
            .at(&place, whose);
        let help = did_you_mean(&program.split, splits.iter().map(String::as_str));
        out.add(
            &call.node,
            p.help(help.unwrap_or_else(|| format!("its splits: {}", splits.join(", ")))),
        );
        return;
    }
    let missing = source.absent(look_at == Look::Files);
    for text in &missing {
        let mut p = Problem::note(text.clone()).at(&place, whose.clone());
        if look_at != Look::Notes {
            p.severity = Severity::Error;
        }
        out.add(&call.node, p);
    }
    // What is not there cannot be read; what is there must be readable.
    if source.absent(false).is_empty()
        && let Err(e) = out.lists.read(program, call, source)
    {
        out.add(&call.node, Problem::error(e).at(&place, whose));
    }
}

/// The file that a node's weights are to start from, where there is nothing of that name.
fn missing_file(compute: &dyn Compute) -> Option<&Path> {
    match compute.starts_from() {
        Some(StartsFrom::File(file)) => (!file.exists()).then_some(file),
        _ => None,
    }
}

/// The file that a node's weights are to start from is not there, or does not fit.
fn weights(graph: &Graph, path: &str, compute: &dyn Compute, look_at: Look, out: &mut Found) {
    let node = &graph.nodes[path];
    let place = node.params.get("init").map_or(&node.place, |t| &t.place);
    let label = "its weights are to start from it";
    if let Some(file) = missing_file(compute) {
        let mut p = Problem::note(format!("{} is not there", shown(file))).at(place, label);
        if look_at != Look::Notes {
            p.severity = Severity::Error;
        }
        out.add(path, p);
    } else if out.examined.insert(path.to_string())
        && let Err(e) = compute.examine()
    {
        let p = Problem::error(e.message).at(place, format!("`{path}` is to start from it"));
        out.add(
            path,
            match e.help {
                Some(help) => p.help(help),
                None => p,
            },
        );
    }
}
