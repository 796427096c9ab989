//! The forward pass.

use super::blocks::{Target, block_sizes, multiply};
use super::fold::Fold;
use super::gather::Gather;
use super::kernels::Kernels;
use super::pack::PackedWeights;
use super::shape::Conv;
use crate::error::{Result, check_len, shape};
use crate::parallel::Shared;
use crate::scratch;

const OP: &str = "convolution";

/// What is done to the output while it is still in registers, in this order.
#[derive(Debug, Default)]
pub struct Epilogue<'a> {
    /// Bias, added to each output channel: `[co]`.
    pub bias: Option<&'a [f32]>,
    /// Whether negative values become zero.
    pub relu: bool,
    /// Receives the moments of each output channel, for the batch norm that follows.
    pub moments: Option<Moments<'a>>,
}

/// Mean and biased variance of each channel.
#[derive(Debug)]
pub struct Moments<'a> {
    /// `[channels]`.
    pub mean: &'a mut [f32],
    /// `[channels]`, divided by the number of rows.
    pub var: &'a mut [f32],
}

/// `y = conv(x, weights)`: `x` `[n, t, h, w, ci]`, `y` `[n, t', h', w', co]`.
///
/// # Errors
/// The shape makes no sense, is not the one that the weights were packed for, or a buffer's length is not the shape's.
pub fn forward(conv: &Conv, x: &[f32], weights: &PackedWeights, epilogue: Epilogue, y: &mut [f32]) -> Result<()> {
    conv.validate()?;
    check_weights(conv, weights)?;
    check_len(OP, "x", x.len(), conv.input_len())?;
    check_len(OP, "y", y.len(), conv.output_len())?;
    if let Some(bias) = epilogue.bias {
        check_len(OP, "bias", bias.len(), conv.co)?;
    }
    let Some(panels) = weights.forward() else {
        return Err(shape(
            OP,
            "the weights were packed for the input gradient only: use PackedWeights::new",
        ));
    };
    let fold = Fold::of(conv);
    let squares = fold.map(|fold| fold.input(x));
    let x = squares.as_deref().unwrap_or(x);
    let g = Gather::forward(&fold.map_or(*conv, |fold| fold.folded));
    let kernels = Kernels::of(weights.isa());
    let mut target = Target {
        out: Shared::new(y),
        channels: conv.co,
        add: false,
        bias: epilogue.bias,
        relu: epilogue.relu,
        moments: None,
    };
    let Some(Moments { mean, var }) = epilogue.moments else {
        multiply(kernels, &g, panels, x, &target);
        return Ok(());
    };
    check_len(OP, "mean", mean.len(), conv.co)?;
    check_len(OP, "var", var.len(), conv.co)?;
    let sizes = block_sizes(&g, conv.co / conv.groups);
    let blocks = sizes.len();
    let padded: usize = panels.list.iter().map(|panel| panel.width).sum();
    let mut partial = scratch::take(blocks * conv.groups * padded * 3);
    target.moments = Some(Shared::new(&mut partial));
    multiply(kernels, &g, panels, x, &target);

    let rows = g.rows();
    let per_group = conv.co / conv.groups;
    for group in 0..conv.groups {
        for panel in &panels.list {
            let part = |b: usize| &partial[((b * conv.groups + group) * padded + panel.at) * 3..][..3 * panel.width];
            let count = |b: usize| sizes[b] as f64;
            for j in 0..panel.columns {
                let value = |b: usize, i: usize| f64::from(part(b)[i * panel.width + j]);
                let block_mean = |b: usize| value(b, 0) + value(b, 1) / count(b);
                let m = (0..blocks).map(|b| count(b) * block_mean(b)).sum::<f64>() / rows as f64;
                let within = |b: usize| value(b, 2) - value(b, 1) * value(b, 1) / count(b);
                let between = |b: usize| count(b) * (block_mean(b) - m).powi(2);
                let squares: f64 = (0..blocks).map(|b| within(b) + between(b)).sum();
                let channel = group * per_group + panel.at + j;
                mean[channel] = m as f32;
                var[channel] = (squares / rows as f64).max(0.0) as f32;
            }
        }
    }
    Ok(())
}

pub(super) fn check_weights(conv: &Conv, weights: &PackedWeights) -> Result<()> {
    if conv.same_weights(weights.conv()) {
        return Ok(());
    }
    Err(shape(
        OP,
        format!(
            "the weights were packed for another convolution: {:?}, not {conv:?}",
            weights.conv()
        ),
    ))
}
