//! The transforms of tiles and filters, on vectors of channels, compiled for each instruction set. Each goes along one axis
//! (`axis`), and then along the other.

use super::POINTS;
use super::axis::{
    filter, filter_grad, filter_grad_wide, filter_wide, input, output, output_wide, spread, spread_wide,
};
use super::tiles::Along;
use crate::isa::Isa;
use crate::simd::{Simd, portable::Portable};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2::Avx2, avx512::Avx512};

/// A transform of columns and then of rows: the value of `$load` for (i, j) goes to `$store` as (i, j, v). A macro, because
/// closures are not compiled for the instruction set.
macro_rules! both_ways {
    ($one:ident, $from:literal, $to:literal, |$i:ident, $j:ident| $load:expr, |$y:ident, $x:ident, $v:ident| $store:expr) => {{
        let mut half = [[S::zero(); $from]; $to];
        for $j in 0..$from {
            let mut column = [S::zero(); $from];
            for $i in 0..$from {
                column[$i] = $load;
            }
            let column = $one::<S>(column);
            for i in 0..$to {
                half[i][$j] = column[i];
            }
        }
        for $y in 0..$to {
            let row = $one::<S>(half[$y]);
            for $x in 0..$to {
                let $v = row[$x];
                $store;
            }
        }
    }};
}

/// Vectors at a pointer, or the first `tail` lanes of one.
#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, lanes: usize) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        if lanes == S::LANES {
            S::load(p)
        } else {
            S::load_first(p, lanes)
        }
    }
}

#[inline(always)]
unsafe fn store<S: Simd>(p: *mut f32, lanes: usize, v: S::V) {
    // SAFETY: the caller's promise.
    unsafe {
        if lanes == S::LANES {
            S::store(p, v)
        } else {
            S::store_first(p, lanes, v)
        }
    }
}

/// Source pixels of a tile → transformed tile.
pub(super) struct Input<'a> {
    /// Each can be read for `channels` values.
    pub from: &'a [*const f32; POINTS],
    pub channels: usize,
    /// Point `i` is written at `i · stride`.
    pub to: *mut f32,
    pub stride: usize,
}

#[inline(always)]
unsafe fn input_tile<S: Simd>(job: &Input) {
    let Input { from, to, stride, .. } = *job;
    let mut at = 0;
    // SAFETY: the job's fields say what may be read and written.
    unsafe {
        while at + S::LANES <= job.channels {
            both_ways!(
                input,
                6,
                6,
                |i, j| S::load(from[i * 6 + j].wrapping_add(at)),
                |y, x, v| S::store(to.wrapping_add((y * 6 + x) * stride + at), v)
            );
            at += S::LANES;
        }
        let rest = job.channels - at;
        if rest > 0 {
            both_ways!(
                input,
                6,
                6,
                |i, j| S::load_first(from[i * 6 + j].wrapping_add(at), rest),
                |y, x, v| S::store_first(to.wrapping_add((y * 6 + x) * stride + at), rest, v)
            );
        }
    }
}

#[inline(always)]
unsafe fn input_line<S: Simd>(job: &Input) {
    for at in (0..job.channels).step_by(S::LANES) {
        let lanes = S::LANES.min(job.channels - at);
        // SAFETY: the job's fields say what may be read and written.
        unsafe {
            let mut line = [S::zero(); 6];
            for (i, v) in line.iter_mut().enumerate() {
                *v = load::<S>(job.from[i].wrapping_add(at), lanes);
            }
            for (i, v) in input::<S>(line).into_iter().enumerate() {
                store::<S>(job.to.wrapping_add(i * job.stride + at), lanes, v);
            }
        }
    }
}

/// A tile of output gradients → transformed tile.
pub(super) struct Spread {
    /// Pixel (y, x) is read at `y · row + x · pixel`.
    pub from: *const f32,
    pub row: usize,
    pub pixel: usize,
    pub valid: [usize; 2],
    pub channels: usize,
    /// Point `i` is written at `i · stride`, whole vectors.
    pub to: *mut f32,
    pub stride: usize,
}

