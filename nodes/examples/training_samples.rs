//! Samples a second of lists of videos: 1 global clip of 8 frames over the whole video and 2 local clips of 8 frames at
//! interval 2, shorter side 256, crop 224, as a training run makes them.
//!
//! `cargo run --release -p glad-nodes --example training_samples -- SECONDS LIST...`: one sample at a time, for so many seconds a
//! list, after one pass that counts for nothing. Measures what `graphs/prepare.toml` buys.

use anyhow::{Context, Result, bail};
use glad_nodes::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn body(kind: &str, params: &Value) -> Result<Body> {
    let registry = registry();
    let entry = registry.get(kind).context("an unknown kind")?;
    let Ok(node) = entry.parse(params) else {
        bail!("{kind}: {params}");
    };
    let dims = DimScope::default();
    let cx = BuildCx {
        inputs: Default::default(),
        outputs: vec![],
        dims: &dims,
        folder: PathBuf::new(),
    };
    node.build(&cx).map_err(|p| anyhow::anyhow!("{kind}: {p:?}"))
}

fn stage(kind: &'static str, params: Value) -> Result<(&'static str, Box<dyn Stage>)> {
    match body(kind, &params)? {
        Body::Stage(stage) => Ok((kind, stage)),
        _ => bail!("{kind} is no stage"),
    }
}

/// Makes a sample; gives the number of its frames.
fn sample(stages: &[(&'static str, Box<dyn Stage>)], video: &HostValue, key: Key) -> Result<usize> {
    let (mut index, mut clips) = (vec![], vec![]);
    for (kind, stage) in stages {
        let args = match *kind {
            "uniform_sampler" | "dense_sampler" => Args::default().with("video", vec![video.clone()]),
            "decoder" => Args::default()
                .with("video", vec![video.clone()])
                .with("index", index.clone()),
            _ => Args::default().with("clips", clips.clone()),
        };
        let cx = SampleCx {
            key: key.name(kind),
            training: true,
        };
        for value in stage.run(&cx, &args)? {
            match value {
                HostValue::Index(_) => index.push(value),
                HostValue::Clips(_) => clips = vec![value],
                _ => {}
            }
        }
    }
    match clips.first() {
        Some(HostValue::Clips(c)) => Ok(c.shape[0] * c.shape[1]),
        _ => bail!("no clips were made"),
    }
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let seconds: u64 = args
        .next()
        .context("usage: training_samples SECONDS LIST...")?
        .parse()?;
    let stages = [
        stage("uniform_sampler", json!({"clips": 1, "frames": 8}))?,
        stage(
            "dense_sampler",
            json!({"clips": 2, "frames": 8, "interval": 2, "ordered": true}),
        )?,
        stage("decoder", json!({}))?,
        stage("resize", json!({"short": 256}))?,
        stage("multi_scale_crop", json!({"size": 224}))?,
        stage("flip", json!({}))?,
    ];
    for list in args {
        let path = Path::new(&list).canonicalize().with_context(|| list.clone())?;
        let Body::Source(source) = body("video_list", &json!({"list": path}))? else {
            bail!("no source");
        };
        let videos: Vec<HostValue> = source.videos("train")?.into_iter().map(HostValue::Video).collect();
        for (i, video) in (0..).zip(&videos) {
            sample(&stages, video, Key::new(1).index(i))?;
        }
        let (mut samples, since) = (0u64, Instant::now());
        while since.elapsed() < Duration::from_secs(seconds) {
            for video in &videos {
                let frames = sample(&stages, video, Key::new(2).index(samples))?;
                assert_eq!(frames, 24);
                samples += 1;
            }
        }
        let took = since.elapsed().as_secs_f64();
        println!(
            "{list}: {:.1} samples/s, {:.1} ms each",
            samples as f64 / took,
            1e3 * took / samples as f64
        );
    }
    Ok(())
}
