//! The cell of a long short-term memory, behind the products with its weights.

use crate::kernel::{floats, tensor};
use crate::model::activation::sigmoid;
use anyhow::Result;
use candle_core::Tensor;
use glad_ops::buffer;
use glad_ops::elementwise::{Unary, unary};
use rayon::prelude::*;

/// What a step leaves, all of it `[rows, width]` but the gates.
pub(crate) struct State {
    /// Its output `h = o tanh c`.
    pub h: Tensor,
    /// Its memory `c`.
    pub c: Tensor,
    /// `tanh c`.
    bounded: Tensor,
    /// i, f, g and o behind their functions, `[rows, 4·width]`.
    gates: Tensor,
}

impl State {
    /// Before the first step: zeros.
    pub(crate) fn start(like: &Tensor) -> Result<State> {
        let zero = like.zeros_like()?;
        Ok(State {
            h: zero.clone(),
            c: zero.clone(),
            bounded: zero.clone(),
            gates: zero,
        })
    }
}

/// Rows that a thread takes at least, so that it is worth waking.
fn rows_at_least(width: usize) -> usize {
    4096usize.div_ceil(width)
}

/// A step from the gates' sums `z` `[rows, 4·width]`, in PyTorch's order i, f, g, o, and the state before:
/// `c = σ(f) c' + σ(i) tanh(g)`, `h = σ(o) tanh c`.
pub(crate) fn step(z: &Tensor, before: &State) -> Result<State> {
    let (rows, width) = before.c.dims2()?;
    if !z.device().is_cpu() {
        let part = |n: usize| z.narrow(1, n * width, width);
        let (i, f, o) = (sigmoid(&part(0)?)?, sigmoid(&part(1)?)?, sigmoid(&part(3)?)?);
        let g = part(2)?.tanh()?;
        let c = ((&f * &before.c)? + (&i * &g)?)?;
        let bounded = c.tanh()?;
        return Ok(State {
            h: (&o * &bounded)?,
            gates: Tensor::cat(&[i, f, g, o], 1)?,
            c,
            bounded,
        });
    }
    let (z, old) = (floats(z)?, floats(&before.c)?);
    let [mut h, mut c, mut bounded] = [(); 3].map(|()| buffer(rows * width));
    let mut gates = buffer(4 * rows * width);
    (gates.par_chunks_mut(4 * width).zip(h.par_chunks_mut(width)))
        .zip(c.par_chunks_mut(width).zip(bounded.par_chunks_mut(width)))
        .zip(z.par_chunks(4 * width).zip(old.par_chunks(width)))
        .with_min_len(rows_at_least(width))
        .for_each(|(((gates, h), (c, bounded)), (z, old))| {
            unary(Unary::Sigmoid, &z[..2 * width], &mut gates[..2 * width]);
            unary(Unary::Tanh, &z[2 * width..3 * width], &mut gates[2 * width..3 * width]);
            unary(Unary::Sigmoid, &z[3 * width..], &mut gates[3 * width..]);
            let [i, f, g, o] = quarters(gates, width);
            for ((c, old), ((i, f), g)) in c.iter_mut().zip(old).zip(i.iter().zip(f).zip(g)) {
                *c = f * old + i * g;
            }
            unary(Unary::Tanh, c, bounded);
            for ((h, o), bounded) in h.iter_mut().zip(o).zip(&*bounded) {
                *h = o * bounded;
            }
        });
    let device = before.c.device();
    Ok(State {
        h: tensor(h, (rows, width), device)?,
        c: tensor(c, (rows, width), device)?,
        bounded: tensor(bounded, (rows, width), device)?,
        gates: tensor(gates, (rows, 4 * width), device)?,
    })
}

/// The four gates of a row.
fn quarters(row: &[f32], width: usize) -> [&[f32]; 4] {
    [0, 1, 2, 3].map(|n| &row[n * width..(n + 1) * width])
}

/// The gradients of `z` and of the memory before, from that of the output and that of the memory, which the step after gave.
pub(crate) fn back(state: &State, before: &State, dh: &Tensor, dc: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
    let (rows, width) = before.c.dims2()?;
    if !dh.device().is_cpu() {
        return back_by_candle(state, before, dh, dc);
    }
    let (gates, bounded, old) = (floats(&state.gates)?, floats(&state.bounded)?, floats(&before.c)?);
    let dh = floats(dh)?;
    let later = dc.map(floats).transpose()?;
    let (mut dz, mut dold) = (buffer(4 * rows * width), buffer(rows * width));
    (dz.par_chunks_mut(4 * width).zip(dold.par_chunks_mut(width)))
        .zip(gates.par_chunks(4 * width).zip(bounded.par_chunks(width)))
        .zip(old.par_chunks(width).zip(dh.par_chunks(width)))
        .enumerate()
        .with_min_len(rows_at_least(width))
        .for_each(|(row, (((dz, dold), (gates, bounded)), (old, dh)))| {
            let later = later.as_deref().map(|all| &all[row * width..(row + 1) * width]);
            let [i, f, g, o] = quarters(gates, width);
            let (dif, dgo) = dz.split_at_mut(2 * width);
            let ((di, df), (dg, d_o)) = (dif.split_at_mut(width), dgo.split_at_mut(width));
            for (k, dold) in dold.iter_mut().enumerate() {
                let dc = later.map_or(0.0, |all| all[k]) + dh[k] * o[k] * (1.0 - bounded[k] * bounded[k]);
                di[k] = dc * g[k] * i[k] * (1.0 - i[k]);
                df[k] = dc * old[k] * f[k] * (1.0 - f[k]);
                dg[k] = dc * i[k] * (1.0 - g[k] * g[k]);
                d_o[k] = dh[k] * bounded[k] * o[k] * (1.0 - o[k]);
                *dold = dc * f[k];
            }
        });
    let device = before.c.device();
    Ok((
        tensor(dz, (rows, 4 * width), device)?,
        tensor(dold, (rows, width), device)?,
    ))
}

fn back_by_candle(state: &State, before: &State, dh: &Tensor, dc: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
    let width = before.c.dim(1)?;
    let gate = |n: usize| state.gates.narrow(1, n * width, width);
    let (i, f, g, o) = (gate(0)?, gate(1)?, gate(2)?, gate(3)?);
    // The slopes of both functions, from their values.
    let sigmoid = |y: &Tensor| y - y.sqr()?;
    let tanh = |y: &Tensor| y.sqr()?.affine(-1.0, 1.0);
    let own = ((dh * &o)? * tanh(&state.bounded)?)?;
    let dc = match dc {
        Some(later) => (later + own)?,
        None => own,
    };
    let di = ((&dc * &g)? * sigmoid(&i)?)?;
    let df = ((&dc * &before.c)? * sigmoid(&f)?)?;
    let dg = ((&dc * &i)? * tanh(&g)?)?;
    let d_o = ((dh * &state.bounded)? * sigmoid(&o)?)?;
    Ok((Tensor::cat(&[di, df, dg, d_o], 1)?, (dc * f)?))
}
