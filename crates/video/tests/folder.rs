//! Folders of image frames.

use std::fs;
use std::path::Path;

use glad_video::{
    BackgroundOptions, EvenMedian, Limits, Numbering, OpenOptions, RgbFrame, Template, Video, VideoError, background,
};
use image::{ImageFormat, RgbImage};

fn save(folder: &Path, name: &str, format: ImageFormat, level: u8, width: u32, height: u32) {
    let picture = RgbImage::from_pixel(width, height, image::Rgb([level, 255 - level, 40]));
    picture.save_with_format(folder.join(name), format).unwrap();
}

/// `img_00001.png` to `img_00010.png`, 6x4 pixels, red 10 times the number.
fn frames() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for i in 1..=10 {
        let name = format!("img_{i:05}.png");
        save(folder.path(), &name, ImageFormat::Png, 10 * i, 6, 4);
    }
    folder
}

fn options() -> OpenOptions {
    OpenOptions {
        template: Template::parse("img_%05d.png").unwrap(),
        start_index: 1,
        ..Default::default()
    }
}

fn red(frame: &RgbFrame) -> u8 {
    frame.pixel(0, 0)[0]
}

#[test]
fn a_folder_is_a_video() {
    let folder = frames();
    let video = Video::open(folder.path(), &options()).unwrap();
    assert_eq!((video.frame_count(), video.width(), video.height()), (10, 6, 4));
    assert_eq!(video.fps(), None);
    let got: Vec<u8> = video.frames(&[9, 0, 0]).unwrap().iter().map(red).collect();
    assert_eq!(got, [100, 10, 10]);
}

#[test]
fn a_segment_is_counted_from_its_offset() {
    let folder = frames();
    // File number = index + start_index + offset.
    let segment = OpenOptions {
        offset: 3,
        frames: Some(4),
        ..options()
    };
    let video = Video::open(folder.path(), &segment).unwrap();
    assert_eq!(video.frame_count(), 4);
    let got: Vec<u8> = video.frames(&[0, 3]).unwrap().iter().map(red).collect();
    assert_eq!(got, [40, 70]);
    let again = OpenOptions {
        index: video.index().cloned(),
        ..segment.clone()
    };
    let video = Video::open(folder.path(), &again).unwrap();
    assert_eq!(red(&video.frames(&[0]).unwrap()[0]), 40);

    let short = OpenOptions {
        frames: Some(8),
        ..segment
    };
    let e = Video::open(folder.path(), &short).unwrap_err().to_string();
    assert!(e.contains("img_00011.png is missing"), "{e}");
}

#[test]
fn jpeg_is_read_and_contents_decide_not_names() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "img_00000.jpg", ImageFormat::Jpeg, 90, 16, 8);
    save(folder.path(), "img_00001.jpg", ImageFormat::Png, 91, 16, 8);
    let video = Video::open(folder.path(), &OpenOptions::default()).unwrap();
    let got = video.frames(&[0, 1]).unwrap();
    assert!(red(&got[0]).abs_diff(90) <= 2 && red(&got[1]) == 91);
}

#[test]
fn frames_are_decoded_only_when_asked_for() {
    let folder = frames();
    fs::write(folder.path().join("img_00005.png"), b"no picture").unwrap();
    save(folder.path(), "img_00006.png", ImageFormat::Png, 1, 5, 4);
    let video = Video::open(folder.path(), &options()).unwrap();
    assert!(video.frames(&[0, 1, 2, 3, 6, 9]).is_ok());
    for bad in [4, 5] {
        let e = video.frames(&[0, bad]).unwrap_err();
        assert!(matches!(e, VideoError::Damaged { frame, .. } if frame == bad), "{e}");
        assert!(e.to_string().contains(&format!("img_{:05}.png", bad + 1)), "{e}");
    }
}

