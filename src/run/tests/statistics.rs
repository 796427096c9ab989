//! Running statistics, scales and shifts of each stream, and views that compute statistics anew.

use super::harness::{How, Saved, graph, near, numbers, trained};
use super::kinds::{FEATURES, Row, seen};
use super::net::Numbers;
use crate::run::data::FeedOptions;
use crate::run::progress::Progress;
use crate::run::setup::set_up;
use crate::run::start::start_weights;
use crate::run::view::{ViewCx, run_view};
use candle_core::Device;
use glad_nodes::{Key, Precision, WeightStore};

const RATE: f64 = 0.5;
const STREAMS: [&str; 2] = ["source", "target"];

/// The rows of each stream through a batch norm, and 0.3 times the mean over rows of `Σ (y − 1)²` of both streams.
fn normed(params: &str) -> String {
    format!(
        "optimizer = {{ lr = {RATE:?} }}\nlosses.pull = 0.3\n[nodes.norm]\nkind = \"batch_norm\"\n{params}\ninputs = {{ x = \
         \"rows.x\" }}\n[nodes.pull]\nkind = \"formula\"\naxes = {{ x = \"n,d\" }}\nloss = \"mean(sum((x - 1)^2, d))\"\ninputs = \
         {{ x = \"norm.y\" }}\n[views.infer]\nroots = [\"norm.y\"]"
    )
}

/// Mean and biased variance of each feature.
fn moments(rows: &[&Row]) -> Vec<(f64, f64)> {
    let count = rows.len() as f64;
    (0..FEATURES)
        .map(|d| {
            let mean = rows.iter().map(|r| r.x[d]).sum::<f64>() / count;
            (mean, rows.iter().map(|r| (r.x[d] - mean).powi(2)).sum::<f64>() / count)
        })
        .collect()
}

fn unbiased(var: f64, rows: usize) -> f64 {
    var * rows as f64 / (rows.max(2) - 1) as f64
}

/// Takes a step in f64, with the affine weights and the statistics under these names in each stream.
fn step(w: &mut Numbers, rows: &[Row], affine: impl Fn(&str, &str) -> String, running: impl Fn(&str, &str) -> String) {
    let mut grads = Numbers::new();
    for (s, stream) in STREAMS.iter().enumerate() {
        let rows: Vec<&Row> = rows.iter().filter(|r| r.stream == s).collect();
        for (d, (mean, var)) in moments(&rows).into_iter().enumerate() {
            let (gamma, beta) = (affine("weight", stream), affine("bias", stream));
            for row in &rows {
                let x = (row.x[d] - mean) / (var + 1e-5).sqrt();
                let dy = 0.3 * 2.0 * (w[&gamma][d] * x + w[&beta][d] - 1.0) / rows.len() as f64;
                for (name, g) in [(&gamma, dy * x), (&beta, dy)] {
                    grads.entry(name.clone()).or_insert_with(|| vec![0.0; FEATURES])[d] += g;
                }
            }
            for (name, new) in [("running_mean", mean), ("running_var", unbiased(var, rows.len()))] {
                let value = &mut w.get_mut(&running(name, stream)).unwrap()[d];
                *value += 0.1 * (new - *value);
            }
        }
    }
    for (name, grad) in grads {
        w.get_mut(&name)
            .unwrap()
            .iter_mut()
            .zip(grad)
            .for_each(|(w, g)| *w -= RATE * g);
    }
}

fn own(name: &str, stream: &str) -> String {
    format!("norm.{name}@{stream}")
}

fn all(name: &str, _: &str) -> String {
    format!("norm.{name}")
}

/// Holds the batch norm of a run to f64.
#[track_caller]
fn hold(params: &str, affine: fn(&str, &str) -> String, running: fn(&str, &str) -> String) -> Vec<Saved> {
    let (graph, checked) = graph(&format!("steps = 3\nbatch = 4\n{}", normed(params)));
    let run = trained(&graph, &checked, How::default());
    run.outcome.unwrap();
    let of_norm = |w: &Numbers| -> Numbers { w.clone().into_iter().filter(|(n, _)| n.starts_with("norm.")).collect() };
    let mut weights = of_norm(&run.weights[0]);
    for (k, rows) in run.parts.iter().enumerate() {
        step(&mut weights, rows, affine, running);
        let found = of_norm(&run.weights[k + 1]);
        assert!(weights.keys().eq(found.keys()), "{:?}", found.keys());
        for (name, right) in &weights {
            for (d, (found, right)) in found[name].iter().zip(right).enumerate() {
                near(&format!("after step {k}, {name}[{d}]"), *found, *right);
            }
        }
    }
    run.saved
}

#[test]
fn each_stream_has_statistics_scales_and_shifts_of_its_own() {
    hold("", all, all);
    hold("running = \"per_stream\"", all, own);
    hold("running = \"per_stream\"\naffine = \"per_stream\"", own, own);
    // `joint` is then of a stream, too.
    hold("running = \"per_stream\"\nbatch_stats = \"joint\"", all, own);
}

#[test]
fn streams_start_as_all_were_and_resume_with_their_own() {
    let params = "running = \"per_stream\"\naffine = \"per_stream\"";
    let (before, checked) = graph(&format!("steps = 2\nbatch = 4\n{}", normed("")));
    let first = trained(&before, &checked, How::default());
    let (then, checked) = graph(&format!("steps = 3\nbatch = 4\n{}", normed(params)));
    let how = |from: Saved| How {
        from: Some(from),
        ..How::default()
    };
    let whole = trained(&then, &checked, how((0, first.store, None)));
    let (left, starts) = (&first.weights[2], &whole.weights[0]);
    for name in ["weight", "bias", "running_mean", "running_var"] {
        for stream in STREAMS {
            assert_eq!(starts[&own(name, stream)], left[&all(name, stream)], "{name}");
        }
    }
    let from = whole.saved[0].clone();
    assert_eq!(from.0, 1);
    let rest = trained(&then, &checked, how(from));
    assert_eq!(rest.weights.last(), whole.weights.last());
    // What the plan counts is what is used: scales and shifts of two streams.
    let specs = &checked.phases["main"].weights["norm"];
    assert_eq!(crate::program::trainable(specs), 4 * FEATURES);
}

