//! Two steps of the whole method against PyTorch: `tests/parity/NAME_step.safetensors`, made by `tools/parity/step.py`.

use crate::check::check;
use crate::graph::Graph;
use crate::load::load_text;
use crate::program::Program;
use crate::run::exec::{Part, PassInfo, Share};
use crate::run::optim::{Length, Optimizer};
use crate::run::progress::Progress;
use crate::run::start::begin_phase;
use crate::run::step::Steps;
use anyhow::{Result, bail};
use candle_core::{DType, Device, Tensor};
use glad_nodes::{Key, Precision, Side, WeightStore};
use std::collections::HashMap;
use std::path::Path;

/// As in `step.py`.
const VIDEOS: usize = 3;
const CLIPS: usize = 3;
const SIZE: usize = 32;
const PROGRESS: [f64; 2] = [0.1, 0.2];
const LOSSES: [&str; 6] = ["ce", "tol", "align_g", "align_l", "align_x", "loss"];
/// Of a tensor's size, as its root mean square.
const TOLERANCE: f64 = 1e-4;
/// The size that a gradient is held to is at least this share of the largest: some are nothing but rounding.
const FLOOR: f64 = 0.04;

const OVERLAY: &str = r#"
extends     = "full.toml"
set.setting = "settings/smoke.toml"

[set.nodes.augment]
size = 32

[set.params]
order_hidden  = 8
domain_hidden = 8
order_weight  = 0.1
adv_weight    = 0.33
grl           = "ganin"

[set.phases.main]
batch = 3
optimizer.lr            = 0.003
optimizer.momentum      = 0.9
optimizer.weight_decay  = 1e-4
optimizer.warmup_steps  = 0
optimizer.schedule.kind = "constant"
"#;

/// A wave of whole numbers, from 0 to `half`.
fn wave(n: usize, half: usize) -> usize {
    (n % (2 * half)).abs_diff(half)
}

/// The clips of a stream, `[VIDEOS, CLIPS, frames, SIZE, SIZE, 3]`, as `step.py` makes them.
fn clips(stream: usize, frames: usize) -> Tensor {
    let mut bytes: Vec<u8> = vec![];
    for clip in stream * VIDEOS * CLIPS..(stream + 1) * VIDEOS * CLIPS {
        for t in 0..frames {
            for y in 0..SIZE {
                for x in 0..SIZE {
                    for c in 0..3 {
                        let along = (clip % 5 + 3) * y + (clip % 7 + 2) * x + (clip % 3 + 4) * t;
                        let broad = wave(along + 29 * clip + 40 * c, 80);
                        let fine = wave(37 * y + 53 * x + 71 * t + 17 * clip * (c + 1), 61);
                        bytes.push((broad + fine + 20 * (clip % 4)) as u8);
                    }
                }
            }
        }
    }
    Tensor::from_vec(bytes, (VIDEOS, CLIPS, frames, SIZE, SIZE, 3), &Device::Cpu).unwrap()
}

/// A key with which `tol` shuffles the clips of these rows, those of the source first, so.
fn key_of(orders: &[u32]) -> Key {
    let drawn = |key: &Key| {
        let node = key.name("tol.shuffle");
        let rows = ["source", "target"].map(|s| node.name(s));
        let rows = rows.iter().flat_map(|s| (0..VIDEOS as u64).map(|r| s.index(r)));
        rows.map(|key| key.rng().below(2) as u32).collect::<Vec<u32>>()
    };
    let mut keys = (0..).map(Key::new);
    keys.find(|key| drawn(key) == orders).unwrap()
}

