//! The batch of any step, as it reaches the device: to look at, and to compare experiments by.

use super::data::{Drawn, FeedOptions, HostSide, PassCache, Recipe, Stacker, Want, batches, draw_key};
use super::setup::Setup;
use super::staging::staging;
use super::train::order;
use crate::graph::PhaseDef;
use crate::program::Program;
use anyhow::Result;
use candle_core::{Device, Tensor};

/// The values that cross to the device at `step` of a phase, by `node.port@stream`.
pub fn batch_at(
    program: &Program,
    def: &PhaseDef,
    setup: Setup,
    seed: u64,
    step: u64,
) -> Result<Vec<(String, Tensor)>> {
    let key = draw_key(def, seed);
    let order = order(program, def, key, &setup);
    let host = HostSide::new(program, setup.resources, true)?;
    let replace = |stream, drawn: Drawn, attempt| order.replacement(stream, drawn, attempt);
    let recipe = Recipe {
        host: &host,
        lists: &setup.lists,
        streams: &program.streams,
        key,
        replace: Some(&replace),
    };
    let rows = order.draw(step, &mut PassCache::default());
    let wants: Vec<Want> = rows
        .iter()
        .enumerate()
        .flat_map(|(stream, row)| row.iter().map(move |drawn| Want { stream, drawn: *drawn }))
        .collect();
    let staging = staging(&Device::Cpu)?;
    let stacker = Stacker::new(program, staging.as_ref())?;
    let sizes = rows.iter().map(Vec::len).collect();
    let options = FeedOptions { workers: 1, ahead: 4 };
    let batch = batches(
        &recipe,
        options,
        &stacker,
        std::iter::once(sizes),
        wants.into_iter(),
        |made| made.next()?.batch?.arrive(),
    )?;
    let mut values: Vec<(String, Tensor)> = batch
        .into_iter()
        .map(|(id, t)| (program.values[id.0].name.clone(), t))
        .collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(values)
}