/// Runs a view of the small graph in a fresh store.
fn view(changes: &str, name: &str) -> (Vec<Vec<Row>>, Numbers) {
    let (_, checked) = graph(changes);
    let (program, device, progress) = (&checked.views[name], Device::Cpu, Progress::new(true));
    let folder = tempfile::tempdir().unwrap();
    let mut store = WeightStore::default();
    start_weights(program, &mut store, Key::new(3), &device, &progress).unwrap();
    let cx = ViewCx {
        key: Key::new(4),
        feed: FeedOptions { workers: 2, ahead: 5 },
        device: &device,
        precision: Precision::F32,
        progress: &progress,
        ports: &[],
        each: None,
        bad_limit: Some(0.0),
        classes: None,
    };
    let setup = set_up(program, Some(folder.path()), &progress).unwrap();
    seen();
    run_view(program, setup, &mut store, &cx).unwrap();
    (seen(), numbers(&store))
}

#[test]
fn a_view_computes_statistics_as_the_mean_over_its_videos() {
    let changes = |params: &str, roots: &str| {
        format!(
            "steps = 1\nbatch = 4\n{}\n[views.adapt]\nsplit = \"train\"\nbatch = 3\nstatistics = [\"norm\"]\nroots = \
             [{roots}]\n[]\nrun = [\"main\", \"adapt\"]",
            normed(params)
        )
    };
    let check = |calls: &[Vec<Row>], w: &Numbers, name: fn(&str, &str) -> String, stream: &str| {
        let rows: usize = calls.iter().map(Vec::len).sum();
        let found = w[&name("running_mean", stream)]
            .iter()
            .zip(&w[&name("running_var", stream)]);
        for (d, (found_mean, found_var)) in found.enumerate() {
            let (mut mean, mut var) = (0.0, 0.0);
            for call in calls {
                let (m, v) = moments(&call.iter().collect::<Vec<_>>())[d];
                let share = call.len() as f64 / rows as f64;
                mean += share * m;
                var += share * unbiased(v, call.len());
            }
            near("mean", *found_mean, mean);
            near("var", *found_var, var);
        }
    };
    // Of seven videos, by three.
    let (calls, w) = view(&changes("running = \"per_stream\"", "\"norm.y@target\""), "adapt");
    assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    check(&calls, &w, own, "target");
    assert!(!w.contains_key("norm.running_mean@source"));
    assert_eq!(w["norm.running_mean"], [0.0; FEATURES], "those of all streams stay");
    // Those of all streams are of the rows of both.
    let (calls, w) = view(&changes("", "\"norm.y@source\", \"norm.y@target\""), "adapt");
    assert_eq!(calls.iter().map(Vec::len).sum::<usize>(), 17);
    check(&calls, &w, all, "");
    // A view that does not ask for it moves nothing.
    let (_, w) = view(&changes("", "\"norm.y@target\""), "infer");
    assert_eq!(w["norm.running_mean"], [0.0; FEATURES]);
}

/// What the target's features differ by between a batch norm and its copy, and the weights, before and after a step.
fn taught(ema: f64) -> (f64, Vec<Row>, Numbers) {
    let changes = format!(
        "steps = 1\nbatch = 4\nlosses.apart = 0.5\n{}\n[nodes.teach]\nweights = {{ of = \"norm\", ema = {ema:?} }}\ninputs = {{ x = \
         \"rows.x\" }}\n[nodes.apart]\nkind = \"formula\"\naxes = {{ a = \"n,d\", b = \"n,d\" }}\nloss = \"mean(sum((a - b)^2, \
         d))\"\ninputs = {{ a = \"norm.y@target\", b = \"teach.y@target\" }}",
        normed("")
    );
    let (graph, checked) = graph(&changes);
    let run = trained(&graph, &checked, How::default());
    run.outcome.unwrap();
    let apart = run.rows[0]["apart"].as_f64().unwrap();
    (apart, run.parts[0].clone(), run.weights[1].clone())
}

#[test]
fn a_teacher_has_the_students_statistics_and_a_copy_that_stays_its_own() {
    // Both normalise by the batch, and are equal at first.
    let (apart, _, w) = taught(0.9);
    assert_eq!(apart, 0.0);
    for name in ["running_mean", "running_var"] {
        assert_eq!(w[&format!("teach.{name}")], w[&format!("norm.{name}")]);
        assert_ne!(w[&format!("norm.{name}")], [0.0; FEATURES]);
    }
    // As in a view: by the statistics that it began with, 0 and 1.
    let (apart, rows, w) = taught(1.0);
    let rows: Vec<&Row> = rows.iter().filter(|r| r.stream == 1).collect();
    let mut right = 0.0;
    for (d, (mean, var)) in moments(&rows).into_iter().enumerate() {
        for row in &rows {
            let student = (row.x[d] - mean) / (var + 1e-5).sqrt();
            right += (student - row.x[d] / (1.0f64 + 1e-5).sqrt()).powi(2) / rows.len() as f64;
        }
    }
    near("apart", apart, right);
    assert_eq!(w["teach.running_mean"], [0.0; FEATURES]);
    assert_eq!(w["teach.weight"], [1.0; FEATURES]);
}
