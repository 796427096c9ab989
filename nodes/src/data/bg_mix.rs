//! `bg_mix`: clips in front of another video's background.

use super::images;
use super::input::share;
use crate::contract::*;
use anyhow::{Result, anyhow, ensure};
use glad_video::ops;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Mixes the background of another video into the clips (eq. 6): x̃ = (1 − w)·x + w·b. In training only.
///
/// The background is drawn from all, and is the same for all clips of the video. It is scaled to cover the frames, and
/// its middle is taken; with `fit = "stretch"` it is resized to their size (CoMix, which mixes every video with a weight
/// from [0, 0.5]). Bytes in, bytes out: with W = round(65536·w) a byte becomes
/// `⌊((65536 − W)·x + W·b + 32768) / 65536⌋`, whole numbers only, so that every machine gives the same.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BgMix {
    /// The share of videos that are mixed.
    #[serde(default = "quarter")]
    pub prob: f64,
    /// The weight of the *background*, w: a number from 0 to 1, or `[low, high]` to draw it from, once a video. (The
    /// paper's λ is this weight; the released code's is that of the frame.)
    pub weight: Weight,
    /// Scale the background to this shorter side before its middle is taken (released: 256 for frames of 224);
    /// without, so that it just covers the frames.
    #[serde(default)]
    pub short: Option<usize>,
    /// How a background gets the size of the frames.
    #[serde(default)]
    pub fit: Fit,
    /// How the pixels of a resized background are made.
    #[serde(default)]
    pub filter: ops::Filter,
}

/// How a background gets the size of the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Its proportions are kept, and what is outside of the frames is cut off.
    #[default]
    Cover,
    /// All of it, its proportions are not kept: for frames that were resized so, too.
    Stretch,
}

fn quarter() -> f64 {
    0.25
}

/// A weight, or the bounds that it is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(with = "WeightSchema")]
pub struct Weight {
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum WeightSchema {
    /// A fixed weight.
    Fixed(f64),
    /// Least and most.
    Range([f64; 2]),
}

impl TryFrom<Value> for Weight {
    type Error = String;
    fn try_from(v: Value) -> Result<Self, String> {
        let (low, high) = match &v {
            Value::Array(a) if a.len() == 2 => (a[0].as_f64(), a[1].as_f64()),
            v => (v.as_f64(), v.as_f64()),
        };
        match (low, high) {
            (Some(low), Some(high)) if 0.0 <= low && low <= high && high <= 1.0 => Ok(Weight { low, high }),
            _ => Err(format!(
                "{v} is no weight: expected a number from 0 to 1, or [low, high]"
            )),
        }
    }
}

impl Kind for BgMix {
    const NAME: &'static str = "bg_mix";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = share(self.prob, "prob");
        if let (Some(short), Fit::Stretch) = (self.short, self.fit) {
            let message = format!("a background that is stretched to the frames has no shorter side of {short}");
            problems.push(ParamProblem::new("short", message).help("leave out `short`, or `fit`"));
        }
        problems
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        let mut remarks = super::input::never(self.prob, "prob", "mixed");
        if self.weight.high == 0.0 {
            let message = "backgrounds of weight 0 change nothing";
            remarks.push(ParamProblem::new("weight", message).help("the weight is that of the background"));
        } else if self.weight.low == 1.0 {
            let message = "with a background of weight 1 nothing is left of the clips";
            remarks.push(ParamProblem::new("weight", message).help("the weight is that of the background"));
        }
        remarks
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Host)
            .input("clips", "Clip[B,N,T,H,W,3]", "the clips of a video")
            .input("backgrounds", "Images[]", "the backgrounds to draw from")
            .output("clips", "Clip[B,N,T,H,W,3]", "the clips, mixed or as they were")
            .random()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let side = |i| cx.input("clips").and_then(|t| t.known(i));
        if let (Some(short), Some(long)) = (self.short, side(-2).max(side(-3)))
            && short < long
        {
            let message = format!("a background of {short} pixels does not cover frames of {long}");
            return Err(vec![ParamProblem::new("short", message)]);
        }
        Ok(Body::Stage(Box::new(Mixer { params: self.clone() })))
    }
}

