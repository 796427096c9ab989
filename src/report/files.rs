//! The files of a finished run.

use super::predictions::predictions_csv;
use super::result::view_text;
use crate::check::Checked;
use crate::graph::Graph;
use crate::plan::Program;
use crate::run::{RunResult, ViewResult, write_whole};
use anyhow::Result;
use glad_nodes::Body;
use serde_json::{Map, Value, json};

/// Writes predictions and the summary of a run into its folder.
pub fn write(graph: &Graph, checked: &Checked, result: &RunResult) -> Result<()> {
    let mut views = Map::new();
    for (name, view) in &result.views {
        let classes = match checked.views.get(name) {
            Some(program) => class_names(program)?,
            None => vec![],
        };
        write_whole(&result.folder.predictions(), predictions_csv(&classes, view).as_bytes())?;
        views.insert(name.clone(), summary_of(view, &classes));
    }
    let summary = json!({
        "title": graph.title.as_ref().map(|t| &t.value),
        "expect": graph.expect.as_ref().map(|t| &t.value),
        "oracle": graph.oracle,
        "seed": graph.seed.value,
        "views": views,
        "bad_videos": result.bad,
        "text": result.views.iter().map(|(n, v)| view_text(graph, n, v)).collect::<String>(),
    });
    write_whole(&result.folder.summary(), serde_json::to_string_pretty(&summary)?.as_bytes())
}

fn summary_of(view: &ViewResult, classes: &[String]) -> Value {
    let scores: Vec<Value> = view
        .scores
        .iter()
        .map(|s| {
            json!({
                "node": s.node,
                "stream": s.stream,
                "values": s.scores.values.iter().map(|(n, v)| (n.clone(), json!(v))).collect::<Map<_, _>>(),
                "confusion": s.scores.confusion,
            })
        })
        .collect();
    json!({
        "classes": classes,
        "videos": view.counts.iter().map(|(n, c)| (n.clone(), json!(c))).collect::<Map<_, _>>(),
        "scores": scores,
        "bad": view.bad.iter().map(|b| json!({ "video": b.video, "reason": b.reason })).collect::<Vec<_>>(),
    })
}

/// The names of the classes that a program's sources know; empty where none does.
pub fn class_names(program: &Program) -> Result<Vec<String>> {
    for call in &program.sources {
        if let Body::Source(s) = &program.bodies[program.calls[*call].body]
            && let Some(names) = s.classes()?
        {
            return Ok(names);
        }
    }
    Ok(vec![])
}
