//! The batch of any step, as it reaches the device: to look at, and to compare experiments by.

use super::data::{Drawn, FeedOptions, HostSide, PassCache, Recipe, Want, collate, feed};
use super::setup::Setup;
use super::train::order;
use crate::graph::PhaseDef;
use crate::plan::Program;
use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use glad_nodes::Key;

/// The values that cross to the device at `step` of a phase, by `node.port@stream`.
pub fn batch_at(
    program: &Program,
    def: &PhaseDef,
    setup: Setup,
    seed: u64,
    step: u64,
) -> Result<Vec<(String, Tensor)>> {
    let key = phase_key(def, seed);
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
    let samples = feed(
        &recipe,
        FeedOptions { workers: 1, ahead: 4 },
        wants.into_iter(),
        |made| {
            rows.iter()
                .map(|row| {
                    row.iter()
                        .map(|_| made.next()?.and_then(|m| m.sample).context("a video cannot be used"))
                        .collect::<Result<Vec<_>>>()
                })
                .collect::<Result<Vec<_>>>()
        },
    )?;
    let mut values: Vec<(String, Tensor)> = collate(program, &samples, &Device::Cpu)?
        .into_iter()
        .map(|(id, t)| (program.values[id.0].name.clone(), t))
        .collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(values)
}

/// The key below which all of a phase's random numbers are drawn.
pub fn phase_key(def: &PhaseDef, seed: u64) -> Key {
    let seed = def.seed.as_ref().map_or(seed, |s| s.value);
    Key::new(seed).name("phase").name(&def.name)
}
