//! Everything that a run depends on is identified: phases are shared, and runs resume, only on the same data.

use crate::common::*;
use candle_core::{Device, DeviceLocation};
use glad::check::check;
use glad::load::{LoadOptions, effective, load};
use glad::run::{Begin, FeedOptions, Inputs, Progress, RunError, RunOptions, RunResult, cache_key, run};
use glad_video::write::WriteOptions;
use std::fs;
use std::path::{Path, PathBuf};
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

/// Flags that make it quick.
const SMALL: [&str; 6] = [
    "phases.main.epochs=3",
    "phases.main.batch=4",
    "phases.warmup.epochs=1",
    "phases.warmup.batch=4",
    "dims.T=2",
    "nodes.augment.size=32",
];

fn options(dir: &Path, graph_file: &str, more: &[&str]) -> LoadOptions {
    LoadOptions {
        graph: graph(graph_file).into(),
        setting: Some(dir.join("mine.toml")),
        with: vec![],
        set: SMALL.iter().chain(more).map(|s| s.to_string()).collect(),
    }
}

struct Runs {
    cache: tempfile::TempDir,
}

impl Runs {
    fn new() -> Runs {
        Runs {
            cache: tempfile::tempdir().unwrap(),
        }
    }

    /// Trains on the source only with the data in `dir`.
    fn run(&self, dir: &Path, out: &Path, begin: Begin, more: &[&str]) -> Result<RunResult, RunError> {
        let graph = load(&options(dir, "source_only.toml", more)).unwrap_or_else(|p| panic!("{p}"));
        let checked = check(&graph, &glad::nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
        let options = RunOptions {
            out: out.to_path_buf(),
            begin,
            seed: graph.seed.value,
            feed: FeedOptions { workers: 2, ahead: 8 },
            device: Device::Cpu,
            cache: Some(self.cache.path().to_path_buf()),
            save_every: Duration::from_secs(3600),
            save_steps: None,
            share: true,
            record: false,
        };
        run(&graph, &checked, &effective(&graph), "", &options, &Progress::new(true))
    }

    /// A new run; returns how many steps it trained itself.
    fn steps(&self, dir: &Path, out: &str) -> u64 {
        let result = self.run(dir, &dir.join(out), Begin::New, &[]).unwrap();
        result.phases.iter().map(|(_, p)| p.steps).sum()
    }

    /// Why a run does not resume.
    fn refusal(&self, dir: &Path, out: &Path, more: &[&str]) -> String {
        let e = self.run(dir, out, Begin::Resume, more).unwrap_err();
        assert!(matches!(e, RunError::Refused(_)), "{e:#}");
        e.to_string()
    }
}

/// The files that do not depend on when a run was made.
fn files(run: &Path) -> Vec<Vec<u8>> {
    let read = |name: &str| fs::read(run.join(name)).unwrap();
    ["graph.toml", "metrics.jsonl", "checkpoints/last.safetensors"]
        .map(read)
        .to_vec()
}

/// Rewrites a file with other bytes of the same length.
fn alter(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    // File systems may count time in milliseconds.
    std::thread::sleep(Duration::from_millis(20));
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_phase_is_shared_by_runs_on_the_same_files_alone() {
    let (day, night) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    data(day.path());
    data(night.path());
    let runs = Runs::new();
    assert_eq!(runs.steps(day.path(), "a"), 3);
    assert_eq!(runs.steps(day.path(), "b"), 0, "it is taken from the first");
    // The same lists word for word, and other files.
    assert_eq!(runs.steps(night.path(), "a"), 3);
    // A file replaced in place.
    let video = day.path().join("data/source_train/clip 2.mp4");
    fs::copy(day.path().join("data/source_train/clip 3.mp4"), &video).unwrap();
    assert_eq!(runs.steps(day.path(), "c"), 3);
    // A list with another label.
    let list = day.path().join("data/source_train.txt");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, text.replacen("right", "down", 1)).unwrap();
    assert_eq!(runs.steps(day.path(), "d"), 3);
    // What the phase does not read changes nothing; nor do comments.
    alter(&day.path().join("data/source_test/clip 0.mp4"));
    fs::write(&list, format!("# comment\n{}", fs::read_to_string(&list).unwrap())).unwrap();
    assert_eq!(runs.steps(day.path(), "e"), 0);
    // Another file behind a link of the same name.
    #[cfg(unix)]
    {
        let other = day.path().join("elsewhere.mp4");
        fs::rename(&video, &other).unwrap();
        std::os::unix::fs::symlink(&other, &video).unwrap();
        assert_eq!(runs.steps(day.path(), "f"), 3);
    }
}

#[test]
fn images_of_a_folder_count_each() {
    let dir = tempfile::tempdir().unwrap();
    own::lists(dir.path(), 4, |folder, class, i| {
        let name = format!("clip{i}");
        fs::create_dir(folder.join(&name)).unwrap();
        for t in 0..4u8 {
            let grey = vec![40 + 50 * class as u8 + 9 * t; 40 * 40 * 3];
            let png = glad_video::png(&glad_video::RgbFrame::new(40, 40, grey).unwrap()).unwrap();
            fs::write(folder.join(&name).join(format!("img_{t:05}.jpg")), png).unwrap();
        }
        name
    });
    own::setting(dir.path());
    let runs = Runs::new();
    assert_eq!(runs.steps(dir.path(), "a"), 3);
    assert_eq!(runs.steps(dir.path(), "b"), 0);
    let image = dir.path().join("data/source_train/clip1/img_00002.jpg");
    let bytes = fs::read(&image).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    fs::write(&image, &bytes).unwrap();
    assert_eq!(runs.steps(dir.path(), "c"), 3, "its time is another one");
    let mut longer = bytes;
    longer.push(0);
    fs::write(&image, longer).unwrap();
    let e = runs.refusal(dir.path(), &dir.path().join("c"), &[]);
    assert!(
        e.contains("clip1 of the list") && e.contains("images of other names or sizes") || e.contains("bytes"),
        "{e}"
    );
}

#[test]
fn a_shared_phase_that_is_damaged_is_trained_again() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    let runs = Runs::new();
    assert_eq!(runs.steps(dir.path(), "a"), 3);
    for (i, ending) in ["jsonl", "safetensors"].into_iter().enumerate() {
        let kept = fs::read_dir(runs.cache.path().join("phases"))
            .unwrap()
            .map(|e| e.unwrap().path());
        let kept: PathBuf = kept
            .into_iter()
            .find(|p| p.extension().is_some_and(|e| e == ending))
            .unwrap();
        alter(&kept);
        let out = format!("again{i}");
        assert_eq!(runs.steps(dir.path(), &out), 3, "{ending}");
        assert!(files(&dir.path().join("a")) == files(&dir.path().join(out)));
        assert_eq!(runs.steps(dir.path(), &format!("taken{i}")), 0, "{ending}");
    }
}

