//! Files that NumPy 2.4 wrote (`nodes/tests/features`), the values of which are −1, −¾, … in 5 rows of 2.

use super::ArrayFile;
use anyhow::Result;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/features").join(name)
}

fn rows(path: &Path, key: Option<&str>, size: usize) -> Result<Vec<f32>> {
    let mut file = ArrayFile::open(path, key, size)?;
    let mut all = vec![];
    for row in 0..file.rows() {
        file.read(row, &mut all)?;
    }
    assert!(file.read(file.rows(), &mut all).is_err());
    Ok(all)
}

fn error(path: &Path, key: Option<&str>, size: usize) -> String {
    format!("{:#}", rows(path, key, size).unwrap_err())
}

fn wanted(sign: f32) -> Vec<f32> {
    (0..10).map(|i| sign * (i as f32 / 4.0 - 1.0)).collect()
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

#[test]
fn every_format_has_the_same_numbers() {
    for (name, key, sign) in [
        ("rows.npy", None, 1.0),
        // A file of one array has it under any key.
        ("rows.npy", Some("rgb"), 1.0),
        ("fortran.npy", None, 1.0),
        ("half.npy", None, 1.0),
        ("two.npz", Some("rgb"), 1.0),
        ("two.npz", Some("flow"), -1.0),
        // `numpy.savez_compressed`.
        ("compressed.npz", Some("rgb"), 1.0),
        ("compressed.npz", None, 1.0),
        ("nested.pkl", Some("features.RGB"), 1.0),
        ("nested.pkl", Some("features.Flow"), -1.0),
        ("protocol5.pkl", None, 1.0),
    ] {
        assert_eq!(rows(&fixture(name), key, 2).unwrap(), wanted(sign), "{name} {key:?}");
    }
    // The whole as one row, and each number as a row of its own.
    let mut file = ArrayFile::open(&fixture("rows.npy"), None, 2).unwrap();
    let mut out = vec![];
    file.read(4, &mut out).unwrap();
    file.read(0, &mut out).unwrap();
    assert_eq!(out, [1.0, 1.25, -1.0, -0.75]);
}

/// As NumPy 1 names its functions, with the lengths of the names.
#[test]
fn pickles_of_numpy_1_are_read() {
    let bytes = std::fs::read(fixture("nested.pkl")).unwrap();
    let (new, old) = (b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray");
    let at = bytes.windows(new.len()).position(|w| w == new).unwrap();
    let file = written(&[&bytes[..at], old, &bytes[at + new.len()..]].concat());
    assert_eq!(rows(file.path(), Some("features.RGB"), 2).unwrap(), wanted(1.0));
}

/// `torch.save(tensor, file)`, as feature releases of 2019 have one for each frame: the earlier format, without a dictionary.
#[test]
fn a_file_of_one_tensor_is_read() {
    let tensor = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000\
        X\x03\x00\x00\x00cpuK\x03NtQK\x00K\x03\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR.";
    let legacy = [
        &b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."[..],
        b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.",
        tensor,
        b"\x80\x02]X\x01\x00\x00\x000a.",
        &3u64.to_le_bytes(),
        &[1.5f32, -2.0, 0.25].map(f32::to_le_bytes).concat(),
    ]
    .concat();
    let file = written(&legacy);
    assert_eq!(rows(file.path(), None, 3).unwrap(), [1.5, -2.0, 0.25]);
    assert_eq!(
        error(file.path(), None, 4),
        "it has the shape [3], where rows of 4 numbers are expected (`size`): its last size should be 4"
    );
    let cut = written(&legacy[..legacy.len() - 4]);
    assert!(error(cut.path(), None, 3).contains("ends before its storages do"));
}

/// What a compressed array says about its size and bytes is not believed.
#[test]
fn compressed_arrays_are_unpacked_within_bounds() {
    let bytes = std::fs::read(fixture("compressed.npz")).unwrap();
    let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let stated = |at: usize, value: u32| {
        let mut bytes = bytes.clone();
        bytes[directory + at..][..4].copy_from_slice(&value.to_le_bytes());
        error(written(&bytes).path(), None, 2)
    };
    let (checksum, packed, size) = (16, 20, 24);
    let own = u32::from_le_bytes(bytes[directory + size..][..4].try_into().unwrap());
    let large = stated(size, 1 << 31);
    assert!(
        large.contains("2147483648 bytes is larger than the 268435456"),
        "{large}"
    );
    for (at, value) in [(size, own + 1), (checksum, 7), (packed, 40)] {
        let e = stated(at, value);
        assert!(at != checksum || e.contains("damaged"), "{at}: {e}");
    }
    assert!(stated(size, own - 1).contains("not copied or downloaded whole"));
    assert!(stated(packed, u32::MAX - 1).contains("cut short"));
    // A bit that is turned anywhere in the compressed bytes, of which the last few may mean nothing.
    let data =
        30 + u16::from_le_bytes([bytes[26], bytes[27]]) as usize + u16::from_le_bytes([bytes[28], bytes[29]]) as usize;
    for at in data..directory {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        let found = rows(written(&bytes).path(), None, 2);
        assert!(found.is_err() || at + 1 == directory, "{at}");
        assert!(found.is_err() || found.unwrap() == wanted(1.0), "{at}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    for (name, key, why) in [
        (
            "two.npz",
            None,
            "it holds several arrays, `flow`, `rgb`: say which by `key`",
        ),
        (
            "two.npz",
            Some("RGB"),
            "it holds no array `RGB` (`key`), only `flow`, `rgb`",
        ),
        ("big_endian.npy", None, "numbers in big-endian order are not read"),
        ("records.npy", None, "it is an array of records, not of numbers"),
        (
            "nested.pkl",
            None,
            "it holds several arrays, `features.RGB`, `features.Flow`",
        ),
        ("protocol2.pkl", None, "its numbers are written as text (protocol 2"),
    ] {
        let e = error(&fixture(name), key, 2);
        assert!(e.contains(why), "{name}: {e}");
    }
    for (bytes, why) in [
        (&b""[..], "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"(lp0\n", "the file holds no arrays: .npy"),
        (
            b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'}",
            "its header has no `fortran_order`",
        ),
        (b"\x93NUMPY\x01\x00\xff\x00{", "ends in its header"),
        (b"\x93NUMPY\x09\x00\x00\x00", "version 9"),
        (b"\x80\x04N.", "the pickle holds no array of NumPy"),
        (
            b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.",
            "the pickle holds a Python object (`os system`)",
        ),
        (b"\x80\x04]\x94K\x01a.", "the pickle holds no array"),
    ] {
        let e = error(written(bytes).path(), None, 2);
        assert!(e.contains(why), "{e}");
    }
    // A shape of fewer numbers than there are: 4 by 2.
    let bytes = std::fs::read(fixture("protocol5.pkl")).unwrap();
    let at = bytes.windows(4).position(|w| w == b"K\x05K\x02").unwrap();
    let short = [&bytes[..at], b"K\x04K\x02", &bytes[at + 4..]].concat();
    assert_eq!(error(written(&short).path(), None, 2), "shape [4, 2] has 40 bytes");
    let mut bytes = std::fs::read(fixture("rows.npy")).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(error(written(&bytes).path(), None, 2), "row 4 holds NaN");
    assert!(error(written(&bytes[..last]).path(), None, 2).contains("was not copied or downloaded whole"));
}
