//! Features of videos, written once by `predict`, and heads that train on them.
#![cfg(unix)]

use crate::common::*;
use std::fs;
use std::path::{Path, PathBuf};

/// A trained run of a few steps, in `folder/run`.
fn trained(folder: &Path) -> String {
    let run = folder.join("run").display().to_string();
    let mut args = vec![graph("source_only.toml"), "--setting".into(), smoke(), "--quiet".into()];
    args.extend(["--out".into(), run.clone()]);
    for set in [
        "phases.pretrain.steps=2",
        "phases.pretrain.optimizer.warmup_steps=0",
        "phases.main.steps=2",
        "phases.main.optimizer.warmup_steps=0",
    ] {
        args.extend(["--set".into(), set.into()]);
    }
    ok(&args);
    run
}

/// A list of the small data set of the smoke setting, as that run recorded it.
fn list(run: &str, name: &str) -> String {
    let inputs = fs::read_to_string(Path::new(run).join("inputs.jsonl")).unwrap();
    assert!(!inputs.is_empty());
    let mut found: Vec<PathBuf> = vec![];
    let mut folders = vec![cache()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.extend((path.file_name().unwrap() == name).then_some(path)),
            }
        }
    }
    // Other tests generate others: the one with as many videos in each list as the run's.
    let of = |list: &str| -> Option<usize> {
        let (_, after) = inputs.split_once(&format!("{list}\\\":"))?;
        after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let lines = |p: &Path| fs::read_to_string(p).map_or(0, |text| text.lines().count());
    let lists = ["source_train", "source_test", "target_train", "target_test"];
    found.sort();
    found.retain(|p| {
        let like = |list: &str| of(list) == Some(lines(&p.with_file_name(format!("{list}.txt"))));
        lists.iter().all(|list| like(list))
    });
    found
        .first()
        .expect("the data set is in the cache")
        .display()
        .to_string()
}

/// The numbers of the only tensor of a file, or of the one of this name, and its shape.
fn tensor(path: &Path) -> (Vec<usize>, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let (_, one) = file.tensors().remove(0);
    (one.shape().to_vec(), one.data().to_vec())
}

