//! Lists of files that are there, and what is reported where they are not.

mod flow;
mod folders;

use super::super::testing::{dims, problems};
use super::*;
use crate::data::listing::from_home;
use anyhow::Result;
use glad_video::write::VideoWriter;
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;

/// A folder with `a.mp4` of 12 and `b.mp4` of 5 frames, 16 by 16; frame i is grey, 20·i.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, frames) in [("a.mp4", 12), ("b.mp4", 5)] {
        let mut video = VideoWriter::create(dir.path().join(name), 16, 16, 24.0).unwrap();
        for i in 0..frames {
            video.push(&[20 * i as u8; 16 * 16 * 3]).unwrap();
        }
        video.finish().unwrap();
    }
    dir
}

fn source(dir: &Path, params: Value) -> Listed {
    let params: VideoList = serde_json::from_value(params).unwrap();
    assert_eq!(params.validate(), []);
    Listed::new(&params, dir.to_path_buf()).unwrap()
}

/// The videos of a list with this text, as (line, label, frames).
fn read(text: &str, mut params: Value) -> Result<Vec<(usize, Option<usize>, usize)>> {
    let dir = folder();
    fs::write(dir.path().join("l.txt"), text).unwrap();
    params["list"] = json!("l.txt");
    let videos = source(dir.path(), params).videos("train")?;
    let row = |v: &Arc<Video>| {
        let line = v.line.rsplit(':').next().unwrap().parse().unwrap();
        let frames = v.footage.frame_count().map_err(DataError::into_anyhow)?;
        Ok((line, v.label, frames))
    };
    videos.iter().map(row).collect()
}

/// What is wrong with each video of a split that cannot be opened.
fn unreadable(source: &dyn Source, split: &str) -> Vec<String> {
    let videos = source.videos(split).unwrap();
    let bad = videos.iter().filter_map(|v| v.footage.frame_count().err());
    bad.map(|e| format!("{e:#}")).collect()
}

#[test]
fn frames_are_counted_and_segments_taken_from_the_list() {
    let whole = [(1, Some(0), 12), (3, Some(1), 5)];
    assert_eq!(read("a.mp4 0\n\nb.mp4 1\n", json!({})).unwrap(), whole);
    assert_eq!(read("a.mp4 999 0\n# b\nb.mp4 1 1\n", json!({})).unwrap(), whole);
    assert_eq!(
        read("a.mp4 0 7 0\na.mp4 7 5 -\n", json!({})).unwrap(),
        [(1, Some(0), 7), (2, None, 5)]
    );
    assert_eq!(
        read(
            "run 3 a.mp4\n",
            json!({"columns": "label offset path", "classes": ["walk", "run"]})
        )
        .unwrap(),
        [(1, Some(1), 9)]
    );
    let e = read("a.mp4 7 6 0\n", json!({})).unwrap_err().to_string();
    assert!(
        e.contains("l.txt:1: ") && e.contains("a.mp4") && e.contains("12 frames"),
        "{e}"
    );
}

#[test]
fn frames_of_a_segment_are_the_files() {
    let dir = folder();
    fs::write(dir.path().join("l.txt"), "a.mp4 4 6 0\n").unwrap();
    let params = json!({"list": "l.txt", "format": "babel"});
    let videos = source(dir.path(), params).videos("test").unwrap();
    let footage = &videos[0].footage;
    let greys = |frames: Vec<Frame>| frames.iter().map(|f| f.data[0]).collect::<Vec<_>>();
    for (got, wanted) in greys(footage.frames(&[5, 0, 5]).unwrap())
        .into_iter()
        .zip([180, 80, 180u8])
    {
        assert!(got.abs_diff(wanted) <= 3, "{got}, {wanted}");
    }
    let mut seen = vec![];
    let mut take = |i, f: Frame| {
        seen.push((i, f.data[0]));
        Ok(())
    };
    footage.visit(&[3, 1, 3], &mut take).unwrap();
    seen.sort();
    assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), [1, 3]);
    assert!(seen[0].1.abs_diff(100) <= 3 && seen[1].1.abs_diff(140) <= 3, "{seen:?}");
    let e = footage.frames(&[6]).unwrap_err().to_string();
    assert!(e.contains("l.txt:1: ") && e.contains("frame 6"), "{e}");
    let stop = footage
        .visit(&[1], &mut |_, _| Err(DataError::sample("enough")))
        .unwrap_err();
    assert_eq!(stop.to_string(), "enough");
}

