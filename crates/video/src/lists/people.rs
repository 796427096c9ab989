//! Lists as programs and people write them: what is unambiguous is read, for the rest a message says what to write.

use super::tests::{bad, entry, of, parse, read};
use super::*;

fn classes(names: &[&str]) -> ListOptions {
    ListOptions {
        classes: Some(names.iter().map(|n| n.to_string()).collect()),
        ..ListOptions::default()
    }
}

/// The error of a list that is rejected as a whole.
fn refused(bytes: impl AsRef<[u8]>) -> String {
    match scan(bytes.as_ref(), &ListOptions::default()) {
        Err(NotAList(what)) => what,
        Ok(found) => panic!("{found:?}"),
    }
}

fn notes(bytes: &[u8]) -> Vec<String> {
    scan(bytes, &ListOptions::default()).unwrap().notes
}

/// Two videos of classes 1 and 0.
fn two() -> Vec<(String, Option<usize>)> {
    vec![("v/a.mp4".into(), Some(1)), ("v/b.mp4".into(), Some(0))]
}

fn pairs(bytes: &[u8], options: &ListOptions) -> Vec<(String, Option<usize>)> {
    let list = read(bytes, options).unwrap_or_else(|e| panic!("{e:#?}"));
    list.into_iter().map(|e| (e.path, e.label)).collect()
}

#[test]
fn text_of_every_system_is_read() {
    let text = "v/a.mp4 1\nv/b.mp4 0\n";
    let wide = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let mark = format!("\u{feff}{text}");
    for bytes in [
        wide(&mark, u16::to_le_bytes),
        wide(&mark, u16::to_be_bytes),
        wide(text, u16::to_le_bytes),
        wide(text, u16::to_be_bytes),
        wide(&mark.replace('\n', "\r\n"), u16::to_le_bytes),
    ] {
        assert_eq!(pairs(&bytes, &ListOptions::default()), two());
        assert_eq!(notes(&bytes), ["is UTF-16 text, and was read as such"]);
    }
    for text in [
        mark.replace('\n', "\r\n"),
        text.replace('\n', "\r"),
        text.replace('\n', "\r\n"),
    ] {
        assert_eq!(pairs(text.as_bytes(), &ListOptions::default()), two());
        assert_eq!(notes(text.as_bytes()), [""; 0]);
    }
    assert_eq!(parse("a.mp4 1\rb.mp4 x y\rc.mp4 0\r").unwrap_err()[0].line, 2);
    // what Windows calls ANSI
    let printed = parse_list(b"v/a.mp4 1\nv/caf\xe9.mp4 1\n", &ListOptions::default()).unwrap_err();
    assert_eq!((printed.len(), printed[0].line), (1, 2));
    assert!(
        printed[0]
            .reason
            .contains("save the list as UTF-8 (as Windows-1252 this line is \"v/café.mp4 1\")"),
        "{printed:?}"
    );
}

/// `#` begins a comment only if whitespace or nothing follows: HMDB51 has videos whose names begin with it.
#[test]
fn names_that_begin_with_a_hash_are_data() {
    let list = "# a comment\n#\n#\ttoo\n#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi 3\n  #Dive.avi 4\n####\n";
    assert_eq!(
        parse(list).unwrap(),
        [
            entry("#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi", None, None, Some(3), 4),
            entry("#Dive.avi", None, None, Some(4), 5)
        ]
    );
    assert_eq!(class_names(b"# two\n#1 fan\nwalk\n").unwrap(), ["#1 fan", "walk"]);
}

