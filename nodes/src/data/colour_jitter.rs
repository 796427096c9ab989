//! `colour_jitter`: colours changed at random.

use super::colour::Change;
use super::input::{clips_stage, never, share};
use crate::contract::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Changes brightness, contrast, saturation and hue, in random order, by amounts drawn once a video: the same for all
/// frames of all its clips. In training only.
///
/// With `brightness = x` the factor is uniform in [max(0, 1 − x), 1 + x], and so for contrast and saturation; the hue
/// moves on by a share of its circle, uniform in [−x, x]. Bytes in, bytes out: each change is torchvision's (`adjust_…` on
/// tensors of bytes), and contrast is about the mean of each frame.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "brightness": 0.15, "contrast": 0.15, "saturation": 0.15, "hue": 0.05, "prob": 0.8 }]))]
pub struct ColourJitter {
    /// How far the factor of the brightness is from 1 at most.
    #[serde(default)]
    pub brightness: f64,
    /// How far the factor of the contrast is from 1 at most.
    #[serde(default)]
    pub contrast: f64,
    /// How far the factor of the saturation is from 1 at most.
    #[serde(default)]
    pub saturation: f64,
    /// How far the hue moves at most, in turns of its circle: 0.5 is all of it.
    #[serde(default)]
    pub hue: f64,
    /// The share of videos whose brightness, contrast, saturation and hue are changed.
    #[serde(default = "one")]
    pub prob: f64,
    /// The share of videos that are made grey after that, by a draw of its own.
    #[serde(default)]
    pub grey: f64,
}

fn one() -> f64 {
    1.0
}

impl Kind for ColourJitter {
    const NAME: &'static str = "colour_jitter";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        let ranges = [
            (self.brightness, "brightness"),
            (self.contrast, "contrast"),
            (self.saturation, "saturation"),
        ];
        for (x, param) in ranges.into_iter().filter(|(x, _)| *x < 0.0) {
            let message = format!("{x} is no distance from 1: 0 ≤ {param}");
            problems.push(ParamProblem::new(param, message));
        }
        if !(0.0..=0.5).contains(&self.hue) {
            let message = format!("{} is no part of a turn either way: 0 ≤ hue ≤ 0.5", self.hue);
            problems
                .push(ParamProblem::new("hue", message).help("hues are turns of their circle: 18 degrees are 0.05"));
        }
        problems.extend(share(self.prob, "prob"));
        problems.extend(share(self.grey, "grey"));
        problems
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        let ranges = [self.brightness, self.contrast, self.saturation, self.hue];
        match ranges == [0.0; 4] {
            true if self.grey == 0.0 => {
                let message =
                    "no colour is ever changed: `brightness`, `contrast`, `saturation`, `hue` and `grey` are 0";
                vec![ParamProblem::new("", message).help("give at least one of them, or drop the node")]
            }
            true => vec![],
            false => never(self.prob, "prob", "changed"),
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        clips_stage("Clip[B,N,T,H,W,3]", "Clip[B,N,T,H,W,3]").random()
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Stage(Box::new(Jitter { params: self.clone() })))
    }
}

struct Jitter {
    params: ColourJitter,
}

impl Jitter {
    /// The changes of a video, in their order. Everything is drawn whatever is used, so that one parameter changes no
    /// other draw.
    fn changes(&self, draw: &mut Draw) -> Vec<Change> {
        let p = &self.params;
        let jitters = draw.chance(p.prob);
        let order = draw.permutation(4);
        let mut factor = |x: f64| draw.range((1.0 - x).max(0.0), 1.0 + x);
        let all = [
            (p.brightness, Change::Brightness(factor(p.brightness))),
            (p.contrast, Change::Contrast(factor(p.contrast))),
            (p.saturation, Change::Saturation(factor(p.saturation))),
            (p.hue, Change::Hue(draw.range(-p.hue, p.hue))),
        ];
        let mut changes = vec![];
        if jitters {
            let asked = order.into_iter().map(|i| all[i]).filter(|(range, _)| *range > 0.0);
            changes.extend(asked.map(|(_, change)| change));
        }
        if draw.chance(p.grey) {
            changes.push(Change::Grey);
        }
        changes
    }
}

impl Stage for Jitter {
    fn run(&self, cx: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let clips = inputs.clips("clips")?;
        let changes = match cx.training {
            true => self.changes(&mut cx.key.rng()),
            false => vec![],
        };
        if changes.is_empty() {
            return Ok(vec![HostValue::Clips(clips.clone())]);
        }
        let [.., h, w, c] = clips.shape;
        let mut out = Clips::clone(clips);
        for frame in out.data.chunks_exact_mut((h * w * c).max(1)) {
            changes.iter().for_each(|change| change.apply(frame));
        }
        Ok(vec![HostValue::Clips(Arc::new(out))])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, clips, clips_through, dims, node, problems, sample};
    use super::*;
    use crate::testing::ty;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn params(p: Value) -> ColourJitter {
        serde_json::from_value(p).unwrap()
    }

    fn changes(p: &Value, seed: u64) -> Vec<Change> {
        Jitter {
            params: params(p.clone()),
        }
        .changes(&mut Key::new(seed).rng())
    }

    fn all() -> Value {
        json!({"brightness": 0.15, "contrast": 0.2, "saturation": 1.5, "hue": 0.05, "prob": 0.8, "grey": 0.2})
    }

    #[test]
    fn the_changes_of_a_video_are_those_of_every_frame_in_their_order() {
        let image = clips([1, 1, 5, 4, 3]);
        let before = Arc::new(Clips {
            shape: [2, 3, 5, 4, 3],
            data: image.data.repeat(6),
        });
        let stage = built::<ColourJitter>(all());
        for seed in 0..40 {
            let out = clips_through(&*stage, sample(seed, true), &before);
            let mut frame = image.data.clone();
            changes(&all(), seed).iter().for_each(|c| c.apply(&mut frame));
            assert_eq!((out.shape, &out.data), (before.shape, &frame.repeat(6)), "{seed}");
        }
    }

