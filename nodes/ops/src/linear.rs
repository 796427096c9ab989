//! The fully connected layer, `y = x Wᵀ + b`, on the kernels of the convolution.

use crate::conv::{self, Conv, Epilogue, PackedWeights};
use crate::error::{Result, check_len};
use crate::norm;

const OP: &str = "linear layer";

/// The shape of a linear layer: `x` `[rows, inputs]`, weights `[outputs, inputs]`, `y` `[rows, outputs]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Linear {
    /// Rows of the batch.
    pub rows: usize,
    /// Features of the input.
    pub inputs: usize,
    /// Features of the output.
    pub outputs: usize,
}

impl Linear {
    fn conv(&self) -> Conv {
        Conv::new_2d(1, [1, self.rows], self.inputs, self.outputs, 1, 1, 0)
    }

    /// Packs the weights; they serve any number of rows.
    ///
    /// # Errors
    /// A zero size, or the number of weights is not the shape's.
    pub fn pack(&self, weights: &[f32]) -> Result<PackedWeights> {
        PackedWeights::new(&self.conv(), weights)
    }

    /// `y = x Wᵀ + b`, with a ReLU behind it on request.
    ///
    /// # Errors
    /// The weights are another layer's, or a buffer's length is not the shape's.
    pub fn forward(
        &self,
        x: &[f32],
        weights: &PackedWeights,
        bias: Option<&[f32]>,
        relu: bool,
        y: &mut [f32],
    ) -> Result<()> {
        conv::forward(
            &self.conv(),
            x,
            weights,
            Epilogue {
                bias,
                relu,
                moments: None,
            },
            y,
        )
    }

    /// `dx = dy W`.
    ///
    /// # Errors
    /// As [`Linear::forward`].
    pub fn backward_input(&self, dy: &[f32], weights: &PackedWeights, dx: &mut [f32]) -> Result<()> {
        conv::backward_input(&self.conv(), dy, weights, false, dx)
    }

    /// `dW = dyᵀ x`.
    ///
    /// # Errors
    /// A buffer's length is not the shape's.
    pub fn backward_weight(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) -> Result<()> {
        conv::backward_weight(&self.conv(), x, dy, dw)
    }

    /// `db = Σ dy` over rows.
    ///
    /// # Errors
    /// A buffer's length is not the shape's.
    pub fn backward_bias(&self, dy: &[f32], db: &mut [f32]) -> Result<()> {
        check_len(OP, "dy", dy.len(), self.rows * self.outputs)?;
        norm::channel_sums(dy, self.outputs, db)
    }
}
