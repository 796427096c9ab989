//! Lists of every format, valid and malformed.

use super::*;
use proptest::prelude::*;

/// A [`ListEntry`] that owns its path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub path: String,
    pub label: Option<usize>,
    pub frames: Option<usize>,
    pub offset: Option<usize>,
    pub checksum: Option<Checksum>,
    pub line: usize,
}

fn owned(e: ListEntry<'_>) -> Entry {
    Entry {
        path: e.path.to_owned(),
        label: e.label,
        frames: e.frames,
        offset: e.offset,
        checksum: e.checksum,
        line: e.line,
    }
}

pub(super) fn read(bytes: &[u8], options: &ListOptions) -> Result<Vec<Entry>, Vec<BadLine>> {
    parse_list(bytes, options).map(|entries| entries.iter().map(owned).collect())
}

pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Vec<BadLine>> {
    read(text.as_bytes(), &ListOptions::default())
}

pub(super) fn of(format: ListFormat) -> ListOptions {
    ListOptions {
        format,
        ..ListOptions::default()
    }
}

/// The malformed lines of a list, as `line: reason`.
pub(super) fn bad(text: &str, options: &ListOptions) -> Vec<String> {
    let bad = parse_list(text.as_bytes(), options).err().unwrap_or_default();
    bad.into_iter().map(|b| format!("{}: {}", b.line, b.reason)).collect()
}

pub(super) fn entry(
    path: &str,
    offset: impl Into<Option<usize>>,
    frames: Option<usize>,
    label: Option<usize>,
    line: usize,
) -> Entry {
    let offset = offset.into();
    Entry {
        path: path.to_owned(),
        label,
        frames,
        offset,
        checksum: None,
        line,
    }
}

#[test]
fn the_common_lists() {
    assert_eq!(
        parse("a/b.mp4 3\n\n# c\nd.mp4 -\n").unwrap(),
        [
            entry("a/b.mp4", None, None, Some(3), 1),
            entry("d.mp4", None, None, None, 4)
        ]
    );
    assert_eq!(
        parse("squat/x_1_11 300 7\r\nkick/y_2_12 250 2\r\n").unwrap(),
        [
            entry("squat/x_1_11", None, Some(300), Some(7), 1),
            entry("kick/y_2_12", None, Some(250), Some(2), 2)
        ]
    );
    assert_eq!(
        parse("train/1234 96 54 0\n").unwrap(),
        [entry("train/1234", 96, Some(54), Some(0), 1)]
    );
    assert_eq!(
        parse("\u{feff}a.mp4\nb.mp4\n").unwrap(),
        [entry("a.mp4", None, None, None, 1), entry("b.mp4", None, None, None, 2)]
    );
    assert_eq!(parse("# nothing\n").unwrap(), []);
}

#[test]
fn numeric_paths_are_paths() {
    assert_eq!(
        parse("1234 96 54 0\n1235 0 60 1\n").unwrap()[1],
        entry("1235", 0, Some(60), Some(1), 2)
    );
    assert_eq!(parse("17\n18\n").unwrap()[0], entry("17", None, None, None, 1));
}

#[test]
fn spaces_in_paths() {
    let list = parse("a b.mp4 1\nc.mp4 0\nsome  long name.mp4 2\n").unwrap();
    assert_eq!(list[0].path, "a b.mp4");
    assert_eq!(list[2].path, "some  long name.mp4");

    let ambiguous = "a.mp4 1\nb.mp4 2\ntake 2 1\n";
    let bad = parse(ambiguous).unwrap_err();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].line, 3);
    let options = ListOptions {
        columns: Some(Columns::parse("path label").unwrap()),
        ..ListOptions::default()
    };
    let list = read(ambiguous.as_bytes(), &options).unwrap();
    assert_eq!(list[2], entry("take 2", None, None, Some(1), 3));
}

