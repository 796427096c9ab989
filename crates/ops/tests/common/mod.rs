//! Shared by the tests: values, comparisons, runs with every instruction set and on several pools.
#![allow(dead_code)] // each test binary uses its part

use glad_ops::{Isa, isa};
use proptest::prelude::ProptestConfig;
use std::sync::OnceLock;

/// Values in about [-2, 2] that depend on the key and the index.
pub(crate) fn values(key: u64, len: usize) -> Vec<f32> {
    let mut state = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678_9ABC_DEF1;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    (0..len)
        .map(|_| (next() >> 40) as f32 / (1u64 << 22) as f32 - 2.0)
        .collect()
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Each value is near: within `tolerance` of the larger of 1 and the reference's largest magnitude.
pub(crate) fn assert_near(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    let size = want.iter().fold(1.0f64, |most, w| most.max(w.abs()));
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(got) - want).abs();
        assert!(
            error <= tolerance * size,
            "{what}[{i}]: {got}, not {want} (error {error:e}, size {size})"
        );
    }
}

fn pools() -> &'static [rayon::ThreadPool; 3] {
    static POOLS: OnceLock<[rayon::ThreadPool; 3]> = OnceLock::new();
    POOLS.get_or_init(|| [1, 2, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap()))
}

/// Runs `op` with every instruction set and on 1, 2 and 3 threads; the threads must agree to the bit. Passes each
/// instruction set's result to `check`.
pub(crate) fn on_all(op: impl Fn() -> Vec<Vec<f32>> + Sync, check: impl Fn(Isa, &[Vec<f32>])) {
    let bits =
        |all: &[Vec<f32>]| -> Vec<Vec<u32>> { all.iter().map(|v| v.iter().map(|x| x.to_bits()).collect()).collect() };
    for set in Isa::available() {
        let [one, two, three] = pools().each_ref().map(|pool| pool.install(|| isa::with(set, &op)));
        assert_eq!(bits(&one), bits(&two), "{set}: 1 and 2 threads differ");
        assert_eq!(bits(&one), bits(&three), "{set}: 1 and 3 threads differ");
        check(set, &one);
    }
}

/// A buffer of NaN, which no operation may leave in place.
pub(crate) fn garbage(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

/// A small number of random cases; failures are printed, not kept in files.
pub(crate) fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        cases: count,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
