//! Losses, and the labels that nodes make for them.

mod centroid_labels;
mod cluster_labels;
mod combine;
mod contrastive;
mod cross_entropy;
mod kl_normal;
mod mutual_information;
mod pairs;
mod pseudo_label;
mod rows;
pub(crate) mod scalar;
mod small_loss;
mod squared_error;
mod triplet;

pub use centroid_labels::CentroidLabels;
pub use cluster_labels::ClusterLabels;
pub use combine::Combine;
pub use contrastive::Contrastive;
pub use cross_entropy::{CrossEntropy, Reduction};
pub use kl_normal::KlNormal;
pub use mutual_information::MutualInformation;
pub use pairs::Pairs;
pub use pseudo_label::{PseudoLabel, Select};
pub use small_loss::SmallLoss;
pub use squared_error::SquaredError;
pub use triplet::Triplet;

/// What a loss answers where a row that counts has no label.
const UNLABELLED: &str = "a video without a label reached a loss: add labels to the list of its stream, or leave the stream out of this loss";
