use super::*;

/// The files found, relative to the root, and the advice.
fn clue(files: &[&str], written: &str, numbers: &[usize]) -> Option<(Vec<String>, String)> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match file.ends_with('/') {
            true => fs::create_dir_all(path).unwrap(),
            false => fs::write(path, "").unwrap(),
        }
    }
    let clue = Nearby::new(root.clone()).clue(written, numbers)?;
    let name = |p: &PathBuf| p.strip_prefix(&root).unwrap_or(p).display().to_string();
    Some((clue.found.iter().map(name).collect(), clue.advice))
}

#[test]
fn names_that_differ_as_lists_differ() {
    let there = [
        "v/a.mp4",
        "v/b c.mp4",
        "v/caf\u{e9}.mp4",
        "v/Walk/x.avi",
        "v/d/",
        "v/e.avi",
        "v/e.mp4",
    ];
    for (written, found, word) in [
        (r"v\a.mp4", "v/a.mp4", "backslashes"),
        ("v/a.mp4,", "v/a.mp4", "commas"),
        ("“v/a.mp4”", "v/a.mp4", "quotes"),
        (r"'v\a.mp4';", "v/a.mp4", "backslashes"),
        ("v/b%20c.mp4", "v/b c.mp4", "%20"),
        ("v/a", "v/a.mp4", "with their endings, `.mp4`"),
        ("v/a.avi", "v/a.mp4", "with their endings, `.mp4`"),
        ("v/d.mp4", "v/d", "without an ending"),
        ("v/A.MP4", "v/a.mp4", "spelled on the disk"),
        ("V/walk/x.avi", "v/Walk/x.avi", "spelled on the disk"),
        ("v/b_c.mp4", "v/b c.mp4", "spelled on the disk"),
        ("v/cafe\u{301}.mp4", "v/caf\u{e9}.mp4", "spelled on the disk"),
        ("v/\u{200b}a.mp4", "v/a.mp4", "spelled on the disk"),
        (r"V\WALK\x", "v/Walk/x.avi", "with their endings, `.avi`"),
        ("0 v/a.mp4", "v/a.mp4", "before the path is a column"),
        ("v/a.mp4 walk", "v/a.mp4", "after the path is a column"),
        ("v/a.mp4 0.0 1.5 walk", "v/a.mp4", "after the path is a column"),
        ("v/b c.mp4 00:01 00:05 walk", "v/b c.mp4", "after the path is a column"),
        ("v/a.mp4:", "v/a.mp4", "colons"),
        ("v/a.mp4: walk", "v/a.mp4", "after the path is a column"),
        (
            "v/a.mp4=walk",
            "v/a.mp4",
            "the mark after the path separates no columns",
        ),
        (
            "v/a.mp4，walk",
            "v/a.mp4",
            "the mark after the path separates no columns",
        ),
        (
            "v/b c.mp4→riding a bike",
            "v/b c.mp4",
            "the mark after the path separates no columns",
        ),
        ("/home/me/data/v/a.mp4", "v/a.mp4", "take `home/me/data/` away"),
        (r"C:\data\v\a.mp4", "v/a.mp4", "take `C:/data/` away"),
        ("data/v/a.mp4", "v/a.mp4", "`root = "),
    ] {
        let (paths, advice) = clue(&there, written, &[]).unwrap_or_else(|| panic!("{written}"));
        // from the parent folder, if both begin with the root's name
        let paths = paths.join(" ");
        assert!(
            paths == found || paths.ends_with(&format!("data/{found}")),
            "{written}: {paths}"
        );
        assert!(advice.contains(word), "{written}: {advice}");
    }
    let (paths, _) = clue(&there, "v/e", &[]).unwrap();
    assert_eq!(paths, ["v/e.avi", "v/e.mp4"]);
    assert_eq!(clue(&there, "v/f.mp4", &[]), None);
    assert_eq!(clue(&there, "w/f.mp4", &[3]), None);
    assert_eq!(clue(&[], "", &[]), None);
}

#[test]
fn paths_from_home_that_are_not() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("data/v")).unwrap();
    fs::create_dir_all(dir.path().join("home/v")).unwrap();
    fs::write(dir.path().join("data/v/a.mp4"), "").unwrap();
    fs::write(dir.path().join("home/v/B.mp4"), "").unwrap();
    let nearby = Nearby::new(dir.path().join("data"));
    let of = |rest: &str| nearby.clue_from_home("~/", rest, &dir.path().join("home").join(rest));
    let clue = of("v/a.mp4").unwrap();
    assert_eq!(clue.found, [dir.path().join("data/v/a.mp4")]);
    assert!(
        clue.advice.ends_with("not to the home folder: take `~/` away"),
        "{}",
        clue.advice
    );
    assert_eq!(of("v/b.mp4").unwrap().found, [dir.path().join("home/v/B.mp4")]);
    assert_eq!(of("v/c.mp4"), None);
}

#[test]
fn folders_whose_names_end_in_numbers() {
    let (paths, advice) = clue(&["take 12/", "take 13 4/"], "take", &[12]).unwrap();
    assert!(
        paths == ["take 12"] && advice.contains("`columns = \"path label\"`"),
        "{paths:?} {advice}"
    );
    assert_eq!(
        clue(&["take 12/", "take 13 4/"], "take", &[13, 4]).unwrap().0,
        ["take 13 4"]
    );
}

#[test]
fn addresses_and_variables() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a b.mp4"), "").unwrap();
    let nearby = Nearby::new("elsewhere".into());
    let of = |text: &str| nearby.clue(text, &[]).unwrap();
    let file = of(&format!("file://{}/a%20b.mp4", dir.path().display()));
    assert_eq!(file.found, [dir.path().join("a b.mp4")]);
    assert!(file.advice.contains("without `file://`"));
    assert!(of("https://example.org/a.mp4").advice.contains("fetch the files"));
    assert!(of("s3://bucket/a.mp4").advice.contains("fetch the files"));
    for text in ["$DATA/a.mp4", "${DATA}/a.mp4", "%USERPROFILE%\\a.mp4", "~anna/a.mp4"] {
        assert!(of(text).advice.contains("write the path out"), "{text}");
    }
    assert!(of(r"D:\videos\a.mp4").advice.contains("paths of Windows"));
}