#[test]
fn a_stamp_changes_with_the_file_and_the_segment() {
    let dir = folder();
    fs::write(
        dir.path().join("l.txt"),
        "a.mp4 0 6 0\na.mp4 1 6 0\na.mp4 0 6 1\nb.mp4 0 5 0\n",
    )
    .unwrap();
    let stamps = || -> Vec<String> {
        let params = json!({"list": "l.txt", "format": "babel"});
        let videos = source(dir.path(), params).videos("train").unwrap();
        videos.iter().map(|v| v.footage.stamp().unwrap()).collect()
    };
    let before = stamps();
    assert_eq!(before, stamps());
    assert_eq!(before[0], before[2]);
    assert!(before[0] != before[1] && before[0] != before[3]);
    fs::copy(dir.path().join("b.mp4"), dir.path().join("a.mp4")).unwrap();
    assert_ne!(stamps()[0], before[0]);
}

#[test]
fn single_files_are_read_as_those_of_a_list_without_one() {
    let dir = folder();
    // Neither the list nor the file of classes is there.
    let params = json!({"list": "gone.txt", "classes": "gone.txt", "format": "babel"});
    let source = source(dir.path(), params);
    let videos = source
        .of_files(&[dir.path().join("b.mp4"), dir.path().join("a.mp4")])
        .unwrap();
    assert_eq!(
        videos.iter().map(|v| (v.index, v.label)).collect::<Vec<_>>(),
        [(0, None), (1, None)]
    );
    assert_eq!(videos[1].footage.frame_count().unwrap(), {
        let list = dir.path().join("l.txt");
        fs::write(&list, "a.mp4").unwrap();
        self::source(dir.path(), json!({"list": "l.txt"}))
            .videos("train")
            .unwrap()[0]
            .footage
            .frame_count()
            .unwrap()
    });
    assert_eq!(videos[0].footage.images(), None);
}

#[test]
fn generated_data_is_named_by_what_it_follows_from() {
    let of = |list: Value, more: Value| {
        let mut params = json!({"list": list, "generate": {"mini": {"seed": 7}}});
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let listed =
            Listed::new(&serde_json::from_value(params).unwrap(), "/graphs".into()).unwrap_or_else(|_| panic!());
        listed.made_in("/cache".into()).generated("train")
    };
    let made = of(json!("source_train.txt"), json!({})).unwrap();
    assert!(
        made.0.starts_with("/cache") && made.1.starts_with("mini 1 {\"seed\":7"),
        "{made:?}"
    );
    assert_eq!(of(json!("/own/list.txt"), json!({})), None);
    // Others' lists in its folder, and lists of others' files.
    assert_eq!(of(json!("mine.txt"), json!({})), None);
    assert_eq!(of(json!("../source_train.txt"), json!({})), None);
    assert_eq!(of(json!("source_train.txt"), json!({"root": "/own"})), None);
    let mixed = json!({"train": "/own/list.txt", "test": "source_test.txt"});
    assert_eq!(of(mixed, json!({})), None);
}

#[test]
fn labels_are_values_and_none_is_the_largest() {
    let dir = folder();
    fs::write(dir.path().join("l.txt"), "a.mp4 3\nb.mp4 -\n").unwrap();
    let source = source(dir.path(), json!({"list": "l.txt"}));
    let label = |v: &Arc<Video>| match &source.values(v).unwrap()[..] {
        [HostValue::Video(same), HostValue::Label(l)] if Arc::ptr_eq(same, v) => *l,
        v => panic!("{v:?}"),
    };
    let videos = source.videos("train").unwrap();
    assert_eq!(videos.iter().map(label).collect::<Vec<_>>(), [3, u32::MAX]);
}

