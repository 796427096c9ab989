//! Running statistics: views that compute them anew, and views that use those of a stream which nothing moves.

use super::cx::{Cx, inside};
use crate::diag::{Problem, Spanned};
use crate::graph::{NodeDef, Select, ViewDef};
use crate::program::{Call, Program, RESULT_VIEW};
use glad_nodes::Role;
use indexmap::IndexMap;
use std::collections::HashSet;

type Programs = IndexMap<String, Program>;

/// Notes in each view whose statistics it computes anew, and warns of statistics of a stream that are as they began.
pub(super) fn check(cx: &Cx, phases: &Programs, views: &mut Programs) {
    // What does not run because of another mistake is none of its own.
    let whole = cx.sink.borrow().errors() == 0;
    for (name, def) in cx.graph.views.iter().filter(|(_, v)| !v.statistics.is_empty()) {
        when(cx, def);
        let Some(program) = views.get_mut(name) else { continue };
        for named in &def.statistics {
            match nodes(cx, named, program, whole) {
                Ok(nodes) => program.statistics.extend(nodes),
                Err(p) => cx.push(p),
            }
        }
    }
    if whole {
        as_begun(cx, phases, views);
    }
}

/// A view that moves statistics is a step of the run.
fn when(cx: &Cx, view: &ViewDef) {
    let p =
        Problem::error(format!("view {} computes statistics anew", view.name)).at(&view.statistics[0].place, "here");
    let by = cx.graph.phases.values().find_map(|phase| {
        let refresh = phase.refresh.as_ref().map(|r| (&r.view, "refresh"));
        let mut within = phase.validate.iter().map(|v| (v, "validate")).chain(refresh);
        let (named, does) = within.find(|(v, _)| v.value == view.name)?;
        Some((phase, named, does))
    });
    if let Some((phase, named, does)) = by {
        let does_so = if does == "refresh" { "refreshes" } else { "validates" };
        cx.push(
            p.at(
                &named.place,
                format!("and {does_so} phase {}, which goes on with them", phase.name),
            )
            .help(format!("{does} by a view without `statistics`")),
        );
    } else if cx.graph.run.iter().all(|r| r.value != view.name) {
        cx.push(
            p.at(&view.place, "and is not in `run`")
                .help(format!("`append.run = [\"{}\"]` runs it after the phases", view.name)),
        );
    } else if view.optional {
        cx.push(
            p.at(&view.place, "and may be left out")
                .help("leave `optional` out: what follows needs them"),
        );
    } else if cx.graph.select.value == Select::Best {
        cx.push(
            p.at(
                &cx.graph.select.place,
                "and the weights that are scored may be of a step before it",
            )
            .help("leave `select` out: the last weights have these statistics"),
        );
    }
}

/// The nodes behind a name in `statistics`.
fn nodes(cx: &Cx, named: &Spanned<String>, program: &Program, whole: bool) -> Result<Vec<String>, Problem> {
    let name = &named.value;
    let p = |what: String| Problem::error(what).at(&named.place, "in `statistics`");
    let nodes = cx.named(name);
    if nodes.is_empty() {
        let p = p(format!("there is no node `{name}`"));
        return Err(match cx.suggest_node(name) {
            Some(help) => p.help(help),
            None => p,
        });
    }
    if let Some(tie) = nodes.iter().find_map(|n| n.weights.as_ref()) {
        return Err(p(format!("`{name}` has no statistics of its own"))
            .at(&tie.place, "it uses another's")
            .help(format!("name their owner, `{}`", tie.value)));
    }
    if let Some((copy, of)) = nodes.iter().find_map(|n| Some((n.copied()?.1, &n.copy.as_ref()?.of))) {
        return Err(p(format!("the statistics of `{name}` are a copy"))
            .at(&of.place, "copied here")
            .help(format!("name the original, `{copy}`")));
    }
    let moves = |n: &&&NodeDef| {
        let specs = program.weights.get(&n.path).into_iter().flatten();
        specs.into_iter().any(|s| s.role == Role::Buffer)
    };
    let found: Vec<String> = nodes.iter().filter(moves).map(|n| n.path.clone()).collect();
    if found.is_empty() && whole {
        let runs = nodes.iter().any(|n| program.calls.iter().any(|c| c.node == n.path));
        let node = nodes[0];
        let p = match runs {
            true => p(format!("`{name}` has no running statistics"))
                .at(&node.place, "no batch norm in it")
                .help("name nodes with batch norms, such as a backbone"),
            false => p(format!("`{name}` does not run in view {}", program.name))
                .at(&node.place, "no root needs it")
                .help("add an output of it, or behind it, to the view's `roots`"),
        };
        return Err(inside(p, node));
    }
    Ok(found)
}

