//! Mutated files, thousands of them from a fixed seed: each is read to its end by the function that the fuzz target of
//! its parser calls, which never panics, hangs or takes much memory.

mod common;

use std::fs;
use std::path::Path;

use common::{Container, encode};
use glad_video::fuzzing::{self, Mutator};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The memory that reading a file of some kilobytes may take: frames of a million pixels are allowed, and a decoder keeps
/// several.
const MOST: usize = 192 << 20;

/// Reads `count` mutations of the sources; returns the total that was parsed.
fn storm(seed: u64, count: usize, sources: &[(Vec<u8>, usize)], parse: fn(&[u8]) -> usize) -> usize {
    let mut mutator = Mutator::new(seed);
    let mut good = 0;
    for round in 0..count {
        let (source, from) = &sources[round % sources.len()];
        let mut bytes = source.clone();
        // Every other round mutates only the end, such as the tables of a video.
        let from = if (round / sources.len()).is_multiple_of(2) {
            0
        } else {
            *from
        };
        mutator.mutate(&mut bytes, from..source.len());
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        good += parse(&bytes);
        let taken = MEMORY.peak_usage().saturating_sub(before);
        assert!(taken < MOST, "round {round} took {taken} bytes");
    }
    good
}

/// Video files of all shapes.
fn videos() -> Vec<(Vec<u8>, usize)> {
    let plain = encode(48, 32, 14, 5, 0);
    let reordered = encode(48, 32, 14, 7, 2);
    let containers = [
        (Container::default(), &plain),
        (Container::default(), &reordered),
        (
            Container {
                fragment: 4,
                ..Container::default()
            },
            &reordered,
        ),
        (
            Container {
                edits: vec![(400, 512)],
                co64: true,
                ..Container::default()
            },
            &plain,
        ),
    ];
    containers
        .iter()
        .map(|(container, coded)| {
            let bytes = container.write(coded);
            let tables = bytes.windows(4).position(|w| w == b"moov").unwrap();
            (bytes, tables)
        })
        .collect()
}

// One test, because the memory is counted for the whole process.
#[test]
fn no_file_is_too_broken() {
    let videos = videos();
    for (bytes, _) in &videos {
        assert!(fuzzing::video_file(bytes) >= 10);
    }
    // The mutations must leave some files decodable and break others.
    let good = storm(0x5eed, 2400, &videos, fuzzing::video_file);
    assert!((2400..2400 * 13).contains(&good), "{good}");

    let coded = encode(48, 32, 14, 7, 2);
    let samples: Vec<(Vec<u8>, usize)> = coded.units.iter().map(|u| (u.bytes.clone(), 0)).collect();
    let good = storm(1, 2000, &samples, fuzzing::nal_units);
    assert!(good > 500, "{good}");

    let prefixed = |units: &[&[u8]]| -> Vec<u8> {
        let prefix = |u: &&[u8]| [&(u.len() as u16).to_be_bytes()[..], u].concat();
        units.iter().flat_map(prefix).collect()
    };
    let slice = &coded.units[1].bytes[4..];
    let baseline = encode(50, 34, 3, 2, 0);
    let headers = [
        prefixed(&[&coded.sps, &coded.pps, &slice[..slice.len().min(40)]]),
        prefixed(&[&baseline.sps, &baseline.pps, &baseline.units[1].bytes[4..]]),
    ];
    let headers = headers.map(|h| (h, 0));
    assert!(fuzzing::headers(&headers[0].0) == 3);
    let good = storm(2, 2000, &headers, fuzzing::headers);
    assert!((500..3 * 2000).contains(&good), "{good}");

    let lists = [
        "a.mp4 0\nb c.mp4 1\n# no\n\nd.mp4 -\n",
        "x/1.mp4 300 0\nx/2.mp4 120 1\n",
        "path offset frames label\ns 0 12 1\nt 5 7 0\n",
        "img_%05d.jpg\n",
        "\u{3000}\n\u{a0} 3\n",
    ];
    let lists = lists.map(|l| (l.as_bytes().to_vec(), 0));
    let good = storm(3, 2000, &lists, fuzzing::list);
    assert!(good > 1000, "{good}");

    let folder = tempfile::tempdir().unwrap();
    let encoded = ["a.png", "a.jpg"].map(|name| {
        let path = folder.path().join(name);
        let picture = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 5, y as u8 * 7, 90]));
        picture.save(&path).unwrap();
        (fs::read(path).unwrap(), 0)
    });
    assert_eq!(fuzzing::image(&encoded[0].0) + fuzzing::image(&encoded[1].0), 2);
    let good = storm(4, 2000, &encoded, fuzzing::image);
    assert!((100..1900).contains(&good), "{good}");
    // Of every coding, mutated in its headers and in its scans.
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpeg");
    let mut jpegs: Vec<_> = fs::read_dir(kept).unwrap().map(|e| e.unwrap().path()).collect();
    jpegs.sort();
    let jpegs: Vec<(Vec<u8>, usize)> = jpegs
        .iter()
        .map(|path| {
            let bytes = fs::read(path).unwrap();
            let scan = bytes.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
            (bytes, scan)
        })
        .collect();
    assert_eq!(jpegs.iter().map(|(bytes, _)| fuzzing::image(bytes)).sum::<usize>(), 6);
    let good = storm(5, 3000, &jpegs, fuzzing::image);
    assert!((100..2900).contains(&good), "{good}");
}
