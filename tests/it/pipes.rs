//! Named pipes in the place of files that the program reads and writes: reported at once, never waited for.
#![cfg(unix)]

use crate::common::*;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn pipe(path: &Path) {
    let _ = std::fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Runs `glad-run` to its end, which has to come: it takes seconds, and minutes are given.
fn ends(args: &[&str], cache: &Path) -> (Output, String) {
    let mut child = command(args)
        .env("GLAD_CACHE", cache)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(300) {
            child.kill().unwrap();
            panic!("{args:?} waits");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let out = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    (out, printed)
}

/// A short run of the small data set; what it reads is shared with the other tests.
fn run(out: &str, more: &[&str]) -> Vec<String> {
    let graph = graph("source_only.toml");
    let smoke = smoke();
    let args = [
        &graph,
        "--setting",
        &smoke,
        "--out",
        out,
        "--set",
        "phases.main.steps=2",
    ];
    args.iter().chain(more).map(|s| s.to_string()).collect()
}

#[test]
fn files_of_a_runs_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let out = folder.display().to_string();
    let args = run(&out, &["--no-share", "--quiet"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    ok(&args);
    let resume = [&args[..], &["--resume"]].concat();
    let video = dir.path().join("v.mp4").display().to_string();
    std::fs::write(&video, "x").unwrap();
    let of_it: [&[&str]; 3] = [&resume, &["eval", "--run", &out], &["predict", "--run", &out, &video]];
    for name in [
        "graph.toml",
        "run.json",
        "inputs.jsonl",
        "metrics.jsonl",
        "events.out.tfevents.glad",
        "plan.txt",
        "predictions.csv",
        "summary.json",
        "report.html",
        ".lock",
        "checkpoints/last.safetensors",
    ] {
        let (file, kept) = (folder.join(name), dir.path().join("kept"));
        std::fs::rename(&file, &kept).unwrap();
        pipe(&file);
        for args in of_it {
            let (done, printed) = ends(args, &cache());
            assert_eq!(done.status.code(), Some(1), "{name} {args:?}: {printed}");
            assert!(
                printed.contains(name) && printed.contains("it is a named pipe, not a file"),
                "{name} {args:?}: {printed}"
            );
        }
        std::fs::rename(&kept, &file).unwrap();
    }
    ok(&resume);
}

/// What is in the cache is as good as missing: made again, or kept by the run alone.
#[test]
fn files_of_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let phases = dir.path().join("cache/phases");
    // The generated data of the other tests: only the phases are this test's own.
    std::fs::create_dir_all(&phases).unwrap();
    for entry in std::fs::read_dir(cache()).unwrap_or_else(|_| panic!("{}", cache().display())) {
        let entry = entry.unwrap();
        if entry.file_name() != "phases" {
            std::os::unix::fs::symlink(entry.path(), dir.path().join("cache").join(entry.file_name())).unwrap();
        }
    }
    let at = |name: &str| {
        let out = dir.path().join(name).display().to_string();
        let args = run(&out, &[]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (done, printed) = ends(&args, &dir.path().join("cache"));
        assert!(done.status.success(), "{printed}");
        printed
    };
    at("first");
    assert!(at("second").contains("taken from an earlier run"));
    let mut kept: Vec<_> = std::fs::read_dir(&phases).unwrap().map(|e| e.unwrap().path()).collect();
    kept.sort();
    // A state and a log of each of the two phases.
    assert_eq!(kept.len(), 4, "{kept:?}");
    for (i, file) in kept.iter().enumerate() {
        pipe(file);
        let printed = at(&format!("pipe{i}"));
        assert!(printed.contains("it is a named pipe, not a file"), "{printed}");
    }
    let (first, last) = (dir.path().join("first"), dir.path().join("pipe3"));
    assert_eq!(differing(&first, &last), [""; 0]);
}

/// Graphs that extend one, and weights.
#[test]
fn files_that_graphs_name() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base.toml");
    pipe(&base);
    std::fs::write(dir.path().join("a.toml"), "extends = \"base.toml\"\n").unwrap();
    let folder = dir.path().display().to_string();
    let (done, printed) = ends(&["check", &folder], &cache());
    assert_eq!(done.status.code(), Some(1), "{printed}");
    assert!(printed.contains("it is a named pipe, not a file"), "{printed}");
}
