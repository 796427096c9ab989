//! glad: declarative pipeline graphs for unsupervised video domain adaptation.
//!
//! [`load`] reads an experiment from its files into a [`graph`], [`check`] turns it into [`program`]s or reports all of
//! its problems, [`describe`] shows these, [`run`] runs them, [`report`] shows the results, [`lint`] checks their lists
//! and files; [`cli`] is the command `glad-run`. Node kinds are in [`nodes`].
#![deny(clippy::print_stdout, clippy::print_stderr, unsafe_code)]

pub mod check;
pub mod cli;
pub mod describe;
pub mod diag;
#[doc(hidden)]
pub mod fuzzing;
pub mod graph;
pub mod keys;
pub mod lint;
pub mod load;
pub mod program;
pub mod report;
pub mod run;
pub mod tree;

pub use glad_nodes as nodes;
