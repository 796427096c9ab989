//! The gradient of the weights.

use super::blocks::whole_lines;
use super::fold::Fold;
use super::gather::Gather;
use super::kernels::{Kernels, Outer, Panel};
use super::shape::Conv;
use super::stage::with_stage;
use super::turn::PanelSums;
use super::winograd::{Sums, Tiles};
use crate::error::{Result, check_len};
use crate::isa::{self, Isa, per_isa};
use crate::parallel::{self, Shared};
use crate::scratch;

const OP: &str = "weight gradient of a convolution";

/// Source and output values of a chunk of rows (approximately), if that gives 128 to 512 rows: fewer cost traffic for the sums.
const CHUNK_VALUES: usize = 160 * 1024;
/// Values that all partial gradients together may hold.
const PARTIAL_VALUES: usize = 1 << 20;
/// Columns of output gradients that are used together: they stay in the second-level cache.
const GROUP: usize = 256;
/// Rows up to which turning the sums costs more than what the order of the factors saves.
const FEW_ROWS: usize = 256;
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
    if let Some(fold) = Fold::of(conv) {
        let mut folded = scratch::take(fold.folded.weight_len());
        backward_weight(&fold.folded, &fold.input(x), dy, &mut folded)?;
        fold.weight_grads(&folded, dw);
        return Ok(());
    }
    let g = Gather::forward(conv);
    let mut plan = Plan::new(conv, &g);
    if let Some(tiles) = Tiles::of(&g, conv.co) {
        plan.splits = 1;
        let mut sums = scratch::take(plan.sum_len());
        let pass = Sums {
            kernels: plan.kernels,
            g: &g,
            tiles: &tiles.for_sums(),
            panels: &plan.panels,
            channels: conv.co,
        };
        pass.gradient(x, dy, &mut sums);
        plan.collect(conv, &g, &sums, dw);
        return Ok(());
    }
    if let Some(turned) = turned(conv, &g) {
        let g = Gather::forward(&turned);
        let plan = Plan {
            lines: true,
            ..Plan::new(&turned, &g)
        };
        plan.in_place(&g, dy, x, dw);
        return Ok(());
    }
    let mut sums = scratch::take(plan.splits * conv.groups * plan.sum_len());
    plan.accumulate(&g, x, dy, &mut sums);
    plan.collect(conv, &g, &sums, dw);
    Ok(())
}

/// The convolution whose weight gradient is that of `conv` with filters and channels exchanged, if that pays: for a kernel
/// of one pixel its sums then have the order of the weights, and of the two tensors the one that is copied for each
/// chunk is the smaller.
fn turned(conv: &Conv, g: &Gather) -> Option<Conv> {
    let rows = g.rows();
    let pixels_alone = conv.taps() == 1 && conv.groups == 1 && g.grid == [1, 1, rows] && g.src_dims == g.grid;
    // All panels are full vectors.
    let whole = conv.ci.is_multiple_of(Kernels::of(isa::current()).lanes);
    let pays = conv.co >= conv.ci || rows <= FEW_ROWS;
    (pixels_alone && whole && pays).then(|| Conv::new_2d(1, [1, rows], conv.co, conv.ci, 1, 1, 0))
}

/// Values of the sums that a weight gradient gathers.
pub(super) fn sums_len(conv: &Conv) -> usize {
    let g = Gather::forward(conv);
    let plan = Plan::new(conv, &g);
    let splits = if Tiles::of(&g, conv.co).is_some() {
        1
    } else {
        plan.splits
    };
    splits * conv.groups * plan.sum_len()
}

struct Plan {
    isa: Isa,
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
    /// Whether sums are lines of all columns, `[depth][padded]`, instead of `[panel][depth][width]`.
    lines: bool,
}

