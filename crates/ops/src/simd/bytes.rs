//! Vectors of bytes behind one trait, for counting.

/// Vectors of bytes of one instruction set.
///
/// # Safety
/// Every method requires that the processor has the instruction set, and that it is inlined into a function compiled for
/// it; pointers are valid for the lanes that are read and need no alignment.
pub(crate) trait Bytes: Copy {
    /// A vector.
    type V: Copy;
    /// Its lanes, 64 at most.
    const LANES: usize;
    unsafe fn splat(x: u8) -> Self::V;
    unsafe fn load(p: *const u8) -> Self::V;
    unsafe fn store(p: *mut u8, v: Self::V);
    /// Adds 1 to `n` where `v ≥ t`.
    unsafe fn count_from(n: &mut Self::V, v: Self::V, t: Self::V);
    /// Where `v > bound`, sets `least` to the smaller of itself and `v`.
    unsafe fn least_above(least: &mut Self::V, v: Self::V, bound: Self::V);
}

/// Plain Rust: loops over so many bytes that the compiler makes vectors of them.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

// SAFETY (every method): the contract of `Bytes`; no processor feature is needed.
impl Bytes for Portable {
    type V = [u8; 64];
    const LANES: usize = 64;
    #[inline(always)]
    unsafe fn splat(x: u8) -> [u8; 64] {
        [x; 64]
    }
    #[inline(always)]
    unsafe fn load(p: *const u8) -> [u8; 64] {
        // SAFETY: the trait's contract.
        unsafe { p.cast::<[u8; 64]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut u8, v: [u8; 64]) {
        // SAFETY: the trait's contract.
        unsafe { p.cast::<[u8; 64]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn count_from(n: &mut [u8; 64], v: [u8; 64], t: [u8; 64]) {
        for ((n, v), t) in n.iter_mut().zip(&v).zip(&t) {
            *n = n.wrapping_add(u8::from(v >= t));
        }
    }
    #[inline(always)]
    unsafe fn least_above(least: &mut [u8; 64], v: [u8; 64], bound: [u8; 64]) {
        for ((least, v), bound) in least.iter_mut().zip(&v).zip(&bound) {
            *least = (*least).min(if v > bound { *v } else { 255 });
        }
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
        unsafe fn count_from(n: &mut __m256i, v: __m256i, t: __m256i) {
            // There is no comparison of unsigned bytes, but a maximum; "true" is −1.
            // SAFETY: the trait's contract.
            unsafe { *n = _mm256_sub_epi8(*n, _mm256_cmpeq_epi8(_mm256_max_epu8(v, t), v)) }
        }
        #[inline(always)]
        unsafe fn least_above(least: &mut __m256i, v: __m256i, bound: __m256i) {
            // SAFETY: the trait's contract.
            unsafe {
                let not_above = _mm256_cmpeq_epi8(_mm256_max_epu8(v, bound), bound);
                *least = _mm256_min_epu8(*least, _mm256_or_si256(v, not_above));
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
        unsafe fn count_from(n: &mut __m512i, v: __m512i, t: __m512i) {
            // SAFETY: the trait's contract.
            unsafe { *n = _mm512_mask_add_epi8(*n, _mm512_cmpge_epu8_mask(v, t), *n, _mm512_set1_epi8(1)) }
        }
        #[inline(always)]
        unsafe fn least_above(least: &mut __m512i, v: __m512i, bound: __m512i) {
            // SAFETY: the trait's contract.
            unsafe { *least = _mm512_mask_min_epu8(*least, _mm512_cmpgt_epu8_mask(v, bound), *least, v) }
        }
    }
}
