//! The micro-kernels: written once over [`Simd`], compiled for each instruction set.

#![allow(clippy::needless_range_loop)] // loops over registers: unrolled, so plain indices

use crate::isa::Isa;
use crate::simd::{Simd, portable::Portable};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2::Avx2, avx512::Avx512};

/// One call of a tile kernel: `rows` output pixels times one panel of output channels.
pub(super) struct Tile {
    /// Pointers to the runs of the first row; row `i` of run `r` is entry `r · run_stride + i`. Entries for the
    /// kernel's whole height, and the next tile's, can be read.
    pub a: *const *const f32,
    pub run_stride: usize,
    /// For the kernels of triples: the distance of two neighbouring rows in values.
    pub step: usize,
    /// Runs to multiply, and the part `[k0, k0 + k)` of each.
    pub runs: usize,
    pub k0: usize,
    pub k: usize,
    /// Whether to prefetch the next tile's rows.
    pub fetch: bool,
    /// The panel's weights `[runs][k][vectors]`.
    pub b: *const f32,
    /// The pixel that each row is written to, and its first channel.
    pub c: *const *mut f32,
    pub column: usize,
    /// Rows and channels that are stored.
    pub rows: usize,
    pub columns: usize,
    /// Whether to add to what is stored.
    pub add: bool,
    /// Added to each row; null for none.
    pub bias: *const f32,
    pub relu: bool,
    /// `[3][vectors]`: pivot, sum and sum of squares of what is stored less the pivot; null for none.
    pub moments: *mut f32,
    /// Whether the first row is the pivot.
    pub first: bool,
}

/// One call of an outer-product kernel: a piece of a run times one panel, summed over rows.
pub(super) struct Outer {
    /// Pointers to the run of each row, of which values `at..` are used.
    pub a: *const *const f32,
    pub at: usize,
    pub rows: usize,
    /// A vector panel per row, `b_stride` apart.
    pub b: *const f32,
    pub b_stride: usize,
    /// Where the sums are added (or stored), one line of the panel per value of the run.
    pub c: *mut f32,
    pub c_stride: usize,
    /// Values of the run at the front that are left alone.
    pub skip: usize,
    pub add: bool,
}

#[derive(Clone, Copy)]
/// The tile kernel for panels of some number of vectors.
pub(super) struct TileKernel {
    /// Rows of the tile.
    pub height: usize,
    pub run: unsafe fn(&Tile),
    /// The same for tiles whose rows, three by three, lie [`Tile::step`] apart: a third of the pointers, because tall tiles
    /// lack the registers for more.
    pub triples: Option<unsafe fn(&Tile)>,
}

type OuterFn = unsafe fn(&Outer);

/// The kernels of one instruction set.
pub(super) struct Kernels {
    pub isa: Isa,
    pub lanes: usize,
    /// `tiles[v - 1]` is for panels of `v` vectors.
    pub tiles: &'static [TileKernel],
    /// `outers[v - 1]`: the run lengths and kernels for panels of `v` vectors, the longest first.
    pub outers: &'static [&'static [(usize, OuterFn)]],
}

/// How far ahead in a run, in values, rows are prefetched: one cache line.
const LINE: usize = 16;

/// One step along the depth: each row's value times a line of the panel.
#[inline(always)]
unsafe fn step<S: Simd, const M: usize, const NV: usize>(
    acc: &mut [[S::V; NV]; M],
    a: &[*const f32; M],
    k: usize,
    b: *const f32,
) {
    // SAFETY: the caller's promise: `a[i] + k` and `NV` vectors at `b` can be read.
    unsafe {
        let mut panel = [S::zero(); NV];
        for j in 0..NV {
            panel[j] = S::load(b.add(j * S::LANES));
        }
        for i in 0..M {
            let x = S::splat(a[i].add(k));
            for j in 0..NV {
                acc[i][j] = S::fma(x, panel[j], acc[i][j]);
            }
        }
    }
}

