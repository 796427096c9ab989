//! What a backward pass finds: what its forward pass kept, and the gradients that arrived.

use super::compute::Saved;
use anyhow::{Context, Result};
use candle_core::Tensor;

/// What a forward pass kept, as the kind that kept it knows it.
///
/// ```
/// use glad_nodes::{Saved, kept};
/// let saved: Saved = Box::new(vec![1usize, 2]);
/// assert_eq!(*kept::<Vec<usize>>(saved)?, [1, 2]);
/// # anyhow::Ok(())
/// ```
///
/// # Errors
/// It is of another type: a call got what another one kept.
pub fn kept<T: 'static>(saved: Saved) -> Result<Box<T>> {
    saved
        .downcast::<T>()
        .ok()
        .context("a backward pass got what another node kept")
}

/// Takes the gradient of output `index`, where one arrived.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use glad_nodes::arrived;
/// let mut grads = vec![None, Some(Tensor::new(1f32, &Device::Cpu)?)];
/// assert!(arrived(&mut grads, 0).is_none());
/// assert!(arrived(&mut grads, 1).is_some());
/// assert!(arrived(&mut grads, 1).is_none(), "it is taken");
/// # anyhow::Ok(())
/// ```
pub fn arrived(grads: &mut [Option<Tensor>], index: usize) -> Option<Tensor> {
    grads.get_mut(index).and_then(Option::take)
}
