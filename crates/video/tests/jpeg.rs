//! JPEG images of every coding that is read, whole and damaged. The files of `tests/jpeg` are a picture of 45x35 pixels, written
//! by `cjpeg` of libjpeg-turbo with `-quality 60` and: `-optimize` (baseline), `-restart 2B`, `-progressive`, `-progressive
//! -restart 3B`, `-grayscale`, and one scan for each component.

use std::fs;
use std::path::Path;

use glad_video::fuzzing::Mutator;
use glad_video::{OpenOptions, RgbFrame, Video, VideoError};

const CODINGS: [&str; 6] = [
    "baseline",
    "restarts",
    "progressive",
    "progressive_restarts",
    "grey",
    "separate_scans",
];

fn file(coding: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/jpeg/{coding}.jpg"))).unwrap()
}

/// The picture, as the only frame of a folder. An error has to name the file.
fn read(bytes: &[u8]) -> Result<RgbFrame, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("img_00000.jpg"), bytes).unwrap();
    let frames = Video::open(folder.path(), &OpenOptions::default()).and_then(|v| v.frames(&[0]));
    frames.map(|mut f| f.remove(0)).map_err(|e| {
        let (text, at) = (e.to_string(), e.path().display().to_string());
        assert!(at.ends_with("img_00000.jpg"), "{text}");
        match e {
            VideoError::Damaged { reason, .. } => reason,
            _ => text,
        }
    })
}

/// The entropy-coded data of each scan: where it begins and ends.
fn scans(bytes: &[u8]) -> Vec<(usize, usize)> {
    let marker = |at: usize| bytes[at] == 0xff && !matches!(bytes[at + 1], 0 | 0xff | 0xd0..=0xd7);
    let (mut at, mut found) = (2, vec![]);
    while bytes[at + 1] != 0xd9 {
        let kind = bytes[at + 1];
        at += 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        if kind == 0xda {
            let from = at;
            at = (at..).find(|at| marker(*at)).unwrap();
            found.push((from, at));
        }
    }
    found
}

/// Places of the restart markers.
fn restarts(bytes: &[u8]) -> Vec<usize> {
    let of =
        |(from, to): (usize, usize)| (from..to - 1).filter(|at| bytes[*at] == 0xff && bytes[at + 1] & 0xf8 == 0xd0);
    scans(bytes).into_iter().flat_map(of).collect()
}

#[test]
fn whole_files_are_read() {
    let colour = read(&file("baseline")).unwrap();
    for coding in CODINGS {
        let bytes = file(coding);
        let picture = read(&bytes).unwrap_or_else(|e| panic!("{coding}: {e}"));
        assert_eq!((picture.width(), picture.height()), (45, 35));
        // The same coefficients, in another order.
        if ["restarts", "progressive", "progressive_restarts"].contains(&coding) {
            assert!(picture == colour, "{coding}");
        }
        // What follows the end: padding, text, another picture as in MPO.
        for after in [&[0; 9][..], b"more", &bytes, &bytes[..bytes.len() / 2], &[0xff, 0xd9]] {
            assert!(read(&[&bytes, after].concat()).unwrap() == picture, "{coding}");
        }
        // Fill bytes before a marker, and one more restart marker after the last MCU.
        for (from, to) in scans(&bytes) {
            for more in [&[0xff, 0xff][..], &[0xff, 0xd3]] {
                let padded = [&bytes[..to], more, &bytes[to..]].concat();
                assert!(
                    read(&padded).as_ref() == Ok(&picture),
                    "{coding}: {from} {more:?}: {:?}",
                    read(&padded).err()
                );
            }
        }
    }
}

/// Bytes between segments harm nothing, and damage in such a file is found as in any other.
#[test]
fn stray_bytes_between_headers_hide_no_damage() {
    for coding in CODINGS {
        let bytes = file(coding);
        // After the first segment.
        let at = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        let stray = |bytes: &[u8]| [&bytes[..at], b"stray bytes", &bytes[at..]].concat();
        assert!(read(&stray(&bytes)) == read(&bytes), "{coding}");
        let (from, to) = scans(&bytes)[0];
        let mut broken = bytes.clone();
        broken.drain((from + to) / 2..to);
        let e = read(&stray(&broken)).map(|_| coding).unwrap_err();
        assert!(e.contains("damaged"), "{coding}: {e}");
        for cut in [to - 1, (from + to) / 2, from] {
            read(&stray(&bytes)[..cut + 11]).map(|_| coding).unwrap_err();
        }
    }
}

/// As FTP in text mode and some version control copy files to Windows.
#[test]
fn line_ends_that_were_converted_are_found() {
    let mut found = 0;
    for coding in CODINGS {
        let bytes = file(coding);
        let converted: Vec<u8> = bytes
            .iter()
            .flat_map(|b| if *b == b'\n' { vec![b'\r', b'\n'] } else { vec![*b] })
            .collect();
        if converted.len() == bytes.len() {
            continue;
        }
        let e = read(&converted).map(|_| coding).unwrap_err();
        found += usize::from(e.contains("it was copied as text, with a byte 0D put before each byte 0A"));
    }
    assert!(found > 0);
}

