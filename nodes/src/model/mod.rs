//! Backbones and heads.

pub(crate) mod activation;
mod backbone;
mod batch_norm;
mod block;
mod chain;
mod clip_attention;
mod co_attention;
mod conv_bn;
mod counter;
pub(crate) mod dense;
mod dropout;
mod graph_conv;
mod i3d_inception;
mod i3d_r50;
mod init;
mod linear;
mod lstm;
mod mixed;
mod mlp;
mod non_local;
#[cfg(feature = "cuda")]
mod recorded;
mod recurrent;
mod relations;
mod resnet;
mod resnet_2d;
mod rnn;
mod sequence;
mod tsm;
#[cfg(test)]
mod volume;
mod weight_norm;

pub use activation::{Activation, Function};
pub use backbone::{BatchStats, Sharing};
pub use batch_norm::BatchNorm;
pub use clip_attention::{ClipAttention, Gate, Reduce, Scorer};
pub use co_attention::CoAttention;
pub use dense::{DenseInit, Head};
pub use dropout::Dropout;
pub use graph_conv::GraphConv;
pub use i3d_inception::I3dInception;
pub use i3d_r50::I3dR50;
#[doc(hidden)]
pub use init::fuzzing::{features, weights};
pub(crate) use init::{ArrayError, ArrayFile, row_size};
pub use init::{Start, StartFile};
pub use linear::Linear;
pub use lstm::Lstm;
pub use mlp::Mlp;
pub use relations::Relations;
pub use resnet_2d::ResNet2d;
pub use rnn::Rnn;
pub use tsm::{Depth, Tsm};
