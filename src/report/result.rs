//! The results of a run, as text and as JSON.

use super::gap;
use super::scores::{self, Row};
use crate::diag::one_line;
use crate::graph::{Graph, Select};
use crate::keys::Word;
use crate::run::{Prediction, RunResult, ViewResult};
use serde_json::{Map, Value, json};

/// The last output of a run: the scores of each view, the published number, videos that could not be used, the folder.
pub fn result_text(graph: &Graph, result: &RunResult) -> String {
    let mut out = String::new();
    for (name, view) in &result.views {
        out += &view_text(graph, name, view);
    }
    for (name, reason) in &result.left_out {
        out += &format!("\nview {name} was left out: {}\n", one_line(reason));
    }
    for warning in &result.warnings {
        out += &format!("warning: {}\n", one_line(warning));
    }
    let count: usize = result.bad.values().map(|b| b.len()).sum();
    if count > 0 {
        out += &format!(
            "{} could not be used in training, others took their places:\n",
            videos(count)
        );
        for (stream, bad) in &result.bad {
            for (video, why) in bad.iter().take(MOST_BAD) {
                out += &format!("  {stream}: {}: {}\n", one_line(video), one_line(why));
            }
            if bad.len() > MOST_BAD {
                out += &format!("  {stream}: and {} more, all in report.html\n", bad.len() - MOST_BAD);
            }
        }
    }
    let root = result.folder.root();
    let shown = root.display().to_string();
    let there = |name: &&str| root.join(name).exists();
    let files: Vec<&str> = FILES.into_iter().filter(there).collect();
    let browser = "report.html (open it in a browser), ";
    out + &format!("{}: {browser}{}\n", one_line(&shown), files.join(", "))
}

/// Files of a run's folder worth naming, besides the page.
const FILES: [&str; 6] = [
    "lengths.svg",
    "gap.svg",
    "lengths.csv",
    "predictions.csv",
    "summary.json",
    "metrics.jsonl",
];

const MOST_BAD: usize = 5;

/// The scores of one view.
pub fn view_text(graph: &Graph, name: &str, view: &ViewResult) -> String {
    let title = graph.title.as_ref().map_or("experiment", |t| t.value.as_str());
    let mut out = format!("\n{}, view {name}{}\n", one_line(title), oracle(graph));
    let rows = scores::rows(graph, view);
    out += &table(&rows);
    out += &gap::lengths_text(view);
    for line in &view.printed {
        out += &format!("  {}\n", one_line(line));
    }
    if rows.is_empty() && view.printed.is_empty() {
        let counts: Vec<String> = view.counts.iter().map(|(s, n)| format!("{n} videos of {s}")).collect();
        out += &format!("  nothing is scored here: {}\n", counts.join(", "));
    }
    if let Some(e) = &graph.expect {
        out += &format!(
            "  published for this row and setting: {} % (with the data and network of the publication)\n",
            e.value
        );
    }
    if !view.bad.is_empty() {
        out += &format!(
            "  {} could not be {}, the first: {}\n",
            videos(view.bad.len()),
            if rows.is_empty() { "used" } else { "scored" },
            one_line(&view.bad[0].reason)
        );
    }
    out
}

fn videos(count: usize) -> String {
    if count == 1 {
        "1 video".into()
    } else {
        format!("{count} videos")
    }
}

/// ` (oracle: …)` where held-out labels were used.
pub(super) fn oracle(graph: &Graph) -> &'static str {
    match (graph.oracle, graph.select.value == Select::Best) {
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
    // A column: its heading, then one value per row.
    let value = |r: &Row, name: &str| {
        r.values
            .iter()
            .find(|(n, _)| n == name)
            .map_or("-".into(), |(_, v)| r.shown(*v))
    };
    let mut columns: Vec<Vec<String>> = vec![];
    for name in &names {
        columns.push(
            [scores::words(name)]
                .into_iter()
                .chain(rows.iter().map(|r| value(r, name)))
                .collect(),
        );
    }
    let counts = rows.iter().map(|r| r.videos.map_or("-".into(), |n| n.to_string()));
    columns.push(["videos".to_string()].into_iter().chain(counts).collect());
    let mut out = String::new();
    for (i, name) in [""].into_iter().chain(rows.iter().map(|r| r.name.as_str())).enumerate() {
        out += &format!("  {name:first$}");
        for c in &columns {
            let wide = c.iter().map(|t| t.chars().count()).max().unwrap_or(0);
            out += &format!("  {:>wide$}", c[i]);
        }
        out += "\n";
    }
    out
}

/// The result for programs, with class names. It holds no times, so that a resumed run writes the same.
pub fn summary_json(graph: &Graph, result: &RunResult, classes: &[String]) -> Value {
    let mut views = Map::new();
    for (name, view) in &result.views {
        let scored: Vec<Value> = view
            .scores
            .iter()
            .map(|s| {
                let values: Map<String, Value> = s.scores.values.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
                json!({ "node": s.node, "stream": s.stream, "values": values, "confusion": s.scores.confusion })
            })
            .collect();
        let counts: Map<String, Value> = view.counts.iter().map(|(s, n)| (s.clone(), json!(n))).collect();
        let bad: Vec<Value> = view
            .bad
            .iter()
            .map(|b| json!({ "video": b.video, "reason": b.reason }))
            .collect();
        views.insert(name.clone(), json!({ "videos": counts, "scores": scored, "bad": bad }));
    }
    json!({
        "title": graph.title.as_ref().map(|t| t.value.as_str()),
        "expect": graph.expect.as_ref().map(|e| e.value.as_str()),
        "oracle": graph.oracle,
        "select": graph.select.value.word(),
        "seed": graph.seed.value,
        "precision": {
            "graph": graph.precision.value,
            "used": result.precision,
        },
        "starts_from": result.starts_from,
        "held_out": graph.held_out.iter().map(|s| s.value.as_str()).collect::<Vec<_>>(),
        "classes": classes,
        "views": views,
        "left_out": result.left_out.iter().map(|(v, why)| json!({ "view": v, "reason": why })).collect::<Vec<_>>(),
        "bad_videos": result.bad,
        "warnings": result.warnings,
    })
}

