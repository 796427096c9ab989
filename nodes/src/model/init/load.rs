//! From a file to the weights of a network.

use super::file::WeightFile;
use super::names;
use crate::{LoadedWeights, WeightSpec};
use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::path::Path;

/// How a tensor of a file becomes a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// As it is.
    Same,
    /// A kernel of two dimensions for each of so many frames, divided by their number: on a clip whose frames are all
    /// the same, the layer gives what it gave on the frame (Carreira and Zisserman, CVPR 2017, Section 3.1).
    Inflated(usize),
}

fn fit(found: &[usize], wanted: &[usize]) -> Option<Fit> {
    match (found, wanted) {
        _ if found == wanted => Some(Fit::Same),
        // A kernel of one frame is a kernel of two dimensions.
        ([co, ci, 1, h, w], [a, b, c, d]) if [co, ci, h, w] == [a, b, c, d] => Some(Fit::Same),
        ([co, ci, h, w], [a, b, frames, c, d]) if [co, ci, h, w] == [a, b, c, d] => Some(Fit::Inflated(*frames)),
        _ => None,
    }
}

fn inflate(numbers: &[f32], plane: usize, frames: usize) -> Vec<f32> {
    let one = |kernel: &[f32]| {
        kernel
            .iter()
            .map(|v| v / frames as f32)
            .collect::<Vec<_>>()
            .repeat(frames)
    };
    numbers.chunks(plane.max(1)).flat_map(one).collect()
}

/// Reads the values of `specs` that are in the file at `path`.
///
/// # Errors
/// The file cannot be read, or has none of these weights.
pub(crate) fn load(path: &Path, specs: &[WeightSpec], device: &Device) -> Result<LoadedWeights> {
    let from = || format!("weights from {}", path.display());
    let mut file = WeightFile::open(path).with_context(from)?;
    let by_name: HashMap<&str, &WeightSpec> = specs.iter().map(|s| (s.name.as_str(), s)).collect();
    // The tensor for each weight: where several would do, the one whose name is nearest.
    let mut chosen: HashMap<String, (usize, usize)> = HashMap::new();
    let mut loaded = LoadedWeights::default();
    for (i, tensor) in file.tensors.iter().enumerate() {
        let Some((name, dropped)) = names::ours(&tensor.name, |n| by_name.contains_key(n)) else {
            // A counter that PyTorch keeps beside running statistics, and nothing needs.
            if !tensor.name.ends_with("num_batches_tracked") {
                loaded.unexpected.push(tensor.name.clone());
            }
            continue;
        };
        match chosen.get(&name) {
            Some((other, less)) if *less <= dropped => {
                loaded.unexpected.push(tensor.name.clone());
                debug_assert!(*other < i);
            }
            other => {
                loaded
                    .unexpected
                    .extend(other.map(|(old, _)| file.tensors[*old].name.clone()));
                chosen.insert(name, (i, dropped));
            }
        }
    }
    for spec in specs {
        let Some((index, _)) = chosen.get(&spec.name) else {
            loaded.missing.push(spec.name.clone());
            continue;
        };
        let shape = file.tensors[*index].shape.clone();
        let Some(fit) = fit(&shape, &spec.shape) else {
            loaded.misshapen.push((spec.name.clone(), shape, spec.shape.clone()));
            continue;
        };
        let mut numbers = file.numbers(*index).with_context(from)?;
        if let Fit::Inflated(frames) = fit {
            numbers = inflate(&numbers, spec.shape[3] * spec.shape[4], frames);
            loaded.inflated += usize::from(frames > 1);
        }
        let value = Tensor::from_vec(numbers, spec.shape.as_slice(), device)?;
        loaded.values.push((spec.name.clone(), value));
    }
    if loaded.values.is_empty() {
        let first = |names: &[String]| names.first().map_or("nothing".to_string(), |n| format!("`{n}`"));
        match loaded.misshapen.first() {
            Some((name, found, own)) => bail!(
                "{} fit nowhere: `{name}` has shape {found:?} there and {own:?} here; give the node the sizes of the file",
                from()
            ),
            None => bail!(
                "{} match nothing: the file has {}, and the node needs {}",
                from(),
                first(&loaded.unexpected),
                first(&loaded.missing)
            ),
        }
    }
    Ok(loaded)
}

#[cfg(test)]
mod tests;
