//! The weights that a program starts from.

use super::progress::Progress;
use crate::graph::PhaseDef;
use crate::program::Program;
use anyhow::{Context, Result};
use candle_core::Device;
use glad_nodes::{Body, Key, Role, WeightStore};
use std::collections::BTreeSet;

/// Makes the weights of a program that `store` does not have yet: drawn by `key`, or where a node names a file (`init`),
/// read from it. What was read is reported.
///
/// # Errors
/// A file of weights is not there, is damaged or does not fit, or the device fails.
pub(super) fn start_weights(
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

/// The weights that a phase of a run of `seed` begins with, those that it trains marked. What is in `store` already goes on,
/// but for the nodes that start anew where the phase is `fresh`, at its first step.
///
/// # Errors
/// As [`start_weights`].
pub(super) fn begin_phase(
    program: &Program,
    def: &PhaseDef,
    store: &mut WeightStore,
    fresh: bool,
    seed: u64,
    device: &Device,
    progress: &Progress,
) -> Result<()> {
    if fresh {
        program.reset.iter().for_each(|node| store.remove_node(node));
    }
    let seed = def.seed.as_ref().map_or(seed, |s| s.value);
    start_weights(program, store, Key::new(seed).name("init"), device, progress)?;
    mark_trained(program, None, store);
    Ok(())
}

/// Marks the weights that a phase trains, or one of its rounds, and no others.
pub(super) fn mark_trained(program: &Program, round: Option<usize>, store: &mut WeightStore) {
    let rounds = program.rounds.iter().enumerate();
    let rounds: Vec<_> = rounds.filter(|(i, _)| round.is_none_or(|r| r == *i)).collect();
    let trained = |i: usize| rounds.iter().any(|(_, r)| r.trains[i]);
    let calls = program.calls.iter().enumerate().filter(|(i, _)| trained(*i));
    let owners: BTreeSet<&str> = calls.map(|(_, c)| c.owner.as_str()).collect();
    for (full, w) in store.iter_mut() {
        w.trains = w.spec.role != Role::Buffer
            && owners.iter().any(|owner| inside(full, owner))
            && !program.frozen.iter().any(|n| inside(full, n));
    }
}

/// Whether weight `full` belongs to `node` or to a node inside it.
fn inside(full: &str, node: &str) -> bool {
    full.strip_prefix(node).is_some_and(|r| r.starts_with('.'))
}