impl Plan {
    fn new(conv: &Conv, g: &Gather) -> Self {
        let isa = isa::current();
        let kernels = Kernels::of(isa);
        let columns = conv.co / conv.groups;
        let most = kernels.outers.len();
        let vectors = columns.div_ceil(kernels.lanes);
        // Panels of two vectors reuse the source best, unless three hold all columns.
        let panels = kernels.panels(columns, if vectors <= most { most } else { 2 });
        let padded = panels.iter().map(|panel| panel.width).sum::<usize>();
        let depth = g.depth();
        let least = if depth * padded > 1 << 19 { 384 } else { 128 };
        let chunk = whole_lines(g, (CHUNK_VALUES / (g.channels + columns.min(GROUP))).clamp(least, 512));
        let chunks = g.rows().div_ceil(chunk);
        let splits = (PARTIAL_VALUES / (depth * padded * conv.groups))
            .clamp(1, MOST_SPLITS)
            .min(chunks);
        Self {
            isa,
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
            lines: false,
        }
    }

    fn sum_len(&self) -> usize {
        self.depth * self.padded
    }

    /// Where the sums of a panel begin, and how far apart its lines are.
    fn place(&self, panel: &Panel) -> (usize, usize) {
        match self.lines {
            true => (panel.at, self.padded),
            false => (panel.at * self.depth, panel.width),
        }
    }

    /// Sums in lines, straight into `dw` where there is one split.
    fn in_place(&self, g: &Gather, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        if self.splits == 1 {
            return self.accumulate(g, x, dy, dw);
        }
        let len = self.sum_len();
        let mut sums = scratch::take(self.splits * len);
        self.accumulate(g, x, dy, &mut sums);
        let (sums, into) = (&sums[..], Shared::new(dw));
        parallel::run(len.div_ceil(PIECE), self.splits * len, |i| {
            let (at, piece) = parallel::chunk_of(len, PIECE, i);
            // SAFETY: pieces are disjoint, and `dw` has the sums' length.
            let dw = unsafe { into.part(at, piece) };
            dw.copy_from_slice(&sums[at..at + piece]);
            for split in sums.chunks_exact(len).skip(1) {
                add(self.isa, &split[at..at + piece], dw);
            }
        });
    }

