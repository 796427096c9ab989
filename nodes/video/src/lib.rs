//! Video in and out.

pub mod write;
