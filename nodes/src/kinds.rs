//! The one list of all node kinds.

use crate::Registry;
use crate::{align, data, formula, loss, metric, model, order, tensor};

/// All kinds of this library.
pub fn registry() -> Registry {
    let mut r = Registry::default();
    // data
    r.add::<data::VideoList>();
    r.add::<data::UniformSampler>();
    r.add::<data::DenseSampler>();
    r.add::<data::GridSampler>();
    r.add::<data::Decoder>();
    r.add::<data::Resize>();
    r.add::<data::MultiScaleCrop>();
    r.add::<data::CentreCrop>();
    r.add::<data::Flip>();
    r.add::<data::Length>();
    r.add::<data::Background>();
    r.add::<data::Backgrounds>();
    r.add::<data::BgMix>();
    r.add::<data::Batch>();
    r.add::<data::Normalize>();
    r.add::<data::Transcode>();
    // model
    r.add::<model::Tsm>();
    r.add::<model::ResNet2d>();
    r.add::<model::I3dR50>();
    r.add::<model::I3dInception>();
    r.add::<model::Linear>();
    r.add::<model::Mlp>();
    // tensor
    r.add::<tensor::Split>();
    r.add::<tensor::Mean>();
    r.add::<tensor::Concat>();
    r.add::<tensor::Softmax>();
    r.add::<tensor::Outer>();
    r.add::<tensor::Detach>();
    // align
    r.add::<align::DomainRows>();
    r.add::<align::Grl>();
    r.add::<align::DomainBce>();
    r.add::<align::Mmd>();
    r.add::<align::Entropy>();
    // order
    r.add::<order::Permute>();
    r.add::<order::OrderHead>();
    // loss
    r.add::<loss::CrossEntropy>();
    r.add::<loss::Combine>();
    r.add::<formula::Formula>();
    // metric
    r.add::<metric::Classification>();
    r.add::<metric::LengthGap>();
    r.add::<metric::BackgroundGap>();
    r
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_kind_and_parameter_is_documented() {
        for kind in super::registry().iter() {
            assert!(!kind.doc().is_empty(), "{} has no docs", kind.name);
            for name in kind.params() {
                let doc = &kind.schema["properties"][name]["description"];
                assert!(doc.is_string(), "parameter `{name}` of {} has no docs", kind.name);
            }
        }
    }
}
