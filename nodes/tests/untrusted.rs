//! Mutated files of weights, from a fixed seed: each is read to its end by the function that the fuzz target calls,
//! which never panics or takes much memory.

use glad_nodes::fuzzing;
use glad_video::fuzzing::Mutator;
use peak_alloc::PeakAlloc;
use std::sync::{Mutex, MutexGuard};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Tests are measured one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|e| e.into_inner())
}

/// Memory that reading `bytes` takes at most, and the number of tensors read.
fn taken(bytes: &[u8]) -> (usize, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let good = fuzzing::weights(bytes);
    (MEMORY.peak_usage().saturating_sub(before), good)
}

#[test]
fn no_file_of_weights_is_too_broken() {
    let _alone = alone();
    let sources = ["zip.pth", "legacy.pth", "small.safetensors"].map(|name| {
        let path = format!("{}/tests/untrusted/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    });
    for bytes in &sources {
        assert_eq!(fuzzing::weights(bytes), 4);
    }
    let mut mutator = Mutator::new(0x7e57);
    let mut good = 0;
    for round in 0..3000 {
        let mut bytes = sources[round % sources.len()].clone();
        let all = 0..bytes.len();
        mutator.mutate(&mut bytes, all);
        let (bytes, found) = taken(&bytes);
        good += found;
        assert!(bytes < 16 << 20, "round {round} took {bytes} bytes");
    }
    assert!((500..3000 * 4).contains(&good), "{good}");
}

#[test]
fn no_file_of_features_is_too_broken() {
    let _alone = alone();
    let at = |name: &str| std::fs::read(format!("{}/tests/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let sources = [
        ("features/rows.npy", None),
        ("features/fortran.npy", None),
        ("features/two.npz", Some("flow")),
        ("features/nested.pkl", Some("features.RGB")),
        ("features/protocol5.pkl", None),
    ]
    .map(|(name, key)| (at(name), key));
    for (bytes, key) in &sources {
        assert_eq!(fuzzing::features(bytes, *key, 2), 5);
    }
    let mut mutator = Mutator::new(0xfea7);
    let mut good = 0;
    for round in 0..4000 {
        let (bytes, key) = &sources[round % sources.len()];
        let mut bytes = bytes.clone();
        let all = 0..bytes.len();
        mutator.mutate(&mut bytes, all);
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        good += usize::from(fuzzing::features(&bytes, *key, 2) > 0);
        let taken = MEMORY.peak_usage().saturating_sub(before);
        assert!(taken < 16 << 20, "round {round} took {taken} bytes");
    }
    assert!((400..3600).contains(&good), "{good}");
}

/// An archive of members that are not compressed.
fn archive(members: &[(String, &[u8])]) -> Vec<u8> {
    let (mut all, mut directory) = (vec![], vec![]);
    for (name, contents) in members {
        let header = all.len() as u32;
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend([0; 4]);
        common.extend((contents.len() as u32).to_le_bytes().repeat(2));
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        all.extend(b"PK\x03\x04");
        all.extend(&common);
        all.extend(name.as_bytes());
        all.extend(*contents);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(header.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let place = all.len() as u32;
    all.extend(&directory);
    all.extend(b"PK\x05\x06\x00\x00\x00\x00");
    all.extend((members.len().min(0xffff) as u16).to_le_bytes().repeat(2));
    all.extend((directory.len() as u32).to_le_bytes());
    all.extend(place.to_le_bytes());
    all.extend([0, 0]);
    all
}

/// PyTorch's archive around a pickle.
fn pickled(first: &[u8], then: &[u8], times: usize, last: &[u8]) -> Vec<u8> {
    let pickle = [b"\x80\x02", first, &then.repeat(times), last].concat();
    archive(&[
        ("a/data.pkl".into(), &pickle),
        ("a/byteorder".into(), b"little"),
        ("a/data/0".into(), &[0; 8]),
    ])
}

fn safetensors(header: &str) -> Vec<u8> {
    let mut all = (header.len() as u64).to_le_bytes().to_vec();
    all.extend(header.as_bytes());
    all
}

/// A tensor of two numbers, put under number 0.
const TENSOR: &[u8] =
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000\
    X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85tRq\x00";

#[test]
fn what_a_file_asks_for_is_bounded() {
    let _alone = alone();
    const MANY: usize = 20_000_000;
    let ordered = [
        &b"ccollections\nOrderedDict\nq\x00]("[..],
        &b"NN\x86".repeat(500_000),
        b"e\x85q\x01",
    ]
    .concat();
    let name = [&b"X\xe8\x03\x00\x00"[..], &[b'a'; 1000], b"q\x00"].concat();
    let tensors = [TENSOR, b"0}("].concat();
    let members: Vec<(String, &[u8])> = (0..250_000).map(|i| (format!("a/data/{i}"), &b""[..])).collect();
    for (what, file) in [
        ("nothing at all", pickled(b"", b"N", MANY, b".")),
        ("copies of what is on top", pickled(b"N", b"2", MANY, b".")),
        ("lists", pickled(b"", b"]", MANY, b".")),
        ("tuples inside of tuples", pickled(b"N", b"\x85", MANY, b".")),
        (
            "dictionaries of themselves",
            pickled(b"}q\x00", b"NN\x86h\x00s", MANY / 6, b"."),
        ),
        ("a list that grows", pickled(b"](", b"K\x01", MANY / 2, b"e.")),
        ("numbers", pickled(b"", b"J\xff\xff\xff\x7f", MANY / 5, b".")),
        ("marks", pickled(b"", b"(", MANY, b".")),
        ("remembered values", pickled(b"N", b"\x94", MANY, b".")),
        ("recalled values", pickled(b"Nq\x00", b"h\x00", MANY / 2, b".")),
        ("short texts", pickled(b"", b"U\x01a", MANY / 3, b".")),
        (
            "texts",
            pickled(b"", &[&b"U\xff"[..], &[b'a'; 255]].concat(), MANY / 257, b"."),
        ),
        ("one long text", pickled(b"X\x00\x00\x00\x01", b"a", 1 << 24, b".")),
        ("bytes", pickled(b"B\x00\x00\x00\x01", b"a", 1 << 24, b".")),
        (
            "a text that is not there",
            pickled(b"X\xff\xff\xff\x7f", b"a", 1 << 10, b"."),
        ),
        ("copied dictionaries", pickled(&ordered, b"h\x00h\x01R", 1000, b".")),
        (
            "classes of long names",
            pickled(&name, b"h\x00h\x00\x93", MANY / 5, b"."),
        ),
        (
            "one tensor under all names",
            pickled(&tensors, b"U\x01ah\x00", MANY / 5, b"u."),
        ),
        ("members", archive(&members)),
        (
            "a shape of many axes",
            safetensors(&format!(
                "{{\"a\":{{\"dtype\":\"F32\",\"data_offsets\":[0,0],\"shape\":[0{}]}}}}",
                ",1".repeat(MANY / 4)
            )),
        ),
        (
            "a header of many tensors",
            safetensors(&format!(
                "{{{}\"z\":0}}",
                "\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,0],\"shape\":[0]},".repeat(300_000)
            )),
        ),
        ("a header of much nesting", safetensors(&"{\"a\":".repeat(MANY / 8))),
        (
            "much about the file",
            safetensors(&format!("{{\"__metadata__\":{{\"a\":\"{}\"}}}}", "a".repeat(MANY / 2))),
        ),
    ] {
        let (bytes, _) = taken(&file);
        assert!(bytes < 160 << 20, "{what}: {} bytes of a file take {bytes}", file.len());
        println!("{what}: {} MB take {} MB", file.len() >> 20, bytes >> 20);
    }
    // What is within bounds is read.
    let (_, good) = taken(&pickled(&tensors, b"U\x01ah\x00", 10, b"u."));
    assert_eq!(good, 10);
}
