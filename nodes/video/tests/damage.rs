//! Broken files: an error that names the file, the good frames exact, and never a panic or a flood.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;

use common::{Coded, Container, all, boxed, encode, file, open, words};
use glad_video::{Decoding, Limits, OpenOptions, RgbFrame, Video, VideoError};

/// What became of each frame.
fn outcomes(video: &Video) -> BTreeMap<usize, Result<RgbFrame, VideoError>> {
    let mut out = BTreeMap::new();
    video
        .visit(&all(video), |n, outcome| {
            out.insert(n, outcome);
            ControlFlow::Continue(())
        })
        .unwrap();
    out
}

/// The frames that cannot be had, after a check that all others are exact.
fn damaged(coded: &Coded, video: &Video) -> Vec<usize> {
    let mut bad = Vec::new();
    for (n, outcome) in outcomes(video) {
        match outcome {
            Ok(frame) => assert!(frame == coded.frames[n], "frame {n} is not exact"),
            Err(e) => {
                assert!(matches!(&e, VideoError::Damaged { frame, .. } if *frame == n), "{e}");
                assert!(e.to_string().contains("video.mp4: frame"), "{e}");
                bad.push(n);
            }
        }
    }
    // Alone, every frame fares as it does among all.
    for n in all(video) {
        assert_eq!(video.frames(&[n]).is_err(), bad.contains(&n), "frame {n}");
    }
    bad
}

/// Decoding position of a frame.
fn position(coded: &Coded, frame: usize) -> usize {
    coded.units.iter().position(|u| u.rank == frame).unwrap()
}

/// Frames decoded from position `from` on, up to the next key frame.
fn rest_of_group(coded: &Coded, from: usize) -> Vec<usize> {
    let after = coded.units[from + 1..].iter().position(|u| u.sync);
    let end = after.map_or(coded.units.len(), |n| from + 1 + n);
    let mut frames: Vec<usize> = coded.units[from..end].iter().map(|u| u.rank).collect();
    frames.sort_unstable();
    frames
}

#[test]
fn damage_reaches_to_the_next_key_frame_and_no_further() {
    let coded = encode(64, 48, 24, 8, 0);
    for victim in [0, 3, 8, 13, 23] {
        let mut broken = coded.clone();
        // The picture ends early.
        let bytes = &mut broken.units[victim].bytes;
        let half = (bytes.len() - 4) / 2;
        bytes.truncate(4 + half);
        bytes[..4].copy_from_slice(&(half as u32).to_be_bytes());
        let (_file, video) = open(&Container::default().write(&broken));
        let bad = damaged(&coded, &video.unwrap());
        assert_eq!(bad, rest_of_group(&coded, victim), "sample {victim}");
    }
}

#[test]
fn damage_to_a_picture_that_nothing_needs_is_its_own() {
    let coded = encode(64, 48, 17, 8, 1);
    // Other pictures may refer to one with these bits set in the header of its slice.
    let victim = coded.units.iter().position(|u| u.bytes[4] & 0x60 == 0).unwrap();
    let mut broken = coded.clone();
    let bytes = &mut broken.units[victim].bytes;
    bytes.truncate(8);
    bytes[..4].copy_from_slice(&4u32.to_be_bytes());
    let (_file, video) = open(&Container::default().write(&broken));
    let bad = damaged(&coded, &video.unwrap());
    assert_eq!(bad, [coded.units[victim].rank]);
}

#[test]
fn lengths_that_lie_are_damage() {
    let coded = encode(64, 48, 16, 8, 0);
    for length in [u32::MAX, 1 << 20, 0] {
        let mut broken = coded.clone();
        broken.units[5].bytes[..4].copy_from_slice(&length.to_be_bytes());
        let (_file, video) = open(&Container::default().write(&broken));
        let bad = damaged(&coded, &video.unwrap());
        assert_eq!(bad, rest_of_group(&coded, 5), "length {length}");
    }
}

#[test]
fn a_missing_key_frame_takes_its_group_along() {
    let coded = encode(64, 48, 24, 8, 2);
    let key = position(&coded, 8);
    assert!(coded.units[key].sync);
    let mut broken = coded.clone();
    let bytes = &mut broken.units[key].bytes;
    // Turned into an unknown kind of unit: the sample holds no picture.
    bytes[4] = 0x1f;
    let (_file, video) = open(&Container::default().write(&broken));
    let bad = damaged(&coded, &video.unwrap());
    let group = rest_of_group(&coded, key);
    assert!(!group.is_empty() && bad == group, "{bad:?} {group:?}");
}

