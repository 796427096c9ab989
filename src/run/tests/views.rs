//! Views: every video once, in the order of its list; scores, probabilities and ports beside numbers in f64; streams whose
//! lists end earlier.

use super::harness::{graph, near, numbers};
use super::kinds::{CLASSES, class, seen};
use super::net::Numbers;
use crate::program::ValueId;
use crate::run::data::FeedOptions;
use crate::run::exec::{Exec, PassInfo};
use crate::run::progress::Progress;
use crate::run::setup::set_up;
use crate::run::start::start_weights;
use crate::run::view::{ViewCx, ViewResult, run_view};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use glad_nodes::{Key, Precision, WeightStore};
use std::collections::HashMap;

const SCORES: &str = r#"
steps = 1
batch = 4
optimizer = { lr = 0.1 }

[nodes.scores]
kind   = "classification"
inputs = { logits = "classify.logits", label = "batch.label" }

[views.infer]
split = "test"
batch = 4
roots = ["classify.logits@source", "classify.logits@target", "scores.top1@source", "scores.top1@target"]
"#;

/// Runs view `infer` of the small graph, with the values of a port. Gives its weights, too.
fn view(changes: &str, port: &str, limit: Option<f64>) -> (Result<ViewResult>, Numbers) {
    let (_, checked) = graph(&format!("{SCORES}{changes}"));
    let program = &checked.views["infer"];
    let (device, progress) = (Device::Cpu, Progress::new(true));
    let folder = tempfile::tempdir().unwrap();
    let mut store = WeightStore::default();
    start_weights(program, &mut store, Key::new(3), &device, &progress).unwrap();
    let wanted = |v: &crate::program::ValueInfo| v.name.starts_with(&format!("{port}@"));
    let ports: Vec<_> = (0..program.values.len())
        .filter(|i| wanted(&program.values[*i]))
        .map(ValueId)
        .collect();
    let cx = ViewCx {
        key: Key::new(4),
        feed: FeedOptions { workers: 2, ahead: 5 },
        device: &device,
        precision: Precision::F32,
        progress: &progress,
        ports: &ports,
        each: None,
        bad_limit: limit,
        classes: None,
    };
    let setup = set_up(program, Some(folder.path()), &progress).unwrap();
    seen();
    (run_view(program, setup, &mut store, &cx), numbers(&store))
}

fn linear(w: &Numbers, name: &str, x: &[f64]) -> Vec<f64> {
    let (w, b) = (&w[&format!("{name}.weight")], &w[&format!("{name}.bias")]);
    let of = |(w, b): (&[f64], &f64)| b + w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    w.chunks(x.len()).zip(b).map(of).collect()
}

#[test]
fn every_video_is_scored_once_though_one_list_is_shorter() {
    let (result, weights) = view("", "embed.y", Some(0.0));
    let result = result.unwrap();
    let calls = seen();
    // Of ten and seven videos, by four.
    let sizes: Vec<usize> = calls.iter().map(Vec::len).collect();
    assert_eq!(sizes, [4, 4, 4, 3, 2]);
    assert_eq!(result.counts, [("source".to_string(), 10), ("target".to_string(), 7)]);
    assert_eq!((result.predictions.len(), result.ports.len()), (17, 17));
    assert!(result.bad.is_empty());
    assert_eq!(result.printed, ["10 videos, without []", "7 videos, without []"]);
    for (stream, name, size) in [(0, "source", 10), (1, "target", 7)] {
        let rows: Vec<_> = calls.iter().flatten().filter(|r| r.stream == stream).collect();
        assert!(rows.iter().map(|r| r.video).eq(0..size));
        let mut right = vec![];
        let predictions = result.predictions.iter().filter(|p| p.stream == name);
        for (row, p) in rows.iter().zip(predictions) {
            let h = linear(&weights, "embed", &row.x);
            let z = linear(&weights, "classify", &h);
            let sum: f64 = z.iter().map(|z| z.exp()).sum();
            assert_eq!((p.video.index, p.probabilities.len()), (row.video, CLASSES));
            for (found, z) in p.probabilities.iter().zip(&z) {
                near("probability", f64::from(*found), z.exp() / sum);
            }
            let best = (0..CLASSES).max_by(|a, b| z[*a].total_cmp(&z[*b])).unwrap();
            assert_eq!(p.class(), best);
            right.push((class(row.video), best));
            let path = format!("video{}", row.video);
            let port = result
                .ports
                .iter()
                .find(|v| v.port == format!("embed.y@{name}") && v.video == path)
                .unwrap();
            assert_eq!(port.shape, [4]);
            port.value
                .iter()
                .zip(h)
                .for_each(|(found, h)| near("embed.y", f64::from(*found), h));
        }
        let scores = result
            .scores
            .iter()
            .find(|s| s.stream.as_deref() == Some(name))
            .unwrap();
        assert_eq!(scores.node, "scores");
        let score = |what: &str| scores.scores.values.iter().find(|(n, _)| n == what).unwrap().1;
        let hits = right.iter().filter(|(class, best)| class == best).count();
        near("top1", score("top1"), hits as f64 / size as f64);
        let recall = |k: usize| {
            let of: Vec<_> = right.iter().filter(|(class, _)| *class == k).collect();
            of.iter().filter(|(_, best)| *best == k).count() as f64 / of.len() as f64
        };
        let mean = (0..CLASSES).map(recall).sum::<f64>() / CLASSES as f64;
        near("mean_class_accuracy", score("mean_class_accuracy"), mean);
    }
}

