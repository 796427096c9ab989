//! Extreme numbers in every key that takes one, and in every flag: each is used, or refused by name.

use crate::common::*;
use candle_core::DeviceLocation;
use glad::check::check;
use glad::describe::{Target, plan_text};
use glad::diag::{Severity, render};
use glad::load::{LoadOptions, load};
use glad::tree::{Tree, TreeValue, dotted};
use std::panic::{AssertUnwindSafe, catch_unwind};

const EXTREMES: [&str; 14] = [
    "0",
    "-1",
    "1",
    "7",
    "65537",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "0.5",
    "1e308",
    "-1e-320",
    "nan",
];

fn smallest() -> LoadOptions {
    LoadOptions {
        setting: Some(smoke().into()),
        ..LoadOptions::of(graph("full.toml"))
    }
}

/// The paths of all numbers, and how many there are of a list of them.
fn numbers(tree: &Tree) -> Vec<(String, usize)> {
    let is_number = |t: &Tree| matches!(t.value, TreeValue::Integer(_) | TreeValue::Float(_));
    let mut found = vec![];
    tree.leaves(&mut vec![], &mut |path, t| {
        let count = match t.items() {
            None => usize::from(is_number(t)),
            Some(items) if !items.is_empty() && items.iter().all(is_number) => items.len() + 1,
            Some(_) => 0,
        };
        if count > 0 {
            found.push((dotted(path.iter().copied()), count));
        }
    });
    found
}

/// Loads, checks and plans; returns the error messages.
fn planned(set: &str) -> Result<(), String> {
    let mut options = smallest();
    options.set.push(set.into());
    let graph = load(&options).map_err(|p| render(&p, false))?;
    let checked = check(&graph, &glad::nodes::registry()).map_err(|p| {
        let placed = |e: &&glad::diag::Problem| e.severity == Severity::Error && e.labels.is_empty();
        assert!(p.list.iter().find(placed).is_none(), "no place: {p}");
        render(&p, false)
    })?;
    let target = Target {
        device: DeviceLocation::Cpu,
        ahead: 32,
    };
    let text = plan_text(&checked, &graph, target, &|_| Ok(Some("0".repeat(64))));
    assert!(!text.is_empty());
    Ok(())
}

/// Whether a message names the key, at least by the last word of its path, or the number.
fn names(printed: &str, path: &str, value: &str) -> bool {
    let key = path.rsplit('.').next().unwrap();
    let words = printed.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.into_iter().any(|w| w == key || w == value)
}

#[test]
fn every_number_of_a_graph_is_used_or_refused() {
    let all = numbers(&load(&smallest()).unwrap_or_else(|p| panic!("{p}")).tree);
    assert!(all.len() > 40, "{all:?}");
    let mut failed = vec![];
    // Each key gets every other number here, its neighbour the others: each type of key occurs more than once.
    for (i, (path, count)) in all.iter().enumerate() {
        for value in EXTREMES.iter().skip(i % 2).step_by(2) {
            let value = match count {
                1 => value.to_string(),
                n => format!("[{}]", vec![*value; n - 1].join(", ")),
            };
            let set = format!("{path}={value}");
            match catch_unwind(AssertUnwindSafe(|| planned(&set))) {
                Ok(Ok(())) => {}
                Ok(Err(printed)) if names(&printed, path, &value) => {}
                Ok(Err(printed)) => failed.push(format!("{set}: refused without its key:\n{printed}")),
                Err(_) => failed.push(format!("{set}: panics")),
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn sizes_that_no_memory_holds_are_refused_at_their_key() {
    for (set, named) in [
        ("nodes.augment.size=4294967296", "at most 2147483647"),
        ("nodes.augment.size=2000000", "fits into no memory"),
        ("views.infer.batch=4611686018427387904", "at most 1048576"),
        ("phases.main.batch=1048576", "fits into no memory"),
        ("dims.T=2147483647", "fits into no memory"),
        ("params.domain_hidden=2147483647", "fit into no memory"),
        ("phases.main.optimizer.lr=1e39", "between"),
        ("phases.main.losses.ce=nan", "expected a number"),
        ("phases.main.steps=0", "at least 1"),
        ("phases.warmup.optimizer.schedule.at=[5, 5]", "has to rise"),
    ] {
        let printed = planned(set).expect_err(set);
        assert!(printed.contains(named), "{set}:\n{printed}");
    }
}

#[test]
fn every_number_of_a_flag_is_used_or_refused() {
    let smoke = smoke();
    let dir = tempfile::tempdir().unwrap();
    let (out, video) = (dir.path().join("run"), dir.path().join("v.mp4"));
    own::square(&video, 0, 0, Default::default());
    let (out, video) = (out.to_str().unwrap(), video.to_str().unwrap());
    let run = ["graphs/full.toml", "--setting", &smoke, "--out", out];
    let commands: [(&str, &[&str], &str); 8] = [
        ("--threads", &run, "1 to 1024"),
        ("--workers", &run, "1 to 1024"),
        ("--save-every", &run, "1 to 9223372036854775807"),
        ("--seed", &run, "0 to 9223372036854775807"),
        ("--measure", &["plan", "graphs/full.toml"], "1 to 1000000"),
        ("--workers", &["plan", "graphs/full.toml"], "1 to 1024"),
        ("--workers", &["lint", "graphs/full.toml"], "1 to 1024"),
        ("--start-index", &["frames", video, "--out", out], "0 to 1000000000"),
    ];
    for (flag, args, range) in commands {
        for value in [
            "-1",
            "18446744073709551616",
            "nan",
            "1.5",
            "",
            "99999999999999999999999",
        ] {
            let value = format!("{flag}={value}");
            let done = glad(&[args, &[value.as_str()]].concat());
            let printed = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(2), "{args:?} {value}: {printed}");
            assert!(printed.contains(flag) && printed.contains(range), "{printed}");
        }
        // In words of their own, too, a negative number is a number.
        let done = glad(&[args, &[flag, "-1"]].concat());
        let printed = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(printed.contains(flag) && printed.contains(range), "{printed}");
    }
    for (flag, args, value) in [
        ("--threads", &run[..], "0"),
        ("--threads", &run[..], "18446744073709551615"),
        ("--workers", &run[..], "10000"),
        ("--save-every", &run[..], "0"),
        ("--measure", &["plan", "graphs/full.toml"][..], "0"),
    ] {
        let given = format!("{flag}={value}");
        let done = glad(&[args, &[given.as_str()]].concat());
        assert_eq!(done.status.code(), Some(2), "{flag} {value}");
    }
    assert!(!dir.path().join("run").exists());
}

#[test]
fn a_number_is_reported_as_it_was_written() {
    // Beyond 2^53 a float is not it.
    for (set, what) in [
        (
            "phases.main.steps=9007199254740993",
            "`phases.main.steps` is 9007199254740993, and has to be",
        ),
        (
            "phases.main.batch=9223372036854775807",
            "`phases.main.batch` is 9223372036854775807, and has to be",
        ),
        (
            "nodes.local.interval=9007199254740993",
            "is 9007199254740993, and has to be",
        ),
        (
            "phases.main.optimizer.momentum=9007199254740993",
            "is 9007199254740993, and has to be",
        ),
    ] {
        let e = planned(set).unwrap_err();
        assert!(e.contains(what), "{set}: {e}");
    }
}
