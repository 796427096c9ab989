//! Output streams that nobody reads, full disks, files that cannot be written, and names that control a terminal.
#![cfg(unix)]

use crate::common::*;
use std::io::Read;
use std::path::Path;
use std::process::{Output, Stdio};

/// Flags that make the smoke setting as short as possible.
fn short() -> Vec<String> {
    let mut v = vec!["--setting".to_string(), smoke()];
    for set in [
        "phases.pretrain.steps=2",
        "phases.pretrain.optimizer.warmup_steps=0",
        "phases.warmup.steps=2",
        "phases.warmup.optimizer.warmup_steps=0",
        "phases.warmup.optimizer.schedule.at=[1]",
        "phases.main.steps=2",
        "phases.main.optimizer.warmup_steps=0",
    ] {
        v.extend(["--set".into(), set.into()]);
    }
    v
}

fn run_args(out: &Path) -> Vec<String> {
    let mut v = vec![graph("full.toml"), "--out".into(), out.display().to_string()];
    v.extend(short());
    v
}

/// Reads one byte of standard output, then closes it.
fn left_alone(args: &[&str]) -> (Option<i32>, String) {
    let mut child = command(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let _ = out.read(&mut [0]);
    drop(out);
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn a_reader_that_leaves_ends_no_command_badly() {
    for args in [
        &["schema"][..],
        &["nodes"],
        &["nodes", "tsm"],
        &["--help"],
        &["check", "graphs"],
        &["plan", "graphs/full.toml"],
        &["draw", "graphs/full.toml"],
        &["diff", "graphs/full.toml", "graphs/dann.toml"],
        &["explain", "graphs/full.toml", "phases"],
        &["cache"],
    ] {
        let (code, printed) = left_alone(args);
        assert_eq!(
            (code, printed.contains("panicked")),
            (Some(0), false),
            "{args:?}: {printed}"
        );
    }
    // The result is still in the exit code.
    let (code, _) = left_alone(&["check", "tests/bad_graphs/syntax.toml", "graphs/full.toml"]);
    assert_eq!(code, Some(1));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for args in [
        &["nodes"][..],
        &["schema"],
        &["--version"],
        &["draw", "graphs/full.toml"],
    ] {
        let out = command(args).stdout(full()).output().unwrap();
        let printed = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(3), "{args:?}: {printed}");
        assert!(
            printed.starts_with("error: cannot write to standard output: "),
            "{printed}"
        );
    }
}

/// A night's training continues when its terminal is gone, with both streams closed.
#[test]
fn a_run_goes_on_when_nobody_listens() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = command(&run_args(&out))
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    for file in ["report.html", "summary.json", "checkpoints/last.safetensors"] {
        assert!(out.join(file).exists(), "{file}");
    }
}

/// Neither a folder that cannot be created nor a file in its place keeps a run from finishing; it is reported once.
#[test]
fn a_cache_that_cannot_be_written_costs_sharing_alone() {
    let dir = tempfile::tempdir().unwrap();
    // The data are elsewhere, like a user's.
    own::lists(dir.path(), 4, |folder, class, i| {
        let name = format!("{i}.mp4");
        own::square(&folder.join(&name), class, i, Default::default());
        name
    });
    let setting = own::setting(dir.path());
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let run = |name: &str, cache: &Path| {
        let out = dir.path().join(name).display().to_string();
        let mut args = vec![
            graph("full.toml"),
            "--setting".into(),
            setting.clone(),
            "--out".into(),
            out,
        ];
        for set in [
            "phases.warmup.epochs=1",
            "phases.main.epochs=1",
            "phases.warmup.batch=4",
            "phases.main.batch=4",
        ] {
            args.extend(["--set".into(), set.into()]);
        }
        command(&args).env("GLAD_CACHE", cache).output().unwrap()
    };
    let out = run("file-run", &file);
    let printed = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(0), "{printed}");
    assert_eq!(printed.matches("the cache cannot be written").count(), 1, "{printed}");
    assert!(dir.path().join("file-run/report.html").exists());
}

#[test]
fn data_that_cannot_be_made_is_reported_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("file"), dir.path().join("run"));
    std::fs::write(&file, "").unwrap();
    let done = command(&run_args(&out)).env("GLAD_CACHE", &file).output().unwrap();
    let printed = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains("the data set cannot be made in the cache") && printed.contains("GLAD_CACHE"),
        "{printed}"
    );
    assert!(!out.exists());
}