#[test]
fn what_is_wrong_with_a_list_is_reported_at_once() {
    let e = read("a.mp4 10 0\nb.mp4 x 1\nc.mp4 9 2\nd.mp4 1\n", json!({}))
        .unwrap_err()
        .to_string();
    assert!(e.contains("l.txt:2: ") && e.contains("l.txt:4: "), "{e}");
    let e = read("a.mp4 0\nb.mp4 2\n", json!({"classes": ["walk", "run"]}))
        .unwrap_err()
        .to_string();
    assert!(e.contains("l.txt:2: label 2 is beyond the 2 classes"), "{e}");
    let e = read("# nothing\n\n", json!({})).unwrap_err().to_string();
    assert!(e.ends_with("l.txt: the list names no videos"), "{e}");
    let e = read("a.mp4 0\nc.mp4 0\n", json!({})).unwrap_err().to_string();
    assert!(e.contains("l.txt:2: ") && e.contains("c.mp4: cannot read"), "{e}");
}

#[test]
fn lists_by_split() {
    let dir = folder();
    fs::write(dir.path().join("a.txt"), "a.mp4 0\n").unwrap();
    fs::create_dir(dir.path().join("lists")).unwrap();
    fs::write(dir.path().join("lists/b.txt"), "a.mp4 0\nb.mp4 1\n").unwrap();
    let source = source(
        dir.path(),
        json!({"list": {"train": "a.txt", "test": "lists/b.txt", "val": "c.txt"}}),
    );
    assert_eq!(source.splits(), ["train", "test", "val"]);
    assert_eq!(source.videos("train").unwrap().len(), 1);
    assert_eq!(source.videos("test").unwrap()[1].path, dir.path().join("lists/b.mp4"));
    let e = source.videos("extra").err().unwrap().to_string();
    assert_eq!(e, "there is no list for split `extra`, only for `train`, `test`, `val`");
    let e = source.videos("val").err().unwrap().to_string();
    assert!(e.contains("c.txt: cannot read"), "{e}");
    let c = dir.path().join("c.txt");
    assert_eq!(source.absent(), [format!("{} is not there", c.display())]);
    // the videos of lists/b.txt are beside it, which is not where they are
    let bad = unreadable(&source, "test");
    assert!(
        bad.len() == 2 && bad[0].contains("b.txt:1: ") && bad[1].contains("b.txt:2: "),
        "{bad:?}"
    );
    let rooted = json!({"list": {"test": "lists/b.txt"}, "root": "."});
    assert_eq!(unreadable(&self::source(dir.path(), rooted), "test"), [""; 0]);
}

#[test]
fn classes_of_a_file() {
    let dir = folder();
    fs::write(dir.path().join("l.txt"), "a.mp4 run\nb.mp4 0\n").unwrap();
    fs::write(dir.path().join("classes.txt"), "# two\nwalk\n\nrun\n").unwrap();
    let source = source(dir.path(), json!({"list": "l.txt", "classes": "classes.txt"}));
    assert_eq!(source.classes().unwrap().unwrap(), ["walk", "run"]);
    let labels: Vec<_> = source.videos("train").unwrap().iter().map(|v| v.label).collect();
    assert_eq!(labels, [Some(1), Some(0)]);
    fs::write(dir.path().join("classes.txt"), "walk\nwalk\n").unwrap();
    let e = source.videos("train").err().unwrap().to_string();
    assert!(
        e.contains("classes.txt: classes come twice: walk (lines 1, 2); give each class one line"),
        "{e}"
    );
    fs::remove_file(dir.path().join("classes.txt")).unwrap();
    assert!(source.absent()[0].contains("classes.txt is not there"));
}

