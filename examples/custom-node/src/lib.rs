//! A node kind in a crate of its own. `coral.rs` is all that it takes; `main.rs` is the command line with it;
//! `coral.toml` is an experiment that uses it:
//!
//! ```text
//! cargo run --release -p custom-node -- examples/custom-node/coral.toml
//! cargo run --release -p custom-node -- nodes coral
//! ```
#![forbid(unsafe_code)]

mod coral;

pub use coral::Coral;

/// The kinds of glad, and ours.
pub fn registry() -> glad_nodes::Registry {
    let mut kinds = glad::nodes::registry();
    kinds.add::<Coral>();
    kinds
}
