//! Kinds that align domains.

mod domain_bce;
mod domain_rows;
mod entropy;
mod grl;
mod mmd;
mod pair_consistency;

pub use domain_bce::DomainBce;
pub use domain_rows::DomainRows;
pub use entropy::Entropy;
pub use grl::{Grl, Schedule};
pub use mmd::Mmd;
pub use pair_consistency::PairConsistency;
