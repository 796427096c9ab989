//! Requests to stop, at many moments, each by two signals a few milliseconds apart, as schedulers send them.
#![cfg(target_os = "linux")]

use crate::common::*;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A short run with all that a run does: three phases, one of them validated after each epoch.
fn args(out: &Path) -> Vec<String> {
    let mut v = vec![
        graph("full.toml"),
        "--setting".into(),
        smoke(),
        "--out".into(),
        out.display().to_string(),
    ];
    v.extend(["--no-share", "--quiet", "--workers", "2"].map(String::from));
    for set in [
        "phases.pretrain.steps=6",
        "phases.pretrain.optimizer.warmup_steps=0",
        "phases.warmup.steps=4",
        "phases.warmup.optimizer.warmup_steps=0",
        "phases.warmup.optimizer.schedule.at=[2]",
        "phases.main.steps=10",
        "phases.main.optimizer.warmup_steps=0",
        "phases.main.validate=validate",
        "select=best",
        "oracle=true",
    ] {
        v.extend(["--set".into(), set.into()]);
    }
    v
}

fn lines(run: &Path) -> usize {
    std::fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |t| t.lines().count())
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    // It may have ended meanwhile.
    let _ = Command::new("kill").args([name, &pid]).stderr(Stdio::null()).status();
}

/// Whether the process has begun to listen for a signal: before that, a signal ends it like any other process.
fn listens(child: &Child, number: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigCgt:"));
    mask.is_some_and(|m| u64::from_str_radix(m.trim(), 16).unwrap() >> (number - 1) & 1 == 1)
}

/// Resumes or starts the run until `ready`; then sends two signals. Returns the exit code.
fn stop_when(out: &Path, (name, number): (&str, u32), wait: u64, ready: impl Fn() -> bool) -> Option<i32> {
    let mut a = args(out);
    if out.join("checkpoints/last.safetensors").exists() {
        a.push("--resume".into());
    }
    let mut child = command(&a).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() && !(listens(&child, number) && ready()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(wait));
    signal(&child, name);
    std::thread::sleep(Duration::from_millis(3));
    signal(&child, name);
    child.wait().unwrap().code()
}

const TERM: (&str, u32) = ("-TERM", 15);
const INT: (&str, u32) = ("-INT", 2);
const HUP: (&str, u32) = ("-HUP", 1);
const USR1: (&str, u32) = ("-USR1", 10);
const USR2: (&str, u32) = ("-USR2", 12);

#[test]
fn two_signals_at_any_moment_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    ok(&args(&whole));
    let state = cut.join("checkpoints/last.safetensors");
    let mut stopped = 0;
    // Times of the signals, as a number of logged lines and milliseconds after it: before the first step, between steps,
    // where a phase ends, in a validation, in the last view and in the report.
    for (signal, at, wait) in [
        (TERM, 0, 0),
        (INT, 2, 0),
        (TERM, 6, 0),
        (USR2, 10, 0),
        (USR1, 19, 0),
        (TERM, 19, 5),
        (INT, 21, 0),
        (HUP, 21, 5),
        (TERM, 22, 10),
    ] {
        let there = || match at {
            0 => state.exists(),
            at => lines(&cut) >= at,
        };
        let code = stop_when(&cut, signal, wait, there);
        // A signal that comes when all is done, or where hang-up signals are ignored, changes nothing.
        let name = signal.0;
        assert!(matches!(code, Some(0 | 130)), "{name} at {at}: exit {code:?}");
        assert!(state.exists(), "{name} at {at}: exit {code:?}, and no state");
        stopped += usize::from(code == Some(130));
    }
    assert!(stopped >= 4, "only {stopped} signals came in time");
    let mut last = args(&cut);
    last.push("--resume".into());
    ok(&last);
    assert_eq!(differing(&whole, &cut), Vec::<String>::new());
    assert!(cut.join("report.html").exists());
}

/// A request before a run exists leaves none, and does not claim that it did.
#[test]
fn stopped_while_data_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let (out, cache) = (dir.path().join("run"), dir.path().join("cache"));
    let mut child = command(&args(&out))
        .env("GLAD_CACHE", &cache)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !cache.exists() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be stopped"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(&child, "-USR1");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(!out.exists());
}
