//! glad: declarative pipeline graphs for unsupervised video domain adaptation.

pub mod check;
pub mod diag;
pub mod graph;
pub mod load;
pub mod plan;

pub use glad_nodes as nodes;
