//! The data side: lists of videos, samplers, decoding, augmentation, backgrounds, the batch boundary.

mod batch;
mod decoder;
mod dense_sampler;
mod flip;
mod grid_sampler;
mod input;
mod normalize;
mod starts;
#[cfg(test)]
mod testing;
mod uniform_sampler;

pub use batch::Batch;
pub use decoder::Decoder;
pub use dense_sampler::DenseSampler;
pub use flip::Flip;
pub use grid_sampler::GridSampler;
pub use normalize::Normalize;
pub use uniform_sampler::UniformSampler;
