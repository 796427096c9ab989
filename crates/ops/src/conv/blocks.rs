//! The gather-GEMM over blocks of output pixels: forward pass and input gradient.

use super::gather::Gather;
use super::kernels::{Kernels, Panel, Tile, TileKernel};
use super::pack::Panels;
use super::stage::with_stage;
use super::winograd::{self, Tiles};
use crate::parallel::{self, Shared};
use std::ops::Range;

/// Source values that a block may keep in the second-level cache.
const BLOCK_VALUES: usize = 96 * 1024;
/// Weights that a pass over a block's rows keeps in the first-level cache.
pub(super) const CACHED_WEIGHTS: usize = 8 * 1024;
/// Rows of a block: a multiple of every kernel's height, where the width of a line allows.
const ROW_UNIT: usize = 24;

/// The output pixels of a pass, cut into blocks: depends on the shape alone, because moments are summed block by block.
#[derive(Clone, Copy, Debug)]
struct Blocks {
    rows: usize,
    size: usize,
    count: usize,
}

impl Blocks {
    fn of(g: &Gather) -> Blocks {
        let (rows, size) = (g.rows(), block_rows(g));
        // A rest of few rows joins the block before it: a block of its own would read all weights for them, and leave a
        // thread with little to do.
        let (whole, rest) = (rows / size, rows % size);
        let count = match whole > 0 && 4 * rest <= size {
            true => whole,
            false => rows.div_ceil(size),
        };
        Blocks { rows, size, count }
    }

    fn at(self, i: usize) -> Range<usize> {
        let end = if i + 1 == self.count {
            self.rows
        } else {
            (i + 1) * self.size
        };
        i * self.size..end
    }
}

/// Rows per block.
fn block_rows(g: &Gather) -> usize {
    // Each pixel brings in so many new values.
    let fresh = (g.src_step[1] * g.src_step[2] * g.channels).clamp(1, g.depth());
    let fit = (BLOCK_VALUES / fresh).clamp(48, 960);
    // Enough blocks for some threads, if rows are few.
    whole_lines(g, fit.min(g.rows().div_ceil(16).max(48)))
}

/// At most `fit` rows, whole lines of whole tiles as far as they go into that.
pub(super) fn whole_lines(g: &Gather, fit: usize) -> usize {
    let width = g.grid[2];
    let unit = [lcm(width, ROW_UNIT), width, ROW_UNIT]
        .into_iter()
        .find(|&unit| unit <= fit)
        .unwrap_or(ROW_UNIT);
    fit / unit * unit
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

/// Pieces of the depth of `live` runs whose weights fit the first-level cache: (first run, runs, start in a run, length).
fn segments(g: &Gather, live: Range<usize>, width: usize) -> Vec<(usize, usize, usize, usize)> {
    let fit = CACHED_WEIGHTS / width;
    let len = g.run_len();
    if len >= fit {
        let pieces = len.div_ceil(fit);
        let size = len.div_ceil(pieces);
        let cut = move |run| (0..len).step_by(size).map(move |k0| (run, 1, k0, size.min(len - k0)));
        live.flat_map(cut).collect()
    } else {
        let passes = live.len().div_ceil(fit / len);
        let size = live.len().div_ceil(passes);
        let end = live.end;
        live.step_by(size)
            .map(|run| (run, size.min(end - run), 0, len))
            .collect()
    }
}

/// Where a pass writes, and what it does to each value on the way.
pub(super) struct Target<'a> {
    pub out: Shared<f32>,
    /// Channels of an output pixel, over all groups.
    pub channels: usize,
    pub add: bool,
    pub bias: Option<&'a [f32]>,
    pub relu: bool,
    /// `[block][panel][3][width]` per group, as [`Tile::moments`] lays it out.
    pub moments: Option<Shared<f32>>,
}

/// Output pixels of each block of a pass with `columns` output channels, for sums block by block.
pub(super) fn block_sizes(g: &Gather, columns: usize) -> Vec<usize> {
    if let Some(tiles) = Tiles::of(g, columns) {
        return (0..tiles.blocks()).map(|block| tiles.pixels(block)).collect();
    }
    let blocks = Blocks::of(g);
    (0..blocks.count).map(|i| blocks.at(i).len()).collect()
}

/// Multiplies every row of the gather; the caller has checked all lengths.
pub(super) fn multiply(kernels: &Kernels, g: &Gather, panels: &Panels, src: &[f32], target: &Target) {
    let columns = panels.list.iter().map(|panel| panel.columns).sum();
    if let Some(tiles) = Tiles::of(g, columns) {
        return winograd::multiply(kernels, g, &tiles, panels, src, target);
    }
    let blocks = Blocks::of(g);
    // More threads than blocks split the panels of a block; this changes no sum.
    let threads = rayon::current_num_threads();
    let shares = if threads == 1 {
        1
    } else {
        (3 * threads).div_ceil(blocks.count * g.groups).min(panels.list.len())
    };
    let work = blocks.rows * g.groups * (g.depth() + target.channels);
    parallel::run(blocks.count * shares * g.groups, work, |task| {
        let (at, rest) = (task % shares, task / shares);
        let (block, group) = (rest % blocks.count, rest / blocks.count);
        let count = panels.list.len();
        let mine = &panels.list[at * count / shares..(at + 1) * count / shares];
        multiply_block(kernels, g, panels, mine, src, target, group, block, blocks.at(block));
    });
}

