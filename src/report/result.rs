//! What a run found, as text and for programs.

use super::scores::{self, Row};
use crate::graph::Graph;
use crate::run::{Prediction, RunResult, ViewResult};
use serde_json::{Map, Value, json};

/// What a run prints last: the scores of each view, the published number, videos that could not be used, the folder.
pub fn result_text(graph: &Graph, result: &RunResult) -> String {
    let mut out = String::new();
    for (name, view) in &result.views {
        out += &view_text(graph, name, view);
    }
    let count: usize = result.bad.values().map(|b| b.len()).sum();
    if count > 0 {
        out += &format!("{count} videos could not be used in training and were replaced:\n");
        for (stream, bad) in &result.bad {
            for (video, why) in bad.iter().take(MOST_BAD) {
                out += &format!("  {stream}: {video}: {why}\n");
            }
            if bad.len() > MOST_BAD {
                out += &format!("  {stream}: and {} more, all in report.html\n", bad.len() - MOST_BAD);
            }
        }
    }
    let folder = result.folder.root().display();
    out + &format!("{folder}: report.html (open it in a browser), predictions.csv, summary.json, metrics.jsonl\n")
}

const MOST_BAD: usize = 5;

/// The scores of one view.
pub fn view_text(graph: &Graph, name: &str, view: &ViewResult) -> String {
    let title = graph.title.as_ref().map_or("experiment", |t| t.value.as_str());
    let mut out = format!("\n{title}, view {name}{}\n", oracle(graph));
    let rows = scores::rows(graph, view);
    out += &table(&rows);
    if rows.is_empty() {
        let counts: Vec<String> = view.counts.iter().map(|(s, n)| format!("{n} videos of {s}")).collect();
        out += &format!("  nothing is scored here: {}\n", counts.join(", "));
    }
    if let Some(e) = &graph.expect {
        out += &format!("  published for this row: {} % (with the data and network of the publication)\n", e.value);
    }
    if !view.bad.is_empty() {
        out += &format!("  {} videos could not be scored, the first: {}\n", view.bad.len(), view.bad[0].reason);
    }
    out
}

/// ` (oracle: …)` where held-out labels were used.
pub(super) fn oracle(graph: &Graph) -> &'static str {
    match (graph.oracle, graph.select.value == "best") {
        (true, true) => " (oracle: weights chosen by held-out labels)",
        (true, false) => " (oracle: held-out labels may be used)",
        _ => "",
    }
}

fn table(rows: &[Row]) -> String {
    let mut names: Vec<&str> = vec![];
    for (name, _) in rows.iter().flat_map(|r| &r.values) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let first = rows.iter().map(|r| r.name.chars().count()).max().unwrap_or(0);
    let words: Vec<String> = names.iter().map(|n| scores::words(n)).collect();
    let mut out = format!("  {:first$}", "");
    words.iter().for_each(|w| out += &format!("  {w}"));
    out += "  videos\n";
    for r in rows {
        out += &format!("  {:first$}", r.name);
        for (name, word) in names.iter().zip(&words) {
            let value = r.values.iter().find(|(n, _)| n == name).map_or("-".into(), |(_, v)| r.shown(*v));
            out += &format!("  {value:>wide$}", wide = word.chars().count());
        }
        out += &format!("  {:>6}\n", r.videos.map_or("-".into(), |n| n.to_string()));
    }
    out
}

/// The result for programs. It holds no times, so that a resumed run writes the same.
pub fn summary_json(graph: &Graph, result: &RunResult) -> Value {
    let mut views = Map::new();
    for (name, view) in &result.views {
        let scored: Vec<Value> = view
            .scores
            .iter()
            .map(|s| {
                let values: Map<String, Value> = s.scores.values.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
                json!({ "node": s.node, "stream": s.stream, "scores": values, "confusion": s.scores.confusion })
            })
            .collect();
        let counts: Map<String, Value> = view.counts.iter().map(|(s, n)| (s.clone(), json!(n))).collect();
        views.insert(name.clone(), json!({ "scores": scored, "videos": counts, "bad_videos": view.bad.len() }));
    }
    let expect = graph.expect.as_ref().map(|e| e.value.as_str());
    json!({
        "title": graph.title.as_ref().map(|t| t.value.as_str()),
        "published": expect,
        "oracle": graph.oracle,
        "select": graph.select.value,
        "held_out": graph.held_out.iter().map(|s| s.value.as_str()).collect::<Vec<_>>(),
        "views": views,
        "bad_videos": result.bad,
    })
}

/// The most probable classes of each video.
pub fn probabilities_text(classes: &[String], predictions: &[Prediction]) -> String {
    const MOST: usize = 5;
    const BAR: f32 = 30.0;
    let name = |i: usize| scores::class_name(classes, i);
    let mut out = String::new();
    for p in predictions {
        let mut order: Vec<usize> = (0..p.probabilities.len()).collect();
        order.sort_by(|a, b| p.probabilities[*b].total_cmp(&p.probabilities[*a]));
        order.truncate(MOST);
        let wide = order.iter().map(|i| name(*i).chars().count()).max().unwrap_or(0);
        out += &format!("{}\n", p.video.path.display());
        for i in order {
            let share = p.probabilities[i];
            let bar = "█".repeat((share * BAR).round() as usize);
            out += format!("  {:wide$}  {:5.1} %  {bar}", name(i), 100.0 * share).trim_end();
            out += "\n";
        }
    }
    out
}
