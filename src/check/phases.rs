//! What phases, views and the run say about themselves: lengths, batches, names, the choice of the result.

use super::cx::Cx;
use crate::diag::{Place, Problem, Spanned, did_you_mean};
use crate::graph::{OptimizerDef, PhaseDef};
use indexmap::IndexMap;

/// Checks what needs no types.
pub(super) fn check(cx: &Cx) {
    for p in cx.graph.phases.values() {
        lengths(cx, p);
        optimizer(cx, p, &p.optimizer);
        dims(cx, &p.dims);
        names(cx, &p.reset, "reset");
        names(cx, &p.frozen, "frozen");
        p.optimizer.groups.iter().for_each(|g| names(cx, &g.nodes, "a group of the optimizer"));
        if let Some(v) = &p.validate
            && !cx.graph.views.contains_key(&v.value)
        {
            no_view(cx, v);
        }
        for (name, loss) in &p.losses {
            if loss.weight.value == 0.0 {
                cx.push(
                    Problem::note(format!("loss `{name}` of phase {} has weight 0", p.name))
                        .at(&loss.weight.place, "it is computed and trains nothing"),
                );
            }
            if !loss.weight.value.is_finite() {
                let p = Problem::error(format!("the weight of loss `{name}` is no number"));
                cx.push(p.at(&loss.weight.place, "not finite"));
            }
        }
    }
    for v in cx.graph.views.values() {
        if let Some(b) = &v.batch {
            at_least_one(cx, b, "batch", &format!("view {}", v.name));
        }
        dims(cx, &v.dims);
    }
    select(cx);
    for p in cx.graph.phases.values().filter(|p| cx.graph.run.iter().all(|r| r.value != p.name)) {
        cx.push(
            Problem::note(format!("phase {} is not in `run`", p.name))
                .at(&p.place, "it is checked and not trained")
                .help(format!("`append.run = [\"{}\"]` runs it", p.name)),
        );
    }
}

fn at_least_one(cx: &Cx, n: &Spanned<usize>, what: &str, of: &str) -> bool {
    if n.value == 0 {
        cx.push(Problem::error(format!("`{what}` of {of} is 0")).at(&n.place, "must be at least 1"));
    }
    n.value > 0
}

fn lengths(cx: &Cx, p: &PhaseDef) {
    let of = format!("phase {}", p.name);
    for (n, what) in [(&p.epochs, "epochs"), (&p.steps, "steps")] {
        if let Some(n) = n
            && n.value == 0
        {
            cx.push(
                Problem::error(format!("`{what}` of {of} is 0"))
                    .at(&n.place, "must be at least 1")
                    .help(format!("to leave the phase out, take it from `run`: `remove.run = [\"{}\"]`", p.name)),
            );
        }
    }
    let batch = at_least_one(cx, &p.batch, "batch", &of);
    if let Some(m) = &p.micro_batch
        && at_least_one(cx, m, "micro_batch", &of)
        && batch
        && p.batch.value % m.value != 0
    {
        let (b, m_) = (p.batch.value, m.value);
        let near: Vec<String> = (1..=b).filter(|d| b % d == 0 && *d <= m_).rev().take(1).map(|d| d.to_string()).collect();
        cx.push(
            Problem::error(format!("a batch of {b} cannot be cut in parts of {m_}"))
                .at(&m.place, "does not divide the batch")
                .at(&p.batch.place, format!("{b} videos of each stream"))
                .help(format!("take a divisor of {b}, such as {}", near.join(""))),
        );
    }
}

fn optimizer(cx: &Cx, p: &PhaseDef, o: &OptimizerDef) {
    let place = o.place.as_ref().unwrap_or(&p.place);
    let wrong = |what: String| {
        cx.push(Problem::error(what).at(place, format!("the optimizer of phase {}", p.name)));
    };
    if !(o.lr.is_finite() && o.lr > 0.0) {
        wrong(format!("the learning rate must be above 0, and is {}", o.lr));
    }
    if !(0.0..1.0).contains(&o.momentum) {
        wrong(format!("momentum must be in [0, 1), and is {}", o.momentum));
    }
    if !(o.weight_decay.is_finite() && o.weight_decay >= 0.0) {
        wrong(format!("weight decay must not be negative, and is {}", o.weight_decay));
    }
    if o.clip_norm.is_some_and(|c| !(c.is_finite() && c > 0.0)) {
        wrong("`clip_norm` must be above 0; leave it out for no clipping".into());
    }
}

fn dims(cx: &Cx, dims: &IndexMap<String, Spanned<usize>>) {
    for (name, d) in dims.iter().filter(|(n, _)| !cx.graph.dims.contains_key(*n)) {
        let known: Vec<&str> = cx.graph.dims.keys().map(String::as_str).collect();
        let p = Problem::error(format!("unknown dimension `{name}`")).at(&d.place, "not in the graph's `dims`");
        let help = did_you_mean(name, known.iter().copied());
        cx.push(p.help(help.unwrap_or_else(|| format!("`dims` of the graph: {}", known.join(", ")))));
    }
}

fn names(cx: &Cx, names: &[Spanned<String>], whose: &str) {
    for n in names.iter().filter(|n| cx.named(&n.value).is_empty()) {
        let p = Problem::error(format!("there is no node `{}`", n.value)).at(&n.place, format!("in {whose}"));
        cx.push(match cx.suggest_node(&n.value) {
            Some(h) => p.help(h),
            None => p,
        });
    }
}

fn no_view(cx: &Cx, v: &Spanned<String>) {
    let p = Problem::error(format!("there is no view `{}`", v.value)).at(&v.place, "in `validate`");
    let known = cx.graph.views.keys().map(String::as_str).collect::<Vec<_>>();
    let help = did_you_mean(&v.value, known.iter().copied());
    cx.push(p.help(help.unwrap_or_else(|| format!("views: {}", known.join(", ")))));
}

fn select(cx: &Cx) {
    let s = &cx.graph.select;
    let place: &Place = &s.place;
    match s.value.as_str() {
        "last" => {}
        "best" => {
            if !cx.graph.oracle {
                cx.push(
                    Problem::error("`select = \"best\"` chooses by labels of the target, which are held out")
                        .at(place, "needs `oracle = true`")
                        .help("leave it at \"last\", or say `oracle = true`, and every output will say so, too"),
                );
            }
            let validates = |r: &Spanned<String>| cx.graph.phases.get(&r.value).is_some_and(|p| p.validate.is_some());
            if !cx.graph.run.iter().any(validates) {
                cx.push(
                    Problem::error("`select = \"best\"` has no scores to choose by")
                        .at(place, "no phase of `run` has a `validate`")
                        .help("name a view in the phase: `validate = \"validate\"`"),
                );
            }
        }
        other => {
            let p = Problem::error(format!("`select` is \"last\" or \"best\", not \"{other}\"")).at(place, "unknown");
            cx.push(match did_you_mean(other, ["last", "best"]) {
                Some(h) => p.help(h),
                None => p,
            });
        }
    }
}
