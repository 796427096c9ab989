//! A phase's steps on random clips: the compute side of a run without videos, to measure it or to try a machine.

use super::exec::Part;
use super::optim::{Length, Optimizer};
use super::phase::{Rows, StepPlan, share};
use super::progress::Progress;
use super::start::begin_phase;
use super::step::Steps;
use super::train::{NodeTime, node_times};
use crate::graph::Graph;
use crate::program::Checked;
use crate::program::{Call, Program, ValueId, memory};
use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use glad_nodes::{Head, Key, Precision, Side, Type, WeightStore};
use std::collections::HashMap;
use std::time::Duration;

/// Trains one phase of a graph, a step at a time, as a run does, but with one batch of random bytes where a run has the
/// clips of its videos. No list and no video is read.
pub struct Rehearsal<'a> {
    program: &'a Program,
    steps: Steps<'a>,
    store: WeightStore,
    optimizer: Optimizer,
    plan: StepPlan,
    /// Videos of each stream in a step.
    videos: Vec<usize>,
    /// What crosses to the device for one part of a step.
    batch: HashMap<ValueId, Tensor>,
    step: u64,
}

impl<'a> Rehearsal<'a> {
    /// Of `phase`, with fresh weights.
    ///
    /// # Errors
    /// The phase is not there, or a batch has no fixed size.
    pub fn new(graph: &'a Graph, checked: &'a Checked, phase: &str, device: &Device) -> Result<Rehearsal<'a>> {
        let (Some(program), Some(def)) = (checked.phases.get(phase), graph.phases.get(phase)) else {
            let names: Vec<&str> = checked.phases.keys().map(String::as_str).collect();
            anyhow::bail!("there is no phase `{phase}`; there are: {}", names.join(", "));
        };
        let seed = graph.seed.value;
        let mut store = WeightStore::default();
        let progress = Progress::new(true);
        begin_phase(program, def, &mut store, true, seed, device, &progress)?;
        // Without lists there are no epochs.
        let steps = def.steps.as_ref().map_or(1 << 20, |s| s.value as u64);
        let length = Length {
            steps,
            per_epoch: Some(steps),
        };
        let plan = StepPlan::new(program, def, seed, length);
        let batch = batch(program, plan.key.name("rehearsal"), device)?;
        Ok(Rehearsal {
            program,
            steps: Steps::new(program, def, device, graph.precision.value),
            store,
            optimizer: Optimizer::new(&def.optimizer),
            plan,
            videos: def.batch.value.of_each(&program.streams),
            batch,
            step: 0,
        })
    }

    /// Lets nodes record work of a GPU that repeats (CUDA graphs), from the next step on.
    pub fn record(&mut self, on: bool) {
        self.steps.record(on);
    }

    /// One step: forward, backward and update. Returns the losses and metrics (their means over the parts of the step).
    ///
    /// # Errors
    /// A node or the device fails, or a number is not finite.
    pub fn step(&mut self) -> Result<Vec<(String, f64)>> {
        for part in self.parts() {
            self.steps.part(&mut self.store, part?)?;
        }
        let parts = self.parts();
        let again = || Ok(parts.into_iter());
        let done = self
            .steps
            .update(&mut self.store, &mut self.optimizer, self.step, self.plan.length, again)
            .with_context(|| format!("phase `{}`", self.program.name))?;
        self.step += 1;
        Ok(done.values)
    }

    /// The parts of the step.
    fn parts(&self) -> Vec<Result<Part>> {
        let parts = self.plan.parts(&self.videos).into_iter().enumerate();
        let made = parts.map(|(piece, rows)| {
            Ok(Part {
                info: self.plan.info(self.step, piece),
                batch: first_rows(self.program, &self.batch, &rows)?,
                share: share(&rows, &self.videos),
            })
        });
        made.collect()
    }

    /// Time so far of each node, the longest first, and of the optimiser.
    pub fn times(&self) -> (Vec<NodeTime>, Duration) {
        (node_times(self.program, self.steps.times()), self.steps.optimizer())
    }

    /// How many numbers the phase trains.
    pub fn parameters(&self) -> usize {
        let trained = self.store.iter().filter(|(_, w)| w.trains);
        trained.map(|(_, w)| w.spec.elements()).sum()
    }

    /// Multiply-adds of a step's forward passes; those of the backward passes are about twice as many.
    pub fn multiply_adds(&self) -> u64 {
        memory(self.program, Precision::F32).macs * self.plan.parts(&self.videos).len() as u64
    }

    /// The clips of each stream: their shape `[B, N, T, H, W, 3]`.
    pub fn clips(&self) -> Vec<Vec<usize>> {
        let boundary = self.program.calls.iter().filter(|c| c.side == Side::Boundary);
        let ids = boundary.flat_map(|c| c.outputs.iter().flatten());
        ids.filter(|id| self.program.values[id.0].ty.head == Head::Clip)
            .filter_map(|id| Some(self.batch.get(id)?.dims().to_vec()))
            .collect()
    }
}