#[test]
fn data_is_made_on_first_use() {
    let cache = tempfile::tempdir().unwrap();
    let mini = json!({
        "source_train": 2, "source_test": 1, "target_train": 1, "target_val": 1, "target_test": 1,
        "auxiliary_train": 1, "auxiliary_test": 1, "source_seconds": [0.5, 0.6], "target_seconds": [0.3, 0.4],
        "auxiliary_seconds": [0.3, 0.4],
    });
    let params = json!({"list": {"train": "source_train.txt"}, "classes": "classes.txt", "generate": {"mini": mini}});
    let source = source(Path::new("elsewhere"), params).made_in(cache.path().to_path_buf());
    let e = source.videos("train").err().unwrap().to_string();
    assert!(
        e.contains("source_train.txt is not there yet: the small data set is made on first use"),
        "{e}"
    );
    assert_eq!(source.absent().len(), 1);
    assert_eq!(source.classes().unwrap(), None);
    let last = std::sync::Mutex::new((0, 0));
    source
        .ensure(&|what, done, of| {
            assert_eq!(what, "making the small data set");
            let mut last = last.lock().unwrap();
            *last = (done.max(last.0), of);
        })
        .unwrap();
    assert_eq!(*last.lock().unwrap(), (8, 8));
    assert_eq!(source.absent(), [""; 0]);
    assert_eq!(unreadable(&source, "train"), [""; 0]);
    let videos = source.videos("train").unwrap();
    assert_eq!(videos.len(), 2);
    assert!((10..20).contains(&videos[0].footage.frame_count().unwrap()));
    assert_eq!(source.classes().unwrap().unwrap().len(), 12);
    source.ensure(&|what, _, _| panic!("{what}, once more")).unwrap();
}

#[test]
fn a_backend_that_is_not_there_is_reported() {
    let found = |backend| problems::<VideoList>(json!({"list": "l.txt", "backend": backend}), &dims(&[]));
    assert_eq!(found("rust"), [""; 0]);
    let reported = found("ffmpeg");
    if cfg!(feature = "ffmpeg") {
        assert_eq!(reported, [""; 0]);
    } else {
        assert_eq!(
            reported,
            ["backend: this program was built without FFmpeg: build it with `--features ffmpeg`, or take `auto`"]
        );
    }
}

#[test]
fn mistakes_are_reported() {
    let found = |p| problems::<VideoList>(p, &dims(&[]));
    let wrong = found(json!({
        "list": "l.txt", "columns": "path lable", "template": "img.jpg", "classes": ["a", "a"],
        "generate": {"mini": {"size": 47}},
    }));
    assert_eq!(wrong.len(), 4, "{wrong:?}");
    for (problem, start) in wrong
        .iter()
        .zip(["columns: ", "template: ", "classes: ", "generate.mini: "])
    {
        assert!(problem.starts_with(start), "{problem}");
    }
    assert!(found(json!({"list": 3}))[0].starts_with("list: expected a path, or a table"));
    assert_eq!(
        found(json!({"list": {"train": 3}})),
        ["list: the list of split `train` is a path, not 3"]
    );
}

