//! Tests kinds against independent references: a node is built from its parameters as a graph would build it, run through
//! [`Compute`], and compared with a function in `f64` whose central differences are its gradients.
//!
//! Everything runs on one [`device`]: the tests of the kinds are repeated for every available device.
//!
//! For tests only: what is wrong ends in a panic that names it. A crate with its own kinds has this module with the feature
//! `testing`; `examples/custom-node/tests` uses it.

#[cfg(test)]
pub mod golden;
#[cfg(test)]
mod methods;

use crate::{
    Args, Bindings, Body, BuildCx, Compute, Contract, DimScope, Init, Key, ParamProblem, Precision, Registry, Saved,
    Scope, Size, Step, Type, WeightSpec, WeightStore, Wiring,
};
use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use std::sync::OnceLock;

#[cfg(test)]
pub mod losses_golden;

/// A type for a test: `ty("Feature", "B,3,64")`; `2*B` and `B` are batches.
pub fn ty(head: &str, dims: &str) -> Type {
    let size = |d: &str| match d.trim() {
        "B" => Size::Batch(1),
        d => match d.strip_suffix("*B") {
            Some(n) => Size::Batch(n.parse().unwrap()),
            None => Size::Known(d.parse().unwrap()),
        },
    };
    Type {
        head: head.into(),
        dims: dims.split(',').filter(|d| !d.is_empty()).map(size).collect(),
    }
}

/// The device that tests run on: the CPU, or the one in the environment variable `GLAD_TEST_DEVICE` (`cuda:0`).
pub fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let of_name = || match std::env::var("GLAD_TEST_DEVICE") {
        Err(_) => Device::Cpu,
        Ok(name) if name == "cpu" => Device::Cpu,
        Ok(name) => {
            let number = name.strip_prefix("cuda:").and_then(|n| n.parse().ok());
            let number = number.unwrap_or_else(|| panic!("GLAD_TEST_DEVICE = {name}: it is `cpu` or `cuda:0`"));
            Device::new_cuda_with_stream(number).unwrap()
        }
    };
    DEVICE.get_or_init(of_name).clone()
}

/// Values drawn from N(0, 1) for a test.
pub fn normal(seed: u64, shape: &[usize]) -> Tensor {
    let mut d = Key::new(seed).name("test").rng();
    let count: usize = shape.iter().product();
    // CUDA cannot allocate zero bytes.
    let v: Vec<f32> = (0..count.max(1)).map(|_| d.normal() as f32).collect();
    let all = Tensor::from_vec(v, count.max(1), &device()).unwrap();
    all.narrow(0, 0, count).unwrap().reshape(shape).unwrap()
}

/// A label tensor.
pub fn labels(v: &[u32]) -> Tensor {
    Tensor::from_slice(v, v.len(), &Device::Cpu).unwrap()
}

