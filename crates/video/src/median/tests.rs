use super::*;
use proptest::prelude::*;

fn by_sorting(frames: &[Vec<u8>], even: EvenMedian) -> Vec<u8> {
    (0..frames[0].len())
        .map(|i| {
            let mut values: Vec<u8> = frames.iter().map(|f| f[i]).collect();
            values.sort_unstable();
            let (a, b) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
            match even {
                EvenMedian::Lower => a,
                EvenMedian::Mean => ((u16::from(a) + u16::from(b)) / 2) as u8,
            }
        })
        .collect()
}

/// The median by both methods.
fn median_of(frames: &[Vec<u8>], width: usize, even: EvenMedian) -> Vec<u8> {
    let [held, counted] = [Median::new(), Median::counting()].map(|mut m| {
        for f in frames {
            m.push(RgbFrame::of(width, f.len() / 3 / width, f.clone())).unwrap();
        }
        assert_eq!(m.len(), frames.len());
        m.finish(even).unwrap().into_data()
    });
    assert_eq!(held, counted);
    held
}

/// A cheap stream of bytes that favours the ends of the range.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut s = seed | 1;
    (0..len)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            match s >> 60 {
                0 => 0,
                1 => 255,
                _ => (s >> 32) as u8,
            }
        })
        .collect()
}

proptest! {
    #[test]
    fn equals_sorting(n in 1usize..40, w in 1usize..20, h in 1usize..4, seed: u64) {
        let frames: Vec<Vec<u8>> = (0..n)
            .map(|i| noise(seed.wrapping_add(i as u64 * 0x9e37_79b9), w * h * 3))
            .collect();
        for even in [EvenMedian::Lower, EvenMedian::Mean] {
            prop_assert_eq!(median_of(&frames, w, even), by_sorting(&frames, even));
        }
    }

    #[test]
    fn background_frames_are_spread(count in 1usize..5000, most in 0usize..2000) {
        let f = background_frames(count, most);
        prop_assert_eq!(f.len(), count.min(most.max(1)));
        prop_assert!(f.windows(2).all(|w| w[0] < w[1]));
        prop_assert!(f.iter().all(|&i| i < count));
        if count <= most {
            prop_assert_eq!(f, (0..count).collect::<Vec<_>>());
        }
    }
}

#[test]
fn many_frames() {
    for n in [255, 256, 513] {
        let frames: Vec<Vec<u8>> = (0..n).map(|i| noise(i as u64 + 1, 3 * 400)).collect();
        for even in [EvenMedian::Lower, EvenMedian::Mean] {
            assert_eq!(median_of(&frames, 20, even), by_sorting(&frames, even));
        }
    }
}

#[test]
fn sizes_must_agree_and_something_must_be_there() {
    let mut m = Median::new();
    assert_eq!(m.finish(EvenMedian::Lower).unwrap_err(), ImageError::NoImages);
    m.push(RgbFrame::of(2, 1, vec![0; 6])).unwrap();
    let e = m.push(RgbFrame::of(1, 2, vec![0; 6])).unwrap_err();
    assert!(matches!(e, ImageError::Size { .. }), "{e}");
    assert_eq!(m.len(), 1);
    assert!(!m.is_empty());
}

#[test]
fn memory_has_a_bound() {
    let options = |max_frames, max_bytes| BackgroundOptions {
        max_frames,
        max_bytes,
        ..Default::default()
    };
    let counts = |m: &Median| matches!(m.values, Values::Counts(_));
    // Frames of 100 bytes: ten are kept; 20 are counted if memory allows, else as many as fit are kept.
    for (max_bytes, count, looked_at, counted) in [
        (1000, 10, 10, false),
        (1000, 20, 10, false),
        (54_400, 20, 20, false),
        (54_400, 545, 545, true),
        (54_399, 545, 543, false),
        (54_400, 90_000, 65_535, true),
        (10, 20, 1, false),
    ] {
        let (wanted, median) = options(usize::MAX, max_bytes).plan(count, 100);
        assert_eq!(
            (wanted.len(), counts(&median)),
            (looked_at, counted),
            "{max_bytes} {count}"
        );
    }
    assert_eq!(options(7, 1000).plan(20, 100).0.len(), 7);
    assert_eq!(options(7, 1000).plan(20, 0).0.len(), 7);
}

#[test]
fn what_cannot_be_counted_is_an_error() {
    let mut m = Median::counting();
    for _ in 0..u16::MAX {
        m.push(RgbFrame::of(1, 1, vec![1, 2, 3])).unwrap();
    }
    let e = m.push(RgbFrame::of(1, 1, vec![1, 2, 3])).unwrap_err();
    assert_eq!(e, ImageError::TooMany(65_535));
    assert_eq!(m.finish(EvenMedian::Lower).unwrap().into_data(), [1, 2, 3]);
}
