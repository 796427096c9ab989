//! `graphs/gap.toml`: Δ_temp from lists alone, Δ_bg with a scene network, their pictures.

use crate::common::*;
use glad_video::write::VideoWriter;
use std::fmt::Write as _;
use std::path::Path;

/// Lists like those of Kinetics→BABEL, of videos that do not exist; and the distance of their lengths, by the formula
/// as written: |CDF − CDF| from one whole number to the next.
fn lists(dir: &Path) -> f64 {
    let kinetics: Vec<usize> = (0..211)
        .map(|i| if i % 9 == 0 { 60 + 7 * i % 240 } else { 300 })
        .collect();
    let babel: Vec<usize> = (0..97).map(|i| 6 + i * i % 341).collect();
    let (mut a, mut b) = (String::new(), String::new());
    for (i, n) in kinetics.iter().enumerate() {
        writeln!(a, "squat/video {i}_3_13 {n} {}", i % 12).unwrap();
    }
    for (i, n) in babel.iter().enumerate() {
        writeln!(b, "train/{} {} {n} {}", 40 + i % 20, 500 * (i % 7), i % 12).unwrap();
    }
    std::fs::write(dir.join("a.txt"), a).unwrap();
    std::fs::write(dir.join("b.txt"), b).unwrap();
    let share = |all: &[usize], x: usize| all.iter().filter(|n| **n <= x).count() as f64 / all.len() as f64;
    (0..1000).map(|x| (share(&kinetics, x) - share(&babel, x)).abs()).sum()
}

fn gap(dir: &Path, out: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let mut args = vec![graph("gap.toml"), "--out".into(), out.into()];
    args.extend(more.iter().map(|s| s.to_string()));
    let done = command(&args).current_dir(dir).output().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

/// The value under the heading `name`.
fn value<'a>(printed: &'a str, name: &str) -> &'a str {
    let lines: Vec<&str> = printed.lines().collect();
    let at = lines.iter().position(|l| l.split_whitespace().next() == Some(name));
    let at = at.unwrap_or_else(|| panic!("{name}:\n{printed}"));
    lines[at + 1].split_whitespace().nth(1).unwrap()
}

