//! Data that is not there, and lists that are malformed.

use crate::diag::shown;
use crate::diag::{Place, Problem, Problems, Severity, did_you_mean};
use crate::graph::{Graph, NodeDef};
use crate::program::{Call, Checked, Program, RESULT_VIEW};
use crate::tree::TreeValue;
use glad_nodes::{Body, Compute, Source, StartsFrom};
use std::collections::HashSet;
use std::path::Path;

/// What is not there of the data and weights that a run reads: notes, or errors with `files` (then every video of every list is
/// looked at, too). Lists that are there and malformed, and splits that a list does not have, are errors.
///
/// Of optional views nothing is an error: a run leaves them out.
pub fn absent(graph: &Graph, checked: &Checked, files: bool) -> Problems {
    absent_of(graph, runs(graph, checked), files)
}

/// As [`absent`], of these programs alone.
pub fn absent_of<'c>(graph: &Graph, programs: impl Iterator<Item = &'c Program>, files: bool) -> Problems {
    let mut out = Found {
        list: vec![],
        seen: HashSet::new(),
        examined: HashSet::new(),
    };
    for program in programs {
        let files = files && !is_optional(graph, program);
        for (i, call) in program.calls.iter().enumerate() {
            if let Body::Compute(compute) = &program.bodies[call.body] {
                weights(graph, &call.node, compute.as_ref(), files, &mut out);
            }
            let Body::Source(source) = &program.bodies[call.body] else {
                continue;
            };
            let stream = program
                .sources
                .iter()
                .position(|s| *s == i)
                .map(|s| program.streams[s].as_str());
            look(graph, program, (call, stream), source.as_ref(), files, &mut out);
        }
    }
    Problems {
        files: graph.files.clone(),
        list: out.list,
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
    files: bool,
    out: &mut Found,
) {
    let node = &graph.nodes[&call.node];
    let place = list_place(node, stream);
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
    let missing = source.absent(files);
    for text in &missing {
        let mut p = Problem::note(text.clone()).at(&place, whose.clone());
        if files {
            p.severity = Severity::Error;
        }
        out.add(&call.node, p);
    }
    // What is not there cannot be read; what is there must be readable.
    if source.absent(false).is_empty()
        && let Err(e) = source.videos(&program.split)
    {
        out.add(&call.node, Problem::error(format!("{e:#}")).at(&place, whose));
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
fn weights(graph: &Graph, path: &str, compute: &dyn Compute, files: bool, out: &mut Found) {
    let node = &graph.nodes[path];
    let place = node.params.get("init").map_or(&node.place, |t| &t.place);
    let label = "its weights are to start from it";
    if let Some(file) = missing_file(compute) {
        let mut p = Problem::note(format!("{} is not there", shown(file))).at(place, label);
        if files {
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

/// Where the list of a stream is written, or else the node.
fn list_place(node: &NodeDef, stream: Option<&str>) -> Place {
    let own = stream.and_then(|s| node.per_stream.get(s));
    let list = own.and_then(|p| p.get("list")).or_else(|| node.params.get("list"));
    match list {
        Some(t) => match &t.value {
            TreeValue::Table(_) => t.key.clone(),
            _ => t.place.clone(),
        },
        None => node.place.clone(),
    }
}