#[inline(always)]
unsafe fn tile<S: Simd, const M: usize, const NV: usize, const TRIPLES: bool>(t: &Tile) {
    // SAFETY: `Tile`'s fields say what may be read and written; the caller runs this on a processor with `S`.
    unsafe {
        let width = NV * S::LANES;
        let mut acc = [[S::zero(); NV]; M];
        let mut b = t.b;
        let mut table = t.a;
        for _ in 0..t.runs {
            if TRIPLES {
                multiply_triples::<S, M, NV>(t, &mut acc, table, b);
                b = b.add(t.k * width);
                table = table.add(t.run_stride);
                continue;
            }
            let mut a = [std::ptr::null::<f32>(); M];
            for i in 0..M {
                a[i] = (*table.add(i)).add(t.k0);
            }
            let mut k = 0;
            if t.fetch {
                while k + LINE <= t.k {
                    for i in 0..M {
                        S::prefetch((*table.add(M + i)).wrapping_add(t.k0 + k));
                    }
                    for _ in 0..LINE {
                        step::<S, M, NV>(&mut acc, &a, k, b);
                        b = b.add(width);
                        k += 1;
                    }
                }
            }
            while k < t.k {
                step::<S, M, NV>(&mut acc, &a, k, b);
                b = b.add(width);
                k += 1;
            }
            table = table.add(t.run_stride);
        }

        if t.rows == M && t.bias.is_null() && !t.relu {
            finish::<S, M, NV>(t, &mut acc);
        } else {
            // Spilled to memory, so that the rare cases take no registers from the loop above.
            let mut spilt = acc;
            finish_any::<S, NV>(t, &mut spilt);
        }
    }
}

/// One run of a tile of triples.
#[inline(always)]
unsafe fn multiply_triples<S: Simd, const M: usize, const NV: usize>(
    t: &Tile,
    acc: &mut [[S::V; NV]; M],
    table: *const *const f32,
    mut b: *const f32,
) {
    // SAFETY: as in `tile`; rows `i + 1` and `i + 2` of a triple lie `t.step` and twice that after row `i`.
    unsafe {
        let mut a = [std::ptr::null::<f32>(); M];
        for i in (0..M).step_by(3) {
            a[i] = (*table.add(i)).add(t.k0);
        }
        for _ in 0..t.k {
            let mut panel = [S::zero(); NV];
            for j in 0..NV {
                panel[j] = S::load(b.add(j * S::LANES));
            }
            b = b.add(NV * S::LANES);
            // Otherwise the compiler would still keep a pointer for each row.
            let step = S::opaque(t.step);
            for i in 0..M {
                let x = S::splat(a[i - i % 3].add(i % 3 * step));
                for j in 0..NV {
                    acc[i][j] = S::fma(x, panel[j], acc[i][j]);
                }
            }
            for i in (0..M).step_by(3) {
                a[i] = a[i].wrapping_add(1);
            }
        }
    }
}

/// Adds a whole tile to what is stored, takes its moments and stores it.
#[inline(always)]
unsafe fn finish<S: Simd, const M: usize, const NV: usize>(t: &Tile, acc: &mut [[S::V; NV]; M]) {
    // SAFETY: as in `tile`.
    unsafe {
        let width = NV * S::LANES;
        let whole = t.columns == width;
        let tail = t.columns - (NV - 1) * S::LANES;
        if t.add {
            for i in 0..M {
                let c = (*t.c.add(i)).add(t.column);
                for j in 0..NV {
                    let at = c.add(j * S::LANES);
                    let old = if whole || j + 1 < NV {
                        S::load(at)
                    } else {
                        S::load_first(at, tail)
                    };
                    acc[i][j] = S::add(acc[i][j], old);
                }
            }
        }
        if !t.moments.is_null() {
            for j in 0..NV {
                let at = t.moments.add(j * S::LANES);
                if t.first {
                    S::store(at, acc[0][j]);
                    S::store(at.add(width), S::zero());
                    S::store(at.add(2 * width), S::zero());
                }
                let (pivot, mut sum, mut squares) = (S::load(at), S::load(at.add(width)), S::load(at.add(2 * width)));
                for i in 0..M {
                    let d = S::sub(acc[i][j], pivot);
                    sum = S::add(sum, d);
                    squares = S::fma(d, d, squares);
                }
                S::store(at.add(width), sum);
                S::store(at.add(2 * width), squares);
            }
        }
        for i in 0..M {
            let c = (*t.c.add(i)).add(t.column);
            for j in 0..NV {
                let at = c.add(j * S::LANES);
                if whole || j + 1 < NV {
                    S::store(at, acc[i][j]);
                } else {
                    S::store_first(at, tail, acc[i][j]);
                }
            }
        }
    }
}

