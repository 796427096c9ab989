//! Backbones against PyTorch: from its checkpoint to the feature, the gradients and the weights after three steps.
//!
//! The files in `tests/parity` are made by `tools/parity/parity.py`, which says how. `GLAD_PARITY=FOLDER` compares other
//! files of its making, such as those of the networks as published.

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use glad_nodes::{
    Args, Body, BuildCx, Compute, DimScope, Key, Precision, Role, Scope, Size, Step, Type, WeightSpec, WeightStore,
    Wiring, registry, sgd,
};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const NODE: &str = "backbone";
/// Of a tensor's size.
const TOLERANCE: f64 = 1e-4;
/// The size that a gradient is held to is at least this share of the network's largest: some gradients are nothing but
/// rounding, such as that of a shift in front of a convolution and its norm.
const FLOOR: f64 = 0.04;

fn folder() -> PathBuf {
    match std::env::var_os("GLAD_PARITY") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity"),
    }
}

/// The CPU, or what the environment's `GLAD_TEST_DEVICE` says: `cuda:0`.
fn device() -> Device {
    match std::env::var("GLAD_TEST_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => Device::Cpu,
        Ok(name) => {
            let number = name.strip_prefix("cuda:").and_then(|n| n.parse().ok());
            let number = number.unwrap_or_else(|| panic!("GLAD_TEST_DEVICE = {name}: it is `cpu` or `cuda:0`"));
            static MADE: OnceLock<Device> = OnceLock::new();
            MADE.get_or_init(|| Device::new_cuda_with_stream(number).unwrap())
                .clone()
        }
    }
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
    let sum: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
    (sum / values.len().max(1) as f64).sqrt()
}

/// What PyTorch computed, and how far we are from it.
struct Reference {
    name: String,
    values: HashMap<String, Tensor>,
    largest_grad: f64,
    /// Of each kind of value, the largest error and where.
    worst: HashMap<&'static str, (f64, String)>,
}

impl Reference {
    fn read(name: &str, file: &Path) -> Result<Reference> {
        let values = candle_core::safetensors::load(file, &Device::Cpu)?;
        let grads = values.iter().filter(|(n, _)| n.starts_with("grad."));
        Ok(Reference {
            name: name.into(),
            largest_grad: grads.map(|(_, t)| size(&floats(t))).fold(0.0, f64::max),
            values,
            worst: HashMap::new(),
        })
    }

    /// Compares a tensor, or the sample of it that the file has.
    fn compare(&mut self, what: &'static str, name: &str, found: &Tensor) {
        let full = if name.is_empty() {
            what.to_string()
        } else {
            format!("{what}.{name}")
        };
        let want = floats(
            self.values
                .get(&full)
                .unwrap_or_else(|| panic!("{}: no {full}", self.name)),
        );
        let found = floats(found);
        // A sample has every n-th value, so that there are about 48.
        let step = if found.len() == want.len() { 1 } else { found.len() / 48 };
        assert_eq!(found.len().div_ceil(step), want.len(), "{full}");
        let floor = if what == "grad" {
            FLOOR * self.largest_grad
        } else {
            1e-6
        };
        let difference: Vec<f32> = found.iter().step_by(step).zip(&want).map(|(a, b)| a - b).collect();
        let error = size(&difference) / size(&want).max(floor);
        let worst = self.worst.entry(what).or_default();
        // Also where it is not a number.
        if error > worst.0 || !error.is_finite() {
            *worst = (error, full);
        }
    }

    /// `rounding`: how far PyTorch is from itself in double precision, where the files say so.
    fn finish(self, rounding: &Value) {
        let allowed = |what: &str| rounding[what].as_f64().map_or(TOLERANCE, |r| TOLERANCE.max(3.0 * r));
        for (what, (error, at)) in &self.worst {
            println!(
                "{}: {what} within {error:.1e} ({at}), of {:.1e}",
                self.name,
                allowed(what)
            );
        }
        for (what, (error, at)) in &self.worst {
            assert!(
                *error <= allowed(what),
                "{}: {what} is {error:.1e} off at {at}",
                self.name
            );
        }
    }
}

struct Node {
    compute: Box<dyn Compute>,
    specs: Vec<WeightSpec>,
    store: WeightStore,
}

