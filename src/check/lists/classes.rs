//! Labels and class names against the scores that they are compared with.

use super::digest::Digest;
use super::place::{dim, list_place, param};
use super::{About, Cx, title, videos};
use crate::diag::{Place, Problem};
use crate::graph::{Graph, NodeDef, Select};
use crate::program::{LabelUse, Program, ProgramKind, ValueId};
use crate::tree::Tree;
use glad_nodes::{Body, Head};
use glad_video::lists::is_heading;

/// How many names a message lists.
const SHOWN: usize = 5;

/// Checks every use of labels of a program.
pub(super) fn check(cx: &mut Cx, program: &Program) {
    for (i, label) in program.labels.iter().enumerate() {
        let lists = cx.lists;
        let Some(list) = lists.of(program, label.stream) else {
            continue;
        };
        let found = Use {
            graph: cx.graph,
            program,
            label,
            list,
        };
        let mut problems = vec![];
        if let Some(classes) = label.classes(program) {
            let names = found.names(classes);
            // Streams that share their names, and phases and views that share a classifier, are reported once.
            let new = match &names {
                Some((p, _)) => cx
                    .named
                    .insert((p.labels[0].0.clone(), found.scorer_name().to_string())),
                None => true,
            };
            // Where there are more names than scores, that alone is reported, not the labels beyond the scores.
            let more = names.as_ref().is_some_and(|p| p.1);
            problems.extend(names.map(|p| p.0).filter(|_| new));
            if cx.about == About::All && !more {
                // With a number too high, it is a different question which class is missing.
                problems.extend(found.beyond(classes).or_else(|| found.never(classes)));
            }
        }
        problems.extend(found.unlabelled().filter(|_| cx.about == About::All));
        problems.extend(found.other_names(&program.labels[..i], lists));
        let title = title(program);
        problems.into_iter().for_each(|p| cx.sink.push_in(&title, p));
    }
}

struct Use<'a> {
    graph: &'a Graph,
    program: &'a Program,
    label: &'a LabelUse,
    list: &'a Digest,
}

