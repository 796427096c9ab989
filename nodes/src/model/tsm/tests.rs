//! The networks against a plain reference in `f64`, and the batch statistics.

use super::super::resnet::Layout;
use super::{BatchStats, Depth, Tsm};
use crate::testing::{Probe, close, f64s, normal, ty};
use crate::{Args, Key, Precision, Role};
use candle_core::Tensor;
use serde_json::{Value, json};
use std::collections::HashMap;

/// `[n, h, w, c]`.
#[derive(Clone)]
struct Map {
    n: usize,
    h: usize,
    w: usize,
    c: usize,
    v: Vec<f64>,
}

impl Map {
    fn at(&self, n: usize, y: usize, x: usize) -> &[f64] {
        &self.v[((n * self.h + y) * self.w + x) * self.c..][..self.c]
    }

    /// A new map of `[n, h, w]` pixels, each computed from its position.
    fn make(&self, h: usize, w: usize, c: usize, pixel: impl Fn(usize, usize, usize) -> Vec<f64>) -> Map {
        let mut v = vec![];
        for n in 0..self.n {
            for y in 0..h {
                for x in 0..w {
                    v.extend(pixel(n, y, x));
                }
            }
        }
        Map { n: self.n, h, w, c, v }
    }

    /// Calls `body` for every input pixel of a window.
    fn window(&self, n: usize, at: [usize; 2], kernel: usize, stride: usize, mut body: impl FnMut(usize, &[f64])) {
        for ky in 0..kernel {
            for kx in 0..kernel {
                let y = (at[0] * stride + ky).wrapping_sub(kernel / 2);
                let x = (at[1] * stride + kx).wrapping_sub(kernel / 2);
                if y < self.h && x < self.w {
                    body(ky * kernel + kx, self.at(n, y, x));
                }
            }
        }
    }
}

/// The reference network: weights by name, and whether statistics are the batch's.
struct Reference<'a> {
    weights: &'a HashMap<String, Vec<f64>>,
    batch: bool,
    frames: usize,
}

impl Reference<'_> {
    fn unit(&self, name: &str, x: &Map, kernel: usize, stride: usize) -> Map {
        let w = |what: &str| &self.weights[&format!("{name}.{what}")];
        let (gamma, beta, filter) = (w("bn.weight"), w("bn.bias"), w("conv.weight"));
        let co = gamma.len();
        let (taps, size) = (kernel * kernel, |n: usize| (n - 1) / stride + 1);
        let mut y = x.make(size(x.h), size(x.w), co, |n, i, j| {
            let mut out = vec![0.0; co];
            x.window(n, [i, j], kernel, stride, |tap, pixel| {
                for (o, out) in out.iter_mut().enumerate() {
                    *out += pixel
                        .iter()
                        .enumerate()
                        .map(|(c, v)| v * filter[(o * x.c + c) * taps + tap])
                        .sum::<f64>();
                }
            });
            out
        });
        let rows = (y.v.len() / co) as f64;
        for c in 0..co {
            let (mean, var) = match self.batch {
                false => (w("bn.running_mean")[c], w("bn.running_var")[c]),
                true => {
                    let values = || y.v.iter().skip(c).step_by(co);
                    let mean = values().sum::<f64>() / rows;
                    (mean, values().map(|v| (v - mean).powi(2)).sum::<f64>() / rows)
                }
            };
            y.v.iter_mut()
                .skip(c)
                .step_by(co)
                .for_each(|v| *v = (*v - mean) / (var + 1e-5).sqrt() * gamma[c] + beta[c]);
        }
        y
    }

    fn shift(&self, x: &Map, fold: usize) -> Map {
        let k = x.c / fold;
        x.make(x.h, x.w, x.c, |n, i, j| {
            let mut pixel = x.at(n, i, j).to_vec();
            let t = n % self.frames;
            for c in 0..k {
                pixel[c] = if t + 1 < self.frames { x.at(n + 1, i, j)[c] } else { 0.0 };
                pixel[k + c] = if t > 0 { x.at(n - 1, i, j)[k + c] } else { 0.0 };
            }
            pixel
        })
    }

    fn run(&self, layout: Layout, fold: usize, x: &Map) -> Vec<f64> {
        let relu = |mut m: Map| {
            m.v.iter_mut().for_each(|v| *v = v.max(0.0));
            m
        };
        let mut x = relu(self.unit("conv1", x, layout.stem, 2));
        if layout.pool {
            x = x.make((x.h - 1) / 2 + 1, (x.w - 1) / 2 + 1, x.c, |n, i, j| {
                let mut most = vec![f64::MIN; x.c];
                x.window(n, [i, j], 3, 2, |_, pixel| {
                    most.iter_mut().zip(pixel).for_each(|(m, v)| *m = m.max(*v));
                });
                most
            });
        }
        for layer in 0..4 {
            for i in 0..layout.blocks[layer] {
                let name = |what: &str| format!("layer{}.{i}.{what}", layer + 1);
                let stride = if i == 0 { layout.strides[layer] } else { 1 };
                let mut y = self.shift(&x, fold);
                let units: &[(usize, usize)] = match layout.bottleneck {
                    true => &[(1, 1), (3, stride), (1, 1)],
                    false => &[(3, stride), (3, 1)],
                };
                for (u, (kernel, stride)) in units.iter().enumerate() {
                    y = self.unit(&name(&format!("conv{}", u + 1)), &y, *kernel, *stride);
                    if u + 1 < units.len() {
                        y = relu(y);
                    }
                }
                if self.weights.contains_key(&name("downsample.conv.weight")) {
                    x = self.unit(&name("downsample"), &x, 1, stride);
                }
                y.v.iter_mut().zip(&x.v).for_each(|(y, x)| *y += x);
                x = relu(y);
            }
        }
        let positions = self.frames * x.h * x.w;
        x.v.chunks(positions * x.c)
            .flat_map(|clip| {
                let mean = |c: usize| clip.iter().skip(c).step_by(x.c).sum::<f64>() / positions as f64;
                (0..x.c).map(mean).collect::<Vec<_>>()
            })
            .collect()
    }
}

