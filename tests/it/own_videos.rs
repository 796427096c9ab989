//! The README's graph on a user's mp4 files: lists, class names, and nothing of the small data set.

use crate::common::*;
use glad_video::write::WriteOptions;

/// The commands of the README's section, each split into words.
fn readme_steps() -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, section) = readme.split_once("## Your own videos").unwrap();
    let block = section.split("```").nth(1).unwrap();
    let words = |l: &str| l.split_whitespace().skip(1).map(String::from).collect();
    block
        .lines()
        .filter(|l| l.starts_with("glad-run "))
        .map(words)
        .collect()
}

/// The README's steps, word for word, in a folder with only lists and videos; just the training is shortened.
#[test]
fn trains_on_lists_of_mp4_files() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    own::lists(dir.path(), 8, |folder, class, i| {
        let name = format!("clip {i}.mp4");
        own::square(&folder.join(&name), class, i, WriteOptions::default());
        name
    });
    own::square(&dir.path().join("some.mp4"), 1, 3, WriteOptions::default());
    let short = [
        "--set",
        "phases.warmup.epochs=1",
        "--set",
        "phases.main.epochs=2",
        "--set",
        "phases.warmup.batch=4",
    ];
    let steps = readme_steps();
    let [new, lint, train, predict] = steps.as_slice() else {
        panic!("{steps:?}")
    };
    let mut args = train.clone();
    args.extend(short.map(String::from));
    let here = |args: &[String]| command(args).current_dir(dir.path()).output().unwrap();
    let done = |args: &[String]| {
        let out = here(args);
        let printed = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(
            out.status.success(),
            "{args:?}: {printed}{}",
            String::from_utf8_lossy(&out.stderr)
        );
        printed
    };
    assert!(done(new).contains("glad-run full --setting mine.toml"));
    assert_eq!(here(new).status.code(), Some(2), "nothing is overwritten");
    done(lint);
    let printed = done(&args);
    assert!(
        printed.contains("target") && printed.lines().filter(|l| l.trim_end().ends_with(" 8")).count() == 2,
        "{printed}"
    );
    let read = |file: &str| std::fs::read_to_string(dir.path().join("runs/mine").join(file)).unwrap();
    let predictions = read("predictions.csv");
    assert!(
        predictions.contains("clip 3.mp4") && predictions.contains("down"),
        "{predictions}"
    );
    assert!(
        read("summary.json").contains("\"recall_right\""),
        "recalls have the classes' names"
    );
    let printed = done(predict);
    assert!(printed.contains("some.mp4") && printed.contains("down"), "{printed}");
    // The effective graph is complete: it is valid from any other folder, with all its files.
    let elsewhere = tempfile::tempdir().unwrap();
    let graph = dir.path().join("runs/mine/graph.toml").display().to_string();
    let out = command(&["check", "--files", &graph])
        .current_dir(elsewhere.path())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    // What is left out of a folder of images is reported, here and in training.
    let images = dir.path().join("images");
    std::fs::create_dir(&images).unwrap();
    let image = glad_video::png(&glad_video::RgbFrame::new(64, 64, vec![90; 64 * 64 * 3]).unwrap()).unwrap();
    for i in 0..12 {
        std::fs::write(images.join(format!("img_{i:05}.jpg")), &image).unwrap();
    }
    std::fs::write(images.join("flow.png"), &image).unwrap();
    let left_out = "images: it has 1 image that `img_%05d.jpg` does not name, such as flow.png";
    let out = here(&["predict", "--run", "runs/mine", "images"].map(String::from));
    let printed = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.success() && printed.matches(left_out).count() == 1,
        "{printed}"
    );
    let list = data.join("source_train.txt");
    let lines = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, format!("{lines}../images right\n")).unwrap();

    // a broken file does not stop training, and is reported
    std::fs::write(data.join("target_train/clip 5.mp4"), b"not a video").unwrap();
    args[4] = "bad".into();
    args.extend(["--set", "bad_videos=0.2", "--no-share"].map(String::from));
    let out = here(&args);
    let printed = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && printed.contains(left_out), "{printed}");
    let summary = std::fs::read_to_string(dir.path().join("bad/summary.json")).unwrap();
    assert!(summary.contains("clip 5.mp4"), "{summary}");

    // two of eight are more than a fifth: the run ends and names one
    std::fs::write(data.join("target_train/clip 6.mp4"), b"").unwrap();
    std::fs::write(data.join("target_train/clip 7.mp4"), b"").unwrap();
    args[4] = "worse".into();
    let failed = here(&args);
    assert_eq!(failed.status.code(), Some(3));
    let printed = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(
        printed.contains("bad_videos") && printed.contains("target_train.txt"),
        "{printed}"
    );
}

/// As in a run: a bad video is reported, and is an error only where there are too many.
#[test]
fn bad_videos_are_errors_of_check_files_where_a_run_ends_by_them() {
    let dir = tempfile::tempdir().unwrap();
    own::lists(dir.path(), 4, |folder, class, i| {
        let name = format!("{i}.mp4");
        own::square(
            &folder.join(&name),
            class,
            i,
            glad_video::write::WriteOptions::default(),
        );
        name
    });
    let args = [
        "check",
        "--files",
        &graph("full.toml"),
        "--setting",
        &own::setting(dir.path()),
    ]
    .map(String::from);
    let check = || {
        let out = command(&args).output().unwrap();
        let printed = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
        (out.status.code(), printed)
    };
    let breaks = |i: usize| std::fs::write(dir.path().join(format!("data/source_train/{i}.mp4")), "").unwrap();
    let says = "1 of 4 videos is bad; a run ends above 1, by `bad_videos`";
    let (code, printed) = check();
    assert!(code == Some(0) && !printed.contains("bad_videos"), "{printed}");
    breaks(1);
    let (code, printed) = check();
    assert!(
        code == Some(0) && printed.matches("the file is empty").count() == 1,
        "{printed}"
    );
    assert_eq!(printed.matches(says).count(), 1, "{printed}");
    breaks(2);
    let (code, printed) = check();
    assert!(
        code == Some(1) && printed.matches("the file is empty").count() == 2,
        "{printed}"
    );
}
