//! Every frame equals that of a plain decode of the whole stream, whatever else was requested.

mod common;

use std::fs;

use common::{Coded, Container, TICK, all, encode, file, open};
use glad_video::write::{VideoWriter, WriteOptions};
use glad_video::{OpenOptions, RgbFrame, Video, VideoError};
use proptest::prelude::*;

fn check_all(coded: &Coded, container: &Container) {
    let (_file, video) = open(&container.write(coded));
    let video = video.unwrap();
    assert_eq!(video.frame_count(), coded.frames.len());
    assert_eq!((video.width(), video.height()), (coded.width, coded.height));
    assert!(video.frames(&all(&video)).unwrap() == coded.frames);
}

#[test]
fn whole_videos_equal_a_plain_decode() {
    for (gop, b) in [(6, 0), (1, 0), (100, 0), (8, 1), (10, 3)] {
        let coded = encode(64, 48, 23, gop, b);
        assert_eq!(coded.frames.len(), 23);
        if b > 0 {
            let in_order = coded.units.windows(2).all(|w| w[0].rank < w[1].rank);
            assert!(!in_order, "{b} B-pictures must reorder");
        }
        check_all(&coded, &Container::default());
    }
}

#[test]
fn sizes_that_are_no_multiple_of_a_macroblock_are_cropped() {
    check_all(&encode(50, 34, 5, 3, 0), &Container::default());
}

#[test]
fn containers_of_all_shapes_hold_the_same_frames() {
    let coded = encode(64, 48, 23, 7, 2);
    let base = Container::default;
    for container in [
        Container {
            moov_first: true,
            ..base()
        },
        Container {
            co64: true,
            chunk: 1,
            ..base()
        },
        Container { chunk: 100, ..base() },
        Container { fragment: 4, ..base() },
        Container {
            fragment: 100,
            ..base()
        },
        Container {
            durations: vec![100, 900, 300, 512, 2000],
            ..base()
        },
        Container {
            codec: *b"avc3",
            ..base()
        },
        // Irrelevant boxes with broken contents.
        Container {
            before_track: common::boxed(b"udta", &[&[0, 0, 0, 99, b'm', b'e', b't', b'a', 1, 2]]),
            ..base()
        },
    ] {
        check_all(&coded, &container);
    }
}

#[test]
fn the_first_video_track_by_number_is_read() {
    let coded = encode(64, 48, 4, 4, 0);
    let other = Container {
        track_id: 7,
        codec: *b"hvc1",
        ..Container::default()
    };
    // A broken track with a higher number comes before the valid one.
    let container = Container {
        before_track: other.trak(&coded, &[]),
        ..Container::default()
    };
    check_all(&coded, &container);
}

#[test]
fn the_largest_video_track_is_read_and_the_choice_is_reported() {
    let (small, large) = (encode(32, 32, 5, 5, 0), encode(64, 48, 4, 4, 1));
    for (first, second) in [(&small, &large), (&large, &small)] {
        // The data belongs to the second; the first has only tables.
        let tables = Container::default();
        let container = Container {
            track_id: 2,
            before_track: tables.trak(first, &tables.stbl(first, 40)),
            ..Container::default()
        };
        let (_file, video) = open(&container.write(second));
        let video = video.unwrap();
        assert_eq!((video.width(), video.height()), (64, 48));
        let number = if second.width == 64 { 2 } else { 1 };
        let remark = format!(
            "it has 2 video tracks: track {number} of 64x48 is read, not {} of 32x32",
            3 - number
        );
        assert_eq!(video.remark(), Some(remark.as_str()));
        if number == 2 {
            assert!(video.frames(&all(&video)).unwrap() == large.frames);
        }
    }
    let (_file, video) = open(&Container::default().write(&small));
    assert_eq!(video.unwrap().remark(), None);
}

