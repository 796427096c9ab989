//! Walks a program's calls: forward, and backward over what forward kept. The graph is the tape.

use crate::program::{Call, Program, Round, ValueId};
use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use glad_nodes::{Args, Body, Gradient, Head, Key, Precision, Saved, Scope, Side, Step, WeightStore};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What a pass over the calls knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct PassInfo {
    /// The step's key: (seed, phase, step, part).
    pub key: Key,
    /// Whether this is training.
    pub training: bool,
    /// The share of the phase that is done.
    pub progress: f64,
    /// Optimiser steps done in this phase.
    pub step: u64,
    /// The round that is computed, an index into [`Program::rounds`].
    pub round: usize,
}

impl PassInfo {
    /// This, of a round of the step and one of its repetitions, whose random numbers are its own.
    pub(super) fn in_round(self, program: &Program, round: usize, time: usize) -> PassInfo {
        let key = match program.rounds[round].name.as_str() {
            "" => self.key,
            name => self.key.name(name).index(time as u64),
        };
        PassInfo { key, round, ..self }
    }
}

/// A part of a step's batch.
#[derive(Clone)]
pub(super) struct Part {
    /// What its pass knows.
    pub info: PassInfo,
    /// What crosses to the device.
    pub batch: HashMap<ValueId, Tensor>,
    /// How much of the step it is.
    pub share: Share,
}

/// How much of a step a part is: of each stream the videos of the part and those of the step.
#[derive(Clone, Debug)]
pub(super) struct Share(pub Vec<[usize; 2]>);

impl Share {
    /// All of a step.
    #[cfg(test)]
    pub(super) fn whole() -> Share {
        Share(vec![[1, 1]])
    }

    /// The part's share of the videos that a value is computed from: what a mean over them counts in the mean over the step.
    /// Streams may divide differently where the last step of an epoch is short.
    pub(super) fn of(&self, program: &Program, id: ValueId) -> f64 {
        if self.0.iter().all(|[part, step]| part == step) {
            return 1.0;
        }
        let named = program.streams_of(id);
        let sums = |all: bool| {
            let counts = |s: &usize| all || named.contains(s);
            let rows = self.0.iter().enumerate().filter(|(s, _)| counts(s)).map(|(_, n)| n);
            rows.fold([0, 0], |[part, step], [p, s]| [part + p, step + s])
        };
        let [part, step] = match sums(false) {
            [_, 0] => sums(true),
            own => own,
        };
        part as f64 / step as f64
    }
}

/// Device calls of a program, with when each value is last used in each round.
pub(super) struct Exec<'a> {
    program: &'a Program,
    device: Device,
    /// What is really computed with on this device.
    precision: Precision,
    /// Whether nodes may have repeated work of a GPU recorded.
    record: bool,
    walks: Vec<Walk>,
    /// Time spent, by call: forward and backward.
    times: Vec<(Duration, Duration)>,
    /// Rows so far of the statistics that are computed anew, by node and the stream whose own they are.
    rows: Rows,
}

/// The device calls of a round.
struct Walk {
    order: Vec<usize>,
    /// For each call of `order`: values that nothing uses afterwards.
    dies: Vec<Vec<ValueId>>,
}

impl Walk {
    fn new(program: &Program, round: &Round, keep: &[ValueId]) -> Walk {
        let order: Vec<usize> = (0..program.calls.len())
            .filter(|i| program.calls[*i].side == Side::Device && round.runs[*i] && !program.calls[*i].over_list)
            .collect();
        let mut last: HashMap<ValueId, usize> = HashMap::new();
        for (at, i) in order.iter().enumerate() {
            let call = &program.calls[*i];
            for id in call
                .inputs
                .iter()
                .flat_map(|(_, ids)| ids)
                .chain(call.outputs.iter().flatten())
            {
                last.insert(*id, at);
            }
        }
        let wanted = |id: &ValueId| {
            let v = &program.values[id.0];
            keep.contains(id)
                || program.roots.contains(id)
                || program.losses.iter().any(|l| l.values.contains(id))
                || (v.ty.dims.is_empty() && matches!(v.ty.head, Head::Metric | Head::Loss))
        };
        let mut dies = vec![vec![]; order.len()];
        for (id, at) in last.into_iter().filter(|(id, _)| !wanted(id)) {
            dies[at].push(id);
        }
        Walk { order, dies }
    }
}

