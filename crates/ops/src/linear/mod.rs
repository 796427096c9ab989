//! The fully connected layer, `y = x Wᵀ + b`: for few rows on kernels of its own, for many on those of the convolution.

mod few;

use crate::conv::{self, Conv, Epilogue, PackedWeights};
use crate::error::{Result, check_len};
use crate::norm;

const OP: &str = "linear layer";

/// Rows up to which weights are not packed.
const FEW: usize = 32;

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

    /// Whether the passes pack the weights, which pays for many rows: then a caller who keeps weights unchanged for many
    /// calls saves time with [`Linear::pack`] and [`Linear::forward_packed`], which returns the same bits.
    pub fn packs(&self) -> bool {
        self.rows > FEW
    }

    /// Packs the weights for [`Linear::forward_packed`]; they serve any number of rows.
    ///
    /// # Errors
    /// A zero size, or the number of weights is not the shape's.
    pub fn pack(&self, weights: &[f32]) -> Result<PackedWeights> {
        PackedWeights::forward_only(&self.conv(), weights)
    }

    fn check(&self, weights: (&'static str, usize), x: (&'static str, usize), y: (&'static str, usize)) -> Result<()> {
        self.conv().validate()?;
        check_len(OP, weights.0, weights.1, self.inputs * self.outputs)?;
        check_len(OP, x.0, x.1, self.rows * self.inputs)?;
        check_len(OP, y.0, y.1, self.rows * self.outputs)
    }

    /// `y = x Wᵀ + b`, followed by a ReLU if `relu`.
    ///
    /// # Errors
    /// A zero size, or a buffer's length is not the shape's.
    pub fn forward(&self, x: &[f32], weights: &[f32], bias: Option<&[f32]>, relu: bool, y: &mut [f32]) -> Result<()> {
        if self.packs() {
            return self.forward_packed(x, &self.pack(weights)?, bias, relu, y);
        }
        self.check(("weights", weights.len()), ("x", x.len()), ("y", y.len()))?;
        if let Some(bias) = bias {
            check_len(OP, "bias", bias.len(), self.outputs)?;
        }
        few::forward(*self, x, weights, bias, relu, y);
        Ok(())
    }

    /// As [`Linear::forward`], with weights that were packed before.
    ///
    /// # Errors
    /// The weights were packed for another layer, or a buffer's length is not the shape's.
    pub fn forward_packed(
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
    pub fn backward_input(&self, dy: &[f32], weights: &[f32], dx: &mut [f32]) -> Result<()> {
        if self.packs() {
            let conv = self.conv();
            return conv::backward_input(&conv, dy, &PackedWeights::backward_only(&conv, weights)?, false, dx);
        }
        self.check(("weights", weights.len()), ("dx", dx.len()), ("dy", dy.len()))?;
        few::backward_input(*self, dy, weights, dx);
        Ok(())
    }

    /// `dW = dyᵀ x`.
    ///
    /// # Errors
    /// A zero size, or a buffer's length is not the shape's.
    pub fn backward_weight(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) -> Result<()> {
        if self.packs() {
            return conv::backward_weight(&self.conv(), x, dy, dw);
        }
        self.check(("dw", dw.len()), ("x", x.len()), ("dy", dy.len()))?;
        few::backward_weight(*self, x, dy, dw);
        Ok(())
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
