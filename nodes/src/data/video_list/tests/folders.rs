//! Folders of images, and lists that name them.

use super::*;

#[test]
fn folders_of_images() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("v")).unwrap();
    let png = |i: usize| dir.path().join(format!("v/frame{i}.png"));
    for i in 1..=4 {
        fs::write(png(i), grey_png(10 * i as u8)).unwrap();
    }
    fs::write(dir.path().join("l.txt"), "v 1 2 0\n").unwrap();
    let params = json!({"list": "l.txt", "format": "babel", "template": "frame%d.png", "start_index": 1});
    let videos = source(dir.path(), params).videos("train").unwrap();
    let frames = videos[0].footage.frames(&[0, 1]).unwrap();
    assert_eq!((frames[0].data[0], frames[1].data[0]), (20, 30));
    let images = || videos[0].footage.images().unwrap();
    let found = images();
    assert_eq!(images(), found);
    let before = videos[0].footage.stamp();
    fs::write(png(4), "another one").unwrap();
    assert_eq!(videos[0].footage.stamp(), before);
    assert_eq!(images(), found, "the segment ends before it");
    fs::write(png(3), "another one").unwrap();
    assert_ne!(videos[0].footage.stamp(), before);
    assert!(images().bytes != found.bytes && images().sizes != found.sizes);
}

/// A camera stores a portrait as a landscape with a number that says how to turn it.
#[test]
fn images_are_upright() {
    let dir = tempfile::tempdir().unwrap();
    let exif = |number: u8| {
        let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, number, 0, 0];
        [&b"MM\0*\0\0\0\x08\0\x01"[..], &entry, &[0; 4]].concat()
    };
    let pixels: Vec<u8> = (0..16 * 8 * 3).map(|i| (i / 3 % 16 * 12) as u8).collect();
    let mut jpeg = vec![];
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95)
        .encode(&pixels, 16, 8, image::ExtendedColorType::Rgb8)
        .unwrap();
    let with = |number: u8| {
        let body = [&b"Exif\0\0"[..], &exif(number)].concat();
        let length = (2 + body.len() as u16).to_be_bytes();
        [&jpeg[..2], &[0xff, 0xe1], &length, &body, &jpeg[2..]].concat()
    };
    let folder = |name: &str, files: &[(&str, Vec<u8>)]| {
        fs::create_dir_all(dir.path().join(name)).unwrap();
        for (file, bytes) in files {
            fs::write(dir.path().join(name).join(file), bytes).unwrap();
        }
        fs::write(dir.path().join("l.txt"), format!("{name} 0\n")).unwrap();
        let params = json!({"list": "l.txt", "template": files[0].0.replace('0', "%d")});
        let video = source(dir.path(), params).videos("train").unwrap().remove(0);
        (
            video.footage.frames(&[0]).map(|mut f| f.remove(0)),
            video.footage.remark(),
        )
    };
    let (stored, remark) = folder("stored", &[("0.jpg", jpeg.clone())]);
    let stored = stored.unwrap();
    assert_eq!((stored.width, stored.height, remark), (16, 8, None));
    let (turned, remark) = folder("turned", &[("0.jpg", with(6))]);
    let turned = turned.unwrap();
    assert_eq!((turned.width, turned.height), (8, 16));
    for (x, y) in [(0, 0), (7, 0), (3, 11), (7, 15)] {
        // A quarter turn clockwise.
        let (from, to) = ((7 - x) * 16 + y, y * 8 + x);
        assert_eq!(turned.data[3 * to..][..3], stored.data[3 * from..][..3], "{x} {y}");
    }
    assert_eq!(
        remark.as_deref(),
        Some("its images are turned upright, as people see them: 0.jpg has the EXIF orientation 6")
    );
    // What is no orientation changes nothing.
    for number in [0, 1, 9] {
        assert_eq!(folder("none", &[("0.jpg", with(number))]).0.unwrap(), stored);
    }
    // Each image by its own: these are then of several sizes.
    let (mixed, _) = folder("mixed", &[("0.jpg", with(6)), ("1.jpg", jpeg.clone())]);
    assert!(mixed.is_ok());
    let params = json!({"list": "l.txt", "template": "%d.jpg"});
    let e = source(dir.path(), params).videos("train").unwrap()[0]
        .footage
        .frames(&[1])
        .unwrap_err();
    assert!(
        e.to_string().contains("it has 16x8 pixels, the first frame has 8x16"),
        "{e}"
    );
    // In a png, too.
    let png = grey_png(7);
    let png = [&png[..33], &chunk(b"eXIf", &exif(3)), &png[33..]].concat();
    let (grey, remark) = folder("png", &[("0.png", png)]);
    assert_eq!(grey.unwrap().data[..], [7; 3]);
    assert!(remark.unwrap().ends_with("0.png has the EXIF orientation 3"));
}