#[test]
fn tables_of_spreadsheets_and_pandas_are_read() {
    for text in [
        "v/a.mp4,1\nv/b.mp4,0\n",
        "v/a.mp4, 1\nv/b.mp4, 0\n",
        "v/a.mp4;1\nv/b.mp4;0\n",
        "v/a.mp4\t1\nv/b.mp4\t0\n",
        "v/a.mp4|1\nv/b.mp4|0\n",
        "\"v/a.mp4\",\"1\"\r\n\"v/b.mp4\",\"0\"\r\n",
        "\"v/a.mp4\" 1\n'v/b.mp4' 0\n",
        "v/a.mp4,1,,\nv/b.mp4,0,,\n",
        "v/a.mp4,1.0\nv/b.mp4,0.0\n",
        "v/a.mp4 1.0\nv/b.mp4 0.0\n",
        "path,label\nv/a.mp4,1\nv/b.mp4,0\n",
        ",path,label\n0,v/a.mp4,1\n1,v/b.mp4,0\n",
        "Unnamed: 0,label,video_path\n0,1,v/a.mp4\n1,0,v/b.mp4\n",
        "Label;Path\n1;v/a.mp4\n0;v/b.mp4\n",
        "path label\nv/a.mp4 1\nv/b.mp4 0\n",
        "\tpath\tlabel\n0\tv/a.mp4\t1\n1\tv/b.mp4\t0\n",
        "v/a.mp4 1\n\u{feff}v/b.mp4 0\n",
        "# made by hand\npath\tlabel\nv/a.mp4\t1\nv/b.mp4\t0\n",
    ] {
        assert_eq!(pairs(text.as_bytes(), &ListOptions::default()), two(), "{text:?}");
    }
    assert_eq!(
        notes(b"v/a.mp4, 1\n"),
        ["has columns that are separated by commas, and was read so"]
    );
    // names with the separators of other columns in them
    assert_eq!(parse("a,b.mp4 3\nc,d.mp4 1\n").unwrap()[0].path, "a,b.mp4");
    assert_eq!(parse("\"a,b.mp4\",3\nc.mp4,1\n").unwrap()[0].path, "a,b.mp4");
    assert_eq!(
        parse("walk; fast/a.mp4\nrun/b.mp4\n").unwrap()[0].path,
        "walk; fast/a.mp4"
    );
    assert_eq!(
        parse("take 12\t0\ntake 13\t1\n").unwrap()[0],
        entry("take 12", None, None, Some(0), 1)
    );
    let list = parse("file,start_frame,stop_frame,class\nv.mp4,0,9,2\n").unwrap();
    assert_eq!(list, [entry("v.mp4", 0, Some(10), Some(2), 2)]);
    let list = parse("a.mp4,4,9,1\nb.mp4,8,7,0\n").unwrap();
    assert_eq!(list[1], entry("b.mp4", 8, Some(7), Some(0), 2));
    // given columns apply to tables, too
    let given = ListOptions {
        columns: Some(Columns::parse("label path _").unwrap()),
        ..ListOptions::default()
    };
    assert_eq!(
        read(b"3;my clip;x\n", &given).unwrap(),
        [entry("my clip", None, None, Some(3), 1)]
    );
}

