//! From samples to the tensors of a batch.

use super::host::Sample;
use crate::plan::{Program, ValueId};
use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use glad_nodes::{HostValue, Side};
use std::collections::HashMap;

/// Stacks the samples of each stream (`samples[stream]`) and puts what crosses the boundary on the device.
/// A stream without samples gives no values.
pub fn collate(program: &Program, samples: &[Vec<Sample>], device: &Device) -> Result<HashMap<ValueId, Tensor>> {
    let mut out = HashMap::new();
    for call in program.calls.iter().filter(|c| c.side == Side::Boundary) {
        let Some(stream) = call.stream else {
            bail!("node `{}` makes batches of no stream", call.node);
        };
        let rows = &samples[stream];
        if rows.is_empty() {
            continue;
        }
        for (port, id) in call.ports.iter().zip(&call.outputs) {
            let Some(id) = id else { continue };
            let from = call
                .inputs
                .iter()
                .find(|(p, _)| p == port)
                .and_then(|(_, ids)| ids.first())
                .with_context(|| format!("nothing is connected to `{port}` of node `{}`", call.node))?;
            let values = rows
                .iter()
                .map(|r| {
                    r.values
                        .get(from)
                        .with_context(|| format!("a sample has no {}", program.values[from.0].name))
                })
                .collect::<Result<Vec<_>>>()?;
            out.insert(
                *id,
                stack(&values, device).with_context(|| program.values[from.0].name.clone())?,
            );
        }
    }
    Ok(out)
}

fn stack(values: &[&HostValue], device: &Device) -> Result<Tensor> {
    let n = values.len();
    Ok(match values[0] {
        HostValue::Clips(first) => {
            let mut data = Vec::with_capacity(n * first.data.len());
            for v in values {
                match v {
                    HostValue::Clips(c) if c.shape == first.shape => data.extend_from_slice(&c.data),
                    HostValue::Clips(c) => bail!(
                        "clips of {}×{} and of {}×{} pixels do not stack: crop or resize before `batch`",
                        first.shape[3],
                        first.shape[2],
                        c.shape[3],
                        c.shape[2]
                    ),
                    _ => bail!("a batch of clips holds something else"),
                }
            }
            let [c, t, h, w, ch] = first.shape;
            Tensor::from_vec(data, (n, c, t, h, w, ch), device)?
        }
        HostValue::Label(_) => {
            let data = values
                .iter()
                .map(|v| match v {
                    HostValue::Label(l) => Ok(*l),
                    _ => bail!("a batch of labels holds something else"),
                })
                .collect::<Result<Vec<u32>>>()?;
            Tensor::from_vec(data, n, device)?
        }
        HostValue::Length(_) => {
            let data = values
                .iter()
                .map(|v| match v {
                    HostValue::Length(l) => Ok(*l),
                    _ => bail!("a batch of lengths holds something else"),
                })
                .collect::<Result<Vec<u32>>>()?;
            Tensor::from_vec(data, n, device)?
        }
        HostValue::Mask(_) => {
            let data = values
                .iter()
                .map(|v| match v {
                    HostValue::Mask(m) => Ok(*m as u8 as f32),
                    _ => bail!("a batch of masks holds something else"),
                })
                .collect::<Result<Vec<f32>>>()?;
            Tensor::from_vec(data, n, device)?
        }
        other => bail!("{other:?} cannot cross to the device"),
    })
}