#[allow(clippy::too_many_arguments)]
fn multiply_block(
    kernels: &Kernels,
    g: &Gather,
    panels: &Panels,
    mine: &[Panel],
    src: &[f32],
    target: &Target,
    group: usize,
    block: usize,
    rows: Range<usize>,
) {
    let columns: usize = panels.list.iter().map(|panel| panel.columns).sum();
    let padded: usize = panels.list.iter().map(|panel| panel.width).sum();
    let tallest = kernels.tiles.iter().map(|tile| tile.height).max().unwrap_or(1);
    with_stage(|stage| {
        stage.fill(kernels.isa, g, src, group, rows.clone(), tallest);
        stage.fill_outputs(kernels.isa, g, target.out.ptr(), target.channels, rows.clone());
        let (pointers, run_stride) = stage.pointers();
        let count = rows.len();
        // Three rows from a multiple of three on are in one line.
        let whole_triples = g.grid[2] == g.rows() || (g.grid[2].is_multiple_of(3) && rows.start.is_multiple_of(3));
        for panel in mine {
            let TileKernel {
                height,
                run: kernel,
                triples,
            } = kernels.tiles[panel.vectors - 1];
            let triples = triples.filter(|_| whole_triples);
            let column = group * columns + panel.at;
            let weights = panels.panel(group, panel);
            let segments = segments(g, stage.live(), panel.width);
            let moments = target.moments.map_or(std::ptr::null_mut(), |moments| {
                // The block's part of this group, then the panel's.
                moments
                    .ptr()
                    .wrapping_add(((block * g.groups + group) * padded + panel.at) * 3)
            });
            for (pass, &(run, runs, k0, k)) in segments.iter().enumerate() {
                let last = pass + 1 == segments.len();
                for row in (0..count).step_by(height) {
                    let valid = height.min(count - row);
                    let tile = Tile {
                        a: pointers.wrapping_add(run * run_stride + row),
                        run_stride,
                        step: stage.step(),
                        runs,
                        k0,
                        k,
                        fetch: !g.is_staged(),
                        b: weights[(run * g.run_len() + k0) * panel.width..].as_ptr(),
                        c: stage.outputs().wrapping_add(row),
                        column,
                        rows: valid,
                        columns: panel.columns,
                        add: target.add || pass > 0,
                        bias: target
                            .bias
                            .filter(|_| last)
                            .map_or(std::ptr::null(), |bias| bias[column..].as_ptr()),
                        relu: target.relu && last,
                        moments: if last { moments } else { std::ptr::null_mut() },
                        first: row == 0,
                    };
                    // SAFETY: the table holds `height` rows from `row` on and as many after them, each pointing at a
                    // run; the panel holds the segment's weights; the output rows are this task's alone, and lie in
                    // the buffer whose length the caller has checked; so do the moments.
                    unsafe { triples.filter(|_| valid == height).unwrap_or(kernel)(&tile) };
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::Conv;

    #[test]
    fn segments_cover_the_depth_in_order() {
        for (ci, kernel) in [(3, 7), (16, 3), (64, 3), (100, 3), (512, 3), (2048, 1)] {
            let g = Gather::forward(&Conv::new_2d(1, [9, 9], ci, 64, kernel, 1, kernel / 2));
            let list = segments(&g, 0..g.runs.len(), 64);
            assert_eq!(list.iter().map(|s| s.1 * s.3).sum::<usize>(), g.depth());
            assert!(list.iter().all(|s| s.1 * s.3 * 64 <= CACHED_WEIGHTS));
            assert!(
                list.windows(2)
                    .all(|w| w[0].0 * g.run_len() + w[0].2 < w[1].0 * g.run_len() + w[1].2)
            );
        }
    }

    #[test]
    fn blocks_cover_the_rows_once_and_no_rest_is_small() {
        for rows in (1..60).chain([98, 196, 200, 784, 3136]) {
            let blocks = Blocks::of(&Gather::forward(&Conv::new_2d(rows, [1, 1], 512, 64, 1, 1, 0)));
            let all: Vec<_> = (0..blocks.count).map(|i| blocks.at(i)).collect();
            assert_eq!((all[0].start, all[all.len() - 1].end), (0, rows));
            assert!(all.windows(2).all(|w| w[0].end == w[1].start));
            assert!(
                all.len() == 1 || all.iter().all(|b| 4 * b.len() > blocks.size),
                "{rows}: {all:?}"
            );
        }
    }

    #[test]
    fn blocks_are_whole_lines_where_lines_are_short() {
        let g = Gather::forward(&Conv::new_2d(384, [12, 12], 24, 32, 3, 1, 1));
        assert_eq!(block_rows(&g) % 24, 0);
        let g = Gather::forward(&Conv::new_2d(8, [56, 56], 64, 64, 3, 1, 1));
        assert_eq!(block_rows(&g) % 56, 0);
    }
}
