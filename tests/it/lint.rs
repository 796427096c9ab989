//! `glad-run lint`: its output for lists with every kind of mistake, and for valid ones.

use crate::common::*;
use glad_video::write::VideoWriter;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A video with this many frames.
fn video(path: &Path, frames: usize) {
    let mut v = VideoWriter::create(path, 64, 48, 24.0).unwrap();
    for i in 0..frames {
        v.push(&[(10 * i) as u8; 64 * 48 * 3]).unwrap();
    }
    v.finish().unwrap();
}

/// A folder with the setting that the README has users copy, and these lists in `data/`.
fn folder(lists: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    own::setting(dir.path());
    std::fs::write(data.join("classes.txt"), "walk\nrun\n").unwrap();
    for (name, text) in lists {
        std::fs::write(data.join(name), text).unwrap();
    }
    (dir, data)
}

/// Exit code, terminal, report.
fn lint(dir: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let mut args = vec![
        "lint".to_string(),
        graph("full.toml"),
        "--setting".into(),
        "mine.toml".into(),
    ];
    args.extend(more.iter().map(|s| s.to_string()));
    let Output { status, stdout, stderr } = command(&args).current_dir(dir).output().unwrap();
    let printed = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    let report = std::fs::read_to_string(dir.join("runs/lint-full.md")).unwrap_or_default();
    (status.code(), printed, report)
}