fn clip_type(n: usize, t: usize, h: usize, w: usize) -> crate::Type {
    ty("Clip", &format!("B,{n},{t},{h},{w},3"))
}

fn probe(params: &Value, streams: usize, clips: [usize; 4]) -> Probe {
    let [n, t, h, w] = clips;
    let types = [("clips", vec![clip_type(n, t, h, w); streams])];
    Probe::new("tsm", params.clone(), &types, &[("G", 1), ("L", 2)])
        .unwrap()
        .unusual_weights()
}

fn tsm(params: &Value) -> Tsm {
    serde_json::from_value(params.clone()).unwrap()
}

fn weights(p: &Probe) -> HashMap<String, Vec<f64>> {
    p.specs
        .iter()
        .map(|s| (s.name.clone(), f64s(&p.weight(&s.name))))
        .collect()
}

/// Forward and some of each weight's gradient, and some of the input's, against the reference.
fn check_network(params: Value, training: bool, rows: usize, clips: [usize; 4], picks: u64) {
    let mut p = probe(&params, 1, clips);
    p.training = training;
    let [n, t, h, w] = clips;
    let kind = tsm(&params);
    let x = normal(5, &[rows, n, t, h, w, 3]);
    let args = Args::default().with("clips", vec![x.clone()]);
    let before = weights(&p);
    let reference = |weights: &HashMap<String, Vec<f64>>, x: &[f64]| {
        let map = Map {
            n: rows * n * t,
            h,
            w,
            c: 3,
            v: x.to_vec(),
        };
        Reference {
            weights,
            batch: training,
            frames: t,
        }
        .run(kind.depth.layout(), kind.shift_div, &map)
    };
    let (out, saved) = p.forward_kept(&args).unwrap();
    close("feature", &f64s(&out[0]), &reference(&before, &f64s(&x)), 2e-4);

    let seed = normal(6, out[0].dims());
    let dx = p.backward(&args, saved, vec![Some(seed.clone())]).unwrap();
    let seed = f64s(&seed);
    let objective = |weights: &HashMap<String, Vec<f64>>, x: &[f64]| -> f64 {
        reference(weights, x).iter().zip(&seed).map(|(a, b)| a * b).sum()
    };
    let h = 1e-6;
    for spec in p.specs.iter().filter(|s| s.role != Role::Buffer) {
        let found = f64s(
            &p.grad(&spec.name)
                .unwrap_or_else(|| panic!("no gradient of {}", spec.name)),
        );
        let scale = found.iter().fold(1e-2f64, |m, v| m.max(v.abs()));
        for pick in 0..picks {
            let i = Key::new(pick).name(&spec.name).rng().below(found.len());
            let at = |d: f64| {
                let mut w = before.clone();
                w.get_mut(&spec.name).unwrap()[i] += d;
                objective(&w, &f64s(&x))
            };
            let numeric = (at(h) - at(-h)) / (2.0 * h);
            let error = (found[i] - numeric).abs() / scale;
            assert!(error < 2e-3, "{}[{i}]: {} and {numeric} is right", spec.name, found[i]);
        }
    }
    let found = f64s(dx[0].as_ref().unwrap());
    let scale = found.iter().fold(1e-2f64, |m, v| m.max(v.abs()));
    for pick in 0..6 {
        let i = Key::new(pick).name("clips").rng().below(found.len());
        let at = |d: f64| {
            let mut v = f64s(&x);
            v[i] += d;
            objective(&before, &v)
        };
        let numeric = (at(h) - at(-h)) / (2.0 * h);
        assert!(
            (found[i] - numeric).abs() / scale < 2e-3,
            "clips[{i}]: {} and {numeric} is right",
            found[i]
        );
    }
}