#[test]
fn tables_that_leave_a_question_say_what_to_write() {
    let auto = ListOptions::default();
    let one = |text: &str, options: &ListOptions| {
        let printed = bad(text, options);
        assert_eq!(printed.len(), 1, "{text:?}: {printed:?}");
        printed[0].clone()
    };
    for (text, line, word) in [
        ("0,v/a.mp4,1\n1,v/b.mp4,0\n", 1, "`columns = \"_ path label\"`"),
        ("0 v/a.mp4 1\n1 v/b.mp4 0\n", 1, "`columns = \"_ path label\"`"),
        ("3 v/a.mp4\n1 v/b.mp4\n", 1, "`columns = \"label path\"`"),
        ("3,v/a.mp4\n1,v/b.mp4\n", 1, "`columns = \"label path\"`"),
        (
            "label,youtube_id,time_start,time_end,split\nwalk,-3B32lodo2M,59,69,train\n",
            1,
            "none of them the videos' path",
        ),
        (
            "path,label,split\na.mp4,1,train\n",
            1,
            "a column that is not known, `split`",
        ),
        ("path,label,class\na.mp4,1,1\n", 1, "\"label\" comes twice"),
        ("v/a.mp4 1,3\nv/b.mp4 0,2\n", 1, "separated by commas"),
        (
            "a.mp4 0 1 0\na.mp4 1 0 0\nb.mp4 0 0 1\n",
            1,
            "zeros and ones, one for each class",
        ),
        (
            "# scores\na.mp4,0,1\nb.mp4,1,0\n",
            2,
            "zeros and ones, one for each class",
        ),
        ("a.mp4 1 2 3 4\nb.mp4 5 6 7 8\n", 1, "has 4 columns after its path"),
        ("a.mp4,1,2,3,4\nb.mp4,5,6,7,8\n", 1, "has 4 columns after its path"),
    ] {
        let printed = one(text, &auto);
        assert!(
            printed.starts_with(&format!("{line}: ")) && printed.contains(word),
            "{text:?}: {printed}"
        );
    }
    let printed = one("path frames label\na.mp4 3 1\n", &of(ListFormat::Plain));
    assert!(
        printed.contains("\"path frames label\", where \"path label\" are expected"),
        "{printed}"
    );
    assert_eq!(
        parse("path frames label\na.mp4 3 1\n").unwrap()[0],
        entry("a.mp4", None, Some(3), Some(1), 2)
    );
    // numbers that are not integers, as programs write them
    for (number, word) in [
        ("1,234", "digits alone"),
        ("1.234", "digits alone"),
        ("-3", "negative"),
        ("99999999999999999999", "too large"),
        ("12;", "take the mark at its end away"),
    ] {
        let printed = bad(&format!("a.mp4 300 0\nb.mp4 {number} 1\n"), &of(ListFormat::Kinetics));
        assert!(printed.len() == 1 && printed[0].contains(word), "{number}: {printed:?}");
        let printed = bad(&format!("a.mp4 0\nb.mp4 {number}\n"), &of(ListFormat::Plain));
        assert!(printed.len() == 1 && printed[0].contains(word), "{number}: {printed:?}");
    }
    let printed = bad("a.mp4 4294967295\n", &of(ListFormat::Plain));
    assert_eq!(printed, ["1: label 4294967295 is too large"]);
    let printed = bad("a.mp4 1\nb.mp4 0 # the second\nc.mp4 0\n", &of(ListFormat::Plain));
    assert!(printed[0].ends_with("a comment has a line of its own"), "{printed:?}");
}

#[test]
fn signs_for_no_label() {
    for sign in ["-", "-1", "-1.0", "NaN", "nan", "None", "null", "N/A", "<NA>"] {
        for text in [
            format!("a.mp4 {sign}\nb.mp4 1\n"),
            format!("a.mp4 {sign}\nb.mp4 {sign}\n"),
        ] {
            for options in [ListOptions::default(), of(ListFormat::Plain), classes(&["walk", "run"])] {
                assert_eq!(
                    read(text.as_bytes(), &options).unwrap()[0],
                    entry("a.mp4", None, None, None, 1),
                    "{text}"
                );
            }
        }
    }
    assert_eq!(
        parse("a.mp4,\nb.mp4,1\n").unwrap()[0],
        entry("a.mp4", None, None, None, 1)
    );
    // a class of that name is valid
    let list = read(b"a.mp4 none\nb.mp4 walk\n", &classes(&["none", "walk"])).unwrap();
    assert_eq!(list[0].label, Some(0));
    let printed = bad("a.mp4 None\nb.mp4 walk\n", &classes(&["none", "walk"]));
    assert_eq!(printed, ["1: label \"None\" is no class: did you mean \"none\"?"]);
}

