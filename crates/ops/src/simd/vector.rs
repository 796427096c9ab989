//! The trait of `f32` vectors.

/// Vectors of one instruction set.
///
/// # Safety
/// Every method requires that the processor has the instruction set, and that it is inlined into a function compiled for
/// it; pointers are valid for the lanes that are read or written and need no alignment.
pub(crate) trait Simd: Copy {
    /// A vector.
    type V: Copy;
    /// Its lanes.
    const LANES: usize;
    unsafe fn zero() -> Self::V;
    unsafe fn splat(p: *const f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    /// The first `n` lanes, `n < LANES`; the others are zero.
    unsafe fn load_first(p: *const f32, n: usize) -> Self::V;
    /// The first `n` lanes, `n < LANES`.
    unsafe fn store_first(p: *mut f32, n: usize, v: Self::V);
    /// `a · b + c`.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// The greater one; `b` where either is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Prefetches the cache line of `p`; `p` may point anywhere.
    unsafe fn prefetch(p: *const f32);
    /// Transposes `LANES` rows of as many values, `stride` apart: value `i` of every row is written to `to[i]`.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, stride: usize, to: *const *mut f32) {
        for i in 0..Self::LANES {
            for row in 0..Self::LANES {
                // SAFETY: the caller's promise.
                unsafe { *(*to.add(i)).add(row) = *from.add(row * stride + i) };
            }
        }
    }
    /// `x`, hidden from the optimiser where that makes it use fewer registers.
    #[inline(always)]
    fn opaque(x: usize) -> usize {
        x
    }
}