impl Node {
    fn call<R>(&mut self, training: bool, run: impl FnOnce(&dyn Compute, &mut Step<'_>) -> R) -> R {
        let device = device();
        let mut step = Step {
            weights: Scope::new(&mut self.store, NODE),
            key: Key::new(0),
            training,
            progress: 0.0,
            step: 0,
            wants: &[false],
            backward: training,
            again: false,
            average: None,
            record: false,
            device: &device,
            precision: Precision::F32,
        };
        run(&*self.compute, &mut step)
    }

    fn value(&self, name: &str) -> &Tensor {
        &self.store.get(&format!("{NODE}.{name}")).unwrap().value
    }
}

fn build(kind: &str, params: &Value, clips: &[usize]) -> Node {
    let kinds = registry();
    let node = kinds.get(kind).unwrap().parse(params).unwrap();
    assert_eq!(node.contract(&Wiring::default()).outputs[0].name, "feature");
    let dims = std::iter::once(Size::Batch(1))
        .chain(clips[1..].iter().map(|n| Size::Known(*n)))
        .collect();
    let clips = Type {
        head: "Clip".into(),
        dims,
    };
    let cx = BuildCx {
        inputs: [("clips".to_string(), vec![clips])].into_iter().collect(),
        outputs: vec![],
        dims: &DimScope::default(),
        folder: folder(),
    };
    let Ok(Body::Compute(compute)) = node.build(&cx) else {
        panic!("`{kind}` does not compute")
    };
    let specs = compute.weights();
    let mut store = WeightStore::default();
    store.declare(NODE, &specs, Key::new(1), &device()).unwrap();
    Node { compute, specs, store }
}

fn check(name: &str) -> Result<()> {
    let file = |end: &str| folder().join(format!("{name}.{end}"));
    let text =
        std::fs::read_to_string(file("json")).with_context(|| format!("{} is not there", file("json").display()))?;
    let facts: Value = serde_json::from_str(&text)?;
    let mut reference = Reference::read(name, &file("safetensors"))?;
    let clips = ((reference.values["input"].to_dtype(DType::F32)? - 128.0)? / 64.0)?.to_device(&device())?;
    let mut node = build(facts["kind"].as_str().unwrap(), &facts["params"], clips.dims());

    let loaded = node.compute.load(&device())?.context("nothing was loaded")?;
    assert_eq!((&loaded.missing[..], loaded.misshapen.len()), (&[][..], 0), "{loaded}");
    let unused: Vec<&str> = facts["unused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap())
        .collect();
    assert_eq!(loaded.unexpected, unused);
    node.store.start_from(NODE, &loaded)?;

    let args = Args::default().with("clips", vec![clips]);
    let target = reference.values["target"].unsqueeze(1)?.to_device(&device())?;
    let mut momentum: HashMap<String, Tensor> = HashMap::new();
    let number = |name: &str| facts["sgd"][name].as_f64().unwrap();
    let settings = sgd::Sgd {
        lr: number("lr"),
        momentum: number("momentum"),
        nesterov: false,
        clip_scale: 1.0,
    };
    for step in 0..facts["sgd"]["steps"].as_u64().unwrap() {
        let (outputs, saved) = node.call(true, |c, step| c.forward(step, &args))?;
        let difference = (&outputs[0] - &target)?;
        let grad = (&difference * (2.0 / difference.elem_count() as f64))?;
        node.call(true, |c, step| c.backward(step, saved, vec![Some(grad)]))?;
        if step == 0 {
            reference.compare("feature", "", &outputs[0]);
            reference.compare("loss", "", &difference.sqr()?.mean_all()?);
            for spec in node.specs.iter().filter(|s| s.role != Role::Buffer) {
                let weight = node.store.get(&format!("{NODE}.{}", spec.name)).unwrap();
                let grad = weight
                    .grad
                    .as_ref()
                    .with_context(|| format!("no gradient of {}", spec.name))?;
                reference.compare("grad", &spec.name, grad);
            }
        }
        for (name, weight) in node.store.iter_mut() {
            let Some(grad) = weight.grad.take() else { continue };
            if step == 0 {
                momentum.insert(name.clone(), grad.zeros_like()?);
            }
            let parameter = sgd::Parameter {
                name,
                weight: &weight.value,
                grad: &grad.contiguous()?,
                momentum: &momentum[name],
                first: step == 0,
                lr_scale: 1.0,
                weight_decay: number("weight_decay"),
            };
            sgd::step(&settings, &[parameter])?;
            weight.version += 1;
        }
    }
    for spec in &node.specs {
        reference.compare("after", &spec.name, node.value(&spec.name));
    }
    let (outputs, _) = node.call(false, |c, step| c.forward(step, &args))?;
    reference.compare("evaluation", "", &outputs[0]);
    reference.finish(&facts["rounding"]);
    Ok(())
}

/// One test for all, so that full-size networks come one after the other.
#[test]
fn backbones_compute_what_pytorch_does() {
    for name in ["tsm50", "tsm18", "resnet50", "i3d_r50", "i3d_inception"] {
        check(name).unwrap();
    }
}

/// Every cut of a file, and a byte changed here and there, is an error or other numbers, never a panic.
#[test]
fn damaged_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    for (name, clips) in [("tsm18", [1, 1, 2, 16, 16, 3]), ("i3d_inception", [1, 1, 2, 16, 16, 3])] {
        let facts: Value = {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/parity/{name}.json"));
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
        };
        let whole =
            std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/parity/{name}.pth"))).unwrap();
        let path = folder.path().join("damaged.pth");
        let mut params = facts["params"].clone();
        params["init"] = path.to_str().unwrap().into();
        let node = build(facts["kind"].as_str().unwrap(), &params, &clips);
        let e = format!("{:#}", node.compute.load(&Device::Cpu).unwrap_err());
        assert!(e.contains("damaged.pth"), "{e}");
        for cut in (0..whole.len()).step_by(whole.len() / 40) {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let e = node.compute.load(&Device::Cpu).expect_err("it was cut");
            assert!(
                format!("{e:#}").contains("damaged.pth"),
                "{name} cut to {cut} bytes: {e:#}"
            );
        }
        for at in (0..whole.len()).step_by(whole.len() / 150) {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            std::fs::write(&path, &changed).unwrap();
            let _ = node.compute.load(&Device::Cpu);
        }
        std::fs::remove_file(&path).unwrap();
    }
}
