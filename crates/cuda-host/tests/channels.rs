//! Copying channels from one tensor into another.

mod common;
use common::{F32, Host, channels, kinds, on_host, values};
use glad_cuda::channels::{Channels, copy};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn channels_come_to_their_place(
        rows in 0usize..60, n in channels(), before in prop_oneof![Just([0usize; 2]), [0usize..20, 0usize..20], Just([8, 16])],
        behind in prop_oneof![Just([0usize; 2]), [0usize..20, 0usize..20], Just([16, 8])], kind in kinds(), seed: u64,
    ) {
        let [from, to] = [0, 1].map(|i| Channels { of: before[i] + n + behind[i], first: before[i] });
        let x_values = kind.rounded(values(seed, rows * from.of));
        let mut expected = kind.rounded(values(seed ^ 1, rows * to.of));
        let [got] = on_host(|host| {
            let (x, mut y) = (kind.put(host, &x_values), kind.put(host, &expected));
            copy(host, [rows, n], (from, x.read()), (to, y.write()))?;
            Ok([y.get()])
        });
        for row in 0..rows {
            let (x, y) = (row * from.of + from.first, row * to.of + to.first);
            expected[y..y + n].copy_from_slice(&x_values[x..x + n]);
        }
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn mistakes_are_reported() {
    let host = Host::new();
    let (x, mut y) = (F32.room(&host, 24), F32.room(&host, 24));
    let mut printed = |first, of| {
        let (from, to) = (Channels { of: 12, first: 0 }, Channels { of, first });
        copy(&host, [2, 8], (from, x.read()), (to, y.write()))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(printed(5, 12), "copy of channels: 8 channels from number 5 on, of 12");
    assert_eq!(
        printed(0, 13),
        "copy of channels: `y` holds 24 values, but 26 are expected"
    );
}
