//! Adam and AdamW: PyTorch's numbers, the small graph by hand, and going on from a saved state.

use super::harness::{How, graph, hold, trained};
use super::net::{Adam, Training};
use crate::diag::{Files, Spanned};
use crate::graph::{OptimizerDef, OptimizerKind};
use crate::run::checkpoint::{self, Position};
use crate::run::optim::{Length, Optimizer, OptimizerState, Taken};
use candle_core::{Device, Tensor};
use glad_nodes::{Init, Role, WeightSpec, WeightStore};
use serde_json::Value;
use std::time::Duration;

/// Made by `tools/parity/adam.py`, which says what it is.
const TORCH: &str = include_str!("adam.json");
const LAYERS: [(&str, [usize; 2]); 3] = [("slow.weight", [3, 4]), ("slow.bias", [1, 3]), ("quick.weight", [2, 5])];

/// As in the script.
fn start(layer: usize, i: usize) -> f32 {
    (1.7 * i as f64 + layer as f64).sin() as f32
}

fn gradient(layer: usize, i: usize, step: u64) -> f32 {
    let size = if !(i + layer).is_multiple_of(3) { 1.0 } else { 1e-3 };
    let phase = 0.9 * i as f64 + 2.3 * layer as f64 + 1.1 * step as f64 * (1.0 + layer as f64);
    (size * phase.sin()) as f32
}

fn filled([rows, columns]: [usize; 2], value: impl Fn(usize) -> f32) -> Tensor {
    let values: Vec<f32> = (0..rows * columns).map(value).collect();
    Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
}

fn optimizer_of(keys: &str) -> OptimizerDef {
    let (graph, _) = graph(&format!("steps = 8\nbatch = 4\noptimizer = {{ {keys} }}"));
    graph.phases["main"].optimizer.clone()
}

fn layers() -> WeightStore {
    let mut store = WeightStore::default();
    for (n, (name, shape)) in LAYERS.into_iter().enumerate() {
        let role = if name.ends_with("bias") {
            Role::Bias
        } else {
            Role::Weight
        };
        let spec = WeightSpec::new(name, &shape, Init::Constant(0.0), role);
        store.insert(name.into(), spec, filled(shape, |i| start(n, i)));
    }
    store.iter_mut().for_each(|(_, w)| w.trains = true);
    store
}

#[test]
fn eight_steps_of_pytorch() {
    let torch: Value = serde_json::from_str(TORCH).unwrap();
    let (steps, slow) = (torch["steps"].as_u64().unwrap(), &torch["slow"]);
    let cases = torch["cases"].as_object().unwrap();
    assert_eq!((steps, cases.len()), (8, 4));
    for (name, case) in cases {
        // The network's nodes have other names than the small graph's: the group is made by hand.
        let mut def = optimizer_of(&format!(
            "kind = {}, betas = {}, eps = {}, weight_decay = {}, lr = {}, clip_norm = {}, schedule = \"cosine\", \
             groups = [{{ lr_scale = {}, weight_decay = {} }}]",
            case["kind"],
            case["betas"],
            case["eps"],
            case["weight_decay"],
            torch["lr"],
            torch["clip"],
            slow["lr"],
            slow["weight_decay"],
        ));
        let nowhere = Files::default().add_text("", "").start();
        def.groups[0].nodes = vec![Spanned::new("slow".into(), nowhere)];
        let mut optimizer = Optimizer::new(&def);
        let mut store = layers();
        let mut clipped = 0;
        for step in 0..steps {
            for (n, (name, shape)) in LAYERS.into_iter().enumerate() {
                store.get_mut(name).unwrap().grad = Some(filled(shape, |i| gradient(n, i, step)));
            }
            let length = Length { steps, per_epoch: None };
            let Taken::Step(report) = optimizer.step(&mut store, step, length).unwrap() else {
                panic!("{name}: step {step} was not taken");
            };
            let norm = case["norms"][step as usize].as_f64().unwrap();
            assert!(
                (report.grad_norm - norm).abs() < 1e-6,
                "{name}, step {step}: {} {norm}",
                report.grad_norm
            );
            clipped += u32::from(norm > torch["clip"].as_f64().unwrap());
            for (layer, w) in store.iter() {
                let found = w.value.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let right = case["after"][step as usize][layer].as_array().unwrap();
                assert_eq!(found.len(), right.len());
                for (i, (found, right)) in found.iter().zip(right).enumerate() {
                    let error = (f64::from(*found) - right.as_f64().unwrap()).abs();
                    // A step is about 0.02: some rounding of a weight near 1.
                    assert!(error < 4e-7, "{name}, step {step}, {layer}[{i}]: {found}, not {right}");
                }
            }
        }
        assert!((1..8).contains(&clipped), "{clipped}");
    }
}

