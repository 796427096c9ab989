//! Stochastic gradient descent over many parameters at a time, and clipping by the norm of all gradients, with the meaning
//! of [`glad_ops::sgd`].

use crate::{Gpu, In, Out, Result, Value};

/// What all parameters of a step have in common.
#[derive(Clone, Copy, Debug)]
pub struct Sgd<'a> {
    /// The learning rate; on the device f32 `[1]`.
    pub lr: Value<'a, f32>,
    /// What gradients are multiplied with, as [`clip`] writes it: f32 `[1]`. Without it they are taken as they are.
    pub clip_scale: Option<In<'a>>,
    /// The momentum; with 0 buffers are not used.
    pub momentum: f32,
    /// Whether Nesterov's momentum is used.
    pub nesterov: bool,
}

/// A parameter and what belongs to it; all of it is f32, and of one length.
#[derive(Debug)]
pub struct Parameter<'a> {
    /// What is updated.
    pub weights: Out<'a>,
    /// Its gradient.
    pub grad: In<'a>,
    /// Its momentum; without momentum it may be empty.
    pub buffer: Out<'a>,
    /// What the learning rate is multiplied with.
    pub lr_scale: f32,
    /// The weight decay.
    pub weight_decay: f32,
    /// Whether this is its first step: then the buffer's contents do not matter.
    pub first: bool,
}

/// One step, in one launch for every 80 parameters: `d = clip_scale · grad + weight_decay · w`;
/// `buffer = momentum · buffer + d` (at the first step `d`); `w −= lr · lr_scale · buffer`, or with `nesterov`
/// `w −= lr · lr_scale · (d + momentum · buffer)`.
///
/// # Errors
/// Operands that do not fit.
pub fn step<G: Gpu>(gpu: &G, sgd: &Sgd<'_>, parameters: &[Parameter<'_>]) -> Result<()> {
    let _ = (gpu, sgd, parameters);
    todo!()
}

/// The norm of all `grads` (f32) together, `√Σ g²`, to f32 `norm` `[1]`, and to f32 `scale` `[1]` what they are to be
/// multiplied with: `max / (norm + 1e-6)` where the norm is above `max`, else 1 (also where there is no `max`).
///
/// # Errors
/// Operands that do not fit.
pub fn clip<G: Gpu>(gpu: &G, grads: &[In<'_>], max: Option<f32>, norm: Out<'_>, scale: Out<'_>) -> Result<()> {
    let _ = (gpu, grads, max, norm, scale);
    todo!()
}
