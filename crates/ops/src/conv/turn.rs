//! Transposes between the weights' order, filter by filter, and the kernels', whose lines hold a panel of filters.

use super::kernels::Panel;
use crate::isa::Isa;
#[cfg(target_arch = "x86_64")]
use crate::simd::avx512::Avx512;
use crate::simd::{Simd, portable::Portable};
use std::ops::Range;

/// No line.
pub(super) const OUTSIDE: usize = usize::MAX;

/// Rows become columns of the panel: value `i` of each goes to line `lines[i]`, if there is one. `rows` may continue after
/// those of the panel.
pub(super) fn turn(isa: Isa, rows: &[f32], lines: &[usize], panel: &Panel, part: &mut [f32]) {
    match isa {
        // SAFETY: an `Isa` other than `Portable` is only ever handed out where the processor has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { turn_avx512(rows, lines, panel, part) },
        _ => turn_some::<Portable>(rows, lines, panel, part),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn turn_avx512(rows: &[f32], lines: &[usize], panel: &Panel, part: &mut [f32]) {
    turn_some::<Avx512>(rows, lines, panel, part);
}

/// Values of each row that are turned before those of the next rows: long enough for the hardware prefetcher to notice the
/// sequential reads, short enough for the lines to stay in the first-level cache.
const STRETCH: usize = 64;

#[inline(always)]
fn turn_some<S: Simd>(rows: &[f32], lines: &[usize], panel: &Panel, part: &mut [f32]) {
    let (len, width, columns) = (lines.len(), panel.width, panel.columns);
    let whole_rows = columns / S::LANES * S::LANES;
    let mut unused = [0.0f32; 16];
    for stretch in (0..len).step_by(STRETCH) {
        for row in (0..whole_rows).step_by(S::LANES) {
            for first in (stretch..len.min(stretch + STRETCH)).step_by(S::LANES) {
                let from = row * len + first;
                if from + (S::LANES - 1) * len + S::LANES > rows.len() {
                    // The end of the weights: nothing may be read past it.
                    turn_values(
                        rows,
                        lines,
                        width,
                        row..row + S::LANES,
                        first..len.min(first + S::LANES),
                        part,
                    );
                    continue;
                }
                // Values read past the rows' end are discarded.
                // Rows lie far apart, farther than the hardware prefetcher reaches.
                for ahead in 0..S::LANES {
                    // SAFETY: a prefetch may point anywhere.
                    unsafe { S::prefetch(rows.as_ptr().wrapping_add(from + (S::LANES + ahead) * len)) };
                }
                let mut to = [unused.as_mut_ptr(); 16];
                for (to, &line) in to.iter_mut().zip(lines[first..].iter().take(S::LANES)) {
                    if line != OUTSIDE {
                        *to = part[line * width + row..][..S::LANES].as_mut_ptr();
                    }
                }
                // SAFETY: `LANES` rows of as many values can be read from here, as many written to each line, and the
                // caller runs this on a processor that has them.
                unsafe { S::transpose(rows[from..].as_ptr(), len, to.as_ptr()) };
            }
        }
    }
    turn_values(rows, lines, width, whole_rows..columns, 0..len, part);
}

/// The same, value by value.
fn turn_values(rows: &[f32], lines: &[usize], width: usize, of: Range<usize>, values: Range<usize>, part: &mut [f32]) {
    for row in of {
        for at in values.clone() {
            if lines[at] != OUTSIDE {
                part[lines[at] * width + row] = rows[row * lines.len() + at];
            }
        }
    }
}

/// Sums of a weight gradient, of one panel: some splits, each with lines of the panel's width.
pub(super) struct PanelSums<'a> {
    pub sums: &'a [f32],
    /// Values from one split to the next.
    pub split: usize,
    /// Where the panel's lines begin in each.
    pub at: usize,
    pub width: usize,
    pub columns: usize,
}

impl PanelSums<'_> {
    /// Adds the splits in order; value `i` of each filter is that of line `lines[i]`.
    pub(super) fn turn(&self, isa: Isa, lines: &[usize], filters: &mut [f32]) {
        match isa {
            // SAFETY: an `Isa` other than `Portable` is only ever handed out where the processor has it.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { self.turn_avx512(lines, filters) },
            _ => self.turn_some::<Portable>(lines, filters),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn turn_avx512(&self, lines: &[usize], filters: &mut [f32]) {
        self.turn_some::<Avx512>(lines, filters);
    }

    #[inline(always)]
    fn turn_some<S: Simd>(&self, lines: &[usize], filters: &mut [f32]) {
        let len = lines.len();
        for column in (0..self.columns).step_by(S::LANES) {
            let columns = S::LANES.min(self.columns - column);
            for first in (0..len).step_by(S::LANES) {
                let lines = &lines[first..len.min(first + S::LANES)];
                let mut block = [[0.0f32; 16]; 16];
                for (row, line) in block.iter_mut().zip(lines) {
                    let row = &mut row[..S::LANES];
                    // Panels are whole vectors wide.
                    let at = self.at + line * self.width + column;
                    row.copy_from_slice(&self.sums[at..][..S::LANES]);
                    for split in self.sums.chunks_exact(self.split).skip(1) {
                        row.iter_mut().zip(&split[at..]).for_each(|(sum, value)| *sum += value);
                    }
                }
                if columns == S::LANES && lines.len() == S::LANES {
                    let mut to = [std::ptr::null_mut(); 16];
                    for (j, to) in to.iter_mut().enumerate().take(S::LANES) {
                        *to = filters[(column + j) * len + first..][..S::LANES].as_mut_ptr();
                    }
                    // SAFETY: the block has `LANES` rows of as many values, as many go to each filter, and the caller runs
                    // this on a processor that has them.
                    unsafe { S::transpose(block.as_ptr().cast(), 16, to.as_ptr()) };
                } else {
                    for (i, row) in block.iter().enumerate().take(lines.len()) {
                        for (j, value) in row.iter().enumerate().take(columns) {
                            filters[(column + j) * len + first + i] = *value;
                        }
                    }
                }
            }
        }
    }
}
