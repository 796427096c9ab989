//! Dropping a node changes no random draw of the others, and a phase's own seed is independent of the run's.

use crate::common::*;
use candle_core::Tensor;
use glad::check::check;
use glad::load::{LoadOptions, load};
use glad::run::{Progress, batch_at, set_up};

/// The batch of `step` of `phase`, by value.
fn batch(with: Option<&str>, phase: &str, step: u64, seed: u64) -> Vec<(String, Tensor)> {
    let dir = tempfile::tempdir().unwrap();
    let overlay = with.map(|text| {
        let p = dir.path().join("overlay.toml");
        std::fs::write(&p, text).unwrap();
        p
    });
    let graph = load(&LoadOptions {
        graph: graph("full.toml").into(),
        setting: Some(smoke().into()),
        with: overlay.into_iter().collect(),
        set: vec![],
    })
    .unwrap_or_else(|e| panic!("{e}"));
    let checked = check(&graph, &glad::nodes::registry()).unwrap_or_else(|e| panic!("{e}"));
    let program = &checked.phases[phase];
    let setup = set_up(program, Some(cache().as_path()), &Progress::new(true)).unwrap();
    batch_at(program, &graph.phases[phase], setup, seed, step).unwrap()
}

fn clips(values: &[(String, Tensor)], stream: &str) -> (Vec<usize>, Vec<u8>) {
    let name = format!("batch.clips@{stream}");
    let t = &values
        .iter()
        .find(|(n, _)| *n == name)
        .unwrap_or_else(|| panic!("no {name}"))
        .1;
    (t.dims().to_vec(), t.flatten_all().unwrap().to_vec1::<u8>().unwrap())
}

#[test]
fn without_tol_the_first_batch_of_main_is_the_same_bytes() {
    let whole = batch(None, "main", 0, 1);
    let less = batch(Some("drop = [\"tol\"]\n"), "main", 0, 1);
    for stream in ["source", "target"] {
        assert_eq!(clips(&whole, stream), clips(&less, stream), "{stream}");
    }
    // and it is a real batch: 4 videos, 3 clips, 8 frames
    assert_eq!(clips(&whole, "source").0, [4, 3, 8, 48, 48, 3]);
}

#[test]
fn seed_and_step_change_the_batch() {
    let a = clips(&batch(None, "main", 0, 1), "target");
    assert_ne!(a.1, clips(&batch(None, "main", 0, 2), "target").1);
    assert_ne!(a.1, clips(&batch(None, "main", 1, 1), "target").1);
    // pretraining has its own seed, so that runs with other seeds share its trunk
    let p = |seed| clips(&batch(None, "pretrain", 0, seed), "auxiliary");
    assert_eq!(p(1), p(2));
}
