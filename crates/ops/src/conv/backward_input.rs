//! The gradient of the input.

use super::blocks::{Target, multiply};
use super::forward::check_weights;
use super::gather::Gather;
use super::kernels::Kernels;
use super::pack::PackedWeights;
use super::shape::Conv;
use crate::error::{Result, check_len, shape};
use crate::parallel::{self, Shared};

const OP: &str = "input gradient of a convolution";

/// `dx = convᵀ(dy, weights)`, or `dx += …` with `add` (where a value is used twice, as in a residual block).
///
/// # Errors
/// As [`super::forward()`], and if the weights were packed by [`PackedWeights::forward_only`].
pub fn backward_input(conv: &Conv, dy: &[f32], weights: &PackedWeights, add: bool, dx: &mut [f32]) -> Result<()> {
    conv.validate()?;
    check_weights(conv, weights)?;
    check_len(OP, "dy", dy.len(), conv.output_len())?;
    check_len(OP, "dx", dx.len(), conv.input_len())?;
    if !weights.has_backward() {
        return Err(shape(
            OP,
            "the weights were packed for the forward pass only: use PackedWeights::new",
        ));
    }
    let kernels = Kernels::of(weights.isa());
    let target = Target {
        out: Shared::new(dx),
        channels: conv.ci,
        add,
        bias: None,
        relu: false,
        moments: None,
    };
    for (g, panels) in Gather::backward(conv).iter().zip(&weights.backward) {
        if g.is_empty() {
            continue;
        }
        if g.depth() > 0 {
            multiply(kernels, g, panels, dy, &target);
        } else if !add {
            clear(g, target.out, conv.ci);
        }
    }
    Ok(())
}

/// Writes zeros where no output reads the input.
fn clear(g: &Gather, out: Shared<f32>, channels: usize) {
    let width = g.grid[2];
    let lines = g.rows() / width;
    parallel::run(lines, g.rows() * channels, |line| {
        for row in line * width..(line + 1) * width {
            // SAFETY: each row is a pixel of its own within the buffer, whose length was checked.
            unsafe { out.part(g.out_row(row) * channels, channels) }.fill(0.0);
        }
    });
}
