//! Weights: what a node asks for, and the store that holds them during a run.

use super::rng::Key;
use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use indexmap::IndexMap;
use std::fmt;

/// How a weight starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All this value.
    Constant(f32),
    /// N(0, std²).
    Normal(f32),
    /// U(−bound, bound).
    Uniform(f32),
}

impl Init {
    /// He: N(0, 2 / fan), for what is followed by a ReLU.
    pub fn he(fan: usize) -> Init {
        Init::Normal((2.0 / fan.max(1) as f64).sqrt() as f32)
    }

    /// PyTorch's default for linear and convolution weights and biases: U(±1/√fan_in).
    pub fn torch(fan_in: usize) -> Init {
        Init::Uniform((1.0 / fan_in.max(1) as f64).sqrt() as f32)
    }
}

/// What a weight is, as parameter groups see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A weight of a linear or convolution layer.
    Weight,
    /// A bias.
    Bias,
    /// Scale or shift of a batch norm.
    Norm,
    /// Running statistics: kept and saved, never trained.
    Buffer,
}

/// Between the name of a weight and the stream whose own it is.
const OWN: char = '@';

fn own(name: &str, stream: &str) -> String {
    format!("{name}{OWN}{stream}")
}

/// A weight that a node has.
#[derive(Clone, Debug)]
pub struct WeightSpec {
    /// Its name below the node: `layer1.0.conv1.conv.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// How it starts.
    pub init: Init,
    /// What it is.
    pub role: Role,
}

impl WeightSpec {
    /// A weight.
    pub fn new(name: impl Into<String>, shape: &[usize], init: Init, role: Role) -> Self {
        WeightSpec {
            name: name.into(),
            shape: shape.to_vec(),
            init,
            role,
        }
    }

    /// The same weight of one stream, where each has its own: it starts as this one.
    pub fn of_stream(&self, stream: &str) -> WeightSpec {
        WeightSpec {
            name: own(&self.name, stream),
            ..self.clone()
        }
    }

    /// Of a stream's own weight: the name of the one that it starts as.
    pub fn starts_as(&self) -> Option<&str> {
        self.name.split_once(OWN).map(|(name, _)| name)
    }

    /// How many numbers; the largest there is where they are more.
    pub fn elements(&self) -> usize {
        self.shape.iter().fold(1, |n, k| n.saturating_mul(*k))
    }

    /// Bytes of its gradient; 0 where it has none.
    pub fn gradient_bytes(&self) -> u64 {
        match self.role {
            Role::Buffer => 0,
            _ => 4u64.saturating_mul(self.elements() as u64),
        }
    }

    /// The starting value, a function of the key alone.
    ///
    /// # Errors
    /// The device has no memory for it.
    pub fn initial(&self, key: Key, device: &Device) -> Result<Tensor> {
        let n = self.elements();
        let mut d = key.rng();
        let v: Vec<f32> = match self.init {
            Init::Constant(c) => vec![c; n],
            Init::Normal(s) => (0..n).map(|_| s * d.normal() as f32).collect(),
            Init::Uniform(b) => (0..n).map(|_| d.range(-b as f64, b as f64) as f32).collect(),
        };
        Ok(Tensor::from_vec(v, self.shape.as_slice(), device)?)
    }
}

/// A weight in use.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Its value.
    pub value: Tensor,
    /// What it is.
    pub spec: WeightSpec,
    /// Whether this phase trains it.
    pub trains: bool,
    /// The gradient gathered in this step.
    pub grad: Option<Tensor>,
    /// Grows with every change of the value, so that packed copies know when they are stale.
    pub version: u64,
}

/// Weights read from a file, for a node to start from.
#[derive(Clone, Debug, Default)]
pub struct LoadedWeights {
    /// Values by name below the node, of the shapes that the node has.
    pub values: Vec<(String, Tensor)>,
    /// Where in the file they were: keys and the beginning of names, `.` for its top.
    pub from: String,
    /// Weights of the node that the file has nothing for, as the graph allows: they start at random.
    pub missing: Vec<String>,
    /// Tensors of the file that the node has no weight for, such as a classifier.
    pub unexpected: Vec<String>,
    /// Weights whose tensor in the file has another shape, with that shape and their own, as the graph allows: they start
    /// at random.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// How many values were made from kernels of two dimensions, repeated along time and divided by its length.
    pub inflated: usize,
    /// How many values were made from kernels for RGB, averaged over its channels for optical flow.
    pub averaged: usize,
}

