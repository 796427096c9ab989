//! Transforms filters into the Winograd domain.

use super::Tiles;
use super::tiles::Along;
use super::transform::{Filter, Transforms};
use crate::conv::gather::Gather;
use crate::conv::kernels::Panel;
use crate::conv::pack::Panels;
use crate::isa::Isa;
use crate::parallel::{self, Shared};
use crate::scratch::{self, Scratch};

/// Values of a filter that one task transforms.
const PIECE: usize = 1 << 12;

/// Filters of all panels, or sums of the same form: `[panel][point][depth][width]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Source frames times channels.
    pub depth: usize,
    channels: usize,
    frames: usize,
    /// Columns of all panels.
    padded: usize,
    along: Along,
}

impl Layout {
    pub(super) fn new(g: &Gather, tiles: &Tiles, panels: &[Panel]) -> Self {
        Self {
            depth: tiles.frames.len() * g.channels,
            channels: g.channels,
            frames: tiles.frames.len(),
            padded: panels.iter().map(|panel| panel.width).sum(),
            along: tiles.along,
        }
    }

    /// Values from one point to the next; one more than the depth keeps points from the same cache sets.
    pub(super) fn stride(&self, panel: &Panel) -> usize {
        (self.depth + 1) * panel.width
    }

    /// Where a panel begins.
    pub(super) fn at(&self, panel: &Panel) -> usize {
        self.along.points() * (self.depth + 1) * panel.at
    }

    pub(super) fn len(&self) -> usize {
        self.along.points() * (self.depth + 1) * self.padded
    }

    /// Transforms `from`, `[panel][taps of each frame][channels][width]`, with one task for each part of a frame's
    /// filters.
    pub(super) fn filters(&self, isa: Isa, panels: &Panels) -> Scratch {
        let mut all = scratch::take(self.len());
        let to = Shared::new(&mut all);
        self.each(&panels.list, |panel, frame, at, len| {
            let from = &panels.panel(0, panel)[frame * self.along.taps() * self.channels * panel.width..];
            let start = self.at(panel) + frame * self.channels * panel.width + at;
            let job = Filter {
                from: from[at..].as_ptr(),
                from_stride: self.channels * panel.width,
                to: to.ptr().wrapping_add(start),
                to_stride: self.stride(panel),
                len,
            };
            // SAFETY: all taps of the frame's filters can be read, and this part of every point is this task's alone.
            unsafe { (Transforms::of(isa, self.along).filters)(&job) };
        });
        all
    }

    /// The gradients of the filters from those of the transformed ones, as the direct weight gradient sums them:
    /// `[panel][taps of each frame][channels][width]`.
    pub(super) fn filter_grads(&self, isa: Isa, panels: &[Panel], sums: &[f32], grads: &mut [f32]) {
        let direct = self.along.taps() * self.depth;
        let to = Shared::new(grads);
        self.each(panels, |panel, frame, at, len| {
            let job = Filter {
                from: sums[self.at(panel) + frame * self.channels * panel.width + at..].as_ptr(),
                from_stride: self.stride(panel),
                to: to
                    .ptr()
                    .wrapping_add(panel.at * direct + frame * self.along.taps() * self.channels * panel.width + at),
                to_stride: self.channels * panel.width,
                len,
            };
            // SAFETY: all points of this part can be read, and the part's taps are this task's alone.
            unsafe { (Transforms::of(isa, self.along).filter_grads)(&job) };
        });
    }

    /// Runs `body(panel, frame, first value, values)` on parts of every frame's filters, whole vectors each.
    fn each(&self, panels: &[Panel], body: impl Fn(&Panel, usize, usize, usize) + Sync + Send) {
        let parts = |panel: &Panel| (self.channels * panel.width).div_ceil(PIECE);
        let most = panels.iter().map(parts).max().unwrap_or(1);
        parallel::run(panels.len() * self.frames * most, self.len(), |task| {
            let (part, rest) = (task % most, task / most);
            let (frame, panel) = (rest % self.frames, &panels[rest / self.frames]);
            let all = self.channels * panel.width;
            let at = part * PIECE;
            if at < all {
                body(panel, frame, at, PIECE.min(all - at));
            }
        });
    }
}
