//! The kind by itself, and in a graph.

use candle_core::{Device, Tensor};
use custom_node::Coral;
use glad::load::{LoadOptions, load};
use glad_nodes::{Args, Compute, Key, Precision, Scope, Step, WeightStore};

fn step<'a>(store: &'a mut WeightStore, device: &'a Device, wants: &'a [bool]) -> Step<'a> {
    Step {
        weights: Scope::new(store, "coral"),
        key: Key::new(1),
        training: true,
        progress: 0.0,
        step: 0,
        wants,
        backward: true,
        again: false,
        record: false,
        device,
        precision: Precision::F32,
    }
}

fn features(seed: u64, rows: usize, width: usize) -> Vec<f32> {
    let mut draw = Key::new(seed).rng();
    (0..rows * width).map(|_| draw.normal() as f32).collect()
}

fn inputs(s: &[f32], t: &[f32], width: usize) -> Args<Tensor> {
    let tensor = |v: &[f32]| Tensor::from_slice(v, (v.len() / width, width), &Device::Cpu).unwrap();
    Args::default()
        .with("source", vec![tensor(s)])
        .with("target", vec![tensor(t)])
}

/// The loss by its definition, in f64.
fn reference(s: &[f32], t: &[f32], d: usize) -> f64 {
    let covariance = |x: &[f32]| -> Vec<f64> {
        let rows: Vec<&[f32]> = x.chunks(d).collect();
        let mean: Vec<f64> = (0..d)
            .map(|j| rows.iter().map(|r| f64::from(r[j])).sum::<f64>() / rows.len() as f64)
            .collect();
        let at = |i: usize, j: usize| {
            let sum: f64 = rows
                .iter()
                .map(|r| (f64::from(r[i]) - mean[i]) * (f64::from(r[j]) - mean[j]))
                .sum();
            sum / (rows.len() - 1) as f64
        };
        (0..d * d).map(|k| at(k / d, k % d)).collect()
    };
    let sum: f64 = covariance(s)
        .iter()
        .zip(covariance(t))
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    sum / (4.0 * (d * d) as f64)
}

#[test]
fn loss_and_gradient_match_the_definition() {
    let (device, d) = (Device::Cpu, 3);
    let (s, t) = (features(1, 5, d), features(2, 7, d));
    let mut store = WeightStore::default();
    let wants = [true, true];
    let kind = Coral { scale: 1.0 };
    let mut step = step(&mut store, &device, &wants);
    let (out, saved) = kind.forward(&mut step, &inputs(&s, &t, d)).unwrap();
    let loss = f64::from(out[0].to_scalar::<f32>().unwrap());
    assert!((loss - reference(&s, &t, d)).abs() < 1e-6, "{loss}");
    let one = Tensor::new(1f32, &device).unwrap();
    let grads = kind.backward(&mut step, saved, vec![Some(one)]).unwrap();
    for (which, grad) in grads.iter().enumerate() {
        let grad = grad.as_ref().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for i in 0..grad.len() {
            let moved = |by: f32| {
                let (mut s, mut t) = (s.clone(), t.clone());
                if which == 0 {
                    s[i] += by
                } else {
                    t[i] += by
                }
                reference(&s, &t, d)
            };
            let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!(
                (f64::from(grad[i]) - slope).abs() < 1e-4,
                "{which} {i}: {} and {slope}",
                grad[i]
            );
        }
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