#[test]
fn findings_are_shown_where_the_report_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    own::setting(dir.path());
    let data = dir.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("classes.txt"), "walk\nrun\n").unwrap();
    for list in own::LISTS {
        std::fs::write(data.join(format!("{list}.txt")), "gone.mp4 walk\n").unwrap();
    }
    // A file where the folder of reports would be.
    std::fs::write(dir.path().join("runs"), "").unwrap();
    let full = graph("full.toml");
    let lint = |more: &[&str]| {
        let args = [&["lint", &full, "--setting", "mine.toml"][..], more].concat();
        let out = command(&args).current_dir(dir.path()).output().unwrap();
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let (code, out, err) = lint(&[]);
    assert_eq!(code, Some(1), "{err}");
    assert!(out.contains("gone.mp4") && !out.contains("has every line"), "{out}");
    assert!(err.contains("could not be written") && err.contains("--out"), "{err}");
    // A requested output path is tried before the work.
    let (code, out, err) = lint(&["--out", "runs/x.md"]);
    assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
    assert!(err.contains("runs/x.md"), "{err}");
    let (code, _, err) = lint(&["--out", "x.json"]);
    assert_eq!(code, Some(2), "{err}");
}

#[test]
fn a_picture_is_svg() {
    let dir = tempfile::tempdir().unwrap();
    let png = dir.path().join("x.png");
    let out = glad(&["draw", "graphs/full.toml", "-o", png.to_str().unwrap()]);
    let printed = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2));
    assert!(
        printed.contains("x.png ends in `.png`: write") && printed.contains("x.svg"),
        "{printed}"
    );
    assert!(!png.exists());
    let svg = dir.path().join("made/x.svg");
    ok(&["draw", "graphs/full.toml", "-o", svg.to_str().unwrap()]);
    assert!(svg.exists());
}

/// Text of a graph, a path or a command line never controls the terminal.
#[test]
fn names_do_not_steer_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a\u{1b}[2J\u{202e}.toml");
    std::fs::write(
        &path,
        format!(
            "extends = \"{}\"\ntitle = \"x\"\n[nodes.\"a\\u001b[2J\"]\nkind = \"x\" # \u{9b}31m\n",
            graph("full.toml")
        ),
    )
    .unwrap();
    let shown = path.display().to_string();
    for args in [
        &["check", &shown][..],
        &["check", &shown, "graphs/full.toml"],
        &[shown.as_str()],
        &["plan", "graphs/full.toml", "--set", "title='\u{1b}]0;x\u{7}'"],
        &["explain", "graphs/full.toml", "title\u{1b}[2J"],
        &["nodes", "\u{1b}[2J"],
        &["frames", &shown, "--out", dir.path().to_str().unwrap()],
        &["check", "--\u{1b}[2J"],
    ] {
        let out = glad(args);
        for stream in [&out.stdout, &out.stderr] {
            let text = String::from_utf8_lossy(stream);
            let bad = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!text.contains(bad), "{args:?}\n{text:?}");
        }
    }
}

/// Every flag is used or refused.
#[test]
fn no_flag_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().display().to_string();
    let video = dir.path().join("v.mp4");
    own::square(&video, 0, 0, Default::default());
    let (video, out) = (video.display().to_string(), dir.path().join("o").display().to_string());
    for args in [
        &["frames", &video, "--out", &out, "--set", "dims.T=4"][..],
        &["frames", &video, "--out", &out, "--with", "graphs/dann.toml"],
        &["frames", &video, "--out", &out, "--start-index", "1"],
        &["frames", &video, "--out", &out, "--template", "x_%05d.jpg"],
        &["frames", &video, "--out", &out, "--node", "local"],
        &["predict", "--run", &run, &video, "--out", "x.txt"],
        &["predict", "--run", &run, &video, "--out", "x"],
        &["predict", "--run", &run, &video, "--out", "x.safetensors"],
        &[
            "predict",
            "--run",
            &run,
            &video,
            "--out",
            "x.csv",
            "--port",
            "consensus.y",
        ],
        &["predict", "--run", &run, &video, "--port", "consensus.y"],
        &["plan", "graphs/full.toml", "--threads", "2"],
        &["check", "graphs/full.toml", "--workers", "2"],
        &["graphs/full.toml", "--resume"],
        &["--seed", "2"],
    ] {
        let done = glad(args);
        let printed = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{args:?}: {printed}");
    }
}
