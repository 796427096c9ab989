//! The temporal shift, against the CPU's.

mod common;
use common::{F32, Host, channels, kinds, on_host, values};
use glad_cuda::shift;
use glad_ops::Shift;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn all_three(
        (n, t, pixels) in (0usize..4, 1usize..9, 1usize..20),
        channels in channels(), fold in 2usize..10, kind in kinds(), seed: u64,
    ) {
        let shift = Shift { n, t, pixels, channels, fold };
        let [x, before] = [0, 1].map(|i| kind.rounded(values(seed ^ i, shift.numel())));
        let mut expected = [vec![0.0; x.len()], vec![0.0; x.len()], before.clone()];
        let [y, dx, added] = &mut expected;
        shift.forward(&x, y).unwrap();
        shift.backward(&x, dx).unwrap();
        shift.backward_add(&x, added).unwrap();
        let got = on_host(|host| {
            let (x, mut added) = (kind.put(host, &x), kind.put(host, &before));
            let [mut y, mut dx] = [(); 2].map(|()| kind.room(host, shift.numel()));
            shift::forward(host, &shift, x.read(), y.write())?;
            shift::backward(host, &shift, x.read(), dx.write())?;
            shift::backward_add(host, &shift, x.read(), added.write())?;
            Ok([y.get(), dx.get(), added.get()])
        });
        prop_assert_eq!(&got[..2], &expected[..2]);
        kind.assert_near("added", &got[2], &expected[2], 1.0);
    }
}

#[test]
fn mistakes_are_reported() {
    let host = Host::new();
    let (x, mut y) = (F32.room(&host, 24), F32.room(&host, 23));
    let shape = Shift {
        n: 1,
        t: 3,
        pixels: 1,
        channels: 8,
        fold: 1,
    };
    let printed = |r: glad_cuda::Result<()>| r.unwrap_err().to_string();
    assert!(printed(shift::forward(&host, &shape, x.read(), y.write())).contains("fold must be 2 or more"));
    let shape = Shift { fold: 8, ..shape };
    assert_eq!(
        printed(shift::backward_add(&host, &shape, x.read(), y.write())),
        "temporal shift: `dx` holds 23 values, but 24 are expected"
    );
}
