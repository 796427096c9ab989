use super::super::testing::{build_cx, dims, node, problems};
use super::*;
use anyhow::Result;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn source(folder: &Path, params: Value) -> Box<dyn Source> {
    let dims = dims(&[("D", 2)]);
    let mut cx = build_cx(&dims);
    cx.folder = folder.to_path_buf();
    match node::<FeatureList>(params).build(&cx) {
        Ok(Body::Source(s)) => s,
        Ok(_) => panic!("not a source"),
        Err(p) => panic!("{p:?}"),
    }
}

/// An array of so many rows of two numbers, counted from `first`.
fn npy(rows: usize, first: f32) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 2), }}\n");
    let numbers = (0..2 * rows).flat_map(|i| (first + i as f32).to_le_bytes());
    let length = (header.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes()]
        .concat()
        .into_iter()
        .chain(numbers)
        .collect()
}

fn folder(list: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("l.txt"), list).unwrap();
    fs::write(dir.path().join("a.npy"), npy(4, 0.0)).unwrap();
    fs::create_dir(dir.path().join("b")).unwrap();
    for i in 1..4 {
        fs::write(dir.path().join(format!("b/img_{i:05}.npy")), npy(1, 10.0 * i as f32)).unwrap();
    }
    dir
}

fn error(video: &Video) -> String {
    format!("{:#}", video.footage.frame_count().unwrap_err())
}

#[test]
fn a_video_is_a_file_or_a_folder_with_a_file_for_each_row() {
    let dir = folder("a.npy 1\n");
    let videos = source(dir.path(), json!({"list": "l.txt", "size": "D"}))
        .videos("train")
        .unwrap();
    let a = &videos[0];
    assert_eq!((a.label, a.footage.frame_count().unwrap()), (Some(1), 4));
    assert_eq!(a.footage.rows(&[3, 0, 3]).unwrap(), [6., 7., 0., 1., 6., 7.]);
    let line = format!(
        "{}:1: {}",
        dir.path().join("l.txt").display(),
        dir.path().join("a.npy").display()
    );
    let e = a.footage.rows(&[4]).unwrap_err().to_string();
    assert_eq!(e, format!("{line} has no row 4, but 4"));
    assert_eq!(
        a.footage.frames(&[0]).unwrap_err().to_string(),
        format!("{line} has features, and no frames")
    );
    fs::write(dir.path().join("l.txt"), "b 0\n").unwrap();
    let params = json!({"list": "l.txt", "size": 2, "template": "img_%05d.npy", "start_index": 1});
    let videos = source(dir.path(), params).videos("train").unwrap();
    assert_eq!(videos[0].footage.inspect(), Ok(3));
    assert_eq!(videos[0].footage.rows(&[2, 0]).unwrap(), [30., 31., 10., 11.]);
}

#[test]
fn segments_are_rows_of_the_file() {
    let dir = folder("a.npy 1 2 0\na.npy 4 1 0\na.npy 2 3 0\n");
    let params = json!({"list": "l.txt", "size": 2, "format": "babel"});
    let videos = source(dir.path(), params).videos("train").unwrap();
    assert_eq!(videos[0].footage.frame_count().unwrap(), 2);
    assert_eq!(videos[0].footage.rows(&[1, 0]).unwrap(), [4., 5., 2., 3.]);
    assert!(videos[0].footage.rows(&[2]).is_err());
    assert_eq!(videos[1].footage.inspect(), Err(Defect::Offset { offset: 4, found: 4 }));
    assert_eq!(videos[2].footage.inspect(), Err(Defect::Short { stated: 3, found: 2 }));
    let e = error(&videos[2]);
    assert!(e.ends_with("a.npy has 2 frames where the list says 3"), "{e}");
}

#[test]
fn a_folder_of_predict_is_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("features/train");
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("000000-x.npy"), npy(3, 1.0)).unwrap();
    fs::write(
        at.join("index.csv"),
        "video,label,file,shape,offset,frames\n/videos/x.mp4,1,000000-x.npy,3x2,5,7\n",
    )
    .unwrap();
    let params = json!({"list": {"train": "features/train"}, "size": 2, "classes": ["run", "sit"]});
    let source = source(dir.path(), params);
    let videos = source.videos("train").unwrap();
    assert_eq!(videos[0].path, at.join("000000-x.npy"));
    assert_eq!(
        (videos[0].label, videos[0].line.ends_with("index.csv:2")),
        (Some(1), true)
    );
    assert_eq!(videos[0].footage.rows(&[0]).unwrap(), [1., 2.]);
    assert!(source.absent().is_empty());
    let origin = Origin {
        path: "/videos/x.mp4".into(),
        stated: Stated {
            offset: Some(5),
            frames: Some(7),
        },
    };
    assert_eq!(videos[0].footage.origin(), Some(&origin));
    let mut lines = vec![];
    source
        .each("train", &mut |l| {
            lines.push((l.line, l.label, l.numbered, l.origin.cloned()));
        })
        .unwrap();
    assert_eq!(lines, [(2, Some(1), true, Some(origin))]);
}

