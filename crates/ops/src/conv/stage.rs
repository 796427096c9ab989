//! Pointers to the source values of a block of output pixels.

use super::gather::Gather;
use crate::isa::{Isa, per_isa};
use crate::scratch::Aligned;
use std::cell::RefCell;
use std::ops::Range;

/// For each run of a [`Gather`] and each grid row of a block, where the run's values lie. Kept per thread.
#[derive(Default)]
pub(super) struct Stage {
    /// A run of zeros (for lines outside the source), then copied lines.
    buffer: Aligned,
    /// Source line of each (grid line, line offset), `OUTSIDE` in the padding.
    ids: Vec<usize>,
    /// Where a source line was copied to, by its distance from the block's first.
    slots: Vec<usize>,
    /// Start of each (grid line, line offset); null in the padding.
    bases: Vec<*const f32>,
    pointers: Vec<*const f32>,
    outputs: Vec<*mut f32>,
    stride: usize,
    step: usize,
    /// From the first run to the last that some row of the block has in the source; the others are zeros for all.
    live: Range<usize>,
}

/// Zeros that stand in for the runs of three neighbouring rows.
fn zeros_len(g: &Gather, per_pixel: usize) -> usize {
    (g.run_len() + 2 * g.src_step[2] * per_pixel).next_multiple_of(16)
}

const OUTSIDE: usize = usize::MAX;

