//! Peak rates of this machine, and the timing used by the kernels' benchmarks.

use glad_ops::isa;
use rayon::prelude::*;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The shortest of some runs, in milliseconds: the one least disturbed by other processes.
pub(crate) fn best(body: impl FnMut()) -> f64 {
    best_within(Duration::from_millis(150), body)
}

/// As [`best`], of as many runs as fit a time, and of three at least.
pub(crate) fn best_within(time: Duration, mut body: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    let start = Instant::now();
    for run in 0..200 {
        let at = Instant::now();
        body();
        best = best.min(at.elapsed().as_secs_f64() * 1e3);
        if run >= 2 && start.elapsed() > time {
            break;
        }
    }
    best
}

/// Multiply-adds of the current pool's threads together in GF/s, from registers alone: twelve chains on each.
#[cfg(target_arch = "x86_64")]
pub(crate) fn peak() -> f64 {
    use std::arch::x86_64::*;
    const ROUNDS: usize = 200_000;
    #[target_feature(enable = "avx512f")]
    fn avx512() -> f32 {
        let (a, b) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(1e-3)));
        let mut acc = [_mm512_setzero_ps(); 12];
        for _ in 0..ROUNDS {
            for chain in &mut acc {
                *chain = _mm512_fmadd_ps(*chain, a, b);
            }
        }
        acc.into_iter().map(|chain| _mm512_reduce_add_ps(chain)).sum()
    }
    #[target_feature(enable = "avx2,fma")]
    fn avx2() -> f32 {
        let (a, b) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(1e-3)));
        let mut acc = [_mm256_setzero_ps(); 12];
        for _ in 0..ROUNDS {
            for chain in &mut acc {
                *chain = _mm256_fmadd_ps(*chain, a, b);
            }
        }
        acc.into_iter().map(|chain| _mm256_cvtss_f32(chain)).sum()
    }
    let lanes = match isa::current() {
        isa::Isa::Avx512 => 16,
        _ if isa::Isa::Avx2.is_available() => 8,
        _ => return f64::NAN,
    };
    let threads = rayon::current_num_threads();
    let ms = best(|| {
        rayon::broadcast(|_| {
            // SAFETY: the processor has the one that is run.
            black_box(unsafe { if lanes == 16 { avx512() } else { avx2() } });
        });
    });
    (2 * 12 * lanes * ROUNDS * threads) as f64 / ms / 1e6
}

/// Not measured on other processors.
#[cfg(not(target_arch = "x86_64"))]
pub fn peak() -> f64 {
    f64::NAN
}

/// GB/s of `a = b + s·c` over vectors that no cache holds, by the current pool's threads: two read and one written.
#[allow(dead_code, reason = "not every benchmark asks for it")]
pub(crate) fn bandwidth() -> f64 {
    const LEN: usize = 32 << 20;
    let (mut a, b, c) = (vec![0f32; LEN], vec![1f32; LEN], vec![2f32; LEN]);
    let s = black_box(3.0);
    let each = LEN / (4 * rayon::current_num_threads());
    let ms = best(|| {
        let parts = a.par_chunks_mut(each).zip(b.par_chunks(each)).zip(c.par_chunks(each));
        parts.for_each(|((a, b), c)| {
            for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                *a = b + s * c;
            }
        });
    });
    (3 * 4 * LEN) as f64 / ms / 1e6
}
