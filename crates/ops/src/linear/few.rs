//! Kernels for few rows, which read the weights once and in place: packing them would cost more than the product.
//!
//! Every value is summed in an order that depends on the shape alone: along the inputs in lanes (`y`), output by output
//! (`dx`) or row by row (`dw`).

#![allow(clippy::needless_range_loop)] // loops over registers: unrolled, so plain indices

use super::Linear;
use crate::isa::{self, Isa};
use crate::parallel::{self, Shared, chunk_of};
use crate::simd::{Simd, portable::Portable};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2::Avx2, avx512::Avx512};

/// Rows of the batch that a tile holds.
const ROWS: usize = 4;

/// Outputs of a task: two cache lines of a row of `y`.
const OUTPUTS: usize = 32;

/// Inputs that are handled at once in the gradients, so that the sums stay in the first-level cache.
const COLUMNS: usize = 512;

/// Compiles `$name::<S, O>` for each instruction set, with `O` outputs in a tile: as many as its registers hold.
macro_rules! dispatch {
    ($isa:expr, $name:ident($($arg:expr),* $(,)?)) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        unsafe fn avx512(task: &Task) {
            // SAFETY: the caller's promise, and the features are enabled here.
            unsafe { $name::<Avx512, 4>(task) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2(task: &Task) {
            // SAFETY: as above.
            unsafe { $name::<Avx2, 2>(task) }
        }
        match $isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512($($arg),*),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2($($arg),*),
            _ => $name::<Portable, 2>($($arg),*),
        }
    }};
}

/// A part of a layer: pointers to the whole matrices, and the outputs and inputs of the part.
struct Task {
    shape: Linear,
    /// `[rows, inputs]`: `x` or `dx`.
    x: *mut f32,
    /// `[outputs, inputs]`: weights or their gradients.
    w: *mut f32,
    /// `[rows, outputs]`: `y` or `dy`.
    y: *mut f32,
    outputs: [usize; 2],
    inputs: [usize; 2],
}

/// Calls `$body::<S, outputs of the tile, rows of the tile>($task, output, row)` for each tile of a task's outputs and
/// of all rows; the outermost loop is over outputs.
macro_rules! tiles {
    ($task:expr, $body:ident) => {{
        let [mut output, end] = $task.outputs;
        while output < end {
            let whole = output + O <= end;
            for row in (0..$task.shape.rows).step_by(ROWS) {
                match (whole, $task.shape.rows - row) {
                    (true, 1) => $body::<S, O, 1>($task, output, row),
                    (true, 2) => $body::<S, O, 2>($task, output, row),
                    (true, 3) => $body::<S, O, 3>($task, output, row),
                    (true, _) => $body::<S, O, 4>($task, output, row),
                    (false, 1) => $body::<S, 1, 1>($task, output, row),
                    (false, 2) => $body::<S, 1, 2>($task, output, row),
                    (false, 3) => $body::<S, 1, 3>($task, output, row),
                    (false, _) => $body::<S, 1, 4>($task, output, row),
                }
            }
            output += if whole { O } else { 1 };
        }
    }};
}

/// `y = x Wᵀ + b`. The lengths have been checked, here and below.
pub(super) fn forward(shape: Linear, x: &[f32], w: &[f32], bias: Option<&[f32]>, relu: bool, y: &mut [f32]) {
    let (isa, into) = (isa::current(), Shared::new(y));
    parallel::run(shape.outputs.div_ceil(OUTPUTS), w.len(), |i| {
        let (at, len) = chunk_of(shape.outputs, OUTPUTS, i);
        let task = Task {
            shape,
            x: x.as_ptr().cast_mut(),
            w: w.as_ptr().cast_mut(),
            y: into.ptr(),
            outputs: [at, at + len],
            inputs: [0, shape.inputs],
        };
        // SAFETY: the lengths were checked; each task writes outputs of its own, and only `y` is written.
        unsafe { dispatch!(isa, dots(&task)) };
        for row in 0..shape.rows {
            // SAFETY: as above; the part is this task's.
            let y = unsafe { into.part(row * shape.outputs + at, len) };
            if let Some(bias) = bias {
                y.iter_mut().zip(&bias[at..]).for_each(|(y, b)| *y += b);
            }
            if relu {
                y.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
            }
        }
    });
}

/// `dx = dy W`.
pub(super) fn backward_input(shape: Linear, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (isa, into) = (isa::current(), Shared::new(dx));
    parallel::run(shape.inputs.div_ceil(COLUMNS), w.len(), |i| {
        let (at, len) = chunk_of(shape.inputs, COLUMNS, i);
        let task = Task {
            shape,
            x: into.ptr(),
            w: w.as_ptr().cast_mut(),
            y: dy.as_ptr().cast_mut(),
            outputs: [0, shape.outputs],
            inputs: [at, at + len],
        };
        // SAFETY: the lengths were checked; each task writes inputs of its own, and only `dx` is written.
        unsafe { dispatch!(isa, inputs(&task)) };
    });
}

/// `dw = dyᵀ x`.
pub(super) fn backward_weight(shape: Linear, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let (isa, into) = (isa::current(), Shared::new(dw));
    let work = shape.outputs * shape.inputs;
    parallel::run(shape.outputs.div_ceil(OUTPUTS), work, |i| {
        let (at, len) = chunk_of(shape.outputs, OUTPUTS, i);
        for first in (0..shape.inputs).step_by(COLUMNS) {
            let task = Task {
                shape,
                x: x.as_ptr().cast_mut(),
                w: into.ptr(),
                y: dy.as_ptr().cast_mut(),
                outputs: [at, at + len],
                inputs: [first, (first + COLUMNS).min(shape.inputs)],
            };
            // SAFETY: the lengths were checked; each task writes outputs of its own, and only `dw` is written.
            unsafe { dispatch!(isa, weights(&task)) };
        }
    });
}

