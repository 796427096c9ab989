//! `report.html`: one self-contained page about a run.

use super::result::oracle;
use super::scores::{ClassRow, Row, percent, words};
use crate::graph::Graph;
use crate::run::RunResult;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Content of the page besides the run's result.
#[derive(Default)]
pub(super) struct Parts {
    /// The views: name and rows of scores.
    pub views: Vec<(String, Vec<Row>)>,
    /// Confusion matrices: a heading, the picture, classes.
    pub matrices: Vec<(String, String, Vec<ClassRow>)>,
    /// Other pictures, each with its heading.
    pub pictures: Vec<(String, String)>,
    /// The curves.
    pub curves: Option<String>,
    /// The drawing of the graph.
    pub graph: String,
    /// The plan.
    pub plan: String,
}

/// The page.
pub(super) fn page(graph: &Graph, result: &RunResult, parts: &Parts) -> String {
    let title = graph.title.as_ref().map_or("experiment", |t| t.value.as_str());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) ", a run of glad" }
                style { (PreEscaped(CSS)) }
            }
            body {
                main {
                    h1 { (title) }
                    p.faint { "A run of glad in " code { (result.folder.root().display()) } (oracle(graph)) }
                    p.faint { (computed_in(graph, result)) }
                    @if !result.starts_from.is_empty() { p.faint { (started_from(result)) } }
                    @if graph.oracle {
                        p.warn { "Oracle: labels of held-out streams may be used by this graph. It is a bound, not an adaptation method." }
                    }
                    @for warning in &result.warnings {
                        p.warn { "Warning: " (warning) }
                    }
                    @if let Some((_, rows)) = parts.views.first() { (headline(graph, rows)) }
                    @for (name, rows) in &parts.views { (scores(name, rows)) }
                    @for (name, reason) in &result.left_out {
                        p.faint { "View " (name) " was left out: " (reason) }
                    }
                    @for (heading, picture) in &parts.pictures {
                        h2 { (heading) }
                        div.picture { (PreEscaped(picture)) }
                    }
                    @if let Some(curves) = &parts.curves {
                        h2 { "Losses and accuracies" }
                        div.picture { (PreEscaped(curves)) }
                    }
                    @for (heading, picture, classes) in &parts.matrices {
                        h2 { (heading) }
                        div.side {
                            div.picture { (PreEscaped(picture)) }
                            (per_class(classes))
                        }
                    }
                    h2 { "The graph" }
                    div {
                        input #full type="checkbox";
                        label for="full" { " at full size" }
                        div.picture.wide { (PreEscaped(&parts.graph)) }
                    }
                    (super::times::times(result))
                    (bad(result))
                    h2 { "Files" }
                    (files(result))
                    @if !parts.plan.is_empty() {
                        details { summary { "The plan" } pre { (parts.plan) } }
                    }
                }
            }
        }
    };
    page.into_string()
}

/// The precision used, and the requested one where it differs.
fn computed_in(graph: &Graph, result: &RunResult) -> String {
    let used: Vec<&str> = result.precision.iter().map(|p| p.name()).collect();
    let asked = match graph.precision.value {
        asked if result.precision == [asked] => String::new(),
        asked => format!(" (the graph asks for {asked})"),
    };
    format!("Computed in {}{asked}", used.join(", then "))
}

/// What the weights of networks started from.
fn started_from(result: &RunResult) -> String {
    let all: Vec<String> = result
        .starts_from
        .iter()
        .map(|(node, from)| format!("{node} {from}"))
        .collect();
    format!("Starts from: {}", all.join("; "))
}

/// The score of the run.
fn headline(graph: &Graph, rows: &[Row]) -> Markup {
    let Some((row, (name, value))) = rows.first().and_then(|r| Some((r, r.values.first()?))) else {
        return html! {};
    };
    html! {
        div.big {
            span.number { (row.shown(*value)) }
            span {
                (words(name)) " on " b { (row.name) }
                @if let Some(n) = row.videos { br; span.faint { (n) " videos" } }
            }
            @if let Some(e) = &graph.expect {
                span.number.faint { (e.value) " %" }
                span.faint { "published for this row," br; "with the data and network of the publication" }
            }
        }
    }
}

fn scores(view: &str, rows: &[Row]) -> Markup {
    let names = columns(rows);
    html! {
        @if !rows.is_empty() {
            h2 { "Scores, view " (view) }
            table {
                tr { th {} @for n in &names { th.n { (words(n)) } } th.n { "videos" } }
                @for r in rows {
                    tr {
                        th { (r.name) }
                        @for n in &names {
                            td.n { @if let Some((_, v)) = r.values.iter().find(|(m, _)| m == n) { (r.shown(*v)) } }
                        }
                        td.n { @if let Some(v) = r.videos { (v) } }
                    }
                }
            }
        }
    }
}

