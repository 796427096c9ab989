//! SGD with momentum over the weights that a phase trains: groups, schedule, clipping.

use crate::graph::{OptimizerDef, ScheduleDef};
use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use glad_nodes::{WeightStore, sgd};
use indexmap::IndexMap;

/// The optimiser of one phase: its momentum, and how it is set.
pub struct Sgd {
    def: OptimizerDef,
    momentum: IndexMap<String, Tensor>,
}

/// What became of a step.
#[derive(Clone, Debug)]
pub enum Taken {
    /// It was taken.
    Step(StepReport),
    /// It was not: the L2 norm of the gradient is this, so a number of the gradient is not finite. Weights, momentum and
    /// gradients are as they were.
    Gradient(f64),
    /// It was taken, and left this weight with a number that is not finite.
    Weight(String),
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// The learning rate before groups.
    pub lr: f64,
    /// L2 norm of the gradient over all weights, before clipping.
    pub grad_norm: f64,
}

/// Lengths that a schedule refers to.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Steps of the phase.
    pub steps: u64,
    /// Steps in an epoch, where the phase is given in epochs.
    pub per_epoch: Option<u64>,
}

impl Sgd {
    /// A fresh optimiser.
    pub fn new(def: &OptimizerDef) -> Sgd {
        Sgd {
            def: def.clone(),
            momentum: IndexMap::new(),
        }
    }

    /// The learning rate of `step` (before groups).
    pub fn lr(&self, step: u64, length: Length) -> f64 {
        let d = &self.def;
        let warm = match d.warmup_steps {
            0 => 1.0,
            w => ((step + 1) as f64 / w as f64).min(1.0),
        };
        let fall = match &d.schedule {
            ScheduleDef::Constant => 1.0,
            ScheduleDef::Step { at, gamma } => {
                let now = step / length.per_epoch.unwrap_or(1);
                gamma.powi(at.iter().filter(|a| **a as u64 <= now).count() as i32)
            }
            ScheduleDef::Cosine { end } => {
                let p = step as f64 / length.steps.max(1) as f64;
                end + (1.0 - end) * 0.5 * (1.0 + (std::f64::consts::PI * p).cos())
            }
        };
        d.lr * warm * fall
    }

    /// Applies the gradients gathered in `store`, and drops them.
    ///
    /// # Errors
    /// The device fails, or a gradient does not fit its weight.
    pub fn step(&mut self, store: &mut WeightStore, step: u64, length: Length) -> Result<Taken> {
        let lr = self.lr(step, length);
        let mut grads: Vec<(String, Tensor)> = vec![];
        for (name, w) in store.iter() {
            if let Some(g) = w.grad.as_ref().filter(|_| w.trains) {
                grads.push((name.clone(), g.contiguous()?));
            }
        }
        let all: Vec<&Tensor> = grads.iter().map(|(_, g)| g).collect();
        let grad_norm = sgd::norm(&all)?;
        if !grad_norm.is_finite() {
            return Ok(Taken::Gradient(grad_norm));
        }
        store.clear_grads();
        let clip_scale = match self.def.clip_norm {
            Some(max) if grad_norm > max => max / (grad_norm + 1e-6),
            _ => 1.0,
        };
        let fresh: Vec<bool> = grads.iter().map(|(n, _)| !self.momentum.contains_key(n)).collect();
        for (name, g) in grads.iter().zip(&fresh).filter(|(_, f)| **f).map(|(g, _)| g) {
            let buffer = Tensor::zeros(g.elem_count(), DType::F32, g.device())?;
            self.momentum.insert(name.clone(), buffer);
        }
        let mut parameters = vec![];
        for ((name, grad), first) in grads.iter().zip(fresh) {
            let w = store.get(name).context("its gradient was there")?;
            let (lr_scale, weight_decay) = self.group(name, w.spec.role);
            parameters.push(sgd::Parameter {
                name,
                weight: &w.value,
                grad,
                momentum: &self.momentum[name],
                first,
                lr_scale,
                weight_decay,
            });
        }
        let settings = sgd::Sgd {
            lr,
            momentum: self.def.momentum,
            nesterov: self.def.nesterov,
            clip_scale,
        };
        let broken = sgd::step(&settings, &parameters)?.map(|i| grads[i].0.clone());
        for (name, _) in &grads {
            if let Some(w) = store.get_mut(name) {
                w.version += 1;
            }
        }
        Ok(match broken {
            Some(weight) => Taken::Weight(weight),
            None => Taken::Step(StepReport { lr, grad_norm }),
        })
    }

    fn group(&self, name: &str, role: glad_nodes::Role) -> (f64, f64) {
        let inside = |node: &str| name.strip_prefix(node).is_some_and(|r| r.starts_with('.'));
        let hit = self.def.groups.iter().find(|g| {
            (g.roles.0.is_empty() || g.roles.0.contains(&role))
                && (g.nodes.is_empty() || g.nodes.iter().any(|n| inside(&n.value)))
        });
        match hit {
            Some(g) => (g.lr_scale, g.weight_decay.unwrap_or(self.def.weight_decay)),
            None => (1.0, self.def.weight_decay),
        }
    }

    /// The momentum, by weight, for a checkpoint.
    pub fn state(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.momentum.iter()
    }

    /// Takes momentum back from a checkpoint.
    pub fn restore(&mut self, name: String, buffer: Tensor) {
        self.momentum.insert(name, buffer);
    }
}