#[test]
fn the_small_network_matches_the_reference() {
    let params = json!({ "depth": "small", "batch_stats": "joint" });
    check_network(params, true, 2, [1, 3, 13, 10], 3);
    let params = json!({ "depth": "small", "batch_stats": "per_stream", "widths": [5, 9, 8, 8, 11], "shift_div": 4 });
    check_network(params, true, 1, [2, 2, 9, 16], 3);
}

#[test]
fn the_deep_networks_match_the_reference() {
    for depth in [18, 50] {
        let params = json!({ "depth": depth, "batch_stats": "joint", "widths": [4, 3, 4, 5, 4], "shift_div": 2 });
        check_network(params, true, 2, [1, 2, 35, 33], 1);
    }
}

#[test]
fn with_running_statistics_the_gradient_is_that_of_constants() {
    let params = json!({ "depth": "small", "batch_stats": "joint", "widths": [4, 8, 8, 8, 8] });
    check_network(params, false, 1, [1, 3, 10, 8], 3);
}

#[test]
fn sizes_are_those_of_the_published_networks() {
    let facts = |depth: Value, side: usize| {
        let params = json!({ "depth": depth, "batch_stats": "joint" });
        let p = Probe::new("tsm", params, &[("clips", vec![clip_type(1, 1, side, side)])], &[]).unwrap();
        let trained = p.specs.iter().filter(|s| s.role != Role::Buffer);
        (
            trained.map(|s| s.elements()).sum::<usize>(),
            p.compute.cost(1, Precision::F32).macs,
        )
    };
    // torchvision's without the class head, and multiply-adds of the convolutions.
    assert_eq!(facts(json!(18), 224), (11_176_512, 1_813_561_344));
    assert_eq!(facts(json!(34), 224), (21_284_672, 3_663_249_408));
    assert_eq!(facts(json!(50), 224), (23_508_032, 4_087_136_256));
    let (parameters, macs) = facts(json!("small"), 48);
    assert_eq!(parameters, 131_840);
    assert_eq!(macs / 100_000, 45);
}

#[test]
fn weights_are_named_as_in_mmaction() {
    let params = json!({ "depth": 50, "batch_stats": "joint" });
    let p = Probe::new("tsm", params, &[("clips", vec![clip_type(1, 1, 32, 32)])], &[]).unwrap();
    let names: Vec<&str> = p.specs.iter().map(|s| s.name.as_str()).collect();
    for (name, shape) in [
        ("conv1.conv.weight", vec![64, 3, 7, 7]),
        ("conv1.bn.running_var", vec![64]),
        ("layer1.0.conv1.conv.weight", vec![64, 64, 1, 1]),
        ("layer1.0.downsample.conv.weight", vec![256, 64, 1, 1]),
        ("layer3.5.conv2.conv.weight", vec![256, 256, 3, 3]),
        ("layer4.2.conv3.bn.bias", vec![2048]),
    ] {
        let i = names
            .iter()
            .position(|n| *n == name)
            .unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(p.specs[i].shape, shape, "{name}");
    }
    assert_eq!(names.len(), 53 * 5);
    assert!(!names.contains(&"layer1.1.downsample.conv.weight"));
}

