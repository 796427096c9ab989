use super::super::testing::{build_cx, dims, node, problems, sample};
use super::*;
use glad_video::write::{VideoWriter, WriteOptions};
use glad_video::{RgbFrame, Video as File};
use serde_json::{Value, json};
use std::fs;

/// A clip with a pattern that moves, each frame another.
fn frame(width: usize, height: usize, t: usize) -> Vec<u8> {
    let pixel = |i: usize| {
        let (x, y) = (i % width + 3 * t, i / width);
        [
            60 + (x * 5 % 100) as u8,
            80 + (y * 3 % 90) as u8,
            100 + (10 * t % 60) as u8,
        ]
    };
    (0..width * height).flat_map(pixel).collect()
}

fn clip(path: &Path, width: usize, height: usize, frames: usize) {
    let options = WriteOptions {
        qp: 4,
        gop: 250,
        ..WriteOptions::default()
    };
    let mut video = VideoWriter::create_with(path, width, height, 12.5, options).unwrap();
    for t in 0..frames {
        video.push(&frame(width, height, t)).unwrap();
    }
    video.finish().unwrap();
}

fn folder_of_images(path: &Path, width: u32, height: u32, frames: usize) {
    fs::create_dir(path).unwrap();
    for t in 0..frames {
        let data = frame(width as usize, height as usize, t);
        let file = path.join(format!("img_{t:05}.png"));
        image::RgbImage::from_raw(width, height, data)
            .unwrap()
            .save(file)
            .unwrap();
    }
}

struct Run {
    dir: tempfile::TempDir,
    params: Value,
}

impl Run {
    fn new(list: &str, params: Value) -> Run {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("kick")).unwrap();
        fs::write(dir.path().join("train.txt"), list).unwrap();
        let mut all = json!({"out": "new"});
        all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
        Run { dir, params: all }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Goes through a list as a view does. Returns the message at its end, and the new videos.
    fn go(&self, list: &str, source: Value) -> Result<(Vec<String>, Vec<Arc<Video>>), DataError> {
        let dims = dims(&[]);
        let mut cx = build_cx(&dims);
        cx.folder = self.dir.path().to_path_buf();
        let mut params = json!({"list": list});
        params
            .as_object_mut()
            .unwrap()
            .extend(source.as_object().unwrap().clone());
        let Ok(Body::Source(source)) = node::<super::super::VideoList>(params).build(&cx) else {
            panic!()
        };
        let Ok(Body::Stage(stage)) = node::<Transcode>(self.params.clone()).build(&cx) else {
            panic!()
        };
        let videos = source.videos("train").unwrap();
        let (mut made, mut bad) = (vec![], vec![]);
        for (i, video) in videos.iter().enumerate() {
            let args = Args::default().with("video", vec![HostValue::Video(video.clone())]);
            match stage.run(&sample(0, false), &args) {
                Ok(out) => made.extend(out.into_iter().map(|v| match v {
                    HostValue::Video(v) => v,
                    v => panic!("{v:?}"),
                })),
                Err(e) => bad.push((i, format!("{e:#}"))),
            }
        }
        Ok((stage.finish(&videos, &bad)?, made))
    }

    fn new_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.at("new/videos/kick"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        files.sort();
        files
    }
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let squares: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / squares).log10()
}

