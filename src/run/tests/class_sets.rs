//! PADA and OSBP, whose losses are formulas: their graphs take a step of the real trainer, and losses and gradients are held to the
//! papers' equations in f64, whose derivatives are central differences.

use super::published::{Found, step_from};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;

type Numbers = BTreeMap<String, Vec<f64>>;

/// Videos of the source, then of the target.
const VIDEOS: [usize; 2] = [4, 3];
const LABELS: [usize; 4] = [0, 2, 1, 0];
const CLASSES: usize = 3;
/// Clips of a video, and values of a clip.
const SHAPE: [usize; 2] = [3, 4];

const DATA: &str = r#"
set.setting = "settings/smoke.toml"

[set.params]
grl           = "constant"
adv_weight    = 1.0
domain_hidden = 5

[set.dims]
K = 3

[replace.nodes.videos]
kind          = "numbers"
videos        = 4
labels        = [0, 2, 1, 0]
target.videos = 3

[replace.nodes.backbone]
kind   = "given"
clips  = "G+L"
shape  = [3, 4]
videos = [4, 3]
inputs = { clips = "batch.clips" }

[set.phases.main]
steps = 2
batch = { source = 4, target = 3 }
"#;

/// A step of a method, with the weights that it starts from.
fn step(method: &str) -> (Found, Numbers) {
    let mut start = Numbers::new();
    let found = step_from(&format!("extends = \"methods/{method}.toml\"\n{DATA}"), |name, dims| {
        let phase = name.bytes().map(f64::from).sum::<f64>();
        let count = dims.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|i| (phase + 1.7 * i as f64).sin() as f32).collect();
        start.insert(name.into(), values.iter().map(|v| f64::from(*v)).collect());
        Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
    });
    (found, start)
}

/// `W x + b`.
fn linear(w: &Numbers, node: &str, x: &[f64]) -> Vec<f64> {
    let bias = w[&format!("{node}bias")].iter();
    let rows = w[&format!("{node}weight")].chunks(x.len());
    rows.zip(bias)
        .map(|(row, b)| b + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>())
        .collect()
}

fn softmax(z: &[f64]) -> Vec<f64> {
    let sum: f64 = z.iter().map(|z| z.exp()).sum();
    z.iter().map(|z| z.exp() / sum).collect()
}

/// The features of each video, the mean of its clips: of the source, then of the target.
fn consensus(w: &Numbers) -> Vec<Vec<f64>> {
    let [clips, width] = SHAPE;
    let mean = |video: &[f64]| -> Vec<f64> {
        let of = |d: usize| (0..clips).map(|c| video[c * width + d]).sum::<f64>() / clips as f64;
        (0..width).map(of).collect()
    };
    w["backbone.feature"].chunks(clips * width).map(mean).collect()
}

/// Holds a step to two terms: the features descend the first and ascend the second, all else descends both.
fn hold(found: &Found, start: &Numbers, names: [&str; 2], terms: impl Fn(&Numbers) -> [f64; 2]) {
    let near = |what: String, a: f64, b: f64| {
        assert!(
            (a - b).abs() <= 2e-5 * b.abs().max(1.0),
            "{what}: {a}, and {b} is right"
        );
    };
    for (name, right) in names.iter().zip(terms(start)) {
        near((*name).into(), found.row[*name].as_f64().unwrap(), right);
    }
    for (name, grad) in &found.grads {
        let grad = grad.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (i, g) in grad.into_iter().enumerate() {
            let at = |h: f64| {
                let mut moved = start.clone();
                moved.get_mut(name).unwrap()[i] += h;
                let [first, second] = terms(&moved);
                match name.as_str() {
                    "backbone.feature" => first - second,
                    _ => first + second,
                }
            };
            near(format!("∂{name}[{i}]"), f64::from(g), (at(1e-5) - at(-1e-5)) / 2e-5);
        }
    }
}

#[test]
fn classes_that_the_target_lacks_count_less() {
    let (found, start) = step("pada");
    let scores = |w: &Numbers| -> Vec<Vec<f64>> { consensus(w).iter().map(|x| linear(w, "classify.", x)).collect() };
    // The share of each class among the target's predictions, over the largest: constants to the gradient.
    let mut share = [0.0; CLASSES];
    for z in &scores(&start)[VIDEOS[0]..] {
        softmax(z).iter().zip(&mut share).for_each(|(p, s)| *s += p);
    }
    let most = share.iter().copied().fold(0.0, f64::max);
    let weight = |i: usize| share[LABELS[i]] / most;
    let terms = |w: &Numbers| {
        let z = scores(w);
        let ce = |i: usize| -weight(i) * softmax(&z[i])[LABELS[i]].ln() / VIDEOS[0] as f64;
        let mut adversary = 0.0;
        for (i, x) in consensus(w).iter().enumerate() {
            let relu = |x: Vec<f64>| x.into_iter().map(|v| v.max(0.0)).collect::<Vec<_>>();
            let hidden = relu(linear(w, "judge.1.", &relu(linear(w, "judge.0.", x))));
            let of_source = 1.0 / (1.0 + (-linear(w, "judge.2.", &hidden)[0]).exp());
            adversary -= match i < VIDEOS[0] {
                true => weight(i) * of_source.ln() / VIDEOS[0] as f64,
                false => (1.0 - of_source).ln() / VIDEOS[1] as f64,
            };
        }
        [(0..VIDEOS[0]).map(ce).sum(), adversary]
    };
    hold(&found, &start, ["ce", "adversary"], terms);
}

#[test]
fn the_unknown_class_is_one_more() {
    let (found, start) = step("osbp");
    assert_eq!(start["classify.bias"].len(), CLASSES + 1);
    let terms = |w: &Numbers| {
        let p: Vec<Vec<f64>> = consensus(w)
            .iter()
            .map(|x| softmax(&linear(w, "classify.", x)))
            .collect();
        let ce = |i: usize| -p[i][LABELS[i]].ln() / VIDEOS[0] as f64;
        let unknown = |p: &Vec<f64>| -0.5 * (p[CLASSES].ln() + (1.0 - p[CLASSES]).ln()) / VIDEOS[1] as f64;
        [(0..VIDEOS[0]).map(ce).sum(), p[VIDEOS[0]..].iter().map(unknown).sum()]
    };
    hold(&found, &start, ["ce", "unknown"], terms);
}
