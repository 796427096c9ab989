//! Dropout: the masks are the CPU's, bit for bit.

mod common;
use common::{F32, Host, Kind, kinds, on_host, values};
use glad_cuda::{Memory, Value, dropout::dropout};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn masks(
        len in prop_oneof![0usize..50, 1000usize..6000], key: u64, p in 0.0f32..1.0, kind in kinds(), seed: u64,
    ) {
        let x = kind.rounded(values(seed, len));
        let mut expected = vec![0.0; len];
        glad_ops::dropout::dropout(key, p, &x, &mut expected).unwrap();
        let got = on_host(|host| {
            let x = kind.put(host, &x);
            let [mut y, mut same] = [(); 2].map(|()| kind.room(host, len));
            dropout(host, Value::Host(key), p, x.read(), y.write())?;
            let halves = host.put(&[key as u32, (key >> 32) as u32]);
            dropout(host, Value::Device(halves.input()), p, x.read(), same.write())?;
            Ok([y.get(), same.get()])
        });
        let expected = kind.rounded(expected);
        prop_assert_eq!(&got[0], &expected);
        prop_assert_eq!(&got[1], &expected);
    }
}

/// At the largest `p`, in steps of 2⁻²⁴, that keeps a value: that of one in 256 is the value's random word itself.
#[test]
fn the_border_is_the_cpus() {
    const LEN: usize = 640;
    let x = [1.0; LEN];
    let kept = |i: usize, k: u32| {
        let mut y = [0.0; LEN];
        glad_ops::dropout::dropout(7, k as f32 / 16_777_216.0, &x, &mut y).unwrap();
        y[i] != 0.0
    };
    for i in 0..LEN {
        let (mut low, mut high) = (0, 1 << 24);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if kept(i, middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        let host = Host::new();
        for kind in [F32, Kind { skip: 1, ..F32 }] {
            let (x, mut y) = (kind.put(&host, &x), kind.room(&host, LEN));
            dropout(&host, Value::Host(7), low as f32 / 16_777_216.0, x.read(), y.write()).unwrap();
            assert!(y.get()[i] != 0.0, "{i} at {low}");
        }
    }
}

#[test]
fn mistakes_are_reported() {
    let host = Host::new();
    let (x, mut y) = (F32.room(&host, 4), F32.room(&host, 4));
    let printed = |r: glad_cuda::Result<()>| r.unwrap_err().to_string();
    assert_eq!(
        printed(dropout(&host, Value::Host(1), 1.0, x.read(), y.write())),
        "dropout: a probability of 1 is not in [0, 1)"
    );
    let key = F32.room(&host, 2);
    assert_eq!(
        printed(dropout(&host, Value::Device(key.read()), 0.5, x.read(), y.write())),
        "dropout: `key` holds F32, and U32 is needed"
    );
}