#[test]
fn a_missing_image_is_an_error_where_others_follow() {
    let folder = frames();
    fs::remove_file(folder.path().join("img_00004.png")).unwrap();
    let e = Video::open(folder.path(), &options()).unwrap_err();
    assert!(matches!(e, VideoError::Malformed { .. }), "{e}");
    let text = e.to_string();
    assert!(
        text.contains("img_00004.png is missing, and 6 images come after it, up to img_00010.png"),
        "{text}"
    );
    // In a segment, only if it is inside.
    let segment = |offset, frames| OpenOptions {
        offset,
        frames,
        ..options()
    };
    assert_eq!(
        Video::open(folder.path(), &segment(0, Some(3))).unwrap().frame_count(),
        3
    );
    assert_eq!(Video::open(folder.path(), &segment(4, None)).unwrap().frame_count(), 6);
    assert!(Video::open(folder.path(), &segment(1, None)).is_err());
    let e = Video::open(folder.path(), &segment(1, Some(4)))
        .unwrap_err()
        .to_string();
    assert!(e.contains("img_00004.png is missing"), "{e}");
    // Names in another form do not match.
    let folder = frames();
    for name in ["img_12.png", "img_00099.jpg", "img_0000a.png", "._img_00012.png"] {
        save(folder.path(), name, ImageFormat::Png, 1, 6, 4);
    }
    assert_eq!(Video::open(folder.path(), &options()).unwrap().frame_count(), 10);
}

/// A picture that compresses badly, so that a cut takes a part of it away.
fn noise(format: ImageFormat) -> Vec<u8> {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let picture = RgbImage::from_fn(64, 48, |_, _| image::Rgb([next(), next(), next()]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn a_damaged_image_is_an_error_with_its_name() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png] {
        let whole = noise(format);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("img_00000.jpg");
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            Video::open(folder.path(), &OpenOptions::default())?.frames(&[0])
        };
        let good = read(&whole).unwrap();
        // Data after the end of a picture is ignored.
        assert!(read(&[&whole[..], b"more"].concat()).unwrap() == good);
        for cut in [
            whole.len() - 1,
            whole.len() - 3,
            whole.len() * 3 / 4,
            whole.len() / 2,
            30,
            1,
            0,
        ] {
            let e = read(&whole[..cut]).map(|_| cut).unwrap_err();
            assert!(e.to_string().contains("img_00000.jpg"), "{e}");
        }
        // The rest was never written.
        for from in [whole.len() * 3 / 4, whole.len() / 2] {
            let mut hole = whole.clone();
            hole[from..].fill(0);
            let e = read(&hole).map(|_| from).unwrap_err();
            assert!(e.to_string().contains("img_00000.jpg"), "{format:?} {from}: {e}");
        }
    }
    // A code that is not in the picture's tables.
    let whole = noise(ImageFormat::Jpeg);
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = whole.clone();
    let middle = whole.len() / 2;
    (middle..middle + 200)
        .step_by(2)
        .for_each(|i| (bytes[i], bytes[i + 1]) = (0xff, 0));
    fs::write(folder.path().join("img_00000.jpg"), bytes).unwrap();
    let video = Video::open(folder.path(), &OpenOptions::default()).unwrap();
    let e = video.frames(&[0]).map(|_| "a picture").unwrap_err();
    assert!(matches!(e, VideoError::Damaged { .. }), "{e}");
}

#[test]
#[cfg(unix)]
fn what_is_no_file_is_refused_unopened() {
    let folder = frames();
    let pipe = folder.path().join("img_00002.png");
    fs::remove_file(&pipe).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let e = Video::open(&pipe, &OpenOptions::default()).unwrap_err().to_string();
    assert!(
        e.ends_with("img_00002.png: cannot read: it is a named pipe, not a file"),
        "{e}"
    );
    let e = Video::open(Path::new("/dev/zero"), &OpenOptions::default())
        .unwrap_err()
        .to_string();
    assert_eq!(e, "/dev/zero: cannot read: it is a device, not a file");
    let video = Video::open(folder.path(), &options()).unwrap();
    let e = video.frames(&[1]).unwrap_err().to_string();
    assert!(
        e.contains("img_00002.png") && e.contains("it is a named pipe, not a file"),
        "{e}"
    );
    let e = glad_video::lists::read_list(&pipe, &Default::default()).unwrap_err();
    // The cause is reported once, also where all causes of an error are printed.
    assert!(
        e.to_string()
            .ends_with("cannot read the list: it is a named pipe, not a file"),
        "{e}"
    );
    assert!(std::error::Error::source(&e).is_none());
}

