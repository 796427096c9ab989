//! Inputs and outputs of operations, common to all devices.

use candle_core::Tensor;

/// The mean loss over rows of weight one, a scalar, and its gradient with respect to the logits.
pub(crate) struct LossGrad {
    pub loss: Tensor,
    pub grad: Tensor,
}

/// Mean and biased variance of each channel, each `[C]`.
#[derive(Clone, Debug)]
pub(crate) struct Stats {
    pub mean: Tensor,
    pub var: Tensor,
}

/// Where the gradient of a convolution's input goes.
pub(crate) enum Dx<'a> {
    /// It is not needed.
    Unwanted,
    /// Into a new tensor.
    New,
    /// Added to this tensor, which the caller created and does not share.
    AddTo(&'a Tensor),
}

/// γ and β, each `[C]`.
pub(crate) struct Affine<'a> {
    pub gamma: &'a Tensor,
    pub beta: &'a Tensor,
    pub eps: f32,
}

/// The gradients of a batch norm.
pub(crate) struct Grads {
    pub x: Tensor,
    /// Of the residual, if there was one.
    pub residual: Option<Tensor>,
    pub gamma: Tensor,
    pub beta: Tensor,
}

/// Settings shared by all weights of a step.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// The learning rate.
    pub lr: f64,
    /// The momentum.
    pub momentum: f64,
    /// Whether it is Nesterov's.
    pub nesterov: bool,
    /// Factor of the gradients, which clips them by their norm; otherwise 1.
    pub clip_scale: f64,
}

/// A weight with its gradient and momentum: contiguous f32 tensors of one shape on one device. Nothing else reads or writes
/// the weight or the momentum meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'a> {
    /// The weight's name, for errors.
    pub name: &'a str,
    /// The weight, updated in place.
    pub weight: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// Its momentum, also updated in place.
    pub momentum: &'a Tensor,
    /// Whether this is its first step: then the momentum's contents do not matter.
    pub first: bool,
    /// The factor of the learning rate.
    pub lr_scale: f64,
    /// The weight decay.
    pub weight_decay: f64,
}

/// Settings of a step of Adam or AdamW that all weights share.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// The learning rate.
    pub lr: f64,
    /// β₁ and β₂.
    pub betas: [f64; 2],
    /// ε, outside of the root.
    pub eps: f64,
    /// Decoupled weight decay: AdamW.
    pub decoupled: bool,
    /// The factor of the gradients that clips them by their norm; else 1.
    pub clip_scale: f64,
}

/// A weight with its gradient and moments: contiguous f32 tensors of one size on one device. Nobody else reads or writes the
/// weight and its moments meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct AdamParameter<'a> {
    /// The weight's name, for errors.
    pub name: &'a str,
    /// The weight, updated in place.
    pub weight: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// Its first moment, updated in place; 0 before its first step.
    pub first: &'a Tensor,
    /// Its second moment, updated in place; 0 before its first step.
    pub second: &'a Tensor,
    /// The number of this step of the weight, from 1.
    pub t: u64,
    /// The factor of the learning rate.
    pub lr_scale: f64,
    /// The weight decay.
    pub weight_decay: f64,
}

impl Adam {
    /// The kernels' settings for a weight with this factor of the learning rate and this weight decay.
    pub(crate) fn of(&self, lr_scale: f64, weight_decay: f64) -> glad_ops::Adam {
        glad_ops::Adam {
            lr: self.lr * lr_scale,
            betas: self.betas,
            eps: self.eps,
            weight_decay,
            decoupled: self.decoupled,
            clip_scale: self.clip_scale,
        }
    }
}
