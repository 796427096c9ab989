//! PADA, OSBP and MDAN, whose losses are formulas: their graphs take a step of the real trainer, and losses and gradients are held to the
//! papers' equations in f64, whose derivatives are central differences.

use super::published::{Found, step_from};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;

type Numbers = BTreeMap<String, Vec<f64>>;

/// Videos of the source, then of the target. A second source has as many as the first.
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
fn step(method: &str, data: &str) -> (Found, Numbers) {
    let mut start = Numbers::new();
    let found = step_from(&format!("extends = \"methods/{method}.toml\"\n{data}"), |name, dims| {
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

/// The probability of the source, of a domain classifier with so many layers.
fn of_source(w: &Numbers, node: &str, layers: usize, x: &[f64]) -> f64 {
    let mut x = x.to_vec();
    for layer in 0..layers {
        x = linear(w, &format!("{node}.{layer}."), &x);
        if layer + 1 < layers {
            x.iter_mut().for_each(|v| *v = v.max(0.0));
        }
    }
    1.0 / (1.0 + (-x[0]).exp())
}

fn near(what: &str, found: f64, right: f64) {
    let error = (found - right).abs();
    assert!(
        error <= 2e-5 * right.abs().max(1.0),
        "{what}: {found}, and {right} is right"
    );
}

/// Holds a step to two terms of these names.
fn hold(found: &Found, start: &Numbers, names: [&str; 2], terms: impl Fn(&Numbers) -> [f64; 2]) {
    for (name, right) in names.iter().zip(terms(start)) {
        near(name, found.row[*name].as_f64().unwrap(), right);
    }
    descends(found, start, terms);
}

/// Holds gradients to those of two terms: the features descend the first and ascend the second, all else descends both.
fn descends(found: &Found, start: &Numbers, terms: impl Fn(&Numbers) -> [f64; 2]) {
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
            let right = (at(1e-5) - at(-1e-5)) / 2e-5;
            near(&format!("∂{name}[{i}]"), f64::from(g), right);
        }
    }
}

#[test]
fn classes_that_the_target_lacks_count_less() {
    let (found, start) = step("pada", DATA);
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
            let of_source = of_source(w, "judge", 3, x);
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
    let (found, start) = step("osbp", DATA);
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

#[test]
fn the_worst_source_counts_most() {
    let second = "\n[phases.main.nodes.pixels]\nsource_2.stream = 2\n";
    let data = DATA
        .replace("target = 3 }", "target = 3, source_2 = 4 }")
        .replace("videos = [4, 3]", "videos = [4, 3, 4]");
    let (found, start) = step("mdan", &format!("{data}{second}"));
    // Cross-entropy and domain loss of each source.
    let losses = |w: &Numbers| -> [[f64; 2]; 2] {
        let x = consensus(w);
        let (of_first, rest) = x.split_at(VIDEOS[0]);
        let (target, of_second) = rest.split_at(VIDEOS[1]);
        [("align.mlp", of_first), ("align_2.mlp", of_second)].map(|(judge, source)| {
            let scores = source.iter().map(|x| softmax(&linear(w, "classify.", x)));
            let ce: f64 = scores.zip(LABELS).map(|(p, y)| -p[y].ln()).sum();
            let known = source.iter().map(|x| -of_source(w, judge, 4, x).ln());
            let other = target.iter().map(|x| -(1.0 - of_source(w, judge, 4, x)).ln());
            let rows = (VIDEOS[0] + VIDEOS[1]) as f64;
            [ce / VIDEOS[0] as f64, known.chain(other).sum::<f64>() / rows]
        })
    };
    let [one, two] = losses(&start).map(|[ce, domain]| ce + domain);
    let worst = (one.exp() + two.exp()).ln();
    near("worst", found.row["worst"].as_f64().unwrap(), worst);
    let share = [one, two].map(|l| (l - worst).exp());
    descends(&found, &start, |w| {
        let [[ce_1, domain_1], [ce_2, domain_2]] = losses(w);
        [
            share[0] * ce_1 + share[1] * ce_2,
            share[0] * domain_1 + share[1] * domain_2,
        ]
    });
}
