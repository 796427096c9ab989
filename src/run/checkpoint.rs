//! Saved states of a run: weights, what the optimiser keeps, position. Written whole or not at all.

use super::data::BadVideo;
use super::folder::write_whole;
use super::log::LogEnd;
use super::optim::{Kept, OptimizerState};
use super::record::known_format;
use super::refreshed::{Refreshed, Rows};
use crate::graph::OptimizerKind;
use crate::keys::Word;
use anyhow::{Context, Result, bail, ensure};
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
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Version of this record.
    pub format: u32,
    /// Names the graph, wherever its files lie; of a phase that runs share, its key.
    pub graph: String,
    /// Names the content of the lists and weights that the run began with.
    #[serde(default)]
    pub inputs: String,
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
    /// BLAKE3 of metrics.jsonl then.
    #[serde(default)]
    pub metrics_hash: String,
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
    /// The version that this program writes. The weights of a state of version 1, which has no checksum, can be read.
    pub const FORMAT: u32 = 2;

    /// Where the logs stood.
    pub fn log_end(&self) -> LogEnd {
        LogEnd {
            metrics_bytes: self.metrics_bytes,
            metrics_hash: self.metrics_hash.clone(),
            events_bytes: self.events_bytes,
        }
    }

    /// Notes where the logs stand.
    pub fn set_log_end(&mut self, end: LogEnd) {
        (self.metrics_bytes, self.metrics_hash, self.events_bytes) =
            (end.metrics_bytes, end.metrics_hash, end.events_bytes);
    }

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
/// What a pass over the lists left, and of which videos.
const ROWS: &str = "refreshed/";
const VIDEOS: &str = "refreshed_videos/";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    position: Position,
    /// In the store's order: sums over weights are taken in it, and must not change when a run is resumed.
    roles: IndexMap<String, Role>,
    /// Of an optimiser that counts steps. Without it, the state is that of SGD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    optimizer: Option<Counted>,
    /// Of a phase with passes over its lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refreshed: Option<Pass>,
    /// BLAKE3 of everything else in the file.
    #[serde(default)]
    checksum: String,
}

/// An optimiser that counts the steps of its weights.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    kind: String,
    steps: IndexMap<String, u64>,
}

/// A pass over the lists of a phase, whose rows are tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pass {
    /// The step that it came before.
    step: u64,
    streams: Vec<String>,
    /// The stream of each value.
    values: IndexMap<String, String>,
}

impl Meta {
    /// The checksum of a state with these tensors, which come in the order of their names.
    fn sum<'a>(&self, tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [u8])>) -> Result<String> {
        let mut hash = blake3::Hasher::new();
        hash.update(serde_json::to_string(&(&self.position, &self.roles))?.as_bytes());
        if let Some(optimizer) = &self.optimizer {
            hash.update(serde_json::to_string(optimizer)?.as_bytes());
        }
        if let Some(refreshed) = &self.refreshed {
            hash.update(serde_json::to_string(refreshed)?.as_bytes());
        }
        for (name, shape, bytes) in tensors {
            hash.update(format!("\n{name} {shape:?} {}\n", bytes.len()).as_bytes());
            hash.update(bytes);
        }
        Ok(hash.finalize().to_hex().to_string())
    }
}

/// Writes a state; `optimizer` is the state of the phase's optimiser, and `refreshed` what the last pass over its lists left,
/// within a phase.
///
/// # Errors
/// The file cannot be written, a value of the optimiser's state is not finite, or the device fails.
pub(super) fn save(
    path: &Path,
    position: &Position,
    store: &WeightStore,
    optimizer: Option<&OptimizerState>,
    refreshed: Option<&Refreshed>,
) -> Result<()> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = vec![];
    let mut roles = IndexMap::new();
    for (name, w) in store.iter() {
        let v = w.value.flatten_all()?.to_vec1::<f32>()?;
        tensors.push((format!("{WEIGHT}{name}"), w.spec.shape.clone(), bytes(&v)));
        roles.insert(name.clone(), w.spec.role);
    }
    for (name, kept) in optimizer
        .iter()
        .flat_map(|o| o.weights.iter().map(|w| (o.kind, w)))
        .flat_map(buffers)
    {
        let v = kept.to_vec1::<f32>()?;
        // On a GPU this is the first check of it.
        ensure!(
            v.iter().all(|x| x.is_finite()),
            "`{name}` of the optimizer's state holds values that are not finite: nothing was saved since the last state"
        );
        tensors.push((name, vec![v.len()], bytes(&v)));
    }
    if let Some(refreshed) = refreshed {
        for (stream, videos) in &refreshed.videos {
            // Places in a list are exact as long as it has fewer than 2^24 videos.
            let places: Vec<f32> = videos.iter().map(|v| *v as f32).collect();
            tensors.push((format!("{VIDEOS}{stream}"), vec![places.len()], bytes(&places)));
        }
        for (name, value) in &refreshed.values {
            let v = value.rows.flatten_all()?.to_vec1::<f32>()?;
            tensors.push((format!("{ROWS}{name}"), value.rows.dims().to_vec(), bytes(&v)));
        }
    }
    let views = tensors
        .iter()
        .map(|(n, shape, b)| Ok((n.as_str(), TensorView::new(Dtype::F32, shape.clone(), b)?)))
        .collect::<Result<Vec<_>>>()?;
    let mut meta = Meta {
        position: position.clone(),
        roles,
        optimizer: optimizer.and_then(counted),
        refreshed: refreshed.map(|r| Pass {
            step: r.step,
            streams: r.videos.keys().cloned().collect(),
            values: r
                .values
                .iter()
                .map(|(name, v)| (name.clone(), v.stream.clone()))
                .collect(),
        }),
        checksum: String::new(),
    };
    let mut sorted: Vec<_> = tensors.iter().map(|(n, s, b)| (n.as_str(), &s[..], &b[..])).collect();
    sorted.sort_unstable_by_key(|t| t.0);
    meta.checksum = meta.sum(sorted.into_iter())?;
    let meta = serde_json::to_string(&meta)?;
    let all = safetensors::serialize(views, Some(HashMap::from([(META.to_string(), meta)])))?;
    write_whole(path, &all)
}