#[test]
fn every_malformed_line_is_named() {
    let text = b"a 10 1\nb 0 1\nc 12\nd 12 x\n# e\nf -3 2\n\xff\xfe 3 3\ng 12 5\nh 1 2\n";
    let bad = read(text, &ListOptions::default()).unwrap_err();
    let lines: Vec<usize> = bad.iter().map(|b| b.line).collect();
    assert_eq!(lines, [2, 3, 4, 6, 7], "{bad:#?}");
    assert!(bad[1].reason.contains("2 of the 3 columns"), "{bad:?}");
}

#[test]
fn classes_by_name_or_number() {
    let options = ListOptions {
        classes: Some(vec!["jump".into(), "run".into()]),
        ..ListOptions::default()
    };
    let list = read(b"a 10 run\nb 11 0\nc 12 -\n", &options).unwrap();
    let labels: Vec<Option<usize>> = list.iter().map(|e| e.label).collect();
    assert_eq!(labels, [Some(1), Some(0), None]);
    let bad = read(b"a 10 run\nb 11 2\nc 12 walk\n", &options).unwrap_err();
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert!(bad[0].reason.contains("beyond the 2 classes"));
}

#[test]
fn columns_can_be_given() {
    let options = ListOptions {
        columns: Some(Columns::parse("label _ path frames").unwrap()),
        ..ListOptions::default()
    };
    let list = read(b"3 x my clip 90\n", &options).unwrap();
    assert_eq!(list[0], entry("my clip", None, Some(90), Some(3), 1));
    assert!(Columns::parse("label frames").is_err());
    assert!(Columns::parse("path label label").is_err());
    assert!(Columns::parse("path lable").is_err());
}

#[test]
fn files_and_their_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l.txt");
    std::fs::write(&path, "a.mp4 1\nb.mp4 x y\nc.mp4 2\nd.mp4\n").unwrap();
    let e = read_list(&path, &ListOptions::default()).unwrap_err();
    let text = e.to_string();
    assert!(text.starts_with("2 of 4 lines"), "{text}");
    assert!(text.contains("l.txt:2: ") && text.contains("l.txt:4: "), "{text}");
    let missing = dir.path().join("m.txt");
    assert!(matches!(
        read_list(&missing, &ListOptions::default()),
        Err(ListError::Io { .. })
    ));
}

const FORMATS: [ListFormat; 7] = [
    ListFormat::Auto,
    ListFormat::Plain,
    ListFormat::Kinetics,
    ListFormat::Babel,
    ListFormat::UcfHmdb,
    ListFormat::MixamoKinetics,
    ListFormat::EpicKitchens,
];

#[test]
fn a_format_says_the_columns() {
    let read = |text: &str, format| {
        let found = scan(text.as_bytes(), &of(format)).unwrap();
        assert_eq!(found.bad, []);
        (found.columns, owned(found.entries.get(0).unwrap()))
    };
    let columns = |text: &str, format| read(text, format).0;
    assert_eq!(columns("a.avi 3\n", ListFormat::Plain), "path label");
    assert_eq!(columns("walk/a b 12.mp4 3\n", ListFormat::MixamoKinetics), "path label");
    // a path that ends in a number is unambiguous if the format is given
    let (_, e) = read("take 2 1\n", ListFormat::Plain);
    assert_eq!(e, entry("take 2", None, None, Some(1), 1));
    assert_eq!(columns("k/a_1_11 300 3\n", ListFormat::Kinetics), "path frames label");
    assert_eq!(
        columns("train/7 96 120 3\n", ListFormat::Babel),
        "path offset frames label"
    );
    assert_eq!(columns("UCF-101/v_a.avi 3\n", ListFormat::UcfHmdb), "path label");
    assert_eq!(columns("UCF-101/v_a 120 3\n", ListFormat::UcfHmdb), "path frames label");
    let numbers_that_lack = "a 300 3\nb 7\n\nc 0 3\nd x 3\n";
    assert_eq!(
        bad(numbers_that_lack, &of(ListFormat::Kinetics)),
        [
            "2: has 2 of the 3 columns \"path frames label\"",
            "4: has no frames",
            "5: number of frames \"x\" is not a number from 0 (\"path frames label\")",
        ]
    );
    assert_eq!(
        bad("a 300 3\nb 0 40 3\nc 1 -5 2\n", &of(ListFormat::Babel)),
        [
            "1: has 3 of the 4 columns \"path offset frames label\"",
            "3: number of frames \"-5\" is not a number from 0 (it is negative) (\"path offset frames label\")",
        ]
    );
    assert_eq!(
        bad("UCF-101/a.avi 3\nUCF-101/b.avi\n", &of(ListFormat::UcfHmdb)),
        ["2: has 1 of the 2 columns \"path label\", as most lines have"]
    );
}

