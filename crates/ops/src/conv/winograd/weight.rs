//! The gradient of the filters.

use super::Tiles;
use super::filter::Layout;
use super::transform::{Input, Spread, Transforms};
use crate::conv::gather::Gather;
use crate::conv::kernels::{Kernels, Outer, Panel};
use crate::isa::per_isa;
use crate::parallel::{self, Shared};
use crate::scratch;

/// Entries of the table of rows after the last one, which the kernel prefetches.
const SPARE: usize = 32;
/// Values of a sum that a thread adds up at a time.
const PIECE: usize = 1 << 14;

/// A weight gradient over tiles; the caller has checked all lengths.
pub(in super::super) struct Sums<'a> {
    pub kernels: &'a Kernels,
    pub g: &'a Gather,
    pub tiles: &'a Tiles,
    pub panels: &'a [Panel],
    /// Channels of an output pixel.
    pub channels: usize,
}

impl Sums<'_> {
    /// The gradient as the direct pass sums it: `[panel][tap][channel][width]`. Blocks add up in order, where sums are small
    /// in a few independent parts: threads then need not wait for one another at each block.
    pub(crate) fn gradient(&self, x: &[f32], dy: &[f32], grads: &mut [f32]) {
        let layout = Layout::new(self.g, self.tiles, self.panels);
        let isa = self.kernels.isa;
        let (len, blocks, splits) = (layout.len(), self.tiles.blocks(), self.tiles.splits(layout.len()));
        let mut sums = scratch::take(splits * len);
        {
            let sums = Shared::new(&mut sums);
            let alone = splits > 1 && splits >= rayon::current_num_threads();
            parallel::run(splits, splits * len, |split| {
                // SAFETY: each task has a part of its own.
                let sums = Shared::new(unsafe { sums.part(split * len, len) });
                let from = split * blocks / splits;
                for block in from..(split + 1) * blocks / splits {
                    self.block(&layout, block, block > from, alone, x, dy, sums);
                }
            });
        }
        let (all, others) = sums.split_at_mut(len);
        let (into, others) = (Shared::new(all), &*others);
        parallel::run(len.div_ceil(PIECE), others.len(), |i| {
            let (at, piece) = parallel::chunk_of(len, PIECE, i);
            // SAFETY: pieces are disjoint.
            let all = unsafe { into.part(at, piece) };
            for part in others.chunks_exact(len) {
                add(isa, &part[at..at + piece], all);
            }
        });
        layout.filter_grads(isa, self.panels, all, grads);
    }

    /// The sums of a block, added to what is there if `add`; by this thread `alone`, or by all.
    #[allow(clippy::too_many_arguments)]
    fn block(&self, layout: &Layout, block: usize, add: bool, alone: bool, x: &[f32], dy: &[f32], sums: Shared<f32>) {
        let transforms = Transforms::of(self.kernels.isa, self.tiles.along);
        let (start, count) = self.tiles.block_at(block);
        let points = self.tiles.along.points();
        let padded: usize = self.panels.iter().map(|panel| panel.width).sum();
        // The odd line keeps points from the same cache sets.
        let (x_stride, dy_stride) = (count * layout.depth + 16, count * padded + 16);
        let mut source = scratch::take(points * x_stride);
        let mut grads = scratch::take(points * dy_stride);
        let (source, grads) = (Shared::new(&mut source), Shared::new(&mut grads));
        let zeros = scratch::take_zeroed(self.g.channels);
        let (zeros, channels): (&[f32], usize) = (&zeros, self.g.channels);
        let work = if alone {
            0
        } else {
            count * (layout.depth + padded) * points
        };
        parallel::run(count, work, |i| {
            let place = self.tiles.place(start + i);
            for (frame, offset) in self.tiles.frames.iter().enumerate() {
                let from = self.tiles.sources(&place, *offset, x, channels, zeros.as_ptr());
                let job = Input {
                    from: &from,
                    channels,
                    to: source.ptr().wrapping_add(i * layout.depth + frame * channels),
                    stride: x_stride,
                };
                // SAFETY: every pointer is at a pixel's channels or as many zeros; the tile's part of every point is
                // this task's alone.
                unsafe { (transforms.input)(&job) };
            }
            let job = Spread {
                from: dy[place.out * self.channels..].as_ptr(),
                row: self.tiles.out_stride() * self.channels,
                pixel: self.channels,
                valid: place.valid,
                channels: self.channels,
                to: grads.ptr().wrapping_add(i * padded),
                stride: dy_stride,
            };
            // SAFETY: the tile's valid pixels lie in `dy`; its part of every point, whole vectors, is this task's alone.
            unsafe { (transforms.spread)(&job) };
        });
        let threads = rayon::current_num_threads();
        // Splitting panels between threads changes no sum.
        let shares = if threads == 1 || alone {
            1
        } else {
            self.panels.len().min(threads)
        };
        let share = self.panels.len().div_ceil(shares);
        let shares = self.panels.len().div_ceil(share);
        parallel::run(points * shares, work, |task| {
            let (point, at) = (task / shares, task % shares * share);
            let mine = &self.panels[at..(at + share).min(self.panels.len())];
            let rows = source.ptr().wrapping_add(point * x_stride).cast_const();
            let row = |i: usize| rows.wrapping_add(if i < count { i * layout.depth } else { 0 });
            let table: Vec<*const f32> = (0..count + SPARE).map(row).collect();
            for panels in mine.chunk_by(|a, b| a.vectors == b.vectors) {
                let (height, kernel) = self.kernels.outer(panels[0].vectors, layout.depth);
                for piece in (0..layout.depth).step_by(height) {
                    // The last piece is moved back to end with the depth; what it repeats is not added again.
                    let at = piece.min(layout.depth - height);
                    for panel in panels {
                        let outer = Outer {
                            a: table.as_ptr(),
                            at,
                            rows: count,
                            b: grads.ptr().wrapping_add(point * dy_stride + panel.at),
                            b_stride: padded,
                            c: sums
                                .ptr()
                                .wrapping_add(layout.at(panel) + point * layout.stride(panel) + at * panel.width),
                            c_stride: panel.width,
                            skip: piece - at,
                            add,
                        };
                        // SAFETY: the table points at `count` rows of `depth` values (and has spare entries to look
                        // ahead at), there are as many rows of output gradients, and these sums are this task's alone.
                        unsafe { kernel(&outer) };
                    }
                }
            }
        });
    }
}

per_isa! {
    fn add(part: &[f32], all: &mut [f32]) {
        all.iter_mut().zip(part).for_each(|(all, part)| *all += part);
    }
}