#[test]
fn nothing_found_says_what_was_looked_for() {
    let folder = frames();
    let e = Video::open(folder.path(), &OpenOptions::default()).unwrap_err();
    assert!(e.to_string().contains("img_00000.jpg"), "{e}");
    let few = OpenOptions {
        limits: Limits {
            max_samples: 9,
            ..Default::default()
        },
        ..options()
    };
    let e = Video::open(folder.path(), &few).unwrap_err();
    assert!(matches!(e, VideoError::Limit { .. }), "{e}");
    let small = OpenOptions {
        limits: Limits {
            max_pixels: 23,
            ..Default::default()
        },
        ..options()
    };
    let e = Video::open(folder.path(), &small).unwrap_err();
    assert!(matches!(e, VideoError::Limit { .. }), "{e}");
}

/// Images `of` numbers under names that are made of them, 6x4 pixels, red ten times the number.
fn named(of: std::ops::Range<u8>, name: impl Fn(u8) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    of.for_each(|i| save(folder.path(), &name(i), ImageFormat::Png, 10 * i, 6, 4));
    folder
}

fn opened(folder: &Path, options: &OpenOptions) -> Result<Video, String> {
    let name = format!("{}: not a readable video: ", folder.display());
    Video::open(folder, options).map_err(|e| e.to_string().replace(&name, ""))
}

#[test]
fn a_first_number_that_nobody_stated_has_to_be_that_of_the_folder() {
    let jpg = |i: u8| format!("img_{i:05}.jpg");
    let with = |start_index, numbering, offset, frames| OpenOptions {
        start_index,
        numbering,
        offset,
        frames,
        ..Default::default()
    };
    let first = |folder: &Path, options: &OpenOptions| {
        opened(folder, options).map(|video| (video.frame_count(), red(&video.frames(&[0]).unwrap()[0])))
    };
    let from_one = named(1..11, jpg);
    let segment = |numbering| with(0, numbering, 3, Some(4));
    assert_eq!(
        first(from_one.path(), &segment(Numbering::Assumed)),
        Err(
            "its images begin with img_00001.jpg, and img_00000.jpg is taken for the first, since `start_index` is not \
             stated: say `start_index = 1`, or `start_index = 0` if the offsets count from img_00000.jpg"
                .into()
        )
    );
    assert_eq!(
        first(from_one.path(), &with(0, Numbering::Assumed, 0, None)),
        Err(
            "its images begin with img_00001.jpg, and img_00000.jpg is taken for the first, since `start_index` is not \
             stated: say `start_index = 1`"
                .into()
        )
    );
    for numbering in [Numbering::Stated, Numbering::ByName] {
        assert_eq!(
            first(from_one.path(), &segment(numbering)),
            Ok((4, 30)),
            "{numbering:?}"
        );
    }
    // A part of a long video, extracted under the numbers that its images have there.
    let part = named(3..11, jpg);
    assert_eq!(first(part.path(), &segment(Numbering::Assumed)), Ok((4, 30)));
    // An image before the first number.
    let from_zero = named(0..10, jpg);
    let e = first(from_zero.path(), &with(1, Numbering::Assumed, 0, None)).unwrap_err();
    assert!(
        e.contains("begin with img_00000.jpg, and img_00001.jpg is taken") && e.ends_with("`start_index = 0`"),
        "{e}"
    );
    let stated = opened(from_zero.path(), &with(1, Numbering::Stated, 0, None)).unwrap();
    assert_eq!(
        (stated.frame_count(), stated.remark()),
        (
            9,
            Some("its images begin with img_00000.jpg, which is left out, since `start_index` is 1")
        )
    );
    assert_eq!(
        opened(from_zero.path(), &with(1, Numbering::ByName, 1, Some(3)))
            .unwrap()
            .remark(),
        None
    );
}

