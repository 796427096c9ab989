//! The gradient of the weights.

use super::blocks::whole_lines;
use super::gather::Gather;
use super::kernels::{Kernels, Outer, Panel};
use super::shape::Conv;
use super::stage::with_stage;
use crate::error::{Result, check_len};
use crate::isa;
use crate::parallel::{self, Shared};
use crate::scratch;

const OP: &str = "weight gradient of a convolution";

/// Source and output values of a chunk of rows, about, if that gives 128 to 512 rows: fewer cost traffic for the sums.
const CHUNK_VALUES: usize = 96 * 1024;
/// Values that all partial gradients together may hold.
const PARTIAL_VALUES: usize = 1 << 20;
/// Rows are split at most this often.
const MOST_SPLITS: usize = 32;

/// `dw = Σ x · dy` in the layout of the weights, `[co, ci / groups, kt, kh, kw]`.
///
/// Rows are summed in chunks and splits that depend on the shape alone.
///
/// # Errors
/// The shape makes no sense, or a buffer's length is not the shape's.
pub fn backward_weight(conv: &Conv, x: &[f32], dy: &[f32], dw: &mut [f32]) -> Result<()> {
    conv.validate()?;
    check_len(OP, "x", x.len(), conv.input_len())?;
    check_len(OP, "dy", dy.len(), conv.output_len())?;
    check_len(OP, "dw", dw.len(), conv.weight_len())?;
    let g = Gather::forward(conv);
    let plan = Plan::new(conv, &g);
    let mut sums = scratch::take(plan.splits * conv.groups * plan.sum_len());
    plan.accumulate(&g, x, dy, &mut sums);
    plan.collect(conv, &g, &sums, dw);
    Ok(())
}

struct Plan {
    kernels: &'static Kernels,
    panels: Vec<Panel>,
    /// Channels of `dy` per group, in all, and per group padded to whole vectors.
    columns: usize,
    channels: usize,
    padded: usize,
    depth: usize,
    groups: usize,
    /// Rows of a chunk, chunks, and the number of independent sums they go to.
    chunk: usize,
    chunks: usize,
    splits: usize,
}

impl Plan {
    fn new(conv: &Conv, g: &Gather) -> Self {
        let kernels = Kernels::of(isa::current());
        let columns = conv.co / conv.groups;
        let most = kernels.outers.len();
        let vectors = columns.div_ceil(kernels.lanes);
        // Panels of two vectors reuse the source best, unless three hold all columns.
        let panels = kernels.panels(columns, if vectors <= most { most } else { 2 });
        let padded = panels.iter().map(|panel| panel.width).sum::<usize>();
        let depth = g.depth();
        let chunk = whole_lines(g, (CHUNK_VALUES / (g.channels + columns)).clamp(128, 512));
        let chunks = g.rows().div_ceil(chunk);
        let splits = (PARTIAL_VALUES / (depth * padded * conv.groups))
            .clamp(1, MOST_SPLITS)
            .min(chunks);
        Self {
            kernels,
            panels,
            columns,
            channels: conv.co,
            padded,
            depth,
            groups: conv.groups,
            chunk,
            chunks,
            splits,
        }
    }

    fn sum_len(&self) -> usize {
        self.depth * self.padded
    }

    /// Sums `[group][split][depth][padded]`.
    fn accumulate(&self, g: &Gather, x: &[f32], dy: &[f32], sums: &mut [f32]) {
        let threads = rayon::current_num_threads();
        let units = self.groups * self.splits;
        // Panels shared between threads change no sum.
        let shares = if threads == 1 {
            1
        } else {
            (3 * threads).div_ceil(units).min(self.panels.len())
        };
        let share = self.panels.len().div_ceil(shares);
        let shares = self.panels.len().div_ceil(share);
        let sums = Shared::new(sums);
        let work = g.rows() * self.groups * (self.depth + self.columns);
        parallel::run(units * shares, work, |task| {
            let (at, rest) = (task % shares, task / shares);
            let (split, group) = (rest % self.splits, rest / self.splits);
            let mine = &self.panels[at * share..((at + 1) * share).min(self.panels.len())];
            let sum = sums.ptr().wrapping_add((group * self.splits + split) * self.sum_len());
            let from = split * self.chunks / self.splits;
            let to = (split + 1) * self.chunks / self.splits;
            for chunk in from..to {
                self.accumulate_chunk(g, x, dy, group, mine, chunk, chunk > from, sum);
            }
        });
    }

