//! A network that is a list of parts, forward and backward part by part, so that what a part saved is freed as soon as the
//! backward pass has passed it.

use super::counter::{Counter, Own};
use crate::op::pool::{self, MaxPool, Maxima};
use crate::{Cost, Precision, Saved, Step, WeightSpec, kept};
use anyhow::{Context, Result};
use candle_core::{DType, Tensor};

/// A part of a network, from and to `[clips, T, H, W, C]`.
pub(crate) trait Part: Send + Sync {
    fn weights(&self) -> Vec<WeightSpec>;
    /// The output, and what the backward pass needs.
    fn forward(&self, step: &mut Step<'_>, x: &Tensor) -> Result<(Tensor, Saved)>;
    /// Adds the gradients of the weights, and returns that of `x` if `dx`. Takes `grad` by unique ownership and overwrites it.
    fn backward(&self, step: &mut Step<'_>, saved: Saved, grad: Tensor, dx: bool) -> Result<Option<Tensor>>;
    /// Adds its cost, and moves on to its output's size.
    fn count(&self, count: &mut Counter);
}

impl Part for MaxPool {
    fn weights(&self) -> Vec<WeightSpec> {
        vec![]
    }

    fn forward(&self, _: &mut Step<'_>, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (y, maxima) = MaxPool::forward(self, x)?;
        Ok((y, Box::new(maxima)))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, grad: Tensor, _: bool) -> Result<Option<Tensor>> {
        Ok(Some(kept::<Maxima>(saved)?.backward(&grad)?))
    }

    fn count(&self, count: &mut Counter) {
        count.pool(self);
    }
}

/// A network from clips `[clips, T, H, W, C]` to features `[clips, D]`: parts in order, and the mean over time and space
/// after them.
pub(crate) struct Sequence {
    pub parts: Vec<Box<dyn Part>>,
    /// Channels of the clips.
    pub channels: usize,
    /// Channels of the last part, which is the length of a feature.
    pub features: usize,
    /// Whether only the parts' inputs are kept for the backward pass, which then reruns each part forward: a third
    /// more time for a fraction of the memory, and the same bits.
    pub recompute: bool,
}

/// What the backward pass of a [`Sequence`] needs.
pub(crate) struct Kept {
    parts: Vec<PartKept>,
    /// Shape and type before the mean.
    last: (Vec<usize>, DType),
}

enum PartKept {
    /// What the part itself saved.
    Saved(Saved),
    /// Its input, to rerun it.
    Input(Tensor),
}

impl Sequence {
    pub(super) fn weights(&self) -> Vec<WeightSpec> {
        self.parts.iter().flat_map(|p| p.weights()).collect()
    }

    /// The features of contiguous clips, and what the backward pass needs if there is to be one.
    pub(super) fn forward(&self, step: &mut Step<'_>, clips: &Tensor) -> Result<(Tensor, Option<Kept>)> {
        let backward = step.backward;
        let mut y = clips.clone();
        let mut parts = vec![];
        for part in &self.parts {
            step.backward = backward && !self.recompute;
            let (out, saved) = part.forward(step, &y)?;
            step.backward = backward;
            if backward {
                parts.push(match self.recompute {
                    true => PartKept::Input(y),
                    false => PartKept::Saved(saved),
                });
            }
            y = out;
        }
        let feature = pool::mean(&y, clips.dim(0)?)?;
        let last = (y.dims().to_vec(), y.dtype());
        Ok((feature, backward.then_some(Kept { parts, last })))
    }

    /// Adds the gradients of the weights; returns that of the clips if `dx`.
    pub(super) fn backward(&self, step: &mut Step<'_>, kept: Kept, grad: &Tensor, dx: bool) -> Result<Option<Tensor>> {
        let Kept { mut parts, last } = kept;
        let mut grad = Some(pool::mean_backward(&grad.contiguous()?, &last.0, last.1)?);
        for (i, part) in self.parts.iter().enumerate().rev() {
            let saved = match parts.pop().context("a network kept too little")? {
                PartKept::Saved(saved) => saved,
                PartKept::Input(x) => run_again(part.as_ref(), step, &x)?,
            };
            let of_output = grad.context("a part of a network gave no gradient")?;
            grad = part.backward(step, saved, of_output, dx || i > 0)?;
        }
        Ok(grad)
    }

    /// The cost of `clips` clips of this (time, height, width), with activations of `precision`.
    pub(super) fn cost(&self, clips: usize, size: [usize; 3], precision: Precision) -> Cost {
        let mut count = Counter::new(clips, size, self.channels, precision);
        // What is kept before each part, and the peak while a part runs backwards.
        let (mut kept, mut most, mut workspace) = (0, 0, 0);
        let mut grads: u64 = self.weights().iter().map(WeightSpec::gradient_bytes).sum();
        let mut keeps = false;
        for part in &self.parts {
            let input = count.bytes();
            count.begin();
            part.count(&mut count);
            let output = count.bytes();
            let Own {
                kept: own,
                input: keeps_input,
                output: keeps_output,
                moving,
            } = count.own;
            if keeps || keeps_input || self.recompute {
                kept += input;
            }
            keeps = keeps_output && !self.recompute;
            let inside = own + if keeps_output { output } else { 0 };
            most = most.max(kept + inside + 2 * output + moving + grads);
            if !self.recompute {
                kept += own;
            }
            // When a part runs backwards, the gradients of later parts exist, and its own are about to.
            grads -= part.weights().iter().map(WeightSpec::gradient_bytes).sum::<u64>();
            workspace = workspace.max(count.workspace);
        }
        if keeps {
            kept += count.bytes();
        }
        Cost {
            macs: count.macs,
            kept,
            scratch: most.saturating_sub(kept) + workspace,
        }
    }
}

/// Reruns a part forward.
fn run_again(part: &dyn Part, step: &mut Step<'_>, x: &Tensor) -> Result<Saved> {
    let before = std::mem::replace(&mut step.again, true);
    let passed = part.forward(step, x);
    step.again = before;
    Ok(passed?.1)
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, normal, ty};
    use serde_json::{Value, json};

    /// The bits of everything that a step produces: feature, gradients and running statistics.
    fn bits(kind: &str, params: Value, recompute: bool) -> Vec<(String, Vec<u32>)> {
        let mut params = params;
        params["recompute"] = recompute.into();
        params["batch_stats"] = "joint".into();
        let clip = ty("Clip", "B,2,4,32,32,3");
        let mut probe = Probe::new(kind, params, &[("clips", vec![clip])], &[])
            .unwrap()
            .unusual_weights();
        probe.training = true;
        let args = Args::default().with("clips", vec![normal(1, &[2, 2, 4, 32, 32, 3])]);
        let (out, saved) = probe.forward_kept(&args).unwrap();
        let seed = normal(2, out[0].dims());
        let dx = probe.backward(&args, saved, vec![Some(seed)]).unwrap();
        let read = |t: &candle_core::Tensor| -> Vec<u32> {
            let values: Vec<f32> = t.flatten_all().unwrap().to_vec1().unwrap();
            values.into_iter().map(f32::to_bits).collect()
        };
        let mut all = vec![
            ("feature".to_string(), read(&out[0])),
            ("clips".into(), read(dx[0].as_ref().unwrap())),
        ];
        for spec in probe.specs.clone() {
            let left = probe.grad(&spec.name).unwrap_or_else(|| probe.weight(&spec.name));
            all.push((spec.name, read(&left)));
        }
        all
    }

    #[test]
    fn computing_again_gives_the_same_bits() {
        for (kind, params) in [
            ("tsm", json!({ "depth": "small" })),
            ("tsm", json!({ "depth": 50, "widths": [8, 8, 8, 8, 8] })),
            ("i3d_r50", json!({ "width": 4 })),
            ("i3d_inception", json!({ "width": 4 })),
        ] {
            let (kept, again) = (bits(kind, params.clone(), false), bits(kind, params, true));
            for (a, b) in kept.iter().zip(&again) {
                assert!(a == b, "{kind}: {} differs", a.0);
            }
        }
    }
}