/// What was loaded, and what was not, in one line.
impl fmt::Display for LoadedWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn some(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
            if names.is_empty() {
                return Ok(());
            }
            let shown = names.len().min(3);
            write!(f, "; {what}: {}", names[..shown].join(", "))?;
            match names.len() - shown {
                0 => Ok(()),
                more => write!(f, " and {more} more"),
            }
        }
        let all = self.values.len() + self.missing.len() + self.misshapen.len();
        write!(f, "{} of {all} weights loaded", self.values.len())?;
        if !matches!(self.from.as_str(), "" | ".") {
            write!(f, " from `{}`", self.from)?;
        }
        if self.inflated > 0 {
            write!(f, " ({} inflated from two dimensions)", self.inflated)?;
        }
        if self.averaged > 0 {
            f.write_str(" (the stem is the mean of one for RGB, for optical flow)")?;
        }
        some(f, "missing", &self.missing)?;
        let shapes: Vec<String> = self
            .misshapen
            .iter()
            .map(|(name, found, own)| format!("{name} {found:?} for {own:?}"))
            .collect();
        some(f, "of another shape", &shapes)?;
        some(f, "not used", &self.unexpected)
    }
}

/// All weights of a run, by `node.name`, in the order of the plan.
#[derive(Clone, Debug, Default)]
pub struct WeightStore {
    weights: IndexMap<String, Weight>,
}

impl WeightStore {
    /// Adds the weights of a node that are not there yet, with their starting values: a stream's own ones are those of all
    /// streams at that moment.
    ///
    /// # Errors
    /// A weight is there with another shape.
    pub fn declare(&mut self, node: &str, specs: &[WeightSpec], key: Key, device: &Device) -> Result<()> {
        for spec in specs {
            let full = format!("{node}.{}", spec.name);
            match self.weights.get(&full) {
                Some(w) if w.spec.shape == spec.shape => {}
                Some(w) => bail!("`{full}` has shape {:?}, and {:?} is needed", w.spec.shape, spec.shape),
                None => {
                    let all = spec.starts_as().and_then(|name| self.get(&format!("{node}.{name}")));
                    let value = match all {
                        Some(all) => all.value.copy()?,
                        None => spec.initial(key.name(&full), device)?,
                    };
                    self.insert(full, spec.clone(), value);
                }
            }
        }
        Ok(())
    }

    /// Whether there are weights of a node.
    pub fn has_node(&self, node: &str) -> bool {
        let prefix = format!("{node}.");
        self.weights.keys().any(|name| name.starts_with(&prefix))
    }

    /// Gives a node's weights, which have been declared, the values of a file.
    ///
    /// # Errors
    /// A value is of another name or shape than the node's weights.
    pub fn start_from(&mut self, node: &str, loaded: &LoadedWeights) -> Result<()> {
        for (name, value) in &loaded.values {
            let full = format!("{node}.{name}");
            let w = self
                .weights
                .get_mut(&full)
                .with_context(|| format!("there is no weight `{full}`"))?;
            if w.spec.shape != value.dims() {
                bail!(
                    "`{full}` has shape {:?}, and {:?} came from a file",
                    w.spec.shape,
                    value.dims()
                );
            }
            w.value = value.clone();
            w.version += 1;
        }
        Ok(())
    }

    /// Puts a weight, replacing one of the same name.
    pub fn insert(&mut self, full: String, spec: WeightSpec, value: Tensor) {
        let trains = spec.role != Role::Buffer;
        let version = self.weights.get(&full).map_or(0, |w| w.version + 1);
        let w = Weight {
            value,
            spec,
            trains,
            grad: None,
            version,
        };
        self.weights.insert(full, w);
    }

    /// Forgets the weights of a node (`reset`).
    pub fn remove_node(&mut self, node: &str) {
        let prefix = format!("{node}.");
        self.weights.retain(|name, _| !name.starts_with(&prefix));
    }

    /// Forgets a weight.
    pub fn remove(&mut self, full: &str) {
        self.weights.shift_remove(full);
    }