/// A state as read.
pub struct State {
    /// Where the run stood.
    pub position: Position,
    /// Its weights.
    pub store: WeightStore,
    /// The state of the phase's optimiser; `None` between phases, and before the first step.
    pub optimizer: Option<OptimizerState>,
    /// What the last pass over the phase's lists left; `None` between phases, and where it has no such passes.
    pub refreshed: Option<Refreshed>,
}

/// The optimiser's tensors of a weight, under their names in the file.
fn buffers<'a>(
    (kind, (name, kept)): (OptimizerKind, (&'a String, &'a Kept)),
) -> impl Iterator<Item = (String, &'a Tensor)> {
    let named = kind.buffers().iter().zip(&kept.buffers);
    named.map(move |(buffer, tensor)| (format!("{buffer}/{name}"), tensor))
}

/// The steps of an optimiser that counts them.
fn counted(optimizer: &OptimizerState) -> Option<Counted> {
    if optimizer.kind == OptimizerKind::Sgd || optimizer.weights.is_empty() {
        return None;
    }
    let steps = optimizer.weights.iter().map(|(name, kept)| (name.clone(), kept.steps));
    Some(Counted {
        kind: optimizer.kind.word().to_owned(),
        steps: steps.collect(),
    })
}

/// The optimiser's state in a file.
fn kept(counted: Option<Counted>, file: &SafeTensors<'_>, device: &Device) -> Result<Option<OptimizerState>> {
    let (kind, steps) = match counted {
        Some(Counted { kind: word, steps }) => {
            let kind = (OptimizerKind::ALL.iter().copied()).find(|k| k.word() == word);
            (
                kind.with_context(|| format!("its optimizer is `{word}`, which this glad does not know"))?,
                steps,
            )
        }
        None => {
            let kind = OptimizerKind::Sgd;
            let prefix = format!("{}/", kind.buffers()[0]);
            let named = file.names().into_iter().filter_map(|full| full.strip_prefix(&prefix));
            // SGD needs only whether there was a step.
            (kind, named.map(|name| (name.to_owned(), 1)).collect())
        }
    };
    let mut state = OptimizerState::new(kind);
    for (name, steps) in steps {
        let read = |buffer: &&str| -> Result<Tensor> {
            let v = floats(file.tensor(&format!("{buffer}/{name}"))?.data());
            let n = v.len();
            Ok(Tensor::from_vec(v, n, device)?)
        };
        let buffers = kind.buffers().iter().map(read).collect::<Result<_>>()?;
        state.weights.insert(name, Kept { buffers, steps });
    }
    Ok((!state.weights.is_empty()).then_some(state))
}

/// What the last pass over the lists left, in a file.
fn rows(pass: Pass, file: &SafeTensors<'_>) -> Result<Refreshed> {
    let mut refreshed = Refreshed {
        step: pass.step,
        ..Refreshed::default()
    };
    for stream in pass.streams {
        let places = floats(file.tensor(&format!("{VIDEOS}{stream}"))?.data());
        let places = places.into_iter().map(|v| v as u32).collect();
        refreshed.videos.insert(stream, places);
    }
    for (name, stream) in pass.values {
        let t = file.tensor(&format!("{ROWS}{name}"))?;
        let rows = Tensor::from_vec(floats(t.data()), t.shape(), &Device::Cpu)?;
        refreshed.values.insert(name, Rows { stream, rows });
    }
    Ok(refreshed)
}