    /// Sums `[group][split][panel][depth][width]`.
    fn accumulate(&self, g: &Gather, x: &[f32], dy: &[f32], sums: &mut [f32]) {
        let threads = rayon::current_num_threads();
        let units = self.groups * self.splits;
        // Splitting panels between threads changes no sum.
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
            stage.fill(self.isa, g, x, group, start..start + rows, 32);
            let (pointers, run_stride) = stage.pointers();
            let (run_len, live) = (g.run_len(), stage.live());
            for panels in mine.chunk_by(|a, b| a.at / GROUP == b.at / GROUP) {
                let first = &panels[0];
                let column = group * self.columns + first.at;
                let padded = panels.iter().any(|panel| panel.columns < panel.width);
                let packed = (padded || self.channels > 64).then(|| {
                    pack_rows(
                        self.isa,
                        &dy[start * self.channels + column..],
                        self.channels,
                        rows,
                        panels,
                    )
                });
                if !add {
                    for run in (0..live.start).chain(live.end..g.runs.len()) {
                        for panel in panels {
                            let (at, stride) = self.place(panel);
                            for line in run * run_len..(run + 1) * run_len {
                                // SAFETY: the sums' columns are this task's alone.
                                unsafe { sum.add(at + line * stride).write_bytes(0, panel.width) };
                            }
                        }
                    }
                }
                for run in live.clone() {
                    // Panels of one width, which is all but the last, share the pieces of the run in the cache.
                    for panels in panels.chunk_by(|a, b| a.vectors == b.vectors) {
                        let (height, kernel) = self.kernels.outer(panels[0].vectors, run_len);
                        for piece in (0..run_len).step_by(height) {
                            // The last piece is moved back to end with the run; what it repeats is not added again.
                            let at = piece.min(run_len - height);
                            for panel in panels {
                                let (b, b_stride) = match &packed {
                                    Some(packed) => (packed[(panel.at - first.at) * rows..].as_ptr(), panel.width),
                                    None => {
                                        let column = group * self.columns + panel.at;
                                        (dy[start * self.channels + column..].as_ptr(), self.channels)
                                    }
                                };
                                let (start, stride) = self.place(panel);
                                let outer = Outer {
                                    a: pointers.wrapping_add(run * run_stride),
                                    at,
                                    rows,
                                    b,
                                    b_stride,
                                    c: sum.wrapping_add(start + (run * run_len + at) * stride),
                                    c_stride: stride,
                                    skip: piece - at,
                                    add,
                                };
                                // SAFETY: the table points at `rows` runs (and has spare entries to look ahead at),
                                // `at + height` is at most a run's length, `b` holds `rows` panels, and the sums'
                                // columns are this task's alone.
                                unsafe { kernel(&outer) };
                            }
                        }
                    }
                }
            }
        });
    }

    /// Adds the splits in order and puts the taps where the weights have them.
    fn collect(&self, conv: &Conv, g: &Gather, sums: &[f32], dw: &mut [f32]) {
        let (ci, taps, len) = (g.channels, conv.taps(), self.sum_len());
        let mut order = vec![0; taps];
        g.taps.iter().enumerate().for_each(|(at, &tap)| order[tap] = at);
        // A filter is (channel, tap), each of which is a line of the sums.
        let lines: Vec<usize> = (0..ci * taps).map(|at| order[at % taps] * ci + at / taps).collect();
        let count = self.panels.len();
        let dw = Shared::new(dw);
        parallel::run(self.groups * count, sums.len(), |task| {
            let (group, panel) = (task / count, &self.panels[task % count]);
            let first = group * self.columns + panel.at;
            // SAFETY: these are the filters of this task's columns alone.
            let filters = unsafe { dw.part(first * lines.len(), panel.columns * lines.len()) };
            let sums = PanelSums {
                sums: &sums[group * self.splits * len..][..self.splits * len],
                split: len,
                at: panel.at * self.depth,
                width: panel.width,
                columns: panel.columns,
            };
            sums.turn(self.isa, &lines, filters);
        });
    }
}

/// Values that a task adds up.
const PIECE: usize = 1 << 14;

per_isa! {
    fn add(part: &[f32], all: &mut [f32]) {
        all.iter_mut().zip(part).for_each(|(all, part)| *all += part);
    }
}

/// The panels one after the other, each with its columns of all rows, padded with zeros. `dy` starts at the first
/// column.
fn pack_rows(isa: Isa, dy: &[f32], channels: usize, rows: usize, panels: &[Panel]) -> scratch::Scratch {
    let mut packed = scratch::take(rows * panels.iter().map(|panel| panel.width).sum::<usize>());
    copy_columns(isa, dy, channels, rows, panels, &mut packed);
    packed
}

per_isa! {
    fn copy_columns(from: &[f32], channels: usize, rows: usize, panels: &[Panel], to: &mut [f32]) {
        // Row by row, because that is how memory streams.
        for row in 0..rows {
            for panel in panels {
                let at = panel.at - panels[0].at;
                let line = &mut to[at * rows + row * panel.width..][..panel.width];
                let (values, rest) = line.split_at_mut(panel.columns);
                let from = &from[row * channels + at..][..panel.columns];
                // Fixed sizes become a few moves; a call for each row would cost more than it copies.
                let (pieces, end) = values.as_chunks_mut::<16>();
                let (from_pieces, from_end) = from.as_chunks::<16>();
                pieces.iter_mut().zip(from_pieces).for_each(|(to, from)| *to = *from);
                end.iter_mut().zip(from_end).for_each(|(to, from)| *to = *from);
                rest.iter_mut().for_each(|to| *to = 0.0);
            }
        }
    }
}
