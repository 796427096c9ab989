//! Backbones and heads.

mod block;
mod conv_bn;
pub(crate) mod dense;
mod linear;
mod mlp;
mod resnet;
mod tsm;

pub use dense::{DenseInit, Head};
pub use linear::Linear;
pub use mlp::Mlp;
pub use tsm::{BatchStats, Depth, Tsm};