#[test]
fn class_names_of_several_words() {
    let two = classes(&["riding a bike", "brush hair"]);
    for text in [
        "v/a.mp4 riding a bike\nv/b c.mp4 brush hair\nd.mp4 -\n",
        "v/a.mp4  riding  a bike\nv/b c.mp4\tbrush hair\nd.mp4 -\n",
        "v/a.mp4 \"riding a bike\"\nv/b c.mp4 brush hair\nd.mp4 -\n",
        "v/a.mp4,riding a bike\nv/b c.mp4,brush hair\nd.mp4,\n",
        "v/a.mp4\triding a bike\nv/b c.mp4\tbrush hair\nd.mp4\t-\n",
    ] {
        let expected = [
            entry("v/a.mp4", None, None, Some(0), 1),
            entry("v/b c.mp4", None, None, Some(1), 2),
            entry("d.mp4", None, None, None, 3),
        ];
        assert_eq!(read(text.as_bytes(), &two).as_deref(), Ok(&expected[..]), "{text:?}");
    }
    let list = read(b"v/a 300 riding a bike\nv/b 20 brush hair\n", &two).unwrap();
    assert_eq!(list[0], entry("v/a", None, Some(300), Some(0), 1));
    let first = ListOptions {
        columns: Some(Columns::parse("label path").unwrap()),
        ..two.clone()
    };
    assert_eq!(
        read(b"riding a bike my clip.mp4\n", &first).unwrap()[0].path,
        "my clip.mp4"
    );
    // a name that is the end of another one
    let nested = classes(&["bike", "riding a bike"]);
    assert_eq!(read(b"v/a.mp4 riding a bike\n", &nested).unwrap()[0].label, Some(1));
    assert_eq!(read(b"v/a.mp4 bike\n", &nested).unwrap()[0].label, Some(0));
    let printed = bad("takes/my riding a bike\nb.mp4 bike\n", &nested);
    assert!(printed.len() == 1 && printed[0].contains("by a tab"), "{printed:?}");
    assert_eq!(
        read(b"takes/my\triding a bike\nb.mp4\tbike\n", &nested).unwrap()[0].label,
        Some(1)
    );
}

#[test]
fn a_class_that_is_none_is_one_that_was_meant() {
    let two = classes(&["walk", "run", "brush hair"]);
    assert_eq!(
        bad(
            "v/a.mp4 Walk\nv/b.mp4 RUN\nv/c.mp4 walc\nv/d.mp4 brush_hair\nv/e.mp4 Brush Hair\nv/f.mp4 fly\nv/g.mp4 3\n",
            &two
        ),
        [
            "1: label \"Walk\" is no class: did you mean \"walk\"?",
            "2: label \"RUN\" is no class: did you mean \"run\"?",
            "3: label \"walc\" is neither a class nor a number; did you mean \"walk\"?",
            "4: label \"brush_hair\" is no class: did you mean \"brush hair\"?",
            "5: label \"Brush Hair\" is no class: did you mean \"brush hair\"?",
            "6: label \"fly\" is neither a class nor a number",
            "7: label 3 is beyond the 3 classes (0 to 2)",
        ]
    );
    // accents of macOS
    assert_eq!(bad("a.mp4 cafe\u{301}\n", &classes(&["caf\u{e9}"])).len(), 1);
    // names that are numbers
    let printed = bad("a.mp4 1\n", &classes(&["1", "2"]));
    assert!(
        printed.len() == 1 && printed[0].contains("can be read in two ways: class number 1, \"2\""),
        "{printed:?}"
    );
    assert_eq!(read(b"a.mp4 1\n", &classes(&["0", "1"])).unwrap()[0].label, Some(1));
}

/// The published test lists of UCF101 have no labels.
#[test]
fn a_test_list_of_ucf_has_no_labels() {
    let options = of(ListFormat::UcfHmdb);
    let list = read(
        b"ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\nArchery/v_Archery_g01_c02.avi\n",
        &options,
    )
    .unwrap();
    assert_eq!(list[1], entry("Archery/v_Archery_g01_c02.avi", None, None, None, 2));
    let printed = bad("UCF-101/a.avi\nUCF-101/b.avi\nUCF-101/c.avi 3\n", &options);
    assert!(
        printed.len() == 1 && printed[0].starts_with("3: has 1 number after its path where 0 are expected"),
        "{printed:?}"
    );
}

