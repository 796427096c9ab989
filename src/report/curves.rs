//! Losses and accuracies over the steps of a run, phase by phase, from its metrics.

use super::chart::{CLASS, Chart, Series, css};
use crate::describe::svg::num;
use indexmap::IndexMap;
use maud::{PreEscaped, html};
use serde_json::Value;

/// Values by name: steps and values.
type Values = IndexMap<String, Vec<(f64, f64)>>;

/// The metrics of a phase.
#[derive(Clone, Debug, Default)]
struct Phase {
    /// Of its steps.
    steps: Values,
    /// Of the views that validated it.
    views: Values,
}

/// Charts of the lines of a metrics.jsonl: for each phase its losses, the accuracies of its domain classifiers (50 % is
/// chance), other accuracies, and validation scores. `is_domain` states whether a node is a domain classifier. `None`
/// where there is nothing to show.
pub(super) fn curves(metrics: &str, is_domain: &dyn Fn(&str) -> bool) -> Option<String> {
    let phases = read(metrics);
    let colours = Colours::of(&phases);
    let charts = |p: &Phase| -> Vec<Chart> {
        let all = [
            losses(p, &colours),
            accuracies(p, &colours, "domain accuracy", &|n| is_domain(n), true),
            accuracies(p, &colours, "accuracy on the batch", &|n| !is_domain(n), false),
            validation(p),
        ];
        all.into_iter().flatten().collect()
    };
    let columns: Vec<(&String, Vec<Chart>)> = phases.iter().map(|(n, p)| (n, charts(p))).collect();
    let columns: Vec<_> = columns.into_iter().filter(|(_, c)| !c.is_empty()).collect();
    let rows = columns.iter().map(|(_, c)| c.len()).max()?;
    const W: f64 = 430.0;
    const H: f64 = 210.0;
    const GAP: f64 = 22.0;
    const EDGE: f64 = 22.0;
    let count = columns.len() as f64;
    let size = (
        2.0 * EDGE + count * W + (count - 1.0) * GAP,
        66.0 + rows as f64 * (H + GAP),
    );
    let at = |i: usize, j: usize| {
        format!(
            "translate({} {})",
            num(EDGE + i as f64 * (W + GAP)),
            num(58.0 + j as f64 * (H + GAP))
        )
    };
    let svg = html! {
        svg.(CLASS) xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {} {}", num(size.0), num(size.1)))
            width=(num(size.0)) height=(num(size.1)) role="img" {
            title { "losses and accuracies by step" }
            style { (PreEscaped(css())) }
            rect.page width=(num(size.0)) height=(num(size.1)) {}
            @for (i, (name, charts)) in columns.iter().enumerate() {
                text.head x=(num(EDGE + i as f64 * (W + GAP) + 4.0)) y="36" { (name) }
                @for (j, chart) in charts.iter().enumerate() { g transform=(at(i, j)) { (chart.draw(W, H)) } }
            }
        }
    };
    Some(svg.into_string() + "\n")
}

/// Unreadable lines are skipped: the last one of a killed run may be cut.
fn read(metrics: &str) -> IndexMap<String, Phase> {
    let mut phases: IndexMap<String, Phase> = IndexMap::new();
    for line in metrics.lines() {
        let Ok(Value::Object(row)) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let (Some(phase), Some(step)) = (
            row.get("phase").and_then(Value::as_str),
            row.get("step").and_then(Value::as_f64),
        ) else {
            continue;
        };
        let of = phases.entry(phase.to_string()).or_default();
        let values = if row.contains_key("view") {
            &mut of.views
        } else {
            &mut of.steps
        };
        for (name, v) in &row {
            if !["phase", "step", "epoch", "view"].contains(&name.as_str())
                && let Some(v) = v.as_f64()
            {
                values.entry(name.clone()).or_default().push((step, v));
            }
        }
    }
    phases
}

fn chart(title: &str, series: Vec<Series>, shares: bool) -> Option<Chart> {
    (!series.is_empty()).then(|| Chart {
        title: title.into(),
        series,
        shares,
        level: None,
    })
}

/// Whether a key of a step is a loss, `ROUND/NAME` in a phase with rounds.
fn is_loss(name: &str) -> bool {
    !name.contains('.') && !["lr", "grad_norm", OBJECTIVE].contains(&in_round(name))
}

