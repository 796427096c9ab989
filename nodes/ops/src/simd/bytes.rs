//! Vectors of bytes behind one trait, for counting.

/// Vectors of bytes of one instruction set.
///
/// # Safety
/// Every method asks that the processor has the instruction set, and that it is inlined into a function compiled for
/// it; pointers are good for the lanes that are read and need no alignment.
pub(crate) trait Bytes: Copy {
    /// A vector.
    type V: Copy;
    /// Its lanes, 64 at most.
    const LANES: usize;
    unsafe fn splat(x: u8) -> Self::V;
    unsafe fn load(p: *const u8) -> Self::V;
    unsafe fn store(p: *mut u8, v: Self::V);
    /// `n + 1` where `v ≥ t`, else `n`.
    unsafe fn count_from(n: Self::V, v: Self::V, t: Self::V) -> Self::V;
    /// The lesser of `least` and `v` where `v > bound`, else `least`.
    unsafe fn least_above(least: Self::V, v: Self::V, bound: Self::V) -> Self::V;
}

/// Plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

// SAFETY (every method): the contract of `Bytes`; there is nothing that a processor could lack.
impl Bytes for Portable {
    type V = [u8; 16];
    const LANES: usize = 16;
    #[inline(always)]
    unsafe fn splat(x: u8) -> [u8; 16] {
        [x; 16]
    }
    #[inline(always)]
    unsafe fn load(p: *const u8) -> [u8; 16] {
        // SAFETY: the trait's contract.
        unsafe { p.cast::<[u8; 16]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut u8, v: [u8; 16]) {
        // SAFETY: the trait's contract.
        unsafe { p.cast::<[u8; 16]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn count_from(mut n: [u8; 16], v: [u8; 16], t: [u8; 16]) -> [u8; 16] {
        for i in 0..16 {
            n[i] += u8::from(v[i] >= t[i]);
        }
        n
    }
    #[inline(always)]
    unsafe fn least_above(mut least: [u8; 16], v: [u8; 16], bound: [u8; 16]) -> [u8; 16] {
        for i in 0..16 {
            least[i] = if v[i] > bound[i] { least[i].min(v[i]) } else { least[i] };
        }
        least
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Bytes;
    use std::arch::x86_64::*;

    /// AVX2.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2;

    // SAFETY (every method): the contract of `Bytes`.
    impl Bytes for Avx2 {
        type V = __m256i;
        const LANES: usize = 32;
        #[inline(always)]
        unsafe fn splat(x: u8) -> __m256i {
            // SAFETY: the trait's contract.
            unsafe { _mm256_set1_epi8(x as i8) }
        }
        #[inline(always)]
        unsafe fn load(p: *const u8) -> __m256i {
            // SAFETY: the trait's contract.
            unsafe { _mm256_loadu_si256(p.cast()) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut u8, v: __m256i) {
            // SAFETY: the trait's contract.
            unsafe { _mm256_storeu_si256(p.cast(), v) }
        }
        #[inline(always)]
        unsafe fn count_from(n: __m256i, v: __m256i, t: __m256i) -> __m256i {
            // There is no comparison of unsigned bytes, but a maximum; "true" is −1.
            // SAFETY: the trait's contract.
            unsafe { _mm256_sub_epi8(n, _mm256_cmpeq_epi8(_mm256_max_epu8(v, t), v)) }
        }
        #[inline(always)]
        unsafe fn least_above(least: __m256i, v: __m256i, bound: __m256i) -> __m256i {
            // SAFETY: the trait's contract.
            unsafe {
                let not_above = _mm256_cmpeq_epi8(_mm256_max_epu8(v, bound), bound);
                _mm256_min_epu8(least, _mm256_or_si256(v, not_above))
            }
        }
    }

    /// AVX-512 BW.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512;

    // SAFETY (every method): the contract of `Bytes`.
    impl Bytes for Avx512 {
        type V = __m512i;
        const LANES: usize = 64;
        #[inline(always)]
        unsafe fn splat(x: u8) -> __m512i {
            // SAFETY: the trait's contract.
            unsafe { _mm512_set1_epi8(x as i8) }
        }
        #[inline(always)]
        unsafe fn load(p: *const u8) -> __m512i {
            // SAFETY: the trait's contract.
            unsafe { _mm512_loadu_si512(p.cast()) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut u8, v: __m512i) {
            // SAFETY: the trait's contract.
            unsafe { _mm512_storeu_si512(p.cast(), v) }
        }
        #[inline(always)]
        unsafe fn count_from(n: __m512i, v: __m512i, t: __m512i) -> __m512i {
            // SAFETY: the trait's contract.
            unsafe { _mm512_mask_add_epi8(n, _mm512_cmpge_epu8_mask(v, t), n, _mm512_set1_epi8(1)) }
        }
        #[inline(always)]
        unsafe fn least_above(least: __m512i, v: __m512i, bound: __m512i) -> __m512i {
            // SAFETY: the trait's contract.
            unsafe { _mm512_mask_min_epu8(least, _mm512_cmpgt_epu8_mask(v, bound), least, v) }
        }
    }
}
