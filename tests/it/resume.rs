//! A run that is killed and resumed leaves the bytes of an uninterrupted one.
#![cfg(unix)]

use crate::common::*;
use std::path::Path;
use std::time::Duration;

fn args(out: &Path) -> Vec<String> {
    let mut v = vec![
        graph("full.toml"),
        "--setting".into(),
        smoke(),
        "--out".into(),
        out.display().to_string(),
    ];
    v.extend(["--no-share", "--save-every", "3", "--quiet"].map(String::from));
    v
}

fn lines(run: &Path) -> usize {
    std::fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |t| t.lines().count())
}

/// Starts or resumes the run of `args` in `out` and kills it when its log has `until` lines. Returns whether it was killed in time.
fn kill_at(args: &[String], out: &Path, resume: bool, until: usize) -> bool {
    let mut a = args.to_vec();
    if resume {
        a.push("--resume".into());
    }
    let mut child = command(&a).spawn().unwrap();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return false;
        }
        if lines(out) >= until {
            child.kill().unwrap(); // SIGKILL
            child.wait().unwrap();
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn killed_at_several_moments_equals_uninterrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    ok(&args(&whole));
    let total = lines(&whole);
    // in pretraining before anything is saved, in the middle of each phase, close to the end
    let mut resume = false;
    let mut kills = 0;
    for until in [2, 40, 63, 74, total - 1] {
        kills += kill_at(&args(&cut), &cut, resume, until) as usize;
        resume = cut.join("graph.toml").exists();
    }
    assert!(kills >= 3, "only {kills} kills came in time");
    let mut last = args(&cut);
    last.push("--resume".into());
    ok(&last);
    assert_eq!(differing(&whole, &cut), Vec::<String>::new());
    // resuming a finished run changes nothing
    ok(&last);
    assert_eq!(differing(&whole, &cut), Vec::<String>::new());
}

#[test]
fn phases_by_other_optimizers_that_are_killed_equal_uninterrupted_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut, overlay) = (
        dir.path().join("whole"),
        dir.path().join("cut"),
        dir.path().join("adam.toml"),
    );
    let text = r#"
        drop = ["phases.pretrain.optimizer", "phases.main.optimizer"]
        [phases.pretrain.optimizer]
        kind = "adam"
        lr   = 0.001
        schedule = { kind = "inverse", gamma = 10 }
        [phases.main.optimizer]
        kind = "adamw"
        lr   = 0.001
        weight_decay = 0.01
        groups = [{ nodes = ["backbone"], lr_scale = 0.1 }]
    "#;
    std::fs::write(&overlay, text).unwrap();
    let args = |out: &Path| [args(out), ["--with".into(), overlay.display().to_string()].into()].concat();
    ok(&args(&whole));
    let total = lines(&whole);
    let (mut kills, mut resume) = (0, false);
    for until in [10, total - 2] {
        kills += kill_at(&args(&cut), &cut, resume, until) as usize;
        resume = true;
    }
    assert!(kills >= 1, "no kill came in time");
    ok(&[args(&cut), ["--resume".into()].into()].concat());
    assert_eq!(differing(&whole, &cut), Vec::<String>::new());
}

/// Streams with batches of their own, in parts, over epochs whose last step is short.
#[test]
fn batches_by_stream_that_are_killed_equal_uninterrupted_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut, overlay) = (
        dir.path().join("whole"),
        dir.path().join("cut"),
        dir.path().join("batches.toml"),
    );
    let text = r#"
        drop    = ["phases.main.steps"]
        set.run = ["main"]
        [phases.main]
        epochs      = 3
        micro_batch = { source = 4, target = 2 }
        [set.phases.main]
        batch = { source = 16, target = 8 }
        optimizer.warmup_steps = 2
    "#;
    std::fs::write(&overlay, text).unwrap();
    let args = |out: &Path| [args(out), ["--with".into(), overlay.display().to_string()].into()].concat();
    ok(&args(&whole));
    // 36 videos, 16 at a time: two steps and a quarter of one.
    let total = lines(&whole);
    assert_eq!(total, 3 * 3 + 1);
    let threads = ["--threads".to_string(), "1".into(), "--workers".into(), "1".into()];
    let killed = kill_at(&[args(&cut), threads.into()].concat(), &cut, false, 5);
    assert!(killed, "the kill did not come in time");
    ok(&[args(&cut), ["--resume".into()].into()].concat());
    assert_eq!(differing(&whole, &cut), Vec::<String>::new());
}

#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut child = command(&args(&run))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while lines(&run) < 4 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be stopped"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130));
    let printed = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(printed.contains("--resume"), "{printed}");
    let before = lines(&run);
    let mut again = args(&run);
    again.push("--resume".into());
    ok(&again);
    assert!(lines(&run) > before);
}