#[inline(always)]
unsafe fn spread_line<S: Simd>(job: &Spread) {
    for at in (0..job.channels).step_by(S::LANES) {
        let lanes = S::LANES.min(job.channels - at);
        // SAFETY: the job's fields say what may be read and written.
        unsafe {
            let mut line = [S::zero(); 4];
            for (i, v) in line.iter_mut().enumerate().take(job.valid[0]) {
                *v = load::<S>(job.from.wrapping_add(i * job.row + at), lanes);
            }
            for (i, v) in spread::<S>(line).into_iter().enumerate() {
                S::store(job.to.wrapping_add(i * job.stride + at), v);
            }
        }
    }
}

/// Transformed tile of products → output pixels.
pub(super) struct Output {
    /// Point `i` is read at `i · stride`, `width` values.
    pub from: *const f32,
    pub stride: usize,
    /// Pixel (y, x) is written at `y · row + x · pixel`, `columns` values.
    pub to: *mut f32,
    pub row: usize,
    pub pixel: usize,
    pub valid: [usize; 2],
    pub columns: usize,
    /// Whether to add to what is stored.
    pub add: bool,
    /// Null for none.
    pub bias: *const f32,
    pub relu: bool,
    /// `[3][width]`, as in the direct convolution; null for none.
    pub moments: *mut f32,
    pub width: usize,
    /// Whether the first pixel is the pivot.
    pub first: bool,
}

#[inline(always)]
unsafe fn output_line<S: Simd>(job: &Output) {
    for at in (0..job.columns).step_by(S::LANES) {
        // SAFETY: the job's fields say what may be read and written.
        unsafe {
            let mut line = [S::zero(); 6];
            for (i, v) in line.iter_mut().enumerate() {
                *v = S::load(job.from.wrapping_add(i * job.stride + at));
            }
            let mut y = [[S::zero(); 4]; 4];
            for (row, v) in y.iter_mut().zip(output::<S>(line)) {
                row[0] = v;
            }
            finish::<S>(job, at, &mut y);
        }
    }
}

/// The epilogue of a vector of channels of a tile, and the stores of its pixels.
#[inline(always)]
unsafe fn finish<S: Simd>(job: &Output, at: usize, y: &mut [[S::V; 4]; 4]) {
    let lanes = S::LANES.min(job.columns - at);
    // SAFETY: the job's fields say what may be read and written.
    unsafe {
        let [rows, columns] = job.valid;
        if job.add || job.relu || !job.bias.is_null() {
            let bias = if job.bias.is_null() {
                S::zero()
            } else {
                load::<S>(job.bias.wrapping_add(at), lanes)
            };
            for (i, row) in y.iter_mut().enumerate().take(rows) {
                for (j, v) in row.iter_mut().enumerate().take(columns) {
                    let place = job.to.wrapping_add(i * job.row + j * job.pixel + at);
                    let old = if job.add { load::<S>(place, lanes) } else { S::zero() };
                    *v = S::add(S::add(*v, old), bias);
                    if job.relu {
                        *v = S::max(S::zero(), *v);
                    }
                }
            }
        }
        if !job.moments.is_null() {
            let place = job.moments.wrapping_add(at);
            if job.first {
                S::store(place, y[0][0]);
                S::store(place.wrapping_add(job.width), S::zero());
                S::store(place.wrapping_add(2 * job.width), S::zero());
            }
            let pivot = S::load(place);
            // A tile's own sums first: then few additions have large operands.
            let (mut sum, mut squares) = (S::zero(), S::zero());
            for row in &y[..rows] {
                for v in &row[..columns] {
                    let d = S::sub(*v, pivot);
                    sum = S::add(sum, d);
                    squares = S::fma(d, d, squares);
                }
            }
            for (i, part) in [sum, squares].into_iter().enumerate() {
                let all = place.wrapping_add((i + 1) * job.width);
                S::store(all, S::add(S::load(all), part));
            }
        }
        for (i, row) in y.iter().enumerate().take(rows) {
            for (j, v) in row.iter().enumerate().take(columns) {
                store::<S>(job.to.wrapping_add(i * job.row + j * job.pixel + at), lanes, *v);
            }
        }
    }
}