struct Mixer {
    params: BgMix,
}

impl Mixer {
    /// The background at the size of the frames.
    fn fitted(&self, background: &Frame, width: usize, height: usize) -> Result<Arc<Clips>> {
        let (w, h) = (background.width, background.height);
        ensure!(w > 0 && h > 0, "a background is empty");
        let size = match (self.params.fit, self.params.short) {
            (Fit::Stretch, _) => (width, height),
            (Fit::Cover, Some(short)) => ops::short_side_size(w, h, short),
            (Fit::Cover, None) => cover((w, h), (width, height)),
        };
        let image = Arc::new(Clips {
            shape: [1, 1, h, w, 3],
            data: background.data.as_ref().clone(),
        });
        let image = images::resize(&image, size, |frame| {
            Ok(ops::resize_exact(frame, size.0, size.1, self.params.filter)?)
        })?;
        images::centre_crop(&image, height, width)
    }
}

/// The size of an image of `w` by `h` pixels scaled so that it just covers `width` by `height`, to the nearest pixel.
fn cover((w, h): (usize, usize), (width, height): (usize, usize)) -> (usize, usize) {
    let scaled = |side: usize, to: usize, from: usize| (2 * side * to + from) / (2 * from);
    if width * h >= height * w {
        (width, scaled(h, width, w).max(height))
    } else {
        (scaled(w, height, h).max(width), height)
    }
}

/// (1 − w)·x + w·b for every byte of every frame, `w` in 1/65536.
fn mix(clips: &Clips, background: &[u8], w: u32) -> Vec<u8> {
    let rounded: Vec<u32> = background.iter().map(|b| u32::from(*b) * w + (1 << 15)).collect();
    let keep = (1 << 16) - w;
    let mut data = Vec::with_capacity(clips.data.len());
    for frame in clips.data.chunks_exact(background.len()) {
        data.extend(
            frame
                .iter()
                .zip(&rounded)
                .map(|(x, b)| ((u32::from(*x) * keep + b) >> 16) as u8),
        );
    }
    data
}

