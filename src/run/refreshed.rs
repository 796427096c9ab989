//! What passes over whole lists leave for the videos of the steps.

use crate::program::{Call, Program, ValueId};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use glad_nodes::{Args, Body, Head, Type, Video};
use indexmap::IndexMap;
use std::collections::HashMap;
use std::sync::Arc;

/// What the last pass over the lists of a phase left: rows of videos, which stay until the next pass.
#[derive(Clone, Debug, Default)]
pub struct Refreshed {
    /// The step that the pass came before.
    pub(super) step: u64,
    /// The videos that have rows, by stream: their places in the list, in order.
    pub(super) videos: IndexMap<String, Vec<u32>>,
    /// Their rows.
    pub(super) values: IndexMap<String, Rows>,
}

/// Rows of an output of a node over a list, named `node.port@stream`: 32-bit numbers on the CPU.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// The stream of the videos.
    pub stream: String,
    /// A row a video.
    pub rows: Tensor,
}

/// A label, where there is none.
const UNLABELLED: u32 = u32::MAX;

impl Refreshed {
    /// Rows of zeros for lists of these lengths, each video trusted: for steps that are only measured.
    ///
    /// # Errors
    /// A row has no fixed size.
    pub(super) fn blank(program: &Program, sizes: &[usize], step: u64) -> Result<Refreshed> {
        let mut blank = Refreshed {
            step,
            ..Refreshed::default()
        };
        for (stream, n) in program.streams.iter().zip(sizes) {
            blank.videos.insert(stream.clone(), (0..*n as u32).collect());
        }
        for (name, stream, ty) in kept(program) {
            let shape = (ty.shape(sizes[stream])).with_context(|| format!("{name} has the size {ty}"))?;
            let rows = match ty.head {
                Head::Mask => Tensor::ones(shape, DType::F32, &Device::Cpu)?,
                _ => Tensor::zeros(shape, DType::F32, &Device::Cpu)?,
            };
            let stream = program.streams[stream].clone();
            blank.values.insert(name.to_owned(), Rows { stream, rows });
        }
        Ok(blank)
    }

    /// Adds to a batch of these videos, by stream, the rows that the phase takes.
    ///
    /// # Errors
    /// There is no such row in what was saved, or a loss would take a label that a video has not.
    pub(super) fn add(
        &self,
        program: &Program,
        videos: &[Vec<Arc<Video>>],
        device: &Device,
        batch: &mut HashMap<ValueId, Tensor>,
    ) -> Result<()> {
        for call in program.calls.iter().filter(|c| c.over_list) {
            let Some(stream) = call.stream else { continue };
            let videos = &videos[stream];
            let places = self.videos.get(&program.streams[stream]);
            let places = places.with_context(|| format!("there are no rows of stream {}", program.streams[stream]))?;
            let at = |v: &Arc<Video>| places.binary_search(&(v.index as u32)).ok().map(|i| i as u32);
            let rows: Vec<Option<u32>> = videos.iter().map(at).collect();
            // A stream that has run out has no values.
            if rows.is_empty() {
                continue;
            }
            let missing = rows.iter().position(Option::is_none);
            if let Some(video) = missing.filter(|_| unmasked(program, call)) {
                bail!(
                    "{} ({}) could not be used in the pass over the list, so `{}` has nothing of it, and a step takes it\n  let what \
                     takes the values take the `mask` of `{}`, too",
                    videos[video].path.display(),
                    videos[video].line,
                    call.node,
                    call.node
                );
            }
            for id in call.outputs.iter().flatten() {
                let value = &program.values[id.0];
                let kept = self.values.get(&value.name);
                let kept = kept.with_context(|| format!("there are no rows of {}", value.name))?;
                batch.insert(*id, taken(&kept.rows, &rows, &value.ty, device)?);
            }
        }
        Ok(())
    }
}

/// Whether a phase takes values of a node over a list and not its mask.
fn unmasked(program: &Program, call: &Call) -> bool {
    let mut taken = call.outputs.iter().flatten();
    taken.all(|id| program.values[id.0].ty.head != Head::Mask)
}

/// The values that a phase takes of passes over its lists: name, stream and type.
fn kept(program: &Program) -> impl Iterator<Item = (&str, usize, &Type)> {
    let outputs = program.calls.iter().filter(|c| c.over_list).flat_map(|c| {
        let stream = c.stream;
        c.outputs.iter().flatten().filter_map(move |id| Some((id, stream?)))
    });
    outputs.map(|(id, stream)| {
        let value = &program.values[id.0];
        (value.name.as_str(), stream, &value.ty)
    })
}

/// These of the rows; of a video that has none zeros, or no label.
fn taken(rows: &Tensor, which: &[Option<u32>], ty: &Type, device: &Device) -> Result<Tensor> {
    let index: Vec<u32> = which.iter().map(|row| row.unwrap_or(0)).collect();
    let index = Tensor::from_vec(index, which.len(), &Device::Cpu)?;
    let mut found = rows.index_select(&index, 0)?;
    if ty.head == Head::Label {
        let labels = found.to_vec1::<f32>()?.into_iter().zip(which);
        let labels = labels.map(|(label, row)| row.map_or(UNLABELLED, |_| label as u32));
        return Ok(Tensor::from_vec(labels.collect(), which.len(), &Device::Cpu)?);
    }
    if which.iter().any(Option::is_none) {
        let here: Vec<f32> = which.iter().map(|row| f32::from(u8::from(row.is_some()))).collect();
        let mut shape = vec![1; found.rank()];
        shape[0] = which.len();
        found = found.broadcast_mul(&Tensor::from_vec(here, shape, &Device::Cpu)?)?;
    }
    // Labels and masks stay on the host, as those of a list.
    Ok(match ty.head {
        Head::Mask => found,
        _ => found.to_device(device)?,
    })
}

