//! Broken files: an error that names the file, the good frames exact, and never a panic or excessive memory.

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use common::{Coded, Container, all, boxed, encode, file, open, words};
use glad_video::fuzzing::{Damage, Mutator};
use glad_video::{DecoderChoice, Limits, OpenOptions, RgbFrame, Video, VideoError};
use rusty_h264_common::BitWriter;

/// The outcome of each frame.
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

/// The frames that cannot be decoded, after a check that all others are exact.
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
    // Every frame has the same outcome alone as among all.
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
    // Slices with these bits set belong to reference pictures.
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

    // With the tables at the end nothing can be read.
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
        decoder: DecoderChoice::Rust,
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
    for (bytes, what) in [
        (mp4(b"encv"), "its video is encrypted"),
        (b"RIFF\0\0\0\0AVI LIST strhauds".to_vec(), "there is no video in it"),
        (b"<!DOCTYPE html>".to_vec(), "there is no video in it; it is a web page"),
    ] {
        let (_file, video) = open(&bytes);
        let e = video.unwrap_err();
        assert!(matches!(e, VideoError::Malformed { .. }), "{e}");
        let text = e.to_string();
        assert!(text.contains(what) && !text.contains("ffmpeg"), "{text}");
    }
    let mut sound = mp4(b"avc1");
    let handler = sound.windows(4).position(|w| w == b"vide").unwrap();
    sound[handler..handler + 4].copy_from_slice(b"soun");
    let (_file, video) = open(&sound);
    let e = video.unwrap_err().to_string();
    assert!(
        e.contains("there is no video in it; its tracks hold sound") && !e.contains("ffmpeg"),
        "{e}"
    );
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

    // A picture of 64 x 48 pixels has 12 macroblocks.
    let work = |max_macroblocks| Limits {
        max_macroblocks,
        ..base()
    };
    assert!(open(work(60)).unwrap().frames(&[4]).is_ok());
    let e = open(work(59)).unwrap().frames(&[4]).unwrap_err();
    assert!(
        matches!(
            e,
            VideoError::Limit {
                found: 60,
                limit: 59,
                ..
            }
        ),
        "{e}"
    );

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

