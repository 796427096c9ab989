//! From files to a [`Graph`](crate::graph::Graph): setting, graph, overlays, `--set`, composites.

mod build;
mod composite;
mod expand;
mod history;
mod layers;
mod merge;
mod node;
mod open;
mod optim;
mod overlay;
mod params;
mod phase;
mod raw;
mod read;
mod refs;
mod set_arg;
mod tree;

pub use history::{Change, History, Role};
pub use open::{LoadOptions, load, load_text};
pub use tree::{Tree, TreeValue};