#[test]
fn a_file_cut_short_keeps_what_is_there() {
    let coded = encode(64, 48, 24, 6, 0);
    let bytes = Container {
        moov_first: true,
        ..Default::default()
    }
    .write(&coded);
    let data: usize = coded.units.iter().map(|u| u.bytes.len()).sum();
    let start = bytes.len() - data;
    let end_of = |n: usize| start + coded.units[..=n].iter().map(|u| u.bytes.len()).sum::<usize>();
    let (_file, video) = open(&bytes[..end_of(14)]);
    let bad = damaged(&coded, &video.unwrap());
    assert_eq!(bad, (15..24).collect::<Vec<_>>());
    let (_file, video) = open(&bytes[..end_of(14) - 1]);
    let bad = damaged(&coded, &video.unwrap());
    assert_eq!(bad, (14..24).collect::<Vec<_>>());

    // With the tables at the end nothing can be told.
    let bytes = Container::default().write(&coded);
    for cut in [bytes.len() - 1, bytes.len() / 2, 100, 20, 9, 1] {
        let (file, video) = open(&bytes[..cut]);
        let e = video.unwrap_err();
        assert!(matches!(e, VideoError::Malformed { .. }), "{cut}: {e}");
        assert_eq!(e.path(), file.path);
    }
    let (_file, video) = open(&bytes[..bytes.len() / 2]);
    let e = video.unwrap_err().to_string();
    assert!(e.contains("cut short"), "{e}");
    let (_file, video) = open(&[]);
    assert!(video.unwrap_err().to_string().contains("empty"));
}

#[test]
fn what_cannot_be_decoded_is_named() {
    let coded = encode(64, 48, 2, 2, 0);
    let mp4 = |codec: &[u8; 4]| {
        Container {
            codec: *codec,
            ..Default::default()
        }
        .write(&coded)
    };
    let cases: [(Vec<u8>, &str); 6] = [
        (b"RIFF\0\0\0\0AVI LIST".to_vec(), "an AVI file"),
        (b"\x1a\x45\xdf\xa3\0\0\0\0".to_vec(), "Matroska"),
        (mp4(b"hvc1"), "HEVC"),
        (mp4(b"mp4v"), "MPEG-4 part 2"),
        (mp4(b"av01"), "AV1"),
        (mp4(b"zzzz"), "`zzzz`"),
    ];
    let rust = OpenOptions {
        decoding: Decoding::Rust,
        ..OpenOptions::default()
    };
    for (bytes, name) in cases {
        let (file, video) = open(&bytes);
        drop(video);
        let e = Video::open(&file.path, &rust).unwrap_err();
        assert!(matches!(e, VideoError::Unsupported { .. }), "{e}");
        let text = e.to_string();
        assert!(text.contains(name) && text.contains("ffmpeg"), "{text}");
    }
    let (_file, video) = open(b"not a video at all");
    assert!(matches!(video.unwrap_err(), VideoError::Malformed { .. }));
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.mp4");
    let e = Video::open(&missing, &OpenOptions::default()).unwrap_err();
    assert!(matches!(e, VideoError::Io { .. }), "{e}");
}

#[test]
fn limits_hold() {
    let coded = encode(64, 48, 12, 12, 0);
    let file = file(&Container::default().write(&coded));
    let open = |limits: Limits| {
        Video::open(
            &file.path,
            &OpenOptions {
                limits,
                ..Default::default()
            },
        )
    };
    let base = Limits::default;
    for limits in [
        Limits {
            max_pixels: 64 * 48 - 1,
            ..base()
        },
        Limits {
            max_samples: 11,
            ..base()
        },
        Limits {
            max_index_bytes: 200,
            ..base()
        },
    ] {
        let e = open(limits).unwrap_err();
        assert!(matches!(e, VideoError::Limit { .. }), "{e}");
    }
    let exactly = Limits {
        max_pixels: 64 * 48,
        max_samples: 12,
        max_read: 12,
        ..base()
    };
    let video = open(exactly).unwrap();
    assert!(video.frames(&all(&video)).unwrap() == coded.frames);

    let few = Limits { max_read: 5, ..base() };
    let video = open(few).unwrap();
    assert!(video.frames(&[4]).is_ok());
    let e = video.frames(&[5]).unwrap_err();
    assert!(matches!(e, VideoError::Limit { .. }), "{e}");

    let small = Limits {
        max_sample_bytes: 10,
        ..base()
    };
    let e = open(small).unwrap().frames(&[0]).unwrap_err();
    assert!(matches!(e, VideoError::Damaged { .. }), "{e}");
}