    #[test]
    fn contrast_is_about_the_mean_of_each_frame() {
        let two = Arc::new(Clips {
            shape: [1, 2, 1, 2, 3],
            data: [[0; 3], [100; 3], [100; 3], [200; 3]].concat(),
        });
        let stage = built::<ColourJitter>(json!({"contrast": 0.5}));
        for seed in 0..10 {
            let Change::Contrast(f) = changes(&json!({"contrast": 0.5}), seed)[0] else {
                panic!()
            };
            let out = clips_through(&*stage, sample(seed, true), &two);
            // greys of 99 and 199: means of 49.5 and 149
            for (at, x, mean) in [(0, 0.0, 49.5), (3, 100.0, 49.5), (6, 100.0, 149.0), (9, 200.0, 149.0)] {
                let want = (f * x + (1.0 - f) * mean).clamp(0.0, 255.0);
                assert!(
                    (want - f64::from(out.data[at]) - 0.5).abs() < 0.51,
                    "{f} {at}: {} {want}",
                    out.data[at]
                );
            }
        }
    }

    #[test]
    fn amounts_and_order_are_drawn_as_asked() {
        let (mut orders, mut grey, mut none) = (BTreeSet::new(), 0, 0);
        let mut ends = [[f64::MAX, f64::MIN]; 4];
        for seed in 0..4000 {
            let mut found = changes(&all(), seed);
            grey += usize::from(found.last() == Some(&Change::Grey));
            found.retain(|c| *c != Change::Grey);
            if found.is_empty() {
                none += 1;
                continue;
            }
            let mut order = vec![];
            for c in found {
                let (i, f) = match c {
                    Change::Brightness(f) => (0, f),
                    Change::Contrast(f) => (1, f),
                    Change::Saturation(f) => (2, f),
                    Change::Hue(f) => (3, f),
                    Change::Grey => panic!(),
                };
                order.push(i);
                ends[i] = [ends[i][0].min(f), ends[i][1].max(f)];
            }
            assert_eq!(order.len(), 4);
            orders.insert(order);
        }
        assert_eq!(orders.len(), 24);
        assert!(
            (700..900).contains(&none) && (700..900).contains(&grey),
            "{none} {grey}"
        );
        for (end, (low, high)) in ends.iter().zip([(0.85, 1.15), (0.8, 1.2), (0.0, 2.5), (-0.05, 0.05)]) {
            let margin = (high - low) / 100.0;
            assert!(low <= end[0] && end[0] < low + margin, "{end:?}");
            assert!(high - margin < end[1] && end[1] < high, "{end:?}");
        }
    }

    #[test]
    fn a_parameter_changes_no_other_draw() {
        for seed in 0..50 {
            let hue = |p: Value| {
                let of = |c: &Change| matches!(c, Change::Hue(_));
                changes(&p, seed).into_iter().find(of)
            };
            assert_eq!(
                hue(json!({"hue": 0.05})),
                hue(json!({"hue": 0.05, "brightness": 0.4, "grey": 1.0}))
            );
        }
    }

    #[test]
    fn evaluation_and_no_change_copy_nothing() {
        let before = clips([1, 2, 3, 3, 3]);
        let same = |p, training| {
            let stage = built::<ColourJitter>(p);
            (0..20).all(|s| Arc::ptr_eq(&before, &clips_through(&*stage, sample(s, training), &before)))
        };
        assert!(same(all(), false));
        assert!(same(json!({}), true));
        assert!(same(json!({"hue": 0.1, "prob": 0.0}), true));
        assert!(!same(json!({"hue": 0.1}), true));
    }

    #[test]
    fn two_channels_have_no_colour() {
        let contract = node::<ColourJitter>(all()).contract(&Wiring::default());
        let flow = ty("Clip", "B,1,8,6,6,2");
        let misfits = contract.inputs[0].types[0]
            .bind(&flow, &mut Bindings::default())
            .unwrap_err();
        let [
            Misfit::Dim {
                index: 5, want, got, ..
            },
        ] = misfits[..]
        else {
            panic!("{misfits:?}")
        };
        assert_eq!((want, got), (Size::Known(3), Size::Known(2)));
    }

    #[test]
    fn mistakes_are_reported() {
        let found = |p| problems::<ColourJitter>(p, &dims(&[]));
        assert_eq!(
            found(json!({"brightness": -0.1, "contrast": -1, "saturation": -2, "hue": 0.6, "prob": 1.5, "grey": -1})),
            [
                "brightness: -0.1 is no distance from 1: 0 ≤ brightness",
                "contrast: -1 is no distance from 1: 0 ≤ contrast",
                "saturation: -2 is no distance from 1: 0 ≤ saturation",
                "hue: 0.6 is no part of a turn either way: 0 ≤ hue ≤ 0.5",
                "prob: 1.5 is no probability: 0 ≤ prob ≤ 1",
                "grey: -1 is no probability: 0 ≤ grey ≤ 1",
            ]
        );
        let remarks = |p| {
            node::<ColourJitter>(p)
                .remarks()
                .into_iter()
                .map(|r| r.message)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            remarks(json!({})),
            ["no colour is ever changed: `brightness`, `contrast`, `saturation`, `hue` and `grey` are 0"]
        );
        assert_eq!(
            remarks(json!({"hue": 0.1, "prob": 0.0})),
            ["with 0 no video is ever changed"]
        );
        assert!(remarks(json!({"grey": 0.1})).is_empty() && remarks(all()).is_empty());
    }
}
