//! A phase's steps on random clips: the steps that the benchmarks time.

use crate::common::*;
use candle_core::Device;
use glad::check::check;
use glad::graph::Graph;
use glad::load::{LoadOptions, load};
use glad::program::Checked;
use glad::run::Rehearsal;

/// The whole method on the small network, with a constant learning rate.
fn experiment(set: &[&str]) -> (Graph, Checked) {
    let usual = [
        "phases.main.optimizer.schedule.kind=constant",
        "phases.main.optimizer.warmup_steps=0",
    ];
    let graph = load(&LoadOptions {
        graph: graph("full.toml").into(),
        setting: Some(smoke().into()),
        with: vec![],
        set: usual.iter().chain(set).map(|s| s.to_string()).collect(),
    })
    .unwrap_or_else(|e| panic!("{e}"));
    let checked = check(&graph, &glad::nodes::registry()).unwrap_or_else(|e| panic!("{e}"));
    (graph, checked)
}

fn value(found: &[(String, f64)], name: &str) -> f64 {
    found
        .iter()
        .find(|(n, _)| n == name)
        .unwrap_or_else(|| panic!("no {name}: {found:?}"))
        .1
}

#[test]
fn the_same_clips_again_and_again_are_learnt() {
    let (graph, checked) = experiment(&[]);
    let mut rehearsal = Rehearsal::new(&graph, &checked, "main", &Device::Cpu).unwrap();
    assert_eq!(rehearsal.clips(), [[4, 3, 8, 48, 48, 3]; 2]);
    let losses: Vec<f64> = (0..12).map(|_| value(&rehearsal.step().unwrap(), "ce")).collect();
    assert!(losses[11] < 0.5 * losses[0], "{losses:?}");
}

#[test]
fn two_rehearsals_are_the_same() {
    let (graph, checked) = experiment(&[]);
    let run = || {
        let mut rehearsal = Rehearsal::new(&graph, &checked, "main", &Device::Cpu).unwrap();
        [rehearsal.step().unwrap(), rehearsal.step().unwrap()]
    };
    assert_eq!(run(), run());
}

#[test]
fn a_step_in_parts_counts_every_video_once() {
    // All parts have the clips of one part, so a step in two parts equals a step in one (without the temporal order
    // head, for which each part draws its own order).
    let steps = |set: &[&str]| {
        let (graph, checked) = experiment(&[set, &["drop=tol"]].concat());
        let mut rehearsal = Rehearsal::new(&graph, &checked, "main", &Device::Cpu).unwrap();
        assert_eq!(rehearsal.clips()[0][0], 2);
        [(); 4].map(|()| rehearsal.step().unwrap())
    };
    let (one, two) = (steps(&["phases.main.batch=2"]), steps(&["phases.main.micro_batch=2"]));
    for (one, two) in one.iter().flatten().zip(two.iter().flatten()) {
        assert_eq!(one.0, two.0);
        assert!((one.1 - two.1).abs() < 1e-4 * one.1.abs().max(0.1), "{one:?} {two:?}");
    }
    let ce = |found: &[(String, f64)]| value(found, "ce");
    assert!(ce(&two[3]) < 0.9 * ce(&two[0]), "{two:?}");
}

#[test]
fn an_unknown_phase_is_reported() {
    let (graph, checked) = experiment(&[]);
    let e = Rehearsal::new(&graph, &checked, "mian", &Device::Cpu)
        .err()
        .unwrap()
        .to_string();
    assert_eq!(e, "there is no phase `mian`; there are: pretrain, warmup, main");
}
