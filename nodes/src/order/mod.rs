//! Kinds of temporal order learning.

mod order_head;
mod permutation;
mod permute;

pub use order_head::{Form, OrderHead};
pub use permute::Permute;