/// Collects the rows that nodes over lists take, as the batches of a view come.
pub(super) struct Collect<'p> {
    program: &'p Program,
    /// What is collected.
    pub ids: Vec<ValueId>,
    rows: HashMap<ValueId, Vec<Tensor>>,
    videos: Vec<Vec<u32>>,
}

impl<'p> Collect<'p> {
    /// For the nodes over lists of a view.
    pub(super) fn new(program: &'p Program) -> Collect<'p> {
        let over_list = |id: &ValueId| program.calls[program.values[id.0].call].over_list;
        let inputs = program.calls.iter().filter(|c| c.over_list).flat_map(|c| &c.inputs);
        let mut ids: Vec<ValueId> = inputs
            .flat_map(|(_, ids)| ids.clone())
            .filter(|id| !over_list(id))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        Collect {
            program,
            ids,
            rows: HashMap::new(),
            videos: vec![vec![]; program.streams.len()],
        }
    }

    /// Takes the rows of a batch of these videos, by stream.
    ///
    /// # Errors
    /// The device fails.
    pub(super) fn take(&mut self, values: &HashMap<ValueId, Tensor>, videos: &[Vec<Arc<Video>>]) -> Result<()> {
        if self.ids.is_empty() {
            return Ok(());
        }
        for (all, new) in self.videos.iter_mut().zip(videos) {
            all.extend(new.iter().map(|v| v.index as u32));
        }
        for id in &self.ids {
            let Some(t) = values.get(id) else { continue };
            let t = match t.dtype() {
                DType::U32 => t.clone(),
                _ => t.to_dtype(DType::F32)?,
            };
            self.rows.entry(*id).or_default().push(t.to_device(&Device::Cpu)?);
        }
        Ok(())
    }

    /// Computes the nodes over lists; nothing where the view has none.
    ///
    /// # Errors
    /// No video could be used, or a node fails.
    pub(super) fn finish(self) -> Result<Option<Refreshed>> {
        if self.ids.is_empty() {
            return Ok(None);
        }
        let program = self.program;
        let mut whole: HashMap<ValueId, Tensor> = HashMap::new();
        for (id, rows) in &self.rows {
            whole.insert(*id, Tensor::cat(rows, 0)?);
        }
        let mut refreshed = Refreshed::default();
        for (stream, videos) in program.streams.iter().zip(&self.videos) {
            refreshed.videos.insert(stream.clone(), videos.clone());
        }
        for call in program.calls.iter().filter(|c| c.over_list) {
            let made = self
                .call(call, &whole)
                .with_context(|| format!("node `{}` ({})", call.node, call.kind))?;
            for (id, rows) in call.outputs.iter().zip(made) {
                let Some(id) = id else { continue };
                let value = &program.values[id.0];
                let stream = value.stream.context("its rows are of no stream")?;
                let kept = Rows {
                    stream: program.streams[stream].clone(),
                    rows: rows.to_dtype(DType::F32)?,
                };
                refreshed.values.insert(value.name.clone(), kept);
                whole.insert(*id, rows);
            }
        }
        Ok(Some(refreshed))
    }

    fn call(&self, call: &Call, whole: &HashMap<ValueId, Tensor>) -> Result<Vec<Tensor>> {
        let Body::OverList(node) = &self.program.bodies[call.body] else {
            bail!("it works on no list");
        };
        let mut args = Args::default();
        for (port, ids) in &call.inputs {
            let values = ids.iter().map(|id| {
                let name = &self.program.values[id.0].name;
                whole
                    .get(id)
                    .cloned()
                    .with_context(|| format!("no video could be used for {name}"))
            });
            args.push(port.clone(), values.collect::<Result<_>>()?);
        }
        let rows = args.flat().next().context("it has no input")?.dim(0)?;
        let made = node.compute(&args)?;
        ensure!(
            made.len() == call.outputs.len(),
            "it gave {} outputs where its contract has {}",
            made.len(),
            call.outputs.len()
        );
        for (t, port) in made.iter().zip(&call.ports) {
            ensure!(t.dim(0)? == rows, "`{port}` has {} rows of {rows} videos", t.dim(0)?);
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glad_nodes::Size;

    #[test]
    fn a_video_without_a_row_has_zeros_and_no_label() {
        let ty = |head: &str, dims: &[usize]| Type {
            head: head.into(),
            dims: std::iter::once(Size::Batch(1))
                .chain(dims.iter().map(|n| Size::Known(*n)))
                .collect(),
        };
        let rows = Tensor::new(&[[1f32, 2.], [3., 4.], [5., 6.]], &Device::Cpu).unwrap();
        let which = [Some(2), None, Some(0)];
        let found = taken(&rows, &which, &ty("Feature", &[2]), &Device::Cpu).unwrap();
        assert_eq!(found.to_vec2::<f32>().unwrap(), [[5., 6.], [0., 0.], [1., 2.]]);
        let labels = Tensor::new(&[0f32, 1., 7.], &Device::Cpu).unwrap();
        let found = taken(&labels, &which, &ty("Label", &[]), &Device::Cpu).unwrap();
        assert_eq!(found.to_vec1::<u32>().unwrap(), [7, UNLABELLED, 0]);
        let found = taken(&labels, &which, &ty("Mask", &[]), &Device::Cpu).unwrap();
        assert_eq!(found.to_vec1::<f32>().unwrap(), [7., 0., 0.]);
    }
}
