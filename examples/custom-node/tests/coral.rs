//! The kind by itself, and in a graph.

use glad::load::{LoadOptions, load};
use glad_nodes::Args;
use glad_nodes::testing::{Probe, normal, ty};
use serde_json::json;

/// The loss by its definition, in f64, of features of width `d`.
fn reference(s: &[f64], t: &[f64], d: usize) -> f64 {
    let covariance = |x: &[f64]| -> Vec<f64> {
        let rows: Vec<&[f64]> = x.chunks(d).collect();
        let mean = |j: usize| rows.iter().map(|r| r[j]).sum::<f64>() / rows.len() as f64;
        let at = |i: usize, j: usize| {
            let sum: f64 = rows.iter().map(|r| (r[i] - mean(i)) * (r[j] - mean(j))).sum();
            sum / (rows.len() - 1) as f64
        };
        (0..d * d).map(|k| at(k / d, k % d)).collect()
    };
    let pairs = covariance(s).into_iter().zip(covariance(t));
    pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / (4.0 * (d * d) as f64)
}

/// Both forms: the value, and the gradients against differences.
#[test]
fn loss_and_gradient_match_the_definition() {
    let d = 3;
    let types = [
        ("source", vec![ty("Feature", "5,3")]),
        ("target", vec![ty("Feature", "7,3")]),
    ];
    let inputs = Args::default()
        .with("source", vec![normal(1, &[5, d])])
        .with("target", vec![normal(2, &[7, d])]);
    for (kind, params, scale) in [("coral", json!({ "scale": 2.0 }), 2.0), ("coral_auto", json!({}), 1.0)] {
        let mut probe = Probe::of(&custom_node::registry(), kind, params, &types, &[]).unwrap();
        probe.check(&inputs, |x, _| vec![vec![scale * reference(&x[0], &x[1], d)]]);
    }
}

#[test]
fn the_graph_is_valid_with_the_kind_and_not_without() {
    let graph = concat!(env!("CARGO_MANIFEST_DIR"), "/coral.toml").into();
    let graph = load(&LoadOptions {
        graph,
        ..LoadOptions::default()
    })
    .unwrap();
    let checked = glad::check::check(&graph, &custom_node::registry()).unwrap();
    assert!(checked.phases["main"].losses.iter().any(|l| l.name == "coral"));
    let reached = checked.phases["main"]
        .reach
        .iter()
        .any(|r| r.loss == "coral" && r.node == "backbone");
    assert!(reached, "the loss trains the backbone");
    let without = glad::check::check(&graph, &glad::nodes::registry());
    assert!(without.is_err_and(|p| p.to_string().contains("unknown node kind")));
}

#[test]
fn the_kind_has_a_page() {
    let kinds = custom_node::registry();
    let page = glad::describe::node_page(kinds.get("coral").unwrap());
    assert!(page.contains("Feature[S,D]") && page.contains("scale"), "{page}");
}
