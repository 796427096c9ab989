//! Missing data, and lists that are malformed or do not fit the graph.

use super::examine::examine;
use super::lists::{self, About, Lists, list_place, param};
use super::sink::Sink;
use crate::diag::shown;
use crate::diag::{Place, Problem, Problems, Severity, did_you_mean};
use crate::graph::{Graph, NodeDef, bad_allowed};
use crate::program::{Call, Checked, Program, RESULT_VIEW};
use glad_nodes::{Body, Compute, Source, StartsFrom, Video};
use glad_video::lists::meant;
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// How missing data is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As a note.
    Notes,
    /// As an error: the data is about to be read.
    Needed,
    /// As an error; every video of every list is checked, too: too many bad ones are errors, fewer are warnings.
    Files,
}

/// Reports the data and weights that a run reads and that are missing: as notes, or with `files` as errors (then every
/// video of every list is checked, too). Malformed lists, splits that a list lacks and lists that do not fit the graph
/// are errors; what is allowed but probably not meant is a warning.
///
/// Missing data of an optional view is never an error: a run leaves the view out.
pub fn absent(graph: &Graph, checked: &Checked, files: bool) -> Problems {
    let look = if files { Look::Files } else { Look::Notes };
    absent_of(graph, runs(graph, checked), look)
}

/// Like [`absent`], for these programs only.
pub fn absent_of<'c>(graph: &Graph, programs: impl Iterator<Item = &'c Program>, look_at: Look) -> Problems {
    let programs: Vec<&Program> = programs.collect();
    let mut out = Found {
        list: vec![],
        seen: HashSet::new(),
        lists: Lists::default(),
        examined: HashSet::new(),
        looked_into: HashSet::new(),
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

/// Checks the lists of a run against each other and against the graph, as far as the lists exist: for the linter, which
/// checks the lines of each list itself.
pub fn between_lists(graph: &Graph, checked: &Checked) -> Problems {
    let programs: Vec<&Program> = runs(graph, checked).collect();
    let (mut lists, mut sink, mut examined) = (Lists::default(), Sink::default(), vec![]);
    for program in &programs {
        for call in &program.calls {
            if let Body::Source(source) = &program.bodies[call.body] {
                // A list that cannot be read is reported where its lines are read.
                if lists.read(program, call, source.as_ref()).is_ok() {
                    let stream = call.stream.map(|s| program.streams[s].as_str());
                    examined.extend(examine(graph, program, (call, stream), source.as_ref()));
                }
            }
        }
    }
    for p in examined {
        sink.push(p);
    }
    lists::check(graph, &programs, &lists, About::Lists, &mut sink);
    Problems {
        files: graph.files.clone(),
        list: sink.finish(),
    }
}

/// Reads the lists of one program, and checks them against the graph as those of a run: what cannot be read, or does not
/// fit, is an error. Lists of other splits may be missing.
pub fn lists_of(graph: &Graph, program: &Program) -> Problems {
    let (mut lists, mut sink, mut list) = (Lists::default(), Sink::default(), vec![]);
    for (stream, call) in program.streams.iter().zip(&program.sources) {
        let call = &program.calls[*call];
        let Body::Source(source) = &program.bodies[call.body] else {
            continue;
        };
        if let Err(e) = lists.read(program, call, source.as_ref()) {
            let node = &graph.nodes[&call.node];
            let (place, whose) = of_classes(node, Some(stream), source.as_ref()).unwrap_or_else(|| {
                let place = list_place(node, Some(stream), &program.split);
                (place, format!("the list of stream {stream}"))
            });
            list.push(unread(&e, &place, &whose));
        } else {
            list.extend(examine(graph, program, (call, Some(stream)), source.as_ref()));
        }
    }
    lists::check(graph, &[program], &lists, About::All, &mut sink);
    list.extend(sink.finish());
    Problems {
        files: graph.files.clone(),
        list,
    }
}

fn is_optional(graph: &Graph, program: &Program) -> bool {
    graph.views.get(&program.name).is_some_and(|v| v.optional)
}

/// The optional views that a run leaves out because data or weights that they start from are missing: names and
/// reasons.
pub fn left_out(graph: &Graph, checked: &Checked) -> Vec<(String, String)> {
    let optional = runs(graph, checked).filter(|p| is_optional(graph, p));
    let reason = |program: &Program| {
        let missing = |call: &Call| match &program.bodies[call.body] {
            Body::Compute(compute) => missing_file(compute.as_ref())
                .map(|f| format!("the weights of `{}` are not there: {}", call.node, shown(f))),
            Body::Source(source) => source.absent().into_iter().next(),
            _ => None,
        };
        program.calls.iter().find_map(missing)
    };
    optional.filter_map(|p| Some((p.name.clone(), reason(p)?))).collect()
}

/// The programs that a run uses: those listed in `run`, the views that validate or refresh its phases, and, where `run` lists no
/// view that scores, the one that does.
pub fn runs<'c>(graph: &Graph, checked: &'c Checked) -> impl Iterator<Item = &'c Program> {
    let named: Vec<&str> = graph.run.iter().map(|r| r.value.as_str()).collect();
    let phases = named.iter().filter_map(|n| graph.phases.get(*n));
    let within = phases.flat_map(|p| p.validate.iter().chain(p.refresh.as_ref().map(|r| &r.view)));
    let within = within.map(|v| v.value.as_str());
    let used: HashSet<String> = named
        .iter()
        .copied()
        .chain(within)
        .chain([RESULT_VIEW].into_iter().filter(|_| {
            !named
                .iter()
                .any(|n| graph.views.get(*n).is_some_and(|v| v.statistics.is_empty()))
        }))
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
    /// Nodes whose weights file was already examined, and lists whose videos were.
    examined: HashSet<String>,
    /// Lists of which some files were looked at.
    looked_into: HashSet<String>,
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
    // Classes come first in what is absent and in what is read.
    let at_classes = of_classes(node, stream, source);
    let missing = source.absent();
    for (i, text) in missing.iter().enumerate() {
        let (place, whose) = at_classes
            .as_ref()
            .filter(|_| i == 0)
            .map_or((&place, &whose), |(p, w)| (p, w));
        let mut p = Problem::note(text.clone()).at(place, whose.clone());
        if look_at != Look::Notes {
            p.severity = Severity::Error;
        }
        out.add(&call.node, p);
    }
    // A list that exists must be readable.
    if source.absent().is_empty()
        && let Err(e) = out.lists.read(program, call, source)
    {
        let (place, whose) = at_classes.as_ref().map_or((&place, &whose), |(p, w)| (p, w));
        out.add(&call.node, unread(&e, place, whose));
        return;
    }
    // What is wrong with all files is not reported of each.
    if missing.is_empty()
        && out.looked_into.insert(format!(
            "{} {} {} {:?}",
            call.node, call.params, program.split, program.dims.globals
        ))
        && let Some(p) = examine(graph, program, (call, stream), source)
    {
        out.add(&call.node, p);
        return;
    }
    if look_at == Look::Files
        && out
            .examined
            .insert(format!("{} {} {}", call.node, call.params, program.split))
        && let Ok(videos) = source.videos(&program.split)
    {
        for p in files(&videos, graph.bad_videos) {
            out.add(&call.node, p.at(&place, whose.clone()));
        }
    }
}