#[inline(always)]
unsafe fn dots<S: Simd, const O: usize>(task: &Task) {
    // SAFETY: the caller's promise: matrices of the shape, and outputs within it.
    unsafe { tiles!(task, dots_tile) }
}

/// `O · R` dot products along all inputs, each in the lanes of one register.
#[inline(always)]
unsafe fn dots_tile<S: Simd, const O: usize, const R: usize>(task: &Task, output: usize, row: usize) {
    let Linear { inputs, outputs, .. } = task.shape;
    // SAFETY: the caller's promise; `i` stays within the inputs, and the last lanes are masked.
    unsafe {
        let (w, x) = (task.w.add(output * inputs), task.x.add(row * inputs));
        let mut sums = [[S::zero(); R]; O];
        let mut i = 0;
        while i < inputs {
            let part = Part::<S>::of(inputs - i);
            let mut xs = [S::zero(); R];
            for r in 0..R {
                xs[r] = part.load(x.add(r * inputs + i));
            }
            for o in 0..O {
                let w = part.load(w.add(o * inputs + i));
                for r in 0..R {
                    sums[o][r] = S::fma(w, xs[r], sums[o][r]);
                }
            }
            i += S::LANES;
        }
        for o in 0..O {
            for r in 0..R {
                *task.y.add((row + r) * outputs + output + o) = total::<S>(sums[o][r]);
            }
        }
    }
}

/// The sum of the lanes, by halves.
#[inline(always)]
unsafe fn total<S: Simd>(v: S::V) -> f32 {
    let mut lanes = [0.0f32; 16];
    // SAFETY: no vector has more than 16 lanes.
    unsafe { S::store(lanes.as_mut_ptr(), v) };
    let mut half = S::LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[inline(always)]
unsafe fn inputs<S: Simd, const O: usize>(task: &Task) {
    // SAFETY: the caller's promise: matrices of the shape, and a part within it.
    unsafe { tiles!(task, inputs_tile) }
}

/// Adds `O` outputs' share to `R` rows of `dx`.
#[inline(always)]
unsafe fn inputs_tile<S: Simd, const O: usize, const R: usize>(task: &Task, output: usize, row: usize) {
    let inputs = task.shape.inputs;
    // SAFETY: the caller's promise; `i` stays within the part, and the last lanes are masked.
    unsafe {
        let (w, x) = (task.w.add(output * inputs), task.x.add(row * inputs));
        let scales = scales::<S, O, R>(task, output, row);
        let [mut i, end] = task.inputs;
        while i < end {
            let part = Part::<S>::of(end - i);
            let mut ws = [S::zero(); O];
            for o in 0..O {
                ws[o] = part.load(w.add(o * inputs + i));
            }
            for r in 0..R {
                let at = x.add(r * inputs + i);
                let mut sum = if output == 0 { S::zero() } else { part.load(at) };
                for o in 0..O {
                    sum = S::fma(scales[o][r], ws[o], sum);
                }
                part.store(at, sum);
            }
            i += S::LANES;
        }
    }
}

#[inline(always)]
unsafe fn weights<S: Simd, const O: usize>(task: &Task) {
    // SAFETY: the caller's promise: matrices of the shape, and a part within it.
    unsafe { tiles!(task, weights_tile) }
}

/// Adds the share of `R` rows to the gradients of `O` outputs' weights.
#[inline(always)]
unsafe fn weights_tile<S: Simd, const O: usize, const R: usize>(task: &Task, output: usize, row: usize) {
    let inputs = task.shape.inputs;
    // SAFETY: the caller's promise; `i` stays within the part, and the last lanes are masked.
    unsafe {
        let (w, x) = (task.w.add(output * inputs), task.x.add(row * inputs));
        let scales = scales::<S, O, R>(task, output, row);
        let [mut i, end] = task.inputs;
        while i < end {
            let part = Part::<S>::of(end - i);
            let mut xs = [S::zero(); R];
            for r in 0..R {
                xs[r] = part.load(x.add(r * inputs + i));
            }
            for o in 0..O {
                let at = w.add(o * inputs + i);
                let mut sum = if row == 0 { S::zero() } else { part.load(at) };
                for r in 0..R {
                    sum = S::fma(scales[o][r], xs[r], sum);
                }
                part.store(at, sum);
            }
            i += S::LANES;
        }
    }
}

/// The tile's gradients of `y`, each in all lanes of a register.
#[inline(always)]
unsafe fn scales<S: Simd, const O: usize, const R: usize>(task: &Task, output: usize, row: usize) -> [[S::V; R]; O] {
    // SAFETY: the caller's promise: the tile lies in `y`.
    unsafe {
        let mut scales = [[S::zero(); R]; O];
        for o in 0..O {
            for r in 0..R {
                scales[o][r] = S::splat(task.y.add((row + r) * task.shape.outputs + output + o));
            }
        }
        scales
    }
}

/// A vector, or what is left of a line that ends in it.
#[derive(Clone, Copy)]
struct Part<S> {
    left: usize,
    set: std::marker::PhantomData<S>,
}

impl<S: Simd> Part<S> {
    #[inline(always)]
    fn of(left: usize) -> Self {
        Part {
            left,
            set: std::marker::PhantomData,
        }
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> S::V {
        // SAFETY: the caller's promise: `left` values can be read.
        unsafe {
            if self.left >= S::LANES {
                S::load(p)
            } else {
                S::load_first(p, self.left)
            }
        }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: S::V) {
        // SAFETY: the caller's promise: `left` values can be written.
        unsafe {
            if self.left >= S::LANES {
                S::store(p, v);
            } else {
                S::store_first(p, self.left, v);
            }
        }
    }
}