/// A chunk of a png.
fn chunk(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let sum = |bytes: &[u8]| {
        let step = |crc: u32| {
            if crc & 1 == 1 {
                0xedb8_8320 ^ (crc >> 1)
            } else {
                crc >> 1
            }
        };
        let byte = |crc: u32, b: &u8| (0..8).fold(crc ^ u32::from(*b), |c, _| step(c));
        !bytes.iter().fold(!0u32, byte)
    };
    let named = [kind, body].concat();
    [
        &(body.len() as u32).to_be_bytes(),
        &named[..],
        &sum(&named).to_be_bytes(),
    ]
    .concat()
}

/// A png of one grey pixel, bytes stored as they are.
pub(super) fn grey_png(v: u8) -> Vec<u8> {
    // no filter, then the pixel; its adler32
    let (a, b) = (1 + u32::from(v), 1 + 1 + u32::from(v));
    let adler = (b << 16 | a).to_be_bytes();
    let data = [&[0x78, 1, 1, 2, 0, !2, !0, 0, v], &adler[..]].concat();
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]),
        chunk(b"IDAT", &data),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

#[test]
fn epic_kitchens_folders() {
    let dir = tempfile::tempdir().unwrap();
    let video = dir.path().join("P01/P01_01");
    fs::create_dir_all(&video).unwrap();
    for i in 1..=6 {
        fs::write(video.join(format!("frame_{i:010}.jpg")), grey_png(10 * i as u8)).unwrap();
    }
    let rows = "participant_id,video_id,start_frame,stop_frame,verb_class\nP01,P01_01,3,5,2\nP01,P01_01,6,7,2\n";
    fs::write(dir.path().join("l.csv"), rows).unwrap();
    let source = source(dir.path(), json!({"list": "l.csv", "format": "epic_kitchens"}));
    let videos = source.videos("train").unwrap();
    assert_eq!(
        (videos[0].footage.frame_count().unwrap(), videos[0].label),
        (3, Some(2))
    );
    let frames = videos[0].footage.frames(&[0, 2]).unwrap();
    assert_eq!((frames[0].data[0], frames[1].data[0]), (30, 50));
    assert!(videos[1].line.ends_with("l.csv:3"));
    assert_eq!(videos[1].footage.inspect(), Err(Defect::Short { stated: 2, found: 1 }));
}

/// The header says the format, and the format how images are named and numbered.
#[test]
fn a_header_of_epic_kitchens_gives_what_its_format_gives() {
    let dir = tempfile::tempdir().unwrap();
    let video = dir.path().join("P02/P02_07");
    fs::create_dir_all(&video).unwrap();
    for i in 1..=8 {
        fs::write(video.join(format!("frame_{i:010}.jpg")), grey_png(20 * i as u8)).unwrap();
    }
    fs::write(
        dir.path().join("l.csv"),
        "video_id,start_frame,stop_frame,verb_class\nP02_07,4,6,1\n",
    )
    .unwrap();
    for format in [json!({}), json!({"format": "epic_kitchens"})] {
        let mut params = format;
        params["list"] = json!("l.csv");
        let videos = source(dir.path(), params).videos("train").unwrap();
        let frames = videos[0].footage.frames(&[0, 2]).unwrap();
        assert_eq!((frames[0].data[0], frames[1].data[0]), (80, 120));
    }
    // what a node says is meant
    let params = json!({"list": "l.csv", "template": "img_%d.png"});
    let e = source(dir.path(), params).videos("train").unwrap()[0]
        .footage
        .frame_count()
        .unwrap_err();
    assert!(format!("{e:#}").contains("img_4.png"), "{e:#}");
}

