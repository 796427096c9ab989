//! What a glad node is ([`contract`]), and the library of node kinds (feature `kinds`, on by default).

pub mod contract;

pub use contract::*;