#[test]
fn frames_keep_their_numbers_and_the_list_its_rows() {
    let run = Run::new(
        "# mine\nkick/a b.mp4 3\n\nkick/small.mp4 -\n",
        json!({"short": 32, "qp": 8}),
    );
    clip(&run.at("kick/a b.mp4"), 96, 64, 30);
    clip(&run.at("kick/small.mp4"), 24, 32, 5);
    let (printed, made) = run.go("train.txt", json!({})).unwrap();
    assert_eq!(printed, [format!("{}: 2 videos", run.at("new/train.txt").display())]);
    assert_eq!(made[0].footage.frame_count().unwrap(), 30);
    assert_eq!((made[0].label, made[1].label), (Some(3), None));

    let text = fs::read_to_string(run.at("new/train.txt")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
    assert!(
        rows[0].starts_with("videos/kick/a b-") && rows[0].contains(".mp4 30 3 b3:"),
        "{text}"
    );
    assert!(rows[1].contains(".mp4 5 - b3:"), "{text}");

    // What the new list gives, through the ordinary reader, is frame by frame the old video's.
    let file = File::open(&made[0].path, &OpenOptions::default()).unwrap();
    assert_eq!((file.width(), file.height(), file.fps()), (48, 32, Some(12.5)));
    for (t, new) in file.frames(&(0..30).collect::<Vec<_>>()).unwrap().iter().enumerate() {
        let old = RgbFrame::new(96, 64, frame(96, 64, t)).unwrap();
        let small = glad_video::ops::resize_exact(&old, 48, 32, glad_video::ops::Filter::Bilinear).unwrap();
        let same = psnr(new.data(), small.data());
        assert!(same > 26.0, "frame {t}: {same:.1} dB");
        // Its neighbour is further off: an order that is wrong by one would show.
        let next = RgbFrame::new(96, 64, frame(96, 64, t + 1)).unwrap();
        let next = glad_video::ops::resize_exact(&next, 48, 32, glad_video::ops::Filter::Bilinear).unwrap();
        assert!(psnr(new.data(), next.data()) < same - 1.0, "frame {t}");
    }
    let small = File::open(&made[1].path, &OpenOptions::default()).unwrap();
    assert_eq!((small.width(), small.height()), (24, 32));

    // The new list is one that the ordinary source reads, and rewriting it again works, too.
    let again = run.go("new/train.txt", json!({})).unwrap_err();
    assert!(format!("{again:#}").contains("was not made from"), "{again:#}");
}

#[test]
fn what_is_there_is_not_made_again_and_what_was_half_made_is_gone() {
    let run = Run::new("kick/a.mp4 0\nkick/b.mp4 1\n", json!({"short": 32}));
    clip(&run.at("kick/a.mp4"), 64, 48, 20);
    clip(&run.at("kick/b.mp4"), 64, 48, 20);
    run.go("train.txt", json!({})).unwrap();
    let files = run.new_files();
    assert_eq!(files.len(), 2);
    let times = || {
        files
            .iter()
            .map(|f| fs::metadata(f).unwrap().modified().unwrap())
            .collect::<Vec<_>>()
    };
    let before = times();
    // A run that was killed left one file whole, one half, under the name of what is being written.
    let half = run.at("new/videos/kick/.writing-abc.mp4");
    fs::write(&half, b"half").unwrap();
    let whole = fs::read(&files[1]).unwrap();
    fs::remove_file(&files[1]).unwrap();
    run.go("train.txt", json!({})).unwrap();
    assert_eq!(run.new_files(), files);
    assert_eq!(times()[0], before[0]);
    assert_eq!(fs::read(&files[1]).unwrap(), whole);
    assert!(!half.exists());
    // A file that is not what it should be is made anew.
    fs::write(&files[0], &whole[..whole.len() / 2]).unwrap();
    run.go("train.txt", json!({})).unwrap();
    assert_eq!(
        File::open(&files[0], &OpenOptions::default()).unwrap().frame_count(),
        20
    );
    // So is what the old file, or a parameter, is another one for.
    let finer = Run {
        params: json!({"out": "new", "short": 32, "qp": 5}),
        ..run
    };
    finer.go("train.txt", json!({})).unwrap();
    assert_eq!(finer.new_files().len(), 4);
    clip(&finer.at("kick/a.mp4"), 64, 48, 21);
    let (_, made) = finer.go("train.txt", json!({})).unwrap();
    assert_eq!(made[0].footage.frame_count().unwrap(), 21);
    assert_eq!(finer.new_files().len(), 5);
}

#[test]
fn segments_of_a_file_share_it() {
    let run = Run::new("kick/a.mp4 0 12 4\nkick/a.mp4 8 10 5\n", json!({"short": 32, "qp": 4}));
    clip(&run.at("kick/a.mp4"), 32, 32, 20);
    let (_, made) = run.go("train.txt", json!({"format": "babel"})).unwrap();
    assert_eq!(run.new_files().len(), 1);
    let text = fs::read_to_string(run.at("new/train.txt")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
    assert!(
        rows[0].contains(".mp4 0 12 4 b3:") && rows[1].contains(".mp4 8 10 5 b3:"),
        "{text}"
    );
    assert_eq!(made[1].footage.frame_count().unwrap(), 10);
    let whole = File::open(&made[1].path, &OpenOptions::default()).unwrap();
    let of_segment = made[1].footage.frames(&[3]).unwrap().remove(0);
    assert_eq!(*of_segment.data, whole.frames(&[11]).unwrap().remove(0).into_data());
}

#[test]
fn folders_of_images_and_odd_sizes() {
    let run = Run::new("kick/jump 2\n", json!({"short": 64, "qp": 4}));
    folder_of_images(&run.at("kick/jump"), 33, 25, 6);
    let source = json!({"template": "img_%05d.png"});
    let (printed, made) = run.go("train.txt", source).unwrap();
    assert!(
        printed[0].contains("1 of odd size without their last column or row"),
        "{printed:?}"
    );
    let file = File::open(&made[0].path, &OpenOptions::default()).unwrap();
    assert_eq!((file.width(), file.height(), file.frame_count()), (32, 24, 6));
    let want: Vec<u8> = frame(33, 25, 4)
        .chunks(33 * 3)
        .take(24)
        .flat_map(|row| row[..96].to_vec())
        .collect();
    let got = file.frames(&[4]).unwrap().remove(0);
    assert!(psnr(got.data(), &want) > 26.0);
}

#[test]
fn bad_videos_are_listed() {
    let run = Run::new(
        "kick/a.mp4 0\nkick/broken.mp4 1\nkick/none.mp4 1\n",
        json!({"short": 32}),
    );
    clip(&run.at("kick/a.mp4"), 64, 48, 9);
    let whole = fs::read(run.at("kick/a.mp4")).unwrap();
    fs::write(run.at("kick/broken.mp4"), &whole[..whole.len() - 100]).unwrap();
    let (printed, made) = run.go("train.txt", json!({})).unwrap();
    assert_eq!(made.len(), 1);
    assert!(
        printed[0].ends_with("train.txt: 1 videos, 2 left out (see there)"),
        "{printed:?}"
    );
    let text = fs::read_to_string(run.at("new/train.txt")).unwrap();
    let out: Vec<&str> = text.lines().filter(|l| l.starts_with("# left out")).collect();
    assert!(
        out[0].contains("broken.mp4 (") && out[0].contains("train.txt:2): "),
        "{text}"
    );
    assert!(out[1].contains("none.mp4") && out[1].contains("cannot read"), "{text}");
}

#[test]
fn a_new_file_that_changes_is_a_bad_video() {
    let run = Run::new("kick/a.mp4 0\nkick/b.mp4 1\n", json!({"short": 32}));
    clip(&run.at("kick/a.mp4"), 64, 48, 9);
    clip(&run.at("kick/b.mp4"), 48, 64, 9);
    run.go("train.txt", json!({})).unwrap();
    let source = || {
        let dims = dims(&[]);
        let mut cx = build_cx(&dims);
        cx.folder = run.at("new");
        let Ok(Body::Source(source)) = node::<super::super::VideoList>(json!({"list": "train.txt"})).build(&cx) else {
            panic!()
        };
        source
    };
    let videos = source().videos("train").unwrap();
    assert_eq!(
        (videos[0].label, videos[0].footage.frame_count().unwrap()),
        (Some(0), 9)
    );
    assert!(source().absent().is_empty());
    // A bit of the picture data: the file is as long as before, and its tables are sound.
    let victim = videos[1].path.clone();
    let mut bytes = fs::read(&victim).unwrap();
    let data = bytes.windows(4).position(|w| w == b"mdat").unwrap();
    bytes[data + 400] ^= 1;
    fs::write(&victim, bytes).unwrap();
    let videos = source().videos("train").unwrap();
    videos[0].footage.frame_count().unwrap();
    let e = format!("{:#}", videos[1].footage.frame_count().unwrap_err());
    assert!(e.contains("train.txt:4: ") && e.contains("its BLAKE3 is b3:"), "{e}");
    let defect = videos[1].footage.inspect().unwrap_err();
    assert!(
        matches!(&defect, Defect::Unreadable(why) if why.contains("its BLAKE3 is b3:")),
        "{defect}"
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_no_fault_of_a_video() {
    let run = Run::new("kick/a.mp4 3\n", json!({}));
    clip(&run.at("kick/a.mp4"), 32, 32, 4);
    fs::write(run.at("new"), "a file").unwrap();
    let dims = dims(&[]);
    let mut cx = build_cx(&dims);
    cx.folder = run.dir.path().to_path_buf();
    let Ok(Body::Source(source)) = node::<super::super::VideoList>(json!({"list": "train.txt"})).build(&cx) else {
        panic!()
    };
    let Ok(Body::Stage(stage)) = node::<Transcode>(run.params.clone()).build(&cx) else {
        panic!()
    };
    let video = source.videos("train").unwrap().remove(0);
    let args = Args::default().with("video", vec![HostValue::Video(video)]);
    let e = stage.run(&sample(0, false), &args).unwrap_err();
    assert!(matches!(e, DataError::Fatal(_)), "{e:?}");
    assert!(format!("{e:#}").contains("cannot work in the folder"), "{e:#}");
}

#[test]
fn parameters_are_checked() {
    let dims = dims(&[]);
    let wrong = |params: Value| problems::<Transcode>(params, &dims);
    assert_eq!(wrong(json!({"out": "x"})), [""; 0]);
    assert_eq!(
        wrong(json!({"out": "", "short": 1, "gop": 0, "qp": 52})),
        [
            "out: `out` must name a folder",
            "short: `short` must be at least 2",
            "gop: `gop` must be at least 1",
            "qp: `qp` must be 0 to 51"
        ]
    );
}
