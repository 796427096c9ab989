//! Shared by the operations: checks, the kernels' variants, and the mapping of threads to tensors.

use crate::{Error, Launch, Number, Result};

/// Threads of a block.
pub(crate) const THREADS: usize = 256;
/// Threads of a warp.
pub(crate) const WARP: usize = 32;
/// Blocks of a kernel whose threads stride over the rows: four for each multiprocessor of an H100. It determines
/// where sums are split, so it must not depend on the device.
const BLOCKS: usize = 512;
/// Rows that such a thread handles at a time.
const ROWS_AT_ONCE: usize = 4;
/// Rows, and pixels, are counted in 32 bits by the kernels, with headroom for a grid's step and for padding, and divided as
/// numbers below 2³¹.
const MOST_ROWS: usize = 1 << 30;
/// Blocks of a grid along x, at most.
const MOST_BLOCKS: usize = (1 << 31) - 1;
/// Blocks of a grid along y or z, at most.
const MOST_BLOCKS_Y: usize = 65_535;

pub(crate) fn shape(op: &'static str, message: impl Into<String>) -> Error {
    glad_ops::Error::Shape {
        op,
        message: message.into(),
    }
    .into()
}

pub(crate) fn check_len(op: &'static str, name: &'static str, got: usize, expected: usize) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(glad_ops::Error::Length {
        op,
        name,
        got,
        expected,
    }
    .into())
}

/// Checks that the operand holds `len` values of this type.
pub(crate) fn check(
    op: &'static str,
    name: &'static str,
    (got, number): (usize, Number),
    len: usize,
    expected: Number,
) -> Result<()> {
    check_number(op, name, number, expected)?;
    check_len(op, name, got, len)
}

pub(crate) fn check_number(op: &'static str, name: &'static str, got: Number, expected: Number) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::Number {
        op,
        name,
        got,
        expected,
    })
}

/// The operands as [`check`] takes them.
macro_rules! holds {
    ($operand:expr) => {
        ($operand.len(), $operand.number())
    };
}
pub(crate) use holds;

/// Checks that the operand holds activations.
pub(crate) fn check_floats(op: &'static str, name: &'static str, number: Number) -> Result<()> {
    match number {
        Number::F32 | Number::Bf16 => Ok(()),
        got => Err(Error::Number {
            op,
            name,
            got,
            expected: Number::F32,
        }),
    }
}

/// How many values of a type a thread loads at once: 16 bytes if rows of `width` and all addresses allow it.
pub(crate) fn vector(number: Number, width: usize, addresses: &[u64]) -> usize {
    let lanes = 16 / number.size();
    match width.is_multiple_of(lanes) && addresses.iter().all(|a| a.is_multiple_of(16)) {
        true => lanes,
        false => 1,
    }
}

/// The same for values in one row, whose end may be shorter than a vector.
pub(crate) fn vector_of(number: Number, addresses: &[u64]) -> usize {
    vector(number, 16, addresses)
}

/// The name of a kernel's variant for activations of a type, and for vectors of 16 bytes or single values.
macro_rules! variant {
    ($kernel:literal, $number:expr, $vector:expr) => {
        match ($number, $vector) {
            ($crate::Number::Bf16, 1) => concat!($kernel, "_bf16"),
            ($crate::Number::Bf16, _) => concat!($kernel, "_bf16x8"),
            (_, 1) => concat!($kernel, "_f32"),
            _ => concat!($kernel, "_f32x4"),
        }
    };
}
pub(crate) use variant;

/// A size that the kernels count in 32 bits.
pub(crate) fn count(op: &'static str, n: usize) -> Result<u32> {
    match u32::try_from(n) {
        Ok(count) if n <= MOST_ROWS => Ok(count),
        _ => Err(shape(op, format!("a size of {n} is more than 2³⁰"))),
    }
}

/// The kernels' `Divisor` for `by`, from 1 to 2³⁰: the quotient of any n below 2³¹ is
/// `(n · magic) >> (32 + shift)` with `magic = ⌈2^(32 + shift) / by⌉` and `shift = ⌈log₂ by⌉ − 1` (Granlund and Montgomery,
/// 1994). Division by 1 is a special case.
pub(crate) fn divisor(by: u32) -> [u32; 3] {
    if by <= 1 {
        return [by, 0, 0];
    }
    let shift = u32::BITS - (by - 1).leading_zeros() - 1;
    let magic = (1u64 << (32 + shift)).div_ceil(by.into());
    [by, magic as u32, shift]
}