#[test]
fn everything_that_is_wrong_is_named_with_its_line_and_what_to_do() {
    let (dir, data) = folder(&[
        (
            "source_train.txt",
            "# path frames label\n\
             a.mp4 20 walk\n\
             b.mp4 30 run\n\
             missing.mp4 9 walk\n\
             broken.mp4 9 run\n\
             a.mp4 20 run\n\
             b.mp4 20\n\
             b.mp4 12 fly\n\
             three.mp4 3 run\n\
             a.mp4 20 walk\n",
        ),
        ("source_test.txt", "a.mp4 walk\nb.mp4 walk\n"),
        (
            "target_train.txt",
            "a.mp4 4 9 -\na.mp4 30 5 -\nb.mp4 15 9 -\nb.mp4 9 5 -\n",
        ),
        ("target_test.txt", "# nothing yet\n"),
    ]);
    video(&data.join("a.mp4"), 20);
    video(&data.join("b.mp4"), 20);
    video(&data.join("three.mp4"), 3);
    std::fs::write(data.join("broken.mp4"), "not a video").unwrap();
    let (code, printed, report) = lint(dir.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    for (what, line) in [
        (
            "2 lines of 9 malformed",
            "data/source_train.txt:7: has 2 of the 3 columns",
        ),
        (
            "2 lines of 9 malformed",
            "data/source_train.txt:8: label \"fly\" is neither a class nor a number",
        ),
        (
            "1 video of 7 missing",
            "data/source_train.txt:4: data/missing.mp4 is not there",
        ),
        ("1 video of 7 unreadable", "data/source_train.txt:5: data/broken.mp4"),
        (
            "1 file of 7 of fewer frames than stated",
            "data/source_train.txt:3: data/b.mp4 has 20 frames where the list says 30",
        ),
        (
            "1 video with two labels",
            "data/source_train.txt:2: data/a.mp4: walk in line 2, run in line 6, walk in line 10",
        ),
        (
            "1 video of 7 of fewer than 8 frames",
            "data/source_train.txt:9: data/three.mp4: 3 frames",
        ),
        (
            "1 video of 4 beginning after the end",
            "data/target_train.txt:2: data/a.mp4 has 20 frames, and the segment begins at 30",
        ),
        (
            "1 video of 4 of fewer frames than stated",
            "data/target_train.txt:3: data/b.mp4 (frames 15 to 23): has 5 frames where the list says 9",
        ),
        ("1 class of 2 without samples", "run"),
        ("the list names no videos", "data/target_test.txt (target: test, val)"),
        ("no video has a label", "data/target_train.txt (target: train)"),
        (
            "in both test, val and train",
            "data/source_test.txt:1: data/a.mp4 is data/source_train.txt:",
        ),
    ] {
        for text in [&printed, &report] {
            assert!(text.contains(what), "{what}:\n{text}");
            assert!(text.contains(line), "{line}:\n{text}");
        }
    }
    // first what stops a run, then what hurts, then notes; each with what to do
    let place = |what: &str| printed.find(what).unwrap_or_else(|| panic!("{what}:\n{printed}"));
    assert!(place("STOPS A RUN") < place("1 video of 7 missing"));
    assert!(place("1 video of 7 missing") < place("HURTS SILENTLY"));
    assert!(place("HURTS SILENTLY") < place("1 video with two labels"));
    assert!(place("1 video with two labels") < place("NOTES") && place("NOTES") < place("no video has a label"));
    assert!(
        printed.contains("(with the other bad ones 2 of 7, and a run ends above 1, by `bad_videos`)"),
        "{printed}"
    );
    assert!(printed.contains("→ keep the right line of each"), "{printed}");
    // classes of each list
    assert!(
        report.contains("| class | source train | source test, val |"),
        "{report}"
    );
    assert!(report.contains("| run | 4 | **0** |"), "{report}");
    assert!(
        printed.trim_end().ends_with("runs/lint-full.md has every line"),
        "{printed}"
    );
}

#[test]
fn sound_lists_pass_and_a_missing_list_is_named() {
    let (dir, data) = folder(&[
        ("source_train.txt", "a.mp4 walk\nb.mp4 run\n"),
        ("source_test.txt", "c.mp4 walk\nd.mp4 run\n"),
        ("target_train.txt", "e.mp4 -\n"),
        ("target_test.txt", "f.mp4 run\ng.mp4 walk\n"),
    ]);
    for name in "abcdefg".chars() {
        video(&data.join(format!("{name}.mp4")), 20);
    }
    let (code, printed, report) = lint(dir.path(), &["--decode"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("nothing is wrong, 1 note"), "{printed}");
    assert!(report.contains("| walk | 1 | 1 | 1 |"), "{report}");

    // what only decoding shows
    let bytes = std::fs::read(data.join("c.mp4")).unwrap();
    let middle = bytes.windows(4).position(|w| w == b"mdat").unwrap() + 60;
    let mut damaged = bytes.clone();
    damaged[middle..middle + 40].fill(0);
    std::fs::write(data.join("c.mp4"), damaged).unwrap();
    assert_eq!(lint(dir.path(), &[]).0, Some(0));
    let (code, printed, _) = lint(dir.path(), &["--decode"]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("data/source_test.txt:1: data/c.mp4"), "{printed}");

    std::fs::remove_file(data.join("target_train.txt")).unwrap();
    let (code, printed, _) = lint(dir.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains("the list cannot be read") && printed.contains("target_train.txt: cannot read"),
        "{printed}"
    );
}

/// Lists that may be read in two ways are not read in either.
#[test]
fn a_list_that_may_be_of_two_kinds_is_reported() {
    let (dir, data) = folder(&[
        ("source_train.txt", "a.mp4 2 9 walk\na.mp4 0 9 run\n"),
        ("source_test.txt", "a.mp4 walk\na.mp4 run\n"),
        ("target_train.txt", "a.mp4 -\n"),
        ("target_test.txt", "a.mp4 run\n"),
    ]);
    video(&data.join("a.mp4"), 20);
    let (code, printed, _) = lint(dir.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains("data/source_train.txt:1: can be read in two ways"),
        "{printed}"
    );
    let (_, printed, _) = lint(
        dir.path(),
        &["--set", "nodes.videos.source.columns=path start stop label"],
    );
    assert!(
        !printed.contains("two ways") && printed.contains("path start stop label"),
        "{printed}"
    );
}

/// What is found in a file that several lists name is reported at the line of each.
#[test]
fn damage_is_reported_at_the_line_of_the_list_that_it_is_in() {
    let (dir, data) = folder(&[
        ("source_train.txt", "a.mp4 walk\nb.mp4 run\n"),
        ("source_test.txt", "b.mp4 run\na.mp4 walk\n"),
        ("target_train.txt", "a.mp4 -\na.mp4 -\nlink.mp4 -\n"),
        ("target_test.txt", "b.mp4 run\n"),
    ]);
    video(&data.join("a.mp4"), 20);
    video(&data.join("b.mp4"), 20);
    let mut bytes = std::fs::read(data.join("a.mp4")).unwrap();
    let at = bytes.windows(4).position(|w| w == b"mdat").unwrap();
    bytes[at + 24..at + 64].fill(0);
    std::fs::write(data.join("a.mp4"), bytes).unwrap();
    std::os::unix::fs::symlink("a.mp4", data.join("link.mp4")).unwrap();
    let (code, printed, report) = lint(dir.path(), &["--decode"]);
    assert_eq!(code, Some(1), "{printed}");
    for line in [
        "source_train.txt:1",
        "source_test.txt:2",
        "target_train.txt:2",
        "target_train.txt:3",
    ] {
        let name = if line == "target_train.txt:3" { "link" } else { "a" };
        let item = format!("data/{line}: data/{name}.mp4: frame 0 cannot be decoded");
        assert!(report.contains(&item), "{item}\n{report}");
    }
    assert!(
        !report.contains("data/source_test.txt:2: data/source_train"),
        "{report}"
    );
    // By whatever path, it is the same file.
    assert!(report.contains("data/a.mp4: again in line 2, 3"), "{report}");
}

/// A list whose columns are open is reported as a whole, not as one line of one.
#[test]
fn folders_that_end_in_numbers_leave_a_list_without_labels_open() {
    let (dir, data) = folder(&[
        ("source_train.txt", "a.mp4 walk\na.mp4 run\n"),
        ("source_test.txt", "a.mp4 walk\na.mp4 run\n"),
        ("target_train.txt", "take 12\ntake 13\n"),
        ("target_test.txt", "a.mp4 run\n"),
    ]);
    video(&data.join("a.mp4"), 20);
    for name in ["take 12", "take 13"] {
        std::fs::create_dir(data.join(name)).unwrap();
    }
    let (code, printed, _) = lint(dir.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains(
            "    which columns the list has is open\n      data/target_train.txt:1: can be read in two ways, and so can all lines: \
             `take 12`, which is there (then say `columns = \"path\"`), or `take` and its label (then say `columns = \"path \
             label\"`)\n"
        ),
        "{printed}"
    );
    assert!(!printed.contains("malformed\n"), "{printed}");
    let (_, printed, _) = lint(dir.path(), &["--set", "nodes.videos.target.columns=path"]);
    assert!(!printed.contains("is open"), "{printed}");
}

/// The labels that classes have are reported from names of a file with a heading.
#[test]
fn labels_that_begin_with_one_are_reported() {
    let hint = "the labels begin with 1, and classes are numbered from 0: make each label 1 less";
    let question = "do the labels begin with 1? Classes are numbered from 0";
    let lists = |labels: [&str; 2]| {
        let [a, b] = labels;
        let text = format!("a.mp4 {a}\nb.mp4 {b}\n");
        let (dir, data) = folder(&[
            ("source_train.txt", text.as_str()),
            ("source_test.txt", text.as_str()),
            ("target_train.txt", "a.mp4 -\n"),
            ("target_test.txt", text.as_str()),
        ]);
        video(&data.join("a.mp4"), 20);
        video(&data.join("b.mp4"), 20);
        (dir, data)
    };
    let (dir, _data) = lists(["1", "2"]);
    assert!(lint(dir.path(), &[]).1.contains(hint));
    assert!(
        lint(
            dir.path(),
            &[
                "--set",
                "dims.K=3",
                "--set",
                "nodes.videos.classes=[\"a\", \"b\", \"c\"]"
            ]
        )
        .1
        .contains(question)
    );
    let (dir, data) = lists(["walk", "run"]);
    std::fs::write(data.join("classes.txt"), "class\nwalk\nrun\n").unwrap();
    for k in ["2", "3"] {
        let (code, printed, _) = lint(dir.path(), &["--set", &format!("dims.K={k}")]);
        assert_eq!(code, Some(1), "{printed}");
        assert!(
            !printed.contains("begin with 1") && printed.contains("heading of"),
            "{printed}"
        );
    }
}

/// A mistake in a list hides no warning about the graph, neither in `check` nor in a run.
#[test]
fn mistakes_in_lists_hide_no_warnings() {
    let (dir, data) = folder(&[
        ("source_train.txt", "a.mp4 fly\n"),
        ("source_test.txt", "a.mp4 walk\n"),
        ("target_train.txt", "b.mp4 -\n"),
        ("target_test.txt", "c.mp4 walk\n"),
    ]);
    for name in ["a.mp4", "b.mp4", "c.mp4"] {
        video(&data.join(name), 20);
    }
    let graph = graph("source_only.toml");
    let of = |before: &[&str], more: &[&str]| {
        let own = [
            "--setting",
            "mine.toml",
            "--set",
            "nodes.normalize.mean=[0.485, 0.456, 0.406]",
        ];
        let args = [before, &[graph.as_str()], &own, more].concat();
        let Output { status, stdout, stderr } = command(&args).current_dir(dir.path()).output().unwrap();
        let printed = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{printed}");
        // The label below the value is the whole of it.
        for part in [
            "⚠ parameter `mean` of `normalize`: [0.485, 0.456, 0.406] looks meant for values from 0 to 1",
            "╰── [0.485, 0.456, 0.406] looks meant",
        ] {
            assert!(printed.contains(part), "{part}\n{printed}");
        }
        // Messages are broken into lines.
        printed.replace("\n  │ ", " ").replace("\n        ", " ")
    };
    let error = "label \"fly\" is neither a class nor a number";
    assert!(of(&["check"], &[]).contains(error));
    assert!(of(&["check"], &["--set", "nodes.backbone.init=random"]).contains(error));
    let init = ["--set", "nodes.backbone.init=random"];
    assert!(of(&[], &[&init[..], &["--out", "x"]].concat()).contains(error));
}

/// A file that a build with another feature reads is not reported as broken.
#[test]
#[cfg(not(feature = "ffmpeg"))]
fn a_file_that_this_build_does_not_read_is_reported_with_the_feature_that_does() {
    let (dir, data) = folder(&[
        ("source_train.txt", "a.mp4 walk\nb.avi run\nc.mkv run\n"),
        ("source_test.txt", "a.mp4 walk\na.mp4 run\n"),
        ("target_train.txt", "a.mp4 -\n"),
        ("target_test.txt", "a.mp4 run\n"),
    ]);
    video(&data.join("a.mp4"), 20);
    std::fs::write(data.join("b.avi"), b"RIFF\x10\0\0\0AVI LIST").unwrap();
    std::fs::write(data.join("c.mkv"), b"\x1a\x45\xdf\xa3\x01\0\0\0").unwrap();
    let (code, printed, report) = lint(dir.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    let what = "2 videos of 3 of a kind that the backend `auto` does not read (a run ends above 1,";
    let finding = report
        .split("\n### ")
        .find(|f| f.starts_with(what))
        .unwrap_or_else(|| panic!("{report}"));
    assert!(
        finding.contains("data/source_train.txt:2: data/b.avi is an AVI file\n"),
        "{finding}"
    );
    assert!(
        finding.contains("data/source_train.txt:3: data/c.mkv is a Matroska or WebM file\n"),
        "{finding}"
    );
    assert!(finding.contains("build with `--features ffmpeg`"), "{finding}");
    assert!(!report.contains("unreadable("), "{report}");
}

/// Lists as other systems and programs write them: the unambiguous is read; for the rest the message says what to
/// write.
#[test]
fn lists_as_people_have_them() {
    let (dir, data) = folder(&[
        ("source_train.txt", "v\\a.mp4 walk\nv\\b.mp4 run\n"),
        ("source_test.txt", "v/a Walk\nv/b run\nv/c run\n"),
        ("target_train.txt", "v/a.mp4, -1\nv/b.mp4, -1\n"),
        (
            "target_test.txt",
            "{\"906\": {\"babel_sid\": 906, \"labels\": [\"walk\"]}}\n",
        ),
    ]);
    std::fs::create_dir(data.join("v")).unwrap();
    for name in ["a", "b"] {
        video(&data.join(format!("v/{name}.mp4")), 20);
    }
    std::fs::create_dir(data.join("v/c")).unwrap();
    let (code, printed, _) = lint(dir.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    for text in [
        "2 videos of 2 missing, and there under another path (no video of the list can be used)",
        "data/source_train.txt:1: data/v\\a.mp4 is not there; data/v/a.mp4 is\n",
        "→ the paths have backslashes: write `/`",
        "data/source_test.txt:1: label \"Walk\" is no class: did you mean \"walk\"?",
        "data/source_test.txt:2: data/v/b is not there; data/v/b.mp4 is\n",
        "→ write the names with their endings, `.mp4`",
        "the list has columns that are separated by commas, and was read so",
        "no video has a label",
        "data/target_test.txt (target: test, val)\n    the list cannot be read\n      data/target_test.txt: is JSON, not a list",
        "→ write a line for each video, `path label`",
    ] {
        assert!(printed.contains(text), "{text}:\n{printed}");
    }
    // one of the eight videos of a list is unreadable: a run goes on
    let names: Vec<String> = (0..8)
        .map(|i| format!("v/{i}.mp4 {}\n", if i % 2 == 0 { "walk" } else { "run" }))
        .collect();
    let sound = names.concat();
    for (i, list) in ["source_train", "source_test", "target_train", "target_test"]
        .iter()
        .enumerate()
    {
        let wide = sound.encode_utf16().flat_map(u16::to_le_bytes);
        let bytes: Vec<u8> = if i == 0 {
            [0xff, 0xfe].into_iter().chain(wide).collect()
        } else {
            sound.clone().into_bytes()
        };
        std::fs::write(data.join(format!("{list}.txt")), bytes).unwrap();
    }
    for i in 0..7 {
        std::fs::copy(data.join("v/a.mp4"), data.join(format!("v/{i}.mp4"))).unwrap();
    }
    std::fs::write(data.join("v/7.mp4"), "<html>404</html>").unwrap();
    let (_, printed, _) = lint(dir.path(), &[]);
    assert!(
        printed.contains("1 video of 8 unreadable (in training other videos take their places; a run ends above 1 of 8, by `bad_videos`)"),
        "{printed}"
    );
    assert!(
        printed.contains("the list is UTF-16 text, and was read as such"),
        "{printed}"
    );
    // and two of them end it, even where they are only scored
    std::fs::write(data.join("v/6.mp4"), "").unwrap();
    let (_, printed, _) = lint(dir.path(), &[]);
    assert_eq!(
        printed
            .matches("2 videos of 8 unreadable (a run ends above 1, by `bad_videos`)")
            .count(),
        4,
        "{printed}"
    );
}

/// The class names are one file for all lists, and `~/` is the home folder there and in lists.
#[test]
fn a_broken_file_of_classes_is_blamed_once_and_paths_may_begin_at_home() {
    let (dir, data) = folder(&[
        ("source_train.txt", "~/v/a.mp4 walk\n~/v/b.mp4 run\n"),
        ("source_test.txt", "~/v/c.mp4 walk\n~/v/d.mp4 run\n"),
        ("target_train.txt", "$HOME/v/e.mp4 -\n"),
        ("target_test.txt", "~/v/f.mp4 walk\n~/v/g.mp4 run\n"),
    ]);
    std::fs::write(data.join("classes.txt"), "walk\n# and\nrun\nwalk\n").unwrap();
    let (code, printed, report) = lint(dir.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    let wanted = "  data/classes.txt\n    the names of the classes cannot be read\n      data/classes.txt:1: classes come twice: walk\n      \
                  data/classes.txt:4: classes come twice: walk\n      → give each class one line";
    assert!(printed.contains(wanted), "{printed}");
    assert_eq!(printed.matches("cannot be read").count(), 1, "{printed}");
    assert!(report.contains("data/classes.txt:4"), "{report}");
    std::fs::write(data.join("classes.txt"), "walk\nrun\n").unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir_all(home.join("v")).unwrap();
    for name in "abcdefg".chars() {
        video(&home.join(format!("v/{name}.mp4")), 20);
    }
    std::fs::copy(data.join("source_train.txt"), home.join("l.txt")).unwrap();
    let list = "nodes.videos.source.list.train=~/l.txt";
    let args = ["lint", &graph("full.toml"), "--setting", "mine.toml", "--set", list].map(String::from);
    let out = command(&args)
        .current_dir(dir.path())
        .env("HOME", &home)
        .output()
        .unwrap();
    let printed = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(0), "{printed}");
    assert!(printed.contains("nothing is wrong, 1 note"), "{printed}");
}

/// Names that no label has are a mistake of their file, once, and not of every line of every list.
#[test]
fn a_file_of_other_classes_is_blamed_and_not_the_lists() {
    let lines = |of: &str| -> String {
        (0..4)
            .map(|i| format!("{of}{i}.mp4 {}\n", ["walk", "run"][i % 2]))
            .collect()
    };
    let lists = ["source_train", "source_test", "target_train", "target_test"];
    let texts = lists.map(|list| (format!("{list}.txt"), lines(list)));
    let (dir, data) = folder(&[]);
    for (name, text) in &texts {
        std::fs::write(data.join(name), text).unwrap();
    }
    std::fs::write(data.join("classes.txt"), "#walk\n#run\n").unwrap();
    let (code, printed, report) = lint(dir.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    let wanted = "data/classes.txt: has no class that the lists have: its first is \"#walk\", and they have \"walk\"\n";
    assert_eq!(printed.matches(wanted).count(), 1, "{printed}");
    assert!(!report.contains("of 4 malformed"), "{report}");
    // One list with a class: the lines of the others are what is wrong.
    std::fs::write(data.join("source_test.txt"), "a.mp4 #walk\nb.mp4 #run\n").unwrap();
    let (_, printed, _) = lint(dir.path(), &[]);
    assert!(
        printed.contains("data/source_train.txt:1: label \"walk\" is neither a class"),
        "{printed}"
    );
    // Numbers before the names are read, and nothing is malformed.
    std::fs::write(data.join("source_test.txt"), &texts[1].1).unwrap();
    std::fs::write(data.join("classes.txt"), "id,name\n1,run\n0,walk\n").unwrap();
    let (_, printed, _) = lint(dir.path(), &[]);
    assert!(
        !printed.contains("of 4 malformed") && !printed.contains("cannot be read"),
        "{printed}"
    );
}

/// Folders of images whose first number, names or contents are not those that are expected.
#[test]
fn folders_of_images_are_looked_at_as_a_whole() {
    let (dir, data) = folder(&[
        ("source_train.txt", "g 10 5 walk\ng 0 8 run\n"),
        ("source_test.txt", "zero walk\nmixed run\n"),
        ("target_train.txt", "flow -\ncut -\n"),
        ("target_test.txt", "zero walk\nzero run\n"),
    ]);
    let image =
        |level: u8| glad_video::png(&glad_video::RgbFrame::new(40, 40, vec![level; 40 * 40 * 3]).unwrap()).unwrap();
    let fill = |name: &str, numbers: std::ops::Range<u8>| {
        std::fs::create_dir_all(data.join(name)).unwrap();
        for i in numbers {
            std::fs::write(data.join(name).join(format!("img_{i:05}.jpg")), image(9 * i)).unwrap();
        }
    };
    fill("g", 1..21);
    ["zero", "mixed", "flow", "cut"]
        .into_iter()
        .for_each(|name| fill(name, 0..12));
    for i in 12..20 {
        std::fs::write(data.join(format!("mixed/img_{i:05}.png")), image(7)).unwrap();
    }
    std::fs::write(data.join("flow/flow_x_00000.jpg"), image(7)).unwrap();
    std::fs::write(data.join("cut/img_00004.jpg"), "").unwrap();
    let (code, printed, _) = lint(dir.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    for text in [
        "data/g: not a readable video: its images begin with img_00001.jpg, and img_00000.jpg is taken for the first, since \
         `start_index` is not stated: say `start_index = 1`, or `start_index = 0` if",
        "data/mixed: not a readable video: the images of `img_%05d.jpg` end before img_00012.png",
        "1 folder of 2 with images that are no frames",
        "data/flow: it has 1 image that `img_%05d.jpg` does not name, such as flow_x_00000.jpg",
        "data/cut/img_00004.jpg: frame 4 cannot be decoded: the file is empty",
    ] {
        assert!(printed.contains(text), "{text}:\n{printed}");
    }
    // Damage inside an image is found where all are decoded.
    let mut bytes = image(9);
    let at = bytes.windows(4).position(|w| w == b"IDAT").unwrap();
    bytes[at + 6] ^= 0x55;
    std::fs::write(data.join("cut/img_00004.jpg"), bytes).unwrap();
    let sound = lint(dir.path(), &["--set", "nodes.videos.source.start_index=1"]).1;
    assert!(!sound.contains("data/cut") && !sound.contains("data/g:"), "{sound}");
    let decoded = lint(dir.path(), &["--decode"]).1;
    assert!(
        decoded.contains("img_00004.jpg: frame 4 cannot be decoded: it is damaged: "),
        "{decoded}"
    );
}

#[test]
fn labels_are_held_against_the_classifier_that_they_go_to() {
    let (dir, data) = folder(&[
        ("source_train.txt", "a.mp4 1\nb.mp4 2\n"),
        ("source_test.txt", "c.mp4 0\nd.mp4 1\n"),
        ("target_train.txt", "e.mp4 -\n"),
        ("target_test.txt", "f.mp4 0\ng.mp4 1\n"),
    ]);
    for name in "abcdefg".chars() {
        video(&data.join(format!("{name}.mp4")), 20);
    }
    // Without class names the classifier determines their number, not the orders of `tol`.
    let setting = dir.path().join("mine.toml");
    let text = std::fs::read_to_string(&setting).unwrap();
    let text: Vec<&str> = text.lines().filter(|l| !l.starts_with("classes ")).collect();
    std::fs::write(&setting, text.join("\n")).unwrap();
    let (code, printed, _) = lint(dir.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    for part in [
        "1 video of 2 with a label beyond the classes",
        "data/source_train.txt:2: label 2 is beyond the 2 classes",
        "the labels begin with 1, and classes are numbered from 0: make each label 1 less",
    ] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
    // The checker and the run report it as well, and nothing runs.
    let full = graph("full.toml");
    let check = || {
        let args = ["check", full.as_str(), "--setting", "mine.toml"];
        let out = command(&args).current_dir(dir.path()).output().unwrap();
        let printed = String::from_utf8_lossy(&out.stderr).into_owned();
        (out.status.code(), printed + &String::from_utf8_lossy(&out.stdout))
    };
    let (code, printed) = check();
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains("source_train.txt:2: label 2") && printed.contains("wrong "),
        "{printed}"
    );
    let args = [full.as_str(), "--setting", "mine.toml", "--out", "run", "-q"];
    let out = command(&args).current_dir(dir.path()).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(!dir.path().join("run").exists());

    // A video of the target among those of the source, and one without a label.
    std::fs::write(data.join("source_train.txt"), "a.mp4 0\nb.mp4 -\nf.mp4 1\n").unwrap();
    let (code, printed, _) = lint(dir.path(), &[]);
    assert_eq!(code, Some(1), "{printed}");
    for part in [
        "1 video of 3 without a label, which `ce` needs",
        "1 video of `target`, which is held out, is trained on with labels by stream source",
        "source_train.txt:3 of stream source, with a label",
    ] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
    // Valid lists with fewer videos than a batch: a warning, and no more.
    std::fs::write(data.join("source_train.txt"), "a.mp4 0\nb.mp4 1\n").unwrap();
    let (code, printed) = check();
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.contains("stream source has fewer videos than a batch") && printed.contains("warning"),
        "{printed}"
    );
}