#[test]
fn tables_that_promise_too_much_are_refused() {
    let coded = encode(64, 48, 3, 3, 0);
    let container = Container::default();
    // Four thousand million samples of one byte each, in a box of 20 bytes.
    let flood = [
        boxed(b"stts", &[&words(&[0, 1, u32::MAX, 1])]),
        boxed(b"stsz", &[&words(&[0, 1, u32::MAX])]),
        boxed(b"stsc", &[&words(&[0, 1, 1, u32::MAX, 1])]),
        boxed(b"stco", &[&words(&[0, 1, 0])]),
    ]
    .concat();
    let mvhd = boxed(b"mvhd", &[&words(&[0, 0, 0, 1000, 0]), &[0; 80]]);
    let moov = boxed(b"moov", &[&mvhd, &container.trak(&coded, &flood)]);
    let ftyp = boxed(b"ftyp", &[b"isom", &words(&[512])]);
    let (_file, video) = open(&[ftyp, moov].concat());
    let e = video.unwrap_err();
    assert!(matches!(e, VideoError::Limit { .. }), "{e}");
}

/// A cheap stream of numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// Opens and decodes everything; whatever happens must be a value.
fn try_everything(path: &std::path::Path) -> usize {
    let limits = Limits {
        max_pixels: 1 << 20,
        max_samples: 10_000,
        max_read: 2_000,
        ..Default::default()
    };
    let options = OpenOptions {
        limits,
        ..Default::default()
    };
    let Ok(video) = Video::open(path, &options) else {
        return 0;
    };
    let (width, height) = (video.width(), video.height());
    let mut good = 0;
    // An error of the whole file is an answer too.
    let _ = video.visit(&all(&video), |_, outcome| {
        if let Ok(frame) = outcome {
            assert_eq!((frame.width(), frame.height()), (width, height));
            good += 1;
        }
        ControlFlow::Continue(())
    });
    good
}

#[test]
fn mutated_files_neither_panic_nor_hang() {
    let plain = encode(48, 32, 14, 5, 0);
    let reordered = encode(48, 32, 14, 7, 2);
    let sources = [
        Container::default().write(&plain),
        Container::default().write(&reordered),
        Container {
            fragment: 4,
            edits: vec![(400, 512)],
            ..Default::default()
        }
        .write(&reordered),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mp4");
    let mut dice = Dice(0x5eed);
    let mut good = 0;
    for round in 0..400 {
        let mut bytes = sources[round % sources.len()].clone();
        // Every other round leaves the pictures alone and bends the tables.
        let tables = bytes.windows(4).position(|w| w == b"moov").unwrap();
        let pick = |dice: &mut Dice, len: usize| match round % 2 {
            0 => dice.roll(len),
            _ => (tables + dice.roll(700)).min(len - 1),
        };
        for _ in 0..1 + dice.roll(6) {
            let at = pick(&mut dice, bytes.len());
            match dice.roll(5) {
                0 => bytes[at] ^= 1 << dice.roll(8),
                1 => bytes[at] = dice.roll(256) as u8,
                2 => {
                    let end = (at + 4).min(bytes.len());
                    bytes[at..end].fill([0, 0xff, 0x7f][dice.roll(3)]);
                }
                3 => {
                    let end = (at + dice.roll(40)).min(bytes.len());
                    bytes.drain(at..end);
                }
                _ => {
                    let end = (at + dice.roll(40)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        fs::write(&path, &bytes).unwrap();
        good += try_everything(&path);
    }
    // The mutations are not so coarse that nothing is ever decoded.
    assert!(good > 400, "{good}");
}

#[test]
fn a_byte_of_one_picture_never_changes_another_group() {
    let coded = encode(48, 32, 16, 4, 0);
    let clean = Container::default().write(&coded);
    let start = clean.windows(4).position(|w| w == b"mdat").unwrap() + 4;
    let mut dice = Dice(0xbad);
    for _ in 0..100 {
        let victim = dice.roll(coded.units.len());
        let before: usize = coded.units[..victim].iter().map(|u| u.bytes.len()).sum();
        let at = start + before + dice.roll(coded.units[victim].bytes.len());
        let mut bytes = clean.clone();
        bytes[at] ^= 1 << dice.roll(8);
        let (_file, video) = open(&bytes);
        let group = victim / 4 * 4..victim / 4 * 4 + 4;
        for (n, outcome) in outcomes(&video.unwrap()) {
            if !group.contains(&n) || n < victim {
                assert!(outcome.unwrap() == coded.frames[n], "byte {at}, frame {n}");
            }
        }
    }
}