#[test]
fn edit_lists_choose_the_frames() {
    let coded = encode(64, 48, 20, 5, 2);
    let ms = |frames: u32| frames * TICK * 1000 / common::TIMESCALE;
    let shown = |edits: Vec<(u32, i32)>| {
        let container = Container {
            edits,
            ..Container::default()
        };
        let (_file, video) = open(&container.write(&coded));
        let video = video?;
        video.frames(&all(&video))
    };
    let from = |frame: usize| frame as i32 * TICK as i32;
    assert!(shown(vec![(ms(20), 0)]).unwrap() == coded.frames);
    assert!(shown(vec![(ms(8), from(7))]).unwrap() == coded.frames[7..15]);
    // An empty edit is a pause before the first frame.
    assert!(shown(vec![(500, -1), (ms(4), from(3))]).unwrap() == coded.frames[3..7]);
    // No duration: to the end.
    assert!(shown(vec![(0, from(18))]).unwrap() == coded.frames[18..]);
    let twice = shown(vec![(ms(2), from(9)), (ms(3), from(8))]).unwrap();
    assert!(twice == [&coded.frames[9..11], &coded.frames[8..11]].concat());
    let none = shown(vec![(ms(2), from(50))]).unwrap_err();
    assert!(none.to_string().contains("edit list"), "{none}");
}

#[test]
fn the_display_matrix_turns_the_picture() {
    let coded = encode(64, 48, 3, 3, 0);
    const ONE: i32 = 0x10000;
    let container = Container {
        matrix: [0, ONE, 0, -ONE, 0, 0, 48 * ONE, 0, 0x4000_0000],
        ..Container::default()
    };
    let (_file, video) = open(&container.write(&coded));
    let video = video.unwrap();
    assert_eq!((video.width(), video.height()), (48, 64));
    let turned = &video.frames(&[1]).unwrap()[0];
    for (x, y) in [(0, 0), (63, 0), (5, 40), (63, 47)] {
        assert_eq!(turned.pixel(47 - y, x), coded.frames[1].pixel(x, y));
    }
}

#[test]
fn the_rate_is_the_average() {
    let coded = encode(64, 48, 5, 5, 0);
    for (durations, fps) in [(vec![TICK], 25.0), (vec![512, 512, 512, 512, 4352], 10.0)] {
        let container = Container {
            durations,
            ..Container::default()
        };
        let (_file, video) = open(&container.write(&coded));
        assert_eq!(video.unwrap().fps(), Some(fps));
    }
}

#[test]
fn frames_come_in_the_order_asked_and_once_each() {
    let coded = encode(64, 48, 20, 6, 2);
    let (_file, video) = open(&Container::default().write(&coded));
    let video = video.unwrap();
    let mut calls = Vec::new();
    let got = video
        .frames_with(&[17, 3, 3, 0, 17], |n, frame| {
            calls.push(n);
            (n, frame.pixel(0, 0))
        })
        .unwrap();
    calls.sort_unstable();
    assert_eq!(calls, [0, 3, 17]);
    let want: Vec<(usize, [u8; 3])> = [17, 3, 3, 0, 17].map(|n| (n, coded.frames[n].pixel(0, 0))).to_vec();
    assert_eq!(got, want);
    assert_eq!(video.frames(&[]).unwrap(), Vec::<RgbFrame>::new());
    let e = video.frames(&[2, 20]).unwrap_err();
    assert!(matches!(
        e,
        VideoError::OutOfRange {
            frame: 20,
            count: 20,
            ..
        }
    ));
}

#[test]
fn a_part_of_a_file_is_a_video() {
    let coded = encode(64, 48, 20, 6, 2);
    let file = file(&Container::default().write(&coded));
    let part = |offset, frames| {
        Video::open(
            &file.path,
            &OpenOptions {
                offset,
                frames,
                ..Default::default()
            },
        )
    };
    let video = part(5, Some(9)).unwrap();
    assert_eq!(video.frame_count(), 9);
    assert!(video.frames(&all(&video)).unwrap() == coded.frames[5..14]);
    assert!(video.frames(&[9]).is_err());
    assert_eq!(part(5, None).unwrap().frame_count(), 15);
    for (offset, frames) in [(5, Some(16)), (20, None), (usize::MAX, Some(1))] {
        let e = part(offset, frames).unwrap_err();
        assert!(e.to_string().contains("20 frames"), "{e}");
    }
}