/// Reads a state.
///
/// # Errors
/// The file is not there, is damaged, or is no saved state.
pub fn load(path: &Path, device: &Device) -> Result<State> {
    let read = || -> Result<State> {
        let all = glad_video::read_bytes(path)?;
        let (_, header) = SafeTensors::read_metadata(&all)?;
        #[derive(Deserialize)]
        struct Version {
            position: Format,
        }
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let text = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get(META))
            .context("it is no state of a glad run")?;
        // A newer version may lack what this one reads: its number is looked at first.
        let version: Version = serde_json::from_str(text).context("its version cannot be read")?;
        let format = version.position.format;
        if format != 1 {
            known_format(format, Position::FORMAT)?;
        }
        let meta: Meta = serde_json::from_str(text).context("its position cannot be read")?;
        let file = SafeTensors::deserialize(&all)?;
        let mut tensors = file.tensors();
        tensors.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if let Some((name, t)) = tensors.iter().find(|(_, t)| t.dtype() != Dtype::F32) {
            bail!("`{name}` is of type {:?}, and a state holds F32", t.dtype());
        }
        if format != 1 {
            let sum = meta.sum(tensors.iter().map(|(n, t)| (n.as_str(), t.shape(), t.data())))?;
            ensure!(
                sum == meta.checksum,
                "it is damaged: its bytes are not those that were written"
            );
        }
        let mut store = WeightStore::default();
        for (name, role) in meta.roles {
            let t = file.tensor(&format!("{WEIGHT}{name}"))?;
            let spec = WeightSpec::new(name.clone(), t.shape(), Init::Constant(0.0), role);
            store.insert(name, spec, Tensor::from_vec(floats(t.data()), t.shape(), device)?);
        }
        Ok(State {
            position: meta.position,
            store,
            optimizer: kept(meta.optimizer, &file, device)?,
            refreshed: meta.refreshed.map(|pass| rows(pass, &file)).transpose()?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> WeightStore {
        let mut store = WeightStore::default();
        for (name, role, values) in [
            ("b.weight", Role::Weight, [1.5f32, 2.0]),
            ("a.mean", Role::Buffer, [0.0, 3.0]),
        ] {
            let t = Tensor::from_vec(values.to_vec(), 2, &Device::Cpu).unwrap();
            store.insert(name.into(), WeightSpec::new(name, &[2], Init::Constant(0.0), role), t);
        }
        store
    }

    fn position() -> Position {
        Position {
            format: Position::FORMAT,
            graph: "g".into(),
            step: 4,
            ..Position::default()
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_each_flipped_bit_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.safetensors");
        save(&path, &position(), &store(), None, None).unwrap();
        let state = load(&path, &Device::Cpu).unwrap();
        assert_eq!(state.position, position());
        let names: Vec<&String> = state.store.iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["b.weight", "a.mean"], "in the store's order");
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let Err(e) = load(&path, &Device::Cpu) else {
                panic!("byte {at} of {} may be another one", whole.len());
            };
            assert!(format!("{e:#}").contains("s.safetensors"), "{e:#}");
        }
    }

    #[test]
    fn rows_of_a_pass_are_saved_with_their_videos() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.safetensors");
        let rows = |v: &[f32], shape: &[usize]| Rows {
            stream: "target".into(),
            rows: Tensor::from_slice(v, shape, &Device::Cpu).unwrap(),
        };
        let pass = Refreshed {
            step: 8,
            videos: [("target".to_string(), vec![0, 2, 16_000_001])].into_iter().collect(),
            values: [
                ("old.y@target".to_string(), rows(&[1., 2., 3., 4., 5., 6.], &[3, 2])),
                ("labels.label".to_string(), rows(&[7., 0., 399.], &[3])),
            ]
            .into_iter()
            .collect(),
        };
        save(&path, &position(), &store(), None, Some(&pass)).unwrap();
        let found = load(&path, &Device::Cpu).unwrap().refreshed.unwrap();
        assert_eq!((found.step, &found.videos), (pass.step, &pass.videos));
        assert!(found.values.keys().eq(pass.values.keys()), "in their order");
        for (name, right) in &pass.values {
            let found = &found.values[name];
            assert_eq!((&found.stream, found.rows.dims()), (&right.stream, right.rows.dims()));
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(flat(&found.rows), flat(&right.rows));
        }
        // Each changed bit of its rows is noticed.
        let whole = std::fs::read(&path).unwrap();
        for at in whole.len() - 4 * 12..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert!(load(&path, &Device::Cpu).is_err(), "byte {at}");
        }
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.safetensors");
        let newer = Position {
            format: Position::FORMAT + 1,
            ..position()
        };
        save(&path, &newer, &store(), None, None).unwrap();
        let e = format!("{:#}", load(&path, &Device::Cpu).err().unwrap());
        assert!(
            e.contains("it is of format 3, of a newer glad; this one reads format 2"),
            "{e}"
        );
    }
}