thread_local! {
    static FREE: RefCell<Vec<Stage>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body` with this thread's stage.
pub(super) fn with_stage<R>(body: impl FnOnce(&mut Stage) -> R) -> R {
    let mut stage = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    let result = body(&mut stage);
    FREE.with_borrow_mut(|free| free.push(stage));
    result
}

impl Stage {
    /// Prepares grid `rows` of one group of channels. Each run's table is filled up with at least `spare`
    /// pointers to zeros, to a multiple of `spare`, so that kernels may always take `spare` rows at once.
    ///
    /// The pointers hold until the next call, or until `src` is dropped.
    pub(super) fn fill(&mut self, isa: Isa, g: &Gather, src: &[f32], group: usize, rows: Range<usize>, spare: usize) {
        let (start, end) = (rows.start, rows.end);
        let width = g.grid[2];
        let (first_line, last_line) = (start / width, (end - 1) / width);
        self.find_lines(g, first_line, last_line);
        let per_pixel = if g.is_staged() {
            self.copy_lines(g, src, group)
        } else {
            self.point_at(g, src, group)
        };
        let zeros = self.buffer.as_ptr();
        self.live = self.find_live(g);

        let rows = rows.len();
        self.stride = rows.next_multiple_of(spare) + spare;
        self.pointers.clear();
        self.pointers.resize(self.stride * g.runs.len(), zeros);
        let (first, _) = g.columns();
        self.step = g.src_step[2] * per_pixel;
        for (run, &(line, offset)) in g.runs.iter().enumerate() {
            let mut table = &mut self.pointers[run * self.stride..][..rows];
            for at in first_line..=last_line {
                let from = start.saturating_sub(at * width);
                let to = width.min(end - at * width);
                let (mine, rest) = table.split_at_mut(to - from);
                table = rest;
                let base = self.bases[(at - first_line) * g.lines.len() + line];
                if !base.is_null() {
                    let base = base.wrapping_add((offset - first) as usize * per_pixel + from * self.step);
                    step_through(isa, base, self.step, mine);
                }
            }
        }
    }

    /// Prepares where grid `rows` go: `channels` values of each pixel of `out`, from the first on.
    pub(super) fn fill_outputs(&mut self, isa: Isa, g: &Gather, out: *mut f32, channels: usize, rows: Range<usize>) {
        let (start, end) = (rows.start, rows.end);
        self.outputs.clear();
        self.outputs.resize(end - start, out);
        let width = g.grid[2];
        let mut table = &mut self.outputs[..];
        for line in start / width..=(end - 1) / width {
            let from = start.max(line * width);
            let (mine, rest) = table.split_at_mut(end.min((line + 1) * width) - from);
            table = rest;
            step_through_mut(
                isa,
                out.wrapping_add(g.out_row(from) * channels),
                g.out_step[2] * channels,
                mine,
            );
        }
    }

    /// The output pointers of the block's rows.
    pub(super) fn outputs(&self) -> *const *mut f32 {
        self.outputs.as_ptr()
    }

    /// The table: for run `r` and row `i` of the block, entry `r · stride + i`.
    pub(super) fn pointers(&self) -> (*const *const f32, usize) {
        (self.pointers.as_ptr(), self.stride)
    }

    /// From the first run to the last that are not zeros for all rows. With two frames a third of what a kernel reads is
    /// padding along time, and skipping it saves as much time. At least one run.
    pub(super) fn live(&self) -> Range<usize> {
        self.live.clone()
    }

    fn find_live(&self, g: &Gather) -> Range<usize> {
        let lines = g.lines.len();
        let inside = |line: usize| self.ids.iter().skip(line).step_by(lines).any(|&id| id != OUTSIDE);
        let live = |run: &(usize, isize)| inside(run.0);
        let first = g.runs.iter().position(live).unwrap_or(0);
        let last = g.runs.iter().rposition(live).unwrap_or(0);
        first..last + 1
    }

    /// The distance in values of the runs of two neighbouring rows of a line; this much may be read from a run of zeros.
    pub(super) fn step(&self) -> usize {
        self.step
    }

    fn find_lines(&mut self, g: &Gather, first: usize, last: usize) {
        self.ids.clear();
        let inside = |i: usize, step: usize, offset: isize, size: usize| {
            (i * step).checked_add_signed(offset).filter(|&at| at < size)
        };
        for line in first..=last {
            let (y, rest) = (line % g.grid[1], line / g.grid[1]);
            let (z, n) = (rest % g.grid[0], rest / g.grid[0]);
            for &[oz, oy] in &g.lines {
                let sz = inside(z, g.src_step[0], oz, g.src_dims[0]);
                let sy = inside(y, g.src_step[1], oy, g.src_dims[1]);
                self.ids.push(match (sz, sy) {
                    (Some(sz), Some(sy)) => (n * g.src_dims[0] + sz) * g.src_dims[1] + sy,
                    _ => OUTSIDE,
                });
            }
        }
    }

    /// Reads lines in place. Returns the distance of two pixels.
    fn point_at(&mut self, g: &Gather, src: &[f32], group: usize) -> usize {
        let all = g.channels * g.groups;
        self.buffer.resize(zeros_len(g, all));
        self.buffer.fill(0.0);
        let (first, _) = g.columns();
        self.bases.clear();
        self.bases.extend(self.ids.iter().map(|&id| {
            if id == OUTSIDE {
                return std::ptr::null();
            }
            let at = (id * g.src_dims[2] + first as usize) * all + group * g.channels;
            src[at..].as_ptr()
        }));
        all
    }

    /// Copies every line that is read, with its padding, one group's channels only. Returns the distance of two pixels.
    fn copy_lines(&mut self, g: &Gather, src: &[f32], group: usize) -> usize {
        let lo = self.ids.iter().copied().filter(|&id| id != OUTSIDE).min().unwrap_or(0);
        let hi = self.ids.iter().copied().filter(|&id| id != OUTSIDE).max().unwrap_or(0);
        let channels = g.channels;
        let (first, columns) = g.columns();
        let line_len = (columns * channels).next_multiple_of(16);
        let zeros = zeros_len(g, channels);

        self.slots.clear();
        self.slots.resize(hi - lo + 1, OUTSIDE);
        let mut used = 0;
        for &id in self.ids.iter().filter(|&&id| id != OUTSIDE) {
            let slot = &mut self.slots[id - lo];
            if *slot == OUTSIDE {
                *slot = zeros + used * line_len;
                used += 1;
            }
        }
        self.buffer.resize(zeros + used * line_len);
        self.buffer[..zeros].fill(0.0);

        let before = (-first).max(0) as usize;
        let from = first.max(0) as usize;
        let to = (first + columns as isize).clamp(from as isize, g.src_dims[2] as isize) as usize;
        let all = channels * g.groups;
        for (at, &slot) in self.slots.iter().enumerate().filter(|(_, slot)| **slot != OUTSIDE) {
            let line = &src[(lo + at) * g.src_dims[2] * all..][..g.src_dims[2] * all];
            let staged = &mut self.buffer[slot..slot + columns * channels];
            let (pad, rest) = staged.split_at_mut(before.min(columns) * channels);
            let (body, behind) = rest.split_at_mut((to - from) * channels);
            pad.fill(0.0);
            behind.fill(0.0);
            if g.groups == 1 {
                body.copy_from_slice(&line[from * all..to * all]);
            } else {
                for (pixel, x) in body.chunks_exact_mut(channels).zip(from..to) {
                    pixel.copy_from_slice(&line[x * all + group * channels..][..channels]);
                }
            }
        }
        let buffer = self.buffer.as_ptr();
        self.bases.clear();
        self.bases.extend(self.ids.iter().map(|&id| match id {
            OUTSIDE => std::ptr::null(),
            id => buffer.wrapping_add(self.slots[id - lo]),
        }));
        channels
    }
}

per_isa! {
    fn step_through(base: *const f32, step: usize, table: &mut [*const f32]) {
        let mut at = base;
        for entry in table {
            *entry = at;
            at = at.wrapping_add(step);
        }
    }
}

per_isa! {
    fn step_through_mut(base: *mut f32, step: usize, table: &mut [*mut f32]) {
        let mut at = base;
        for entry in table {
            *entry = at;
            at = at.wrapping_add(step);
        }
    }
}