#[test]
fn a_joint_node_goes_on_with_the_streams_that_are_left() {
    let changes = "[nodes.together]\nkind = \"together\"\ninputs = { x = \"embed.y\" }\n\
        [nodes.classify]\ninputs = { x = \"together.x\" }";
    let (result, weights) = view(changes, "together.x", Some(0.0));
    let result = result.unwrap();
    assert_eq!(result.ports.len(), 17);
    let calls = seen();
    let rounds = [&calls[0..2], &calls[2..4], &calls[4..5]];
    for round in rounds {
        let rows = round.concat();
        let all: Vec<Vec<f64>> = rows.iter().map(|r| linear(&weights, "embed", &r.x)).collect();
        for (row, h) in rows.iter().zip(&all) {
            let (name, path) = (["source", "target"][row.stream], format!("video{}", row.video));
            let port = format!("together.x@{name}");
            let found = result.ports.iter().find(|v| v.port == port && v.video == path).unwrap();
            for (i, found) in found.value.iter().enumerate() {
                let mean = all.iter().map(|h| h[i]).sum::<f64>() / all.len() as f64;
                near(&port, f64::from(*found), h[i] - mean);
            }
        }
    }
}

#[test]
fn a_node_over_several_streams_is_left_out_where_one_of_them_has_run_out() {
    let (_, checked) = graph(&format!(
        "{SCORES}[views.both]\nbatch = 4\nroots = [\"judge.logits\", \"classify.logits@source\"]"
    ));
    let program = &checked.views["both"];
    let id = |name: &str| ValueId(program.values.iter().position(|v| v.name == name).unwrap());
    let mut store = WeightStore::default();
    start_weights(program, &mut store, Key::new(3), &Device::Cpu, &Progress::new(true)).unwrap();
    let info = PassInfo {
        key: Key::new(5),
        training: false,
        progress: 0.0,
        step: 0,
        round: 0,
    };
    let clips = Tensor::zeros((2, 1, 1, 1, 2, 3), DType::U8, &Device::Cpu).unwrap();
    let mut rows = |streams: &[&str]| {
        let given = streams
            .iter()
            .map(|s| (id(&format!("batch.clips@{s}")), clips.clone()))
            .collect();
        let mut exec = Exec::new(program, &Device::Cpu, Precision::F32, &[]);
        let out = exec
            .forward(&mut store, info, given, false, &mut HashMap::new(), None)
            .unwrap();
        let of = |name: &str| out.kept.get(&id(name)).map(|t| t.dims()[0]);
        (of("classify.logits@source"), of("judge.logits"))
    };
    assert_eq!(rows(&["source", "target"]), (Some(2), Some(4)));
    assert_eq!(rows(&["source"]), (Some(2), None));
    assert_eq!(rows(&["target"]), (None, None));
}

#[test]
fn bad_videos_are_left_out_and_too_many_end_the_view() {
    let bad = "[nodes.pixels]\nsource.bad = [0, 5, 9]";
    let (result, _) = view(bad, "embed.y", Some(0.3));
    let result = result.unwrap();
    assert_eq!(result.counts, [("source".to_string(), 7), ("target".to_string(), 7)]);
    let videos: Vec<usize> = result.bad.iter().map(|b| b.video).collect();
    assert_eq!(videos, [0, 5, 9]);
    assert_eq!(result.printed, ["10 videos, without [0, 5, 9]", "7 videos, without []"]);
    let scored: Vec<usize> = result
        .predictions
        .iter()
        .filter(|p| p.stream == "source")
        .map(|p| p.video.index)
        .collect();
    assert_eq!(scored, [1, 2, 3, 4, 6, 7, 8]);
    assert_eq!(view(bad, "embed.y", None).0.unwrap().predictions.len(), 14);
    let (result, _) = view("[nodes.pixels]\ntarget.panics = [3]", "embed.y", None);
    let reasons: Vec<String> = result.unwrap().bad.into_iter().map(|b| b.reason).collect();
    assert_eq!(reasons, ["node `pixels`: panic: video 3 is too much"]);
    let e = view(bad, "embed.y", Some(0.2)).0.unwrap_err().to_string();
    assert!(
        e.starts_with("3 of the 10 videos of stream `source` cannot be used"),
        "{e}"
    );
    assert!(
        e.ends_with("one of them: video0 (list:1): node `pixels`: its bytes are bad"),
        "{e}"
    );
}