/// Filters, or their gradients, of whole vectors of output channels.
pub(super) struct Filter {
    /// Tap or point `i` is read at `i · from_stride`.
    pub from: *const f32,
    pub from_stride: usize,
    /// Point or tap `i` is written at `i · to_stride`.
    pub to: *mut f32,
    pub to_stride: usize,
    /// Values, whole vectors.
    pub len: usize,
}

#[inline(always)]
unsafe fn filter_lines<S: Simd>(job: &Filter) {
    for at in (0..job.len).step_by(S::LANES) {
        // SAFETY: the job's fields say what may be read and written.
        unsafe {
            let mut taps = [S::zero(); 3];
            for (i, v) in taps.iter_mut().enumerate() {
                *v = S::load(job.from.wrapping_add(i * job.from_stride + at));
            }
            for (i, v) in filter::<S>(taps).into_iter().enumerate() {
                S::store(job.to.wrapping_add(i * job.to_stride + at), v);
            }
        }
    }
}

#[inline(always)]
unsafe fn filter_line_grads<S: Simd>(job: &Filter) {
    for at in (0..job.len).step_by(S::LANES) {
        // SAFETY: the job's fields say what may be read and written.
        unsafe {
            let mut points = [S::zero(); 6];
            for (i, v) in points.iter_mut().enumerate() {
                *v = S::load(job.from.wrapping_add(i * job.from_stride + at));
            }
            for (i, v) in filter_grad::<S>(points).into_iter().enumerate() {
                S::store(job.to.wrapping_add(i * job.to_stride + at), v);
            }
        }
    }
}

/// The transforms of tiles of `$outputs` × `$outputs` pixels, for filters of `$taps` × `$taps`.
macro_rules! square_tiles {
    ($outputs:literal, $taps:literal, $spread_tile:ident: $spread:ident, $output_tile:ident: $output:ident,
     $filter_tiles:ident: $filter:ident, $filter_tile_grads:ident: $filter_grad:ident) => {
        #[inline(always)]
        unsafe fn $spread_tile<S: Simd>(job: &Spread) {
            for at in (0..job.channels).step_by(S::LANES) {
                let lanes = S::LANES.min(job.channels - at);
                // SAFETY: the job's fields say what may be read and written.
                unsafe {
                    both_ways!(
                        $spread,
                        $outputs,
                        6,
                        |i, j| if i < job.valid[0] && j < job.valid[1] {
                            load::<S>(job.from.wrapping_add(i * job.row + j * job.pixel + at), lanes)
                        } else {
                            S::zero()
                        },
                        |y, x, v| S::store(job.to.wrapping_add((y * 6 + x) * job.stride + at), v)
                    );
                }
            }
        }

        #[inline(always)]
        unsafe fn $output_tile<S: Simd>(job: &Output) {
            for at in (0..job.columns).step_by(S::LANES) {
                // SAFETY: the job's fields say what may be read and written.
                unsafe {
                    let mut y = [[S::zero(); 4]; 4];
                    both_ways!(
                        $output,
                        6,
                        $outputs,
                        |i, j| S::load(job.from.wrapping_add((i * 6 + j) * job.stride + at)),
                        |r, x, v| y[r][x] = v
                    );
                    finish::<S>(job, at, &mut y);
                }
            }
        }

        #[inline(always)]
        unsafe fn $filter_tiles<S: Simd>(job: &Filter) {
            for at in (0..job.len).step_by(S::LANES) {
                // SAFETY: the job's fields say what may be read and written.
                unsafe {
                    both_ways!(
                        $filter,
                        $taps,
                        6,
                        |i, j| S::load(job.from.wrapping_add((i * $taps + j) * job.from_stride + at)),
                        |y, x, v| S::store(job.to.wrapping_add((y * 6 + x) * job.to_stride + at), v)
                    );
                }
            }
        }

        #[inline(always)]
        unsafe fn $filter_tile_grads<S: Simd>(job: &Filter) {
            for at in (0..job.len).step_by(S::LANES) {
                // SAFETY: the job's fields say what may be read and written.
                unsafe {
                    both_ways!(
                        $filter_grad,
                        6,
                        $taps,
                        |i, j| S::load(job.from.wrapping_add((i * 6 + j) * job.from_stride + at)),
                        |y, x, v| S::store(job.to.wrapping_add((y * $taps + x) * job.to_stride + at), v)
                    );
                }
            }
        }
    };
}