/// Ambiguous lists are not guessed.
#[test]
fn a_guess_that_may_be_wrong_is_an_error() {
    let auto = ListOptions::default();
    let two_ways = "a.mp4 0 50 1\n# c\nb.mp4 30 90 2\n";
    let printed = bad(two_ways, &auto);
    assert_eq!(printed.len(), 1, "{printed:?}");
    assert!(
        printed[0].starts_with("3: ")
            && printed[0].contains("90 frames from frame 30 on")
            && printed[0].contains("babel"),
        "{printed:?}"
    );
    // frames before their end: only one reading is possible
    assert_eq!(bad("a.mp4 0 50 1\nb.mp4 90 30 2\n", &auto), [""; 0]);
    // from the beginning on, both readings mean the same
    assert_eq!(bad("a.mp4 0 50 1\nb.mp4 0 30 2\n", &auto), [""; 0]);
    let options = ListOptions {
        columns: Some(Columns::parse("path start stop label").unwrap()),
        ..ListOptions::default()
    };
    let list = read(two_ways.as_bytes(), &options).unwrap();
    assert_eq!(list[1], entry("b.mp4", 30, Some(61), Some(2), 3));

    let named = "v/a.avi walk\nv/b.avi run\n";
    let printed = bad(named, &auto);
    assert!(
        printed.len() == 1 && printed[0].contains("names of the classes"),
        "{printed:?}"
    );
    let options = ListOptions {
        classes: Some(vec!["run".into(), "walk".into()]),
        ..ListOptions::default()
    };
    assert_eq!(read(named.as_bytes(), &options).unwrap()[0].label, Some(1));
    assert_eq!(parse("some name.mp4\nb c.mp4\n").unwrap()[1].path, "b c.mp4");

    let printed = bad("a.mp4,3\nb.mp4,1\nc.mp4\n", &auto);
    assert!(
        printed.len() == 1 && printed[0].starts_with("1: seems to be separated by commas"),
        "{printed:?}"
    );
}

/// Non-ASCII spaces are spaces, too.
#[test]
fn a_line_of_strange_spaces_is_malformed() {
    let text = "a.mp4 1\n\u{3000}\u{a0}\n";
    assert_eq!(bad(text, &ListOptions::default()).len(), 1);
    assert_eq!(bad(text, &of(ListFormat::Plain)).len(), 1);
}

#[test]
fn frames_from_start_to_stop() {
    let options = ListOptions {
        columns: Some(Columns::parse("path start stop label").unwrap()),
        first_frame: 1,
        ..ListOptions::default()
    };
    let list = read(b"v 1 1 0\nv 11 20 0\n", &options).unwrap();
    assert_eq!((list[0].offset, list[0].frames), (Some(0), Some(1)));
    assert_eq!((list[1].offset, list[1].frames), (Some(10), Some(10)));
    assert_eq!(
        bad("v 0 4 0\nv 9 8 0\n", &options),
        [
            "1: begins at frame 0, and frames are numbered from 1",
            "2: ends at frame 8, before it begins at 9"
        ]
    );
    for wrong in ["path start label", "path start stop frames", "path offset start stop"] {
        assert!(Columns::parse(wrong).is_err(), "{wrong}");
    }
}

