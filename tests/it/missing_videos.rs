//! Videos that are not there, or cannot be used: found before training where that is possible, and mended without training
//! again where it is not.

use crate::common::*;
use glad_video::write::WriteOptions;
use std::fs;
use std::path::Path;
use std::process::Output;

/// A user's data and setting in `dir`, with 8 videos per list.
fn data(dir: &Path) {
    own::lists(dir, 8, |folder, class, i| {
        let name = format!("clip {i}.mp4");
        own::square(&folder.join(&name), class, i, WriteOptions::default());
        name
    });
    own::setting(dir);
}

fn glad_in(dir: &Path, args: &[&str]) -> Output {
    let mut c = command(args);
    c.current_dir(dir).env("GLAD_CACHE", dir.join("cache"));
    c.output().expect("the program starts")
}

/// A short run in `dir`.
fn train(dir: &Path, more: &[&str]) -> Output {
    let graph = graph("source_only.toml");
    let mut args = vec![graph.as_str(), "--setting", "mine.toml"];
    for set in [
        "phases.main.epochs=2",
        "phases.main.batch=4",
        "dims.T=2",
        "nodes.augment.size=32",
    ] {
        args.extend(["--set", set]);
    }
    args.extend(more);
    glad_in(dir, &args)
}

fn printed(out: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )
}

/// Changes a list, and returns what it was.
fn edit(dir: &Path, list: &str, change: impl Fn(&str) -> String) -> String {
    let path = dir.join("data").join(list);
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, change(&before)).unwrap();
    before
}

#[test]
fn missing_videos_end_a_run_before_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    for (list, change, why) in [
        // A list that only the last view reads.
        (
            "target_test.txt",
            (|text: &str| text.replace("clip 2", "clop 2").replace("clip 5", "clop 5")) as fn(&str) -> String,
            "2 of the 8 videos of the list data/target_test.txt (infer videos@target, split test) are not there, more than the \
             1 that bad_videos = 0.01 allows; the first is data/target_test.txt:3: ",
        ),
        (
            "source_train.txt",
            |text| text.replace('/', "\\"),
            "8 of the 8 videos of the list data/source_train.txt (main videos@source, split train) are not there",
        ),
    ] {
        let before = edit(dir.path(), list, change);
        let out = train(dir.path(), &["--out", "run"]);
        let text = printed(&out);
        assert_eq!(out.status.code(), Some(1), "{text}");
        assert!(
            text.contains("videos are missing, and nothing was run\n") && text.contains(why),
            "{text}"
        );
        assert!(!dir.path().join("run").exists(), "a folder was made");
        edit(dir.path(), list, |_| before.clone());
    }
    // One of eight is allowed.
    edit(dir.path(), "target_test.txt", |text| text.replace("clip 2", "clop 2"));
    let out = train(dir.path(), &["--out", "run", "--threads", "1024"]);
    assert!(out.status.success(), "{}", printed(&out));
    // So many threads only wait for one another.
    assert!(
        printed(&out).contains("threads compute instead of 1024"),
        "{}",
        printed(&out)
    );
}

/// A view that fails after training: the run is trained, and goes on once its list is corrected.
#[test]
fn a_list_of_a_view_can_be_corrected() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    for i in [2, 5] {
        fs::write(dir.path().join(format!("data/target_test/clip {i}.mp4")), "no video").unwrap();
    }
    let out = train(dir.path(), &["--out", "run"]);
    assert_eq!(out.status.code(), Some(3), "{}", printed(&out));
    let log = || fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    let trained = log();
    assert!(trained.contains("\"main\""), "{trained}");
    // It has weights, and they are not those of step 0.
    let out = glad_in(dir.path(), &["eval", "--run", "run"]);
    assert!(
        out.status.success()
            && printed(&out).contains("the run is not finished, but all its phases are trained: these are its weights"),
        "{}",
        printed(&out)
    );
    // What is trained from stays as it was.
    let before = edit(dir.path(), "source_train.txt", |text| text.replacen("right", "down", 1));
    let out = train(dir.path(), &["--out", "run", "--resume"]);
    assert!(
        out.status.code() == Some(1) && printed(&out).contains("a run of other data"),
        "{}",
        printed(&out)
    );
    edit(dir.path(), "source_train.txt", |_| before.clone());
    edit(dir.path(), "target_test.txt", |text| {
        let good = |line: &&str| !line.contains("clip 2") && !line.contains("clip 5");
        text.lines().filter(good).flat_map(|line| [line, "\n"]).collect()
    });
    let out = train(dir.path(), &["--out", "run", "--resume"]);
    let text = printed(&out);
    assert!(out.status.success(), "{text}");
    assert!(
        text.contains("what only views read is not what the run began with") && text.contains("8 videos before, 6 now"),
        "{text}"
    );
    assert_eq!(log(), trained, "it was trained again");
    let scored = fs::read_to_string(dir.path().join("run/predictions.csv")).unwrap();
    assert_eq!(
        scored.lines().filter(|l| l.contains("target_test")).count(),
        6,
        "{scored}"
    );
    // Then it is finished, and its results are those of this list.
    let again = train(dir.path(), &["--out", "run", "--resume"]);
    assert!(
        again.status.success() && !printed(&again).contains("only views read"),
        "{}",
        printed(&again)
    );
    edit(dir.path(), "target_test.txt", |text| {
        format!("{text}target_test/clip 2.mp4 down\n")
    });
    let out = train(dir.path(), &["--out", "run", "--resume"]);
    assert!(
        out.status.code() == Some(1) && printed(&out).contains("eval --run run"),
        "{}",
        printed(&out)
    );
}

