//! Clips of bytes: mirrored, mixed and normalised as the nodes `flip`, `bg_mix` and `normalize` do it, bit for bit.

mod common;
use common::{BF16, F32, Host, Kind, bytes, kinds, on_host, values};
use glad_cuda::Memory;
use glad_cuda::normalize::{Changes, Clips, Mix, Scale, change, normalize};
use proptest::prelude::*;

const IMAGENET: Scale = Scale {
    mean: [123.675, 116.28, 103.53],
    std: [58.395, 57.12, 57.375],
};

#[derive(Clone, Debug)]
struct Case {
    clips: Clips,
    x: Vec<u8>,
    flips: Option<Vec<u8>>,
    backgrounds: Vec<u8>,
    weights: Option<Vec<u32>>,
}

fn cases() -> impl Strategy<Value = Case> {
    let width = prop_oneof![1usize..12, (1usize..6).prop_map(|n| 8 * n), Just(100usize)];
    let size = (0usize..4, 1usize..4, 1usize..6, width);
    (size, any::<bool>(), any::<bool>(), any::<u64>()).prop_map(|((videos, frames, height, width), flip, mix, seed)| {
        let image = height * width * 3;
        // None, one half (of which the results lie between two bytes), and any.
        let weight = |v: &f32| match v {
            ..-0.3 => 0,
            ..0.0 => 32_768,
            v => (v * 65536.0).round() as u32,
        };
        Case {
            clips: Clips {
                videos,
                frames,
                height,
                width,
            },
            x: bytes(seed, videos * frames * image),
            flips: flip.then(|| bytes(seed ^ 1, videos).iter().map(|b| b & 3).collect()),
            backgrounds: bytes(seed ^ 2, videos * image),
            weights: mix.then(|| values(seed ^ 3, videos).iter().map(weight).collect()),
        }
    })
}

impl Case {
    /// The bytes as the host makes them.
    fn changed(&self) -> Vec<u8> {
        let Clips {
            frames, height, width, ..
        } = self.clips;
        let image = height * width * 3;
        let mut out = vec![];
        for (video, clip) in self.x.chunks_exact(frames * image).enumerate() {
            let flips = self.flips.as_ref().is_some_and(|f| f[video] != 0);
            let w = self.weights.as_ref().map_or(0, |w| w[video]);
            let background = &self.backgrounds[video * image..][..image];
            for frame in clip.chunks_exact(image) {
                let mut mirrored = vec![];
                for row in frame.chunks_exact(width * 3) {
                    match flips {
                        true => row.rchunks_exact(3).for_each(|pixel| mirrored.extend(pixel)),
                        false => mirrored.extend(row),
                    }
                }
                let mix = |(x, b): (&u8, &u8)| ((u32::from(*x) * (65536 - w) + u32::from(*b) * w + 32768) >> 16) as u8;
                out.extend(mirrored.iter().zip(background).map(mix));
            }
        }
        out
    }

    fn with<T>(&self, host: &Host, run: impl FnOnce(&Changes<'_>) -> T) -> T {
        let flips = self.flips.as_ref().map(|f| host.put(f));
        let backgrounds = host.put(&self.backgrounds);
        let weights = self.weights.as_ref().map(|w| host.put(w));
        run(&Changes {
            flips: flips.as_ref().map(|f| f.input()),
            mix: weights.as_ref().map(|w| Mix {
                backgrounds: backgrounds.input(),
                weights: w.input(),
            }),
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn bytes_are_the_hosts(case in cases(), skip in 0usize..2) {
        let [got] = on_host(|host| {
            let x = host.put(&case.x);
            let mut y = host.put(&vec![0u8; case.x.len() + skip]);
            case.with(host, |changes| change(host, &case.clips, x.input(), changes, y.output_from(skip)))?;
            Ok([y.numbers::<u8>()[skip..].iter().map(|b| f32::from(*b)).collect()])
        });
        prop_assert_eq!(got, case.changed().iter().map(|b| f32::from(*b)).collect::<Vec<_>>());
    }

    #[test]
    fn numbers_are_the_hosts(case in cases(), channels in 3usize..9, kind in kinds()) {
        let mut expected = vec![];
        for pixel in case.changed().chunks_exact(3) {
            expected.extend((0..3).map(|c| (f32::from(pixel[c]) - IMAGENET.mean[c]) / IMAGENET.std[c]));
            expected.extend(vec![0.0; channels - 3]);
        }
        let [got] = on_host(|host| {
            let (x, mut y) = (host.put(&case.x), kind.room(host, expected.len()));
            case.with(host, |changes| {
                normalize(host, &case.clips, x.input(), changes, &IMAGENET, channels, y.write())
            })?;
            Ok([y.get()])
        });
        prop_assert_eq!(got, kind.rounded(expected));
    }
}

/// Every byte, in every channel.
#[test]
fn all_bytes() {
    let clips = Clips {
        videos: 1,
        frames: 1,
        height: 1,
        width: 256,
    };
    let x: Vec<u8> = (0..=255).flat_map(|b| [b; 3]).collect();
    for kind in [F32, BF16, Kind { skip: 1, ..F32 }] {
        let [got] = on_host(|host| {
            let (x, mut y) = (host.put(&x), kind.room(host, 768));
            normalize(host, &clips, x.input(), &Changes::default(), &IMAGENET, 3, y.write())?;
            Ok([y.get()])
        });
        let expected = (0..768).map(|i| ((i / 3) as f32 - IMAGENET.mean[i % 3]) / IMAGENET.std[i % 3]);
        assert_eq!(got, kind.rounded(expected.collect()));
    }
}

#[test]
fn mistakes_are_told() {
    let host = Host::new();
    let clips = Clips {
        videos: 1,
        frames: 1,
        height: 2,
        width: 2,
    };
    let (x, mut y) = (host.put(&[0u8; 12]), F32.room(&host, 12));
    let none = Changes::default();
    let said = |r: glad_cuda::Result<()>| r.unwrap_err().to_string();
    assert_eq!(
        said(normalize(&host, &clips, x.input(), &none, &IMAGENET, 2, y.write())),
        "normalize: red, green and blue do not fit 2 channels"
    );
    assert_eq!(
        said(normalize(&host, &clips, x.input(), &none, &IMAGENET, 4, y.write())),
        "normalize: `y` holds 12 values, but 16 are expected"
    );
    let flips = host.put(&[0u8; 2]);
    let changes = Changes {
        flips: Some(flips.input()),
        mix: None,
    };
    assert_eq!(
        said(normalize(&host, &clips, x.input(), &changes, &IMAGENET, 3, y.write())),
        "normalize: `flips` holds 2 values, but 1 are expected"
    );
}