square_tiles!(4, 3, spread_tile: spread, output_tile: output, filter_tiles: filter, filter_tile_grads: filter_grad);
square_tiles!(
    3, 4, spread_wide_tile: spread_wide, output_wide_tile: output_wide, filter_wide_tiles: filter_wide,
    filter_wide_tile_grads: filter_grad_wide
);

/// The transforms of one instruction set and one kind of tile. Each is `unsafe`: the job's pointers must be valid as its
/// fields state, and the processor must have the instruction set.
pub(super) struct Transforms {
    pub input: unsafe fn(&Input),
    pub spread: unsafe fn(&Spread),
    pub output: unsafe fn(&Output),
    pub filters: unsafe fn(&Filter),
    pub filter_grads: unsafe fn(&Filter),
}

macro_rules! compile {
    ($name:ident, $simd:ty $(, $features:literal)?) => {
        mod $name {
            use super::*;
            compile!(@ $simd [$($features)?] input: Input = input_tile);
            compile!(@ $simd [$($features)?] spread: Spread = spread_tile);
            compile!(@ $simd [$($features)?] output: Output = output_tile);
            compile!(@ $simd [$($features)?] filters: Filter = filter_tiles);
            compile!(@ $simd [$($features)?] filter_grads: Filter = filter_tile_grads);
            pub(super) static SPACE: Transforms = Transforms { input, spread, output, filters, filter_grads };
            pub(super) static WIDE: Transforms = {
                compile!(@ $simd [$($features)?] spread: Spread = spread_wide_tile);
                compile!(@ $simd [$($features)?] output: Output = output_wide_tile);
                compile!(@ $simd [$($features)?] filters: Filter = filter_wide_tiles);
                compile!(@ $simd [$($features)?] filter_grads: Filter = filter_wide_tile_grads);
                Transforms { input, spread, output, filters, filter_grads }
            };
            pub(super) static TIME: Transforms = {
                compile!(@ $simd [$($features)?] input: Input = input_line);
                compile!(@ $simd [$($features)?] spread: Spread = spread_line);
                compile!(@ $simd [$($features)?] output: Output = output_line);
                compile!(@ $simd [$($features)?] filters: Filter = filter_lines);
                compile!(@ $simd [$($features)?] filter_grads: Filter = filter_line_grads);
                Transforms { input, spread, output, filters, filter_grads }
            };
        }
    };
    (@ $simd:ty [$($features:literal)?] $name:ident: $job:ty = $body:ident) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn $name(job: &$job) {
            // SAFETY: the caller's promise about the job and the processor.
            unsafe { $body::<$simd>(job) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
compile!(avx512, Avx512, "avx512f");
#[cfg(target_arch = "x86_64")]
compile!(avx2, Avx2, "avx2,fma");
compile!(portable, Portable);

impl Transforms {
    pub(super) fn of(isa: Isa, along: Along) -> &'static Transforms {
        match (isa, along) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, Along::Space) => &avx512::SPACE,
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, Along::Wide) => &avx512::WIDE,
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, Along::Time) => &avx512::TIME,
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, Along::Space) => &avx2::SPACE,
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, Along::Wide) => &avx2::WIDE,
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, Along::Time) => &avx2::TIME,
            (_, Along::Space) => &portable::SPACE,
            (_, Along::Wide) => &portable::WIDE,
            (_, Along::Time) => &portable::TIME,
        }
    }
}