/// Segments by offset need the first number, and segments by numbers of images do not.
#[test]
fn a_folder_that_begins_one_later_is_a_bad_video_unless_its_first_number_is_stated() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("g")).unwrap();
    for i in 1..=20 {
        fs::write(dir.path().join(format!("g/img_{i:05}.jpg")), grey_png(10 * i as u8)).unwrap();
    }
    fs::write(dir.path().join("l.txt"), "g 5 3 0\ng 9 4 1\n").unwrap();
    fs::write(dir.path().join("s.txt"), "g 5 9 0\n").unwrap();
    let first = |params: Value| {
        let videos = source(dir.path(), params).videos("train").unwrap();
        let frames = videos[0].footage.frames(&[0]);
        frames.map(|f| f[0].data[0]).map_err(|e| format!("{e:#}"))
    };
    for format in [json!("babel"), json!("auto")] {
        let columns = if format == "auto" {
            json!("path offset frames label")
        } else {
            json!(null)
        };
        let e = first(json!({"list": "l.txt", "format": format, "columns": columns})).unwrap_err();
        assert!(
            e.contains("l.txt:1: ") && e.contains("say `start_index = 1`, or `start_index = 0`"),
            "{e}"
        );
        let stated = |n: usize| json!({"list": "l.txt", "format": format, "columns": columns, "start_index": n});
        assert_eq!(first(stated(1)), Ok(60));
        assert_eq!(first(stated(0)), Ok(50));
    }
    // Images 5 to 9, whatever the first number is.
    assert_eq!(
        first(json!({"list": "s.txt", "columns": "path start stop label"})),
        Ok(50)
    );
}

#[test]
fn folders_whose_names_end_in_numbers_are_no_numbers_of_frames() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["take 12", "take 13", "clip"] {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        (0..4).for_each(|i| fs::write(folder.join(format!("img_{i:05}.jpg")), grey_png(9)).unwrap());
    }
    let list = |text: &str| fs::write(dir.path().join("l.txt"), text).unwrap();
    list("take 12 0\ntake 13 1\n");
    let guessed = source(dir.path(), json!({"list": "l.txt"}));
    let e = guessed.videos("train").err().unwrap().to_string();
    let wanted = "l.txt:1: can be read in two ways, and so can all lines: `take 12`, which is there (then say `columns = \"path \
                  label\"`), or `take` and its number of frames (then say `columns = \"path frames label\"`)";
    assert!(e.ends_with(wanted) && !e.contains("malformed"), "{e}");
    let scan = guessed.scan("train").unwrap();
    assert_eq!((scan.videos.len(), scan.malformed.len(), scan.undecided), (0, 1, true));
    // A list without labels: a label may be meant, whether the classes are known or not.
    list("take 12\ntake 13\n");
    let wanted = "l.txt:1: can be read in two ways, and so can all lines: `take 12`, which is there (then say `columns = \"path\"`), or \
                  `take` and its label (then say `columns = \"path label\"`)";
    for params in [
        json!({"list": "l.txt"}),
        json!({"list": "l.txt", "classes": ["a", "b"]}),
    ] {
        let guessed = source(dir.path(), params);
        let e = guessed.videos("train").err().unwrap().to_string();
        assert!(e.ends_with(wanted), "{e}");
        assert!(guessed.each("train", &mut |_| panic!("it is open")).is_err());
    }
    let paths = source(dir.path(), json!({"list": "l.txt", "columns": "path"}));
    assert_eq!(paths.videos("train").unwrap()[1].path, dir.path().join("take 13"));
    // One of the two readings is impossible: there is no folder `clip 7`.
    list("clip 7\nclip 8\n");
    assert_eq!(guessed.videos("train").unwrap()[0].label, Some(7));
    list("take 12 brush hair\n");
    let named = source(dir.path(), json!({"list": "l.txt", "classes": ["brush hair"]}));
    let e = named.videos("train").err().unwrap().to_string();
    assert!(e.contains("`take` and its number of frames"), "{e}");
    list("take 12 0\ntake 13 1\n");
    let printed = source(dir.path(), json!({"list": "l.txt", "columns": "path label"}));
    assert_eq!(printed.videos("train").unwrap()[1].footage.frame_count().unwrap(), 4);
    list("clip 4 0\nclip 4 1\n");
    assert_eq!(guessed.videos("train").unwrap().len(), 2);
}
