//! The optimiser of the weights that a phase trains: groups, schedule, clipping, and its state between steps.

mod schedule;
mod state;

pub(super) use schedule::Length;
pub(super) use state::{Kept, OptimizerState};

use crate::graph::{OptimizerDef, Update};
use crate::keys::Word;
use anyhow::{Context, Result, bail};
use candle_core::{DType, Tensor};
use glad_nodes::{WeightStore, adam, sgd};

/// The optimiser of one phase: its settings and its state.
pub(super) struct Optimizer {
    def: OptimizerDef,
    state: OptimizerState,
}

/// What became of a step.
#[derive(Clone, Debug)]
pub(super) enum Taken {
    /// It was taken.
    Step(StepReport),
    /// It was not: the L2 norm of the gradient is this, so a value of the gradient is not finite. Weights, gradients and the
    /// optimiser's state are unchanged.
    Gradient(f64),
    /// It was taken, and left a value of this weight, or of its second moment, that is not finite.
    Weight(String),
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepReport {
    /// The learning rate before groups.
    pub lr: f64,
    /// L2 norm of the gradient over all weights, before clipping.
    pub grad_norm: f64,
}

impl Optimizer {
    /// A fresh optimiser.
    pub(super) fn new(def: &OptimizerDef) -> Optimizer {
        Optimizer {
            def: def.clone(),
            state: OptimizerState::new(def.kind),
        }
    }

    /// The learning rate of `step` (before groups).
    pub(super) fn lr(&self, step: u64, length: Length) -> f64 {
        let warm = match self.def.warmup_steps {
            0 => 1.0,
            w => ((step + 1) as f64 / w as f64).min(1.0),
        };
        self.def.lr * warm * self.def.schedule.share(step, length)
    }

    /// Applies the gradients gathered in `store`, and drops them.
    ///
    /// # Errors
    /// The device fails, or a gradient does not fit its weight.
    pub(super) fn step(&mut self, store: &mut WeightStore, step: u64, length: Length) -> Result<Taken> {
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
        let buffers = self.def.kind.buffers().len();
        for (name, g) in &grads {
            if !self.state.weights.contains_key(name) {
                let zeros = || Tensor::zeros(g.elem_count(), DType::F32, g.device());
                let kept = Kept {
                    buffers: (0..buffers).map(|_| zeros()).collect::<candle_core::Result<_>>()?,
                    steps: 0,
                };
                self.state.weights.insert(name.clone(), kept);
            }
            self.state.weights[name].steps += 1;
        }
        let broken = match self.def.update() {
            Update::Sgd { momentum, nesterov } => {
                let settings = sgd::Sgd {
                    lr,
                    momentum,
                    nesterov,
                    clip_scale,
                };
                self.sgd(&settings, store, &grads)?
            }
            Update::Adam { betas, eps, decoupled } => {
                let settings = adam::Adam {
                    lr,
                    betas,
                    eps,
                    decoupled,
                    clip_scale,
                };
                self.adam(&settings, store, &grads)?
            }
        };
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

    /// Returns the weight that is not finite afterwards.
    fn sgd(&self, settings: &sgd::Sgd, store: &WeightStore, grads: &[(String, Tensor)]) -> Result<Option<String>> {
        let mut parameters = vec![];
        for (name, grad) in grads {
            let w = store.get(name).context("its gradient was there")?;
            let (lr_scale, weight_decay) = self.group(name, w.spec.role);
            let kept = &self.state.weights[name];
            parameters.push(sgd::Parameter {
                name,
                weight: &w.value,
                grad,
                momentum: &kept.buffers[0],
                first: kept.steps == 1,
                lr_scale,
                weight_decay,
            });
        }
        Ok(sgd::step(settings, &parameters)?.map(|i| grads[i].0.clone()))
    }

    /// Returns the weight, or the second moment, that is not finite afterwards.
    fn adam(&self, settings: &adam::Adam, store: &WeightStore, grads: &[(String, Tensor)]) -> Result<Option<String>> {
        let mut parameters = vec![];
        for (name, grad) in grads {
            let w = store.get(name).context("its gradient was there")?;
            let (lr_scale, weight_decay) = self.group(name, w.spec.role);
            let kept = &self.state.weights[name];
            parameters.push(adam::Parameter {
                name,
                weight: &w.value,
                grad,
                first: &kept.buffers[0],
                second: &kept.buffers[1],
                t: kept.steps,
                lr_scale,
                weight_decay,
            });
        }
        let Some(i) = adam::step(settings, &parameters)? else {
            return Ok(None);
        };
        let weight = parameters[i].weight.flatten_all()?.to_vec1::<f32>()?;
        let name = &grads[i].0;
        Ok(Some(match weight.iter().all(|w| w.is_finite()) {
            true => format!("second_moment/{name}"),
            false => name.clone(),
        }))
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

    /// Its state, for a checkpoint.
    pub(super) fn state(&self) -> &OptimizerState {
        &self.state
    }

    /// Continues from the state in a checkpoint.
    ///
    /// # Errors
    /// It is the state of another optimiser.
    pub(super) fn restore(&mut self, state: OptimizerState) -> Result<()> {
        if state.kind != self.def.kind {
            let (theirs, own) = (state.kind, self.def.kind);
            bail!(
                "the saved state is that of the optimizer `{}` ({}), and this phase trains with `{}` ({}): go on with the \
                 optimizer that the run began with, or begin anew in another folder",
                theirs.word(),
                theirs.buffers().join(" and "),
                own.word(),
                own.buffers().join(" and ")
            );
        }
        self.state = state;
        Ok(())
    }
}
