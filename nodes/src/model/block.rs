//! A residual block with the temporal shift of TSM.

use super::conv_bn::{self, ConvBn};
use crate::op::conv::Dx;
use crate::op::shift;
use crate::{Step, WeightSpec};
use anyhow::{Context, Result};
use candle_core::Tensor;

/// `relu(units(shift(x)) + shortcut(x))` (He et al., CVPR 2016; Lin, Gan and Han, ICCV 2019: the shift sits on the
/// residual branch alone, so that the frame's own value also passes).
pub(crate) struct Block {
    /// The residual branch: two 3×3 (basic) or 1×1, 3×3, 1×1 (bottleneck); the last has no ReLU of its own.
    pub units: Vec<ConvBn>,
    /// A 1×1 where size or width change; else the identity.
    pub shortcut: Option<ConvBn>,
}

/// The temporal shift of a network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shift {
    /// Frames of a clip.
    pub frames: usize,
    /// One channel in `fold` moves each way.
    pub fold: usize,
}

/// What a backward pass needs of a forward pass.
pub(crate) struct Kept {
    units: Vec<conv_bn::Kept>,
    shortcut: Option<conv_bn::Kept>,
}

impl Block {
    /// Two 3×3 convolutions.
    pub fn basic(name: &str, ci: usize, co: usize, stride: usize) -> Block {
        let unit = |n: &str, ci, stride| ConvBn::flat(&format!("{name}.{n}"), ci, co, 3, stride, true);
        Block::new(name, vec![unit("conv1", ci, stride), unit("conv2", co, 1)], ci, stride)
    }

    /// 1×1 to `width` channels, 3×3 with the stride, 1×1 to four times as many.
    pub fn bottleneck(name: &str, ci: usize, width: usize, stride: usize) -> Block {
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
        Block { units, shortcut }
    }

    pub fn weights(&self) -> Vec<WeightSpec> {
        self.units
            .iter()
            .chain(&self.shortcut)
            .flat_map(ConvBn::weights)
            .collect()
    }

    /// The output for `x` `[clips · frames, 1, H, W, C]`.
    pub fn forward(&self, step: &mut Step<'_>, x: &Tensor, by: Shift) -> Result<(Tensor, Kept)> {
        let (residual, shortcut) = match &self.shortcut {
            Some(unit) => {
                let (y, kept) = unit.forward(step, x, None, true)?;
                (y, Some(kept))
            }
            None => (x.clone(), None),
        };
        let mut y = shift::forward(x, by.frames, by.fold)?;
        let mut units = vec![];
        for (i, unit) in self.units.iter().enumerate() {
            let last = i + 1 == self.units.len();
            let (out, kept) = unit.forward(step, &y, last.then_some(&residual), true)?;
            y = out;
            units.push(kept);
        }
        Ok((y, Kept { units, shortcut }))
    }

    /// Adds the gradients of the weights and gives that of `x`.
    pub fn backward(&self, step: &mut Step<'_>, kept: Kept, dout: Tensor, by: Shift) -> Result<Tensor> {
        let Kept { mut units, shortcut } = kept;
        let mut grad = dout;
        let mut of_residual = None;
        for unit in self.units.iter().rev() {
            let kept = units.pop().context("a block kept too little")?;
            let (dx, dres) = unit.backward(step, kept, &grad, Dx::New)?;
            grad = dx.context("a convolution gave no gradient")?;
            of_residual = of_residual.or(dres);
        }
        let grad = shift::backward(&grad, by.frames, by.fold)?;
        let of_residual = of_residual.context("a block's last unit gave no gradient of its residual")?;
        match (&self.shortcut, shortcut) {
            (Some(unit), Some(kept)) => {
                unit.backward(step, kept, &of_residual, Dx::AddTo(&grad))?;
                Ok(grad)
            }
            _ => Ok((grad + of_residual)?),
        }
    }
}