/// The rows of an index: video, label, file, shape.
fn index(folder: &Path) -> Vec<[String; 4]> {
    let text = fs::read_to_string(folder.join("index.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("video,label,file,shape,offset,frames"));
    let row = |l: &str| {
        let fields: Vec<String> = l.split(',').map(String::from).collect();
        // Whole videos.
        let fields: [String; 6] = fields.try_into().unwrap();
        let [video, label, file, shape, ..] = fields.clone();
        assert_eq!(fields[4..], ["", ""]);
        [video, label, file, shape]
    };
    lines.map(row).collect()
}

/// The arguments that name the folders of features.
fn folders(folder: &Path) -> Vec<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    let mut v = vec![];
    for (stream, test) in [("source", "source_test"), ("target", "target_test")] {
        let (train, test) = (at(&format!("{stream}_train")), at(test));
        v.extend([
            "--set".into(),
            format!("nodes.videos.{stream}.list={{train='{train}',val='{test}',test='{test}'}}"),
        ]);
    }
    v
}

#[test]
fn heads_train_on_the_features_that_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let run = trained(dir.path());
    let at = |name: &str| dir.path().join(name);
    for name in ["source_train", "source_test", "target_train", "target_test"] {
        let (list, out) = (list(&run, &format!("{name}.txt")), at(name).display().to_string());
        ok(&[
            "predict",
            "--run",
            &run,
            "--list",
            &list,
            "--port",
            "backbone.feature",
            "--out",
            &out,
            "--quiet",
        ]);
        let rows = index(&at(name));
        assert_eq!(rows.len(), fs::read_to_string(&list).unwrap().lines().count(), "{name}");
        for [video, label, file, shape] in &rows {
            assert!(label.parse::<usize>().is_ok_and(|l| l < 12), "{label}");
            assert!(Path::new(video).exists() && shape == "3x64", "{video} {shape}");
            assert_eq!(tensor(&at(name).join(file)).0, [3, 64]);
        }
        assert_eq!(
            fs::read_to_string(at(name).join("classes.txt"))
                .unwrap()
                .lines()
                .count(),
            12
        );
    }
    // As one file they are the same, to the bit.
    let list = list(&run, "target_test.txt");
    let one = at("one.safetensors").display().to_string();
    ok(&[
        "predict",
        "--run",
        &run,
        "--list",
        &list,
        "--port",
        "backbone.feature",
        "--out",
        &one,
        "--quiet",
    ]);
    let (shape, all) = tensor(Path::new(&one));
    let written: Vec<u8> = index(&at("target_test"))
        .iter()
        .flat_map(|[_, _, file, _]| tensor(&at("target_test").join(file)).1)
        .collect();
    assert_eq!((shape[1..].to_vec(), written), (vec![3, 64], all));

    let heads = at("heads").display().to_string();
    let mut args = vec![
        graph("dann_features.toml"),
        "--out".into(),
        heads.clone(),
        "--quiet".into(),
    ];
    args.extend(folders(dir.path()));
    args.extend(["--set".into(), "phases.main.epochs=2".into()]);
    let checked: Vec<String> = [
        &["check".into(), "--files".into(), args[0].clone()][..],
        &folders(dir.path()),
    ]
    .concat();
    assert!(ok(&checked).starts_with("ok"));
    let printed = ok(&args);
    assert!(printed.contains("target"), "{printed}");
    assert!(ok(&["eval", "--run", &heads]).contains("mean class accuracy"));
    // TA3N, on as many rows as there are; killed or not, for any number of threads its bytes are the same.
    let ta3n = |name: &str, threads: &str| {
        let mut args = vec![graph("methods/ta3n.toml"), "--quiet".into(), "--no-share".into()];
        args.extend([
            "--out".into(),
            at(name).display().to_string(),
            "--threads".into(),
            threads.into(),
        ]);
        args.extend(folders(dir.path()));
        for set in ["dims.D=64", "phases.main.epochs=2", "phases.main.batch=16"] {
            args.extend(["--set".into(), set.into()]);
        }
        ok(&args);
    };
    // Its domain classifiers' scores are stacked, behind their reversals: that is no adversary without one.
    let printed = glad(&["check", &graph("methods/ta3n.toml")]);
    let printed = String::from_utf8_lossy(&printed.stderr).into_owned();
    assert!(!printed.contains("reversal"), "{printed}");
    ta3n("ta3n", "2");
    ta3n("ta3n_one", "1");
    assert_eq!(differing(&at("ta3n"), &at("ta3n_one")), Vec::<String>::new());
    let log = fs::read_to_string(at("ta3n").join("metrics.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    for term in [
        "ce",
        "frame_adversary",
        "relation_adversary",
        "video_adversary",
        "attentive_entropy",
    ] {
        assert!(
            first[term].as_f64().is_some_and(|v| v.is_finite() && v > 0.0),
            "{term}: {first}"
        );
    }
    // Two domains that nothing tells apart yet, and as many classes: ln 2 and (1 + ln 2) ln 12.
    let near = |term: &str, want: f64| assert!((first[term].as_f64().unwrap() - want).abs() < 1e-3, "{term}: {first}");
    near("frame_adversary", 2f64.ln());
    near("video_adversary", 2f64.ln());
    near("attentive_entropy", (1.0 + 2f64.ln()) * 12f64.ln());

    transvae(dir.path());

    // What was read is what was written, to the bit.
    let (test, back) = (
        at("target_test").display().to_string(),
        at("back").display().to_string(),
    );
    ok(&[
        "predict",
        "--run",
        &heads,
        "--list",
        &test,
        "--port",
        "batch.features",
        "--out",
        &back,
        "--quiet",
    ]);
    let (before, after) = (index(&at("target_test")), index(&at("back")));
    assert_eq!(before.len(), after.len());
    for ([video, label, a, _], [same, again, b, _]) in before.iter().zip(&after) {
        assert_eq!(
            (label, video),
            (again, same),
            "features of features are of the same video"
        );
        assert_eq!(tensor(&at("target_test").join(a)), tensor(&at("back").join(b)));
    }
    // Predictions of a list, and of files.
    let (csv, json) = (at("p.csv").display().to_string(), at("p.json").display().to_string());
    ok(&["predict", "--run", &heads, "--list", &test, "--out", &csv, "--quiet"]);
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 1 + before.len());
    let file = at("target_test").join(&before[0][2]).display().to_string();
    ok(&["predict", "--run", &heads, &file, "--out", &json, "--quiet"]);
    assert!(fs::read_to_string(&json).unwrap().contains("confidence"));

    // Nothing is overwritten.
    let out = glad(&[
        "predict",
        "--run",
        &run,
        "--list",
        &list,
        "--port",
        "backbone.feature",
        "--out",
        &test,
    ]);
    let printed = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains("target_test is there and not empty: name another folder"),
        "{printed}"
    );

    // Other features are another run.
    let file = at("source_train").join(&index(&at("source_train"))[3][2]);
    let before = fs::read(&file).unwrap();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let resumed = || {
        let out = glad(&[&args[..], &["--resume".into()]].concat());
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    // As of another network: as many bytes.
    let mut other = before.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&file, &other).unwrap();
    let (code, printed) = resumed();
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains(&name) && printed.contains("has another content"),
        "{printed}"
    );
    // The same bytes, written again, are the same features.
    fs::write(&file, &before).unwrap();
    assert_eq!(resumed().0, Some(0));
    fs::write(&file, [before, vec![0]].concat()).unwrap();
    let (code, printed) = resumed();
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains(&name) && printed.contains("bytes"), "{printed}");
    // And `lint` finds what is wrong with the file.
    let report = at("lint.md").display().to_string();
    let linted: Vec<String> = [
        &["lint".into(), args[0].clone(), "--out".into(), report.clone()][..],
        &folders(dir.path()),
    ]
    .concat();
    assert_eq!(glad(&linted).status.code(), Some(1));
    let text = fs::read_to_string(report).unwrap();
    assert!(text.contains("index.csv:5") && text.contains("unreadable"), "{text}");

    // More missing files than may be bad are found before anything runs.
    for row in index(&at("source_train")).iter().skip(1).step_by(2) {
        fs::remove_file(at("source_train").join(&row[2])).unwrap();
    }
    let other = at("other").display().to_string();
    let renamed: Vec<String> = args
        .iter()
        .map(|a| if *a == heads { other.clone() } else { a.clone() })
        .collect();
    let out = glad(&renamed);
    let printed = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{printed}");
    assert!(printed.contains("videos are missing, and nothing was run"), "{printed}");
    assert!(!Path::new(&other).exists());
}