const EPIC: &str = "\
uid,participant_id,video_id,narration,start_timestamp,stop_timestamp,start_frame,stop_frame,verb,verb_class,all_nouns
0,P01,P01_01,open door,00:00:00.14,00:00:03.37,8,202,open,3,['door']
1,P08,P08_21,\"put down, the cup\",00:00:04.37,00:00:06.17,262,262,put,1,\"['cup', 'table']\"
";

#[test]
fn epic_kitchens() {
    // its header alone identifies it
    for format in [ListFormat::EpicKitchens, ListFormat::Auto] {
        let list = read(EPIC.as_bytes(), &of(format)).unwrap();
        assert_eq!(
            list,
            [
                entry("P01/P01_01", 7, Some(195), Some(3), 2),
                entry("P08/P08_21", 261, Some(1), Some(1), 3)
            ]
        );
    }
    // columns by name, in any order; a target's list may have no classes; the participant is in the video's name
    let target = "\u{feff}stop_frame\tvideo_id\tstart_frame\r\n20\tP22_7\t11.0\r\n";
    assert_eq!(
        read(target.as_bytes(), &of(ListFormat::EpicKitchens)).unwrap(),
        [entry("P22/P22_7", 10, Some(10), None, 2)]
    );
    // verbs by name, where there is no number
    let named = ListOptions {
        classes: Some(vec!["take".into(), "put".into()]),
        ..of(ListFormat::EpicKitchens)
    };
    let list = read(b"video_id,start_frame,stop_frame,verb\nP01_1,1,2,put\n", &named).unwrap();
    assert_eq!(list[0].label, Some(1));
}

#[test]
fn epic_kitchens_malformed() {
    let epic = of(ListFormat::EpicKitchens);
    let rows = "\
video_id,start_frame,stop_frame,verb_class
P01_01,1,2,0
P01_01,5,4,0
P01_01,0,4,0
P01_01,x,4,0
P01_01,1,4
,1,4,0
kitchen,1,4,0
P01_01,1,,0
P01_01,1,4,take

P01_01,1,4,
";
    assert_eq!(
        bad(rows, &epic),
        [
            "3: ends at frame 4, before it begins at 5",
            "4: begins at frame 0, and frames are numbered from 1",
            "5: start_frame \"x\" is not the number of a frame",
            "6: has 3 columns where the first row names 4",
            "7: has no video_id",
            "8: has no participant_id, and video_id \"kitchen\" does not say it (P01_01)",
            "9: has no stop_frame",
            "10: label \"take\" is not a number from 0 in verb_class; a video without a label has \"-\", and labels may \
             be names where the classes are given (`classes`)",
        ]
    );
    assert_eq!(scan(rows.as_bytes(), &epic).unwrap().entries.len(), 2);
    assert_eq!(
        bad("P01_01 1 4 0\n", &epic),
        [
            "1: the first row has to name the columns of EPIC-KITCHENS, and has no video_id, start_frame, stop_frame; it \
          has p01_01 1 4 0"
        ]
    );
    let beyond = ListOptions {
        classes: Some(vec!["take".into(), "put".into()]),
        ..epic.clone()
    };
    assert_eq!(
        bad("video_id,start_frame,stop_frame,verb_class\nP01_01,1,2,8\n", &beyond),
        ["2: label 8 is beyond the 2 classes (0 to 1)"]
    );
    assert_eq!(bad("", &epic), [""; 0]);
    let bytes = b"video_id,start_frame,stop_frame\n\xff\xfe,1,2\n";
    assert_eq!(scan(bytes, &epic).unwrap().bad[0].reason, "video_id is not UTF-8 text");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, header: bool) {
        let head = if header { &b"video_id,start_frame,stop_frame,verb_class\n"[..] } else { b"" };
        let bytes = [head, &bytes].concat();
        for format in FORMATS {
            let _ = read(&bytes, &of(format));
        }
    }

    /// Every line ends up among the entries or among the malformed ones, whatever it holds.
    #[test]
    fn no_line_is_lost(lines in prop::collection::vec("[a-z0-9#/., -]{0,18}", 0..12)) {
        let text = lines.join("\n");
        let expected: Vec<usize> = (1..)
            .zip(&lines)
            .filter(|(_, l)| !l.trim().is_empty() && !text::is_comment(l.trim().as_bytes()))
            .map(|(n, _)| n)
            .collect();
        for format in [ListFormat::Plain, ListFormat::Kinetics, ListFormat::Babel] {
            let found = scan(text.as_bytes(), &of(format)).unwrap();
            let mut got: Vec<usize> = found.entries.iter().map(|e| e.line).collect();
            got.extend(found.bad.iter().map(|b| b.line));
            got.sort_unstable();
            prop_assert_eq!(&got, &expected);
        }
    }

    #[test]
    fn what_is_written_is_read(
        rows in prop::collection::vec(("[a-z]{1,6}/[a-z_]{1,9}( [a-z]{1,5}\\.mp4)?", 0usize..500, 1usize..400, 0usize..12), 1..20)
    ) {
        let text: String = rows.iter().map(|(p, o, f, l)| format!("{p} {o} {f} {l}\n")).collect();
        let list = read(text.as_bytes(), &of(ListFormat::Babel)).unwrap();
        for (i, (e, (p, o, f, l))) in list.iter().zip(&rows).enumerate() {
            prop_assert_eq!(e, &entry(p, *o, Some(*f), Some(*l), i + 1));
        }
    }
}