/// What the linter finds of each line, and what the list says of it.
#[test]
fn files_are_inspected_without_being_decoded() {
    let dir = folder();
    fs::write(dir.path().join("broken.mp4"), "no video").unwrap();
    let text = "a.mp4 2 9 0\na.mp4 12 1 0\na.mp4 8 5 0\nb.mp4 0 5 1\nno.mp4 0 5 1\nbroken.mp4 0 5 1\nc.mp4 5\n";
    fs::write(dir.path().join("l.txt"), text).unwrap();
    let scan = source(dir.path(), json!({"list": "l.txt"})).scan("train").unwrap();
    assert_eq!(scan.columns, "path offset frames label");
    assert_eq!(scan.malformed.len(), 1);
    assert!(scan.malformed[0].line.ends_with("l.txt:7"), "{:?}", scan.malformed);
    let found: Vec<_> = scan.videos.iter().map(|v| v.footage.inspect()).collect();
    assert_eq!(
        found[..5],
        [
            Ok(9),
            Err(Defect::Offset { offset: 12, found: 12 }),
            Err(Defect::Short { stated: 5, found: 4 }),
            Ok(5),
            Err(Defect::Missing)
        ]
    );
    assert!(
        matches!(&found[5], Err(Defect::Unreadable(e)) if e.contains("broken.mp4")),
        "{found:?}"
    );
    let stated = scan.videos[1].footage.stated();
    assert_eq!((stated.offset, stated.frames), (Some(12), Some(1)));
    // of whole files: fewer frames than the list says, or more
    fs::write(dir.path().join("l.txt"), "a.mp4 300 0\nb.mp4 3 0\n").unwrap();
    let scan = source(dir.path(), json!({"list": "l.txt"})).scan("train").unwrap();
    assert_eq!(
        scan.videos[0].footage.inspect(),
        Err(Defect::Short { stated: 300, found: 12 })
    );
    assert_eq!(scan.videos[1].footage.inspect(), Ok(5));
}

#[test]
fn lists_of_ones_own_need_no_data_to_be_made() {
    let dir = folder();
    fs::write(dir.path().join("l.txt"), "a.mp4 0\n").unwrap();
    let own = dir.path().join("l.txt").display().to_string();
    let source = |list: Value| source(dir.path(), json!({"list": list, "generate": {"mini": {}}}));
    let cache = dir.path().join("cache");
    let own_alone = source(json!({"train": own})).made_in(cache.clone());
    own_alone.ensure(&|what, _, _| panic!("{what}")).unwrap();
    assert_eq!(own_alone.videos("train").unwrap().len(), 1);
    let both = source(json!({"train": own, "test": "target_test.txt"})).made_in(cache);
    assert_eq!(both.absent().len(), 1, "made on first use");
}

#[test]
fn a_format_and_columns_say_the_same_thing_twice() {
    let found = problems::<VideoList>(
        json!({"list": "l.txt", "format": "kinetics", "columns": "path label"}),
        &dims(&[]),
    );
    assert_eq!(found, ["columns: `format` says the columns already"]);
    let found = problems::<VideoList>(json!({"list": "l.txt", "format": "epic"}), &dims(&[]));
    assert!(found[0].contains("epic_kitchens"), "{found:?}");
}

/// What is wrong with a file as a whole.
fn fault(source: &Listed) -> FileFault {
    match source.scan("train").unwrap_err() {
        SourceError::File(fault) => fault,
        e => panic!("{e:#}"),
    }
}

#[test]
fn files_that_are_of_no_use_are_named_with_what_to_do() {
    let dir = folder();
    let source = source(dir.path(), json!({"list": "l.txt", "classes": "classes.txt"}));
    fs::write(dir.path().join("classes.txt"), "walk\nrun\nwalk\n").unwrap();
    fs::write(dir.path().join("l.txt"), "a.mp4 walk\n").unwrap();
    let found = fault(&source);
    assert_eq!(
        (found.role, found.file),
        ("the names of the classes", dir.path().join("classes.txt"))
    );
    assert_eq!(
        (found.what.as_str(), &found.lines[..]),
        ("classes come twice: walk", &[1, 3][..])
    );
    fs::remove_file(dir.path().join("classes.txt")).unwrap();
    assert!(fault(&source).what.starts_with("cannot read the classes: "));
    fs::write(dir.path().join("classes.txt"), "walk\nrun\n").unwrap();
    fs::write(dir.path().join("l.txt"), "{\"1\": {\"labels\": []}}").unwrap();
    let found = fault(&source);
    assert_eq!((found.role, found.what.as_str()), ("the list", "is JSON, not a list"));
    assert!(found.advice.starts_with("write a line for each video"), "{found:?}");
    let e = source.videos("train").err().unwrap().to_string();
    assert!(
        e.contains("l.txt: is JSON, not a list; write a line for each video"),
        "{e}"
    );
}