/// `ce` of `classifiers/ce`.
fn in_round(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

/// The weighted sum of a phase's losses, as metrics name it.
const OBJECTIVE: &str = "loss";

/// Losses, each with one colour in all phases; its accuracy has the same.
struct Colours(Vec<String>);

impl Colours {
    fn of(phases: &IndexMap<String, Phase>) -> Colours {
        let mut names: Vec<String> = vec![];
        for p in phases.values() {
            let mut own: Vec<&String> = p.steps.keys().filter(|n| is_loss(n) && !names.contains(n)).collect();
            own.sort();
            names.extend(own.into_iter().cloned().collect::<Vec<_>>());
        }
        Colours(names)
    }

    fn get(&self, name: &str, or: usize) -> usize {
        let loss = name.split('@').next().unwrap_or(name);
        // The last colour is the objective's.
        self.0.iter().position(|n| n == loss).unwrap_or(or) % 7
    }
}

fn losses(p: &Phase, colours: &Colours) -> Option<Chart> {
    let mut names: Vec<&String> = p.steps.keys().filter(|n| is_loss(n)).collect();
    names.sort();
    let of = |n: &String| Series {
        name: n.clone(),
        colour: colours.get(n, 0),
        points: p.steps[n].clone(),
    };
    let mut series: Vec<Series> = names.into_iter().map(of).collect();
    // The weighted sum of one term is redundant.
    if series.len() > 1
        && let Some(total) = p.steps.get(OBJECTIVE)
    {
        series.push(Series {
            name: "objective".into(),
            colour: 7,
            points: total.clone(),
        });
    }
    chart("losses", series, false)
}

/// `align_g` of `align_g.bce.accuracy`, `ce@source` of `ce.accuracy@source`.
fn short(name: &str) -> String {
    let (path, stream) = name.split_once('@').map_or((name, ""), |(p, s)| (p, s));
    let node = path.split('.').next().unwrap_or(path);
    if stream.is_empty() {
        node.to_string()
    } else {
        format!("{node}@{stream}")
    }
}

/// The node of a metric's name: `align_g.bce` of `align_g.bce.accuracy@source`, in any round.
fn node(name: &str) -> &str {
    let path = in_round(name.split('@').next().unwrap_or(name));
    path.rsplit_once('.').map_or(path, |(node, _)| node)
}

fn accuracies(p: &Phase, colours: &Colours, title: &str, wanted: &dyn Fn(&str) -> bool, chance: bool) -> Option<Chart> {
    let mut names: Vec<&String> = p.steps.keys().collect();
    names.retain(|n| n.split('@').next().is_some_and(|n| n.ends_with(".accuracy")) && wanted(node(n)));
    names.sort();
    let of = |(i, n): (usize, &&String)| {
        let name = short(n);
        Series {
            colour: colours.get(&name, i),
            name,
            points: p.steps[*n].clone(),
        }
    };
    let mut c = chart(title, names.iter().enumerate().map(of).collect(), true)?;
    c.level = chance.then_some((0.5, "50 %: no better than chance"));
    Some(c)
}

fn validation(p: &Phase) -> Option<Chart> {
    let mut names: Vec<&String> = p.views.keys().collect();
    names.retain(|n| n.contains(".mean_class_accuracy"));
    names.sort();
    let series = names
        .iter()
        .enumerate()
        .map(|(colour, n)| Series {
            name: short(n),
            colour,
            points: p.views[*n].clone(),
        })
        .collect();
    chart("mean class accuracy in validation", series, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"{"phase":"main","step":0,"epoch":0,"align.bce.accuracy":0.5,"ce":2.0,"ce.accuracy":0.1,"align":0.7,"loss":2.7,"lr":0.1}
{"phase":"main","step":1,"epoch":0,"align.bce.accuracy":0.75,"ce":1.0,"ce.accuracy":0.3,"align":0.6,"loss":1.6,"lr":0.1}
{"view":"validate","phase":"main","step":2,"scores.mean_class_accuracy@target":0.25}
{"phase":"main","st"#;

    #[test]
    fn domains_have_a_chart_of_their_own() {
        let svg = curves(METRICS, &|n| n == "align.bce").unwrap();
        assert!(svg.contains("domain accuracy") && svg.contains("50 %: no better than chance"));
        assert!(
            svg.contains(">align 75 %<") && svg.contains(">ce 1.00<") && svg.contains(">objective 1.60<"),
            "{svg}"
        );
        assert!(svg.contains("scores@target 25 %"));
        assert!(!svg.contains(">lr"));
    }

    #[test]
    fn rounds_have_losses_of_their_own() {
        let metrics = r#"{"phase":"main","step":0,"both/align.bce.accuracy":0.5,"both/ce":2.0,"both/loss":2.0,"both/grad_norm":3.0,"features/apart":0.25,"features/loss":0.25,"loss":2.25,"lr":0.1}"#;
        let svg = curves(metrics, &|n| n == "align.bce").unwrap();
        for shown in [
            ">both/ce 2.00<",
            ">features/apart 0.25<",
            ">objective 2.25<",
            ">both/align 50 %<",
        ] {
            assert!(svg.contains(shown), "{shown}: {svg}");
        }
        assert!(!svg.contains("grad_norm") && !svg.contains("/loss"), "{svg}");
    }

    #[test]
    fn nothing_is_no_picture() {
        assert!(curves("", &|_| false).is_none());
        assert!(curves("{}\n[1]\nx", &|_| false).is_none());
    }
}
