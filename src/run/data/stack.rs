//! From samples to the tensors of a batch.

use super::host::Sample;
use crate::program::{Program, ValueId};
use crate::run::staging::{Buffer, Sent, Staging};
use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use glad_nodes::{Head, HostValue, Side, Video};
use std::collections::HashMap;
use std::sync::Arc;

/// Stacks samples sample by sample as they come, so that none is held longer than it takes to copy it.
pub(crate) struct Stacker<'a> {
    program: &'a Program,
    staging: &'a dyn Staging,
    /// What crosses the boundary.
    ports: Vec<Port>,
}

struct Port {
    stream: usize,
    /// A sample's value; `None`: the video's place in its list.
    from: Option<ValueId>,
    /// The batch's.
    to: ValueId,
}

impl<'a> Stacker<'a> {
    /// For the batches of `program`, which are moved by `staging`.
    ///
    /// # Errors
    /// What crosses to the device is not connected.
    pub(crate) fn new(program: &'a Program, staging: &'a dyn Staging) -> Result<Stacker<'a>> {
        let mut ports = vec![];
        for call in program.calls.iter().filter(|c| c.side == Side::Boundary) {
            let Some(stream) = call.stream else {
                bail!("node `{}` makes batches of no stream", call.node);
            };
            for (port, id) in call.ports.iter().zip(&call.outputs) {
                let Some(to) = *id else { continue };
                if program.values[to.0].ty.head == Head::Index {
                    ports.push(Port { stream, from: None, to });
                    continue;
                }
                let from = *call
                    .inputs
                    .iter()
                    .find(|(p, _)| p == port)
                    .and_then(|(_, ids)| ids.first())
                    .with_context(|| format!("nothing is connected to `{port}` of node `{}`", call.node))?;
                let from = Some(from);
                ports.push(Port { stream, from, to });
            }
        }
        Ok(Stacker {
            program,
            staging,
            ports,
        })
    }

    /// An empty batch for at most so many samples of each stream.
    pub(crate) fn begin(&self, rows: &[usize]) -> Stack<'_> {
        Stack {
            stacker: self,
            rows: rows.to_vec(),
            columns: self.ports.iter().map(|_| None).collect(),
            videos: vec![vec![]; rows.len()],
        }
    }
}

/// A batch that is being stacked.
pub(crate) struct Stack<'a> {
    stacker: &'a Stacker<'a>,
    rows: Vec<usize>,
    /// By port; `None` before the first sample.
    columns: Vec<Option<Column>>,
    videos: Vec<Vec<Arc<Video>>>,
}

/// What one port has so far. Labels, lengths, places in lists and masks stay on the host, where losses look at them.
enum Column {
    Clips { shape: [usize; 5], bytes: Box<dyn Buffer> },
    Features { shape: [usize; 2], data: Vec<f32> },
    Labels(Vec<u32>),
    Lengths(Vec<u32>),
    Places(Vec<u32>),
    Masks(Vec<f32>),
}

impl Column {
    fn what(&self) -> &'static str {
        match self {
            Column::Clips { .. } => "clips",
            Column::Features { .. } => "features",
            Column::Labels(_) => "labels",
            Column::Lengths(_) => "lengths",
            Column::Places(_) => "places in a list",
            Column::Masks(_) => "masks",
        }
    }
}

impl<'a> Stack<'a> {
    /// Adds the next sample of a stream.
    ///
    /// # Errors
    /// The sample lacks a value, or one does not fit those before it.
    pub(crate) fn add(&mut self, stream: usize, sample: Sample) -> Result<()> {
        let Stacker {
            program,
            staging,
            ports,
        } = self.stacker;
        for (port, column) in ports.iter().zip(&mut self.columns).filter(|(p, _)| p.stream == stream) {
            let Some(from) = port.from else {
                place(column, sample.video.index, self.rows[stream])?;
                continue;
            };
            let name = || program.values[from.0].name.clone();
            let value = sample.values.get(&from);
            let value = value.with_context(|| format!("a sample has no {}", name()))?;
            add(column, value, self.rows[stream], *staging).with_context(|| program.values[port.to.0].name.clone())?;
        }
        self.videos[stream].push(sample.video);
        Ok(())
    }

