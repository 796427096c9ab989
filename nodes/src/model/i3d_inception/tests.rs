//! The network against a plain reference in `f64`.

use super::super::volume::{Norms, Volume, Weights, Window, check};
use crate::Role;
use crate::testing::{Probe, ty};
use serde_json::json;

fn reference(weights: &Weights, batch: bool, x: &Volume) -> Vec<f64> {
    let norms = Norms {
        weights,
        batch,
        eps: 1e-3,
    };
    let unit = |name: &str, x: &Volume, kernel: usize, stride: usize| {
        let window = Window::same(x.size, [kernel; 3], [stride; 3]);
        let y = x.conv(norms.weight(&format!("{name}.conv3d.weight")), window);
        norms.apply(&format!("{name}.bn"), y).relu()
    };
    let pool = |x: &Volume, kernel, stride| x.max_pool(Window::same(x.size, kernel, stride));
    let mixed = |name: &str, x: &Volume| {
        let unit = |what: &str, x: &Volume, kernel| unit(&format!("Mixed_{name}.{what}"), x, kernel, 1);
        Volume::beside(&[
            unit("b0", x, 1),
            unit("b1b", &unit("b1a", x, 1), 3),
            unit("b2b", &unit("b2a", x, 1), 3),
            unit("b3b", &pool(x, [3; 3], [1; 3]), 1),
        ])
    };
    let mut x = unit("Conv3d_1a_7x7", x, 7, 2);
    x = pool(&x, [1, 3, 3], [1, 2, 2]);
    x = unit("Conv3d_2b_1x1", &x, 1, 1);
    x = unit("Conv3d_2c_3x3", &x, 3, 1);
    x = pool(&x, [1, 3, 3], [1, 2, 2]);
    for name in ["3b", "3c"] {
        x = mixed(name, &x);
    }
    x = pool(&x, [3; 3], [2; 3]);
    for name in ["4b", "4c", "4d", "4e", "4f"] {
        x = mixed(name, &x);
    }
    x = pool(&x, [2; 3], [2; 3]);
    for name in ["5b", "5c"] {
        x = mixed(name, &x);
    }
    x.mean()
}

fn check_network(training: bool, rows: usize, clips: [usize; 4]) {
    let params = json!({ "width": 2, "batch_stats": "joint" });
    check("i3d_inception", params, training, rows, clips, |weights, x| {
        reference(weights, training, x)
    });
}

#[test]
fn the_network_matches_the_reference() {
    // Sizes that pad unevenly: even, odd, and odd only after a halving.
    check_network(true, 2, [1, 9, 34, 27]);
}

#[test]
fn with_running_statistics_and_few_pixels_it_matches_too() {
    check_network(false, 1, [2, 6, 9, 14]);
}

#[test]
fn sizes_are_those_of_the_published_network() {
    let types = [("clips", vec![ty("Clip", "B,1,64,224,224,3")])];
    let p = Probe::new("i3d_inception", json!({ "batch_stats": "joint" }), &types, &[]).unwrap();
    // pytorch-i3d's without the logits of 400 classes, whose 12 697 264 are with them (1024·400 + 400).
    let parameters: usize = p
        .specs
        .iter()
        .filter(|s| s.role != Role::Buffer)
        .map(|s| s.elements())
        .sum();
    assert_eq!(parameters, 12_697_264 - 410_000);
    assert_eq!(p.outputs[0].to_string(), "Feature[B,1,1024]");
    for (name, shape) in [
        ("Conv3d_1a_7x7.conv3d.weight", vec![64, 3, 7, 7, 7]),
        ("Mixed_3b.b1b.conv3d.weight", vec![128, 96, 3, 3, 3]),
        ("Mixed_4e.b2a.bn.running_mean", vec![32]),
        ("Mixed_5c.b3b.bn.weight", vec![128]),
    ] {
        let spec = p
            .specs
            .iter()
            .find(|s| s.name == name)
            .unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(spec.shape, shape, "{name}");
    }
}