/// The values of a tensor.
pub fn f64s(t: &Tensor) -> Vec<f64> {
    // CUDA cannot allocate zero bytes.
    if t.elem_count() == 0 {
        return vec![];
    }
    t.to_dtype(DType::F64)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// The value of a scalar.
pub fn scalar(t: &Tensor) -> f64 {
    assert!(t.dims().is_empty(), "{:?}", t.dims());
    f64s(t)[0]
}

/// A node, built as a graph would build it.
pub struct Probe {
    /// Its body.
    pub compute: Box<dyn Compute>,
    /// Its contract.
    pub contract: Contract,
    /// The types of its outputs.
    pub outputs: Vec<Type>,
    /// Its weights.
    pub store: WeightStore,
    /// What they are.
    pub specs: Vec<WeightSpec>,
    /// See [`Step::training`].
    pub training: bool,
    /// See [`Step::progress`].
    pub progress: f64,
    /// See [`Step::step`].
    pub step: u64,
    /// See [`Step::key`].
    pub key: Key,
    /// See [`Step::precision`].
    pub precision: Precision,
}

/// A body, its contract and the types of its outputs.
///
/// # Errors
/// The kind rejects its parameters or input types.
#[cfg(feature = "kinds")]
pub fn body(
    kind: &str,
    params: Value,
    inputs: &[(&str, Vec<Type>)],
    dims: &[(&str, usize)],
) -> Result<(Body, Contract, Vec<Type>), Vec<ParamProblem>> {
    body_of(&crate::registry(), kind, params, inputs, dims)
}

/// [`body`] of one's own kinds.
///
/// # Errors
/// The kind rejects its parameters or input types.
pub fn body_of(
    registry: &Registry,
    kind: &str,
    params: Value,
    inputs: &[(&str, Vec<Type>)],
    dims: &[(&str, usize)],
) -> Result<(Body, Contract, Vec<Type>), Vec<ParamProblem>> {
    let node = registry.get(kind).unwrap().parse(&params)?;
    let mut wiring = Wiring::default();
    for (port, types) in inputs {
        wiring.count.insert(port.to_string(), types.len());
    }
    let contract = node.contract(&wiring);
    let globals = DimScope {
        globals: dims.iter().map(|(n, v)| (n.to_string(), *v)).collect(),
        ..DimScope::default()
    };
    let mut bindings = Bindings {
        scope: globals.clone(),
        ..Bindings::default()
    };
    for port in &contract.inputs {
        let Some((_, types)) = inputs.iter().find(|(n, _)| *n == port.name) else {
            continue;
        };
        if contract.joint {
            port.types[0].bind(&types[0], &mut bindings).unwrap();
            continue;
        }
        assert_eq!(port.types.len(), types.len(), "port {}", port.name);
        for (expr, ty) in port.types.iter().zip(types) {
            if let Err(e) = expr.bind(ty, &mut bindings) {
                panic!("`{ty}` does not fit `{expr}` at {}: {e:?}", port.name);
            }
        }
    }
    let outputs: Vec<Type> = contract
        .outputs
        .iter()
        .map(|o| o.ty.resolve(&bindings).unwrap())
        .collect();
    let cx = BuildCx {
        inputs: inputs.iter().map(|(n, t)| (n.to_string(), t.clone())).collect(),
        outputs: outputs.clone(),
        dims: &globals,
        folder: ".".into(),
    };
    let body = node.build(&cx)?;
    Ok((body, contract, outputs))
}

impl Probe {
    /// A compute node with its initial weights.
    ///
    /// # Errors
    /// As [`body`].
    #[cfg(feature = "kinds")]
    pub fn new(
        kind: &str,
        params: Value,
        inputs: &[(&str, Vec<Type>)],
        dims: &[(&str, usize)],
    ) -> Result<Probe, Vec<ParamProblem>> {
        Probe::of(&crate::registry(), kind, params, inputs, dims)
    }

    /// [`Probe::new`] of one's own kinds.
    ///
    /// # Errors
    /// As [`body_of`].
    pub fn of(
        registry: &Registry,
        kind: &str,
        params: Value,
        inputs: &[(&str, Vec<Type>)],
        dims: &[(&str, usize)],
    ) -> Result<Probe, Vec<ParamProblem>> {
        let (body, contract, outputs) = body_of(registry, kind, params, inputs, dims)?;
        let Body::Compute(compute) = body else {
            panic!("`{kind}` does not compute")
        };
        let specs = compute.weights();
        let mut store = WeightStore::default();
        store.declare("node", &specs, Key::new(7), &device()).unwrap();
        Ok(Probe {
            compute,
            contract,
            outputs,
            store,
            specs,
            training: true,
            progress: 0.0,
            step: 0,
            key: Key::new(11),
            precision: Precision::F32,
        })
    }

    /// Replaces every trained weight by generic values: N(0, 0.5²), 1 added where the weight starts at 1.
    pub fn unusual_weights(mut self) -> Self {
        for (i, spec) in self.specs.clone().into_iter().enumerate() {
            let shift = if spec.init == Init::Constant(1.0) { 1.0 } else { 0.0 };
            let v = ((normal(100 + i as u64, &spec.shape) * 0.5).unwrap() + shift).unwrap();
            let v = match spec.name.contains("running_var") {
                true => v.abs().unwrap(),
                false => v,
            };
            self.store.insert(format!("node.{}", spec.name), spec, v);
        }
        self
    }

    /// The value of a weight.
    pub fn weight(&self, name: &str) -> Tensor {
        self.store.get(&format!("node.{name}")).unwrap().value.clone()
    }

    /// The gradient of a weight.
    pub fn grad(&self, name: &str) -> Option<Tensor> {
        self.store.get(&format!("node.{name}")).unwrap().grad.clone()
    }

    /// Sets a weight.
    pub fn set(&mut self, name: &str, value: Tensor) {
        let spec = self.specs.iter().find(|s| s.name == name).unwrap().clone();
        self.store.insert(format!("node.{name}"), spec, value);
    }

    fn call<R>(&mut self, wants: &[bool], backward: bool, run: impl FnOnce(&dyn Compute, &mut Step<'_>) -> R) -> R {
        let device = device();
        let mut step = Step {
            weights: Scope::new(&mut self.store, "node"),
            key: self.key,
            training: self.training,
            progress: self.progress,
            step: self.step,
            wants,
            backward,
            again: false,
            average: None,
            record: false,
            device: &device,
            precision: self.precision,
        };
        run(&*self.compute, &mut step)
    }

    /// Runs only the forward pass.
    ///
    /// # Errors
    /// The node's.
    pub fn forward(&mut self, inputs: &Args<Tensor>) -> anyhow::Result<Vec<Tensor>> {
        let wants = vec![false; inputs.flat().count()];
        Ok(self.call(&wants, false, |c, step| c.forward(step, inputs))?.0)
    }

    /// Runs the forward pass, keeping what the backward pass needs; every differentiable input gets a gradient.
    ///
    /// # Errors
    /// The node's.
    pub fn forward_kept(&mut self, inputs: &Args<Tensor>) -> anyhow::Result<(Vec<Tensor>, Saved)> {
        let wants = self.wants(inputs);
        self.call(&wants, true, |c, step| c.forward(step, inputs))
    }

    /// Runs the backward pass.
    ///
    /// # Errors
    /// The node's.
    pub fn backward(
        &mut self,
        inputs: &Args<Tensor>,
        saved: Saved,
        grads: Vec<Option<Tensor>>,
    ) -> anyhow::Result<Vec<Option<Tensor>>> {
        let wants = self.wants(inputs);
        self.call(&wants, true, |c, step| c.backward(step, saved, grads))
    }

    fn wants(&self, inputs: &Args<Tensor>) -> Vec<bool> {
        let of = |port: &str| {
            self.contract
                .inputs
                .iter()
                .find(|i| i.name == port)
                .unwrap()
                .differentiable
        };
        inputs
            .ports()
            .iter()
            .flat_map(|(p, v)| v.iter().map(|_| of(p)).collect::<Vec<_>>())
            .collect()
    }

    /// Compares outputs, input gradients and weight gradients with `reference`, a function of the flattened inputs and
    /// of the weights in their order that gives the flattened outputs. Outputs that are metrics get no gradient.
    pub fn check(&mut self, inputs: &Args<Tensor>, reference: impl Fn(&[Vec<f64>], &[Vec<f64>]) -> Vec<Vec<f64>>) {
        let (outputs, saved) = self.forward_kept(inputs).unwrap();
        let xs: Vec<Vec<f64>> = inputs.flat().map(f64s).collect();
        let ws: Vec<Vec<f64>> = self.specs.iter().map(|s| f64s(&self.weight(&s.name))).collect();
        let expect = reference(&xs, &ws);
        assert_eq!(outputs.len(), expect.len(), "number of outputs");
        let heads: Vec<String> = self.outputs.iter().map(|t| t.head.to_string()).collect();
        let mut cotangents = vec![];
        for (i, (out, want)) in outputs.iter().zip(&expect).enumerate() {
            close(&format!("output {i}"), &f64s(out), want, 1e-4);
            let differentiable = !["Metric", "Label"].contains(&heads[i % heads.len()].as_str());
            cotangents.push(differentiable.then(|| normal(50 + i as u64, out.dims())));
        }
        let seeds: Vec<Vec<f64>> = cotangents
            .iter()
            .zip(&expect)
            .map(|(c, e)| c.as_ref().map_or(vec![0.0; e.len()], f64s))
            .collect();
        let objective = |xs: &[Vec<f64>], ws: &[Vec<f64>]| -> f64 {
            let out = reference(xs, ws);
            out.iter()
                .flatten()
                .zip(seeds.iter().flatten())
                .map(|(a, b)| a * b)
                .sum()
        };
        let wants = self.wants(inputs);
        let found = self.backward(inputs, saved, cotangents).unwrap();
        assert_eq!(found.len(), xs.len(), "number of input gradients");
        for (i, (grad, want)) in found.iter().zip(&wants).enumerate() {
            if !want {
                assert!(grad.is_none(), "input {i} gets a gradient that nobody wants");
                continue;
            }
            let input = inputs.flat().nth(i).unwrap();
            let grad = grad.as_ref().unwrap_or_else(|| panic!("no gradient of input {i}"));
            assert_eq!(grad.dims(), input.dims(), "gradient of input {i}");
            let numeric = differences(&xs, i, |xs| objective(xs, &ws));
            close(&format!("gradient of input {i}"), &f64s(grad), &numeric, 1e-3);
        }
        for (i, spec) in self.specs.clone().iter().enumerate() {
            let numeric = differences(&ws, i, |ws| objective(&xs, ws));
            match self.grad(&spec.name) {
                Some(grad) => close(&format!("gradient of {}", spec.name), &f64s(&grad), &numeric, 1e-3),
                None => assert!(spec.role == crate::Role::Buffer, "no gradient of {}", spec.name),
            }
        }
    }
}

/// Central differences of `f` in the values of list `which`.
pub fn differences(values: &[Vec<f64>], which: usize, f: impl Fn(&[Vec<f64>]) -> f64) -> Vec<f64> {
    let mut values = values.to_vec();
    let h = 1e-6;
    (0..values[which].len())
        .map(|j| {
            let x = values[which][j];
            values[which][j] = x + h;
            let up = f(&values);
            values[which][j] = x - h;
            let down = f(&values);
            values[which][j] = x;
            (up - down) / (2.0 * h)
        })
        .collect()
}

/// Asserts that lists agree within `tolerance` of their largest value.
pub fn close(what: &str, found: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(found.len(), want.len(), "{what}: lengths");
    let scale = want.iter().fold(1e-2f64, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(want).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * scale,
            "{what}[{i}]: {a}, and {b} is right (scale {scale})"
        );
    }
}

/// `x Wᵀ + b` with `x` `[rows, inputs]`.
pub fn dense(x: &[f64], w: &[f64], b: &[f64], inputs: usize) -> Vec<f64> {
    x.chunks(inputs)
        .flat_map(|x| {
            w.chunks(inputs)
                .zip(b)
                .map(|(w, b)| b + x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// A mask tensor.
pub fn mask(v: &[f32]) -> Tensor {
    Tensor::from_slice(v, v.len(), &Device::Cpu).unwrap()
}

/// Log of the softmax of each row.
pub fn log_softmax(x: &[f64], classes: usize) -> Vec<f64> {
    x.chunks(classes)
        .flat_map(|row| {
            let most = row.iter().copied().fold(f64::MIN, f64::max);
            let log_sum = most + row.iter().map(|v| (v - most).exp()).sum::<f64>().ln();
            row.iter().map(|v| v - log_sum).collect::<Vec<_>>()
        })
        .collect()
}

/// What is wrong with a node's parameters and input types, as `path: message`.
pub fn rejected(kind: &str, params: Value, inputs: &[(&str, Vec<Type>)]) -> Vec<String> {
    lines(body(kind, params, inputs, &[]).err().unwrap_or_default())
}

/// What a kind remarks on its parameters, as `path: message`.
pub fn remarks(kind: &str, params: Value) -> Vec<String> {
    lines(crate::registry().get(kind).unwrap().parse(&params).unwrap().remarks())
}

fn lines(problems: Vec<ParamProblem>) -> Vec<String> {
    let line = |p: ParamProblem| match p.path.is_empty() {
        true => p.message,
        false => format!("{}: {}", p.path, p.message),
    };
    problems.into_iter().map(line).collect()
}