#[test]
fn images_that_go_on_under_other_names_are_damage_and_others_are_reported() {
    let jpg = |i: u8| format!("img_{i:05}.jpg");
    for other in [
        |i: u8| format!("img_{i:05}.png"),
        |i| format!("img_{i}.jpg"),
        |i| format!("img_{i:06}.JPG"),
    ] {
        let folder = named(0..20, |i| if i < 12 { jpg(i) } else { other(i) });
        let wanted = format!(
            "the images of `img_%05d.jpg` end before {}, which continues them under another name: the folder has 8 images \
             that the template does not name; give all images names of one form",
            other(12)
        );
        assert_eq!(
            opened(folder.path(), &OpenOptions::default()).map(|v| v.frame_count()),
            Err(wanted)
        );
        // A segment that is whole without them.
        let segment = |frames| OpenOptions {
            offset: 2,
            frames: Some(frames),
            ..Default::default()
        };
        assert_eq!(opened(folder.path(), &segment(10)).unwrap().frame_count(), 10);
        let e = opened(folder.path(), &segment(11)).unwrap_err();
        let wanted = format!(
            "11 frames are expected, but img_00012.jpg is missing, and {} is there",
            other(12)
        );
        assert_eq!(e, wanted);
    }
    // Another modality, of the same numbers.
    let folder = named(0..5, jpg);
    assert_eq!(opened(folder.path(), &OpenOptions::default()).unwrap().remark(), None);
    for i in 0..5 {
        save(folder.path(), &format!("img_{i:05}.png"), ImageFormat::Png, 1, 6, 4);
        save(folder.path(), &format!("flow_x_{i:05}.jpg"), ImageFormat::Png, 1, 6, 4);
        fs::write(folder.path().join(format!("._img_{i:05}.jpg")), "").unwrap();
    }
    fs::write(folder.path().join("Thumbs.db"), "").unwrap();
    let video = opened(folder.path(), &OpenOptions::default()).unwrap();
    assert_eq!(
        (video.frame_count(), video.remark()),
        (
            5,
            Some("it has 10 images that `img_%05d.jpg` does not name, such as flow_x_00000.jpg")
        )
    );
}

#[test]
fn a_folder_without_its_first_frame_says_what_it_has() {
    let of = |numbers: std::ops::Range<u8>, name: fn(u8) -> String| {
        let folder = named(numbers, name);
        opened(folder.path(), &OpenOptions::default()).map(|_| ()).unwrap_err()
    };
    let says = |rest: &str| format!("the folder has no frame img_00000.jpg; {rest}");
    for (numbers, name, rest) in [
        (
            1..11,
            (|i| format!("img_{i:05}.jpg")) as fn(u8) -> String,
            "its 10 images are img_00001.jpg to img_00010.jpg: say `start_index = 1`",
        ),
        (
            0..11,
            |i| format!("img_{i}.jpg"),
            "its 11 images are img_0.jpg to img_10.jpg: say `template = \"img_%d.jpg\"`",
        ),
        (
            0..3,
            |i| format!("img_{i:05}.JPG"),
            "its 3 images are img_00000.JPG to img_00002.JPG: say `template = \"img_%05d.JPG\"`",
        ),
        (
            1..2,
            |i| format!("frame_{i:04}.png"),
            "its one image is frame_0001.png: say `template = \"frame_%04d.png\"` and `start_index = 1`",
        ),
    ] {
        assert_eq!(of(numbers, name), says(rest));
    }
    let folder = tempfile::tempdir().unwrap();
    let e = || opened(folder.path(), &OpenOptions::default()).map(|_| ()).unwrap_err();
    assert_eq!(e(), says("the folder is empty"));
    fs::write(folder.path().join("a.mp4"), "").unwrap();
    assert_eq!(e(), says("the folder has no image, only a.mp4"));
    fs::write(folder.path().join("b.mp4"), "").unwrap();
    assert_eq!(
        e(),
        says("the folder has no image, but 2 other files or folders, such as a.mp4")
    );
    // What is said is right.
    let folder = named(1..4, |i| format!("frame_{i:04}.png"));
    let said = OpenOptions {
        template: Template::parse("frame_%04d.png").unwrap(),
        start_index: 1,
        ..Default::default()
    };
    assert_eq!(opened(folder.path(), &said).unwrap().frame_count(), 3);
}