#[test]
fn an_index_saves_the_parsing() {
    let coded = encode(64, 48, 10, 5, 1);
    let bytes = Container::default().write(&coded);
    let file = file(&bytes);
    let first = Video::open(&file.path, &OpenOptions::default()).unwrap();
    let options = OpenOptions {
        index: first.index().cloned(),
        ..Default::default()
    };

    // The same length and time, but the tables are gone: only the index can locate the frames.
    let modified = fs::metadata(&file.path).unwrap().modified().unwrap();
    let mut gone = bytes.clone();
    let moov = bytes.windows(4).position(|w| w == b"moov").unwrap();
    gone[moov..].fill(0);
    fs::write(&file.path, &gone).unwrap();
    let handle = fs::File::options().write(true).open(&file.path).unwrap();
    handle.set_modified(modified).unwrap();
    assert!(Video::open(&file.path, &OpenOptions::default()).is_err());
    let again = Video::open(&file.path, &options).unwrap();
    assert!(again.frames(&all(&again)).unwrap() == coded.frames);

    // Another length: another file.
    fs::write(&file.path, &bytes[..bytes.len() - 1]).unwrap();
    let e = Video::open(&file.path, &options).unwrap_err();
    assert!(matches!(e, VideoError::Changed { .. }), "{e}");
    let e = first.frames(&[0]).unwrap_err();
    assert!(matches!(e, VideoError::Changed { .. }), "{e}");
}

#[test]
fn what_the_writer_writes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.mp4");
    let options = WriteOptions {
        gop: 5,
        ..Default::default()
    };
    let mut writer = VideoWriter::create_with(&path, 48, 32, 24.0, options).unwrap();
    let level = |t: usize| (60 + 10 * t) as u8;
    for t in 0..12 {
        writer.push(&vec![level(t); 48 * 32 * 3]).unwrap();
    }
    writer.finish().unwrap();
    let video = Video::open(&path, &OpenOptions::default()).unwrap();
    assert_eq!((video.frame_count(), video.fps()), (12, Some(24.0)));
    for (t, frame) in video.frames(&all(&video)).unwrap().iter().enumerate() {
        assert!(frame.data().iter().all(|v| v.abs_diff(level(t)) <= 3));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Pictures decode the same in any display order of the container: display order is
    /// the container's, decoding order the stream's.
    #[test]
    fn the_container_decides_the_order(
        order in Just((0usize..14).collect::<Vec<_>>()).prop_shuffle(),
        wanted in 0usize..14,
    ) {
        let mut coded = encode(32, 32, 14, 5, 0);
        for (unit, &rank) in coded.units.iter_mut().zip(&order) {
            unit.rank = rank;
        }
        let shown: Vec<RgbFrame> = (0..14)
            .map(|rank| coded.frames[order.iter().position(|&r| r == rank).unwrap()].clone())
            .collect();
        let (_file, video) = open(&Container::default().write(&coded));
        let video = video.unwrap();
        prop_assert!(video.frames(&[wanted]).unwrap()[0] == shown[wanted]);
        prop_assert!(video.frames(&all(&video)).unwrap() == shown);
    }

    #[test]
    fn any_frames_equal_the_whole_decode(
        n in 1usize..30,
        gop in 1u32..12,
        b in 0u32..4,
        fragment in prop_oneof![Just(0usize), 1usize..9],
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
    ) {
        let coded = encode(32, 32, n, gop, b);
        let container = Container { fragment, ..Container::default() };
        let (_file, video) = open(&container.write(&coded));
        let video = video.unwrap();
        let wanted: Vec<usize> = picks.iter().map(|p| p.index(n)).collect();
        let got = video.frames(&wanted).unwrap();
        for (frame, &i) in got.iter().zip(&wanted) {
            prop_assert!(*frame == coded.frames[i], "frame {} of {:?}", i, &wanted);
        }
    }
}