#[test]
fn a_run_goes_on_with_the_lists_and_files_that_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    let runs = Runs::new();
    let out = dir.path().join("run");
    runs.run(dir.path(), &out, Begin::New, &[]).unwrap();
    let before = files(&out);
    let list = dir.path().join("data/source_train.txt");
    let text = fs::read_to_string(&list).unwrap();
    let lines: Vec<&str> = text.lines().collect();

    fs::write(
        &list,
        format!("{}\nsource_train/clip 0.mp4 down\n", lines[2..].join("\n")),
    )
    .unwrap();
    let e = runs.refusal(dir.path(), &out, &[]);
    assert!(
        e.contains("a run of other data") && e.contains("source_train.txt"),
        "{e}"
    );
    assert!(
        e.contains("began with line 1,") && e.contains("clip 0.mp4 (class right)"),
        "{e}"
    );
    assert!(
        e.contains("clip 2.mp4 (class down); 4 videos before, 3 now") && e.contains("eval --run"),
        "{e}"
    );

    fs::write(&list, text.replacen("right", "-", 1)).unwrap();
    let e = runs.refusal(dir.path(), &out, &[]);
    assert!(e.contains("(no class)"), "{e}");

    // A comment is not content.
    fs::write(&list, format!("# comment\n{text}")).unwrap();
    runs.run(dir.path(), &out, Begin::Resume, &[]).unwrap();
    assert!(files(&out) == before);

    let classes = dir.path().join("data/classes.txt");
    fs::write(&classes, "down\nright\n").unwrap();
    let e = runs.refusal(dir.path(), &out, &[]);
    assert!(
        e.contains("are others: down, right; the run began with right, down"),
        "{e}"
    );
    fs::write(&classes, "right\ndown\n").unwrap();

    let video = dir.path().join("data/target_test/clip 1.mp4");
    let whole = fs::read(&video).unwrap();
    fs::write(&video, &whole[..whole.len() - 3]).unwrap();
    let e = runs.refusal(dir.path(), &out, &[]);
    assert!(
        e.contains("target_test/clip 1.mp4") && e.contains("when the run began"),
        "{e}"
    );
    fs::remove_file(&video).unwrap();
    let e = runs.refusal(dir.path(), &out, &[]);
    assert!(e.contains("is not there any more"), "{e}");
    // The same bytes with a new time: it goes on.
    fs::write(&video, whole).unwrap();
    runs.run(dir.path(), &out, Begin::GoOn, &[]).unwrap();
    assert!(files(&out) == before);
}

