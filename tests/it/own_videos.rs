//! The README's graph on a person's own mp4 files: lists, a class list, and nothing of the small data set.

use crate::common::*;
use glad_video::write::WriteOptions;

#[test]
fn trains_on_lists_of_mp4_files() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    own::lists(dir.path(), 8, |folder, class, i| {
        let name = format!("clip {i}.mp4");
        own::square(&folder.join(&name), class, i, WriteOptions::default());
        name
    });
    // what the README says: copy the setting, name the lists
    let setting = own::setting(dir.path());
    let out = dir.path().join("run").display().to_string();
    let short = [
        "--set",
        "phases.warmup.epochs=1",
        "--set",
        "phases.main.epochs=2",
        "--set",
        "phases.warmup.batch=4",
    ];
    let mut args = vec![
        graph("full.toml"),
        "--setting".into(),
        setting,
        "--out".into(),
        out.clone(),
    ];
    args.extend(short.map(String::from));
    let said = ok(&args);
    assert!(
        said.contains("target") && said.lines().filter(|l| l.trim_end().ends_with(" 8")).count() == 2,
        "{said}"
    );
    let predictions = std::fs::read_to_string(format!("{out}/predictions.csv")).unwrap();
    assert!(
        predictions.contains("clip 3.mp4") && predictions.contains("down"),
        "{predictions}"
    );

    // a broken file does not stop training, and is told
    std::fs::write(data.join("target_train/clip 5.mp4"), b"not a video").unwrap();
    let out = dir.path().join("bad").display().to_string();
    args[4] = out.clone();
    args.extend(["--set", "bad_videos=0.2", "--no-share"].map(String::from));
    ok(&args);
    let summary = std::fs::read_to_string(format!("{out}/summary.json")).unwrap();
    assert!(summary.contains("clip 5.mp4"), "{summary}");

    // two of eight are more than a fifth: the run ends and names one
    std::fs::write(data.join("target_train/clip 6.mp4"), b"").unwrap();
    std::fs::write(data.join("target_train/clip 7.mp4"), b"").unwrap();
    args[4] = dir.path().join("worse").display().to_string();
    let failed = glad(&args);
    assert_eq!(failed.status.code(), Some(3));
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(
        said.contains("bad_videos") && said.contains("target_train.txt"),
        "{said}"
    );
}