/// The same for fewer rows, with a bias and a ReLU on request; loops stay loops.
#[inline(always)]
unsafe fn finish_any<S: Simd, const NV: usize>(t: &Tile, acc: &mut [[S::V; NV]]) {
    // SAFETY: as in `tile`.
    unsafe {
        let width = NV * S::LANES;
        for j in 0..NV {
            let lanes = S::LANES.min(t.columns - j * S::LANES);
            let load = |p: *const f32| {
                if lanes == S::LANES {
                    S::load(p)
                } else {
                    S::load_first(p, lanes)
                }
            };
            let bias = if t.bias.is_null() {
                S::zero()
            } else {
                load(t.bias.add(j * S::LANES))
            };
            for (i, acc) in acc.iter_mut().enumerate().take(t.rows) {
                let at = (*t.c.add(i)).add(t.column + j * S::LANES);
                let old = if t.add { load(at) } else { S::zero() };
                let sum = S::add(S::add(acc[j], old), bias);
                acc[j] = if t.relu { S::max(S::zero(), sum) } else { sum };
                if lanes == S::LANES {
                    S::store(at, acc[j]);
                } else {
                    S::store_first(at, lanes, acc[j]);
                }
            }
            if !t.moments.is_null() {
                let at = t.moments.add(j * S::LANES);
                if t.first {
                    S::store(at, acc[0][j]);
                    S::store(at.add(width), S::zero());
                    S::store(at.add(2 * width), S::zero());
                }
                let (pivot, mut sum, mut squares) = (S::load(at), S::load(at.add(width)), S::load(at.add(2 * width)));
                for acc in acc.iter().take(t.rows) {
                    let d = S::sub(acc[j], pivot);
                    sum = S::add(sum, d);
                    squares = S::fma(d, d, squares);
                }
                S::store(at.add(width), sum);
                S::store(at.add(2 * width), squares);
            }
        }
    }
}

/// How many rows ahead the outer product prefetches.
const AHEAD: usize = 16;

#[inline(always)]
unsafe fn outer<S: Simd, const M: usize, const NV: usize>(o: &Outer) {
    // SAFETY: `Outer`'s fields say what may be read and written; the caller runs this on a processor with `S`.
    unsafe {
        let mut acc = [[S::zero(); NV]; M];
        let mut b = o.b;
        if o.add {
            // Prefetches what the sums are added to at the end.
            for i in o.skip..M {
                for j in 0..NV {
                    S::prefetch(o.c.wrapping_add(i * o.c_stride + j * S::LANES));
                }
            }
        }
        for r in 0..o.rows {
            let a = (*o.a.add(r)).add(o.at);
            S::prefetch((*o.a.add(r + AHEAD)).wrapping_add(o.at));
            let mut panel = [S::zero(); NV];
            for (j, panel) in panel.iter_mut().enumerate() {
                *panel = S::load(b.add(j * S::LANES));
            }
            b = b.wrapping_add(o.b_stride);
            for (i, acc) in acc.iter_mut().enumerate() {
                let x = S::splat(a.add(i));
                for (acc, panel) in acc.iter_mut().zip(&panel) {
                    *acc = S::fma(x, *panel, *acc);
                }
            }
        }
        for (i, acc) in acc.iter().enumerate() {
            if i >= o.skip {
                for (j, acc) in acc.iter().enumerate() {
                    let at = o.c.add(i * o.c_stride + j * S::LANES);
                    let sum = if o.add { S::add(*acc, S::load(at)) } else { *acc };
                    S::store(at, sum);
                }
            }
        }
    }
}

