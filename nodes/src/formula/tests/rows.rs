//! Functions against differences, labels, masks, no rows, several outputs, numbers from outside, and the same bits for any
//! number of threads.

use super::{by_candle, node, of_x};
use crate::testing::{close, f64s, labels, normal, scalar};
use candle_core::{Device, Tensor};
use serde_json::{Value, json};

fn value(loss: &str, x: &Tensor) -> f64 {
    let (mut probe, args) = of_x(loss, x);
    scalar(&probe.forward(&args).unwrap()[0])
}

/// The loss and its gradient of a matrix of three columns, in f64.
type Reference = fn(&[f64]) -> f64;

const FUNCTIONS: [(&str, Reference); 14] = [
    ("sum(exp(x))", |x| x.iter().map(|x| x.exp()).sum()),
    ("sum(log(x^2 + 1))", |x| x.iter().map(|x| (x * x + 1.0).ln()).sum()),
    ("sum(sqrt(abs(x)) * 2)", |x| {
        x.iter().map(|x| 2.0 * x.abs().sqrt()).sum()
    }),
    ("sum(relu(x - 0.1)^3)", |x| {
        x.iter().map(|x| (x - 0.1).max(0.0).powi(3)).sum()
    }),
    ("sum(sigmoid(x) * tanh(x))", |x| {
        x.iter().map(|x| x.tanh() / (1.0 + (-x).exp())).sum()
    }),
    ("sum(log_sigmoid(x) / softplus(x))", |x| {
        let log = |x: f64| (1.0 + x.exp()).ln();
        x.iter().map(|x| -log(-x) / log(*x)).sum()
    }),
    ("sum(1/(x^2 + 1) - x/2)", |x| {
        x.iter().map(|x| 1.0 / (x * x + 1.0) - x / 2.0).sum()
    }),
    ("sum((2 - x)^-2 + abs(x)^1.5)", |x| {
        x.iter().map(|x| (2.0 - x).powi(-2) + x.abs().powf(1.5)).sum()
    }),
    ("sum(maximum(x, 0.2) * minimum(x, -0.2))", |x| {
        x.iter().map(|x| x.max(0.2) * x.min(-0.2)).sum()
    }),
    ("sum(where(x > 0 & !(x > 1) | x < -1, x^2, 3*x))", |x| {
        let of = |x: f64| {
            if x > 0.0 && x <= 1.0 || x < -1.0 {
                x * x
            } else {
                3.0 * x
            }
        };
        x.iter().map(|x| of(*x)).sum()
    }),
    ("sum(max(x, d)^2) + sum(min(x, n)) + norm(x)", |x| {
        let rows: Vec<&[f64]> = x.chunks(3).collect();
        let most = |r: &&[f64]| r.iter().copied().fold(f64::MIN, f64::max).powi(2);
        let least = |j: usize| rows.iter().map(|r| r[j]).fold(f64::MAX, f64::min);
        let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        rows.iter().map(most).sum::<f64>() + (0..3).map(least).sum::<f64>() + norm
    }),
    ("sum(logsumexp(40*x, d)) + logsumexp(x)", |x| {
        let lse = |x: &[f64], f: f64| x.iter().map(|x| (f * x).exp()).sum::<f64>().ln();
        x.chunks(3).map(|r| lse(r, 40.0)).sum::<f64>() + lse(x, 1.0)
    }),
    (
        "sum(softmax(x, d) * index(d)) + sum(log_softmax(x, n) * index(n))",
        |x| {
            let rows: Vec<&[f64]> = x.chunks(3).collect();
            let soft = |r: &&[f64]| {
                let s: f64 = r.iter().map(|x| x.exp()).sum();
                r.iter().enumerate().map(|(j, x)| j as f64 * x.exp() / s).sum::<f64>()
            };
            let log = |j: usize| {
                let s: f64 = rows.iter().map(|r| r[j].exp()).sum();
                rows.iter()
                    .enumerate()
                    .map(|(i, r)| i as f64 * (r[j] - s.ln()))
                    .sum::<f64>()
            };
            rows.iter().map(soft).sum::<f64>() + (0..3).map(log).sum::<f64>()
        },
    ),
    // Three factors, sums over axes of one factor alone, a batch of products, and squared distances.
    (
        "sum(index(i) * x[i,d]*x[j,d] * x[j,e] * index(e)) + sum(sum(x[i,d]*x[j,d]*x[i,e], i)^2) \
         + sum(sqrt(1 + sum((x[i,d] - 2*x[j,d])^2, d)) * (index(i) + 1))",
        |x| {
            let n = x.len() / 3;
            let at = |i: usize, d: usize| x[3 * i + d];
            let mut sum = 0.0;
            for i in 0..n {
                for j in 0..n {
                    let distance: f64 = (0..3).map(|d| (at(i, d) - 2.0 * at(j, d)).powi(2)).sum();
                    sum += (1.0 + distance).sqrt() * (i + 1) as f64;
                    for d in 0..3 {
                        for e in 0..3 {
                            sum += i as f64 * at(i, d) * at(j, d) * at(j, e) * e as f64;
                        }
                    }
                }
            }
            for j in 0..n {
                for d in 0..3 {
                    for e in 0..3 {
                        sum += (0..n).map(|i| at(i, d) * at(j, d) * at(i, e)).sum::<f64>().powi(2);
                    }
                }
            }
            sum
        },
    ),
];