    /// A weight.
    pub fn get(&self, full: &str) -> Option<&Weight> {
        self.weights.get(full)
    }

    /// A weight.
    pub fn get_mut(&mut self, full: &str) -> Option<&mut Weight> {
        self.weights.get_mut(full)
    }

    /// All weights, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Weight)> {
        self.weights.iter()
    }

    /// All weights, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Weight)> {
        self.weights.iter_mut()
    }

    /// Drops all gradients.
    pub fn clear_grads(&mut self) {
        self.weights.values_mut().for_each(|w| w.grad = None);
    }
}

/// The weights of one node, as its calls see them.
pub struct Scope<'a> {
    store: &'a mut WeightStore,
    node: &'a str,
    /// The stream whose own weights of these roles are used.
    own: Option<(&'a str, &'a [Role])>,
}

impl<'a> Scope<'a> {
    /// The weights below `node`.
    pub fn new(store: &'a mut WeightStore, node: &'a str) -> Self {
        Scope { store, node, own: None }
    }

    /// The stream's own weights of these roles in the place of those of all streams.
    #[must_use]
    pub fn of_stream(self, stream: &'a str, roles: &'a [Role]) -> Self {
        Scope {
            own: Some((stream, roles)),
            ..self
        }
    }

    /// The full name of a weight.
    fn full(&self, name: &str) -> String {
        let full = format!("{}.{name}", self.node);
        let Some((stream, roles)) = self.own else { return full };
        match self.store.get(&full) {
            Some(all) if roles.contains(&all.spec.role) => own(&full, stream),
            _ => full,
        }
    }

    fn find(&self, name: &str) -> Result<&Weight> {
        let full = self.full(name);
        self.store
            .get(&full)
            .with_context(|| format!("there is no weight `{full}`"))
    }

    fn find_mut(&mut self, name: &str) -> Result<&mut Weight> {
        let full = self.full(name);
        self.store
            .get_mut(&full)
            .with_context(|| format!("there is no weight `{full}`"))
    }

    /// The value of a weight or buffer.
    ///
    /// # Errors
    /// There is no such weight.
    pub fn value(&self, name: &str) -> Result<&Tensor> {
        Ok(&self.find(name)?.value)
    }

    /// Changes whenever the value does (but for running statistics that a recorded pass moves).
    ///
    /// # Errors
    /// There is no such weight.
    pub fn version(&self, name: &str) -> Result<u64> {
        Ok(self.find(name)?.version)
    }

    /// Whether a gradient for it is wanted.
    pub fn trains(&self, name: &str) -> bool {
        self.find(name).is_ok_and(|w| w.trains)
    }

    /// The gradient of a weight so far.
    pub fn grad(&self, name: &str) -> Option<Tensor> {
        self.find(name).ok()?.grad.clone()
    }

    /// Takes the gradient of a weight away: there is none then.
    ///
    /// # Errors
    /// There is no such weight.
    pub fn take_grad(&mut self, name: &str) -> Result<Option<Tensor>> {
        Ok(self.find_mut(name)?.grad.take())
    }

    /// Adds to the gradient of a weight. Calls happen in the plan's order, so the sum has the same bits every time.
    ///
    /// # Errors
    /// There is no such weight, or it has another shape.
    pub fn add_grad(&mut self, name: &str, grad: Tensor) -> Result<()> {
        let w = self.find_mut(name)?;
        if w.grad.is_none() && grad.dims() != w.value.dims() {
            bail!(
                "gradient of `{name}` has shape {:?}, the weight {:?}",
                grad.dims(),
                w.value.dims()
            );
        }
        w.grad = Some(match w.grad.take() {
            None => grad,
            Some(g) => (g + grad)?,
        });
        Ok(())
    }

    /// Replaces a buffer.
    ///
    /// # Errors
    /// There is no such buffer.
    pub fn set_buffer(&mut self, name: &str, value: Tensor) -> Result<()> {
        self.find_mut(name)?.value = value;
        self.changed(name)
    }

    /// The value of a buffer was changed in place.
    ///
    /// # Errors
    /// There is no such buffer.
    pub fn changed(&mut self, name: &str) -> Result<()> {
        self.find_mut(name)?.version += 1;
        Ok(())
    }
}
