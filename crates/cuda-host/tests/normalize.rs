//! Clips of bytes, normalised as the node `normalize` does it, bit for bit.

mod common;
use common::{BF16, F32, Host, Kind, bytes, kinds, on_host};
use glad_cuda::Memory;
use glad_cuda::normalize::{Frames, Scale, normalize};
use proptest::prelude::*;

const IMAGENET: Scale = Scale {
    mean: [123.675, 116.28, 103.53],
    std: [58.395, 57.12, 57.375],
};

fn shapes() -> impl Strategy<Value = Frames> {
    let width = prop_oneof![1usize..12, (1usize..6).prop_map(|n| 8 * n), Just(100usize)];
    (0usize..8, 1usize..6, width).prop_map(|(frames, height, width)| Frames { frames, height, width })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn numbers_are_the_hosts(shape in shapes(), channels in 3usize..9, kind in kinds(), seed: u64) {
        let x = bytes(seed, shape.frames * shape.height * shape.width * 3);
        let mut expected = vec![];
        for pixel in x.chunks_exact(3) {
            expected.extend((0..3).map(|c| (f32::from(pixel[c]) - IMAGENET.mean[c]) / IMAGENET.std[c]));
            expected.extend(vec![0.0; channels - 3]);
        }
        let [got] = on_host(|host| {
            let (x, mut y) = (host.put(&x), kind.room(host, expected.len()));
            normalize(host, &shape, x.input(), &IMAGENET, channels, y.write())?;
            Ok([y.get()])
        });
        prop_assert_eq!(got, kind.rounded(expected));
    }
}

/// Every byte, in every channel.
#[test]
fn all_bytes() {
    let shape = Frames {
        frames: 1,
        height: 1,
        width: 256,
    };
    let x: Vec<u8> = (0..=255).flat_map(|b| [b; 3]).collect();
    for kind in [F32, BF16, Kind { skip: 1, ..F32 }] {
        let [got] = on_host(|host| {
            let (x, mut y) = (host.put(&x), kind.room(host, 768));
            normalize(host, &shape, x.input(), &IMAGENET, 3, y.write())?;
            Ok([y.get()])
        });
        let expected = (0..768).map(|i| ((i / 3) as f32 - IMAGENET.mean[i % 3]) / IMAGENET.std[i % 3]);
        assert_eq!(got, kind.rounded(expected.collect()));
    }
}

#[test]
fn mistakes_are_reported() {
    let host = Host::new();
    let shape = Frames {
        frames: 1,
        height: 2,
        width: 2,
    };
    let (x, mut y) = (host.put(&[0u8; 12]), F32.room(&host, 12));
    let printed = |r: glad_cuda::Result<()>| r.unwrap_err().to_string();
    assert_eq!(
        printed(normalize(&host, &shape, x.input(), &IMAGENET, 2, y.write())),
        "normalize: red, green and blue do not fit 2 channels"
    );
    assert_eq!(
        printed(normalize(&host, &shape, x.input(), &IMAGENET, 4, y.write())),
        "normalize: `y` holds 12 values, but 16 are expected"
    );
    let short = host.put(&[0u8; 11]);
    assert_eq!(
        printed(normalize(&host, &shape, short.input(), &IMAGENET, 3, y.write())),
        "normalize: `x` holds 11 values, but 12 are expected"
    );
}