#[test]
fn the_classes_of_folders_are_those_next_to_their_indices() {
    let dir = tempfile::tempdir().unwrap();
    let index = |folder: &str, classes: &str| {
        let at = dir.path().join(folder);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("index.csv"), "video,label,file,shape\nx.mp4,1,x.npy,3x2\n").unwrap();
        fs::write(at.join("classes.txt"), classes).unwrap();
    };
    let classes = |params: Value| source(dir.path(), params).classes();
    let lists = json!({"train": "a", "test": "b"});
    index("a", "run\nsit\n");
    index("b", "run\nsit\n");
    let params = json!({"list": lists, "size": 2});
    assert_eq!(classes(params.clone()).unwrap(), Some(vec!["run".into(), "sit".into()]));
    // Labels beyond them are found.
    index("a", "run\n");
    index("b", "run\n");
    let e = source(dir.path(), params.clone())
        .videos("train")
        .unwrap_err()
        .to_string();
    assert!(e.contains("label 1 is beyond the 1 class"), "{e}");
    // Two that differ say nothing certain, but `classes` does.
    index("b", "sit\nrun\n");
    index("a", "run\nsit\n");
    let e = classes(params).unwrap_err().to_string();
    assert!(
        e.contains("b/classes.txt: has other classes than ") && e.contains("give `classes`"),
        "{e}"
    );
    let params = json!({"list": lists, "size": 2, "classes": ["walk", "sit"]});
    assert_eq!(classes(params).unwrap(), Some(vec!["walk".into(), "sit".into()]));
}

#[test]
fn what_is_wrong_with_a_file_names_its_line() {
    let dir = folder("a.npy 0\nA.npy 0\nb 0\nc.npy 0\nd.npy 0\n");
    fs::write(dir.path().join("c.npy"), b"no array").unwrap();
    fs::write(dir.path().join("d.npy"), npy(1, f32::MAX)).unwrap();
    let listed = |params| source(dir.path(), params);
    let source = listed(json!({"list": "l.txt", "size": 3}));
    let e = error(&source.videos("train").unwrap()[0]);
    assert!(
        e.contains("l.txt:1: ") && e.contains("rows of 3 numbers are expected (`size`)"),
        "{e}"
    );
    let source = listed(json!({"list": "l.txt", "size": 2}));
    let videos = source.videos("train").unwrap();
    assert_eq!(videos[1].footage.inspect(), Err(Defect::Missing));
    let e = error(&videos[1]);
    assert!(e.contains("l.txt:2: ") && e.contains("a.npy is there"), "{e}");
    assert!(
        error(&videos[2]).contains("it is a folder: say by `template`"),
        "{}",
        error(&videos[2])
    );
    assert!(error(&videos[3]).contains("the file holds no arrays"));
    // f32::MAX + 1 is f32::MAX again: it is finite.
    videos[4].footage.probe(&[0]).unwrap();
    assert_eq!(videos.iter().filter(|v| v.footage.frame_count().is_err()).count(), 3);
    let source = listed(json!({"list": "l.txt", "size": 2, "template": "%d.npy"}));
    let videos = source.videos("train").unwrap();
    assert!(error(&videos[0]).contains("it is a file, and `template` says"));
    assert!(error(&videos[2]).contains("the folder has no 0.npy; look at `template` and `start_index`"));
    let e = listed(json!({"list": {"train": "none"}, "size": 2}))
        .videos("train")
        .unwrap_err();
    assert!(e.to_string().contains("cannot read the list"), "{e}");
}

/// Two processes that look at a changed folder see that it has changed.
#[test]
fn a_folder_is_known_by_its_files() {
    let dir = folder("b 0\n");
    let params = json!({"list": "l.txt", "size": 2, "template": "img_%05d.npy", "start_index": 1});
    let stamp = || {
        source(dir.path(), params.clone()).videos("train").unwrap()[0]
            .footage
            .images()
            .unwrap()
    };
    let before = stamp();
    assert_eq!(before.bytes, 3 * npy(1, 0.0).len() as u64);
    fs::write(dir.path().join("b/img_00004.npy"), npy(1, 0.0)).unwrap();
    assert_ne!(stamp(), before);
}

#[test]
fn a_file_of_another_content_than_listed_is_bad() -> Result<()> {
    let dir = folder("");
    let sum = glad_video::Checksum::of(&dir.path().join("a.npy"))?;
    fs::write(dir.path().join("l.txt"), format!("a.npy 0 {sum}\n"))?;
    let params = json!({"list": "l.txt", "size": 2});
    assert_eq!(
        source(dir.path(), params.clone()).videos("train").unwrap()[0]
            .footage
            .inspect(),
        Ok(4)
    );
    fs::write(dir.path().join("a.npy"), npy(4, 1.0))?;
    let e = error(&source(dir.path(), params).videos("train").unwrap()[0]);
    assert!(e.contains("and the list says"), "{e}");
    Ok(())
}

#[test]
fn mistakes_are_reported() {
    let found = |params| problems::<FeatureList>(params, &dims(&[("D", 0)]));
    assert_eq!(
        found(json!({"list": "l", "size": "D"})),
        ["size: `size` must be at least 1"]
    );
    assert_eq!(
        found(json!({"list": "l", "size": 2, "template": "x.npy", "columns": "label", "format": "plain"})),
        [
            "columns: columns \"label\" have no path",
            "columns: `format` says the columns already",
            "template: frame template \"x.npy\" has no number; an example is \"img_%05d.jpg\"",
        ]
    );
    assert_eq!(
        found(json!({"list": "l", "size": 2, "start_index": 1})),
        ["start_index: numbers the files of a folder, and there is no `template`"]
    );
}
