//! The one list of all node kinds.

use crate::Registry;
use crate::{align, data, formula, loss, metric, model, order, tensor};

/// All kinds of this library.
pub fn registry() -> Registry {
    let mut r = Registry::default();
    // data
    r.add::<data::VideoList>();
    r.add::<data::FeatureList>();
    r.add::<data::UniformSampler>();
    r.add::<data::DenseSampler>();
    r.add::<data::GridSampler>();
    r.add::<data::WindowSampler>();
    r.add::<data::Regroup>();
    r.add::<data::Decoder>();
    r.add::<data::FlowDecoder>();
    r.add::<data::GatherFeatures>();
    r.add::<data::Resize>();
    r.add::<data::MultiScaleCrop>();
    r.add::<data::RandomCrop>();
    r.add::<data::CentreCrop>();
    r.add::<data::Flip>();
    r.add::<data::ColourJitter>();
    r.add::<data::GaussianBlur>();
    r.add::<data::Length>();
    r.add::<data::Background>();
    r.add::<data::Backgrounds>();
    r.add::<data::BgMix>();
    r.add::<data::JoinClips>();
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
    r.add::<model::BatchNorm>();
    r.add::<model::Activation>();
    r.add::<model::Dropout>();
    r.add::<model::CoAttention>();
    r.add::<model::ClipAttention>();
    r.add::<model::GraphConv>();
    r.add::<model::Relations>();
    r.add::<model::Lstm>();
    r.add::<model::Rnn>();
    // tensor
    r.add::<tensor::Split>();
    r.add::<tensor::ThinClips>();
    r.add::<tensor::Stack>();
    r.add::<tensor::Fold>();
    r.add::<tensor::Unfold>();
    r.add::<tensor::JoinRows>();
    r.add::<tensor::Mismatch>();
    r.add::<tensor::Mean>();
    r.add::<tensor::Sum>();
    r.add::<tensor::Add>();
    r.add::<tensor::Concat>();
    r.add::<tensor::Softmax>();
    r.add::<tensor::NormalizeRows>();
    r.add::<tensor::Outer>();
    r.add::<tensor::Detach>();
    r.add::<tensor::Gate>();
    r.add::<tensor::PerVideo>();
    r.add::<tensor::Bank>();
    r.add::<tensor::Neighbours>();
    // align
    r.add::<align::DomainRows>();
    r.add::<align::MatchRows>();
    r.add::<align::Grl>();
    r.add::<align::DomainBce>();
    r.add::<align::Mmd>();
    r.add::<align::Critic>();
    r.add::<align::Moments>();
    r.add::<align::FeatureNorm>();
    r.add::<align::Discrepancy>();
    r.add::<align::MarginDisparity>();
    r.add::<align::Entropy>();
    r.add::<align::RowEntropy>();
    r.add::<align::Balance>();
    r.add::<align::ClassConfusion>();
    r.add::<align::NuclearNorm>();
    r.add::<align::Spectral>();
    r.add::<align::WeightedConsistency>();
    r.add::<align::CrossCorrelation>();
    r.add::<align::PairConsistency>();
    // order
    r.add::<order::Permute>();
    r.add::<order::OrderHead>();
    // loss
    r.add::<loss::CrossEntropy>();
    r.add::<loss::Contrastive>();
    r.add::<loss::PseudoLabel>();
    r.add::<loss::CentroidLabels>();
    r.add::<loss::ClusterLabels>();
    r.add::<loss::SmallLoss>();
    r.add::<loss::SquaredError>();
    r.add::<loss::KlNormal>();
    r.add::<loss::Triplet>();
    r.add::<loss::MutualInformation>();
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
