//! A run's folder: begun, resumed by schedulers, moved, and used as a model without other files of the run.
#![cfg(unix)]

use crate::common::*;
use glad_video::write::WriteOptions;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

/// A user's data and setting in `dir`, with 4 videos per list.
fn data(dir: &Path) {
    own::lists(dir, 4, |folder, class, i| {
        let name = format!("clip {i}.mp4");
        own::square(&folder.join(&name), class, i, WriteOptions::default());
        name
    });
    own::setting(dir);
}

/// A command in `dir` with its own cache there.
fn glad_in(dir: &Path, args: &[&str]) -> Output {
    let mut c = command(args);
    c.current_dir(dir).env("GLAD_CACHE", dir.join("cache"));
    c.output().expect("the program starts")
}

const SMALL: [&str; 10] = [
    "--quiet",
    "--set",
    "phases.main.epochs=24",
    "--set",
    "phases.main.batch=4",
    "--set",
    "dims.T=2",
    "--set",
    "nodes.augment.size=32",
    "--no-share",
];

fn train(graph: &str, more: &[&str]) -> Vec<String> {
    let args = [graph, "--setting", "mine.toml"];
    args.iter().chain(&SMALL).chain(more).map(|s| s.to_string()).collect()
}

fn train_in(dir: &Path, more: &[&str]) -> Output {
    let args = train(&graph("source_only.toml"), more);
    glad_in(dir, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn succeeded(out: &Output) -> String {
    assert!(out.status.success(), "{}", printed(out));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn printed(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn schedulers_go_on_with_whatever_is_there() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    let at = |args: &[&str]| train_in(dir.path(), args);
    // Absent, empty, left by a kill, finished.
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::create_dir_all(dir.path().join("killed/checkpoints")).unwrap();
    fs::write(dir.path().join("killed/graph.99.partial"), "").unwrap();
    for out in ["absent", "empty", "killed", "absent"] {
        succeeded(&at(&["--out", out, "--go-on"]));
    }
    for out in ["empty", "killed"] {
        assert_eq!(differing(&dir.path().join("absent"), &dir.path().join(out)), [""; 0]);
    }
    // A partial state left by a kill is removed.
    let partial = dir.path().join("empty/checkpoints/last.4242.partial");
    fs::write(&partial, "x").unwrap();
    succeeded(&at(&["--out", "empty", "--resume"]));
    assert!(!partial.exists());
    // Other content ends it, with an exit code that schedulers do not retry.
    fs::create_dir(dir.path().join("other")).unwrap();
    fs::write(dir.path().join("other/thesis.tex"), "x").unwrap();
    for (args, why) in [
        (&["--out", "other"][..], "holds no run"),
        (
            &["--out", "empty", "--set", "phases.main.optimizer.lr=0.9"],
            "another graph",
        ),
        (&["--out", "empty", "--seed", "9"], "another graph"),
    ] {
        let out = at(&[args, &["--go-on"]].concat());
        assert_eq!(out.status.code(), Some(1), "{}", printed(&out));
        assert!(printed(&out).contains(why), "{}", printed(&out));
    }
    // The log is not padded with zeros.
    fs::write(dir.path().join("empty/metrics.jsonl"), "").unwrap();
    let out = at(&["--out", "empty", "--go-on"]);
    assert_eq!(
        (
            out.status.code(),
            printed(&out).contains("metrics.jsonl is not the log")
        ),
        (Some(1), true),
        "{}",
        printed(&out)
    );
    let out = at(&["--out", "none", "--resume"]);
    assert!(
        out.status.code() == Some(1) && printed(&out).contains("no run in none to resume"),
        "{}",
        printed(&out)
    );
    assert_eq!(at(&["--go-on"]).status.code(), Some(2), "without --out");
}

#[test]
fn data_that_is_staged_anew_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second, whole) = (
        dir.path().join("job1"),
        dir.path().join("job2"),
        dir.path().join("whole"),
    );
    for job in [&first, &whole] {
        fs::create_dir(job).unwrap();
        data(job);
    }
    let out = dir.path().join("run").display().to_string();
    let args = train(
        &graph("source_only.toml"),
        &["--out", &out, "--go-on", "--save-every", "1"],
    );
    let args: Vec<String> = args
        .into_iter()
        .filter(|a| *a != "--no-share" && *a != "--quiet")
        .collect();
    let in_job = |job: &Path| {
        let mut c = command(&args);
        c.current_dir(job).env("GLAD_CACHE", job.join("cache"));
        c
    };
    let mut child = in_job(&first).stderr(std::process::Stdio::null()).spawn().unwrap();
    let lines = || fs::read_to_string(Path::new(&out).join("metrics.jsonl")).map_or(0, |t| t.lines().count());
    while lines() < 3 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be killed"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Another job copies the data elsewhere, with new times.
    fs::create_dir(&second).unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-r"])
        .arg(first.join("data"))
        .arg(first.join("mine.toml"))
        .arg(&second)
        .status();
    assert!(copied.unwrap().success());
    fs::remove_dir_all(&first).unwrap();
    let went_on = in_job(&second).output().unwrap();
    succeeded(&went_on);
    assert!(
        printed(&went_on).contains("the data has been moved since the run began"),
        "{}",
        printed(&went_on)
    );
    assert!(
        !second.join("cache/phases").exists(),
        "what it trained is kept for others"
    );
    // It reports that once, and ends as if nothing had been moved.
    let again = in_job(&second).output().unwrap();
    succeeded(&again);
    assert!(!printed(&again).contains("moved"), "{}", printed(&again));
    succeeded(&train_in(&whole, &["--out", "run"]));
    let differ = differing(Path::new(&out), &whole.join("run"));
    assert_eq!(differ, ["graph.toml"], "which says where the lists are");
}

#[test]
fn a_runs_folder_is_the_model() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    let title = "title=\"\\u001b]0;hi\\u0007 a run\"";
    succeeded(&train_in(dir.path(), &["--out", "run", "--set", title]));
    for file in [
        "plan.txt",
        "graph.toml",
        "summary.json",
        "report.html",
        "run.json",
        "metrics.jsonl",
    ] {
        let bytes = fs::read(dir.path().join("run").join(file)).unwrap();
        assert!(!bytes.contains(&0x1b), "{file} steers a terminal");
    }
    let before = succeeded(&glad_in(dir.path(), &["eval", "--run", "run"]));
    // Without the record, the state still has to be of the graph.
    let (record, graph) = (dir.path().join("run/run.json"), dir.path().join("run/graph.toml"));
    let (whole, text) = (fs::read(&record).unwrap(), fs::read_to_string(&graph).unwrap());
    fs::remove_file(&record).unwrap();
    succeeded(&glad_in(dir.path(), &["eval", "--run", "run"]));
    let changed = text.replace("epochs = 24", "epochs = 23");
    assert_ne!(text, changed);
    fs::write(&graph, changed).unwrap();
    let out = glad_in(dir.path(), &["eval", "--run", "run"]);
    assert!(
        out.status.code() == Some(1) && printed(&out).contains("state of a run of another graph"),
        "{}",
        printed(&out)
    );
    fs::write(&graph, text).unwrap();
    fs::write(&record, whole).unwrap();
    // Another machine: the folder and some videos, nothing else.
    let other = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(dir.path().join("run"))
        .arg(other.path().join("model"))
        .status();
    assert!(copied.unwrap().success());
    let test = other.path().join("new");
    fs::rename(dir.path().join("data/target_test"), &test).unwrap();
    fs::rename(test.join("clip 0.mp4"), test.join("#5 a clip.mp4")).unwrap();
    dir.close().unwrap();
    let at = |args: &[&str]| glad_in(other.path(), args);

    let text = succeeded(&at(&[
        "predict",
        "--run",
        "model",
        "new/#5 a clip.mp4",
        "new/clip 3.mp4",
    ]));
    assert!(
        text.contains("#5 a clip.mp4") && text.contains("right") && text.contains("down"),
        "{text}"
    );

    assert!(
        text.contains("new/#5 a clip.mp4") && !text.contains(&*other.path().to_string_lossy()),
        "{text}"
    );

    // Values of a port.
    let port = |port: &str| {
        at(&[
            "predict",
            "--run",
            "model",
            "new/clip 3.mp4",
            "--port",
            port,
            "--out",
            "p.safetensors",
        ])
    };
    for fine in ["consensus.y", "consensus.y@source"] {
        succeeded(&port(fine));
        let bytes = fs::read(other.path().join("p.safetensors")).unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains("new/clip 3.mp4"), "{fine}");
        fs::remove_file(other.path().join("p.safetensors")).unwrap();
    }
    for (wrong, why) in [
        ("decode.clips", "`decode.clips` (Clip["),
        (
            "videos.label",
            "is no device value, and --port writes those: name a port of the batch",
        ),
        (
            "consensus.y@tagret",
            "view `infer` has no stream `tagret` (of --port): did you mean `target`?",
        ),
        ("consensus.z", "--port consensus.z: "),
        ("nothing.y", "--port nothing.y: "),
    ] {
        let out = port(wrong);
        assert_eq!(out.status.code(), Some(2), "{wrong}: {}", printed(&out));
        assert!(
            printed(&out).contains(why) && !printed(&out).contains("--set:"),
            "{}",
            printed(&out)
        );
        assert!(!other.path().join("p.safetensors").exists(), "{wrong}");
    }

    // A video that fails is reported once, by the path that was given.
    fs::write(other.path().join("broken.mp4"), "x").unwrap();
    let out = at(&["predict", "--run", "model", "broken.mp4"]);
    assert_eq!(
        (out.status.code(), printed(&out).as_str()),
        (
            Some(3),
            "error: broken.mp4: not a readable video: it does not begin like any known kind of video\n"
        )
    );
    let out = at(&["predict", "--run", "model", "none.mp4"]);
    assert_eq!(
        (out.status.code(), printed(&out).as_str()),
        (
            Some(1),
            "error: cannot open none.mp4: No such file or directory (os error 2)\n"
        )
    );

    fs::write(
        other.path().join("mine.txt"),
        "new/clip 1.mp4 right\nnew/clip 2.mp4 right\nnew/clip 3.mp4 down\n",
    )
    .unwrap();
    let list = "nodes.videos.target.list=mine.txt";
    let out = at(&["eval", "--run", "model", "--set", list]);
    let text = succeeded(&out);
    assert!(
        text.contains("target") && text.contains(" 3\n") && !text.contains("source  "),
        "{text}\n{before}"
    );
    assert!(
        printed(&out).contains("left out") && printed(&out).contains("source_test.txt"),
        "{}",
        printed(&out)
    );
    let out = at(&["eval", "--run", "model", "--set", "nodes.videos.target.list=typo.txt"]);
    assert!(
        out.status.code() == Some(1) && printed(&out).contains("typo.txt"),
        "{}",
        printed(&out)
    );
    let out = at(&["eval", "--run", "model"]);
    assert!(
        out.status.code() == Some(1) && printed(&out).contains("no list of view `infer` is there"),
        "{}",
        printed(&out)
    );

    // Other classes than the run's.
    fs::write(other.path().join("names.txt"), "down\nright\n").unwrap();
    for (set, why) in [
        (
            "nodes.videos.classes=names.txt",
            "trained with the classes right, down, in this order, and `source` has down, right here",
        ),
        (
            "nodes.videos.classes=[\"right\", \"down\", \"up\"]",
            "`source` has right, down, up here",
        ),
        (
            "dims.K=3",
            "`classify.weight` is [2, 64] in the run and [3, 64] here (dims.K is 2 in the run and 3 here)",
        ),
    ] {
        let out = at(&["eval", "--run", "model", "--set", list, "--set", set]);
        assert_eq!(out.status.code(), Some(2), "{}", printed(&out));
        assert!(printed(&out).contains(why), "{}", printed(&out));
    }
    fs::write(other.path().join("mine.txt"), "new/clip 1.mp4 2\n").unwrap();
    let out = at(&["eval", "--run", "model", "--set", list]);
    assert!(
        out.status.code() == Some(1) && printed(&out).contains("mine.txt"),
        "{}",
        printed(&out)
    );

    // Numbers of classes that the run does not have, and a list that does not fit what is scored.
    let list_of = |text: &str| {
        fs::write(other.path().join("mine.txt"), text).unwrap();
        at(&["eval", "--run", "model", "--set", list])
    };
    let out = list_of("new/clip 1.mp4 1\nnew/clip 2.mp4 2\n");
    assert_eq!(out.status.code(), Some(1), "{}", printed(&out));
    assert!(
        printed(&out)
            .replace("\n        ", " ")
            .contains("the labels begin with 1"),
        "{}",
        printed(&out)
    );
    let out = list_of("broken.mp4 right\n");
    assert!(
        out.status.code() == Some(3) && printed(&out).contains("no video of stream target could be used"),
        "{}",
        printed(&out)
    );
    let mean = "nodes.normalize.mean=[0.485,0.456,0.406]";
    fs::write(other.path().join("mine.txt"), "new/clip 1.mp4 right\n").unwrap();
    let out = at(&["eval", "--run", "model", "--set", list, "--set", mean]);
    succeeded(&out);
    assert!(
        printed(&out).contains("looks meant for values from 0 to 1"),
        "{}",
        printed(&out)
    );
    let out = list_of("new/clip 1.mp4 -\nnew/clip 2.mp4 -\n");
    assert!(
        printed(&out).contains("no video of stream target has a label, so it cannot be scored"),
        "{}",
        printed(&out)
    );
    let out = at(&["eval", "--run", "model", "--set", list, "--view", "infr"]);
    assert_eq!(out.status.code(), Some(2), "{}", printed(&out));

    // The state of another run.
    let state = other.path().join("model/checkpoints/last.safetensors");
    let record = other.path().join("model/run.json");
    let text = fs::read_to_string(&record).unwrap();
    let graph = text.split("\"graph\": \"").nth(1).unwrap()[..64].to_owned();
    fs::write(&record, text.replace(&graph, &"0".repeat(64))).unwrap();
    let out = at(&["predict", "--run", "model", "new/clip 1.mp4"]);
    assert_eq!(out.status.code(), Some(1), "{}", printed(&out));
    assert!(
        printed(&out).contains("model/graph.toml and run.json beside it are of different runs"),
        "{}",
        printed(&out)
    );
    fs::write(&record, text).unwrap();
    fs::write(&state, "x").unwrap();
    let out = at(&["predict", "--run", "model", "new/clip 1.mp4"]);
    assert!(
        printed(&out).contains("last.safetensors") && printed(&out).contains("put back the file"),
        "{}",
        printed(&out)
    );
}