/// What `check` prints of the setting, in which `from` is replaced.
fn checked(dir: &Path, from: &str, to: &str) -> String {
    let setting = fs::read_to_string(dir.join("mine.toml")).unwrap();
    assert!(setting.contains(from), "{setting}");
    fs::write(dir.join("other.toml"), setting.replace(from, to)).unwrap();
    printed(&glad_in(
        dir,
        &["check", &graph("source_only.toml"), "--setting", "other.toml"],
    ))
}

#[test]
fn faults_of_the_classes_are_shown_where_they_are_named() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    for (names, why) in [
        ("right\ndown\nright\n", "data/classes.txt: classes come twice: right"),
        ("", "data/classes.txt: "),
        ("[\"right\", \"down\"]", "data/classes.txt: "),
    ] {
        fs::write(dir.path().join("data/classes.txt"), names).unwrap();
        let text = checked(dir.path(), "", "");
        assert!(
            text.contains(why) && text.contains("the classes of stream source"),
            "{text}"
        );
        assert!(
            text.contains("classes     = \"data/classes.txt\"") && !text.contains("the list of"),
            "{text}"
        );
    }
    fs::remove_file(dir.path().join("data/classes.txt")).unwrap();
    let text = checked(dir.path(), "", "");
    assert!(
        text.contains("data/classes.txt is not there") && text.contains("the classes of stream source"),
        "{text}"
    );
}

#[test]
fn paths_of_a_setting_that_are_nearly_right() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    for (from, to, why) in [
        (
            "data/source_train.txt",
            "data/source_trian.txt",
            "did you mean `source_train.txt`?",
        ),
        (
            "\"data/source_train.txt\"",
            "'data\\source_train.txt'",
            "paths are written with `/`: data/source_train.txt is there",
        ),
        ("data/classes.txt", "data/class.txt", "did you mean `classes.txt`?"),
        ("data/source_train.txt", "~anna/train.txt", "write the path out"),
    ] {
        let text = checked(dir.path(), from, to).replace("\n  ", " ").replace("  ", "");
        assert!(text.contains("is not there") && text.contains(why), "{text}");
    }
    let setting = |name: &str| {
        printed(&glad_in(
            dir.path(),
            &["check", &graph("source_only.toml"), "--setting", name],
        ))
    };
    fs::create_dir(dir.path().join("settings")).unwrap();
    fs::copy(dir.path().join("mine.toml"), dir.path().join("settings/mine.toml")).unwrap();
    let text = setting("settings\\mine.toml");
    assert!(
        text.contains("paths are written with `/`: settings/mine.toml is there"),
        "{text}"
    );
}

#[test]
fn what_is_no_weights_file_and_no_setting() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    let check = |more: &[&str]| {
        let graph = graph("source_only.toml");
        let text = printed(&glad_in(dir.path(), &[&["check", &graph], more].concat()));
        text.replace("\n        ", " ")
    };
    for (init, why) in [
        ("Random", "did you mean `random`?"),
        ("imagenet", "`init` is `random`, or the path of a file of weights"),
        (
            "https://example.org/resnet50.pth",
            "files are not fetched from the network",
        ),
    ] {
        let set = format!("nodes.backbone.init={init}");
        let text = check(&["--setting", "mine.toml", "--set", &set]);
        assert!(text.contains("is not there") && text.contains(why), "{text}");
    }
    let setting = fs::read_to_string(dir.path().join("mine.toml")).unwrap();
    let words: Vec<u8> = setting.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes) in [
        ("plain.toml", words.clone()),
        ("marked.toml", [vec![0xff, 0xfe], words].concat()),
    ] {
        fs::write(dir.path().join(name), bytes).unwrap();
        let text = check(&["--setting", name]);
        assert!(
            text.contains("not UTF-8 text") && text.contains("save the file as UTF-8"),
            "{text}"
        );
        assert!(!text.contains("\\u{0}"), "{text}");
    }
}