#[test]
fn running_statistics_move_by_a_tenth() {
    let params = json!({ "depth": "small", "batch_stats": "joint" });
    let types = [("clips", vec![clip_type(1, 2, 6, 6)])];
    let mut p = Probe::new("tsm", params, &types, &[]).unwrap();
    let x = normal(1, &[1, 1, 2, 6, 6, 3]);
    let map = Map {
        n: 2,
        h: 6,
        w: 6,
        c: 3,
        v: f64s(&x),
    };
    p.forward(&Args::default().with("clips", vec![x])).unwrap();
    let filter = f64s(&p.weight("conv1.conv.weight"));
    let y = map.make(3, 3, 1, |n, i, j| {
        let mut sum = 0.0;
        map.window(n, [i, j], 5, 2, |tap, pixel| {
            sum += pixel
                .iter()
                .enumerate()
                .map(|(c, v)| v * filter[c * 25 + tap])
                .sum::<f64>();
        });
        vec![sum]
    });
    let mean = y.v.iter().sum::<f64>() / 18.0;
    let var = y.v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 17.0;
    close(
        "mean",
        &f64s(&p.weight("conv1.bn.running_mean"))[..1],
        &[0.1 * mean],
        1e-4,
    );
    close(
        "var",
        &f64s(&p.weight("conv1.bn.running_var"))[..1],
        &[0.9 + 0.1 * var],
        1e-4,
    );
}

fn buffers(p: &Probe) -> Vec<f64> {
    p.specs
        .iter()
        .filter(|s| s.role == Role::Buffer)
        .flat_map(|s| f64s(&p.weight(&s.name)))
        .collect()
}

fn run(p: &mut Probe, clips: &[&Tensor]) -> Vec<Vec<f64>> {
    let args = Args::default().with("clips", clips.iter().map(|c| (*c).clone()).collect());
    p.forward(&args).unwrap().iter().map(f64s).collect()
}

const SIZE: [usize; 4] = [3, 2, 9, 9];

fn stream(seed: u64) -> Tensor {
    normal(seed, &[2, 3, 2, 9, 9, 3])
}

#[test]
fn joint_statistics_are_those_of_all_streams() {
    let (a, b, c) = (stream(1), stream(2), (stream(3) * 3.0).unwrap());
    let params = json!({ "depth": "small", "batch_stats": "joint" });
    let mut p = probe(&params, 2, SIZE);
    let (with_b, with_c) = (run(&mut p, &[&a, &b]), run(&mut p, &[&a, &c]));
    assert_ne!(with_b[0], with_c[0], "the other stream changes the statistics");
    // One call over both equals one call over their rows as one stream.
    let both = run(&mut p, &[&Tensor::cat(&[&a, &b], 0).unwrap()]);
    assert_eq!(with_b.concat(), both[0]);
    let alone = run(
        &mut probe(&json!({ "depth": "small", "batch_stats": "per_stream" }), 1, SIZE),
        &[&a],
    );
    assert_ne!(alone[0], with_b[0]);
}

#[test]
fn a_stream_without_rows_changes_nothing() {
    let (a, none) = (stream(1), normal(2, &[0, 3, 2, 9, 9, 3]));
    let params = json!({ "depth": "small", "batch_stats": "joint" });
    let (mut p, mut alone) = (probe(&params, 2, SIZE), probe(&params, 1, SIZE));
    let args = |clips: Vec<Tensor>| Args::default().with("clips", clips);
    let seed = normal(9, &[2, 3, 64]);
    let (x, y) = (args(vec![a.clone(), none]), args(vec![a]));
    let (out, saved) = p.forward_kept(&x).unwrap();
    assert_eq!(out[1].dims(), [0, 3, 64]);
    let dx = p
        .backward(&x, saved, vec![Some(seed.clone()), Some(out[1].clone())])
        .unwrap();
    let (want, saved) = alone.forward_kept(&y).unwrap();
    let want_dx = alone.backward(&y, saved, vec![Some(seed)]).unwrap();
    assert_eq!(f64s(&out[0]), f64s(&want[0]));
    assert_eq!(f64s(dx[0].as_ref().unwrap()), f64s(want_dx[0].as_ref().unwrap()));
    assert_eq!(dx[1].as_ref().unwrap().dims(), [0, 3, 2, 9, 9, 3]);
}