fn floats(t: &Tensor) -> Vec<f32> {
    t.to_dtype(DType::F32)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// The root of the mean square.
fn size(values: &[f32]) -> f64 {
    (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

struct Reference(HashMap<String, Tensor>);

impl Reference {
    fn floats(&self, name: &str) -> Vec<f32> {
        floats(self.0.get(name).unwrap_or_else(|| panic!("the file has no {name}")))
    }

    fn whole(&self, name: &str) -> Vec<u32> {
        self.floats(name).into_iter().map(|v| v as u32).collect()
    }

    /// Holds a tensor to the sample of it that the file has.
    fn hold(&self, name: &str, found: &Tensor, floor: f64) {
        let (found, right) = (floats(found), self.floats(name));
        let step = (found.len() / 48).max(1);
        assert_eq!(found.len().div_ceil(step), right.len(), "{name}");
        let difference: Vec<f32> = found.iter().step_by(step).zip(&right).map(|(a, b)| a - b).collect();
        let error = size(&difference) / size(&right).max(floor);
        assert!(error <= TOLERANCE, "{name} is {error:.1e} off");
    }
}

/// What crosses to the device: clips, the source's classes, and whether the order of clips is defined.
fn batch(program: &Program, reference: &Reference, frames: usize) -> HashMap<crate::program::ValueId, Tensor> {
    let boundary = program.calls.iter().filter(|c| c.side == Side::Boundary);
    let mut batch = HashMap::new();
    for id in boundary.flat_map(|c| c.outputs.iter().flatten()) {
        let here = |v: Vec<u32>| Tensor::new(v, &Device::Cpu).unwrap();
        let made = match program.values[id.0].name.as_str() {
            "batch.clips@source" => clips(0, frames),
            "batch.clips@target" => clips(1, frames),
            "batch.label@source" => here(reference.whole("label.source")),
            "batch.valid@source" => here(reference.whole("valid.source")).to_dtype(DType::F32).unwrap(),
            "batch.valid@target" => here(reference.whole("valid.target")).to_dtype(DType::F32).unwrap(),
            other => panic!("{other} crosses to the device"),
        };
        batch.insert(*id, made);
    }
    assert_eq!(batch.len(), 5);
    batch
}

fn two_steps(name: &str, frames: usize, backbone: &str) -> Result<()> {
    let values = candle_core::safetensors::load(format!("tests/parity/{name}_step.safetensors"), &Device::Cpu)?;
    let reference = Reference(values);
    let text = format!(
        "{OVERLAY}\n[set.dims]\nT = {frames}\n[replace.nodes.backbone]\n{backbone}\n\
         init = \"../nodes/tests/parity/{name}.pth\"\ninputs = {{ clips = \"normalize.clips\" }}"
    );
    let graph: Graph = load_text("parity.toml", &text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
    let checked = check(&graph, &glad_nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
    let (program, def) = (&checked.phases["main"], &graph.phases["main"]);

    let mut store = WeightStore::default();
    begin_phase(program, def, &mut store, true, 0, &Device::Cpu, &Progress::new(true))?;
    for (name, w) in store.iter_mut().filter(|(name, _)| !name.starts_with("backbone.")) {
        let start = &reference.0[&format!("start.{name}")];
        assert_eq!(start.dims(), w.value.dims(), "{name}");
        w.value = start.clone();
    }
    let known = |kind: &str| reference.0.keys().filter(|n| n.starts_with(kind)).count();
    assert_eq!(known("after."), store.iter().count());
    assert_eq!(known("grad."), store.iter().filter(|(_, w)| w.trains).count());
    let grads = reference.0.iter().filter(|(n, _)| n.starts_with("grad."));
    let floor = FLOOR * grads.map(|(_, t)| size(&floats(t))).fold(0.0, f64::max);

    let mut steps = Steps::new(program, def, &Device::Cpu, Precision::F32);
    let mut optimizer = Optimizer::new(&def.optimizer);
    let length = Length {
        steps: PROGRESS.len() as u64,
        per_epoch: None,
    };
    for (k, progress) in PROGRESS.into_iter().enumerate() {
        let info = PassInfo {
            key: key_of(&reference.whole(&format!("order.{k}"))),
            training: true,
            progress,
            step: k as u64,
            round: 0,
        };
        let batch = batch(program, &reference, frames);
        steps.part(
            &mut store,
            Part {
                info,
                batch,
                share: Share::whole(),
            },
        )?;
        if k == 0 {
            for (name, w) in store.iter().filter(|(_, w)| w.trains) {
                reference.hold(&format!("grad.{name}"), w.grad.as_ref().unwrap(), floor);
            }
        }
        let none = || -> Result<std::iter::Empty<Result<Part>>> { bail!("all is finite") };
        let found = steps.update(&mut store, &mut optimizer, k as u64, length, none)?.values;
        for (loss, right) in LOSSES.iter().zip(reference.floats(&format!("loss.{k}"))) {
            let found = found.iter().find(|(n, _)| n == loss).unwrap().1;
            let error = (found - f64::from(right)).abs() / f64::from(right);
            assert!(error < 2e-5, "step {k}: {loss} is {found}, and {right} is right");
        }
    }
    for (name, w) in store.iter() {
        reference.hold(&format!("after.{name}"), &w.value, 1e-6);
    }
    Ok(())
}

#[test]
fn tsm_with_all_losses_takes_the_steps_that_pytorch_takes() {
    let backbone = "kind = \"tsm\"\ndepth = 18\nwidths = [8, 8, 8, 8, 16]\n\
        batch_stats = \"per_stream_view\"\nviews = [\"G\", \"L\"]";
    two_steps("tsm18", 4, backbone).unwrap();
}

#[test]
fn i3d_with_all_losses_takes_the_steps_that_pytorch_takes() {
    two_steps("i3d_r50", 8, "kind = \"i3d_r50\"\nwidth = 2\nbatch_stats = \"joint\"").unwrap();
}