#[test]
fn a_state_belongs_to_its_run() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    let runs = Runs::new();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let other = ["phases.main.optimizer.lr=0.9"];
    runs.run(dir.path(), &a, Begin::New, &[]).unwrap();
    runs.run(dir.path(), &b, Begin::New, &other).unwrap();
    let state = |run: &Path| run.join("checkpoints/last.safetensors");
    let own = fs::read(state(&a)).unwrap();

    fs::copy(state(&b), state(&a)).unwrap();
    let e = runs.refusal(dir.path(), &a, &[]);
    assert!(
        e.contains("last.safetensors is the state of a run of another graph"),
        "{e}"
    );
    fs::write(state(&a), &own[..own.len() - 1]).unwrap();
    let e = runs.refusal(dir.path(), &a, &[]);
    assert!(e.contains("cannot read") && e.contains("last.safetensors"), "{e}");
    assert!(
        e.contains("\n  put back the file that the run wrote, or begin anew"),
        "{e}"
    );
    fs::remove_file(state(&a)).unwrap();
    let e = runs.refusal(dir.path(), &a, &[]);
    assert!(e.contains("last.safetensors is not there any more"), "{e}");
    fs::write(state(&a), own).unwrap();

    let e = runs.refusal(dir.path(), &a, &other);
    assert!(
        e.contains("holds a run of another graph")
            && e.contains("\n    ~ phases.main.optimizer.lr  ")
            && e.contains(" → 0.9\n  resume it as it was"),
        "{e}"
    );
    for (file, why) in [("inputs.jsonl", "it was altered"), ("run.json", "cannot read")] {
        let whole = fs::read(a.join(file)).unwrap();
        fs::write(
            a.join(file),
            String::from_utf8(whole.clone())
                .unwrap()
                .replacen("format\": 2", "format\": 7", 1)
                .replacen(".mp4", ".mp5", 1),
        )
        .unwrap();
        let e = runs.refusal(dir.path(), &a, &[]);
        assert!(
            e.contains(file) && e.contains(why) && e.contains("\n  put back the file"),
            "{e}"
        );
        fs::write(a.join(file), whole).unwrap();
    }
    // The graph of another run.
    let whole = fs::read(a.join("graph.toml")).unwrap();
    fs::copy(b.join("graph.toml"), a.join("graph.toml")).unwrap();
    let e = runs.refusal(dir.path(), &a, &[]);
    assert!(
        e.contains("graph.toml and run.json beside it are of different runs"),
        "{e}"
    );
    fs::write(a.join("graph.toml"), whole).unwrap();
    // A folder of the first format.
    fs::rename(a.join("run.json"), dir.path().join("run.json")).unwrap();
    let e = runs.refusal(dir.path(), &a, &[]);
    assert!(e.contains("of an older glad") && e.contains("format 1"), "{e}");
    fs::rename(dir.path().join("run.json"), a.join("run.json")).unwrap();
    runs.run(dir.path(), &a, Begin::Resume, &[]).unwrap();
}

/// The key of the warm-up of the smoke setting, with other parameters.
fn key(set: &[String]) -> Option<String> {
    let graph = load(&LoadOptions {
        graph: graph("full.toml").into(),
        setting: Some(smoke().into()),
        with: vec![],
        set: set.to_vec(),
    })
    .unwrap_or_else(|p| panic!("{p}"));
    let checked = check(&graph, &glad::nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
    let inputs = Inputs::of_phases(&checked).unwrap();
    cache_key(&checked, &graph, &inputs, "warmup", 1, (DeviceLocation::Cpu, "")).unwrap()
}

#[test]
fn a_list_given_by_its_path_counts_beside_generated_ones() {
    let dir = tempfile::tempdir().unwrap();
    data(dir.path());
    let list = dir.path().join("data/source_train.txt");
    let path = list.display().to_string();
    // One of several lists is a user's own and is read: then nothing is generated.
    let set = [
        format!("nodes.videos.source.list={{ train = {path:?}, val = {path:?}, test = {path:?} }}"),
        format!(
            "nodes.videos.source.classes={:?}",
            dir.path().join("data/classes.txt").display().to_string()
        ),
    ];
    let before = key(&set).unwrap();
    assert_eq!(key(&set).unwrap(), before);
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, text.replacen("right", "down", 1)).unwrap();
    let relabelled = key(&set).unwrap();
    assert_ne!(relabelled, before);
    alter(&dir.path().join("data/source_train/clip 0.mp4"));
    assert_ne!(key(&set).unwrap(), relabelled);
    // Generated data has a key before it exists.
    let seeds = [1, 2].map(|n| key(&[format!("nodes.videos.generate.mini.seed={n}")]).unwrap());
    assert_ne!(seeds[0], seeds[1]);
}