/// TranSVAE trains on these features; killed and resumed with other numbers of threads its bytes are the same.
fn transvae(folder: &Path) {
    let at = |name: &str| folder.join(name);
    let args = |name: &str, more: &[&str]| {
        let mut args = vec![graph("methods/transvae.toml"), "--quiet".into(), "--no-share".into()];
        args.extend(["--out".into(), at(name).display().to_string()]);
        args.extend(["--save-every".into(), "2".into()]);
        args.extend(folders(folder));
        for set in [
            "dims.D=64",
            "phases.main.epochs=4",
            "phases.main.batch=12",
            "nodes.pseudo.threshold=0.08",
        ] {
            args.extend(["--set".into(), set.into()]);
        }
        args.extend(more.iter().map(|m| m.to_string()));
        args
    };
    let (whole, cut) = (at("transvae"), at("transvae_cut"));
    let log = |run: &Path| -> Vec<serde_json::Value> {
        let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
        text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    };
    ok(&args("transvae", &[]));
    let rows = log(&whole);
    let value = |row: &serde_json::Value, term: &str| row[term].as_f64().unwrap_or(f64::NAN);
    for term in [
        "ce",
        "reconstruction",
        "kl_f",
        "kl_z",
        "information",
        "triplet_s",
        "triplet_t",
        "segment_adversary",
        "relation_adversary",
        "video_adversary",
        "pseudo_ce",
    ] {
        let steps: Vec<f64> = rows
            .iter()
            .filter(|r| r.get(term).is_some())
            .map(|r| value(r, term))
            .collect();
        assert!(
            steps.len() >= 8 && steps.iter().all(|v| v.is_finite()),
            "{term}: {steps:?}"
        );
        assert!(steps.iter().any(|v| *v > 0.0), "{term}: {steps:?}");
    }
    // The decoder learns: features are far from 0 at first.
    let steps: Vec<f64> = rows
        .iter()
        .filter(|r| r.get("reconstruction").is_some())
        .map(|r| value(r, "reconstruction"))
        .collect();
    assert!(steps[steps.len() - 1] < 0.9 * steps[0], "{steps:?}");

    let mut child = command(&args("transvae_cut", &["--threads", "1", "--workers", "1"]))
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() && log(&cut).len() < 4 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    ok(&args("transvae_cut", &["--resume", "--threads", "3"]));
    assert_eq!(differing(&whole, &cut), Vec::<String>::new());
}

/// Every combination that is none says what to write.
#[test]
fn combinations_that_are_none_are_refused() {
    for (args, why) in [
        (
            &[][..],
            "of which videos? Name their files, or a list of them: --list LIST",
        ),
        (
            &["a.mp4", "--list", "l.txt"],
            "the videos are either named (a.mp4) or those of a list (--list l.txt)",
        ),
        (
            &["a.mp4", "--port", "x.y"],
            "add --out FILE.safetensors, or --out FOLDER for a file of each video",
        ),
        (
            &["a.mp4", "--port", "x.y", "--out", "x.csv"],
            "`.safetensors`, or as a folder with a file for each video",
        ),
        (
            &["--list", "l.txt", "--port", "x.y", "--out", "x.npy"],
            "a name without ending, and --out is x.npy",
        ),
        (
            &["--list", "l.txt", "--out", "x"],
            "a folder takes the values of a port, which --port names",
        ),
        (
            &["a.mp4", "--out", "x.safetensors"],
            "takes the values of a port, which --port names",
        ),
        (
            &["a.mp4", "--out", "x.txt"],
            "predictions are written as `.csv` or `.json`, and --out is x.txt",
        ),
    ] {
        let out = glad(&[&["predict", "--run", "none"][..], args].concat());
        let printed = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{args:?}: {printed}");
        assert!(printed.contains(why), "{args:?}: {printed}");
    }
    let out = glad(&["predict", "--run", "none", "--list", "none.txt"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("cannot open none.txt"));
}
