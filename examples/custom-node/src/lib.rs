//! A node kind in a crate of its own. `coral.rs` is all that it takes, with a gradient by hand; `coral_auto.rs` is the same
//! loss without one, which Candle differentiates. `main.rs` is the command line with it;
//! `coral.toml` is an experiment that uses it:
//!
//! ```text
//! cargo run --release -p custom-node -- examples/custom-node/coral.toml
//! cargo run --release -p custom-node -- nodes coral
//! ```
#![forbid(unsafe_code)]

mod coral;
mod coral_auto;

pub use coral::Coral;
pub use coral_auto::CoralAuto;

/// The kinds of glad, and ours.
pub fn registry() -> glad_nodes::Registry {
    let mut kinds = glad::nodes::registry();
    kinds.add::<Coral>();
    kinds.add::<CoralAuto>();
    kinds
}
