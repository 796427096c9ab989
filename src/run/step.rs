//! A step of training: forward and backward over the parts of its batch, and the update; in a phase with rounds several
//! times on the same batch. Nothing that is not finite gets past it.

use super::copies;
use super::exec::{Exec, Part, PassInfo, Share, scalar};
use super::finite::{self, Symptom};
use super::optim::{Length, Optimizer, StepReport, Taken};
use super::start::mark_trained;
use crate::graph::PhaseDef;
use crate::program::{LossTerm, Program, ValueId};
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
    /// The passes of a step: rounds, as indices, each with which of its repetitions.
    passes: Vec<(usize, usize)>,
    /// The parts of this step, where a pass after the first takes them again.
    parts: Vec<Part>,
    /// Losses and metrics of the parts of this pass that were not read yet.
    unread: Vec<Unread>,
    /// Those that were, by name.
    values: Vec<(String, f64)>,
    /// What is not finite in this step.
    symptom: Option<Symptom>,
    /// Whether scalars are read when the device has done all parts, and not one by one while it waits.
    pub(super) late: bool,
    optimizer: Duration,
}

/// What a step gave.
#[derive(Debug)]
pub(super) struct Done {
    /// Its losses and metrics by name, each the mean over the step's videos, and how many parts of it had no pair; of a round that is taken several times those of
    /// the last.
    pub values: Vec<(String, f64)>,
    /// Its learning rate before groups.
    pub lr: f64,
    /// The L2 norms of the gradients before clipping, by name: one, or one for each round.
    pub norms: Vec<(String, f64)>,
}

/// Losses and metrics of a part.
struct Unread {
    scalars: Vec<(ValueId, Tensor)>,
    info: PassInfo,
    /// How much of the step the part is.
    share: Share,
}

