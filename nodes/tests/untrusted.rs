//! Mutated files of weights, from a fixed seed: each is read to its end by the function that the fuzz target calls,
//! which never panics or takes much memory.

use glad_nodes::fuzzing;
use glad_video::fuzzing::Mutator;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

#[test]
fn no_file_of_weights_is_too_broken() {
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
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        good += fuzzing::weights(&bytes);
        let taken = MEMORY.peak_usage().saturating_sub(before);
        assert!(taken < 16 << 20, "round {round} took {taken} bytes");
    }
    assert!((500..3000 * 4).contains(&good), "{good}");
}
