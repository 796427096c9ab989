//! A step of training: forward and backward over the parts of its batch, and the update. Nothing that is not finite gets
//! past it.

use super::copies;
use super::exec::{Exec, Part, PassInfo, scalar};
use super::finite::{self, Symptom};
use super::optim::{Length, Optimizer, StepReport, Taken};
use crate::graph::PhaseDef;
use crate::program::{Program, ValueId};
use anyhow::{Result, anyhow};
use candle_core::{DType, Device, Tensor};
use glad_nodes::{Head, Precision, WeightStore};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Takes the steps of a phase.
pub(super) struct Steps<'a> {
    program: &'a Program,
    def: &'a PhaseDef,
    exec: Exec<'a>,
    /// Losses and metrics of the parts of this step that were not read yet.
    unread: Vec<Unread>,
    /// Those that were, by name.
    values: Vec<(String, f64)>,
    /// What is not finite in this step.
    symptom: Option<Symptom>,
    /// Whether scalars are read when the device has done all parts, and not one by one while it waits.
    pub(super) late: bool,
    optimizer: Duration,
}

/// Losses and metrics of a part.
struct Unread {
    scalars: Vec<(ValueId, Tensor)>,
    info: PassInfo,
    /// The part's share of the step.
    share: f64,
}

impl<'a> Steps<'a> {
    /// Of a phase, on `device`, in `precision` where the device has it.
    pub(super) fn new(program: &'a Program, def: &'a PhaseDef, device: &Device, precision: Precision) -> Steps<'a> {
        Steps {
            program,
            def,
            exec: Exec::new(program, device, precision, &[]),
            unread: vec![],
            values: vec![],
            symptom: None,
            late: !device.is_cpu(),
            optimizer: Duration::ZERO,
        }
    }

    /// Lets nodes record work of a GPU that repeats (CUDA graphs).
    pub(super) fn record(&mut self, on: bool) {
        self.exec.record(on);
    }

    /// Forward and backward on a part: adds to the gradients in `store`. Does nothing more in a step in which something is
    /// not finite.
    ///
    /// # Errors
    /// A node or the device fails.
    pub(super) fn part(&mut self, store: &mut WeightStore, part: Part) -> Result<()> {
        if self.symptom.is_some() {
            return Ok(());
        }
        let Part { info, batch, share } = part;
        let out = self.exec.forward(store, info, batch, true, &mut HashMap::new(), None)?;
        let scalars = out.kept.iter().filter(|(id, _)| self.is_reported(**id));
        let scalars = scalars.map(|(id, t)| (*id, t.clone())).collect();
        self.unread.push(Unread { scalars, info, share });
        if !self.late && !self.read()? {
            return Ok(());
        }
        self.exec.backward(store, info, out, share, None)
    }

    /// The update, after all parts. Gives the step's losses and metrics by name, each the mean over its videos.
    ///
    /// # Errors
    /// Besides those of the update: a loss, a metric, the gradient or a weight is not finite. The message names which number
    /// was the first, for which the step is taken again with what `again` gives: all its parts once more. Of these all but
    /// the last leave the weights as they were.
    pub(super) fn update<P: Iterator<Item = Result<Part>>>(
        &mut self,
        store: &mut WeightStore,
        optimizer: &mut Optimizer,
        step: u64,
        length: Length,
        again: impl FnOnce() -> Result<P>,
    ) -> Result<(Vec<(String, f64)>, StepReport)> {
        if self.symptom.is_none() && self.read()? {
            let since = Instant::now();
            let taken = optimizer.step(store, step, length)?;
            if let Taken::Step(_) = taken {
                copies::follow(self.program, store)?;
            }
            self.optimizer += since.elapsed();
            match taken {
                Taken::Step(report) => {
                    let mut values = std::mem::take(&mut self.values);
                    values.sort_by(|a, b| a.0.cmp(&b.0));
                    return Ok((values, report));
                }
                Taken::Gradient(norm) => self.symptom = Some(Symptom::Gradient(norm)),
                Taken::Weight(name) => self.symptom = Some(Symptom::Weight(name)),
            }
        }
        let symptom = self.symptom.take().unwrap_or(Symptom::Gradient(f64::NAN));
        let parts = match symptom {
            // After the update there is nothing to find: what it started from was finite.
            Symptom::Weight(_) => None,
            _ => Some(again().map_err(|e| e.context(format!("step {step}: {symptom}")))?),
        };
        let precision = self.exec.precision();
        let found = match parts {
            Some(parts) => finite::first(self.program, &mut self.exec, store, parts),
            None => Ok(None),
        };
        Err(match found {
            Ok(culprit) => anyhow!(finite::message(
                self.program,
                self.def,
                precision,
                step,
                &symptom,
                culprit.as_ref()
            )),
            Err(e) => e.context(format!("step {step}: {symptom}, and the step could not be taken again")),
        })
    }

    /// Time so far of each call of the program, forward and backward.
    pub(super) fn times(&self) -> &[(Duration, Duration)] {
        self.exec.times()
    }

    /// Time so far of the optimiser.
    pub(super) fn optimizer(&self) -> Duration {
        self.optimizer
    }

    /// Whether a value is a loss or a metric of the step.
    fn is_reported(&self, id: ValueId) -> bool {
        let ty = &self.program.values[id.0].ty;
        ty.dims.is_empty() && (ty.head == Head::Metric || self.program.losses.iter().any(|l| l.values.contains(&id)))
    }

    /// Reads losses and metrics. Says whether all are finite.
    fn read(&mut self) -> Result<bool> {
        for Unread { scalars, info, share } in std::mem::take(&mut self.unread) {
            for (name, v) in reported(self.program, info, &numbers(&scalars)?) {
                if !v.is_finite() && self.symptom.is_none() {
                    self.symptom = Some(Symptom::Value(name.clone(), v));
                }
                match self.values.iter_mut().find(|(n, _)| *n == name) {
                    Some((_, sum)) => *sum += v * share,
                    None => self.values.push((name, v * share)),
                }
            }
        }
        Ok(self.symptom.is_none())
    }
}

/// Scalars as numbers; those that are on the device by one copy.
fn numbers(scalars: &[(ValueId, Tensor)]) -> Result<HashMap<ValueId, f64>> {
    let (here, there): (Vec<_>, Vec<_>) = scalars.iter().partition(|(_, t)| t.device().is_cpu());
    let mut numbers = HashMap::new();
    for (id, t) in here {
        numbers.insert(*id, scalar(t)?);
    }
    let there_f32 = there.iter().map(|(_, t)| t.to_dtype(DType::F32));
    let there_f32 = there_f32.collect::<candle_core::Result<Vec<_>>>()?;
    if !there_f32.is_empty() {
        let values = Tensor::stack(&there_f32, 0)?.to_vec1::<f32>()?;
        numbers.extend(there.iter().zip(values).map(|((id, _), v)| (*id, f64::from(v))));
    }
    Ok(numbers)
}

/// Losses, their weighted sum and metrics by name.
fn reported(program: &Program, info: PassInfo, numbers: &HashMap<ValueId, f64>) -> Vec<(String, f64)> {
    let mut out = vec![];
    let mut total = 0.0;
    for term in &program.losses {
        let mut sum = 0.0;
        for v in term.values.iter().filter_map(|id| numbers.get(id)) {
            sum += v;
        }
        total += term.weight_at(info.progress, info.step) * sum;
        out.push((term.name.clone(), sum));
    }
    out.push(("loss".into(), total));
    for (id, v) in numbers {
        let value = &program.values[id.0];
        if value.ty.head == Head::Metric {
            out.push((value.name.clone(), *v));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}