impl Stage for Mixer {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let clips = inputs.clips("clips")?;
        let HostValue::Images(bank) = inputs.one("backgrounds")? else {
            return Err(anyhow!("port `backgrounds` has no images but {:?}", inputs.one("backgrounds")?).into());
        };
        let mut draw = cx.key.rng();
        if !cx.training || !draw.chance(self.params.prob) {
            return Ok(vec![HostValue::Clips(clips.clone())]);
        }
        if bank.count() == 0 {
            return Err(DataError::sample("there are no backgrounds to draw from"));
        }
        let background = bank.image(draw.below(bank.count()))?;
        let Weight { low, high } = self.params.weight;
        let weight = (draw.range(low, high) * 65536.0).round() as u32;
        let (width, height) = images::size(clips);
        let image = self.fitted(&background, width, height)?;
        let shape = clips.shape;
        let data = mix(clips, &image.data, weight);
        Ok(vec![HostValue::Clips(Arc::new(Clips { shape, data }))])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build_cx, built, clips, dims, node, problems, sample};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn frame(width: usize, height: usize, data: impl Fn(usize) -> u8) -> Frame {
        Frame {
            width,
            height,
            data: Arc::new((0..width * height * 3).map(data).collect()),
        }
    }

    fn run(params: Value, cx: SampleCx, clips: &Arc<Clips>, bank: Vec<Frame>) -> Arc<Clips> {
        let inputs = Args::default()
            .with("clips", vec![HostValue::Clips(clips.clone())])
            .with("backgrounds", vec![HostValue::Images(Arc::new(bank))]);
        match built::<BgMix>(params).run(&cx, &inputs).unwrap().remove(0) {
            HostValue::Clips(c) => c,
            v => panic!("{v:?}"),
        }
    }

    #[test]
    fn the_weight_is_the_backgrounds() {
        let white = Arc::new(Clips {
            shape: [2, 3, 4, 4, 3],
            data: vec![200; 2 * 3 * 4 * 4 * 3],
        });
        let mixed = |w: f64| {
            let out = run(
                json!({"prob": 1, "weight": w}),
                sample(0, true),
                &white,
                vec![frame(4, 4, |_| 100)],
            );
            assert!(out.data.iter().all(|v| *v == out.data[0]));
            out.data[0]
        };
        assert_eq!([mixed(0.0), mixed(0.25), mixed(0.75), mixed(1.0)], [200, 175, 125, 100]);
    }

    #[test]
    fn every_frame_has_the_same_background() {
        let before = clips([3, 2, 4, 4, 3]);
        let background = frame(4, 4, |i| (i * 5) as u8);
        let out = run(
            json!({"prob": 1, "weight": 0.5}),
            sample(0, true),
            &before,
            vec![background.clone()],
        );
        for (i, v) in out.data.iter().enumerate() {
            let (x, b) = (u32::from(before.data[i]), u32::from(background.data[i % 48]));
            assert_eq!(u32::from(*v), (x + b).div_ceil(2), "{i}");
        }
    }

    #[test]
    fn prob_and_background_and_weight_are_drawn_once_a_video() {
        let black = Arc::new(Clips {
            shape: [2, 2, 2, 2, 3],
            data: vec![0; 48],
        });
        // the first shows how much of it there is, the second in steps of its own
        let bank = || vec![frame(2, 2, |_| 200), frame(2, 2, |_| 100)];
        let p = json!({"prob": 0.25, "weight": [0.4, 0.6]});
        let (mut mixed, mut first) = (0, 0);
        for seed in 0..4000 {
            let out = run(p.clone(), sample(seed, true), &black, bank());
            assert!(out.data.iter().all(|v| *v == out.data[0]));
            match out.data[0] {
                0 => continue,
                80..=120 => first += 1,
                40..=60 => {}
                v => panic!("{v}"),
            }
            mixed += 1;
        }
        assert!(
            (900..1100).contains(&mixed) && (440..560).contains(&first),
            "{first} of {mixed}"
        );
        for seed in 0..50 {
            assert_eq!(run(p.clone(), sample(seed, false), &black, bank()), black);
            assert_eq!(
                run(p.clone(), sample(seed, true), &black, bank()),
                run(p.clone(), sample(seed, true), &black, bank())
            );
        }
    }

    #[test]
    fn the_middle_of_the_background_is_taken() {
        let black = Arc::new(Clips {
            shape: [1, 1, 2, 2, 3],
            data: vec![0; 12],
        });
        // columns 0 1 2 3 4 5: of these 2 and 3
        let wide = frame(6, 2, |i| (i / 3 % 6) as u8);
        let out = run(
            json!({"prob": 1, "weight": 1}),
            sample(0, true),
            &black,
            vec![wide.clone()],
        );
        assert_eq!(out.data, [2, 2, 2, 3, 3, 3, 2, 2, 2, 3, 3, 3]);
        // at twice the size, the four pixels around the middle are all between columns 2 and 3
        let out = run(
            json!({"prob": 1, "weight": 1, "short": 4}),
            sample(0, true),
            &black,
            vec![wide],
        );
        assert!(out.data.iter().all(|v| (2..=3).contains(v)), "{out:?}");
    }

    #[test]
    fn a_stretched_background_is_all_there() {
        let black = Arc::new(Clips {
            shape: [1, 2, 3, 3, 3],
            data: vec![0; 54],
        });
        // three columns of 30, 90, 150, two pixels wide and one high
        let wide = frame(6, 1, |i| (30 + 60 * (i / 6)) as u8);
        for filter in ["bilinear", "antialiased"] {
            let p = json!({"prob": 1, "weight": 1, "fit": "stretch", "filter": filter});
            let out = run(p, sample(0, true), &black, vec![wide.clone()]);
            assert_eq!(out.shape, black.shape);
            let columns: Vec<u8> = out.data.chunks(9).flat_map(|row| [row[0], row[3], row[6]]).collect();
            assert_eq!(columns[..3].repeat(6), columns);
            // the two pixels of a column are the nearest; antialiasing takes a little of the next, too
            match filter {
                "bilinear" => assert_eq!(columns[..3], [30, 90, 150]),
                _ => assert!(
                    columns[0] > 30 && columns[0] < 50 && columns[1] == 90 && columns[2] < 150,
                    "{columns:?}"
                ),
            }
        }
        // covering, the middle pixels alone are seen
        let out = run(json!({"prob": 1, "weight": 1}), sample(0, true), &black, vec![wide]);
        assert!(out.data.iter().all(|v| (60..=120).contains(v)), "{out:?}");
    }

    #[test]
    fn weights_are_drawn_from_their_whole_range_once_a_video() {
        let black = Arc::new(Clips {
            shape: [2, 1, 1, 1, 3],
            data: vec![0; 6],
        });
        let p = json!({"prob": 1, "weight": [0, 0.5], "fit": "stretch"});
        let mut seen = [0usize; 5];
        for seed in 0..2000 {
            let out = run(p.clone(), sample(seed, true), &black, vec![frame(1, 1, |_| 200)]);
            assert!(out.data.iter().all(|v| *v == out.data[0]));
            seen[usize::from(out.data[0] / 20).min(4)] += 1;
        }
        assert!(seen.iter().all(|n| (330..470).contains(n)), "{seen:?}");
    }

    #[test]
    fn mistakes_are_reported() {
        let found = |p| problems::<BgMix>(p, &dims(&[]));
        assert_eq!(
            found(json!({"weight": 0.5, "short": 256, "fit": "stretch"})),
            ["short: a background that is stretched to the frames has no shorter side of 256"]
        );
        for weight in [json!(1.5), json!([0.6, 0.4]), json!([0.1]), json!("half")] {
            let p = found(json!({"weight": weight}));
            assert!(
                p.len() == 1 && p[0].starts_with("weight: ") && p[0].contains("is no weight"),
                "{p:?}"
            );
        }
        assert_eq!(
            found(json!({"weight": 0.5, "prob": 2})),
            ["prob: 2 is no probability: 0 ≤ prob ≤ 1"]
        );
        let dims = dims(&[]);
        let mut cx = build_cx(&dims);
        let sizes = [3, 8, 224, 224, 3].map(Size::Known);
        let dims = [&[Size::Batch(1)], &sizes[..]].concat();
        cx.inputs.insert(
            "clips".into(),
            vec![Type {
                head: crate::Head::Clip,
                dims,
            }],
        );
        let build = |short| node::<BgMix>(json!({"weight": 0.5, "short": short})).build(&cx);
        assert!(build(256).is_ok() && build(224).is_ok());
        let Err(p) = build(200) else { panic!() };
        assert!(p[0].message.contains("does not cover frames of 224"), "{p:?}");
    }

    proptest! {
        #[test]
        fn a_byte_is_rounded_to_the_nearest(x: u8, b: u8, w in 0u32..=65536) {
            let clip = Clips { shape: [1, 1, 1, 1, 1], data: vec![x] };
            let exact = (f64::from(x) * f64::from(65536 - w) + f64::from(b) * f64::from(w)) / 65536.0;
            prop_assert_eq!(f64::from(mix(&clip, &[b], w)[0]), (exact + 0.5).floor());
        }

        #[test]
        fn a_background_covers_the_frames(w in 1usize..400, h in 1usize..400, width in 1usize..300, height in 1usize..300) {
            let (a, b) = cover((w, h), (width, height));
            prop_assert!(a >= width && b >= height && (a == width || b == height));
            let image = frame(w, h, |_| 7);
            let fitted = Mixer { params: serde_json::from_value(json!({"weight": 0.5})).unwrap() }
                .fitted(&image, width, height)
                .unwrap();
            prop_assert_eq!(fitted.shape, [1, 1, height, width, 3]);
            prop_assert!(fitted.data.iter().all(|v| *v == 7));
        }
    }
}