#[test]
fn the_home_folder_may_begin_a_path() {
    let home = std::env::home_dir().unwrap();
    for path in ["~/v/a.mp4", "$HOME/v/a.mp4", "${HOME}/v/a.mp4"] {
        assert_eq!(from_home(path), home.join("v/a.mp4"));
    }
    for path in ["v/~/a.mp4", "~", "~anna/a.mp4", "$DATA/a.mp4", "./~/a.mp4"] {
        assert_eq!(from_home(path), Path::new(path));
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("l.txt"), "~/v/a.mp4 0\n").unwrap();
    let videos = source(dir.path(), json!({"list": "l.txt"})).videos("train").unwrap();
    assert_eq!(videos[0].path, home.join("v/a.mp4"));
    // Not there, and below the list's folder: the advice is about what the list has.
    let name = "a-name-that-no-home-folder-has.mp4";
    fs::write(dir.path().join(name), "").unwrap();
    fs::write(dir.path().join("l.txt"), format!("$HOME/{name} 0\n")).unwrap();
    let videos = source(dir.path(), json!({"list": "l.txt"})).videos("train").unwrap();
    let clue = videos[0].footage.clue().unwrap();
    assert_eq!(clue.found, [dir.path().join(name)]);
    assert!(clue.advice.ends_with("take `$HOME/` away"), "{}", clue.advice);
}

#[test]
fn a_file_that_is_not_there_is_looked_for_under_other_names() {
    let dir = folder();
    let list = "a 0\nno.mp4 0\nB.mp4 0\nhttps://example.org/a.mp4 0\n";
    fs::write(dir.path().join("l.txt"), list).unwrap();
    let source = source(dir.path(), json!({"list": "l.txt"}));
    let videos = source.videos("train").unwrap();
    let clue = |i: usize| videos[i].footage.clue().map(|c| (c.to_string(), c.advice));
    let (found, advice) = clue(0).unwrap();
    assert_eq!(found, format!("{} is", dir.path().join("a.mp4").display()));
    assert!(advice.contains("`.mp4`"), "{advice}");
    assert_eq!(clue(1), None);
    assert!(clue(2).unwrap().0.ends_with("b.mp4 is"));
    assert_eq!(clue(3).unwrap().0, "");
    let e = format!("{:#}", videos[0].footage.frame_count().unwrap_err());
    assert!(e.contains("a.mp4 is there: write the names with their endings"), "{e}");
    assert_eq!(unreadable(&source, "train").len(), 4);
}

/// What a list says is the same whether its videos are made or not.
#[test]
fn lines_are_given_without_videos() {
    let dir = folder();
    fs::write(
        dir.path().join("l.txt"),
        "a.mp4 2 5 1\n\nb.mp4 1 0 -\nsub/c.mp4 0 3 2\n",
    )
    .unwrap();
    let listed = |params| source(dir.path(), params);
    let source = listed(json!({"list": "l.txt", "root": "."}));
    assert!(source.each("train", &mut |_| panic!("it is malformed")).is_err());
    let source = listed(json!({"list": "l.txt", "columns": "path offset frames label"}));
    assert!(source.each("train", &mut |_| panic!("it is malformed")).is_err());
    fs::write(
        dir.path().join("l.txt"),
        "a.mp4 2 5 1\n\nb.mp4 1 1 -\nsub/c.mp4 0 3 2\n",
    )
    .unwrap();
    let mut given = vec![];
    source
        .each("train", &mut |l| {
            given.push((
                format!("{}:{}", l.list.display(), l.line),
                l.path.to_path_buf(),
                l.label,
                l.stated,
            ));
        })
        .unwrap();
    let made: Vec<_> = source.videos("train").unwrap();
    let made: Vec<_> = made
        .iter()
        .map(|v| (v.line.clone(), v.path.clone(), v.label, v.footage.stated()))
        .collect();
    assert_eq!(given, made);
    assert_eq!(given.len(), 3);
}