#[test]
fn a_byte_of_one_picture_never_changes_another_group() {
    let coded = encode(48, 32, 16, 4, 0);
    let clean = Container::default().write(&coded);
    let start = clean.windows(4).position(|w| w == b"mdat").unwrap() + 4;
    let mut dice = Mutator::new(0xbad);
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

#[test]
fn headers_of_four_gigabytes_are_refused_without_an_attempt() {
    let coded = encode(64, 48, 3, 3, 0);
    let good = Container::default().write(&coded);
    let at = good.windows(4).position(|w| w == b"moov").unwrap() - 4;
    for size in [(4u64 << 30) - 1, 5 << 30] {
        // The announced size exists: a sparse file.
        let mut bytes = good[..at].to_vec();
        match u32::try_from(size) {
            Ok(size) => bytes.extend([size.to_be_bytes(), *b"moov"].concat()),
            Err(_) => bytes.extend([&[0, 0, 0, 1][..], b"moov", &size.to_be_bytes()].concat()),
        }
        let file = file(&bytes);
        let sparse = std::fs::File::options().write(true).open(&file.path).unwrap();
        sparse.set_len(at as u64 + size).unwrap();
        let e = Video::open(&file.path, &OpenOptions::default()).unwrap_err();
        assert!(matches!(e, VideoError::Limit { found, .. } if found == size), "{e}");
        assert!(e.to_string().contains("video.mp4: "), "{e}");
        // The announced size does not exist.
        let (_file, video) = common::open(&bytes);
        let e = video.unwrap_err();
        assert!(matches!(e, VideoError::Malformed { .. }), "{e}");
        assert!(e.to_string().contains("cut short"), "{e}");
    }
}

#[test]
fn files_that_lie_about_their_length_are_reported() {
    let coded = encode(64, 48, 12, 4, 0);
    // A list that announces more frames than exist.
    let file = file(&Container::default().write(&coded));
    let options = OpenOptions {
        frames: Some(13),
        ..OpenOptions::default()
    };
    let e = Video::open(&file.path, &options).unwrap_err();
    assert!(matches!(e, VideoError::Malformed { .. }), "{e}");
    assert!(
        e.to_string()
            .contains("13 frames from frame 0 on are expected, but it has 12 frames"),
        "{e}"
    );
    // Tables that announce more samples than the data holds: the last ones are past the end.
    let mut longer = coded.clone();
    let extra = longer.units[11].clone();
    longer.units.extend([extra.clone(), extra]);
    let bytes = Container {
        moov_first: true,
        ..Container::default()
    }
    .write(&longer);
    let missing: usize = longer.units[12..].iter().map(|u| u.bytes.len()).sum();
    let (_file, video) = common::open(&bytes[..bytes.len() - missing]);
    let video = video.unwrap();
    assert_eq!(video.frame_count(), 14);
    let bad: Vec<usize> = outcomes(&video)
        .into_iter()
        .filter(|(_, o)| o.is_err())
        .map(|(n, _)| n)
        .collect();
    assert_eq!(bad.len(), 2, "{bad:?}");
}

/// Of 40 damaged pictures each, in how many a wrong frame was returned: `(CAVLC, CABAC)` at 64x48, and at
/// 176x144. A decoder that follows only the syntax cannot detect more (CONFORMANCE.md has streams of x264).
const CONCEALED: [(Damage, [usize; 4]); 6] = [
    (Damage::Zeros, [0, 0, 0, 0]),
    (Damage::Cut, [0, 40, 0, 39]),
    (Damage::Ones, [34, 14, 39, 1]),
    (Damage::Garbage(16), [6, 40, 2, 33]),
    (Damage::Garbage(512), [13, 39, 2, 31]),
    (Damage::Flip, [23, 40, 11, 27]),
];

#[test]
fn what_the_decoder_conceals_is_what_was_measured() {
    let mut dice = Mutator::new(77);
    let streams = [(0, 64, 48), (2, 64, 48), (0, 176, 144), (2, 176, 144)];
    let streams = streams.map(|(b, width, height)| encode(width, height, 17, 8, b));
    for (damage, most) in CONCEALED {
        let mut found = [0; 4];
        for (coded, found) in streams.iter().zip(&mut found) {
            let mut rounds = 0;
            while rounds < 40 {
                let mut broken = coded.clone();
                let victim = dice.roll(broken.units.len());
                let bytes = &mut broken.units[victim].bytes;
                if bytes.len() < 32 {
                    continue;
                }
                rounds += 1;
                damage.apply(bytes, &mut dice);
                // FFmpeg's decoder conceals other damage (`tests/ffmpeg.rs`).
                let file = file(&Container::default().write(&broken));
                let options = OpenOptions {
                    decoder: DecoderChoice::Rust,
                    ..OpenOptions::default()
                };
                let video = Video::open(&file.path, &options);
                let wrong = |(n, outcome): (usize, Result<RgbFrame, _>)| outcome.is_ok_and(|f| f != coded.frames[n]);
                *found += usize::from(outcomes(&video.unwrap()).into_iter().any(wrong));
            }
        }
        println!("{damage:?}: {found:?} of 40");
        assert!(
            found.iter().zip(most).all(|(found, most)| *found <= most),
            "{damage:?}: {found:?} of 40 concealed, {most:?} were"
        );
    }
}

/// A P slice of skipped macroblocks, from `first` on, of a non-reference picture.
fn skipped(first: u32, count: u32, frame_num: u32, order: u32) -> Vec<u8> {
    let mut w = BitWriter::new();
    for v in [first, 5, 0] {
        w.write_ue(v); // first_mb_in_slice, slice_type, pic_parameter_set_id
    }
    w.write_bits(frame_num, 4);
    w.write_bits(order, 8); // pic_order_cnt_lsb
    w.write_bits(0, 2); // num_ref_idx_active_override_flag, ref_pic_list_modification_flag_l0
    w.write_ue(0); // luma_log2_weight_denom: the encoder's parameter set requires weights, here none
    w.write_ue(0); // chroma_log2_weight_denom
    w.write_bits(0, 2); // luma_weight_l0_flag, chroma_weight_l0_flag
    w.write_se(0); // slice_qp_delta
    w.write_ue(1); // disable_deblocking_filter_idc
    w.write_ue(count); // mb_skip_run
    w.rbsp_trailing_bits();
    let mut nal = vec![0x01];
    rusty_h264_common::nal::emulation_prevent_into(&w.into_bytes(), &mut nal);
    [&(nal.len() as u32).to_be_bytes()[..], &nal].concat()
}

#[test]
fn a_slice_that_is_missing_is_damage() {
    // 12 macroblocks; the picture that is added repeats the one before.
    let mut coded = encode(64, 48, 3, 100, 0);
    coded.frames.push(coded.frames[2].clone());
    coded.units.push(common::Unit {
        bytes: Vec::new(),
        sync: false,
        rank: 3,
    });
    for (slices, good) in [
        (&[(0, 12)][..], true),
        (&[(0, 5), (5, 7)], true),
        (&[(0, 5), (5, 4), (9, 3)], true),
        // The last one, the first one, a repeated one.
        (&[(0, 5), (5, 4)], false),
        (&[(5, 7)], false),
        (&[(0, 6), (0, 6), (6, 6)], false),
    ] {
        let bytes = slices.iter().flat_map(|(first, count)| skipped(*first, *count, 3, 6));
        coded.units[3].bytes = bytes.collect();
        let (_file, video) = open(&Container::default().write(&coded));
        let video = video.unwrap();
        let bad = damaged(&coded, &video);
        let why = || video.frames(&[3]).err().map(|e| e.to_string());
        assert_eq!(bad.is_empty(), good, "{slices:?}: {:?}", why());
    }
    // One lost from the middle leaves a hole that is not detected: only a decoder knows where a slice ends.
    let bytes = [(0, 5), (9, 3)]
        .iter()
        .flat_map(|(first, count)| skipped(*first, *count, 3, 6));
    coded.units[3].bytes = bytes.collect();
    let (_file, video) = open(&Container::default().write(&coded));
    // FFmpeg may detect it.
    assert!(video.unwrap().frames(&[3]).is_ok() || cfg!(feature = "ffmpeg"));
}

#[test]
fn slices_of_several_pictures_are_damage() {
    let mut coded = encode(64, 48, 3, 100, 0);
    coded.units.push(common::Unit {
        bytes: Vec::new(),
        sync: false,
        rank: 3,
    });
    // Another `frame_num`, another order count.
    for (frame_num, order) in [(4, 6), (3, 7)] {
        coded.units[3].bytes = [skipped(0, 5, 3, 6), skipped(5, 7, frame_num, order)].concat();
        let (_file, video) = open(&Container::default().write(&coded));
        let e = video.unwrap().frames(&[3]).unwrap_err().to_string();
        assert!(e.contains("its slices are of several pictures"), "{e}");
    }
}

#[test]
fn what_was_never_written_is_damage() {
    // Coded with CABAC, whose decoder reads zeros without end.
    let coded = encode(64, 48, 17, 8, 2);
    for victim in 0..coded.units.len() {
        let mut broken = coded.clone();
        let bytes = &mut broken.units[victim].bytes;
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
        let (_file, video) = open(&Container::default().write(&broken));
        let e = video
            .unwrap()
            .frames(&[coded.units[victim].rank])
            .unwrap_err()
            .to_string();
        assert!(e.contains("no encoder writes"), "{e}");
    }
}
