//! The files that a run leaves in its folder.

use super::confusion::confusion;
use super::curves::curves;
use super::gap;
use super::page::{Parts, page};
use super::predictions::{per_class_csv, predictions_csv};
use super::result::summary_json;
use super::scores::{class_names, ordered, per_class, rows};
use crate::describe::draw;
use crate::diag::printable;
use crate::graph::Graph;
use crate::program::Checked;
use crate::run::{RunResult, write_whole};
use anyhow::{Context, Result};
use glad_nodes::Registry;
use std::path::Path;

/// Writes predictions.csv, per_class.csv, summary.json, confusion.svg, curves.svg, lengths.svg, lengths.csv, gap.svg,
/// graph.svg and report.html into the run's folder, as far as there is something to write.
///
/// # Errors
/// A file cannot be written, or class names cannot be read.
pub fn write(graph: &Graph, checked: &Checked, registry: &Registry, result: &RunResult) -> Result<()> {
    let folder = &result.folder;
    let root = folder.root();
    let mut parts = Parts {
        graph: draw(graph, checked, registry),
        ..Parts::default()
    };
    markup(&root.join("graph.svg"), &parts.graph)?;
    let (mut per_class_rows, mut names) = (vec![], vec![]);
    for (i, (name, view)) in result.views.iter().enumerate() {
        let classes = classes(graph, checked, name)?;
        // The first view is the run's result; the files of others contain their names.
        let suffix = if i == 0 { String::new() } else { format!("_{name}") };
        if !view.predictions.is_empty() {
            let path = match i {
                0 => folder.predictions(),
                _ => root.join(format!("predictions{suffix}.csv")),
            };
            write_whole(&path, predictions_csv(&classes, &view.predictions)?.as_bytes())?;
        }
        for (k, s) in ordered(graph, view).into_iter().enumerate() {
            let Some(counts) = &s.scores.confusion else { continue };
            let stream = s.stream.as_deref().unwrap_or("all streams");
            let title = format!("{stream}, view {name}");
            let picture = confusion(&title, &classes, counts);
            if k == 0 {
                markup(&root.join(format!("confusion{suffix}.svg")), &picture)?;
            }
            let of_classes = per_class(&classes, counts);
            per_class_rows.extend(of_classes.iter().map(|c| (name.as_str(), stream, c.clone())));
            parts
                .matrices
                .push((format!("Confusion of {title}"), picture, of_classes));
        }
        parts.views.push((name.clone(), rows(graph, view)));
        names = if names.is_empty() { classes } else { names };
    }
    for (file, heading, picture) in gap::pictures(checked, result) {
        markup(&root.join(file), &picture)?;
        parts.pictures.push((heading, picture));
    }
    let scores = result.views.iter().flat_map(|(_, v)| &v.scores);
    if let Some(s) = scores.map(|s| &s.scores).find(|s| !s.distributions.is_empty()) {
        write_whole(&root.join("lengths.csv"), gap::lengths_csv(&s.distributions).as_bytes())?;
    }
    if !per_class_rows.is_empty() {
        write_whole(&root.join("per_class.csv"), per_class_csv(&per_class_rows)?.as_bytes())?;
    }
    let summary = serde_json::to_string_pretty(&summary_json(graph, result, &names)).context("the summary")? + "\n";
    write_whole(&folder.summary(), summary.as_bytes())?;
    let metrics = glad_video::read_text(&folder.metrics()).unwrap_or_default();
    let is_domain = |node: &str| graph.nodes.get(node).is_some_and(|n| n.kind.value == "domain_bce");
    parts.curves = curves(&metrics, &is_domain);
    if let Some(picture) = &parts.curves {
        markup(&root.join("curves.svg"), picture)?;
    }
    parts.plan = glad_video::read_text(&folder.plan()).unwrap_or_default();
    markup(&root.join("report.html"), &page(graph, result, &parts))
}

/// Writes a page or a picture. Control characters, which neither HTML nor XML may contain, and hidden ones come only
/// from names, and are escaped.
fn markup(path: &Path, text: &str) -> Result<()> {
    write_whole(path, printable(text).as_bytes())
}

fn classes(graph: &Graph, checked: &Checked, view: &str) -> Result<Vec<String>> {
    match (&graph.classes, checked.views.get(view)) {
        (Some(c), _) => Ok(c.value.clone()),
        (None, Some(program)) => class_names(program),
        (None, None) => Ok(vec![]),
    }
}