const ADAM: Adam = Adam {
    betas: [0.9, 0.999],
    eps: 1e-8,
    decoupled: false,
};

#[test]
fn the_small_graph_by_adam_and_adamw() {
    // ε is large, for the rounding of gradients that are nearly 0 would be a step of the learning rate.
    for (kind, decoupled) in [("adam", false), ("adamw", true)] {
        let training = Training {
            adam: Some(Adam {
                betas: [0.8, 0.9],
                eps: 1e-2,
                decoupled,
            }),
            clip: Some(0.6),
            group: |name| match name {
                "judge.bias" | "judge.weight" => (3.0, 0.0),
                _ => (1.0, 0.1),
            },
            ..Training::plain(&[0.01, 0.02, 0.02, 0.02, 0.02, 0.02])
        };
        let changes = |micro: usize| {
            format!(
                "epochs = 3\nbatch = 6\nmicro_batch = {micro}\noptimizer = {{ kind = \"{kind}\", lr = 0.02, betas = [0.8, 0.9], \
                 eps = 0.01, weight_decay = 0.1, clip_norm = 0.6, warmup_steps = 2, groups = [{{ nodes = [\"judge\"], \
                 lr_scale = 3.0, weight_decay = 0.0 }}] }}"
            )
        };
        hold(&changes(6), &training, &[1; 6]);
        hold(&changes(3), &training, &[2; 6]);
    }
}

#[test]
fn what_is_frozen_keeps_nothing() {
    let training = Training {
        trains: |name| !name.starts_with("embed."),
        adam: Some(Adam { eps: 1e-2, ..ADAM }),
        ..Training::plain(&[0.01; 3])
    };
    let optimizer = "optimizer = { kind = \"adam\", lr = 0.01, eps = 0.01 }";
    let run = hold(
        &format!("steps = 3\nbatch = 5\nfrozen = [\"embed\"]\n{optimizer}"),
        &training,
        &[1; 3],
    );
    let (_, _, state) = run.saved.last().unwrap();
    let state = state.as_ref().unwrap();
    let mut kept: Vec<_> = state.weights.iter().map(|(n, k)| (n.as_str(), k.steps)).collect();
    kept.sort_unstable();
    assert_eq!(
        kept,
        ["classify.bias", "classify.weight", "judge.bias", "judge.weight"].map(|n| (n, 2))
    );
}

const GOES_ON: &str = "kind = \"adamw\", lr = 0.01, weight_decay = 0.1, warmup_steps = 3, schedule = \"linear\"";

