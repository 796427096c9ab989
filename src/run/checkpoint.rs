//! Saved states of a run: weights, momentum, position. Written whole or not at all.

use super::data::BadVideo;
use super::folder::write_whole;
use super::optim::Sgd;
use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use glad_nodes::{Init, Precision, Role, Video, WeightSpec, WeightStore};
use indexmap::IndexMap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Version of this record.
    pub format: u32,
    /// blake3 of the effective graph.
    pub graph: String,
    /// The run's seed.
    pub seed: u64,
    /// The next entry of `run`.
    pub entry: usize,
    /// Optimiser steps done in that entry.
    pub step: u64,
    /// Whether the validation after these steps is still to come.
    #[serde(default)]
    pub unvalidated: bool,
    /// Whether all entries are done.
    pub finished: bool,
    /// Length of metrics.jsonl then.
    pub metrics_bytes: u64,
    /// Length of the event file then.
    pub events_bytes: u64,
    /// Bad videos so far, by stream and `path (list line)`, with the reason.
    pub bad: BTreeMap<String, BTreeMap<String, String>>,
    /// What was really computed with, in the order in which a run went on with another.
    #[serde(default)]
    pub precision: Vec<Precision>,
    /// What the weights of networks started from, by node.
    #[serde(default)]
    pub starts_from: BTreeMap<String, String>,
    /// Best validation score so far, where the graph selects by it.
    pub best: Option<f64>,
}

impl Position {
    /// The version that this program writes.
    pub const FORMAT: u32 = 1;

    /// Notes bad videos; a video counts once.
    pub fn note_bad(&mut self, streams: &[String], lists: &[Vec<Arc<Video>>], bad: &[BadVideo]) {
        for b in bad {
            let video = &lists[b.stream][b.video];
            let name = format!("{} ({})", video.path.display(), video.line);
            let of_stream = self.bad.entry(streams[b.stream].clone()).or_default();
            of_stream.entry(name).or_insert_with(|| b.reason.clone());
        }
    }
}

const META: &str = "glad";
const WEIGHT: &str = "weight/";
const MOMENTUM: &str = "momentum/";

#[derive(Serialize, Deserialize)]
struct Meta {
    position: Position,
    /// In the store's order: sums over weights are taken in it, and must not change when a run is resumed.
    roles: IndexMap<String, Role>,
}

/// Writes a state.
pub fn save(path: &Path, position: &Position, store: &WeightStore, sgd: Option<&Sgd>) -> Result<()> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = vec![];
    let mut roles = IndexMap::new();
    for (name, w) in store.iter() {
        let v = w.value.flatten_all()?.to_vec1::<f32>()?;
        tensors.push((format!("{WEIGHT}{name}"), w.spec.shape.clone(), bytes(&v)));
        roles.insert(name.clone(), w.spec.role);
    }
    if let Some(sgd) = sgd {
        for (name, v) in sgd.state() {
            let v = v.to_vec1::<f32>()?;
            tensors.push((format!("{MOMENTUM}{name}"), vec![v.len()], bytes(&v)));
        }
    }
    let views = tensors
        .iter()
        .map(|(n, shape, b)| Ok((n.as_str(), TensorView::new(Dtype::F32, shape.clone(), b)?)))
        .collect::<Result<Vec<_>>>()?;
    let meta = serde_json::to_string(&Meta {
        position: position.clone(),
        roles,
    })?;
    let all = safetensors::serialize(views, Some(HashMap::from([(META.to_string(), meta)])))?;
    write_whole(path, &all)
}

/// A state as read.
pub struct State {
    /// Where the run stood.
    pub position: Position,
    /// Its weights.
    pub store: WeightStore,
    /// Its momentum.
    pub momentum: Vec<(String, Tensor)>,
}

/// Reads a state.
pub fn load(path: &Path, device: &Device) -> Result<State> {
    let read = || -> Result<State> {
        let all = std::fs::read(path)?;
        let (_, header) = SafeTensors::read_metadata(&all)?;
        let text = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get(META))
            .context("it is no state of a glad run")?;
        let meta: Meta = serde_json::from_str(text).context("its position cannot be read")?;
        if meta.position.format != Position::FORMAT {
            bail!(
                "it is of format {}, this program reads {}",
                meta.position.format,
                Position::FORMAT
            );
        }
        let file = SafeTensors::deserialize(&all)?;
        let mut store = WeightStore::default();
        for (name, role) in meta.roles {
            let t = file.tensor(&format!("{WEIGHT}{name}"))?;
            let spec = WeightSpec::new(name.clone(), t.shape(), Init::Constant(0.0), role);
            store.insert(name, spec, Tensor::from_vec(floats(t.data()), t.shape(), device)?);
        }
        let mut momentum = vec![];
        for full in file.names() {
            if let Some(name) = full.strip_prefix(MOMENTUM) {
                let v = floats(file.tensor(full)?.data());
                let n = v.len();
                momentum.push((name.to_string(), Tensor::from_vec(v, n, device)?));
            }
        }
        Ok(State {
            position: meta.position,
            store,
            momentum,
        })
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

fn bytes(v: &[f32]) -> Vec<u8> {
    v.iter().flat_map(|f| f.to_le_bytes()).collect()
}

fn floats(b: &[u8]) -> Vec<f32> {
    b.chunks_exact(4)
        .map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]]))
        .collect()
}
