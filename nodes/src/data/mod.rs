//! The data side: lists of videos, samplers, decoding, augmentation, backgrounds, the batch boundary.

mod background;
mod backgrounds;
mod batch;
mod bg_mix;
mod centre_crop;
mod classes;
mod decoder;
mod dense_sampler;
mod extent;
mod flip;
mod footage;
mod grid_sampler;
mod images;
mod input;
mod length;
mod lists;
mod multi_scale_crop;
mod normalize;
mod ppm;
mod resize;
mod starts;
#[cfg(test)]
mod testing;
mod transcode;
mod uniform_sampler;
mod video_list;

pub use background::Background;
pub use backgrounds::Backgrounds;
pub use batch::Batch;
pub use bg_mix::{BgMix, Weight};
pub use centre_crop::CentreCrop;
pub use classes::Classes;
pub use decoder::Decoder;
pub use dense_sampler::DenseSampler;
pub use extent::Extent;
pub use flip::Flip;
pub use grid_sampler::GridSampler;
pub use length::{Length, LengthFrom};
pub use lists::Lists;
pub use multi_scale_crop::MultiScaleCrop;
pub use normalize::Normalize;
pub use resize::Resize;
pub use transcode::Transcode;
pub use uniform_sampler::UniformSampler;
pub use video_list::{Generate, VideoList};