impl<'a> Steps<'a> {
    /// Of a phase, on `device`, in `precision` where the device has it.
    pub(super) fn new(program: &'a Program, def: &'a PhaseDef, device: &Device, precision: Precision) -> Steps<'a> {
        Steps {
            program,
            def,
            exec: Exec::new(program, device, precision, &[]),
            passes: program.passes().collect(),
            parts: vec![],
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

    /// Forward and backward of the step's first pass on a part: adds to the gradients in `store`. Does nothing more in a step
    /// in which something is not finite.
    ///
    /// # Errors
    /// A node or the device fails.
    pub(super) fn part(&mut self, store: &mut WeightStore, part: Part) -> Result<()> {
        if let [first, _, ..] = self.passes[..] {
            if self.parts.is_empty() {
                mark_trained(self.program, Some(first.0), store);
            }
            self.parts.push(part.clone());
        }
        self.pass(store, part, self.passes[0])
    }

    /// Forward and backward of a pass on a part.
    fn pass(&mut self, store: &mut WeightStore, part: Part, (round, time): (usize, usize)) -> Result<()> {
        if self.symptom.is_some() {
            return Ok(());
        }
        let Part { info, batch, share } = part;
        let info = info.in_round(self.program, round, time);
        let out = self.exec.forward(store, info, batch, true, &mut HashMap::new(), None)?;
        let scalars = out.kept.iter().filter(|(id, _)| self.is_reported(**id, round));
        let scalars = scalars.map(|(id, t)| (*id, t.clone())).collect();
        let own = share.clone();
        self.unread.push(Unread { scalars, info, share });
        if !self.late && !self.read()? {
            return Ok(());
        }
        self.exec.backward(store, info, out, &own, None)
    }

    /// The update after all parts, and the passes after the first, each with its update.
    ///
    /// # Errors
    /// Besides those of the update: a loss, a metric, the gradient or a weight is not finite. The message names which number
    /// was the first, for which the pass is taken again with what `again` gives: all parts of the step once more. Of these all
    /// but the last leave the weights as they were.
    pub(super) fn update<P: Iterator<Item = Result<Part>>>(
        &mut self,
        store: &mut WeightStore,
        optimizer: &mut Optimizer,
        step: u64,
        length: Length,
        again: impl FnOnce() -> Result<P>,
    ) -> Result<Done> {
        let (passes, parts) = (self.passes.clone(), std::mem::take(&mut self.parts));
        let mut done = Done {
            values: vec![],
            lr: 0.0,
            norms: vec![],
        };
        let mut total = 0.0;
        for (n, (index, time)) in passes.iter().copied().enumerate() {
            if n > 0 {
                mark_trained(self.program, Some(index), store);
                for part in &parts {
                    self.pass(store, part.clone(), (index, time))?;
                }
            }
            let Some(report) = self.take(store, optimizer, step, length)? else {
                return Err(self.fault(store, step, (index, time), again));
            };
            done.lr = report.lr;
            let (round, values) = (&self.program.rounds[index], std::mem::take(&mut self.values));
            // Of a round that is repeated the last time counts.
            if time + 1 == round.repeat {
                let own = values.iter().find(|(name, _)| *name == round.label(LOSS));
                total += own.map_or(0.0, |(_, loss)| *loss);
                done.values.extend(values);
                done.norms.push((round.label("grad_norm"), report.grad_norm));
            }
        }
        if passes.len() > 1 {
            mark_trained(self.program, None, store);
        }
        let since = Instant::now();
        copies::follow(self.program, store, step as f64 / length.steps as f64, step)?;
        self.optimizer += since.elapsed();
        if done.values.iter().all(|(name, _)| name != LOSS) {
            done.values.push((LOSS.into(), total));
        }
        done.values.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(done)
    }

    /// The update of a pass. Nothing where something is not finite.
    fn take(
        &mut self,
        store: &mut WeightStore,
        optimizer: &mut Optimizer,
        step: u64,
        length: Length,
    ) -> Result<Option<StepReport>> {
        if self.symptom.is_some() || !self.read()? {
            return Ok(None);
        }
        let since = Instant::now();
        let taken = optimizer.step(store, step, length)?;
        self.optimizer += since.elapsed();
        match taken {
            Taken::Step(report) => return Ok(Some(report)),
            Taken::Gradient(norm) => self.symptom = Some(Symptom::Gradient(norm)),
            Taken::Weight(name) => self.symptom = Some(Symptom::Weight(name)),
        }
        Ok(None)
    }

    /// What was not finite in a pass of a step.
    fn fault<P: Iterator<Item = Result<Part>>>(
        &mut self,
        store: &mut WeightStore,
        step: u64,
        (round, time): (usize, usize),
        again: impl FnOnce() -> Result<P>,
    ) -> anyhow::Error {
        let symptom = self.symptom.take().unwrap_or(Symptom::Gradient(f64::NAN));
        let program = self.program;
        let at = finite::At {
            step,
            round: &program.rounds[round],
            time,
        };
        let parts = match symptom {
            // After the update there is nothing to find: what it started from was finite.
            Symptom::Weight(_) => None,
            _ => match again() {
                Ok(parts) => Some(parts),
                Err(e) => return e.context(format!("{at}: {symptom}")),
            },
        };
        let in_round = |part: Result<Part>| {
            let Part { info, batch, share } = part?;
            let info = info.in_round(program, round, time);
            Ok(Part { info, batch, share })
        };
        let found = match parts {
            Some(parts) => finite::first(program, &mut self.exec, store, parts.map(in_round)),
            None => Ok(None),
        };
        let precision = self.exec.precision();
        match found {
            Ok(culprit) => anyhow!(finite::message(
                program,
                self.def,
                precision,
                &at,
                &symptom,
                culprit.as_ref()
            )),
            Err(e) => e.context(format!("{at}: {symptom}, and it could not be taken again")),
        }
    }

    /// Time so far of each call of the program, forward and backward.
    pub(super) fn times(&self) -> &[(Duration, Duration)] {
        self.exec.times()
    }

    /// Time so far of the optimiser.
    pub(super) fn optimizer(&self) -> Duration {
        self.optimizer
    }

    /// Whether a value is a loss of the round, or a metric.
    fn is_reported(&self, id: ValueId, round: usize) -> bool {
        let ty = &self.program.values[id.0].ty;
        let mut losses = self.program.losses.iter().filter(|l| l.round == round);
        ty.dims.is_empty() && (ty.head == Head::Metric || losses.any(|l| l.values.contains(&id)))
    }

    /// Reads losses and metrics. Says whether all are finite.
    fn read(&mut self) -> Result<bool> {
        for Unread { scalars, info, share } in std::mem::take(&mut self.unread) {
            let mut numbers = numbers(&scalars)?;
            if self.symptom.is_none() {
                let odd = reported(self.program, info, &numbers);
                let odd = odd.into_iter().find(|(_, v)| !v.is_finite());
                self.symptom = odd.map(|(name, v)| Symptom::Value(name, v));
            }
            let without = without_pairs(self.program, info, &numbers);
            for (id, v) in &mut numbers {
                *v *= share.of(self.program, *id);
            }
            for (name, v) in reported(self.program, info, &numbers).into_iter().chain(without) {
                count(&mut self.values, name, v);
            }
        }
        Ok(self.symptom.is_none())
    }
}

/// Adds to the number of this name.
fn count(values: &mut Vec<(String, f64)>, name: String, v: f64) {
    match values.iter_mut().find(|(n, _)| *n == name) {
        Some((_, sum)) => *sum += v,
        None => values.push((name, v)),
    }
}

/// For each loss that compares the rows of a part: 1 where it is exactly 0, as without a pair, else 0.
fn without_pairs(program: &Program, info: PassInfo, numbers: &HashMap<ValueId, f64>) -> Vec<(String, f64)> {
    let terms = program.losses.iter().filter(|t| t.divided && t.round == info.round);
    let none = |t: &LossTerm| t.values.iter().all(|v| numbers.get(v).is_none_or(|v| *v == 0.0));
    terms
        .map(|t| (format!("{}.parts_of_0", t.name), f64::from(u8::from(none(t)))))
        .collect()
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

/// The weighted sum of losses, as logs name it.
const LOSS: &str = "loss";

/// Losses of the round, their weighted sum and metrics by name.
fn reported(program: &Program, info: PassInfo, numbers: &HashMap<ValueId, f64>) -> Vec<(String, f64)> {
    let mut out = vec![];
    let round = &program.rounds[info.round];
    let mut total = 0.0;
    for term in program.losses.iter().filter(|t| t.round == info.round) {
        let mut sum = 0.0;
        for v in term.values.iter().filter_map(|id| numbers.get(id)) {
            sum += v;
        }
        total += term.weight_at(info.progress, info.step) * sum;
        out.push((term.name.clone(), sum));
    }
    out.push((round.label(LOSS), total));
    for (id, v) in numbers {
        let value = &program.values[id.0];
        if value.ty.head == Head::Metric {
            out.push((round.label(&value.name), *v));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}