#[test]
fn other_kinds_of_files_are_named() {
    for (bytes, what) in [
        (
            &b"{\"906\": {\"babel_sid\": 906}}"[..],
            "is JSON, not a list: write a line for each video",
        ),
        (b"[\n  {\"path\": \"a.mp4\", \"label\": 1}\n]\n", "is JSON"),
        (b"{\"path\": \"a.mp4\"}\n{\"path\": \"b.mp4\"}\n", "is JSON"),
        (b"[['a.mp4', 1], ['b.mp4', 0]]", "is JSON"),
        (b"\xef\xbb\xbf{\r\n \"a\": 1 }", "is JSON"),
        (
            b"<!DOCTYPE html>\n<html><body>404</body></html>\n",
            "is a web page (HTML)",
        ),
        (b"<?xml version=\"1.0\"?><annotation/>", "is XML"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "git lfs pull",
        ),
        (b"../../.git/annex/objects/ab/cd/SHA256E-s5--x.txt", "git annex get"),
        (b"{\\rtf1\\ansi a.mp4 1\\par}", "is rich text (RTF)"),
        (b"- path: a.mp4\n  label: 1\n", "is YAML"),
        (b"videos:\n  - a.mp4\n", "is YAML"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gunzip"),
        (b"PK\x03\x04\x14\0\0\0", "zip archive, or a workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook"),
        (b"\x80\x04\x95\x10\0\0\0", "pickle"),
        (b"\0\0\0\x20ftypisom\0\0\x02\0", "is a video"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0d", "is a single image (PNG), not a list"),
        (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
        (b"a.mp4 1\nb\0.mp4 0\n", "line 2 holds a zero byte"),
    ] {
        let printed = refused(bytes);
        assert!(printed.contains(what), "{what}: {printed}");
    }
    let utf16: Vec<u8> = "\u{feff}{\"a\": 1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(refused(utf16).starts_with("is JSON"));
    // names of files that begin like documents
    for text in [
        "[group] clip.mp4 3\n",
        "{a} clip.mp4 3\n",
        "Godfather.mp4 1\n",
        "<3.mp4 1\n",
        "a: b.mp4 1\n",
        "BZ.mp4 0\n",
    ] {
        assert_eq!(parse(text).unwrap().len(), 1, "{text}");
    }
    assert_eq!(parse("").unwrap(), []);
    let dir = tempfile::tempdir().unwrap();
    let printed = read_list(dir.path(), &ListOptions::default()).unwrap_err().to_string();
    assert!(printed.contains("it is a folder"), "{printed}");
}

#[test]
fn names_of_classes() {
    assert_eq!(
        class_names(b"\xef\xbb\xbfwalk\r\n\r\nriding a bike\r\n").unwrap(),
        ["walk", "riding a bike"]
    );
    assert_eq!(class_names(b"\"walk\",\n\"run\",\n").unwrap(), ["walk", "run"]);
    let fault = |bytes: &[u8]| class_names(bytes).unwrap_err();
    let twice = fault(b"walk\nrun\n# more\nwalk\nrun\nwalk\n");
    assert_eq!(
        (twice.what.as_str(), &twice.lines[..]),
        ("classes come twice: walk, run", &[1, 4, 6, 2, 5][..])
    );
    assert_eq!(fault(b"\n# none\n").what, "names no classes");
    // The advice is that of a file of names, whatever the file is.
    let form = "write the names of the classes, one a line, in the order of their numbers from 0";
    let kinds: [(&[u8], &str, &str); 6] = [
        (b"[\"walk\", \"run\"]", "is JSON, not a file of class names", form),
        (b"{\"walk\": 0, \"run\": 1}", "is JSON, not a file of class names", form),
        (b"names:\n  - walk\n", "is YAML, not a file of class names", form),
        (
            b"<?xml version=\"1.0\"?><classes/>",
            "is XML, not a file of class names",
            form,
        ),
        (
            b"\x93NUMPY\x01\0v\0",
            "is an array of NumPy",
            "write it as text, the name of a class on each line",
        ),
        (b"\x1f\x8b\x08\0\0\0", "is compressed (gzip)", "unpack it (`gunzip`)"),
    ];
    for (bytes, what, advice) in kinds {
        let BadNames {
            what: is,
            advice: to_do,
            ..
        } = fault(bytes);
        assert_eq!((is.as_str(), to_do.as_str()), (what, advice));
    }
    assert_eq!(fault(b"\n").advice, form);
    // UCF101's classInd.txt
    let numbered = fault(b"1 ApplyEyeMakeup\n2 ApplyLipstick\n");
    assert_eq!(
        (numbered.what.contains("numbers its lines from 1"), numbered.lines),
        (true, vec![1])
    );
    assert_eq!(class_names(b"0\n1\n").unwrap(), ["0", "1"]);
    assert_eq!(class_names(b"level 0\nlevel 1\n").unwrap(), ["level 0", "level 1"]);
    assert_eq!(fault(b"walk\ncaf\xe9\n").lines, [2]);
}

/// A doubt concerns all lines, and is not counted as one that is malformed.
#[test]
fn a_list_whose_columns_are_open_has_no_malformed_lines() {
    let of = |text: &str| scan(text.as_bytes(), &ListOptions::default()).unwrap();
    for text in [
        "0,v/a.mp4,1\n1,v/b.mp4,0\n",
        "path,label,class\na.mp4,1,1\n",
        "a.mp4 1 5 0\nb.mp4 2 9 1\n",
    ] {
        let found = of(text);
        assert!(found.undecided && found.entries.is_empty(), "{text}");
        let line = found.bad[0].clone();
        let printed = found.whole(Path::new("l.txt")).unwrap_err().to_string();
        assert_eq!(printed, format!("l.txt:{}: {}", line.line, line.reason));
    }
    assert!(!of("a.mp4 0\nb.mp4 x y\n").undecided);
}

#[test]
fn labels_from_one_are_recognised_where_classes_are_named() {
    let two = classes(&["walk", "run"]);
    let hint = "; the labels begin with 1, and classes are numbered from 0: make each label 1 less";
    let beyond = "label 2 is beyond the 2 classes (0 to 1)";
    assert_eq!(
        bad("a.mp4 1\nb.mp4 2\nc.mp4 1\nd.mp4 -\n", &two),
        [format!("2: {beyond}{hint}")]
    );
    // One is 0, one is a name, one is too high for that, or it is the only number.
    for text in ["a.mp4 0\nb.mp4 2\nc.mp4 1\n", "a.mp4 1\nb.mp4 2\nc.mp4 run\n"] {
        assert_eq!(bad(text, &two), [format!("2: {beyond}")]);
    }
    let printed = bad("a.mp4 1\nb.mp4 2\nc.mp4 3\n", &two);
    assert_eq!(
        printed,
        [
            format!("2: {beyond}"),
            "3: label 3 is beyond the 2 classes (0 to 1)".into()
        ]
    );
    let numbered = |text: &str, options: &ListOptions| scan(text.as_bytes(), options).unwrap().numbered;
    assert!(numbered("a.mp4 1\nb.mp4 0\nc.mp4 -\n", &two));
    assert!(numbered("a.mp4 1\n", &ListOptions::default()));
    for text in ["a.mp4 walk\nb.mp4 run\n", "a.mp4 walk\nb.mp4 0\n", "a.mp4 -\n"] {
        assert!(!numbered(text, &two), "{text}");
    }
}

/// Ten thousand lines take a hundredth of the time allowed for a million.
#[test]
fn entries_are_packed() {
    let text: String = (0..10_000)
        .map(|i| format!("class_{:02}/video_{i:07}.mp4 300 {}\n", i % 40, i % 40))
        .collect();
    let list = parse_list(text.as_bytes(), &ListOptions::default()).unwrap();
    assert_eq!(list.len(), 10_000);
    assert_eq!(
        list.get(9_999).map(owned_path),
        Some(("class_39/video_0009999.mp4".to_owned(), Some(300), Some(39)))
    );
    assert!(list.bytes() <= 10_000 * (24 + 26), "{}", list.bytes());
}

fn owned_path(e: ListEntry<'_>) -> (String, Option<usize>, Option<usize>) {
    (e.path.to_owned(), e.frames, e.label)
}
