//! Mutated graphs and saved states, from a fixed seed: each is read to its end by the function that the fuzz target of
//! its parser calls, which never panics.

use glad::fuzzing;
use glad::load::{LoadOptions, load};
use glad_video::fuzzing::Mutator;

fn storm(seed: u64, count: usize, sources: &[Vec<u8>], parse: fn(&[u8]) -> usize) -> usize {
    let mut mutator = Mutator::new(seed);
    let mutated = |round: usize| {
        let mut bytes = sources[round % sources.len()].clone();
        let all = 0..bytes.len();
        mutator.mutate(&mut bytes, all);
        parse(&bytes)
    };
    (0..count).map(mutated).sum()
}

#[test]
fn no_graph_is_too_broken() {
    let graphs = ["graph.toml", "overlay.toml"].map(|name| {
        let path = format!("{}/tests/untrusted/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    });
    assert_eq!(fuzzing::graph(&graphs[0]), 6);
    let good = storm(11, 2000, &graphs, fuzzing::graph);
    assert!((50..2000 * 6).contains(&good), "{good}");
}

#[test]
fn no_state_is_too_broken() {
    let state = std::fs::read(format!(
        "{}/tests/untrusted/state.safetensors",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap();
    assert_eq!(fuzzing::checkpoint(&state), 2);
    let good = storm(12, 2000, &[state], fuzzing::checkpoint);
    assert!((30..2000 * 2).contains(&good), "{good}");
}

#[cfg(unix)]
#[test]
fn a_graph_without_end_is_no_graph() {
    let e = load(&LoadOptions::of("/dev/zero")).unwrap_err().to_string();
    assert!(e.contains("/dev/zero") && e.contains("it is a device"), "{e}");
}
