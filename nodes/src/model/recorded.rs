//! A network's passes on a GPU as CUDA graphs: when clips of a shape recur, their forward and their backward pass are
//! recorded, and take one launch each from then on, instead of some hundred.
//!
//! A recording holds addresses, so all its inputs and outputs must stay in place: a copy of the clips, the features and
//! their gradient; the weights and running statistics, which change in place; and the sums of the weights' gradients, which the
//! store receives. What the forward pass keeps for the backward pass is memory of the graphs, valid from the launch of the
//! one to that of the other. So a recording serves one call at a time, and concurrent calls of a step
//! have one each.

use super::sequence::{self, Sequence};
use crate::op::gpu::Gpu;
use crate::{Precision, Step};
use anyhow::{Context, Result, anyhow, bail};
use candle_core::{DType, Tensor, TensorId};
use glad_cuda::driver::Recorded;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// Maximum recordings of a network: rare shapes are not worth the memory.
const MOST: usize = 16;

/// The recordings of one network.
#[derive(Default)]
pub(super) struct Recordings {
    shapes: Arc<Mutex<Shapes>>,
    /// The names of the network's weights.
    names: OnceLock<Vec<String>>,
}

#[derive(Default)]
struct Shapes {
    all: Vec<Shape>,
    made: usize,
    /// The sums of the gradients, by weight, which all recordings of a step continue.
    sums: HashMap<String, Tensor>,
    /// A flag that says whether to add to a sum, and the number one.
    add: Option<[Tensor; 2]>,
}

/// A shape of clips, with its recordings that no call is using.
struct Shape {
    key: Key,
    free: Vec<Recording>,
    /// Whether a recording was useless because no backward pass was requested: then no more are made.
    wasted: bool,
}

/// The calls that a recording can serve.
#[derive(PartialEq)]
struct Key {
    clips: Vec<usize>,
    precision: Precision,
    training: bool,
    /// Each weight, and whether it trains.
    weights: Vec<(TensorId, bool)>,
}

struct Recording {
    clips: Tensor,
    feature: Tensor,
    grad: Tensor,
    forward: Recorded,
    /// Recorded on the first request.
    backward: Option<Backward>,
}

struct Backward {
    graph: Recorded,
    add: [Tensor; 2],
    /// The weights that get a gradient, each with its sum.
    sums: Vec<(String, Tensor)>,
}

/// A call between its forward and its backward pass.
pub(super) struct Open {
    shapes: Arc<Mutex<Shapes>>,
    at: usize,
    recording: Option<Recording>,
    /// What a newly recorded forward pass kept.
    kept: Option<sequence::Kept>,
}

impl Recordings {
    /// The features of clips `[rows · N, T, H, W, C]` by a recording. `None` if there is none and none is to be made:
    /// recording is off, no forward and backward pass of this shape has run yet, or the clips need a gradient.
    pub(super) fn forward(&self, network: &Sequence, step: &mut Step<'_>, clips: &Tensor) -> Result<Option<(Tensor, Open)>> {
        let Some(gpu) = self.gpu(step)? else {
            return Ok(None);
        };
        let key = self.key(network, step, clips.dims())?;
        let mut shapes = lock(&self.shapes)?;
        let Some(at) = shapes.all.iter().position(|s| s.key == key) else {
            return Ok(None);
        };
        let (recording, kept) = match shapes.all[at].free.pop() {
            Some(recording) => (recording, None),
            None if shapes.made < MOST && !shapes.all[at].wasted => {
                shapes.made += 1;
                let (recording, kept) = Recording::new(&gpu, network, step, clips)?;
                (recording, Some(kept))
            }
            None => return Ok(None),
        };
        drop(shapes);
        gpu.copy_into(clips, &recording.clips)?;
        recording.forward.launch()?;
        let feature = gpu.copied(&recording.feature)?;
        let open = Open {
            shapes: self.shapes.clone(),
            at,
            recording: Some(recording),
            kept,
        };
        Ok(Some((feature, open)))
    }

    /// Clips `[rows, N, T, H, W, C]` of a shape ran forward and backward without a recording: what runs only the first time (the
    /// choice of a kernel, its loading) has run, so the next such pass can be recorded.
    pub(super) fn ran(&self, network: &Sequence, step: &Step<'_>, dims: &[usize]) -> Result<()> {
        if self.gpu(step)?.is_none() {
            return Ok(());
        }
        let [rows, n, rest @ ..] = dims else {
            bail!("clips have shape {dims:?}");
        };
        let clips: Vec<usize> = std::iter::once(rows * n).chain(rest.iter().copied()).collect();
        let key = self.key(network, step, &clips)?;
        let mut shapes = lock(&self.shapes)?;
        if shapes.all.iter().all(|s| s.key != key) {
            shapes.all.push(Shape {
                key,
                free: vec![],
                wasted: false,
            });
        }
        Ok(())
    }

    /// The GPU, if passes are to be recorded.
    fn gpu(&self, step: &Step<'_>) -> Result<Option<Gpu>> {
        if !step.record || !step.backward || step.wants.contains(&true) {
            return Ok(None);
        }
        Gpu::at(step.device)
    }

    fn key(&self, network: &Sequence, step: &Step<'_>, clips: &[usize]) -> Result<Key> {
        let names = self
            .names
            .get_or_init(|| network.weights().into_iter().map(|spec| spec.name).collect());
        let weight = |name: &String| Ok((step.weights.value(name)?.id(), step.weights.trains(name)));
        Ok(Key {
            clips: clips.to_vec(),
            precision: step.precision,
            training: step.training,
            weights: names.iter().map(weight).collect::<Result<_>>()?,
        })
    }
}

