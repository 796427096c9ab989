//! `gaussian_blur`: frames out of focus.

use super::images;
use super::input::{clips_stage, never, share};
use crate::contract::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Blurs the frames by a Gaussian, in training only: one draw a video, the same for all frames of all its clips.
///
/// Weights exp(−x²/2σ²) over `size` pixels, divided by their sum, along rows and then columns, with the pixels at the
/// edges mirrored; rounded to bytes (torchvision's `gaussian_blur`). σ is uniform in `sigma`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianBlur {
    /// The share of videos that are blurred.
    #[serde(default = "half")]
    pub prob: f64,
    /// Least and most of σ, in pixels.
    #[serde(default = "sigma")]
    pub sigma: [f64; 2],
    /// Pixels that a weighted mean is of, along rows and columns: an odd number. Without, those up to three times the
    /// largest σ away.
    #[serde(default)]
    pub size: Option<usize>,
}

fn half() -> f64 {
    0.5
}

fn sigma() -> [f64; 2] {
    [0.1, 2.0]
}

/// The widest kernel that is of use: frames are hardly ever that large.
const WIDEST: usize = 1025;

impl GaussianBlur {
    /// Pixels of the kernel on each side of its middle.
    fn reach(&self) -> usize {
        self.size
            .map_or_else(|| (3.0 * self.sigma[1]).ceil() as usize, |s| s / 2)
    }
}

impl Kind for GaussianBlur {
    const NAME: &'static str = "gaussian_blur";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = share(self.prob, "prob");
        let [low, high] = self.sigma;
        let widest = WIDEST as f64 / 6.0;
        if !(0.0 < low && low <= high && high < widest) {
            let message = format!("{low} to {high} is no range of widths: 0 < low ≤ high < {widest:.0}");
            problems.push(ParamProblem::new("sigma", message));
        }
        if let Some(size) = self.size.filter(|s| s % 2 == 0 || *s > WIDEST) {
            let message = format!("{size} is no odd number up to {WIDEST}");
            problems.push(ParamProblem::new("size", message).help("the pixel itself is in the middle"));
        }
        problems
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        let mut remarks = never(self.prob, "prob", "blurred");
        if self.size == Some(1) {
            let message = "a mean of 1 pixel changes nothing";
            remarks.push(ParamProblem::new("size", message).help("three times σ on each side is a usual size"));
        }
        remarks
    }

    fn contract(&self, _: &Wiring) -> Contract {
        clips_stage("Clip[B,N,T,H,W,C]", "Clip[B,N,T,H,W,C]").random()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let side = |i| cx.input("clips").and_then(|t| t.known(i));
        let reach = self.reach();
        if let (Some(h), Some(w)) = (side(-3), side(-2))
            && reach >= h.min(w)
        {
            return Err(vec![ParamProblem::new("size", too_small(w, h, reach))]);
        }
        Ok(Body::Stage(Box::new(Blur {
            prob: self.prob,
            sigma: self.sigma,
            reach,
        })))
    }
}

/// Edges are mirrored once, not again and again.
fn too_small(width: usize, height: usize, reach: usize) -> String {
    format!(
        "frames of {width}x{height} pixels are too small for means of {} pixels",
        2 * reach + 1
    )
}

struct Blur {
    prob: f64,
    sigma: [f64; 2],
    reach: usize,
}

/// The weights of a Gaussian of this σ.
fn weights(sigma: f64, reach: usize) -> Vec<f32> {
    let at = |i: usize| (-0.5 * ((i as f64 - reach as f64) / sigma).powi(2)).exp();
    let all: Vec<f64> = (0..=2 * reach).map(at).collect();
    let sum: f64 = all.iter().sum();
    all.iter().map(|w| (w / sum) as f32).collect()
}

/// Place `i − reach` of 0..`length`, mirrored at its first and last place.
fn mirrored(i: usize, reach: usize, length: usize) -> usize {
    match i.checked_sub(reach) {
        None => reach - i,
        Some(at) if at < length => at,
        Some(at) => 2 * (length - 1) - at,
    }
}

/// A frame of `[height, width, channels]`, blurred.
fn blurred(frame: &[u8], [height, width, channels]: [usize; 3], weights: &[f32]) -> Vec<u8> {
    let reach = weights.len() / 2;
    let row = width * channels;
    let mut across = vec![0f32; frame.len()];
    let mut padded = Vec::with_capacity((width + 2 * reach) * channels);
    for (from, to) in frame.chunks_exact(row).zip(across.chunks_exact_mut(row)) {
        padded.clear();
        for i in 0..width + 2 * reach {
            let x = mirrored(i, reach, width) * channels;
            padded.extend(from[x..x + channels].iter().map(|v| f32::from(*v)));
        }
        for (k, w) in weights.iter().enumerate() {
            to.iter_mut()
                .zip(&padded[k * channels..])
                .for_each(|(t, v)| *t += w * v);
        }
    }
    let mut out = Vec::with_capacity(frame.len());
    let mut sums = vec![0f32; row];
    for y in 0..height {
        sums.fill(0.0);
        for (k, w) in weights.iter().enumerate() {
            let from = &across[mirrored(y + k, reach, height) * row..][..row];
            sums.iter_mut().zip(from).for_each(|(s, v)| *s += w * v);
        }
        out.extend(sums.iter().map(|s| s.round_ties_even() as u8));
    }
    out
}