/// Warns of views that compute with statistics of a stream which nothing has moved.
fn as_begun(cx: &Cx, phases: &Programs, views: &Programs) {
    let in_run = |name: &String| cx.graph.run.iter().any(|r| r.value == *name);
    let original = |owner: &str| cx.graph.copied(owner).map_or(owner.to_string(), |c| c.of.value.clone());
    let key = |p: &Program, c: &Call| {
        Some((
            original(&c.owner),
            p.streams[c.stream.filter(|_| !c.per_stream.is_empty())?].clone(),
        ))
    };
    let trained = phases.iter().filter(|(name, _)| in_run(name)).flat_map(|(_, p)| {
        let moves = p
            .calls
            .iter()
            .filter(|c| !p.frozen.contains(&c.owner) && p.copy(&c.owner).is_none());
        moves.filter_map(|c| key(p, c)).collect::<Vec<_>>()
    });
    let anew = views.iter().filter(|(name, _)| in_run(name)).flat_map(|(_, p)| {
        let moves = p.calls.iter().filter(|c| p.statistics.contains(&c.owner));
        moves.filter_map(|c| key(p, c)).collect::<Vec<_>>()
    });
    let moved: HashSet<(String, String)> = trained.chain(anew).collect();
    let mut reported = HashSet::new();
    let result = |name: &String| name == RESULT_VIEW || in_run(name);
    for (_, view) in views.iter().filter(|(name, _)| result(name)) {
        for call in &view.calls {
            let Some((owner, stream)) = key(view, call).filter(|k| !moved.contains(k)) else {
                continue;
            };
            if cx.graph.phases.is_empty() || !reported.insert((owner.clone(), stream.clone())) {
                continue;
            }
            let node = &cx.graph.nodes[&owner];
            let p = Problem::warning(format!(
                "nothing moves the statistics of `{owner}` in stream {stream}: view {} computes with those that its weights start \
                 with",
                view.name
            ))
            .at(&node.place, "each stream has its own")
            .at(&cx.graph.views[&view.name].place, format!("{stream} runs here"));
            cx.push(inside(p, node).help(format!(
                "a view in `run` with `statistics = [\"{owner}\"]` computes them over {stream}'s videos"
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{errors, warnings};

    const SOURCE: &str = "drop = [\"tol\", \"align_g\", \"align_l\", \"align_x\"]\nbypass = [\"bg_mix\"]\n";
    const OWN: &str = "[nodes.backbone]\nrunning = \"per_stream\"\n";

    #[test]
    fn statistics_that_nothing_moves_are_reported() {
        assert!(warnings(OWN).is_empty(), "both streams train");
        assert!(warnings(SOURCE).is_empty(), "all streams have the same");
        let found = warnings(&format!("{SOURCE}{OWN}"));
        assert_eq!(
            found,
            [
                "nothing moves the statistics of `backbone` in stream target: view infer computes with those that its weights start \
              with"
            ]
        );
        let view = "[views.adapt]\nsplit = \"train\"\nstatistics = [\"backbone\"]\nroots = [\"consensus.y@target\"]\n";
        assert!(warnings(&format!("{SOURCE}append.run = [\"adapt\"]\n{OWN}{view}")).is_empty());
        let late = errors(&format!("{SOURCE}{OWN}{view}"));
        assert_eq!(late, ["view adapt computes statistics anew"]);
    }
}