    #[allow(clippy::too_many_arguments)]
    fn accumulate_chunk(
        &self,
        g: &Gather,
        x: &[f32],
        dy: &[f32],
        group: usize,
        mine: &[Panel],
        chunk: usize,
        add: bool,
        sum: *mut f32,
    ) {
        let (start, rows) = parallel::chunk_of(g.rows(), self.chunk, chunk);
        with_stage(|stage| {
            stage.fill(g, x, group, start, start + rows, 16);
            let (pointers, run_stride) = stage.pointers();
            let run_len = g.run_len();
            for panel in mine {
                let column = group * self.columns + panel.at;
                let packed;
                let (b, b_stride) = if panel.columns == panel.width && self.channels <= 64 {
                    (dy[start * self.channels + column..].as_ptr(), self.channels)
                } else {
                    packed = pack_rows(&dy[start * self.channels..], self.channels, column, rows, panel);
                    (packed.as_ptr(), panel.width)
                };
                let (height, kernel) = self.kernels.outer(panel.vectors, run_len);
                for run in 0..g.runs.len() {
                    for piece in (0..run_len).step_by(height) {
                        // The last piece is moved back to end with the run; what it repeats is not added again.
                        let at = piece.min(run_len - height);
                        let outer = Outer {
                            a: pointers.wrapping_add(run * run_stride),
                            at,
                            rows,
                            b,
                            b_stride,
                            c: sum.wrapping_add((run * run_len + at) * self.padded + panel.at),
                            c_stride: self.padded,
                            skip: piece - at,
                            add,
                        };
                        // SAFETY: the table points at `rows` runs (and has 16 spare entries), `at + height` is at most
                        // a run's length, `b` holds `rows` panels, and the sums' columns are this task's alone.
                        unsafe { kernel(&outer) };
                    }
                }
            }
        });
    }

    /// Adds the splits in order and puts the taps where the weights have them.
    fn collect(&self, conv: &Conv, g: &Gather, sums: &[f32], dw: &mut [f32]) {
        let (ci, taps, len) = (g.channels, conv.taps(), self.sum_len());
        const COLUMNS: usize = 16;
        let per_group = self.columns.div_ceil(COLUMNS);
        let block = (256 / taps).max(1);
        let dw = Shared::new(dw);
        parallel::run(self.groups * per_group, sums.len(), |task| {
            let (group, j0) = (task / per_group, task % per_group * COLUMNS);
            let columns = COLUMNS.min(self.columns - j0);
            let sums = &sums[group * self.splits * len..][..self.splits * len];
            // SAFETY: these are the filters of this task's columns alone.
            let filters = unsafe { dw.part((group * self.columns + j0) * ci * taps, columns * ci * taps) };
            // Filters lie far apart: a block of each is put together in the cache and then written at once.
            let mut blocks = scratch::take(COLUMNS * block * taps);
            for c0 in (0..ci).step_by(block) {
                let count = block.min(ci - c0);
                for (order, &tap) in g.taps.iter().enumerate() {
                    for c in 0..count {
                        let mut total = [0.0f32; COLUMNS];
                        for split in sums.chunks_exact(len) {
                            let line = &split[(order * ci + c0 + c) * self.padded + j0..][..columns];
                            for (total, value) in total.iter_mut().zip(line) {
                                *total += value;
                            }
                        }
                        for (j, value) in total.into_iter().enumerate() {
                            blocks[(j * block + c) * taps + tap] = value;
                        }
                    }
                }
                for j in 0..columns {
                    filters[(j * ci + c0) * taps..][..count * taps]
                        .copy_from_slice(&blocks[j * block * taps..][..count * taps]);
                }
            }
        });
    }
}

/// The panel's columns of each row, one behind the other, filled up with zeros.
fn pack_rows(dy: &[f32], channels: usize, column: usize, rows: usize, panel: &Panel) -> scratch::Scratch {
    let mut packed = scratch::take(rows * panel.width);
    for (row, line) in packed.chunks_exact_mut(panel.width).enumerate() {
        let (values, rest) = line.split_at_mut(panel.columns);
        values.copy_from_slice(&dy[row * channels + column..][..panel.columns]);
        rest.fill(0.0);
    }
    packed
}
