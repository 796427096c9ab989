//! Kinds that align domains.

mod balance;
mod bounds;
mod class_confusion;
mod critic;
mod cross_correlation;
mod discrepancy;
mod domain_bce;
mod domain_rows;
mod entropy;
mod feature_norm;
mod grl;
mod margin_disparity;
mod mmd;
mod moments;
mod nuclear_norm;
mod row_entropy;
mod spectral;
mod weighted_consistency;

pub use balance::{Balance, Form as BalanceForm};
pub use class_confusion::ClassConfusion;
pub use critic::Critic;
pub use cross_correlation::CrossCorrelation;
pub use discrepancy::{Discrepancy, Form as DiscrepancyForm};
pub use domain_bce::{DomainBce, Normalise};
pub use domain_rows::DomainRows;
pub use entropy::Entropy;
pub use feature_norm::FeatureNorm;
pub use grl::{Grl, Schedule};
pub use margin_disparity::MarginDisparity;
pub use mmd::{Estimate, Kernels, Mean as MmdMean, Mmd};
pub use moments::Moments;
pub use nuclear_norm::{Divisor, NuclearNorm};
pub use row_entropy::RowEntropy;
pub use spectral::Spectral;
pub use weighted_consistency::WeightedConsistency;
