//! From a list of video files to the clips of a training sample, through the kinds as a graph would make them.

use glad_nodes::*;
use glad_video::write::VideoWriter;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SIDE: usize = 32;

/// Frame `i`: a grey of its own, and a white bar that moves on with every frame.
fn picture(i: usize, base: u8) -> Vec<u8> {
    let mut rgb = vec![base; SIDE * SIDE * 3];
    for row in rgb.chunks_mut(SIDE * 3) {
        let x = i * 4 % SIDE;
        row[x * 3..(x + 4) * 3].fill(250);
    }
    rgb
}

/// Two videos of 40 and 9 frames and their list.
fn data() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, frames, base) in [("long.mp4", 40, 60), ("short.mp4", 9, 120)] {
        let mut video = VideoWriter::create(dir.path().join(name), SIDE, SIDE, 25.0).unwrap();
        for i in 0..frames {
            video.push(&picture(i, base)).unwrap();
        }
        video.finish().unwrap();
    }
    fs::write(dir.path().join("train.txt"), "long.mp4 40 1\nshort.mp4 9 0\n").unwrap();
    dir
}

fn body(kind: &str, params: Value, folder: &Path) -> Body {
    let registry = registry();
    let Ok(node) = registry.get(kind).unwrap().parse(&params) else {
        panic!("{kind}: {params}");
    };
    let cx = BuildCx {
        inputs: Default::default(),
        outputs: vec![],
        dims: &DimScope::default(),
        folder: folder.to_path_buf(),
    };
    node.build(&cx).unwrap_or_else(|p| panic!("{kind}: {p:?}"))
}

struct Pipeline {
    source: Box<dyn Source>,
    stages: Vec<(&'static str, Box<dyn Stage>)>,
    backgrounds: HostValue,
}

impl Pipeline {
    fn new(folder: &Path, cache: &Path) -> Self {
        let stage = |kind: &'static str, params| match body(kind, params, folder) {
            Body::Stage(s) => (kind, s),
            _ => panic!("{kind} is no stage"),
        };
        let Body::Source(source) = body("video_list", json!({"list": {"train": "train.txt"}}), folder) else {
            panic!()
        };
        let Body::Resource(backgrounds) = body("backgrounds", json!({}), folder) else {
            panic!()
        };
        let images = backgrounds.prepare(&PrepareCx {
            videos: source.videos("train").unwrap(),
            cache: Some(cache),
            progress: &|_, _| {},
            warn: &|text| panic!("{text}"),
            uncached: &|e| panic!("{e:#}"),
        });
        Pipeline {
            source,
            stages: vec![
                stage("uniform_sampler", json!({"clips": 1, "frames": 8})),
                stage(
                    "dense_sampler",
                    json!({"clips": 2, "frames": 8, "interval": 2, "ordered": true, "min_gap": 4}),
                ),
                stage("decoder", json!({})),
                stage("resize", json!({"short": 28})),
                stage("multi_scale_crop", json!({"size": 24})),
                stage("flip", json!({})),
                stage("bg_mix", json!({"prob": 0.5, "weight": [0.25, 0.75]})),
            ],
            backgrounds: images.unwrap().remove(0),
        }
    }

    /// The clips of a video, and whether the order of the local ones is defined.
    fn sample(&self, video: &Arc<Video>, seed: u64, training: bool) -> (Arc<Clips>, bool) {
        let mut index = vec![];
        let (mut clips, mut valid) = (None, None);
        for (kind, stage) in &self.stages {
            let cx = SampleCx {
                key: Key::new(seed).index(video.index as u64).name(kind),
                training,
            };
            let args = match *kind {
                "decoder" => Args::default()
                    .with("video", vec![HostValue::Video(video.clone())])
                    .with("index", index.clone()),
                "uniform_sampler" | "dense_sampler" => {
                    Args::default().with("video", vec![HostValue::Video(video.clone())])
                }
                _ => Args::default()
                    .with("clips", vec![clips.clone().unwrap()])
                    .with("backgrounds", vec![self.backgrounds.clone()]),
            };
            for value in stage.run(&cx, &args).unwrap() {
                match value {
                    HostValue::Index(_) => index.push(value),
                    HostValue::Mask(m) => valid = Some(m),
                    HostValue::Clips(_) => clips = Some(value),
                    v => panic!("{v:?}"),
                }
            }
        }
        match clips {
            Some(HostValue::Clips(c)) => (c, valid.unwrap()),
            v => panic!("{v:?}"),
        }
    }
}

