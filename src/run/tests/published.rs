//! The whole objectives of CoMix and CO2A: the graphs of `graphs/methods` take a step of the real trainer, a given feature in
//! the place of the backbone, and losses and gradients are held to golden values of the released codes.

#[path = "../../../nodes/src/testing/golden.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the kinds")]
mod golden;

use super::harness::{How, trained};
use super::kinds::registry;
use crate::check::check;
use crate::load::load_text;
use crate::run::progress::Progress;
use crate::run::start::begin_phase;
use candle_core::{DType, Device, Tensor};
use glad_nodes::{Key, WeightStore};
use golden::{Case, near};
use std::collections::BTreeMap;
use std::path::Path;

/// What `golden` needs of the module around it.
fn device() -> Device {
    Device::Cpu
}

fn f64s(t: &Tensor) -> Vec<f64> {
    t.flatten_all()
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// The data side and the backbone of either graph, and an optimiser whose step is the gradient.
pub(super) const GIVEN: &str = r#"
[nodes.pixels]
kind          = "pixels"
stream        = 0
target.stream = 1
inputs        = { video = "videos.video" }

[replace.nodes.batch]
kind   = "batch"
inputs = { clips = "pixels.clips", label = "videos.label" }

[set.phases.main.optimizer]
lr            = 1.0
momentum      = 0.0
weight_decay  = 0.0
warmup_steps  = 0
schedule.kind = "constant"
"#;

/// A weight of the graph: its name there and in the golden values, and whether it is turned there.
struct Named {
    own: String,
    golden: String,
    turned: bool,
}

impl Named {
    fn linear(node: &str, weight: &str) -> [Named; 2] {
        let of = |own: &str, golden: String| Named {
            own: format!("{node}{own}"),
            golden,
            turned: false,
        };
        [of("weight", weight.into()), of("bias", weight.replace('w', "b"))]
    }

    fn turn(&self, t: Tensor) -> Tensor {
        match self.turned {
            true => t.t().unwrap().contiguous().unwrap(),
            false => t,
        }
    }
}

/// What a step did: its line in the log, and the gradients of all weights.
pub(super) struct Found {
    pub row: serde_json::Value,
    pub grads: BTreeMap<String, Tensor>,
}

impl Found {
    fn loss(&self, name: &str) -> Tensor {
        let value = self.row[name].as_f64();
        let value = value.unwrap_or_else(|| panic!("no {name} in {}", self.row));
        Tensor::new(value as f32, &Device::Cpu).unwrap()
    }

    /// Holds the weights' gradients to the golden ones.
    fn hold(&self, case: &Case, weights: &[Named]) {
        for w in weights {
            near(&w.golden, &w.turn(self.grads[&w.own].clone()), &case.grad(&w.golden));
        }
    }
}

/// Takes the second step of the main phase of a graph that starts from these weights, which are all that it has.
fn step(text: &str, start: Vec<(String, Tensor)>) -> Found {
    let mut start: BTreeMap<String, Tensor> = start.into_iter().collect();
    let found = step_from(text, |name, dims| {
        let value = start.remove(name).unwrap_or_else(|| panic!("{name} is not given"));
        assert_eq!(dims, value.dims(), "{name}");
        value
    });
    assert!(start.is_empty(), "no weights {:?}", start.keys());
    found
}

/// Takes the second step of the main phase of a graph that starts from the weights that `start` gives, by name and shape.
pub(super) fn step_from(text: &str, mut start: impl FnMut(&str, &[usize]) -> Tensor) -> Found {
    let text = format!("{text}{GIVEN}");
    let graph = load_text("overlay.toml", &text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
    let checked = check(&graph, &registry()).unwrap_or_else(|p| panic!("{p}"));
    let (program, def) = (&checked.phases["main"], &graph.phases["main"]);
    let mut store = WeightStore::default();
    begin_phase(program, def, &mut store, true, 0, &Device::Cpu, &Progress::new(true)).unwrap();
    let mut shapes: Vec<(String, Vec<usize>)> = vec![];
    for (name, w) in store.iter_mut() {
        shapes.push((name.clone(), w.value.dims().to_vec()));
        // Weights change in place.
        w.value = start(name, w.value.dims()).copy().unwrap();
    }
    let how = How {
        from: Some((1, store, None)),
        ..How::default()
    };
    let run = trained(&graph, &checked, how);
    run.outcome.unwrap();
    assert_eq!(run.rows.len(), 1);
    let (before, after) = (&run.weights[0], &run.weights[run.weights.len() - 1]);
    let grads = shapes.into_iter().map(|(name, shape)| {
        let moved = before[&name].iter().zip(&after[&name]).map(|(b, a)| (b - a) as f32);
        (name, Tensor::from_vec(moved.collect(), shape, &Device::Cpu).unwrap())
    });
    Found {
        row: run.rows[0].clone(),
        grads: grads.collect(),
    }
}

fn case(name: &str) -> Case {
    Case::of(include_str!("../../../nodes/tests/golden/methods.json"), name)
}

/// The rows of both streams, each with its clips side by side.
fn feature(streams: [&[Tensor]; 2]) -> Tensor {
    let rows = streams.map(|parts| Tensor::cat(parts, 1).unwrap());
    Tensor::cat(&rows, 0).unwrap()
}

const COMIX: &str = r#"
extends     = "methods/comix.toml"
set.setting = "settings/smoke.toml"

[set.dims]
G = 5
L = 5
K = 3

[replace.nodes.videos]
kind   = "numbers"
videos = 4
labels = [0, 2, 1, 0]

[replace.nodes.backbone]
kind   = "given"
clips  = "G+L"
shape  = [10, 3]
videos = [4, 4]
inputs = { clips = "batch.clips" }

[nodes]
classify.hidden  = 4
classify.dropout = 0.0
classify_slow.hidden  = 4
classify_slow.dropout = 0.0
classify_mixed.hidden  = 4
classify_mixed.dropout = 0.0
classify_mixed_slow.hidden  = 4
classify_mixed_slow.dropout = 0.0

[set.nodes]
thin.counts      = [3]
thin.chances     = [1.0]
pseudo.threshold = 0.38

[set.phases.main]
steps = 2
batch = 4
"#;

/// A seed with which `thin` keeps the first, third and fifth of five clips in the second step.
fn seed_of_slow() -> u64 {
    let kept = |seed: &u64| {
        let key = Key::new(*seed).name("phase").name("main").name("step");
        let mut draw = key.index(1).index(0).name("thin").rng();
        draw.unit();
        draw.below(2) == 0 && draw.below(2) == 0
    };
    (0..).find(kept).unwrap()
}

const CO2A: &str = r#"
extends     = "methods/co2a.toml"
set.setting = "settings/smoke.toml"

[set.dims]
G = 2
L = 2
K = 3

[replace.nodes.videos]
kind          = "numbers"
videos        = 4
labels        = [0, 2, 1, 0]
target.videos = 3

[replace.nodes.backbone]
kind   = "given"
clips  = "G+L"
shape  = [4, 3]
videos = [4, 3]
inputs = { clips = "batch.clips" }

[nodes]
contrast.hidden    = 4
contrast.outputs   = 3
contrast_2.hidden  = 4
contrast_2.outputs = 3

[set.nodes]
classify.hidden   = 4
classify_2.hidden = 4
project.hidden    = 3
project.outputs   = 3
project_2.hidden  = 3
project_2.outputs = 3
pseudo.factor     = 1.5

[set.phases.main]
steps = 2
batch = { source = 4, target = 3 }
"#;

#[test]
fn co2a_trains_the_released_objective() {
    let case = case("co2a_step");
    let weights: Vec<Named> = [("attend.hidden.", "aw1"), ("attend.out.", "aw2")]
        .into_iter()
        .chain([("classify.0.", "cw1"), ("classify.1.", "cw2"), ("classify.2.", "ow")])
        .chain([("contrast.layers.0.", "kw1"), ("contrast.layers.1.", "kw2")])
        .chain([("contrast.project.0.", "pw1"), ("contrast.project.1.", "pw2")])
        .chain([("project.0.", "qw1"), ("project.1.", "qw2")])
        .flat_map(|(node, weight)| Named::linear(node, weight))
        .collect();
    let given = |w: &Named| (w.own.clone(), case.weight(&w.golden));
    let mut start: Vec<(String, Tensor)> = weights.iter().map(given).collect();
    // The second view of the source counts for nothing.
    let second = case.input("f_s").zeros_like().unwrap();
    let target = ["f_1", "f_2"].map(|name| case.input(name));
    start.push((
        "backbone.feature".into(),
        feature([&[case.input("f_s"), second], &target]),
    ));
    let found = step(CO2A, start);

    for (own, name) in [
        ("consist", "consistency"),
        ("inter", "inter"),
        ("ce", "ce"),
        ("aug", "aug"),
    ] {
        near(name, &found.loss(own), &case.output(name));
    }
    for name in ["clip_aug", "source_label", "loss"] {
        near(name, &found.loss(name), &case.output(name));
    }
    found.hold(&case, &weights);
    let x = &found.grads["backbone.feature"];
    for (name, row, rows, clip) in [("f_s", 0, 4, 0), ("f_1", 4, 3, 0), ("f_2", 4, 3, 2)] {
        let own = x.narrow(0, row, rows).unwrap().narrow(1, clip, 2).unwrap();
        near(name, &own, &case.grad(name));
    }
    let unused = x.narrow(0, 0, 4).unwrap().narrow(1, 2, 2).unwrap();
    near("the second view of the source", &unused, &[0.0; 4 * 2 * 3]);
}

#[test]
fn comix_trains_the_released_objective() {
    let case = case("comix_step");
    let mut weights = vec![];
    for (i, layer) in ["first", "second", "third"].iter().enumerate() {
        for name in ["weight", "bias", "w_one", "w_two"] {
            weights.push(Named {
                own: format!("classify.{layer}.{name}"),
                golden: format!("gc{}_{name}", i + 1),
                turned: name == "weight",
            });
        }
    }
    let given = |w: &Named| (w.own.clone(), w.turn(case.weight(&w.golden)));
    let mut start: Vec<(String, Tensor)> = weights.iter().map(given).collect();
    let input = |name: &str| case.input(name);
    let streams = [["s", "s_mix"].map(input), ["t", "t_mix"].map(input)];
    start.push(("backbone.feature".into(), feature([&streams[0], &streams[1]])));
    let found = step(&format!("seed = {}\n{COMIX}", seed_of_slow()), start);

    for name in ["ce", "bgm", "tpl", "loss"] {
        near(name, &found.loss(name), &case.output(name));
    }
    found.hold(&case, &weights);
    let x = &found.grads["backbone.feature"];
    for (name, row, clip) in [("s", 0, 0), ("s_mix", 0, 5), ("t", 4, 0), ("t_mix", 4, 5)] {
        let own = x.narrow(0, row, 4).unwrap().narrow(1, clip, 5).unwrap();
        near(name, &own, &case.grad(name));
    }
}