/// Compiles both kernels for one instruction set.
macro_rules! compile {
    ($simd:ty, $tile:ident, $outer:ident $(, $features:literal)?) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn $tile<const M: usize, const NV: usize, const TRIPLES: bool>(t: &Tile) {
            // SAFETY: the caller's promise about `Tile` and the processor.
            unsafe { tile::<$simd, M, NV, TRIPLES>(t) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn $outer<const M: usize, const NV: usize>(o: &Outer) {
            // SAFETY: the caller's promise about `Outer` and the processor.
            unsafe { outer::<$simd, M, NV>(o) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
compile!(Avx512, tile_avx512, outer_avx512, "avx512f");
#[cfg(target_arch = "x86_64")]
compile!(Avx2, tile_avx2, outer_avx2, "avx2,fma");
compile!(Portable, tile_portable, outer_portable);

/// A table entry per height, tallest first.
macro_rules! heights {
    ($kernel:ident, $nv:literal: $($m:literal),*) => { &[$(($m, $kernel::<$m, $nv> as _)),*] };
}

#[cfg(target_arch = "x86_64")]
static AVX512: Kernels = Kernels {
    isa: Isa::Avx512,
    lanes: 16,
    tiles: &[
        TileKernel {
            height: 12,
            run: tile_avx512::<12, 1, false>,
            triples: Some(tile_avx512::<12, 1, true>),
        },
        TileKernel {
            height: 12,
            run: tile_avx512::<12, 2, false>,
            triples: None,
        },
        TileKernel {
            height: 8,
            run: tile_avx512::<8, 3, false>,
            triples: None,
        },
        TileKernel {
            height: 6,
            run: tile_avx512::<6, 4, false>,
            triples: None,
        },
    ],
    outers: &[
        heights!(outer_avx512, 1: 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1),
        heights!(outer_avx512, 2: 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1),
        heights!(outer_avx512, 3: 8, 7, 6, 5, 4, 3, 2, 1),
    ],
};

#[cfg(target_arch = "x86_64")]
static AVX2: Kernels = Kernels {
    isa: Isa::Avx2,
    lanes: 8,
    tiles: &[
        TileKernel {
            height: 10,
            run: tile_avx2::<10, 1, false>,
            triples: None,
        },
        TileKernel {
            height: 6,
            run: tile_avx2::<6, 2, false>,
            triples: None,
        },
    ],
    outers: &[
        heights!(outer_avx2, 1: 12, 8, 6, 4, 2, 1),
        heights!(outer_avx2, 2: 6, 4, 2, 1),
    ],
};

static PORTABLE: Kernels = Kernels {
    isa: Isa::Portable,
    lanes: 4,
    tiles: &[
        TileKernel {
            height: 8,
            run: tile_portable::<8, 1, false>,
            triples: None,
        },
        TileKernel {
            height: 6,
            run: tile_portable::<6, 2, false>,
            triples: None,
        },
    ],
    outers: &[
        heights!(outer_portable, 1: 8, 4, 2, 1),
        heights!(outer_portable, 2: 6, 4, 2, 1),
    ],
};

impl Kernels {
    pub(super) fn of(isa: Isa) -> &'static Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &AVX512,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &AVX2,
            _ => &PORTABLE,
        }
    }

    /// Cuts `columns` into panels of at most `max` vectors, as even as can be.
    pub(super) fn panels(&self, columns: usize, max: usize) -> Vec<Panel> {
        let vectors = columns.div_ceil(self.lanes);
        let count = vectors.div_ceil(max);
        let mut at = 0;
        let panel = |i: usize| {
            let vectors = vectors / count + usize::from(i < vectors % count);
            let width = vectors * self.lanes;
            let panel = Panel {
                at,
                columns: width.min(columns - at),
                vectors,
                width,
            };
            at += width;
            panel
        };
        (0..count).map(panel).collect()
    }

    /// The outer-product kernel for runs of `len` values of the lowest cost: pieces of its height, the last overlapping.
    pub(super) fn outer(&self, vectors: usize, len: usize) -> (usize, OuterFn) {
        let all = self.outers[vectors - 1];
        let cost = |height: usize| len.div_ceil(height) * (2 * height + 3);
        let best = all
            .iter()
            .filter(|(height, _)| *height <= len)
            .min_by_key(|(height, _)| cost(*height));
        *best.unwrap_or(&all[all.len() - 1])
    }
}

/// A panel of output channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panel {
    /// First channel.
    pub at: usize,
    /// Channels.
    pub columns: usize,
    /// Vectors, and the channels that would fill them.
    pub vectors: usize,
    pub width: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_cover_the_columns_evenly() {
        for isa in Isa::available() {
            let kernels = Kernels::of(isa);
            for columns in 1..300 {
                let panels = kernels.panels(columns, kernels.tiles.len());
                assert_eq!(panels.iter().map(|p| p.columns).sum::<usize>(), columns);
                for pair in panels.windows(2) {
                    assert_eq!(pair[0].at + pair[0].width, pair[1].at);
                    assert_eq!(pair[0].columns, pair[0].width);
                    assert!(pair[0].vectors - pair[1].vectors <= 1);
                }
                assert!(panels.iter().all(|p| p.columns > p.width - kernels.lanes));
            }
        }
    }
}
