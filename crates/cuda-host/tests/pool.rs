//! Pooling, against the CPU's.

mod common;
use common::{F32, Host, HostMemory, Kind, channels, kinds, on_host, values};
use glad_cuda::{Memory, pool};
use glad_ops::Pool;
use proptest::prelude::*;

fn pools() -> impl Strategy<Value = Pool> {
    let axis = || {
        (1usize..8, 1usize..5, 1usize..4)
            .prop_flat_map(|(input, kernel, stride)| (Just((input, kernel, stride)), 0..kernel, 0..kernel))
    };
    let valid = (1usize..4, channels(), [axis(), axis(), axis()]).prop_map(|(n, channels, axes)| Pool {
        n,
        channels,
        input: axes.map(|a| a.0.0),
        kernel: axes.map(|a| a.0.1),
        stride: axes.map(|a| a.0.2),
        pad: axes.map(|a| a.1),
        pad_end: axes.map(|a| a.2),
    });
    valid.prop_filter("the window does not fit", |pool| pool.validate().is_ok())
}

/// Values of which many are equal.
fn coarse(seed: u64, len: usize) -> Vec<f32> {
    values(seed, len).iter().map(|v| (v * 4.0).round()).collect()
}

fn index_of(host: &Host, len: usize, skip: usize) -> HostMemory {
    host.put(&vec![255u8; len + skip])
}

fn check_max(pool: &Pool, kind: Kind, x: &[f32], dy: &[f32]) {
    let mut index = vec![0; pool.output_len()];
    let (mut y, mut dx) = (vec![0.0; pool.output_len()], vec![0.0; pool.input_len()]);
    glad_ops::pool::max_forward(pool, x, &mut y, &mut index).unwrap();
    glad_ops::pool::max_backward(pool, dy, &index, &mut dx).unwrap();
    let got = on_host(|host| {
        let (x, mut y) = (kind.put(host, x), kind.room(host, pool.output_len()));
        // The index has its own alignment.
        let mut of = index_of(host, pool.output_len(), kind.skip);
        pool::max_forward(host, pool, x.read(), y.write(), of.output_from(kind.skip))?;
        let (dy, mut dx) = (kind.put(host, dy), kind.room(host, pool.input_len()));
        pool::max_backward(host, pool, dy.read(), of.input_from(kind.skip), dx.write())?;
        let of = of.numbers::<u8>()[kind.skip..].iter().map(|i| f32::from(*i)).collect();
        Ok([y.get(), of, dx.get()])
    });
    kind.assert_near("y", &got[0], &y, 1.0);
    assert_eq!(got[1], index.iter().map(|i| f32::from(*i)).collect::<Vec<_>>());
    kind.assert_near("dx", &got[2], &dx, 1.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn max(pool in pools(), kind in kinds(), seed: u64) {
        let dy = kind.rounded(values(seed ^ 1, pool.output_len()));
        check_max(&pool, kind, &coarse(seed, pool.input_len()), &dy);
    }

    #[test]
    fn average(pool in pools(), kind in kinds(), seed: u64) {
        let x = kind.rounded(values(seed, pool.input_len()));
        let dy = kind.rounded(values(seed ^ 1, pool.output_len()));
        let (mut y, mut dx) = (vec![0.0; pool.output_len()], vec![0.0; pool.input_len()]);
        glad_ops::pool::average_forward(&pool, &x, &mut y).unwrap();
        glad_ops::pool::average_backward(&pool, &dy, &mut dx).unwrap();
        let got = on_host(|host| {
            let (x, mut y) = (kind.put(host, &x), kind.room(host, pool.output_len()));
            pool::average_forward(host, &pool, x.read(), y.write())?;
            let (dy, mut dx) = (kind.put(host, &dy), kind.room(host, pool.input_len()));
            pool::average_backward(host, &pool, dy.read(), dx.write())?;
            Ok([y.get(), dx.get()])
        });
        kind.assert_near("y", &got[0], &y, 1.0);
        kind.assert_near("dx", &got[1], &dx, 1.0);
    }

    #[test]
    fn global_mean(n in 1usize..4, positions in 1usize..200, channels in channels(), kind in kinds(), seed: u64) {
        let len = n * positions * channels;
        let (x, dy) = (kind.rounded(values(seed, len)), values(seed ^ 1, n * channels));
        let (mut y, mut dx) = (vec![0.0; n * channels], vec![0.0; len]);
        glad_ops::pool::global_mean(n, positions, channels, &x, &mut y).unwrap();
        glad_ops::pool::global_mean_backward(n, positions, channels, &dy, &mut dx).unwrap();
        let got = on_host(|host| {
            let (x, mut y) = (kind.put(host, &x), F32.room(host, n * channels));
            pool::global_mean(host, n, positions, channels, x.read(), y.write())?;
            let (dy, mut dx) = (F32.put(host, &dy), kind.room(host, len));
            pool::global_mean_backward(host, n, positions, channels, dy.read(), dx.write())?;
            Ok([y.get(), dx.get()])
        });
        F32.assert_near("y", &got[0], &y, 1.0);
        kind.assert_near("dx", &got[1], &dx, 1.0);
    }
}

#[test]
fn what_is_not_a_number_wins() {
    let pool = Pool::new(1, [1, 1, 6], 1, [1, 1, 3], [1, 1, 1], [0, 0, 1]);
    let x = [
        1.0,
        f32::NAN,
        f32::INFINITY,
        f32::NAN,
        f32::NEG_INFINITY,
        f32::NEG_INFINITY,
    ];
    check_max(&pool, F32, &x, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    check_max(&pool, F32, &[f32::NEG_INFINITY; 6], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

/// The stem of a ResNet, and the largest window there is.
#[test]
fn real_shapes() {
    let kind = common::BF16;
    for pool in [
        Pool::new(2, [1, 28, 28], 64, [1, 3, 3], [1, 2, 2], [0, 1, 1]),
        Pool::new(1, [4, 9, 9], 8, [4, 8, 8], [1, 1, 1], [0, 0, 0]),
    ] {
        check_max(
            &pool,
            kind,
            &coarse(1, pool.input_len()),
            &kind.rounded(values(2, pool.output_len())),
        );
    }
}

#[test]
fn mistakes_are_reported() {
    let host = Host::new();
    let pool = Pool::new(1, [1, 4, 4], 2, [1, 2, 2], [1, 2, 2], [0, 0, 0]);
    let (x, mut y, mut short) = (F32.room(&host, 32), F32.room(&host, 8), F32.room(&host, 7));
    let printed = |r: glad_cuda::Result<()>| r.unwrap_err().to_string();
    assert_eq!(
        printed(pool::average_forward(&host, &pool, x.read(), short.write())),
        "pooling: `y` holds 7 values, but 8 are expected"
    );
    let index = host.put(&[0u8; 7]);
    assert_eq!(
        printed(pool::max_backward(&host, &pool, short.read(), index.input(), y.write())),
        "pooling: `dx` holds 8 values, but 32 are expected"
    );
    let wide = Pool { pad: [0, 2, 0], ..pool };
    assert!(printed(pool::average_forward(&host, &wide, x.read(), y.write())).contains("less than the window"));
    assert!(printed(pool::global_mean(&host, 0, 1, 1, x.read(), y.write())).contains("is empty"));
}