/// A scan that ends early, with the rest of the file as it should be.
#[test]
fn a_scan_that_ends_early_is_damage() {
    for coding in CODINGS {
        let bytes = file(coding);
        for (n, (from, to)) in scans(&bytes).into_iter().enumerate() {
            for cut in from..to - 1 {
                // Half of an escaped byte or a marker is a third thing.
                if bytes[cut - 1] == 0xff {
                    continue;
                }
                let mut broken = bytes.clone();
                broken.drain(cut..to);
                let e = read(&broken)
                    .map(|_| format!("{coding}: scan {n}, {cut} of {from} to {to}"))
                    .unwrap_err();
                if coding == "baseline" {
                    assert!(e.starts_with("scan 1 ends after ") && e.contains(" of 9 MCUs"), "{e}");
                }
                if n == 0 {
                    // Cut there, and the end of the picture appended.
                    let ended = [&bytes[..cut], &[0xff, 0xd9]].concat();
                    read(&ended).map(|_| coding).unwrap_err();
                }
            }
        }
    }
    let mut bytes = file("baseline");
    let (from, to) = scans(&bytes)[0];
    bytes.drain((from + to) / 2..to);
    assert_eq!(
        read(&bytes).unwrap_err(),
        "scan 1 ends after 3 of 9 MCUs: the file is damaged or cut short"
    );
}

#[test]
fn restart_markers_have_an_order() {
    for coding in ["restarts", "progressive_restarts"] {
        let bytes = file(coding);
        let places = restarts(&bytes);
        assert!(places.len() > 3, "{places:?}");
        for (i, &at) in places.iter().enumerate() {
            let mut other = bytes.clone();
            other[at + 1] = 0xd0 | (bytes[at + 1] + 1) & 7;
            let e = read(&other).map(|_| coding).unwrap_err();
            assert!(
                e.contains("has the restart marker RST") && e.contains(" belongs: "),
                "{e}"
            );
            // Lost markers, and lost intervals.
            let mut lost = bytes.clone();
            lost.drain(at..at + 2);
            read(&lost).map(|_| coding).unwrap_err();
            let of = |at: usize| scans(&bytes).iter().position(|(from, to)| (*from..*to).contains(&at));
            if let Some(next) = places.get(i + 1).filter(|next| of(**next) == of(at)) {
                let mut lost = bytes.clone();
                lost.drain(at..*next);
                read(&lost).map(|_| coding).unwrap_err();
            }
        }
    }
    let mut bytes = file("restarts");
    let at = restarts(&bytes)[1];
    bytes[at + 1] = 0xd6;
    assert_eq!(
        read(&bytes).unwrap_err(),
        "scan 1 has the restart marker RST6 after MCU 4 of 9, where RST1 belongs: the file is damaged"
    );
    // A marker where no interval was set.
    let mut bytes = file("baseline");
    let (from, to) = scans(&bytes)[0];
    let at = (from + to) / 2;
    bytes.splice(at..at, [0xff, 0xd0]);
    read(&bytes).map(|_| "a picture").unwrap_err();
}

#[test]
fn data_that_belongs_to_no_mcu_is_damage() {
    for coding in CODINGS {
        let bytes = file(coding);
        let (_, to) = scans(&bytes)[0];
        let mut longer = bytes.clone();
        longer.splice(to..to, [0x55; 8]);
        let e = read(&longer).map(|_| coding).unwrap_err();
        assert!(e.contains("has 8 bytes that belong to no MCU"), "{e}");
        // As many as libjpeg passes over in silence.
        let mut padded = bytes.clone();
        padded.splice(to..to, [0; 2]);
        assert!(read(&padded) == read(&bytes), "{coding}");
    }
    let mut twice = file("baseline");
    let sof = twice.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let header = twice[sof..sof + 19].to_vec();
    twice.splice(sof..sof, header);
    let e = read(&twice).map(|_| "a picture").unwrap_err();
    assert!(e.contains("Two Start of Frame Markers"), "{e}");
}

/// How many of 200 damaged files of each coding are read to another picture, as CONFORMANCE.md states it: damage that is valid
/// codes for as many MCUs. A last scan that is lost as a whole is not detected either.
#[test]
fn damage_that_is_not_detected() {
    const TRIES: usize = 200;
    type Harm = fn(&mut [u8], &mut Mutator);
    let harms: [(&str, Harm); 4] = [
        ("its rest is zeros", |data, dice| {
            let at = dice.roll(data.len());
            data[at..].fill(0);
        }),
        ("its rest is ones", |data, dice| {
            let at = dice.roll(data.len());
            data[at..].fill(0xff);
        }),
        ("16 bytes of garbage", |data, dice| {
            let at = dice.roll(data.len());
            let end = (at + 16).min(data.len());
            data[at..end].iter_mut().for_each(|b| *b = dice.roll(256) as u8);
        }),
        ("one flipped bit", |data, dice| {
            data[dice.roll(data.len())] ^= 1 << dice.roll(8)
        }),
    ];
    let mut table = vec![];
    for (name, harm) in harms {
        let row = CODINGS.map(|coding| {
            let bytes = file(coding);
            let good = read(&bytes).unwrap();
            let mut dice = Mutator::new(11);
            let hidden = (0..TRIES).filter(|_| {
                let mut broken = bytes.clone();
                let of = scans(&bytes);
                let (from, to) = of[dice.roll(of.len())];
                harm(&mut broken[from..to], &mut dice);
                read(&broken).is_ok_and(|picture| picture != good)
            });
            hidden.count()
        });
        table.push((name, row));
    }
    let expected = [
        ("its rest is zeros", [0, 0, 87, 21, 0, 0]),
        ("its rest is ones", [0; 6]),
        ("16 bytes of garbage", [87, 43, 69, 12, 70, 61]),
        ("one flipped bit", [153, 135, 123, 83, 160, 139]),
    ];
    assert_eq!(table, expected);
    let bytes = file("progressive");
    let last = *scans(&bytes).last().unwrap();
    let before = bytes[..last.0].windows(2).rposition(|w| w == [0xff, 0xc4]).unwrap();
    let lost = [&bytes[..before], &[0xff, 0xd9]].concat();
    assert!(read(&lost).unwrap() != read(&bytes).unwrap());
}
