//! Order statistics of many rows of bytes, column by column: the median of every pixel over the frames of a video.
//!
//! A binary search over the eight bits of the answer, all columns of a vector at once: the value of rank `r` among `n`
//! is at least `t` exactly if `n − r` values are. Every round compares and counts, without a branch.

use crate::error::{Result, check_len, shape};
use crate::isa::{self, Isa};
use crate::simd::bytes::{Bytes, Portable};

const OP: &str = "rank";

/// Columns that are copied together at a time. The distance between rows is one cache line more, so that rows do
/// not map to the same cache sets: frames begin at the same offset of their pages.
const TILE: usize = 1024;
const STRIDE: usize = TILE + LINE;
const LINE: usize = 64;

/// Rows whose counts fit a byte.
const BLOCK: usize = 255;

/// The most lanes of a vector.
const WIDEST: usize = 64;

/// For every column of `rows`, the value of rank `rank` (0 is the smallest) into `found`, and the value of the next
/// rank into `next`, if requested.
///
/// # Errors
/// There are no rows, too few for the rank, or more than 2³² − 1, or the lengths differ.
pub fn select(rows: &[&[u8]], rank: usize, found: &mut [u8], next: Option<&mut [u8]>) -> Result<()> {
    let last = rank + usize::from(next.is_some());
    if last >= rows.len() || u32::try_from(rows.len()).is_err() {
        return Err(shape(OP, format!("{} rows have no value of rank {last}", rows.len())));
    }
    for row in rows {
        check_len(OP, "rows", row.len(), found.len())?;
    }
    if let Some(next) = &next {
        check_len(OP, "next", next.len(), found.len())?;
    }
    let isa = isa::current();
    let mut next = next.map(|n| n.chunks_mut(TILE));
    // A vector that lies across two cache lines takes twice as long to load.
    let mut tile = vec![0; rows.len() * STRIDE + LINE];
    let aligned = tile.as_ptr().align_offset(LINE).min(LINE);
    let tile = &mut tile[aligned..][..rows.len() * STRIDE];
    for (i, found) in found.chunks_mut(TILE).enumerate() {
        let at = i * TILE;
        for (to, row) in tile.chunks_exact_mut(STRIDE).zip(rows) {
            to[..found.len()].copy_from_slice(&row[at..at + found.len()]);
        }
        let next = next.as_mut().and_then(Iterator::next);
        per_tile(isa, tile, rank, found, next);
    }
    Ok(())
}

/// The columns of a tile, with the instruction set.
fn per_tile(isa: Isa, tile: &[u8], rank: usize, found: &mut [u8], next: Option<&mut [u8]>) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    fn avx512(tile: &[u8], rank: usize, found: &mut [u8], next: Option<&mut [u8]>) {
        // SAFETY: this function is compiled for the instruction set.
        unsafe { columns::<crate::simd::bytes::Avx512>(tile, rank, found, next) }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(tile: &[u8], rank: usize, found: &mut [u8], next: Option<&mut [u8]>) {
        // SAFETY: this function is compiled for the instruction set.
        unsafe { columns::<crate::simd::bytes::Avx2>(tile, rank, found, next) }
    }
    match isa {
        // SAFETY: an `Isa` other than `Portable` is only ever handed out where the processor has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512(tile, rank, found, next) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2(tile, rank, found, next) },
        // SAFETY: plain Rust runs on every processor.
        _ => unsafe { columns::<Portable>(tile, rank, found, next) },
    }
}

/// # Safety
/// As [`Bytes`].
#[inline(always)]
unsafe fn columns<B: Bytes>(tile: &[u8], rank: usize, found: &mut [u8], mut next: Option<&mut [u8]>) {
    for (i, found) in found.chunks_mut(B::LANES).enumerate() {
        let at = i * B::LANES;
        // SAFETY: a row of the tile has `STRIDE` bytes, so a vector that begins in one of its `TILE` columns ends in it.
        let (values, above) = unsafe { column::<B>(&tile[at..], rank, next.is_some()) };
        found.copy_from_slice(&values[..found.len()]);
        if let Some(next) = &mut next {
            next[at..at + found.len()].copy_from_slice(&above[..found.len()]);
        }
    }
}

/// One vector of columns: the values of rank `rank`, and those of the next.
///
/// # Safety
/// As [`Bytes`]; `tile` holds a vector at every multiple of `STRIDE`.
#[inline(always)]
unsafe fn column<B: Bytes>(tile: &[u8], rank: usize, two: bool) -> ([u8; WIDEST], [u8; WIDEST]) {
    let rows = tile.len().div_ceil(STRIDE);
    let enough = (rows - rank) as u32;
    let mut found = [0u8; WIDEST];
    for bit in (0..8).rev() {
        let mut bound = found;
        bound.iter_mut().for_each(|b| *b |= 1 << bit);
        // SAFETY: the caller's promise.
        let count = unsafe { count_from::<B>(tile, rows, &bound) };
        // Without a branch, which could not be predicted.
        for (found, n) in found.iter_mut().zip(&count) {
            *found |= u8::from(*n >= enough) << bit;
        }
    }
    let mut above = found;
    if two {
        // The next one is the same value again if there are enough of it, else the smallest of those above.
        let mut bound = found;
        bound.iter_mut().for_each(|b| *b = b.saturating_add(1));
        // SAFETY: the caller's promise.
        let (count, least) = unsafe {
            (
                count_from::<B>(tile, rows, &bound),
                least_above::<B>(tile, rows, &found),
            )
        };
        for (above, (n, least)) in above.iter_mut().zip(count.iter().zip(&least)) {
            let again = u8::from(*above == 255 || *n < enough - 1).wrapping_neg();
            *above = (*above & again) | (least & !again);
        }
    }
    (found, above)
}