#[test]
fn a_checksum_may_stand_behind_the_columns_of_any_list() {
    let word = "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    let sum = word.parse().unwrap();
    for format in [
        ListFormat::Auto,
        ListFormat::Plain,
        ListFormat::Kinetics,
        ListFormat::Babel,
        ListFormat::UcfHmdb,
        ListFormat::MixamoKinetics,
    ] {
        let columns = match format {
            ListFormat::Kinetics => "30 3",
            ListFormat::Babel => "4 8 3",
            _ => "3",
        };
        let options = ListOptions {
            format,
            ..ListOptions::default()
        };
        // Of some lines, or of all.
        let text = format!("a b.mp4 {columns} {word}\nc.mp4 {columns}\n");
        let entries = read(text.as_bytes(), &options).unwrap();
        assert_eq!(entries[0].path, "a b.mp4", "{format:?}");
        assert_eq!((entries[0].checksum, entries[1].checksum), (Some(sum), None));
        assert_eq!(entries[0].label, Some(3));
    }
    let bare = read(format!("a.mp4\t{word}\n").as_bytes(), &ListOptions::default()).unwrap();
    assert_eq!((bare[0].path.as_str(), bare[0].checksum), ("a.mp4", Some(sum)));
    let options = ListOptions {
        columns: Some(Columns::parse("label path").unwrap()),
        ..ListOptions::default()
    };
    let first = read(format!("3 a.mp4 {word}\n").as_bytes(), &options).unwrap();
    assert_eq!((first[0].path.as_str(), first[0].checksum), ("a.mp4", Some(sum)));
    for names in [",sum", ""] {
        let text = format!("video_id,start_frame,stop_frame,verb_class{names}\nP01_01,1,9,2,{word}\n");
        let entries = read(text.as_bytes(), &ListOptions::default()).unwrap();
        assert_eq!((entries[0].checksum, entries[0].frames), (Some(sum), Some(9)));
    }
    let bad = read(b"a.mp4 0 b3:12\n", &ListOptions::default()).unwrap_err();
    assert!(bad[0].reason.contains("64 hexadecimal digits"), "{}", bad[0].reason);
}