/// Threads laid over `[rows, lanes]`: a block is as wide as a row, or as [`THREADS`] where rows are longer, and as high as the
/// block size allows. Blocks are counted along x for rows and along y for the parts of a row.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub rows: u32,
    lanes: usize,
    block: [usize; 2],
}

impl Layout {
    /// For rows of `lanes` vectors, with blocks of at most `widest` along a row.
    pub(crate) fn new(op: &'static str, rows: usize, lanes: usize, widest: usize) -> Result<Layout> {
        let too_many = || {
            shape(
                op,
                format!("[{rows}, {lanes}] (rows, vectors of a row) is more than 2³⁰ rows"),
            )
        };
        let rows = u32::try_from(rows)
            .ok()
            .filter(|r| *r as usize <= MOST_ROWS)
            .ok_or_else(too_many)?;
        let wide = lanes.clamp(1, widest);
        if lanes.div_ceil(wide) > MOST_BLOCKS_Y {
            return Err(shape(op, format!("{lanes} vectors of a row are too many")));
        }
        Ok(Layout {
            rows,
            lanes,
            block: [wide, THREADS / wide],
        })
    }

    /// Nothing to do: an empty grid cannot be launched.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0 || self.lanes == 0
    }

    fn tiles(&self) -> usize {
        self.lanes.div_ceil(self.block[0])
    }

    /// Blocks along the rows if threads stride over them.
    pub(crate) fn turns(&self) -> usize {
        let most = BLOCKS.div_ceil(self.tiles());
        (self.rows as usize)
            .div_ceil(self.block[1] * ROWS_AT_ONCE)
            .clamp(1, most)
    }

    /// A launch in which threads stride over the rows.
    pub(crate) fn in_turns(&self, module: &'static str, kernel: &'static str) -> Launch {
        self.launch(module, kernel, self.turns())
    }

    /// A launch with one thread for each row (and vector of it).
    pub(crate) fn each(&self, module: &'static str, kernel: &'static str) -> Launch {
        self.launch(module, kernel, (self.rows as usize).div_ceil(self.block[1]))
    }

    /// A launch with one block for each row.
    pub(crate) fn each_in_block(&self, module: &'static str, kernel: &'static str) -> Launch {
        self.launch(module, kernel, self.rows as usize)
    }

    fn launch(&self, module: &'static str, kernel: &'static str, along: usize) -> Launch {
        Launch {
            module,
            kernel,
            grid: [along as u32, self.tiles() as u32, 1],
            block: [self.block[0] as u32, self.block[1] as u32, 1],
        }
    }
}

/// A launch over `threads` in one dimension, [`THREADS`] to a block.
pub(crate) fn line(op: &'static str, module: &'static str, kernel: &'static str, threads: usize) -> Result<Launch> {
    let blocks = threads.div_ceil(THREADS);
    if blocks > MOST_BLOCKS {
        return Err(shape(op, format!("{threads} threads are more than a grid holds")));
    }
    Ok(Launch {
        module,
        kernel,
        grid: [blocks as u32, 1, 1],
        block: [THREADS as u32, 1, 1],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisors_divide() {
        let powers = (0..=30).map(|i| 1u32 << i);
        let near = powers.flat_map(|p| [p.saturating_sub(1), p, p + 1]);
        for by in near
            .chain([3, 7, 56, 224, 641, 12_544, 999_999_937])
            .filter(|by| (1..=1 << 30).contains(by))
        {
            let [_, magic, shift] = divisor(by);
            let quotient = |n: u32| match by {
                1 => n,
                _ => ((u64::from(n) * u64::from(magic)) >> 32 >> shift) as u32,
            };
            let last = (1u32 << 31) - 1;
            let multiples = [1, 2, 3, 1000, last / by / 2, last / by].map(|k| k.min(last / by) * by);
            for n in multiples
                .into_iter()
                .flat_map(|m| [m.saturating_sub(1), m, m + 1])
                .chain([0, 1, last])
            {
                assert_eq!(quotient(n.min(last)), n.min(last) / by, "{n} / {by}");
            }
        }
    }
}
