//! A residual block, with or without the temporal shift of TSM.

use super::chain::{Chain, Input};
use super::conv_bn::{self, ConvBn};
use super::counter::Counter;
use super::sequence::Part;
use crate::op::shift;
use crate::op::types::Dx;
use crate::{Saved, Step, WeightSpec, kept};
use anyhow::{Context, Result};
use candle_core::Tensor;
use glad_ops::Conv;

/// `relu(units(shift(x)) + shortcut(x))` (He et al., CVPR 2016; Lin, Gan and Han, ICCV 2019: the shift sits on the
/// residual branch alone, so that the frame's own value also passes).
pub(crate) struct Block {
    /// The residual branch: two 3×3 (basic) or 1×1, 3×3, 1×1 (bottleneck); the last has no ReLU.
    units: Chain,
    /// A 1×1 convolution if size or width change; otherwise the identity.
    shortcut: Option<ConvBn>,
    /// One channel in this many moves each way along time, if there is a temporal shift.
    shift: Option<usize>,
}

/// What a backward pass needs from a forward pass.
pub(crate) struct Kept {
    x: Tensor,
    units: Vec<conv_bn::Kept>,
    shortcut: Option<conv_bn::Kept>,
}

impl Block {
    /// Two 3×3 convolutions.
    pub(super) fn basic(name: &str, ci: usize, co: usize, stride: usize) -> Block {
        let unit = |n: &str, ci, stride| ConvBn::flat(&format!("{name}.{n}"), ci, co, 3, stride, true);
        Block::new(name, vec![unit("conv1", ci, stride), unit("conv2", co, 1)], ci, stride)
    }

    /// 1×1 to `width` channels, 3×3 with the stride, 1×1 to four times as many.
    pub(super) fn bottleneck(name: &str, ci: usize, width: usize, stride: usize) -> Block {
        let unit = |n: &str, ci, co, kernel, stride| ConvBn::flat(&format!("{name}.{n}"), ci, co, kernel, stride, true);
        let units = vec![
            unit("conv1", ci, width, 1, 1),
            unit("conv2", width, width, 3, stride),
            unit("conv3", width, 4 * width, 1, 1),
        ];
        Block::new(name, units, ci, stride)
    }

    fn new(name: &str, units: Vec<ConvBn>, ci: usize, stride: usize) -> Block {
        let co = units[units.len() - 1].shape().co;
        let changes = ci != co || stride != 1;
        let shortcut = changes.then(|| ConvBn::flat(&format!("{name}.downsample"), ci, co, 1, stride, false));
        Block {
            units: Chain(units),
            shortcut,
            shift: None,
        }
    }

    /// The bottleneck of I3D: `frames`×1×1 to `width` channels, 1×3×3 with the stride over space, 1×1×1 to four times
    /// as many.
    pub(super) fn inflated(name: &str, ci: usize, width: usize, stride: usize, frames: usize) -> Block {
        let unit = |n: &str, ci, co, [t, s]: [usize; 2], stride, relu| {
            let pad = [t / 2, s / 2, s / 2];
            let shape = Conv::new_3d(1, [1; 3], ci, co, [t, s, s], [1, stride, stride], pad);
            ConvBn::solid(&format!("{name}.{n}"), shape, relu)
        };
        let co = 4 * width;
        let units = vec![
            unit("conv1", ci, width, [frames, 1], 1, true),
            unit("conv2", width, width, [1, 3], stride, true),
            unit("conv3", width, co, [1, 1], 1, true),
        ];
        let shortcut = (ci != co || stride != 1).then(|| unit("downsample", ci, co, [1, 1], stride, false));
        Block {
            units: Chain(units),
            shortcut,
            shift: None,
        }
    }

    /// With a temporal shift in front of the residual branch: one channel in `fold` moves each way.
    pub(super) fn shifted(self, fold: usize) -> Block {
        Block {
            shift: Some(fold),
            ..self
        }
    }

    /// The branch's input. Not kept: it is a copy of `x` in another order.
    fn branch_input(&self, x: &Tensor) -> Result<Tensor> {
        match self.shift {
            Some(fold) => shift::forward(x, fold),
            None => Ok(x.clone()),
        }
    }
}

impl Part for Block {
    fn weights(&self) -> Vec<WeightSpec> {
        let shortcut = self.shortcut.iter().flat_map(ConvBn::weights);
        self.units.weights().chain(shortcut).collect()
    }

    fn forward(&self, step: &mut Step<'_>, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (residual, shortcut) = match &self.shortcut {
            Some(unit) => {
                let (y, kept) = unit.forward(step, x, None)?;
                (y, Some(kept))
            }
            None => (x.clone(), None),
        };
        let (y, units) = self.units.forward(step, &self.branch_input(x)?, Some(&residual))?;
        let kept = Kept {
            x: x.clone(),
            units,
            shortcut,
        };
        Ok((y, Box::new(kept)))
    }

    fn backward(&self, step: &mut Step<'_>, saved: Saved, dout: Tensor, _: bool) -> Result<Option<Tensor>> {
        let Kept { x, units, shortcut } = *kept::<Kept>(saved)?;
        let input = match (&self.shortcut, self.shift) {
            (None, None) => Input::Residual,
            _ => Input::New,
        };
        let grads = self
            .units
            .backward(step, units, || self.branch_input(&x), dout, input)?;
        let of_residual = grads
            .residual
            .context("a block's last unit gave no gradient of its residual")?;
        let Some(of_branch) = grads.input else {
            return Ok(Some(of_residual));
        };
        match (&self.shortcut, shortcut) {
            (Some(unit), Some(kept)) => {
                let dx = match self.shift {
                    Some(fold) => shift::backward(&of_branch, fold)?,
                    None => of_branch,
                };
                unit.backward(step, kept, &x, of_residual, Dx::AddTo(&dx))?;
                Ok(Some(dx))
            }
            _ => {
                let fold = self
                    .shift
                    .context("a branch without a shift adds to the gradient of its residual")?;
                shift::backward_add(&of_branch, fold, &of_residual)?;
                Ok(Some(of_residual))
            }
        }
    }

    fn count(&self, count: &mut Counter) {
        let input = count.clone();
        (count.own.input, count.own.output) = (true, true);
        for unit in &self.units.0 {
            unit.count_unit(count);
        }
        if let Some(unit) = &self.shortcut {
            count.beside(&input, |c| unit.count_unit(c));
        }
    }
}
