//! A network that is a list of parts, forward and backward part by part, so that what a part kept is freed as soon as the
//! backward pass has passed it.

use super::backbone::Network;
use super::counter::Counter;
use crate::op::pool::{self, MaxPool, Maxima};
use crate::sizes::kept;
use crate::{Cost, Saved, Step, WeightSpec};
use anyhow::{Context, Result};
use candle_core::Tensor;

/// A part of a network, from and to `[clips, T, H, W, C]`.
pub(crate) trait Part: Send + Sync {
    fn weights(&self) -> Vec<WeightSpec>;
    /// The output, and what the backward pass needs.
    fn forward(&self, step: &mut Step<'_>, x: &Tensor) -> Result<(Tensor, Saved)>;
    /// Adds the gradients of the weights, and gives that of `x` if `dx`. Uses up `grad`, which nobody else may hold.
    fn backward(&self, step: &mut Step<'_>, saved: Saved, grad: Tensor, dx: bool) -> Result<Option<Tensor>>;
    /// Adds what it costs, and goes on to its output's size.
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

/// Parts in order, and the mean over time and space behind them.
pub(crate) struct Sequence {
    pub parts: Vec<Box<dyn Part>>,
    /// Channels of the last part.
    pub features: usize,
}

/// What the backward pass of a [`Sequence`] needs.
pub(crate) struct Kept {
    parts: Vec<Saved>,
    /// Shape before the mean.
    last: Vec<usize>,
}

impl Network for Sequence {
    type Kept = Kept;

    fn features(&self) -> usize {
        self.features
    }

    fn weights(&self) -> Vec<WeightSpec> {
        self.parts.iter().flat_map(|p| p.weights()).collect()
    }

    fn forward(&self, step: &mut Step<'_>, clips: &Tensor) -> Result<(Tensor, Option<Kept>)> {
        let mut y = clips.clone();
        let mut parts = vec![];
        for part in &self.parts {
            let (out, saved) = part.forward(step, &y)?;
            y = out;
            if step.backward {
                parts.push(saved);
            }
        }
        let feature = pool::mean(&y, clips.dim(0)?)?;
        let last = y.dims().to_vec();
        Ok((feature, step.backward.then_some(Kept { parts, last })))
    }

    fn backward(&self, step: &mut Step<'_>, kept: Kept, grad: &Tensor, dx: bool) -> Result<Option<Tensor>> {
        let Kept { mut parts, last } = kept;
        let mut grad = Some(pool::mean_backward(grad, &last)?);
        for (i, part) in self.parts.iter().enumerate().rev() {
            let saved = parts.pop().context("a network kept too little")?;
            let of_output = grad.context("a part of a network gave no gradient")?;
            grad = part.backward(step, saved, of_output, dx || i > 0)?;
        }
        Ok(grad)
    }

    fn cost(&self, clips: usize, size: [usize; 3]) -> Cost {
        let mut count = Counter::new(clips, size);
        self.parts.iter().for_each(|p| p.count(&mut count));
        count.cost
    }
}
