//! The pass: tiles in, products, tiles out.

use super::Tiles;
use super::filter::Layout;
use super::transform::{Input, Output, Transforms};
use crate::conv::blocks::{CACHED_WEIGHTS, Target};
use crate::conv::gather::Gather;
use crate::conv::kernels::{Kernels, Tile};
use crate::conv::pack::Panels;
use crate::parallel::{self, Shared};
use crate::scratch;

/// A pass over tiles; the caller has checked all lengths.
struct Pass<'a> {
    kernels: &'a Kernels,
    transforms: &'a Transforms,
    g: &'a Gather,
    tiles: &'a Tiles,
    panels: &'a Panels,
    layout: Layout,
    /// Columns of all panels.
    padded: usize,
    src: &'a [f32],
    zeros: &'a [f32],
    filters: &'a [f32],
    target: &'a Target<'a>,
    /// Whether the parts of a block are shared between threads.
    shared: bool,
}

/// Multiplies every tile of the gather.
pub(in super::super) fn multiply(
    kernels: &Kernels,
    g: &Gather,
    tiles: &Tiles,
    panels: &Panels,
    src: &[f32],
    target: &Target,
) {
    let layout = Layout::new(g, tiles, &panels.list);
    let filters = layout.filters(kernels.isa, panels);
    let zeros = scratch::take_zeroed(g.channels);
    let pass = Pass {
        kernels,
        transforms: Transforms::of(kernels.isa, tiles.along),
        g,
        tiles,
        panels,
        layout,
        padded: panels.list.iter().map(|panel| panel.width).sum(),
        src,
        zeros: &zeros,
        filters: &filters,
        target,
        shared: tiles.blocks() < 3 * rayon::current_num_threads(),
    };
    let work = if pass.shared { 0 } else { usize::MAX };
    parallel::run(tiles.blocks(), work, |block| pass.block(block));
}

impl Pass<'_> {
    fn block(&self, block: usize) {
        let (start, count) = self.tiles.block_at(block);
        let points = self.tiles.along.points();
        // The odd line keeps points from the same cache sets.
        let in_stride = count * self.layout.depth + 16;
        let out_stride = count * self.padded + 16;
        let mut source = scratch::take(points * in_stride);
        let mut products = scratch::take(points * out_stride);
        let (source, products) = (Shared::new(&mut source), Shared::new(&mut products));
        self.each(count, |i| {
            self.input(start + i, source.ptr().wrapping_add(i * self.layout.depth), in_stride)
        });
        self.each(points, |point| {
            self.products(
                point,
                count,
                source.ptr().wrapping_add(point * in_stride),
                products.ptr().wrapping_add(point * out_stride),
            );
        });
        // By panels, so that the moments of a channel add up in one order.
        self.each(self.panels.list.len(), |panel| {
            self.output(block, panel, start, count, products.ptr(), out_stride);
        });
    }

    fn each(&self, tasks: usize, body: impl Fn(usize) + Sync + Send) {
        parallel::run(tasks, if self.shared { usize::MAX } else { 0 }, body);
    }

    /// Transforms the source of a tile.
    fn input(&self, tile: usize, to: *mut f32, stride: usize) {
        let place = self.tiles.place(tile);
        let channels = self.g.channels;
        for (i, offset) in self.tiles.frames.iter().enumerate() {
            let from = self
                .tiles
                .sources(&place, *offset, self.src, channels, self.zeros.as_ptr());
            let job = Input {
                from: &from,
                channels,
                to: to.wrapping_add(i * channels),
                stride,
            };
            // SAFETY: every pointer is at a pixel's channels or as many zeros; the tile's part of every point is this
            // call's alone.
            unsafe { (self.transforms.input)(&job) };
        }
    }

    /// One point's products of all tiles of a block: `source` `[count][depth]`, `to` `[count][padded]`.
    fn products(&self, point: usize, count: usize, source: *const f32, to: *mut f32) {
        let depth = self.layout.depth;
        let tallest = self.kernels.tiles.iter().map(|tile| tile.height).max().unwrap_or(1);
        let rows = |i: usize| source.wrapping_add(if i < count { i * depth } else { 0 });
        let table: Vec<*const f32> = (0..count + 2 * tallest).map(rows).collect();
        let outputs: Vec<*mut f32> = (0..count).map(|i| to.wrapping_add(i * self.padded)).collect();
        for panel in &self.panels.list {
            let kernel = self.kernels.tiles[panel.vectors - 1];
            let filters =
                &self.filters[self.layout.at(panel) + point * self.layout.stride(panel)..][..depth * panel.width];
            let pieces = depth.div_ceil(CACHED_WEIGHTS / panel.width);
            let piece = depth.div_ceil(pieces);
            for k0 in (0..depth).step_by(piece) {
                for row in (0..count).step_by(kernel.height) {
                    let tile = Tile {
                        a: table[row..].as_ptr(),
                        run_stride: 0,
                        step: 0,
                        runs: 1,
                        k0,
                        k: piece.min(depth - k0),
                        fetch: false,
                        b: filters[k0 * panel.width..].as_ptr(),
                        c: outputs[row..].as_ptr(),
                        column: panel.at,
                        rows: kernel.height.min(count - row),
                        columns: panel.width,
                        add: k0 > 0,
                        bias: std::ptr::null(),
                        relu: false,
                        moments: std::ptr::null_mut(),
                        first: false,
                    };
                    // SAFETY: the table holds enough rows, each of `depth` values; the panel holds the piece's filters;
                    // the outputs are this point's alone.
                    unsafe { (kernel.run)(&tile) };
                }
            }
        }
    }

    /// Transforms the products of all tiles of a block, for the columns of a panel.
    fn output(&self, block: usize, panel: usize, start: usize, count: usize, products: *const f32, stride: usize) {
        let panel = &self.panels.list[panel];
        let channels = self.target.channels;
        for i in 0..count {
            let place = self.tiles.place(start + i);
            let job = Output {
                from: products.wrapping_add(i * self.padded + panel.at),
                stride,
                to: self.target.out.ptr().wrapping_add(place.out * channels + panel.at),
                row: self.tiles.out_stride() * channels,
                pixel: channels,
                valid: place.valid,
                columns: panel.columns,
                add: self.target.add,
                bias: self
                    .target
                    .bias
                    .map_or(std::ptr::null(), |bias| bias[panel.at..].as_ptr()),
                relu: self.target.relu,
                moments: self.target.moments.map_or(std::ptr::null_mut(), |moments| {
                    moments.ptr().wrapping_add((block * self.padded + panel.at) * 3)
                }),
                width: panel.width,
                first: i == 0,
            };
            // SAFETY: the products of this tile are there; its pixels lie in the output, whose length the caller has
            // checked, and these columns of them are this task's alone, as are the moments.
            unsafe { (self.transforms.output)(&job) };
        }
    }
}
