//! Folders of image frames.

use std::fs;
use std::path::Path;

use glad_video::{
    BackgroundOptions, EvenMedian, Limits, OpenOptions, RgbFrame, Template, Video, VideoError, background,
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