impl Stage for Blur {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let clips = inputs.clips("clips")?;
        let mut draw = cx.key.rng();
        if !cx.training || !draw.chance(self.prob) {
            return Ok(vec![HostValue::Clips(clips.clone())]);
        }
        let (w, h) = images::size(clips);
        if self.reach >= w.min(h) {
            return Err(DataError::sample(too_small(w, h, self.reach)));
        }
        let weights = weights(draw.range(self.sigma[0], self.sigma[1]), self.reach);
        let shape = clips.shape;
        let size = [h, w, shape[4]];
        let mut data = Vec::with_capacity(clips.data.len());
        for frame in clips.data.chunks_exact((h * w * shape[4]).max(1)) {
            data.extend(blurred(frame, size, &weights));
        }
        Ok(vec![HostValue::Clips(Arc::new(Clips { shape, data }))])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build_cx, built, clips, clips_through, dims, node, problems, sample};
    use super::*;
    use crate::testing::ty;
    use serde_json::{Value, json};

    #[test]
    fn a_blur_is_torchvisions() {
        let table: Value = serde_json::from_str(include_str!("golden/colour.json")).unwrap();
        let bytes = |v: &Value| -> Vec<u8> {
            v.as_array()
                .unwrap()
                .iter()
                .map(|b| b.as_u64().unwrap() as u8)
                .collect()
        };
        let rows = table["blur"].as_array().unwrap();
        assert!(rows.len() >= 4);
        for row in rows {
            let frame = bytes(&table["frames"][row["frame"].as_u64().unwrap() as usize]);
            let [h, w] = [0, 1].map(|i| table["size"][i].as_u64().unwrap() as usize);
            let (sigma, size) = (row["sigma"].as_f64().unwrap(), row["size"].as_u64().unwrap() as usize);
            let out = blurred(&frame, [h, w, 3], &weights(sigma, size / 2));
            assert_eq!(out, bytes(&row["out"]), "{sigma} {size}");
        }
    }

    #[test]
    fn a_blur_is_the_weighted_mean_of_what_is_around() {
        let before = clips([1, 2, 6, 7, 2]);
        let stage = built::<GaussianBlur>(json!({"prob": 1.0, "sigma": [0.8, 1.4], "size": 5}));
        let mut differ = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let mut draw = Key::new(seed).rng();
            draw.chance(1.0);
            let sigma = draw.range(0.8, 1.4);
            let out = clips_through(&*stage, sample(seed, true), &before);
            let g = |d: i64| (-((d * d) as f64) / (2.0 * sigma * sigma)).exp();
            let total: f64 = (-2..=2).map(g).sum();
            let inside = |i: i64, n: i64| {
                if i < 0 {
                    -i
                } else if i >= n {
                    2 * (n - 1) - i
                } else {
                    i
                }
            };
            for (i, o) in out.data.iter().enumerate() {
                let (c, x, y, frame) = (i % 2, (i / 2 % 7) as i64, (i / 14 % 6) as i64, i / 84);
                let mut want = 0.0;
                for dy in -2..=2 {
                    for dx in -2..=2 {
                        let at = frame * 84 + (inside(y + dy, 6) * 14 + inside(x + dx, 7) * 2) as usize + c;
                        want += g(dx) * g(dy) / (total * total) * f64::from(before.data[at]);
                    }
                }
                assert!((f64::from(*o) - want).abs() < 0.5001, "{seed} {i}: {o}, {want}");
            }
            differ.insert(out.data.clone());
        }
        assert!(differ.len() > 10, "{}", differ.len());
    }

    #[test]
    fn one_draw_a_video_in_training_only() {
        let before = clips([2, 2, 14, 14, 3]);
        let stage = built::<GaussianBlur>(json!({}));
        let same = |training| {
            let same = |s: &u64| Arc::ptr_eq(&before, &clips_through(&*stage, sample(*s, training), &before));
            (0..400).filter(same).count()
        };
        assert!((160..240).contains(&same(true)), "{}", same(true));
        assert_eq!(same(false), 400);
        let grey = Arc::new(Clips {
            shape: [1, 1, 14, 14, 1],
            data: vec![93; 196],
        });
        assert_eq!(
            clips_through(&*built::<GaussianBlur>(json!({"prob": 1.0})), sample(1, true), &grey),
            grey
        );
    }

    #[test]
    fn mistakes_are_reported() {
        let found = |p| problems::<GaussianBlur>(p, &dims(&[]));
        assert_eq!(found(json!({"size": 4})), ["size: 4 is no odd number up to 1025"]);
        assert_eq!(
            found(json!({"sigma": [2.0, 1.0], "prob": 2})),
            [
                "prob: 2 is no probability: 0 ≤ prob ≤ 1",
                "sigma: 2 to 1 is no range of widths: 0 < low ≤ high < 171"
            ]
        );
        assert_eq!(found(json!({"sigma": [0.0, 1.0]})).len(), 1);
        let remarks = node::<GaussianBlur>(json!({"size": 1, "prob": 0})).remarks();
        assert_eq!(remarks.len(), 2);
        let dims = dims(&[]);
        let mut cx = build_cx(&dims);
        cx.inputs.insert("clips".into(), vec![ty("Clip", "B,1,8,12,6,3")]);
        let Err(p) = node::<GaussianBlur>(json!({})).build(&cx) else {
            panic!()
        };
        assert_eq!(
            p[0].message,
            "frames of 6x12 pixels are too small for means of 13 pixels"
        );
        assert!(node::<GaussianBlur>(json!({"size": 11})).build(&cx).is_ok());
        let inputs = Args::default().with("clips", vec![HostValue::Clips(clips([1, 1, 6, 20, 1]))]);
        let e = built::<GaussianBlur>(json!({"prob": 1.0}))
            .run(&sample(1, true), &inputs)
            .unwrap_err();
        assert_eq!(
            e.to_string(),
            "frames of 20x6 pixels are too small for means of 13 pixels"
        );
    }
}