/// Rows by node and stream.
type Rows = HashMap<(String, Option<usize>), f64>;

/// Something that a pass made.
pub(super) enum Seen<'s> {
    /// An output of a call: its place among the call's outputs.
    Output(usize, &'s Tensor),
    /// A call's forward pass is over: it may have changed buffers of its weights.
    Forward(&'s WeightStore),
    /// A call's backward pass is over, and has added to the gradients of its weights.
    Backward(&'s WeightStore),
    /// The gradient that a backward pass computes for an input: its place among the call's inputs.
    Input(usize, &'s Tensor),
    /// The sum of the gradients of a value that several calls take, the last of them this call.
    Sum(ValueId, &'s Tensor),
}

/// Sees what calls make, as they make it; an error ends the pass.
pub(super) type Watch<'w> = dyn FnMut(&Call, Seen<'_>) -> Result<()> + 'w;

/// What a forward pass leaves.
pub(super) struct Forward {
    /// Losses, metrics and roots.
    pub kept: HashMap<ValueId, Tensor>,
    saved: Vec<Option<(Saved, Vec<bool>)>>,
}

impl<'a> Exec<'a> {
    /// For `program` on `device`, in `precision` where the device has it. `keep` names values that are wanted besides
    /// losses, metrics and roots.
    pub(super) fn new(program: &'a Program, device: &Device, precision: Precision, keep: &[ValueId]) -> Exec<'a> {
        let times = vec![(Duration::ZERO, Duration::ZERO); program.calls.len()];
        Exec {
            program,
            device: device.clone(),
            precision: precision.on(device.location()),
            record: false,
            walks: (program.rounds.iter())
                .map(|round| Walk::new(program, round, keep))
                .collect(),
            times,
            rows: HashMap::new(),
        }
    }

    /// Lets nodes record work of a GPU that repeats (CUDA graphs).
    pub(super) fn record(&mut self, on: bool) {
        self.record = on;
    }

    /// What is really computed with.
    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    /// Time spent so far in each call of the program, forward and backward.
    pub(super) fn times(&self) -> &[(Duration, Duration)] {
        &self.times
    }

    /// Runs all calls of the round. `values` are those of the batch boundary; a call whose stream has no values is left out.
    /// With `backward`, what the backward pass needs is kept. `tallies` count the metrics.
    ///
    /// # Errors
    /// A node fails, or a value that it needs is not there.
    pub(super) fn forward(
        &mut self,
        store: &mut WeightStore,
        info: PassInfo,
        mut values: HashMap<ValueId, Tensor>,
        backward: bool,
        tallies: &mut HashMap<usize, Box<dyn glad_nodes::Tally>>,
        mut watch: Option<&mut Watch<'_>>,
    ) -> Result<Forward> {
        let mut saved: Vec<Option<(Saved, Vec<bool>)>> = (0..self.program.calls.len()).map(|_| None).collect();
        let (walk, round) = (&self.walks[info.round], &self.program.rounds[info.round]);
        for (at, i) in walk.order.iter().enumerate() {
            let call = &self.program.calls[*i];
            let since = Instant::now();
            let metric = matches!(self.program.bodies[call.body], Body::Metric(_));
            if let Some((args, outputs)) = gather(call, metric, &values) {
                let average = share(self.program, call, &args, &mut self.rows)?;
                let mut inside = || -> Result<()> {
                    match &self.program.bodies[call.body] {
                        Body::Compute(node) => {
                            let wants: Vec<bool> = call
                                .inputs
                                .iter()
                                .flat_map(|(_, ids)| ids)
                                .filter(|id| values.contains_key(id))
                                .map(|id| round.grads[id.0])
                                .collect();
                            let passes = call.gradient != Gradient::Stops;
                            let keeps = backward && passes && (round.trains[*i] || wants.iter().any(|w| *w));
                            let mut step = self.step(store, call, info, &wants, keeps, watch.is_some());
                            step.training |= average.is_some();
                            step.average = average;
                            let (out, s) = node.forward(&mut step, &args)?;
                            if keeps {
                                saved[*i] = Some((s, wants));
                            }
                            if out.len() != outputs.len() {
                                bail!("it gave {} outputs where its contract has {}", out.len(), outputs.len());
                            }
                            if let Some(w) = watch.as_deref_mut() {
                                for (i, t) in out.iter().enumerate() {
                                    w(call, Seen::Output(i, t))?;
                                }
                                w(call, Seen::Forward(store))?;
                            }
                            for (id, t) in outputs.iter().zip(out) {
                                if let Some(id) = id {
                                    values.insert(*id, t);
                                }
                            }
                        }
                        Body::Metric(m) => {
                            tallies.entry(*i).or_insert_with(|| m.start()).update(&args)?;
                        }
                        _ => bail!("a `{}` does not run on the device", call.kind),
                    }
                    Ok(())
                };
                inside().with_context(|| format!("node `{}` ({})", call.node, call.kind))?;
            }
            self.times[*i].0 += since.elapsed();
            for id in &walk.dies[at] {
                values.remove(id);
            }
        }
        Ok(Forward { kept: values, saved })
    }

    /// Runs the calls backwards from the losses of the round, each weighted by its term's weight times its `share` of the step,
    /// and adds to the gradients in `store`.
    ///
    /// # Errors
    /// A node fails.
    pub(super) fn backward(
        &mut self,
        store: &mut WeightStore,
        info: PassInfo,
        forward: Forward,
        share: &Share,
        mut watch: Option<&mut Watch<'_>>,
    ) -> Result<()> {
        let Forward { kept, mut saved } = forward;
        let mut grads: HashMap<ValueId, Tensor> = HashMap::new();
        for term in self.program.losses.iter().filter(|t| t.round == info.round) {
            for id in &term.values {
                if let Some(loss) = kept.get(id) {
                    let g = Tensor::full(
                        (term.weight_at(info.progress, info.step) * share.of(self.program, *id)) as f32,
                        loss.shape(),
                        &self.device,
                    )?;
                    add(&mut grads, *id, g)?;
                }
            }
        }
        drop(kept);
        for i in self.walks[info.round].order.iter().rev() {
            let call = &self.program.calls[*i];
            let Some((state, wants)) = saved[*i].take() else {
                continue;
            };
            let out: Vec<Option<Tensor>> = call
                .outputs
                .iter()
                .map(|id| id.and_then(|id| grads.remove(&id)))
                .collect();
            let Body::Compute(node) = &self.program.bodies[call.body] else {
                continue;
            };
            if out.iter().all(Option::is_none) {
                continue;
            }
            let since = Instant::now();
            let mut step = self.step(store, call, info, &wants, true, watch.is_some());
            let back = node
                .backward(&mut step, state, out)
                .with_context(|| format!("backward of node `{}` ({})", call.node, call.kind))?;
            if let Some(w) = watch.as_deref_mut() {
                w(call, Seen::Backward(store))?;
            }
            let ids = call.inputs.iter().flat_map(|(_, ids)| ids);
            for (i, ((id, g), wanted)) in ids.zip(back).zip(&wants).enumerate() {
                if let (Some(g), true) = (g, wanted) {
                    if let Some(w) = watch.as_deref_mut() {
                        w(call, Seen::Input(i, &g))?;
                    }
                    add(&mut grads, *id, g)?;
                    if let (Some(w), Some(sum)) = (watch.as_deref_mut(), grads.get(id)) {
                        w(call, Seen::Sum(*id, sum))?;
                    }
                }
            }
            self.times[*i].1 += since.elapsed();
        }
        Ok(())
    }

    fn step<'s>(
        &'s self,
        store: &'s mut WeightStore,
        call: &'s Call,
        info: PassInfo,
        wants: &'s [bool],
        backward: bool,
        watched: bool,
    ) -> Step<'s> {
        let key = info.key.name(&call.node);
        let key = match call.stream {
            Some(s) => key.name(&self.program.streams[s]),
            None => key,
        };
        let copy = self.program.copy(&call.owner);
        // A frozen backbone keeps its running statistics, too, and so does a copy that stays as it is.
        let rests = self.program.frozen.contains(&call.owner) || copy.is_some_and(|c| !c.moves);
        let weights = Scope::new(store, &call.owner);
        Step {
            weights: match call.stream.filter(|_| !call.per_stream.is_empty()) {
                Some(s) => weights.of_stream(&self.program.streams[s], &call.per_stream),
                None => weights,
            },
            key,
            training: info.training && !rests,
            progress: info.progress,
            step: info.step,
            wants,
            backward,
            // The statistics of a copy are those that it copies.
            again: copy.is_some(),
            average: None,
            // A recording sums the gradients of a weight of all its calls.
            record: self.record && !watched && call.per_stream.is_empty(),
            device: &self.device,
            precision: self.precision,
        }
    }
}

/// The inputs of a call and the outputs that it will have now; `None` where a value is missing because its stream
/// has run out. A joint call goes on with the streams that are left, and so does a metric over several streams.
#[allow(clippy::type_complexity)]
fn gather(
    call: &Call,
    metric: bool,
    values: &HashMap<ValueId, Tensor>,
) -> Option<(Args<Tensor>, Vec<Option<ValueId>>)> {
    let mut args = Args::default();
    let Some(streams) = &call.joint else {
        if metric && call.stream.is_none() {
            for (port, ids) in &call.inputs {
                args.push(
                    port.clone(),
                    ids.iter().filter_map(|id| values.get(id).cloned()).collect(),
                );
            }
            return (args.flat().count() > 0).then(|| (args, call.outputs.clone()));
        }
        for (port, ids) in &call.inputs {
            let got: Option<Vec<Tensor>> = ids.iter().map(|id| values.get(id).cloned()).collect();
            args.push(port.clone(), got?);
        }
        return Some((args, call.outputs.clone()));
    };
    let here: Vec<bool> = (0..streams.len())
        .map(|s| call.inputs.iter().all(|(_, ids)| values.contains_key(&ids[s])))
        .collect();
    if !here.contains(&true) {
        return None;
    }
    for (port, ids) in &call.inputs {
        let got = ids
            .iter()
            .zip(&here)
            .filter(|(_, h)| **h)
            .map(|(id, _)| values[id].clone())
            .collect();
        args.push(port.clone(), got);
    }
    let per = call.outputs.len() / streams.len();
    let outputs = call
        .outputs
        .chunks(per)
        .zip(&here)
        .filter(|(_, h)| **h)
        .flat_map(|(o, _)| o.to_vec())
        .collect();
    Some((args, outputs))
}

/// Where a call computes running statistics anew: the share of these inputs in all that they are of, which `so_far` counts.
fn share(program: &Program, call: &Call, inputs: &Args<Tensor>, so_far: &mut Rows) -> Result<Option<f64>> {
    if !program.statistics.contains(&call.owner) {
        return Ok(None);
    }
    let mut rows = 0.0;
    for input in inputs.flat() {
        rows += input.dim(0)? as f64;
    }
    let stream = call.stream.filter(|_| !call.per_stream.is_empty());
    let all = so_far.entry((call.owner.clone(), stream)).or_default();
    *all += rows;
    Ok(Some(rows / *all))
}

fn add(grads: &mut HashMap<ValueId, Tensor>, id: ValueId, g: Tensor) -> Result<()> {
    match grads.remove(&id) {
        None => grads.insert(id, g),
        Some(old) => grads.insert(id, (old + g)?),
    };
    Ok(())
}

/// A scalar as a number.
///
/// # Errors
/// It has several elements, or the device fails.
pub(super) fn scalar(t: &Tensor) -> Result<f64> {
    Ok(t.to_dtype(DType::F32)?.to_scalar::<f32>()? as f64)
}
