//! The network against a plain reference in `f64`.

use super::super::volume::{Norms, Volume, Weights, Window, check};
use super::{INFLATE, NON_LOCAL};
use crate::testing::{Probe, f64s, normal, ty};
use crate::{Args, Precision, Role};
use serde_json::{Value, json};

/// A window that is no longer than its axis.
fn fitting(x: &Volume, kernel: [usize; 3], pad: [usize; 3]) -> Window {
    let fit = std::array::from_fn(|a| kernel[a].min(x.size[a] + 2 * pad[a]));
    Window::padded(fit, kernel.map(|k| k.min(2)), pad)
}

fn non_local(norms: &Norms<'_>, name: &str, x: Volume) -> Volume {
    let branch = |what: &str| {
        let y = x.conv(
            norms.weight(&format!("{name}.{what}.conv.weight")),
            Window::padded([1; 3], [1; 3], [0; 3]),
        );
        let bias = norms.weight(&format!("{name}.{what}.conv.bias"));
        let v =
            y.v.chunks(y.c)
                .flat_map(|row| row.iter().zip(bias).map(|(v, b)| v + b))
                .collect();
        Volume { v, ..y }
    };
    let theta = branch("theta");
    let pooled = |what: &str| {
        let y = branch(what);
        y.max_pool(fitting(&y, [1, 2, 2], [0; 3]))
    };
    let (phi, g) = (pooled("phi.0"), pooled("g.0"));
    let (c, keys) = (theta.c, phi.v.len() / phi.c / phi.n);
    let positions = theta.v.len() / c / theta.n;
    let mut v = vec![];
    for (i, query) in theta.v.chunks(c).enumerate() {
        let clip = i / positions * keys;
        let mut out = vec![0.0; c];
        for k in clip..clip + keys {
            let key = &phi.v[k * c..][..c];
            let weight = query.iter().zip(key).map(|(a, b)| a * b).sum::<f64>() / keys as f64;
            out.iter_mut().zip(&g.v[k * c..]).for_each(|(o, g)| *o += weight * g);
        }
        v.extend(out);
    }
    let y = Volume { v, ..theta };
    let y = y.conv(
        norms.weight(&format!("{name}.conv_out.conv.weight")),
        Window::padded([1; 3], [1; 3], [0; 3]),
    );
    norms.apply(&format!("{name}.conv_out.bn"), y).add(&x)
}

fn reference(weights: &Weights, batch: bool, with_non_local: bool, x: &Volume) -> Vec<f64> {
    let norms = Norms {
        weights,
        batch,
        eps: 1e-5,
    };
    let unit = |name: &str, x: &Volume, kernel: [usize; 3], stride: [usize; 3]| {
        let y = x.conv(
            norms.weight(&format!("{name}.conv.weight")),
            Window::padded(kernel, stride, kernel.map(|k| k / 2)),
        );
        norms.apply(&format!("{name}.bn"), y)
    };
    let mut x = unit("conv1", x, [5, 7, 7], [2; 3]).relu();
    x = x.max_pool(Window::padded([1, 3, 3], [2; 3], [0, 1, 1]));
    for layer in 0..4 {
        for (i, frames) in INFLATE[layer].iter().enumerate() {
            let name = |what: &str| format!("layer{}.{i}{what}", layer + 1);
            let stride = if i == 0 && layer > 0 { [1, 2, 2] } else { [1; 3] };
            let mut y = unit(&name(".conv1"), &x, [*frames, 1, 1], [1; 3]).relu();
            y = unit(&name(".conv2"), &y, [1, 3, 3], stride).relu();
            y = unit(&name(".conv3"), &y, [1; 3], [1; 3]);
            let shortcut = match i {
                0 => unit(&name(".downsample"), &x, [1; 3], stride),
                _ => x,
            };
            x = y.add(&shortcut).relu();
            if with_non_local && NON_LOCAL[layer].contains(&i) {
                x = non_local(&norms, &name(".non_local_block"), x);
            }
        }
        if layer == 0 {
            x = x.max_pool(fitting(&x, [2, 1, 1], [0; 3]));
        }
    }
    x.mean()
}

fn check_network(non_local: bool, training: bool, rows: usize, clips: [usize; 4]) {
    let params = json!({ "width": 2, "non_local": non_local, "batch_stats": "joint" });
    check("i3d_r50", params, training, rows, clips, |weights, x| {
        reference(weights, training, non_local, x)
    });
}

#[test]
fn the_network_matches_the_reference() {
    // Two frames are left in the deep layers, and rows and columns are odd.
    check_network(true, true, 2, [1, 20, 35, 17]);
}

#[test]
fn without_non_local_blocks_and_with_running_statistics_it_matches_too() {
    check_network(false, true, 2, [2, 16, 21, 33]);
    // Products of three factors grow without bound without the batch's norms, so there are no non-local blocks here.
    check_network(false, false, 1, [1, 9, 33, 18]);
}