#[test]
fn clips_of_real_files() {
    let (dir, cache) = (data(), tempfile::tempdir().unwrap());
    let pipeline = Pipeline::new(dir.path(), cache.path());
    let videos = pipeline.source.videos("train").unwrap();

    // the bar is at a place for an eighth of the frames: it is in no background
    let HostValue::Images(bank) = &pipeline.backgrounds else {
        panic!()
    };
    for (i, grey) in [60u8, 120].into_iter().enumerate() {
        let image = bank.image(i).unwrap();
        assert!(image.data.iter().all(|v| v.abs_diff(grey) <= 6), "video {i}");
    }

    // evaluation: the frames that the samplers name, the middle of them
    let (clips, valid) = pipeline.sample(&videos[0], 1, false);
    assert_eq!((clips.shape, valid), ([3, 8, 24, 24, 3], true));
    let middles = [2, 7, 12, 17, 22, 27, 32, 37];
    let starts = [6, 18];
    let local = starts.iter().flat_map(|s| (0..8).map(move |j| s + 2 * j));
    for (frame, number) in clips.data.chunks(24 * 24 * 3).zip(middles.into_iter().chain(local)) {
        // the middle of the bar, 32 pixels wide, then 28, of which 24
        let bar = (number * 4 % SIDE) as f64 + 2.0;
        let x = bar * 28.0 / 32.0 - 2.0;
        if (2.0..22.0).contains(&x) {
            let pixel = |x: usize| frame[(12 * 24 + x) * 3];
            assert!(pixel(x as usize) > 190, "frame {number}: {}", pixel(x as usize));
            assert!(pixel((x as usize + 12) % 24) < 120, "frame {number}");
        }
    }
    let (_, valid) = pipeline.sample(&videos[1], 1, false);
    assert!(!valid, "9 frames hold no clip of 16");
}

#[test]
fn training_is_a_function_of_the_seed() {
    let (dir, cache) = (data(), tempfile::tempdir().unwrap());
    let pipeline = Pipeline::new(dir.path(), cache.path());
    let videos = pipeline.source.videos("train").unwrap();
    let draw = |seed| {
        videos
            .iter()
            .map(|v| pipeline.sample(v, seed, true))
            .collect::<Vec<_>>()
    };
    let expected: Vec<_> = (0..6).map(draw).collect();
    for (i, a) in expected.iter().enumerate() {
        assert!(a.iter().all(|(clips, _)| clips.shape == [3, 8, 24, 24, 3]));
        assert!(expected[..i].iter().all(|b| a[0].0 != b[0].0), "seeds {i} and another");
    }
    // a second time, from threads, by a pipeline that finds the backgrounds made
    let again = Pipeline::new(dir.path(), cache.path());
    std::thread::scope(|scope| {
        for (seed, expected) in expected.iter().enumerate().rev() {
            let again = &again;
            scope.spawn(move || {
                let videos = again.source.videos("train").unwrap();
                for (video, expected) in videos.iter().zip(expected).rev() {
                    assert_eq!(again.sample(video, seed as u64, true), *expected);
                }
            });
        }
    });
}

#[test]
fn a_damaged_file_is_an_error_that_names_it() {
    let (dir, cache) = (data(), tempfile::tempdir().unwrap());
    let pipeline = Pipeline::new(dir.path(), cache.path());
    let path: PathBuf = dir.path().join("long.mp4");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let Body::Source(source) = body("video_list", json!({"list": "train.txt"}), dir.path()) else {
        panic!()
    };
    let videos = source.videos("train").unwrap();
    let Body::Stage(decoder) = body("decoder", json!({}), dir.path()) else {
        panic!()
    };
    let index = HostValue::Index(Arc::new(FrameIndex {
        frames: 2,
        data: vec![30, 39],
    }));
    let args = Args::default()
        .with("video", vec![HostValue::Video(videos[0].clone())])
        .with("index", vec![index]);
    let cx = SampleCx {
        key: Key::new(0),
        training: true,
    };
    let e = format!("{:#}", decoder.run(&cx, &args).unwrap_err());
    assert!(e.contains("train.txt:1") && e.contains("long.mp4"), "{e}");
    assert_eq!(videos.iter().filter(|v| v.footage.frame_count().is_err()).count(), 1);
    assert_eq!(pipeline.sample(&videos[1], 1, true).0.shape, [3, 8, 24, 24, 3]);
}