#[test]
fn per_stream_view_is_one_call_for_each_view() {
    let a = stream(1);
    let views = json!({ "depth": "small", "batch_stats": "per_stream_view", "views": ["G", "L"] });
    let mut p = probe(&views, 1, SIZE);
    let found = run(&mut p, &[&a]);
    // The same by hand: the global clip, then the local ones.
    let single = json!({ "depth": "small", "batch_stats": "per_stream" });
    let (mut q, mut all) = (probe(&single, 1, SIZE), probe(&single, 1, SIZE));
    let part = |from, n| a.narrow(1, from, n).unwrap().contiguous().unwrap();
    let global = run(&mut q, &[&part(0, 1)]);
    let local = run(&mut q, &[&part(1, 2)]);
    let expect: Vec<f64> = global[0]
        .chunks(64)
        .zip(local[0].chunks(128))
        .flat_map(|(g, l)| [g, l].concat())
        .collect();
    assert_eq!(found[0], expect);
    assert_eq!(
        buffers(&p),
        buffers(&q),
        "running statistics move once for each view, in order"
    );
    assert_ne!(found, run(&mut all, &[&a]));
}

#[test]
fn gradients_of_views_add_up() {
    let a = stream(1);
    let args = |t: Tensor| Args::default().with("clips", vec![t]);
    let views = json!({ "depth": "small", "batch_stats": "per_stream_view", "views": ["G", "L"] });
    let single = json!({ "depth": "small", "batch_stats": "per_stream" });
    let (mut p, mut q) = (probe(&views, 1, SIZE), probe(&single, 1, SIZE));
    let seed = normal(9, &[2, 3, 64]);
    let part = |t: &Tensor, from, n| t.narrow(1, from, n).unwrap().contiguous().unwrap();
    let (_, saved) = p.forward_kept(&args(a.clone())).unwrap();
    let dx = p
        .backward(&args(a.clone()), saved, vec![Some(seed.clone())])
        .unwrap()
        .remove(0)
        .unwrap();
    let mut parts = vec![];
    for (from, n) in [(0, 1), (1, 2)] {
        let x = args(part(&a, from, n));
        let (_, saved) = q.forward_kept(&x).unwrap();
        parts.push(
            q.backward(&x, saved, vec![Some(part(&seed, from, n))])
                .unwrap()
                .remove(0)
                .unwrap(),
        );
    }
    assert_eq!(f64s(&dx), f64s(&Tensor::cat(&parts, 1).unwrap()));
    for spec in p.specs.iter().filter(|s| s.role != Role::Buffer) {
        let (a, b) = (p.grad(&spec.name).unwrap(), q.grad(&spec.name).unwrap());
        close(&spec.name, &f64s(&a), &f64s(&b), 1e-5);
    }
}

#[test]
fn evaluation_depends_on_the_clip_alone_and_leaves_the_statistics() {
    let (a, b) = (stream(1), stream(2));
    let mut joint = probe(&json!({ "depth": "small", "batch_stats": "joint" }), 2, SIZE);
    let mut single = probe(&json!({ "depth": "small", "batch_stats": "per_stream" }), 1, SIZE);
    joint.training = false;
    single.training = false;
    let before = buffers(&joint);
    let first = run(&mut joint, &[&a, &b]);
    assert_eq!(first, run(&mut joint, &[&a, &b]));
    close("stream a", &first[0], &run(&mut single, &[&a])[0], 1e-5);
    close("stream b", &first[1], &run(&mut single, &[&b])[0], 1e-5);
    assert_eq!(before, buffers(&joint));
}