#[test]
fn every_image_is_looked_at_without_decoding() {
    let folder = tempfile::tempdir().unwrap();
    let write = |i: usize, bytes: &[u8]| fs::write(folder.path().join(format!("img_{i:05}.jpg")), bytes).unwrap();
    let found = || Video::open(folder.path(), &OpenOptions::default()).unwrap().examine();
    for format in [ImageFormat::Jpeg, ImageFormat::Png] {
        let whole = noise(format);
        (0..9).for_each(|i| write(i, &whole));
        assert!(found().is_ok());
        // Far more after its end than is looked at.
        write(5, &[&whole[..], &[7; 5000]].concat());
        assert!(found().is_ok(), "{format:?}");
        let small = {
            let mut bytes = std::io::Cursor::new(Vec::new());
            RgbImage::new(5, 4).write_to(&mut bytes, format).unwrap();
            bytes.into_inner()
        };
        for (bytes, what) in [
            (&whole[..0], "the file is empty"),
            (&whole[..whole.len() / 2], "it is cut short"),
            (&small[..], "it has 5x4 pixels, the first frame has 64x48"),
            (b"<html>", "it is neither jpeg nor png"),
        ] {
            write(5, bytes);
            let e = found().unwrap_err();
            assert!(
                matches!(e, VideoError::Damaged { frame: 5, .. }) && e.to_string().contains(what),
                "{e}"
            );
        }
        write(5, &whole);
    }
    fs::remove_file(folder.path().join("img_00005.jpg")).unwrap();
    fs::create_dir(folder.path().join("img_00005.jpg")).unwrap();
    let e = found().unwrap_err().to_string();
    assert!(
        e.contains("img_00005.jpg: frame 5 cannot be decoded: it is a folder"),
        "{e}"
    );
}

#[test]
fn a_damaged_png_is_reported_in_plain_words() {
    let mut bytes = noise(ImageFormat::Png);
    let data = bytes.windows(4).position(|w| w == b"IDAT").unwrap();
    bytes[data + 40] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("img_00000.jpg"), bytes).unwrap();
    let video = Video::open(folder.path(), &OpenOptions::default()).unwrap();
    let e = video.frames(&[0]).map(|_| "a picture").unwrap_err().to_string();
    assert!(
        e.ends_with("it is damaged: the checksum of a part of the png does not fit its bytes"),
        "{e}"
    );
}

#[test]
fn templates() {
    let name = |t: &str, n| Template::parse(t).unwrap().name(n);
    assert_eq!(name("img_%05d.jpg", 7), "img_00007.jpg");
    assert_eq!(name("%d.png", 12), "12.png");
    assert_eq!(name("frame%010d", 3), "frame0000000003");
    assert_eq!(Template::default(), Template::parse("img_%05d.jpg").unwrap());
    for bad in ["img.jpg", "%5d.jpg", "%d_%d.jpg", "a/%d.jpg", "%s.jpg", "%0999d"] {
        assert!(Template::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_background_is_the_median() {
    let folder = frames();
    let video = Video::open(folder.path(), &options()).unwrap();
    let options = |even, max_frames| BackgroundOptions {
        even,
        max_frames,
        ..Default::default()
    };
    let of = |options| red(&background(&video, &options, |f| f).unwrap());
    assert_eq!(of(options(EvenMedian::Lower, 1024)), 50);
    assert_eq!(of(options(EvenMedian::Mean, 1024)), 55);
    // Frames 2, 5 and 8 of 0 to 9: reds 20, 60, 90.
    assert_eq!(of(options(EvenMedian::Lower, 3)), 60);
    let tight = BackgroundOptions {
        max_bytes: 6 * 4 * 3 * 3,
        ..Default::default()
    };
    assert_eq!(of(tight), 60);
    fs::write(folder.path().join("img_00004.png"), b"").unwrap();
    assert!(background(&video, &BackgroundOptions::default(), |f| f).is_err());
}