#[test]
fn functions_match_references_and_differences() {
    for (text, reference) in FUNCTIONS {
        let x = normal(5, &[4, 3]);
        let params = json!({ "axes": { "x": "n,d" }, "loss": text });
        // By the loops of a CPU, and in the operations that other devices have.
        for made in [node, by_candle] {
            let (mut probe, args) = made(params.clone(), &[("x", "Feature", &x)]).unwrap();
            probe.check(&args, |x, _| vec![vec![reference(&x[0])]]);
        }
    }
}

#[test]
fn several_outputs_have_one_backward_pass() {
    let params = json!({
        "axes": { "x": "n,d", "w": "d,k" },
        "let": { "z": "sum(x*w, d)" },
        "loss": "mean(z^2)",
        "outputs": { "turned": "Logits[k,n] = z", "share": "Metric[] = mean(z > 0)" },
    });
    let (x, w) = (normal(1, &[5, 3]), normal(2, &[3, 2]));
    let (mut probe, args) = node(params, &[("x", "Feature", &x), ("w", "Feature", &w)]).unwrap();
    let types: Vec<String> = probe.outputs.iter().map(ToString::to_string).collect();
    assert_eq!(types, ["Loss[]", "Logits[2,5]", "Metric[]"]);
    probe.check(&args, |x, _| {
        let z = |i: usize, k: usize| (0..3).map(|d| x[0][3 * i + d] * x[1][2 * d + k]).sum::<f64>();
        let turned: Vec<f64> = (0..2).flat_map(|k| (0..5).map(move |i| z(i, k))).collect();
        let share = turned.iter().filter(|z| **z > 0.0).count() as f64 / 10.0;
        let loss = turned.iter().map(|z| z * z).sum::<f64>() / 10.0;
        vec![vec![loss], turned, vec![share]]
    });
}

#[test]
fn numbers_from_outside() {
    let params =
        json!({ "axes": { "x": "n,d" }, "params": { "a": 3 }, "loss": "mean(0*x) + a*progress + size(K)/size(d)" });
    let x = normal(1, &[2, 4]);
    let (mut probe, args) = node(params, &[("x", "Feature", &x)]).unwrap();
    probe.progress = 0.5;
    // `K` is one of the graph's `dims`, 5 in these tests.
    assert_eq!(scalar(&probe.forward(&args).unwrap()[0]), 1.5 + 1.25);
}

#[test]
fn over_no_rows_all_is_zero() {
    let none = normal(1, &[0, 3]);
    let all = "sum(x) + mean(x) + max(x) + norm(x) + logsumexp(x) + sum(softmax(x, d)) + mean(exp(x)) + 2";
    assert_eq!(value(all, &none), 2.0);
    assert_eq!(
        value(
            "sum(mean(x, n)^2) + size(n) + sum(x[i,d]*x[j,d]) + sum((x[i,d] - x[j,d])^2)",
            &none
        ),
        0.0
    );
    // The other input still has its gradient.
    let params = json!({
        "axes": { "s": "n,d", "t": "m,d" },
        "loss": "sum((mean(s, n) - mean(t, m))^2)",
        "outputs": { "s2": "2*s" },
    });
    let (s, t) = (none, normal(2, &[4, 3]));
    let (mut probe, args) = node(params, &[("s", "Feature", &s), ("t", "Feature", &t)]).unwrap();
    probe.check(&args, |x, _| {
        let mean = |j: usize| x[1].chunks(3).map(|r| r[j]).sum::<f64>() / 4.0;
        vec![vec![(0..3).map(|j| mean(j).powi(2)).sum()], vec![]]
    });
}