#[test]
fn a_stream_without_gradient_counts_as_zero() {
    let mut p = probe(&json!({ "depth": "small", "batch_stats": "joint" }), 2, SIZE);
    let args = Args::default().with("clips", vec![stream(1), stream(2)]);
    let grads = |p: &mut Probe, second: Option<Tensor>| {
        p.store.clear_grads();
        let (out, saved) = p.forward_kept(&args).unwrap();
        p.backward(&args, saved, vec![Some(out[0].ones_like().unwrap()), second])
            .unwrap();
        f64s(&p.grad("layer4.0.conv1.conv.weight").unwrap())
    };
    let without = grads(&mut p, None);
    let zeros = normal(1, &[2, 3, 64]).zeros_like().unwrap();
    assert_eq!(without, grads(&mut p, Some(zeros)));
}

#[test]
fn the_same_bits_with_any_number_of_threads() {
    let args = Args::default().with(
        "clips",
        vec![normal(1, &[3, 2, 4, 24, 24, 3]), normal(2, &[3, 2, 4, 24, 24, 3])],
    );
    let everything = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut p = probe(&json!({ "depth": "small", "batch_stats": "joint" }), 2, [2, 4, 24, 24]);
            let (out, saved) = p.forward_kept(&args).unwrap();
            let dx = p
                .backward(&args, saved, out.iter().map(|o| Some(o.clone())).collect())
                .unwrap();
            let grads = p.specs.iter().filter_map(|s| p.grad(&s.name));
            let all: Vec<Tensor> = out.into_iter().chain(dx.into_iter().flatten()).chain(grads).collect();
            (all.iter().map(f64s).collect::<Vec<_>>(), buffers(&p))
        })
    };
    let one = everything(1);
    assert!(one == everything(2), "2 threads differ from 1");
    assert!(one == everything(3), "3 threads differ from 1");
}

#[test]
fn changed_weights_are_packed_anew() {
    let mut p = probe(&json!({ "depth": "small", "batch_stats": "joint" }), 1, SIZE);
    p.training = false;
    let a = stream(1);
    let first = run(&mut p, &[&a]);
    let name = "layer2.0.conv1.conv.weight";
    let old = p.weight(name);
    p.set(name, (&old * 2.0).unwrap());
    assert_ne!(first, run(&mut p, &[&a]));
    // A new store restarts its versions, so the value itself must be compared.
    p.store = Default::default();
    p.store
        .declare("node", &p.specs, Key::new(7), &crate::testing::device())
        .unwrap();
    let fresh = run(&mut p, &[&a]);
    let types = [("clips", vec![clip_type(3, 2, 9, 9)])];
    let mut q = Probe::new("tsm", json!({ "depth": "small", "batch_stats": "joint" }), &types, &[]).unwrap();
    q.training = false;
    assert_eq!(fresh, run(&mut q, &[&a]));
}

#[test]
fn mistakes_are_named() {
    let of = |params: Value, types: Vec<crate::Type>| {
        let e = Probe::new("tsm", params, &[("clips", types)], &[("G", 1), ("L", 2)])
            .err()
            .unwrap();
        format!("{}: {}", e[0].path, e[0].message)
    };
    let clips = || vec![clip_type(3, 2, 9, 9)];
    let e = of(json!({ "depth": 20, "batch_stats": "joint" }), clips());
    assert!(e.contains("there is no depth 20"), "{e}");
    let e = of(json!({ "depth": 18, "batch_stats": "joint", "shift_div": 1 }), clips());
    assert!(e.starts_with("shift_div"), "{e}");
    let e = of(json!({ "depth": 18, "batch_stats": "per_stream_view" }), clips());
    assert!(e.contains("belong together"), "{e}");
    let e = of(
        json!({ "depth": 18, "batch_stats": "per_stream_view", "views": ["G", "G"] }),
        clips(),
    );
    assert!(e.contains("the views have 2 clips, and 3 arrive"), "{e}");
    let e = of(
        json!({ "depth": 18, "batch_stats": "joint" }),
        vec![clip_type(3, 2, 9, 9), clip_type(3, 2, 8, 9)],
    );
    assert!(e.contains("joint statistics of"), "{e}");
}

#[test]
fn parameters_are_read() {
    let t = tsm(&json!({ "depth": 34, "batch_stats": "per_stream" }));
    assert_eq!(
        (t.depth, t.batch_stats, t.shift_div),
        (Depth::D34, BatchStats::PerStream, 8)
    );
}