impl Recording {
    /// Records the forward pass.
    fn new(gpu: &Gpu, network: &Sequence, step: &mut Step<'_>, clips: &Tensor) -> Result<(Recording, sequence::Kept)> {
        let features = (clips.dim(0)?, network.features);
        let clips = gpu.room(clips.shape(), step.precision.activations())?;
        let feature = gpu.room(features, DType::F32)?;
        let grad = gpu.room(features, DType::F32)?;
        // Run once before it is recorded, to load its kernel.
        gpu.copy_into(&grad, &feature)?;
        let (forward, kept) = gpu
            .record(|| {
                let (found, kept) = network.forward(step, &clips)?;
                gpu.copy_into(&found, &feature)?;
                kept.context("a forward pass kept nothing for its backward pass")
            })
            .context("recording the forward pass as a CUDA graph")?;
        let recording = Recording {
            clips,
            feature,
            grad,
            forward,
            backward: None,
        };
        Ok((recording, kept))
    }

    /// Records the backward pass for what the recorded forward pass kept.
    fn record_backward(
        &self,
        gpu: &Gpu,
        network: &Sequence,
        step: &mut Step<'_>,
        shapes: &mut Shapes,
        kept: sequence::Kept,
    ) -> Result<Backward> {
        let specs: Vec<_> = network
            .weights()
            .into_iter()
            .filter(|spec| step.weights.trains(&spec.name))
            .collect();
        let mut before = vec![];
        for spec in &specs {
            if !shapes.sums.contains_key(&spec.name) {
                let sum = gpu.room(spec.shape.as_slice(), DType::F32)?;
                shapes.sums.insert(spec.name.clone(), sum);
            }
            before.push(step.weights.take_grad(&spec.name)?);
        }
        let add = match &shapes.add {
            Some(add) => add.clone(),
            None => {
                let one = Tensor::ones(1, DType::F32, step.device)?;
                let add = [gpu.room(1, DType::F32)?, one];
                // Run once before it is recorded, to load its kernel.
                gpu.accumulate(&add[1], &add[1].zeros_like()?, &add[0])?;
                shapes.add.insert(add).clone()
            }
        };
        let (graph, reached) = gpu
            .record(|| {
                network.backward(step, kept, &self.grad, false)?;
                let mut reached = vec![];
                for spec in &specs {
                    if let Some(grad) = step.weights.take_grad(&spec.name)? {
                        gpu.accumulate(&add[0], &grad, &shapes.sums[&spec.name])?;
                        reached.push(spec.name.clone());
                    }
                }
                Ok(reached)
            })
            .context("recording the backward pass as a CUDA graph")?;
        for (spec, grad) in specs.iter().zip(before) {
            if let Some(grad) = grad {
                step.weights.add_grad(&spec.name, grad)?;
            }
        }
        let sums = reached.into_iter().map(|name| {
            let sum = shapes.sums[&name].clone();
            (name, sum)
        });
        Ok(Backward {
            graph,
            add,
            sums: sums.collect(),
        })
    }
}

impl Backward {
    /// Adds to the gradients of the weights, which are the recording's sums from then on.
    fn launch(&self, gpu: &Gpu, step: &mut Step<'_>) -> Result<()> {
        let before: Vec<_> = self.sums.iter().map(|(name, _)| step.weights.grad(name)).collect();
        let goes_on = before.iter().any(Option::is_some);
        for ((name, sum), before) in self.sums.iter().zip(before) {
            match before {
                Some(grad) if grad.id() == sum.id() => continue,
                // Gradients that other calls have added already.
                Some(grad) => gpu.copy_into(&grad.contiguous()?, sum)?,
                None if goes_on => gpu.copy_into(&sum.zeros_like()?, sum)?,
                None => {}
            }
            step.weights.take_grad(name)?;
            step.weights.add_grad(name, sum.clone())?;
        }
        let [add, one] = &self.add;
        gpu.set(add, if goes_on { 1.0 } else { 0.0 }, one)?;
        self.graph.launch()?;
        Ok(())
    }
}

impl Open {
    /// Adds the gradients of the weights, for this gradient of the features `[clips, features]`.
    pub(super) fn backward(mut self, network: &Sequence, step: &mut Step<'_>, grad: &Tensor) -> Result<()> {
        let gpu = Gpu::at(step.device)?.context("a recording is asked for on a device without any")?;
        let mut recording = self.recording.take().context("a recording was used twice")?;
        if let Some(kept) = self.kept.take() {
            let mut shapes = lock(&self.shapes)?;
            let backward = recording.record_backward(&gpu, network, step, &mut shapes, kept)?;
            recording.backward = Some(backward);
        }
        gpu.copy_into(&grad.contiguous()?, &recording.grad)?;
        let backward = recording
            .backward
            .as_ref()
            .context("a backward pass was not recorded")?;
        backward.launch(&gpu, step)?;
        self.recording = Some(recording);
        Ok(())
    }
}

/// Returns the recording, also if no backward pass was requested: the next launch frees what the forward pass kept. (If none
/// follows, it stays allocated until the process ends.) Only a recording without a backward pass is dropped, because what its
/// forward pass kept is dropped with this.
impl Drop for Open {
    fn drop(&mut self) {
        let (Some(recording), Ok(mut shapes)) = (self.recording.take(), self.shapes.lock()) else {
            return;
        };
        let shape = &mut shapes.all[self.at];
        match recording.backward {
            Some(_) => shape.free.push(recording),
            None => shape.wasted = true,
        }
    }
}

fn lock(shapes: &Mutex<Shapes>) -> Result<MutexGuard<'_, Shapes>> {
    shapes
        .lock()
        .map_err(|_| anyhow!("an earlier call of the network failed while it was recorded"))
}

#[cfg(test)]
mod tests;