#[test]
fn labels_and_masks() {
    let params = json!({
        "axes": { "z": "n,k", "y": "Label[n]", "m": "Mask[n]" },
        "let": { "pair": "y[i] == y[j] & m[i] & m[j] & index(i) != index(j)" },
        "loss": "sum(pair * z[i,k] * z[j,k]) + sum((y != 1) * m * max(z, k))",
    });
    let z = normal(1, &[4, 3]);
    let run = |y: &[u32], m: &[f32]| {
        let (y, m) = (labels(y), Tensor::from_slice(m, m.len(), &Device::Cpu).unwrap());
        let inputs = [("z", "Logits", &z), ("y", "Label", &y), ("m", "Mask", &m)];
        let (mut probe, args) = node(params.clone(), &inputs).unwrap();
        assert_eq!(
            probe
                .contract
                .inputs
                .iter()
                .map(|i| (i.differentiable, i.labelled))
                .collect::<Vec<_>>(),
            [(true, false), (false, true), (false, false)]
        );
        let found = probe.forward(&args);
        found.map(|v| scalar(&v[0])).map_err(|e| e.to_string())
    };
    let x = f64s(&z);
    let dot = |i: usize, j: usize| (0..3).map(|k| x[3 * i + k] * x[3 * j + k]).sum::<f64>();
    let most = |i: usize| x[3 * i..3 * i + 3].iter().copied().fold(f64::MIN, f64::max);
    let want = 2.0 * dot(0, 2) + most(0) + most(2);
    let found = run(&[2, 1, 2, u32::MAX], &[1.0, 1.0, 1.0, 0.0]).unwrap();
    close("pairs", &[found], &[want], 1e-5);
    assert_eq!(
        run(&[2, 1, 2, u32::MAX], &[1.0; 4]).unwrap_err(),
        "a video without a label reached `y`: add labels to the list of its stream, or leave the stream out"
    );
    let params = json!({ "axes": { "z": "n,k", "y": "Label[n]" }, "loss": "-mean(one_hot(y, k)*z)" });
    let y = labels(&[0, 1, 3, 2]);
    let (mut probe, args) = node(params, &[("z", "Logits", &z), ("y", "Label", &y)]).unwrap();
    assert_eq!(
        probe.forward(&args).unwrap_err().to_string(),
        "label 3 of `y` reached `one_hot` over 3 classes (numbered from 0)"
    );
}

/// A loss with products of matrices, reductions and exponents, large enough for several threads.
fn large() -> (Value, [Tensor; 2]) {
    let params = json!({
        "axes": { "s": "n,d", "t": "m,d" },
        "let": {
            "cs": "s - mean(s, n)", "ct": "t - mean(t, m)",
            "gap": "sum(cs[n,i]*cs[n,j], n)/size(n) - sum(ct[m,i]*ct[m,j], m)/size(m)",
            "st": "sum((s[a,d] - t[b,d])^2, d)",
        },
        "loss": "sum(gap^2)/size(d) + mean(logsumexp(-st/mean(detach(st)), b))",
    });
    (params, [normal(1, &[96, 130]), normal(2, &[80, 130])])
}

#[test]
fn threads_change_no_bit() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (params, [s, t]) = large();
            let (mut probe, args) = node(params, &[("s", "Feature", &s), ("t", "Feature", &t)]).unwrap();
            let (outputs, saved) = probe.forward_kept(&args).unwrap();
            let one = Tensor::full(1f32, (), outputs[0].device()).unwrap();
            let grads = probe.backward(&args, saved, vec![Some(one)]).unwrap();
            let all = grads.iter().flatten().chain(&outputs).flat_map(f64s);
            all.map(f64::to_bits).collect::<Vec<u64>>()
        })
    };
    let one = run(1);
    for threads in [1, 2, 3, 4] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}