#[test]
fn clips_of_one_frame_and_few_pixels_pass() {
    check_network(true, true, 3, [2, 1, 18, 9]);
}

fn facts(params: Value, clip: [usize; 3]) -> (usize, u64) {
    let [t, h, w] = clip;
    let types = [("clips", vec![ty("Clip", &format!("B,1,{t},{h},{w},3"))])];
    let p = Probe::new("i3d_r50", params, &types, &[]).unwrap();
    let trained = p.specs.iter().filter(|s| s.role != Role::Buffer);
    (
        trained.map(|s| s.elements()).sum(),
        p.compute.cost(1, Precision::F32).macs,
    )
}

#[test]
fn sizes_are_those_of_the_published_networks() {
    // mmaction2 reports 28.04 M and 35.40 M parameters with the head of 400 classes (819 600), and 43.6 G and 59.3 G
    // operations for 32 frames of 256², including norms and pooling.
    let near = |macs: u64, published: f64| (macs as f64 / 1e9 / published - 1.0).abs() < 0.01;
    let (parameters, macs) = facts(json!({ "non_local": false, "batch_stats": "joint" }), [32, 256, 256]);
    assert_eq!((parameters + 819_600) / 10_000, 2804);
    assert!(near(macs, 43.564), "{macs}");
    let (parameters, macs) = facts(json!({ "batch_stats": "joint" }), [32, 256, 256]);
    assert_eq!((parameters + 819_600 + 5_000) / 10_000, 3540);
    // In layer 2 the product of channels is the cheaper one, with 32×32×4 positions, a quarter of them keys.
    let saved = 2 * (2 * 4096 * 1024 * 256 - (4096 + 1024) * 256 * 256);
    assert!(near(macs + saved, 59.343), "{macs}");
}

#[test]
fn weights_are_named_as_in_mmaction() {
    let types = [("clips", vec![ty("Clip", "B,1,8,32,32,3")])];
    let p = Probe::new("i3d_r50", json!({ "batch_stats": "joint" }), &types, &[]).unwrap();
    for (name, shape) in [
        ("conv1.conv.weight", vec![64, 3, 5, 7, 7]),
        ("layer1.2.conv1.conv.weight", vec![64, 256, 3, 1, 1]),
        ("layer2.1.conv1.conv.weight", vec![128, 512, 1, 1, 1]),
        ("layer4.1.conv1.conv.weight", vec![512, 2048, 3, 1, 1]),
        ("layer4.0.downsample.conv.weight", vec![2048, 1024, 1, 1, 1]),
        ("layer2.3.non_local_block.g.0.conv.weight", vec![256, 512, 1, 1, 1]),
        ("layer2.3.non_local_block.g.0.conv.bias", vec![256]),
        ("layer3.5.non_local_block.theta.conv.weight", vec![512, 1024, 1, 1, 1]),
        ("layer3.5.non_local_block.phi.0.conv.bias", vec![512]),
        (
            "layer3.1.non_local_block.conv_out.conv.weight",
            vec![1024, 512, 1, 1, 1],
        ),
        ("layer3.1.non_local_block.conv_out.bn.running_var", vec![1024]),
    ] {
        let spec = p
            .specs
            .iter()
            .find(|s| s.name == name)
            .unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(spec.shape, shape, "{name}");
    }
    assert_eq!(p.specs.len(), 53 * 5 + 5 * (6 + 5));
    assert_eq!(p.outputs[0].to_string(), "Feature[B,1,2048]");
}

#[test]
fn a_fresh_non_local_block_is_the_identity() {
    let types = [("clips", vec![ty("Clip", "B,1,8,32,32,3")])];
    let run = |non_local: bool| {
        let params = json!({ "width": 4, "non_local": non_local, "batch_stats": "joint" });
        let mut p = Probe::new("i3d_r50", params, &types, &[]).unwrap();
        let x = normal(1, &[2, 1, 8, 32, 32, 3]);
        f64s(&p.forward(&Args::default().with("clips", vec![x])).unwrap()[0])
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn mistakes_are_named() {
    let types = [("clips", vec![ty("Clip", "B,3,8,32,32,3")])];
    let printed = |params: Value| {
        let e = Probe::new("i3d_r50", params, &types, &[]).err().unwrap();
        format!("{}: {}", e[0].path, e[0].message)
    };
    assert!(printed(json!({ "batch_stats": "joint", "width": 0 })).starts_with("width"));
    assert!(printed(json!({ "batch_stats": "per_stream_view" })).contains("belong together"));
    assert!(printed(json!({ "batch_stats": "per_stream_view", "views": [1, 1] })).contains("2 clips, and 3 arrive"));
}
