use crate::Args;
use crate::testing::losses_golden::{agree, golden};
use crate::testing::{Probe, f64s, normal, rejected, remarks, scalar, ty};
use serde_json::{Value, json};

fn probe(params: Value, d: usize) -> Probe {
    let types = [
        ("source", vec![ty("Feature", &format!("B,{d}"))]),
        ("target", vec![ty("Feature", &format!("2*B,{d}"))]),
    ];
    Probe::new("mmd", params, &types, &[]).unwrap()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn reference(x: &[Vec<f64>], d: usize, base: f64, kernels: i32, factor: f64) -> f64 {
    let mean = |a: &[f64], b: &[f64]| {
        let k = |x: &[f64], y: &[f64]| -> f64 {
            (0..kernels)
                .map(|i| (-distance(x, y) / (base * factor.powi(i - kernels / 2))).exp())
                .sum()
        };
        let all: Vec<f64> = a
            .chunks(d)
            .flat_map(|x| b.chunks(d).map(move |y| k(x, y)).collect::<Vec<_>>())
            .collect();
        all.iter().sum::<f64>() / all.len() as f64
    };
    mean(&x[0], &x[0]) + mean(&x[1], &x[1]) - 2.0 * mean(&x[0], &x[1])
}

#[test]
fn matches_the_reference() {
    for (b, d, kernels, factor) in [(3, 4, 5, 2.0), (2, 1, 1, 3.0), (5, 6, 4, 1.5)] {
        let source = normal(b as u64, &[b, d]);
        let target = (normal(9, &[2 * b, d]) + 0.7).unwrap();
        let x = Args::default()
            .with("source", vec![source])
            .with("target", vec![target]);
        // The bandwidth that the node finds is a constant to its gradient, so it is passed to the reference.
        let rows: Vec<Vec<f64>> = x
            .flat()
            .flat_map(|t| t.to_vec2::<f32>().unwrap())
            .map(|r| r.iter().map(|v| *v as f64).collect())
            .collect();
        let n = rows.len() as f64;
        let base = rows
            .iter()
            .flat_map(|a| rows.iter().map(move |b| distance(a, b)))
            .sum::<f64>()
            / (n * n - n);
        let params = json!({ "kernels": kernels, "factor": factor });
        probe(params, d).check(&x, |x, _| vec![vec![reference(x, d, base, kernels, factor)]]);
        let params = json!({ "kernels": kernels, "factor": factor, "bandwidth": 2.5 });
        probe(params, d).check(&x, |x, _| vec![vec![reference(x, d, 2.5, kernels, factor)]]);
    }
}

#[test]
fn equal_domains_have_no_discrepancy() {
    let a = normal(1, &[2, 3]);
    let twice = candle_core::Tensor::cat(&[&a, &a], 0).unwrap();
    let x = Args::default()
        .with("source", vec![a.clone()])
        .with("target", vec![twice]);
    assert!(scalar(&probe(json!({}), 3).forward(&x).unwrap()[0]).abs() < 1e-6);
    let alike = a.zeros_like().unwrap();
    let x = Args::default()
        .with("source", vec![alike.clone()])
        .with("target", vec![alike.repeat((2, 1)).unwrap()]);
    assert!(scalar(&probe(json!({}), 3).forward(&x).unwrap()[0]).abs() < 1e-6);
}

const PORTS: [(&str, &[&str]); 2] = [("source", &["source"]), ("target", &["target"])];

fn square(params: Value) -> Probe {
    let types = [
        ("source", vec![ty("Feature", "B,3")]),
        ("target", vec![ty("Feature", "B,3")]),
    ];
    Probe::new("mmd", params, &types, &[]).unwrap()
}

#[test]
fn golden_values() {
    golden("mmd_biased").check(&mut square(json!({})), &PORTS, "loss");
    let linear = json!({ "estimate": "linear", "absolute": true });
    golden("mmd_linear_time").check(&mut square(linear), &PORTS, "loss");
    let mut g = -8f64;
    let mut bandwidths = vec![];
    while g < 8.0 {
        bandwidths.push(9.7 * g.exp2());
        g += 2f64.sqrt();
    }
    let fixed = json!({ "bandwidths": bandwidths });
    golden("mmd_mmsada").check(&mut square(fixed), &PORTS, "loss");
}

/// The released value has a constant, 2/(n − 1), added.
#[test]
fn golden_values_of_the_unbiased_estimates() {
    let params = json!({ "estimate": "unbiased", "mean": "all" });
    golden("dan_tll").check_shifted(&mut square(params), &PORTS, "loss", 2.0 / 3.0);
}

/// Features, and class probabilities with a bandwidth of 2 · 0.92²; the released code starts from logits, and adds 2/(n − 1).
#[test]
fn golden_values_of_two_layers() {
    let case = golden("jan_tll");
    let softmax = |name: &str| {
        let types = [("x", vec![ty("Logits", "B,2")])];
        let mut p = Probe::new("softmax", json!({}), &types, &[]).unwrap();
        let x = Args::default().with("x", vec![case.input(name)]);
        let (y, saved) = p.forward_kept(&x).unwrap();
        (p, x, y[0].clone(), saved)
    };
    let (mut ps, xs, s2, saved_s) = softmax("s2");
    let (mut pt, xt, t2, saved_t) = softmax("t2");
    let x = Args::default()
        .with("source", vec![case.input("s1"), s2])
        .with("target", vec![case.input("t1"), t2]);
    let side = || vec![ty("Feature", "B,3"), ty("Feature", "B,2")];
    let types = [("source", side()), ("target", side())];
    let params = json!({
        "estimate": "unbiased", "mean": "all", "layers": [{}, { "bandwidths": [2.0 * 0.92 * 0.92] }]
    });
    let mut p = Probe::new("mmd", params, &types, &[]).unwrap();
    let (out, saved) = p.forward_kept(&x).unwrap();
    agree("loss", &[scalar(&out[0]) + 2.0 / 3.0], &case.output("loss"));
    let grads = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
    let through = |p: &mut Probe, x: &Args<candle_core::Tensor>, saved, g: &Option<candle_core::Tensor>| {
        p.backward(x, saved, vec![g.clone()]).unwrap()[0].clone()
    };
    let of_s2 = through(&mut ps, &xs, saved_s, &grads[1]);
    let of_t2 = through(&mut pt, &xt, saved_t, &grads[3]);
    for (name, grad) in [("s1", &grads[0]), ("t1", &grads[2]), ("s2", &of_s2), ("t2", &of_t2)] {
        agree(name, &f64s(grad.as_ref().unwrap()), &case.grad(name).unwrap());
    }
}

/// Of any estimate and number of layers, by sums over pairs; bandwidths are fixed.
#[test]
fn estimates_match_the_reference() {
    let (n, widths, b) = (3usize, [2usize, 4], [1.5, 3.0]);
    // Rows with a near partner in the other domain: an estimate without rows with themselves is negative.
    let mut least = 0f64;
    for estimate in ["biased", "unbiased", "linear"] {
        for (layers, absolute) in [(1, false), (2, false), (2, true)] {
            let side = || {
                widths[..layers]
                    .iter()
                    .map(|d| ty("Feature", &format!("B,{d}")))
                    .collect::<Vec<_>>()
            };
            let types = [("source", side()), ("target", side())];
            let list: Vec<Value> = b[..layers]
                .iter()
                .map(|b| json!({ "bandwidth": b, "kernels": 3 }))
                .collect();
            let params = json!({ "estimate": estimate, "layers": list, "absolute": absolute });
            let mut p = Probe::new("mmd", params, &types, &[]).unwrap();
            let make = |seed: u64, shift: f64| -> Vec<candle_core::Tensor> {
                let of = |(i, d): (usize, &usize)| (normal(seed + i as u64, &[n, *d]) + shift).unwrap();
                widths[..layers].iter().enumerate().map(of).collect()
            };
            let x = Args::default()
                .with("source", make(1, 0.0))
                .with("target", make(1, 0.1));
            if layers == 2 && !absolute {
                least = least.min(scalar(&p.forward(&x).unwrap()[0]));
            }
            p.check(&x, |x, _| {
                let k = |(u, i): (usize, usize), (v, j): (usize, usize)| -> f64 {
                    let layer = |l: usize| {
                        let row = |side: usize, i: usize| &x[side * layers + l][i * widths[l]..][..widths[l]];
                        let d = distance(row(u, i), row(v, j));
                        (-1..2).map(|e| (-d / (b[l] * 2f64.powi(e))).exp()).sum::<f64>()
                    };
                    (0..layers).map(layer).product()
                };
                let pairs = || (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
                let sum = |u, v, f: &dyn Fn(usize, usize) -> bool| {
                    pairs()
                        .filter(|(i, j)| f(*i, *j))
                        .map(|(i, j)| k((u, i), (v, j)))
                        .sum::<f64>()
                };
                let m = n as f64;
                let all = |_, _| true;
                let other = |i, j| i != j;
                let value = match estimate {
                    "biased" => (sum(0, 0, &all) + sum(1, 1, &all) - 2.0 * sum(0, 1, &all)) / (m * m),
                    "unbiased" => {
                        (sum(0, 0, &other) + sum(1, 1, &other)) / (m * (m - 1.0)) - 2.0 * sum(0, 1, &all) / (m * m)
                    }
                    _ => {
                        let next = |i: usize, j: usize| j == (i + 1) % n;
                        let before = |i: usize, j: usize| i == (j + 1) % n;
                        (sum(0, 0, &next) + sum(1, 1, &next) - sum(0, 1, &next) - sum(0, 1, &before)) / m
                    }
                };
                vec![vec![if absolute { value.abs() } else { value }]]
            });
        }
    }
    assert!(least < -1e-3, "{least}");
}

#[test]
fn no_rows_are_no_loss() {
    let x = Args::default()
        .with("source", vec![normal(1, &[0, 3])])
        .with("target", vec![normal(2, &[0, 3])]);
    assert_eq!(scalar(&square(json!({})).forward(&x).unwrap()[0]), 0.0);
    // One row has no other, and a domain without rows nothing that it differs from.
    for (estimate, ns, nt) in [
        ("unbiased", 1, 3),
        ("unbiased", 1, 1),
        ("linear", 1, 1),
        ("biased", 0, 3),
        ("biased", 2, 0),
    ] {
        let x = Args::default()
            .with("source", vec![normal(1, &[ns, 3])])
            .with("target", vec![normal(2, &[nt, 3])]);
        let mut p = square(json!({ "estimate": estimate }));
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert_eq!(scalar(&out[0]), 0.0, "{estimate} {ns} {nt}");
        let grads = p.backward(&x, saved, vec![Some((&out[0] + 1.0).unwrap())]).unwrap();
        assert!(
            grads.iter().flatten().all(|g| f64s(g).iter().all(|g| *g == 0.0)),
            "{estimate}"
        );
    }
    let two = Args::default()
        .with("source", vec![normal(1, &[1, 3])])
        .with("target", vec![normal(2, &[1, 3])]);
    assert!(
        scalar(&square(json!({})).forward(&two).unwrap()[0]) > 0.0,
        "rows may be compared with themselves"
    );
}

#[test]
fn mistakes_are_named() {
    let one = |d: &str| vec![ty("Feature", d)];
    let types = [("source", one("B,1")), ("target", one("B,1"))];
    let of = |params: Value| rejected("mmd", params, &types);
    assert_eq!(
        of(json!({ "kernels": 0, "factor": -1.0 })),
        ["kernels: 0 is not in 1 to 32", "factor: -1 is not a number above zero"]
    );
    assert_eq!(
        of(json!({ "bandwidths": [] })),
        ["bandwidths: there are 0, and 1 to 32 are allowed"]
    );
    assert_eq!(
        of(json!({ "bandwidths": [1.0, 0.0], "bandwidth": 1.0 })),
        [
            "bandwidths[1]: 0 is not a number above zero",
            "bandwidths: the kernels are given by this list, and by other keys, too"
        ]
    );
    assert_eq!(
        of(json!({ "layers": [{ "kernels": 99 }], "factor": 2.0 })),
        [
            "layers[0].kernels: 99 is not in 1 to 32",
            "layers: kernels are given for each layer, and once more for all"
        ]
    );
    assert_eq!(
        of(json!({ "layers": [{}, {}] })),
        ["layers: there are kernels for 2 layers, and 1 are connected"]
    );
    let two = [
        ("source", vec![ty("Feature", "B,1"), ty("Feature", "B,2")]),
        ("target", one("B,1")),
    ];
    assert_eq!(
        rejected("mmd", json!({}), &two),
        ["`source` has 2 layers and `target` 1"]
    );
    let uneven = [("source", one("B,1")), ("target", one("2*B,1"))];
    assert_eq!(
        rejected("mmd", json!({ "estimate": "linear" }), &uneven),
        ["estimate: the linear estimate pairs rows: there are B of the source and 2*B of the target"]
    );
    let linear = Probe::new("mmd", json!({ "estimate": "linear" }), &types, &[]);
    let x = Args::default()
        .with("source", vec![normal(1, &[2, 1])])
        .with("target", vec![normal(1, &[3, 1])]);
    assert_eq!(
        linear.unwrap().forward(&x).unwrap_err().to_string(),
        "the linear estimate pairs rows: 2 of the source and 3 of the target came"
    );
    assert_eq!(
        remarks("mmd", json!({ "absolute": true, "mean": "all", "bandwidth": 1.0 })),
        [
            "absolute: the biased estimate is never negative: this changes nothing",
            "mean: all bandwidths are fixed: this changes nothing"
        ]
    );
}
