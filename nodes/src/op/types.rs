//! What an operation takes and gives, whichever device does it.

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
    /// Nobody wants it.
    Unwanted,
    /// Into a tensor of its own.
    New,
    /// Added to this tensor, which the caller has made and shares with nobody.
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
    /// Where there was a residual.
    pub residual: Option<Tensor>,
    pub gamma: Tensor,
    pub beta: Tensor,
}

/// What all weights of a step have in common.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// The learning rate.
    pub lr: f64,
    /// The momentum.
    pub momentum: f64,
    /// Whether it is Nesterov's.
    pub nesterov: bool,
    /// What gradients are multiplied with, to clip them by their norm; else 1.
    pub clip_scale: f64,
}

/// A weight and what belongs to it: contiguous f32 tensors of one shape on one device, of which nobody else reads or writes
/// the first and the third meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'a> {
    /// The weight's name, for errors.
    pub name: &'a str,
    /// What is updated.
    pub weight: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// Its momentum, which is updated too.
    pub momentum: &'a Tensor,
    /// Whether this is its first step: then what the momentum holds does not matter.
    pub first: bool,
    /// What the learning rate is multiplied with.
    pub lr_scale: f64,
    /// The weight decay.
    pub weight_decay: f64,
}

/// What all weights of a step of Adam or AdamW have in common.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// The learning rate.
    pub lr: f64,
    /// β₁ and β₂.
    pub betas: [f64; 2],
    /// ε, outside of the root.
    pub eps: f64,
    /// Whether weights decay apart from the gradient: AdamW.
    pub decoupled: bool,
    /// What gradients are multiplied with, to clip them by their norm; else 1.
    pub clip_scale: f64,
}

/// A weight and what belongs to it: contiguous f32 tensors of one size on one device, of which nobody else reads or writes the
/// weight and its moments meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct AdamParameter<'a> {
    /// The weight's name, for errors.
    pub name: &'a str,
    /// What is updated.
    pub weight: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// Its first moment, which is updated too: 0 before its first step.
    pub first: &'a Tensor,
    /// Its second moment, likewise.
    pub second: &'a Tensor,
    /// Which step of this weight it is, counted from 1.
    pub t: u64,
    /// What the learning rate is multiplied with.
    pub lr_scale: f64,
    /// The weight decay.
    pub weight_decay: f64,
}

impl Adam {
    /// As the kernels take it, for a weight with this factor of the learning rate and this weight decay.
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
