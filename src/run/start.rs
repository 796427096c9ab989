//! The weights that a program starts from.

use super::progress::Progress;
use crate::program::Program;
use anyhow::{Context, Result};
use candle_core::Device;
use glad_nodes::{Body, Key, Role, WeightStore};

/// Makes the weights of a program that `store` does not have yet: drawn by `key`, or where a node names a file (`init`),
/// read from it. What was read is said.
pub fn start_weights(
    program: &Program,
    store: &mut WeightStore,
    key: Key,
    device: &Device,
    progress: &Progress,
) -> Result<()> {
    for (node, specs) in &program.weights {
        let fresh = !store.has_node(node);
        store.declare(node, specs, key, device)?;
        let call = program.calls.iter().find(|c| c.node == *node);
        let Some(Body::Compute(compute)) = call.map(|c| &program.bodies[c.body]).filter(|_| fresh) else {
            continue;
        };
        let Some(loaded) = compute.load(device).with_context(|| format!("node `{node}`"))? else {
            continue;
        };
        store.start_from(node, &loaded)?;
        progress.say(&format!("{node}: {loaded}"));
    }
    Ok(())
}

/// Marks the weights that a phase trains, and no others.
pub fn mark_trained(program: &Program, store: &mut WeightStore) {
    for (full, w) in store.iter_mut() {
        w.trains = w.spec.role != Role::Buffer
            && program.calls.iter().any(|c| c.trains && inside(full, &c.node))
            && !program.frozen.iter().any(|n| inside(full, n));
    }
}

/// Whether weight `full` belongs to `node` or to a node inside it.
fn inside(full: &str, node: &str) -> bool {
    full.strip_prefix(node).is_some_and(|r| r.starts_with('.'))
}
