//! Elementwise operations, and weights from one layout to the other.

mod common;
use common::{BF16, F32, Host, Kind, channels, kinds, on_host, values};
use glad_cuda::layout::{self, Filters};
use glad_cuda::{Memory, Value, pointwise};
use half::bf16;
use proptest::prelude::*;

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..50, 2000usize..5000]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn casts(len in lengths(), from in kinds(), to in kinds(), seed: u64) {
        let x = from.rounded(values(seed, len));
        let [y] = on_host(|host| {
            let (x, mut y) = (from.put(host, &x), to.room(host, len));
            pointwise::cast(host, x.read(), y.write())?;
            Ok([y.get()])
        });
        prop_assert_eq!(y, to.rounded(x));
    }

    #[test]
    fn multiples(len in lengths(), kind in kinds(), factor in -2.0f32..2.0, seed: u64) {
        let x = kind.rounded(values(seed, len));
        let got = on_host(|host| {
            let (x, factor_at) = (kind.put(host, &x), F32.put(host, &[factor]));
            let [mut scaled, mut same] = [(); 2].map(|()| kind.room(host, len));
            pointwise::scale(host, Value::Host(factor), x.read(), scaled.write())?;
            pointwise::scale(host, Value::Device(factor_at.read()), x.read(), same.write())?;
            Ok([scaled.get(), same.get()])
        });
        prop_assert_eq!(&got[0], &kind.rounded(x.iter().map(|x| x * factor).collect()));
        prop_assert_eq!(&got[0], &got[1]);
    }

    #[test]
    fn sums_begin_and_go_on(len in lengths(), add in prop_oneof![Just(0.0f32), Just(1.0)], seed: u64) {
        let x = values(seed, len);
        // If nothing is added to, the old contents are ignored.
        let before = if add == 0.0 { vec![f32::NAN; len] } else { values(seed ^ 1, len) };
        let [got] = on_host(|host| {
            let (add, x, mut y) = (F32.put(host, &[add]), F32.put(host, &x), F32.put(host, &before));
            pointwise::accumulate(host, add.read(), x.read(), y.write())?;
            Ok([y.get()])
        });
        let sums = x.iter().zip(&before).map(|(x, before)| if add == 0.0 { *x } else { before + x });
        prop_assert_eq!(got, sums.collect::<Vec<_>>());
    }

    #[test]
    fn biases(rows in 0usize..200, channels in channels(), kind in kinds(), seed: u64) {
        let before = kind.rounded(values(seed, rows * channels));
        let bias = values(seed ^ 2, channels);
        let [got] = on_host(|host| {
            let (mut y, bias) = (kind.put(host, &before), F32.put(host, &bias));
            pointwise::bias(host, channels, bias.read(), y.write())?;
            Ok([y.get()])
        });
        let sums = before.iter().enumerate().map(|(i, y)| y + bias[i % channels]);
        prop_assert_eq!(got, kind.rounded(sums.collect()));
    }

    #[test]
    fn layouts(
        (co, ci, taps) in (1usize..9, 1usize..20, prop_oneof![Just(1usize), 2usize..28]),
        more in prop_oneof![Just(0usize), 1usize..6], kind in kinds(), seed: u64,
    ) {
        let filters = Filters { co, ci, taps, padded: ci + more };
        let w = kind.rounded(values(seed, filters.len()));
        let mut expected = vec![0.0; filters.padded_len()];
        for (i, w) in w.iter().enumerate() {
            let (tap, c, o) = (i % taps, i / taps % ci, i / taps / ci);
            expected[(o * taps + tap) * filters.padded + c] = *w;
        }
        let got = on_host(|host| {
            let (from, mut y) = (F32.put(host, &w), kind.room(host, filters.padded_len()));
            layout::channels_last(host, &filters, from.read(), y.write())?;
            let mut back = F32.room(host, filters.len());
            layout::channels_first(host, &filters, y.read(), back.write())?;
            Ok([y.get(), back.get()])
        });
        prop_assert_eq!(&got[0], &expected);
        prop_assert_eq!(&got[1], &w);
    }
}

/// bf16 rounds to nearest, ties to even: all upper halves, and values between two.
#[test]
fn rounding_is_to_the_nearest_even() {
    let halves = (0..=u16::MAX).flat_map(|upper| [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF].map(|lower| (upper, lower)));
    let x: Vec<f32> = halves
        .map(|(upper, lower)| f32::from_bits(u32::from(upper) << 16 | lower))
        .collect();
    for kind in [BF16, Kind { skip: 1, ..BF16 }] {
        let host = Host::new();
        let (from, mut y) = (F32.put(&host, &x), kind.room(&host, x.len()));
        pointwise::cast(&host, from.read(), y.write()).unwrap();
        for (x, y) in x.iter().zip(y.get()) {
            let expected = bf16::from_f32(*x).to_f32();
            assert!(
                y.to_bits() == expected.to_bits() || (y.is_nan() && x.is_nan()),
                "{x}: {y}, not {expected}"
            );
        }
    }
}

#[test]
fn mistakes_are_reported() {
    let host = Host::new();
    let (x, mut y, mut narrow) = (F32.room(&host, 4), F32.room(&host, 3), BF16.room(&host, 4));
    let printed = |r: glad_cuda::Result<()>| r.unwrap_err().to_string();
    assert_eq!(
        printed(pointwise::cast(&host, x.read(), y.write())),
        "cast: `y` holds 3 values, but 4 are expected"
    );
    assert_eq!(
        printed(pointwise::scale(&host, Value::Host(2.0), x.read(), narrow.write())),
        "scaling: `y` holds Bf16, and F32 is needed"
    );
    assert_eq!(
        printed(pointwise::bias(&host, 2, F32.put(&host, &[0.0; 2]).read(), y.write())),
        "bias: 3 values are not rows of 2 channels"
    );
    let bytes = host.put(&[0u8; 4]);
    let e = printed(pointwise::cast(&host, bytes.input(), narrow.write()));
    assert_eq!(e, "cast: `x` holds U8, and F32 is needed");
    let filters = Filters {
        co: 1,
        ci: 4,
        taps: 1,
        padded: 3,
    };
    assert_eq!(
        printed(layout::channels_last(&host, &filters, x.read(), y.write())),
        "layout of weights: 4 input channels do not fit 3 padded ones"
    );
}
