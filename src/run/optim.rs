//! SGD with momentum over the weights that a phase trains: groups, schedule, clipping.

use crate::graph::{OptimizerDef, ScheduleDef};
use anyhow::{Context, Result, bail};
use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor};
use glad_nodes::WeightStore;
use indexmap::IndexMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The optimiser of one phase: its momentum, and how it is set.
pub struct Sgd {
    def: OptimizerDef,
    momentum: IndexMap<String, Vec<f32>>,
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
    pub fn step(&mut self, store: &mut WeightStore, step: u64, length: Length) -> Result<Taken> {
        let lr = self.lr(step, length);
        let mut sum = 0.0;
        for (_, w) in store.iter() {
            if let Some(g) = w.grad.as_ref().filter(|_| w.trains) {
                sum += squared_norm(g)?;
            }
        }
        let grad_norm = f64::sqrt(sum);
        if !grad_norm.is_finite() {
            return Ok(Taken::Gradient(grad_norm));
        }
        let mut broken = None;
        let clip = match self.def.clip_norm {
            Some(max) if grad_norm > max => max / (grad_norm + 1e-6),
            _ => 1.0,
        };
        for (name, w) in store.iter_mut() {
            let Some(g) = w.grad.take() else { continue };
            if !w.trains {
                continue;
            }
            let (scale, decay) = self.group(name, w.spec.role);
            let n = w.spec.elements();
            let fresh = !self.momentum.contains_key(name);
            let buffer = self.momentum.entry(name.clone()).or_insert_with(|| vec![0.0; n]);
            let settings = glad_ops::sgd::Sgd {
                lr: (lr * scale) as f32,
                momentum: self.def.momentum as f32,
                weight_decay: decay as f32,
                nesterov: self.def.nesterov,
                clip_scale: clip as f32,
            };
            let op = Update {
                settings,
                first: fresh,
                buffer: Mutex::new(buffer),
                finite: AtomicBool::new(true),
            };
            w.value
                .inplace_op2(&g.contiguous()?, &op)
                .with_context(|| format!("update of `{name}`"))?;
            w.version += 1;
            if !op.finite.into_inner() && broken.is_none() {
                broken = Some(name.clone());
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
            (g.roles.is_empty() || g.roles.contains(&role))
                && (g.nodes.is_empty() || g.nodes.iter().any(|n| inside(&n.value)))
        });
        match hit {
            Some(g) => (g.lr_scale, g.weight_decay.unwrap_or(self.def.weight_decay)),
            None => (1.0, self.def.weight_decay),
        }
    }

    /// The momentum, by weight, for a checkpoint.
    pub fn state(&self) -> impl Iterator<Item = (&String, &Vec<f32>)> {
        self.momentum.iter()
    }

    /// Takes momentum back from a checkpoint.
    pub fn restore(&mut self, name: String, buffer: Vec<f32>) {
        self.momentum.insert(name, buffer);
    }
}

fn squared_norm(g: &Tensor) -> Result<f64> {
    let g = g.contiguous()?;
    let (storage, layout) = g.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(s) => {
            let data = s.as_slice::<f32>()?;
            let (a, b) = layout.contiguous_offsets().context("a gradient is not contiguous")?;
            Ok(glad_ops::sgd::squared_norm(&data[a..b]))
        }
        _ => {
            drop(storage);
            Ok(super::exec::scalar(&g.sqr()?.sum_all()?)?)
        }
    }
}

struct Update<'a> {
    settings: glad_ops::sgd::Sgd,
    first: bool,
    buffer: Mutex<&'a mut Vec<f32>>,
    /// Whether the weight is finite afterwards.
    finite: AtomicBool,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn cpu_fwd(&self, w: &mut CpuStorage, lw: &Layout, g: &CpuStorage, lg: &Layout) -> candle_core::Result<()> {
        let run = || -> Result<()> {
            let (CpuStorage::F32(w), CpuStorage::F32(g)) = (w, g) else {
                bail!("weights and gradients are f32")
            };
            let (wa, wb) = lw.contiguous_offsets().context("a weight is not contiguous")?;
            let (ga, gb) = lg.contiguous_offsets().context("a gradient is not contiguous")?;
            let mut buffer = self
                .buffer
                .lock()
                .map_err(|_| anyhow::anyhow!("an update failed before"))?;
            let finite = self
                .settings
                .step(self.first, &g[ga..gb], &mut buffer, &mut w[wa..wb])?;
            self.finite.store(finite, Ordering::Relaxed);
            Ok(())
        };
        run().map_err(|e| candle_core::Error::Msg(format!("{e:#}")))
    }
}
