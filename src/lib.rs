//! glad: declarative pipeline graphs for unsupervised video domain adaptation.
//!
//! [`load`] reads an experiment from its files, [`check`] turns it into programs or says all that is wrong with it,
//! [`run`] runs them, [`report`] shows what came out, [`lint`] goes through their lists and files; [`cli`] is the
//! command `glad-run`. Node kinds are in [`nodes`].

pub mod check;
pub mod cli;
pub mod diag;
#[doc(hidden)]
pub mod fuzzing;
pub mod graph;
pub mod lint;
pub mod load;
pub mod plan;
pub mod report;
pub mod run;

pub use glad_nodes as nodes;