#[test]
fn lengths_from_lists_alone() {
    let dir = tempfile::tempdir().unwrap();
    let expected = lists(dir.path());
    // paths are relative to where the command is typed
    let (code, printed, errors) = gap(
        dir.path(),
        "run",
        &[
            "--set",
            "nodes.videos.source.list=a.txt",
            "--set",
            "nodes.videos.target.list=b.txt",
        ],
    );
    assert_eq!(code, Some(0), "{printed}{errors}");
    assert_eq!(value(&printed, "delta_temp"), format!("{expected:.2}"), "{printed}");
    assert!(
        printed.contains("view scenes was left out: the weights of `scene` are not there: "),
        "{printed}"
    );
    assert!(
        printed.contains("source  211 videos of") && printed.contains("target  97 videos of 6 to"),
        "{printed}"
    );
    let run = dir.path().join("run");
    for picture in ["lengths.svg", "gap.svg"] {
        let text = std::fs::read_to_string(run.join(picture)).unwrap();
        roxmltree::Document::parse(&text).unwrap();
        assert!(
            std::fs::read_to_string(run.join("report.html"))
                .unwrap()
                .contains(text.trim()),
            "{picture}"
        );
    }
    let picture = std::fs::read_to_string(run.join("gap.svg")).unwrap();
    assert!(
        picture.contains("Kinetics→BABEL") && picture.contains("0.31, 182.1"),
        "{picture}"
    );
    assert!(picture.contains("Δ_bg not measured"), "{picture}");
    let table = std::fs::read_to_string(run.join("lengths.csv")).unwrap();
    let rows = table
        .lines()
        .skip(1)
        .map(|l| l.split(',').nth(1).unwrap().parse::<u64>().unwrap());
    assert_eq!(rows.sum::<u64>(), 211);

    // where files have to be opened and none exists, the run reports that and names one
    let (code, _, errors) = gap(
        dir.path(),
        "files",
        &[
            "--set",
            "nodes.videos.source.list=a.txt",
            "--set",
            "nodes.videos.target.list=b.txt",
            "--set",
            "nodes.length.from=file",
        ],
    );
    assert_eq!(code, Some(3));
    assert!(
        errors.contains("of stream `source` cannot be used") && errors.contains("a.txt:1: "),
        "{errors}"
    );

    // a missing list: nothing runs
    let (code, _, errors) = gap(dir.path(), "none", &["--set", "nodes.videos.source.list=c.txt"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("c.txt is not there"), "{errors}");
}

/// A still scene of one colour with a square that moves through it.
fn scene(path: &Path, colour: [u8; 3], frames: usize) {
    let (w, h) = (48, 40);
    let mut video = VideoWriter::create(path, w, h, 24.0).unwrap();
    for t in 0..frames {
        let mut rgb = colour.repeat(w * h);
        for y in 4..14 {
            let x = t * 3 % 38;
            rgb[(y * w + x) * 3..][..30].fill(250);
        }
        video.push(&rgb).unwrap();
    }
    video.finish().unwrap();
}

#[test]
fn scenes_by_a_network_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    let colours = [
        [30, 60, 90],
        [200, 40, 40],
        [60, 160, 60],
        [90, 90, 200],
        [170, 170, 60],
        [40, 40, 40],
    ];
    let list = |name: &str, of: std::ops::Range<usize>| {
        let mut text = String::new();
        for i in of {
            scene(&dir.path().join(format!("{i}.mp4")), colours[i], 12 + 3 * i);
            writeln!(text, "{i}.mp4").unwrap();
        }
        std::fs::write(dir.path().join(name), text).unwrap();
    };
    list("a.txt", 0..3);
    list("b.txt", 3..6);
    // any backbone can be the scene network; this uses the weights of the backbone's own tests
    let weights = repository().join("nodes/tests/parity/resnet50.pth");
    let overlay = format!(
        "[replace.nodes.scene]\nkind = \"resnet\"\ndepth = 50\nwidths = [4, 2, 4, 8, 16]\ninit = {:?}\n\
         inputs = {{ clips = \"normalize.clips\" }}\n[drop_nothing]\n",
        weights.display().to_string()
    );
    let overlay = overlay.replace("[drop_nothing]\n", "[set.nodes]\nresize.short = 40\ncrop.size = 40\n");
    let overlay = format!("drop = [\"params.scene_weights\"]\n{overlay}");
    std::fs::write(dir.path().join("small.toml"), overlay).unwrap();
    let measure = |out: &str, a: &str, b: &str| {
        let sets = [
            format!("nodes.videos.source.list={a}"),
            format!("nodes.videos.target.list={b}"),
        ];
        gap(
            dir.path(),
            out,
            &["--with", "small.toml", "--set", &sets[0], "--set", &sets[1]],
        )
    };
    let (code, printed, errors) = measure("ab", "a.txt", "b.txt");
    assert_eq!(code, Some(0), "{printed}{errors}");
    let apart: f64 = value(&printed, "delta_bg").parse().unwrap();
    assert!(apart > 0.0 && apart < 2.0, "{printed}");
    // 12, 15, 18 against 21, 24, 27 frames, counted in the files
    assert_eq!(value(&printed, "delta_temp"), "9.00", "{printed}");
    assert!(!printed.contains("left out"), "{printed}");
    let picture = std::fs::read_to_string(dir.path().join("ab/gap.svg")).unwrap();
    assert!(
        picture.contains("these lists") && !picture.contains("not measured"),
        "{picture}"
    );

    let (_, printed, _) = measure("aa", "a.txt", "a.txt");
    assert_eq!(
        (value(&printed, "delta_bg"), value(&printed, "delta_temp")),
        ("0.000", "0.00"),
        "{printed}"
    );
    let (_, printed, _) = measure("ba", "b.txt", "a.txt");
    let back: f64 = value(&printed, "delta_bg").parse().unwrap();
    assert!((back - apart).abs() < 1e-3, "{back}, {apart}");

    // a missing file is left out and reported
    std::fs::remove_file(dir.path().join("5.mp4")).unwrap();
    let (code, printed, _) = measure("hole", "a.txt", "b.txt");
    assert_eq!(code, Some(0));
    assert!(
        printed.contains("1 video could not be scored, the first: ") && printed.contains("b.txt:3"),
        "{printed}"
    );
}