/// What crosses to the device, at random: bytes for clips, numbers from 0 to 1 for features, classes that the losses know for
/// labels, places in a list of as many videos, 1 for masks (all but clips and features stay on the host, as in a run).
fn batch(program: &Program, key: Key, device: &Device) -> Result<HashMap<ValueId, Tensor>> {
    let mut out = HashMap::new();
    for id in program
        .calls
        .iter()
        .filter(|c| c.side == Side::Boundary || c.over_list)
        .flat_map(|c| c.outputs.iter().flatten())
    {
        let value = &program.values[id.0];
        let shape = value.ty.shape(program.batch_of(*id));
        let shape = shape.with_context(|| format!("{} has the size {}, which is not fixed", value.name, value.ty))?;
        let n: usize = shape.iter().product();
        let mut draw = key.name(&value.name).rng();
        let made = match &value.ty.head {
            Head::Clip => {
                let mut bytes: Vec<u8> = Vec::with_capacity(n + 8);
                while bytes.len() < n {
                    bytes.extend(draw.bits().to_le_bytes());
                }
                bytes.truncate(n);
                Tensor::from_vec(bytes, shape, device)?
            }
            Head::Feature | Head::Logits => {
                let numbers: Vec<f32> = (0..n).map(|_| draw.unit() as f32).collect();
                Tensor::from_vec(numbers, shape, device)?
            }
            Head::Label => {
                let classes = classes(program, *id);
                let labels: Vec<u32> = (0..n).map(|_| draw.below(classes) as u32).collect();
                Tensor::from_vec(labels, shape, &Device::Cpu)?
            }
            Head::Mask => Tensor::from_vec(vec![1f32; n], shape, &Device::Cpu)?,
            Head::Index => {
                let (rows, videos) = (shape[0], shape[1]);
                let places: Vec<u32> = (0..rows).map(|_| draw.below(videos) as u32).collect();
                Tensor::from_vec(places, rows, &Device::Cpu)?
            }
            other => anyhow::bail!("{}: there are no random values of the type `{other}`", value.name),
        };
        out.insert(*id, made);
    }
    Ok(out)
}

/// The fewest classes of any scores that a call takes next to these labels.
fn classes(program: &Program, label: ValueId) -> usize {
    let takes = |c: &&Call| c.inputs.iter().any(|(_, ids)| ids.contains(&label));
    let beside = program.calls.iter().filter(takes).flat_map(|c| &c.inputs);
    let scores = |ty: &Type| if ty.head == Head::Logits { ty.known(-1) } else { None };
    let counts = beside
        .flat_map(|(_, ids)| ids)
        .filter_map(|id| scores(&program.values[id.0].ty));
    counts.min().unwrap_or(1)
}

/// The first samples of a batch, as many of each stream as `rows` has.
fn first_rows(program: &Program, batch: &HashMap<ValueId, Tensor>, rows: &Rows) -> Result<HashMap<ValueId, Tensor>> {
    let of = |id: &ValueId| program.values[id.0].stream.map_or(0, |s| rows[s].len());
    let cut = |(id, t): (&ValueId, &Tensor)| Ok((*id, t.narrow(0, 0, of(id))?));
    batch.iter().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load_text;
    use std::path::Path;

    const ROUNDS: &str = "drop = [\"phases.main.losses\"]\n[phases.main.rounds.all]\nlosses = { ce = 1.0, tol = 0.1 }\n\
                          [phases.main.rounds.head]\nlosses = { ce = 1.0 }\ntrain = [\"classify\"]\nrepeat = 2";

    #[test]
    fn each_pass_moves_running_statistics() {
        // The same batch and weights that stay: after n passes a mean that starts at 0 is (1 − 0.9ⁿ) of the batch's.
        let mean = |repeat: usize| {
            let text = format!(
                "extends = \"full.toml\"\nset.setting = \"settings/smoke.toml\"\n{}\n[set.phases.main.optimizer]\nlr = 0.0",
                ROUNDS.replace("repeat = 2", &format!("repeat = {repeat}"))
            );
            let graph = load_text("overlay.toml", &text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
            let checked = crate::check::check(&graph, &glad_nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
            let mut rehearsal = Rehearsal::new(&graph, &checked, "main", &Device::Cpu).unwrap();
            rehearsal.step().unwrap();
            let mut means = rehearsal.store.iter().filter(|(n, _)| n.ends_with("running_mean"));
            means.next().unwrap().1.value.to_vec1::<f32>().unwrap()
        };
        let (two, four) = (mean(1), mean(3));
        assert!(two.iter().any(|m| m.abs() > 1e-3), "{two:?}");
        for (two, four) in two.iter().zip(&four) {
            let right = two * (1.0 - 0.9f32.powi(4)) / (1.0 - 0.9f32.powi(2));
            assert!((four - right).abs() < 1e-5, "{four}, and {right} is right");
        }
    }

    /// What six steps give, each scalar in its bits, or why there are no more.
    fn steps(late: bool, overlay: &str) -> (Vec<Vec<(String, u64)>>, String) {
        let text = format!("extends = \"full.toml\"\nset.setting = \"settings/smoke.toml\"\n{overlay}");
        let graph = load_text("overlay.toml", &text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
        let checked = crate::check::check(&graph, &glad_nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
        let mut rehearsal = Rehearsal::new(&graph, &checked, "main", &Device::Cpu).unwrap();
        rehearsal.steps.late = late;
        let mut all = vec![];
        for _ in 0..6 {
            match rehearsal.step() {
                Ok(values) => all.push(values.into_iter().map(|(n, v)| (n, v.to_bits())).collect()),
                Err(e) => return (all, format!("{e:#}")),
            }
        }
        (all, String::new())
    }

    #[test]
    fn when_scalars_are_read_changes_nothing() {
        for overlay in [
            "",
            "[phases.main]\nmicro_batch = 2",
            // Not finite from the second step on.
            "[set.phases.main.optimizer]\nlr = 1e30",
            "[set.phases.main.optimizer]\nlr = 1e30\n[phases.main]\nmicro_batch = 2",
            &format!("{ROUNDS}\n[phases.main]\nmicro_batch = 2"),
            &format!("{ROUNDS}\n[set.phases.main.optimizer]\nlr = 1e30"),
        ] {
            let (early, late) = (steps(false, overlay), steps(true, overlay));
            assert_eq!(early, late, "{overlay}");
            assert_eq!(early.1.contains("is NaN"), overlay.contains("1e30"), "{}", early.1);
        }
    }
}