/// Where the names of the classes are written, and what to call them, where they cannot be read.
fn of_classes(node: &NodeDef, stream: Option<&str>, source: &dyn Source) -> Option<(Place, String)> {
    source.classes().err()?;
    let classes = param(node, stream, "classes")?;
    let whose = stream.map_or(String::new(), |s| format!(" of stream {s}"));
    Some((classes.place.clone(), format!("the classes{whose}")))
}

/// What a look at every video of a list finds: bad videos, as warnings where a run allows that many, and what is unusual about
/// others, as notes.
fn files(videos: &[Arc<Video>], limit: f64) -> Vec<Problem> {
    let looked: Vec<(Option<String>, Option<String>)> = videos
        .par_iter()
        .map(|v| {
            let modalities = || std::iter::once(v).chain(v.footage.other());
            let bad = modalities().find_map(|m| m.footage.frame_count().err());
            let remark = modalities().find_map(|m| {
                let remark = m.footage.remark()?;
                Some(format!("{}: {}: {remark}", m.line, m.path.display()))
            });
            (bad.map(|e| format!("{e:#}")), remark)
        })
        .collect();
    let bad = || looked.iter().filter_map(|(bad, _)| bad.as_ref());
    let (n, all, allowed) = (bad().count(), videos.len(), bad_allowed(limit, videos.len()));
    let ends = n > allowed || n == all;
    let bad = bad().map(|text| match ends {
        true => Problem::error(text.clone()),
        false => Problem::warning(text.clone()).help(format!(
            "{n} of {all} videos {} bad; a run ends above {allowed}, by `bad_videos`",
            if n == 1 { "is" } else { "are" }
        )),
    });
    let remarks = looked
        .iter()
        .filter_map(|(_, remark)| remark.clone())
        .map(Problem::note);
    bad.chain(remarks).collect()
}

/// The error of a list that cannot be read; where several lines are malformed, they are listed below it.
fn unread(error: &str, place: &Place, whose: &str) -> Problem {
    match error.split_once('\n') {
        Some((what, lines)) => Problem::error(what).at(place, whose).help(lines),
        None => Problem::error(error).at(place, whose),
    }
}

/// The weights file of a node, where it does not exist.
fn missing_file(compute: &dyn Compute) -> Option<&Path> {
    match compute.starts_from() {
        Some(StartsFrom::File(file)) => (!file.exists()).then_some(file),
        _ => None,
    }
}

/// What may be meant by an `init` that names a file that is not there.
fn start_meant(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    if name.eq_ignore_ascii_case("random") {
        Some("did you mean `random`?".into())
    } else if file
        .components()
        .any(|part| ["http:", "https:"].iter().any(|scheme| part.as_os_str() == *scheme))
    {
        Some("files are not fetched from the network: fetch it, and write its path".into())
    } else if let Some(advice) = meant(file) {
        Some(advice)
    } else {
        let advice =
            "`init` is `random`, or the path of a file of weights; none is found by the name of what it was trained on";
        (!name.contains('.')).then(|| advice.into())
    }
}

/// Reports a weights file that is missing or does not fit.
fn weights(graph: &Graph, path: &str, compute: &dyn Compute, look_at: Look, out: &mut Found) {
    let node = &graph.nodes[path];
    let place = node.params.get("init").map_or(&node.place, |t| &t.place);
    let label = "its weights are to start from it";
    if let Some(file) = missing_file(compute) {
        let mut p = Problem::note(format!("{} is not there", shown(file))).at(place, label);
        p.help = start_meant(file);
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