    /// Sends what was stacked to the device.
    ///
    /// # Errors
    /// The device fails.
    pub(crate) fn send(self) -> Result<Staged> {
        let mut values = vec![];
        for (port, column) in self.stacker.ports.iter().zip(self.columns) {
            // A stream without samples gives no values.
            let Some(column) = column else { continue };
            let rows = self.videos[port.stream].len();
            let moving = match column {
                Column::Clips { shape, bytes } => {
                    let whole = std::iter::once(rows).chain(shape).collect();
                    Moving::Clips(bytes.send()?, whole)
                }
                Column::Features { shape, data } => {
                    let whole: Vec<usize> = std::iter::once(rows).chain(shape).collect();
                    let numbers = Tensor::from_vec(data, whole, &Device::Cpu)?;
                    Moving::There(numbers, self.stacker.staging.device())
                }
                Column::Labels(v) | Column::Lengths(v) | Column::Places(v) => {
                    Moving::Here(Tensor::from_vec(v, rows, &Device::Cpu)?)
                }
                Column::Masks(v) => Moving::Here(Tensor::from_vec(v, rows, &Device::Cpu)?),
            };
            values.push((port.to, moving));
        }
        Ok(Staged {
            values,
            videos: self.videos,
        })
    }
}

/// Adds the place of a sample's video in its list.
fn place(column: &mut Option<Column>, index: usize, rows: usize) -> Result<()> {
    let column = column.get_or_insert_with(|| Column::Places(Vec::with_capacity(rows)));
    let index = u32::try_from(index).with_context(|| format!("video {index} of a list"))?;
    match column {
        Column::Places(places) => places.push(index),
        other => bail!("a batch of {} holds something else", other.what()),
    }
    Ok(())
}

fn add(column: &mut Option<Column>, value: &HostValue, rows: usize, staging: &dyn Staging) -> Result<()> {
    let column = match column {
        Some(column) => column,
        None => column.insert(match value {
            HostValue::Clips(c) => Column::Clips {
                shape: c.shape,
                bytes: staging.buffer(rows * c.data.len())?,
            },
            HostValue::Features(f) => Column::Features {
                shape: f.shape,
                data: Vec::with_capacity(rows * f.data.len()),
            },
            HostValue::Label(_) => Column::Labels(Vec::with_capacity(rows)),
            HostValue::Length(_) => Column::Lengths(Vec::with_capacity(rows)),
            HostValue::Mask(_) => Column::Masks(Vec::with_capacity(rows)),
            other => bail!("{other:?} cannot cross to the device"),
        }),
    };
    match (&mut *column, value) {
        (Column::Clips { shape, bytes }, HostValue::Clips(c)) => {
            if c.shape != *shape {
                bail!(
                    "clips of {}×{} and of {}×{} pixels do not stack: crop or resize before `batch`",
                    shape[3],
                    shape[2],
                    c.shape[3],
                    c.shape[2]
                );
            }
            bytes.add(&c.data);
        }
        (Column::Features { shape, data }, HostValue::Features(f)) => {
            if f.shape != *shape {
                bail!(
                    "features of {}×{} and of {}×{} numbers do not stack",
                    shape[0],
                    shape[1],
                    f.shape[0],
                    f.shape[1]
                );
            }
            data.extend_from_slice(&f.data);
        }
        (Column::Labels(v), HostValue::Label(l)) => v.push(*l),
        (Column::Lengths(v), HostValue::Length(l)) => v.push(*l),
        (Column::Masks(v), HostValue::Mask(m)) => v.push(f32::from(u8::from(*m))),
        (column, _) => bail!("a batch of {} holds something else", column.what()),
    }
    Ok(())
}

/// A batch on its way to the device.
pub(crate) struct Staged {
    values: Vec<(ValueId, Moving)>,
    /// The videos of its rows, by stream.
    pub videos: Vec<Vec<Arc<Video>>>,
}

enum Moving {
    Clips(Box<dyn Sent>, Vec<usize>),
    /// Numbers, few enough to be copied when they are wanted.
    There(Tensor, Device),
    Here(Tensor),
}