/// How many values of each column are at least `bound`.
///
/// # Safety
/// As [`column`].
#[inline(always)]
unsafe fn count_from<B: Bytes>(tile: &[u8], rows: usize, bound: &[u8; WIDEST]) -> [u32; WIDEST] {
    let mut sum = [0u32; WIDEST];
    let mut few = [0u8; WIDEST];
    let mut row = 0;
    // SAFETY: `WIDEST` bytes hold any vector; the rest is the caller's promise.
    unsafe {
        let bound = B::load(bound.as_ptr());
        while row < rows {
            let end = rows.min(row + BLOCK);
            let mut n = B::splat(0);
            for r in row..end {
                B::count_from(&mut n, B::load(tile.as_ptr().add(r * STRIDE)), bound);
            }
            B::store(few.as_mut_ptr(), n);
            for (sum, n) in sum.iter_mut().zip(&few) {
                *sum += u32::from(*n);
            }
            row = end;
        }
    }
    sum
}

/// The least value of each column above `bound`; 255 where there is none.
///
/// # Safety
/// As [`column`].
#[inline(always)]
unsafe fn least_above<B: Bytes>(tile: &[u8], rows: usize, bound: &[u8; WIDEST]) -> [u8; WIDEST] {
    let mut out = [0u8; WIDEST];
    // SAFETY: as in `count_from`.
    unsafe {
        let bound = B::load(bound.as_ptr());
        let mut least = B::splat(255);
        for r in 0..rows {
            B::least_above(&mut least, B::load(tile.as_ptr().add(r * STRIDE)), bound);
        }
        B::store(out.as_mut_ptr(), least);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A cheap stream of bytes that favours the ends of the range.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut s = seed | 1;
        let mut next = || {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            match s >> 60 {
                0 => 0,
                1 => 255,
                2..5 => 7,
                _ => (s >> 32) as u8,
            }
        };
        (0..len).map(|_| next()).collect()
    }

    fn check(rows: &[Vec<u8>], rank: usize) {
        let len = rows[0].len();
        let views: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        let sorted: Vec<Vec<u8>> = (0..len)
            .map(|i| {
                let mut column: Vec<u8> = rows.iter().map(|r| r[i]).collect();
                column.sort_unstable();
                column
            })
            .collect();
        for isa in Isa::available() {
            let (mut found, mut next) = (vec![9; len], vec![9; len]);
            isa::with(isa, || select(&views, rank, &mut found, None)).unwrap();
            assert!((0..len).all(|i| found[i] == sorted[i][rank]), "{isa}");
            if rank + 1 < rows.len() {
                isa::with(isa, || select(&views, rank, &mut found, Some(&mut next))).unwrap();
                assert!((0..len).all(|i| found[i] == sorted[i][rank]), "{isa}");
                assert!((0..len).all(|i| next[i] == sorted[i][rank + 1]), "{isa}");
            }
        }
    }

    proptest! {
        #[test]
        fn equals_sorting(n in 1usize..40, len in 1usize..200, rank: usize, seed: u64) {
            let rows: Vec<Vec<u8>> = (0..n).map(|i| noise(seed.wrapping_add(i as u64 * 0x9e37_79b9), len)).collect();
            check(&rows, rank % n);
        }
    }

    #[test]
    fn more_rows_than_a_block_and_more_columns_than_a_tile() {
        for n in [BLOCK, BLOCK + 1, 2 * BLOCK + 3] {
            let rows: Vec<Vec<u8>> = (0..n).map(|i| noise(i as u64 + 1, TILE + 77)).collect();
            for rank in [0, (n - 1) / 2, n - 2, n - 1] {
                check(&rows, rank);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let row = [1u8, 2, 3];
        let mut out = [0; 3];
        let why = |found: Result<()>| found.unwrap_err().to_string();
        let e = why(select(&[], 0, &mut out, None));
        assert_eq!(e, "rank: 0 rows have no value of rank 0");
        let e = why(select(&[&row], 1, &mut out, None));
        assert_eq!(e, "rank: 1 rows have no value of rank 1");
        let e = why(select(&[&row], 0, &mut out, Some(&mut [0; 3])));
        assert_eq!(e, "rank: 1 rows have no value of rank 1");
        let e = why(select(&[&row, &row[..2]], 0, &mut out, None));
        assert_eq!(e, "rank: `rows` holds 2 values, but 3 are expected");
        let e = why(select(&[&row, &row], 0, &mut out, Some(&mut [0; 2])));
        assert_eq!(e, "rank: `next` holds 2 values, but 3 are expected");
        select(&[&row], 0, &mut out, None).unwrap();
        assert_eq!(out, row);
    }
}