/// The most probable classes of each video.
pub fn probabilities_text(classes: &[String], predictions: &[Prediction]) -> String {
    const MOST: usize = 5;
    const BAR: f32 = 30.0;
    let name = |i: usize| one_line(&scores::class_name(classes, i)).into_owned();
    let mut out = String::new();
    for p in predictions {
        let mut order: Vec<usize> = (0..p.probabilities.len()).collect();
        order.sort_by(|a, b| p.probabilities[*b].total_cmp(&p.probabilities[*a]));
        order.truncate(MOST);
        let wide = order.iter().map(|i| name(*i).chars().count()).max().unwrap_or(0);
        out += &format!("{}\n", one_line(&p.video.path.display().to_string()));
        for i in order {
            let share = p.probabilities[i];
            let bar = "█".repeat((share * BAR).round() as usize);
            out += format!("  {:wide$}  {:5.1} %  {bar}", name(i), 100.0 * share).trim_end();
            out += "\n";
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Begin, NodeScores, PhaseReport, RunFolder};
    use glad_nodes::{Precision, Scores};
    use std::collections::BTreeMap;
    use std::path::Path;

    fn graph(more: &str) -> Graph {
        let text = format!(
            "title = \"T\"\nexpect = {{ without_setting = \"37.7 ± 2.5\", other = \"1.0\" }}\nstreams = [\"source\", \"target\"]\nheld_out = [\"target\"]\n{more}"
        );
        crate::load::load_text("t.toml", &text, Path::new(".")).unwrap()
    }

    fn view() -> ViewResult {
        let scored = |stream: &str, share: f64| NodeScores {
            node: "scores".into(),
            stream: Some(stream.into()),
            scores: Scores {
                values: vec![
                    ("mean_class_accuracy".into(), share),
                    ("top1".into(), 0.5),
                    ("recall_0".into(), 1.0),
                ],
                confusion: Some(vec![vec![3, 1], vec![2, 2]]),
                ..Scores::default()
            },
        };
        ViewResult {
            scores: vec![scored("source", 0.72), scored("target", 0.263)],
            counts: vec![("source".into(), 8), ("target".into(), 9)],
            ..ViewResult::default()
        }
    }

    #[test]
    fn scores_stand_with_the_published_number() {
        let text = view_text(&graph(""), "infer", &view());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "T, view infer");
        assert_eq!(lines[2], "          mean class accuracy   top-1  videos");
        assert_eq!(
            lines[3], "  target               26.3 %  50.0 %       8",
            "held-out first; 8 have labels"
        );
        assert_eq!(lines[4], "  source               72.0 %  50.0 %       8");
        assert!(lines[5].contains("37.7 ± 2.5 %") && lines[5].contains("of the publication"));
        assert!(!text.contains("recall_0") && !text.contains("oracle"));
    }

    #[test]
    fn an_oracle_says_so_in_every_output() {
        let dir = tempfile::tempdir().unwrap();
        let g = graph("oracle = true");
        let result = RunResult {
            folder: RunFolder::open(&dir.path().join("r"), Begin::New).unwrap().0,
            views: vec![("infer".into(), view())],
            phases: vec![("main".into(), PhaseReport::default())],
            left_out: vec![("scenes".into(), "no weights".into())],
            precision: vec![Precision::F32],
            warnings: vec!["g.toml:3: loss `x` has weight 0".into()],
            starts_from: BTreeMap::from([("backbone".into(), "a.pth (blake3 0123456789ab)".into())]),
            bad: BTreeMap::from([(
                "source".into(),
                BTreeMap::from([("a.mp4 (l.txt:3)".into(), "no frames".into())]),
            )]),
        };
        let text = result_text(&g, &result);
        assert!(text.contains("oracle"), "{text}");
        assert!(text.contains("view scenes was left out: no weights"), "{text}");
        assert!(text.contains("1 video could not be used") && text.contains("source: a.mp4 (l.txt:3): no frames"));
        assert!(text.contains("warning: g.toml:3: loss `x` has weight 0\n"), "{text}");
        let json = summary_json(&g, &result, &["a".into(), "b".into()]);
        assert_eq!(json["warnings"][0], "g.toml:3: loss `x` has weight 0");
        assert_eq!(json["oracle"], true);
        assert_eq!(json["starts_from"]["backbone"], "a.pth (blake3 0123456789ab)");
        assert_eq!(
            json["precision"],
            serde_json::json!({ "graph": "f32", "used": ["f32"] })
        );
        assert_eq!(
            json["views"]["infer"]["scores"][1]["values"]["mean_class_accuracy"],
            0.263
        );
        assert_eq!(json["bad_videos"]["source"]["a.mp4 (l.txt:3)"], "no frames");
        let page = super::super::page::page(&g, &result, &super::super::page::Parts::default());
        assert!(page.contains("Warning: g.toml:3: loss `x` has weight 0"));
        assert!(page.contains("Starts from: backbone a.pth (blake3 0123456789ab)"));
        assert!(page.contains("Oracle") && page.contains("a.mp4 (l.txt:3)"));
    }
}