impl Staged {
    /// The tensors, for work that the device is given from now on.
    ///
    /// # Errors
    /// The device fails.
    pub(crate) fn arrive(self) -> Result<HashMap<ValueId, Tensor>> {
        let arrive = |(id, moving)| {
            Ok(match moving {
                Moving::Clips(sent, shape) => (id, sent.arrive(&shape)?),
                Moving::There(tensor, device) => (id, tensor.to_device(&device)?),
                Moving::Here(tensor) => (id, tensor),
            })
        };
        self.values.into_iter().map(arrive).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{program, video};
    use super::*;
    use crate::run::staging::staging;
    use glad_nodes::{Clips, Features};

    fn sample(shape: [usize; 5], label: HostValue) -> Sample {
        let data = (0..shape.iter().product::<usize>()).map(|i| i as u8).collect();
        let clips = HostValue::Clips(Arc::new(Clips { shape, data }));
        Sample {
            video: video(0, "v"),
            values: HashMap::from([(ValueId(1), label), (ValueId(2), clips)]),
        }
    }

    #[test]
    fn what_does_not_stack_is_reported() {
        let program = program(Arc::default());
        let staging = staging(&Device::Cpu).unwrap();
        let stacker = Stacker::new(&program, staging.as_ref()).unwrap();
        let mut stack = stacker.begin(&[3]);
        stack.add(0, sample([1, 1, 4, 5, 3], HostValue::Label(1))).unwrap();
        let e = stack.add(0, sample([1, 1, 6, 7, 3], HostValue::Label(1))).unwrap_err();
        assert_eq!(
            format!("{e:#}"),
            "batch.clips: clips of 5×4 and of 7×6 pixels do not stack: crop or resize before `batch`"
        );
        let e = stack
            .add(0, sample([1, 1, 4, 5, 3], HostValue::Mask(true)))
            .unwrap_err();
        assert_eq!(format!("{e:#}"), "batch.label: a batch of labels holds something else");
        let mut none = sample([1, 1, 4, 5, 3], HostValue::Label(1));
        none.values.remove(&ValueId(2));
        let e = stacker.begin(&[1]).add(0, none).unwrap_err();
        assert_eq!(format!("{e:#}"), "a sample has no work.clips");
    }

    #[test]
    fn features_are_rows_of_one_size() {
        let program = program(Arc::default());
        let staging = staging(&Device::Cpu).unwrap();
        let stacker = Stacker::new(&program, staging.as_ref()).unwrap();
        let sample = |n: usize, first: f32| {
            let features = Features {
                shape: [n, 2],
                data: (0..2 * n).map(|i| first + i as f32).collect(),
            };
            Sample {
                video: video(0, "v"),
                values: HashMap::from([
                    (ValueId(1), HostValue::Label(7)),
                    (ValueId(2), HostValue::Features(Arc::new(features))),
                ]),
            }
        };
        let mut stack = stacker.begin(&[3]);
        stack.add(0, sample(2, 0.5)).unwrap();
        stack.add(0, sample(2, 9.0)).unwrap();
        let e = stack.add(0, sample(3, 0.0)).unwrap_err();
        assert_eq!(
            format!("{e:#}"),
            "batch.clips: features of 2×2 and of 3×2 numbers do not stack"
        );
        let mut stack = stacker.begin(&[3]);
        stack.add(0, sample(2, 0.5)).unwrap();
        stack.add(0, sample(2, 9.0)).unwrap();
        let values = stack.send().unwrap().arrive().unwrap();
        assert_eq!(values[&ValueId(4)].dims(), [2, 2, 2]);
        let all: Vec<f32> = values[&ValueId(4)].flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(all, [0.5, 1.5, 2.5, 3.5, 9., 10., 11., 12.]);
    }

    #[test]
    fn labels_stay_on_the_host_and_a_batch_of_nothing_has_no_values() {
        let program = program(Arc::default());
        let staging = staging(&Device::Cpu).unwrap();
        let stacker = Stacker::new(&program, staging.as_ref()).unwrap();
        assert!(stacker.begin(&[3]).send().unwrap().arrive().unwrap().is_empty());
        let mut stack = stacker.begin(&[3]);
        stack.add(0, sample([1, 1, 1, 2, 3], HostValue::Label(7))).unwrap();
        let values = stack.send().unwrap().arrive().unwrap();
        assert_eq!(values[&ValueId(3)].to_vec1::<u32>().unwrap(), [7]);
        assert_eq!(values[&ValueId(4)].dims(), [1, 1, 1, 1, 2, 3]);
    }
}