impl<'a> Use<'a> {
    fn stream(&self) -> &'a str {
        &self.program.streams[self.label.stream]
    }

    fn source(&self) -> &'a NodeDef {
        &self.graph.nodes[&self.program.calls[self.program.sources[self.label.stream]].node]
    }

    fn node(&self) -> &'a NodeDef {
        &self.graph.nodes[&self.program.calls[self.label.call].node]
    }

    fn is_metric(&self) -> bool {
        matches!(
            self.program.bodies[self.program.calls[self.label.call].body],
            Body::Metric(_)
        )
    }

    /// Adds the line of the list, at the place where the graph names the list.
    fn at_list(&self, p: Problem, text: String) -> Problem {
        p.at(
            &list_place(self.source(), Some(self.stream()), &self.program.split),
            text,
        )
    }

    /// Adds the place where the labels are compared with scores.
    fn at_use(&self, p: Problem, text: &str) -> Problem {
        let (port, n) = &self.label.port;
        let node = self.node();
        let refs = node.inputs.get(port).map_or(&[][..], |r| r.as_slice());
        // A reference that names no stream means all of them.
        let written = refs.get(*n).or(refs.first());
        p.at(
            written.map_or(&node.place, |r| &r.place),
            format!("`{}` {text}", node.path),
        )
    }

    /// The node that makes the scores, and where its number of outputs was written.
    fn scorer(&self) -> Option<(&'a NodeDef, Vec<(Place, String)>)> {
        let node = self
            .graph
            .nodes
            .get(maker(self.program, self.graph, self.label.scores?))?;
        let mut places = vec![];
        if let Some(outputs) = node.params.get("outputs") {
            places.push((outputs.place.clone(), format!("outputs of `{}`", node.path)));
            places.extend(outputs.text().and_then(|name| dim(self.graph, self.program, name)));
        } else {
            places.push((node.place.clone(), format!("`{}` makes the scores", node.path)));
        }
        Some((node, places))
    }

    fn at_scores(&self, mut p: Problem) -> Problem {
        for (place, text) in self.scorer().map(|s| s.1).unwrap_or_default() {
            p = p.at(&place, text);
        }
        p
    }

    fn scorer_name(&self) -> &'a str {
        self.scorer().map_or("the classifier", |s| &s.0.path)
    }

    /// The correction suggested for a different number of classes.
    fn set_classes(&self, n: usize) -> String {
        let outputs = self.scorer().and_then(|s| s.0.params.get("outputs"));
        match outputs.and_then(Tree::text) {
            Some(name) if dim(self.graph, self.program, name).is_some() => format!("`dims.{name} = {n}`"),
            _ => format!("`outputs = {n}` of `{}`", self.scorer_name()),
        }
    }

    /// Reports class names that are more or fewer than the scores; returns whether they are more.
    fn names(&self, classes: usize) -> Option<(Problem, bool)> {
        let (names, place) = match (&self.graph.classes, &self.list.classes) {
            (_, Some(names)) => (
                names,
                param(self.source(), Some(self.stream()), "classes").map(|t| &t.place),
            ),
            (Some(names), None) => (&names.value, Some(&names.place)),
            (None, None) => return None,
        };
        if names.len() == classes {
            return None;
        }
        let more = names.len() > classes;
        let what = format!(
            "stream {} has {} classes by name, and `{}` tells {classes} apart",
            self.stream(),
            names.len(),
            self.scorer_name()
        );
        let p = if more {
            Problem::error(what)
        } else {
            Problem::warning(what)
        };
        let p = p.at(
            place.unwrap_or(&self.source().place),
            format!("{} classes: {}", names.len(), some(names)),
        );
        let p = self.at_use(self.at_scores(p), "compares labels with its scores");
        let set = self.set_classes(names.len());
        let p = p.help(match more {
            true if is_heading(&names[0]) && names.len() == classes + 1 => format!(
                "take the first name, `{}`, out, if it is the heading of the file; if it is a class, give the classifier an output \
                 for it: {set}",
                names[0]
            ),
            true => format!("give it an output for each class: {set}; or take the names out that are not in the lists"),
            false => format!("an output for each class is {set}; unless classes without a name are meant"),
        });
        Some((p, more))
    }

    /// Reports labels that are not a class of the scores.
    fn beyond(&self, classes: usize) -> Option<Problem> {
        let mut of = self
            .list
            .labels
            .iter()
            .filter_map(|(l, seen)| Some(((*l)?, seen)))
            .filter(|(l, _)| *l >= classes);
        let (least, (_, line)) = of.next()?;
        let n: usize = self.list.labels.range(Some(classes)..).map(|(_, (n, _))| n).sum();
        let most = self.list.labels.keys().next_back().copied().flatten().unwrap_or(least);
        let first = self.list.labels.keys().flatten().next().copied().unwrap_or(0);
        let what = format!(
            "label {least} of stream {} is beyond the {classes} classes of `{}` (0 to {})",
            self.stream(),
            self.scorer_name(),
            classes - 1
        );
        let p = match self.label.masked {
            true => Problem::warning(what),
            false => Problem::error(what),
        };
        let p = self.at_list(
            p,
            format!(
                "{line}: label {least}; {} of {} have labels beyond",
                n,
                videos(self.list.videos)
            ),
        );
        let p = self.at_use(self.at_scores(p), "compares labels with its scores");
        Some(p.help(match first == 1 && most == classes && self.list.numbered {
            true => "the labels begin with 1: classes are numbered from 0, so make each label 1 less".to_string(),
            false if most < 10_000 => format!(
                "correct the list, or give the classifier more outputs: {}",
                self.set_classes(most + 1)
            ),
            false => "correct the list: a number is a label here that can be none".to_string(),
        }))
    }

    /// Reports classes of a training list without a video.
    fn never(&self, classes: usize) -> Option<Problem> {
        if self.label.losses.is_empty() || self.label.masked {
            return None;
        }
        let names = self
            .list
            .classes
            .as_ref()
            .or(self.graph.classes.as_ref().map(|c| &c.value));
        let count = names.map_or(classes, |n| n.len().min(classes));
        let seen = |k: &usize| self.list.labels.contains_key(&Some(*k));
        let missing: Vec<usize> = (0..count).filter(|k| !seen(k)).collect();
        // A list without labels, or with other labels only, is reported as such.
        if missing.is_empty() || missing.len() == count {
            return None;
        }
        let named: Vec<String> = missing
            .iter()
            .map(|k| names.map_or(k.to_string(), |n| n[*k].clone()))
            .collect();
        let what = format!(
            "{} of {count} classes {} no video in the training list of stream {}",
            missing.len(),
            if missing.len() == 1 { "has" } else { "have" },
            self.stream()
        );
        let p = self.at_list(
            Problem::warning(what),
            format!("{}: none of {}", self.list.name, some(&named)),
        );
        let p = self.at_use(p, "never learns them");
        let first_only = missing == [0] && self.list.labels.contains_key(&Some(count - 1));
        let first = names.map_or("", |n| n[0].as_str());
        Some(p.help(match first_only {
            true if self.list.numbered => {
                "do the labels begin with 1? Classes are numbered from 0".to_string()
            }
            true if is_heading(first) => {
                format!("take `{first}` out of the names, if it is the heading of their file; if it is a class, add videos of it")
            }
            _ => "add videos of them, or leave the classes out".to_string(),
        }))
    }

    /// Reports videos without a label where one is needed.
    fn unlabelled(&self) -> Option<Problem> {
        let (n, line) = self.list.labels.get(&None)?;
        let all = *n == self.list.videos;
        let count = match all {
            true => format!("no video of stream {} has a label", self.stream()),
            false => format!(
                "{n} of {} of stream {} have no label",
                videos(self.list.videos),
                self.stream()
            ),
        };
        let first = format!("{line}: the first without a label");
        if self.is_metric() {
            let view = self.program.kind == ProgramKind::View;
            let best = self.graph.select.value == Select::Best && view && self.validates();
            let p = match (all, best) {
                (true, true) => Problem::error(format!("{count}, and `select = \"best\"` depends on their scores")),
                (true, false) => Problem::warning(format!("{count}, so it cannot be scored")),
                (false, _) => return None,
            };
            let p = self.at_use(self.at_list(p, first), "scores with labels");
            return Some(p.help("name a list with labels; or leave the score out of the view's roots"));
        }
        if !self.label.needed {
            return None;
        }
        let node = &self.node().path;
        let who = match self.label.losses.first() {
            Some(loss) => format!("loss `{loss}` is trained on them"),
            None => format!("`{node}` needs one of each"),
        };
        let p = match self.label.masked {
            true => Problem::warning(format!("{count}, and {who} where they are not masked")),
            false => Problem::error(format!("{count}, and {who}")),
        };
        let p = self.at_use(self.at_list(p, first), "takes the labels");
        Some(p.help("label these videos, delete their lines, or leave the stream out of the loss"))
    }

    /// Whether this view validates a phase of the run.
    fn validates(&self) -> bool {
        let phases = self.graph.run.iter().filter_map(|r| self.graph.phases.get(&r.value));
        let mut by = phases.filter_map(|p| p.validate.as_ref());
        by.any(|v| v.value == self.program.name)
    }

    /// Reports streams whose labels are compared with the same classifier but whose classes differ.
    fn other_names(&self, before: &[LabelUse], lists: &super::Lists) -> Option<Problem> {
        let scorer = |l: &LabelUse| Some(maker(self.program, self.graph, l.scores?));
        let mine = self.list.classes.as_ref()?;
        let other = before
            .iter()
            .filter(|l| l.stream != self.label.stream && scorer(l) == scorer(self.label));
        let (other, theirs) = other
            .filter_map(|l| Some((l, lists.of(self.program, l.stream)?.classes.as_ref()?)))
            .find(|(_, theirs)| *theirs != mine)?;
        let stream = &self.program.streams[other.stream];
        let source = &self.graph.nodes[&self.program.calls[self.program.sources[other.stream]].node];
        let k = mine.iter().zip(theirs).position(|(a, b)| a != b);
        let what = format!(
            "streams {stream} and {} have other classes, and `{}` for both",
            self.stream(),
            self.scorer_name()
        );
        let place = |node: &NodeDef, stream: &str| {
            param(node, Some(stream), "classes").map_or(node.place.clone(), |t| t.place.clone())
        };
        let say = |names: &[String], stream: &str| match k {
            Some(k) => format!("class {k} of {stream} is {}", names[k]),
            None => format!("{} classes of {stream}", names.len()),
        };
        let p = Problem::error(what)
            .at(&place(self.source(), self.stream()), say(mine, self.stream()))
            .at(&place(source, stream), say(theirs, stream));
        Some(
            self.at_scores(p)
                .help("one classifier needs the same classes in the same order: give both streams the same `classes`"),
        )
    }
}

/// The node that makes scores: the closest before them that states its number of outputs, or has weights.
fn maker<'p>(program: &'p Program, graph: &Graph, scores: ValueId) -> &'p str {
    let mut value = scores;
    for _ in 0..program.calls.len() {
        let call = &program.calls[program.values[value.0].call];
        let says = graph.nodes[&call.node].params.contains_key("outputs") || program.weights.contains_key(&call.node);
        let before = call
            .inputs
            .iter()
            .flat_map(|(_, ids)| ids)
            .find(|v| program.values[v.0].ty.head == Head::Logits);
        match before.filter(|_| !says) {
            Some(v) => value = *v,
            None => return &call.node,
        }
    }
    &program.calls[program.values[scores.0].call].node
}

/// `jump, run, throw and 9 more`.
fn some(names: &[String]) -> String {
    let shown = &names[..names.len().min(SHOWN)];
    match names.len() - shown.len() {
        0 => shown.join(", "),
        n => format!("{} and {n} more", shown.join(", ")),
    }
}