fn columns(rows: &[Row]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for (n, _) in rows.iter().flat_map(|r| &r.values) {
        if !names.contains(n) {
            names.push(n.clone());
        }
    }
    names
}

fn per_class(classes: &[ClassRow]) -> Markup {
    html! {
        table {
            tr { th { "class" } th.n { "recall" } th.n { "videos" } th { "most taken for" } }
            @for c in classes {
                tr {
                    th { (c.name) }
                    td.n { @match c.recall { Some(r) => (percent(r)), None => "-" } }
                    td.n { (c.videos) }
                    td { @if let Some((name, n)) = &c.taken_for { (name) " " span.faint { "(" (n) ")" } } }
                }
            }
        }
    }
}

fn bad(result: &RunResult) -> Markup {
    let scored: usize = result.views.iter().map(|(_, v)| v.bad.len()).sum();
    html! {
        @if !result.bad.is_empty() || scored > 0 {
            h2 { "Videos that could not be used" }
            table {
                tr { th { "stream" } th { "video" } th { "reason" } }
                @for (stream, videos) in &result.bad {
                    @for (video, why) in videos { tr { td { (stream) } td { code { (video) } } td { (why) } } }
                }
                @for (name, view) in &result.views {
                    @for b in &view.bad { tr { td { "view " (name) } td { "number " (b.video + 1) " of its list" } td { (b.reason) } } }
                }
            }
        }
    }
}

fn files(result: &RunResult) -> Markup {
    let f = &result.folder;
    let all = [
        (f.root().join("graph.svg"), "the drawing of the graph"),
        (f.graph(), "the graph as it ran, all layers in one file; it can be run"),
        (f.root().join("lengths.svg"), "how long the videos are"),
        (f.root().join("lengths.csv"), "the same as a table"),
        (f.root().join("gap.svg"), "the gap next to those of other pairs"),
        (f.predictions(), "class probabilities of every scored video"),
        (f.root().join("per_class.csv"), "recall of every class"),
        (f.summary(), "the scores, for programs"),
        (f.metrics(), "losses and accuracies of every step"),
        (f.last(), "the weights"),
    ];
    html! {
        ul {
            @for (path, what) in all.iter().filter(|(p, _)| p.exists()) {
                @let name = path.strip_prefix(f.root()).unwrap_or(path).display().to_string();
                li { a href=(name) { (name) } span.faint { ": " (what) } }
            }
        }
    }
}

const CSS: &str = "
:root{color-scheme:light dark;--page:#fff;--word:#1b2430;--faint:#667281;--line:#e3e8ed;--area:#f6f8fa;--warn:#852420;--warnbg:#fde4e3}
@media (prefers-color-scheme:dark){:root{--page:#0f141a;--word:#e4eaf0;--faint:#93a0ad;--line:#27313b;--area:#161d25;--warn:#ffcfcc;--warnbg:#431b1a}}
body{margin:0;background:var(--page);color:var(--word);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}
main{max-width:1720px;margin:0 auto;padding:32px 28px 80px}
h1{font-size:30px;margin:0}
h2{font-size:19px;margin:44px 0 12px}
.faint{color:var(--faint)}
.warn{background:var(--warnbg);color:var(--warn);padding:8px 14px;border-radius:8px}
.big{display:flex;gap:14px 18px;align-items:center;flex-wrap:wrap;margin:26px 0 6px}
.number{font-size:44px;font-weight:650;font-variant-numeric:tabular-nums;line-height:1}
.number.faint{font-size:30px;font-weight:500;margin-left:28px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:5px 14px 5px 0;text-align:left;border-bottom:1px solid var(--line);font-weight:400;vertical-align:top}
tr:first-child th{color:var(--faint);font-size:13px}
th{font-weight:600}
.n{text-align:right;padding-left:14px}
.picture{overflow-x:auto;border:1px solid var(--line);border-radius:10px}
.picture svg{display:block;max-width:100%;height:auto}
.wide svg{width:100%}
.wide{margin-top:8px}
#full:checked~.wide svg{width:auto;max-width:none}
@media print{#full,label[for=full]{display:none}.wide svg{width:100%!important;max-width:100%!important}}
.side{display:flex;gap:34px;flex-wrap:wrap;align-items:flex-start}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px}
pre{overflow-x:auto;background:var(--area);padding:14px;border-radius:8px;line-height:1.35}
summary{cursor:pointer;margin-top:30px}
a{color:inherit}
";