#[test]
fn a_phase_that_goes_on_from_a_file_is_the_same() {
    let (graph, checked) = graph(&format!(
        "epochs = 2\nbatch = 4\nmicro_batch = 2\noptimizer = {{ {GOES_ON} }}\n[nodes.grl]\nschedule = \"ganin\""
    ));
    let whole = trained(&graph, &checked, How::default());
    whole.outcome.as_ref().unwrap();
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(whole.saved.len(), 5);
    for (step, weights, state) in &whole.saved {
        let path = dir.path().join(format!("{step}.safetensors"));
        let position = Position {
            format: Position::FORMAT,
            step: *step,
            ..Position::default()
        };
        checkpoint::save(&path, &position, weights, state.as_ref(), None).unwrap();
        let mut loaded = checkpoint::load(&path, &Device::Cpu).unwrap();
        // The same state is the same bytes.
        let again = dir.path().join("again");
        checkpoint::save(&again, &loaded.position, &loaded.store, loaded.optimizer.as_ref(), None).unwrap();
        assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&path).unwrap());
        // Files do not say what trains: the phase does.
        loaded.store.iter_mut().for_each(|(_, w)| w.trains = true);
        let rest = trained(
            &graph,
            &checked,
            How {
                from: Some((*step, loaded.store, loaded.optimizer)),
                workers: 1,
                save_steps: None,
                save_every: Duration::MAX,
                ..How::default()
            },
        );
        rest.outcome.unwrap();
        assert_eq!(rest.rows, whole.rows[*step as usize..]);
        assert_eq!(rest.weights.last(), whole.weights.last());
    }
}

#[test]
fn a_state_of_another_optimiser_is_refused_by_name() {
    let state = |keys: &str| -> OptimizerState {
        let (graph, checked) = graph(&format!("steps = 2\nbatch = 4\noptimizer = {{ {keys} }}"));
        let run = trained(&graph, &checked, How::default());
        let (_, weights, state) = run.saved.into_iter().next().unwrap();
        // As a file gives it back.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let position = Position {
            format: Position::FORMAT,
            ..Position::default()
        };
        checkpoint::save(&path, &position, &weights, state.as_ref(), None).unwrap();
        checkpoint::load(&path, &Device::Cpu).unwrap().optimizer.unwrap()
    };
    let states = [state("lr = 0.1"), state("kind = \"adam\", lr = 0.1"), state(GOES_ON)];
    assert_eq!(
        states.each_ref().map(|s| s.kind),
        [OptimizerKind::Sgd, OptimizerKind::Adam, OptimizerKind::AdamW]
    );
    for (i, keys) in ["lr = 0.1", "kind = \"adam\", lr = 0.1", GOES_ON]
        .into_iter()
        .enumerate()
    {
        for (j, state) in states.iter().enumerate() {
            let found = Optimizer::new(&optimizer_of(keys)).restore(state.clone());
            assert_eq!(found.is_ok(), i == j, "{keys}: {j}");
        }
    }
    let refused = |keys: &str, state: &OptimizerState| {
        let found = Optimizer::new(&optimizer_of(keys)).restore(state.clone());
        found.unwrap_err().to_string()
    };
    assert_eq!(
        refused("kind = \"adam\", lr = 0.1", &states[0]),
        "the saved state is that of the optimizer `sgd` (momentum), and this phase trains with `adam` (first_moment and \
         second_moment): go on with the optimizer that the run began with, or begin anew in another folder"
    );
    assert_eq!(
        refused("lr = 0.1", &states[2]),
        "the saved state is that of the optimizer `adamw` (first_moment and second_moment), and this phase trains with `sgd` \
         (momentum): go on with the optimizer that the run began with, or begin anew in another folder"
    );
}

#[test]
fn a_second_moment_that_overflows_ends_the_run_by_name() {
    let mut optimizer = Optimizer::new(&optimizer_of("kind = \"adam\", lr = 0.1"));
    let mut store = layers();
    for (name, shape) in LAYERS {
        let size = if name == "slow.bias" { 1e22 } else { 1.0 };
        store.get_mut(name).unwrap().grad = Some(filled(shape, |_| size));
    }
    let length = Length {
        steps: 8,
        per_epoch: None,
    };
    let Taken::Weight(name) = optimizer.step(&mut store, 0, length).unwrap() else {
        panic!("nothing was noticed");
    };
    assert_eq!(name, "second_moment/slow.bias");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let found = checkpoint::save(&path, &Position::default(), &store, Some(optimizer.state()), None);
    let printed = found.unwrap_err().to_string();
    assert!(
        printed.starts_with("`second_moment/slow.bias` of the optimizer's state holds values"),
        "{printed}"
    );
    assert!(!path.exists());
}
