//! Linear layers, losses, directions, dropout, SGD, Adam and moving averages.

mod common;
use common::{assert_near, garbage, on_all, values, wide};
use glad_ops::dropout::dropout;
use glad_ops::loss::{bce_with_logits, cross_entropy};
use glad_ops::sgd::squared_norm;
use glad_ops::{Adam, Error, Linear, Sgd, contrast, directions, ema};
use proptest::prelude::*;

/// A linear layer and its gradients against sums.
fn check_linear(layer: Linear, relu: bool) {
    let Linear { rows, inputs, outputs } = layer;
    let (x, w, b) = (
        values(1, rows * inputs),
        values(2, outputs * inputs),
        values(3, outputs),
    );
    let dy = values(4, rows * outputs);
    let (x64, w64, dy64) = (wide(&x), wide(&w), wide(&dy));
    let mut y_want = vec![0.0; rows * outputs];
    let (mut dx_want, mut dw_want, mut db_want) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; outputs]);
    for r in 0..rows {
        for o in 0..outputs {
            let grad = dy64[r * outputs + o];
            let y = &mut y_want[r * outputs + o];
            *y = f64::from(b[o]);
            db_want[o] += grad;
            for i in 0..inputs {
                *y += x64[r * inputs + i] * w64[o * inputs + i];
                dx_want[r * inputs + i] += grad * w64[o * inputs + i];
                dw_want[o * inputs + i] += grad * x64[r * inputs + i];
            }
            *y = if relu { y.max(0.0) } else { *y };
        }
    }
    let run = || {
        let (mut y, mut dx) = (garbage(y_want.len()), garbage(x.len()));
        let (mut dw, mut db) = (garbage(w.len()), garbage(outputs));
        layer.forward(&x, &w, Some(&b), relu, &mut y).unwrap();
        layer.backward_input(&dy, &w, &mut dx).unwrap();
        layer.backward_weight(&x, &dy, &mut dw).unwrap();
        layer.backward_bias(&dy, &mut db).unwrap();
        vec![y, dx, dw, db]
    };
    on_all(run, |set, got| {
        for (i, (name, want)) in [("y", &y_want), ("dx", &dx_want), ("dw", &dw_want), ("db", &db_want)]
            .into_iter()
            .enumerate()
        {
            assert_near(&format!("{set}: {name}"), &got[i], want, 1e-5);
        }
    });
}

proptest! {
    #![proptest_config(common::cases(60))]
    #[test]
    fn linear_matches(rows in 1usize..60, inputs in 1usize..90, outputs in 1usize..90, relu: bool) {
        check_linear(Linear { rows, inputs, outputs }, relu);
    }

    /// The value from its definition, the gradient from differences of it.
    #[test]
    fn cross_entropy_matches(rows in 1usize..6, classes in 1usize..8, smoothing in 0f32..0.5, masked: bool) {
        let z = values(1, rows * classes);
        let labels: Vec<u32> = values(2, rows).iter().map(|v| ((v + 2.0) * 64.0) as u32 % classes as u32).collect();
        let weights: Option<Vec<f32>> = masked.then(|| values(3, rows).iter().map(|v| v.max(0.0)).collect());
        let weight = |r: usize| weights.as_ref().map_or(1.0, |w| f64::from(w[r]));
        let total: f64 = (0..rows).map(weight).sum();
        let eps = f64::from(smoothing);
        let value = |z: &[f64]| -> f64 {
            let mut sum = 0.0;
            for r in 0..rows {
                let row = &z[r * classes..][..classes];
                let log_sum = row.iter().map(|z| z.exp()).sum::<f64>().ln();
                for (k, z) in row.iter().enumerate() {
                    let target = eps / classes as f64 + if k == labels[r] as usize { 1.0 - eps } else { 0.0 };
                    sum += weight(r) * target * (log_sum - z);
                }
            }
            if total > 0.0 { sum / total } else { 0.0 }
        };
        let mut grad = garbage(z.len());
        let loss = cross_entropy(&z, classes, &labels, smoothing, weights.as_deref(), Some(&mut grad)).unwrap();
        assert_near("loss", &[loss.mean], &[value(&wide(&z))], 1e-6);
        assert_near("weight", &[loss.weight], &[total], 1e-6);
        assert_near("grad", &grad, &slopes(&z, value), 1e-6);
    }

    #[test]
    fn bce_matches(rows in 1usize..20, masked: bool) {
        let z: Vec<f32> = values(1, rows).iter().map(|v| v * 4.0).collect();
        let targets: Vec<f32> = values(2, rows).iter().map(|v| (v / 2.0).abs().min(1.0)).collect();
        let weights: Option<Vec<f32>> = masked.then(|| (0..rows).map(|r| (r % 2) as f32).collect());
        let weight = |r: usize| weights.as_ref().map_or(1.0, |w| f64::from(w[r]));
        let total: f64 = (0..rows).map(weight).sum();
        let value = |z: &[f64]| -> f64 {
            let sum: f64 = z.iter().zip(&targets).enumerate().map(|(r, (z, t))| {
                let p = 1.0 / (1.0 + (-z).exp());
                -weight(r) * (f64::from(*t) * p.ln() + (1.0 - f64::from(*t)) * (1.0 - p).ln())
            }).sum();
            if total > 0.0 { sum / total } else { 0.0 }
        };
        let mut grad = garbage(rows);
        let loss = bce_with_logits(&z, &targets, weights.as_deref(), Some(&mut grad)).unwrap();
        assert_near("loss", &[loss.mean], &[value(&wide(&z))], 1e-6);
        assert_near("grad", &grad, &slopes(&z, value), 1e-6);
    }

    #[test]
    fn sgd_matches(len in 1usize..300, momentum in prop_oneof![Just(0f32), Just(0.9)], nesterov: bool, clip in 0.1f32..1.0) {
        let (w, grads) = (values(1, len), [values(2, len), values(3, len), values(4, len)]);
        let sgd = Sgd { lr: 0.05, momentum, weight_decay: 1e-2, nesterov, clip_scale: clip };
        let (mut w_want, mut b_want) = (wide(&w), vec![0.0; len]);
        let m = f64::from(momentum);
        for (step, grad) in grads.iter().enumerate() {
            for i in 0..len {
                let d = f64::from(clip) * f64::from(grad[i]) + f64::from(1e-2f32) * w_want[i];
                b_want[i] = if step == 0 { d } else { m * b_want[i] + d };
                w_want[i] -= f64::from(0.05f32) * if nesterov { d + m * b_want[i] } else if m > 0.0 { b_want[i] } else { d };
            }
        }
        let run = || {
            let (mut w, mut buffer) = (w.clone(), garbage(len));
            for (step, grad) in grads.iter().enumerate() {
                sgd.step(step == 0, grad, &mut buffer, &mut w).unwrap();
            }
            vec![w]
        };
        on_all(run, |set, got| assert_near(&format!("{set}: w"), &got[0], &w_want, 1e-6));
    }

    #[test]
    fn adam_matches(len in 1usize..300, decoupled: bool, clip in 0.1f64..1.0, small: bool, b1 in prop_oneof![Just(0f64), Just(0.9)]) {
        let (w, grads) = (values(1, len), [values(2, len), values(3, len), values(4, len)]);
        // Gradients of which ε is a part: where it stands shows.
        let scale = if small { 1e-4 } else { 1.0 };
        let grads = grads.map(|g| g.iter().map(|x| x * scale).collect::<Vec<f32>>());
        let adam = Adam { lr: 0.05, betas: [b1, 0.999], eps: 1e-4, weight_decay: 0.1, decoupled, clip_scale: clip };
        let (mut w_want, mut m_want, mut v_want) = (wide(&w), vec![0.0; len], vec![0.0; len]);
        // Gradient and decay may cancel: what is left has their rounding, which a small root of the moments makes large.
        let mut rounding = 0f64;
        for (step, grad) in grads.iter().enumerate() {
            let t = step as i32 + 1;
            for i in 0..len {
                let mut d = clip * f64::from(grad[i]);
                if decoupled {
                    w_want[i] *= 1.0 - 0.05 * 0.1;
                } else {
                    d += 0.1 * w_want[i];
                }
                m_want[i] = b1 * m_want[i] + (1.0 - b1) * d;
                v_want[i] = 0.999 * v_want[i] + (1.0 - 0.999) * d * d;
                let root = f64::sqrt(v_want[i] / (1.0 - 0.999f64.powi(t)));
                w_want[i] -= 0.05 * m_want[i] / (1.0 - b1.powi(t)) / (root + 1e-4);
                let parts = clip * f64::from(grad[i]).abs() + if decoupled { 0.0 } else { 0.1 * w_want[i].abs() };
                rounding = rounding.max(0.05 * f64::from(f32::EPSILON) * parts / (root + 1e-4));
            }
        }
        let run = || {
            let (mut w, mut m, mut v) = (w.clone(), vec![0.0; len], vec![0.0; len]);
            for (step, grad) in grads.iter().enumerate() {
                assert!(adam.step(step as u64 + 1, grad, &mut m, &mut v, &mut w).unwrap());
            }
            vec![w, m, v]
        };
        on_all(run, |set, got| {
            assert_near(&format!("{set}: w"), &got[0], &w_want, 1e-6 + 3.0 * rounding);
            assert_near(&format!("{set}: m"), &got[1], &m_want, 1e-6);
            // Squares are far below 1: held relative to their own size.
            let most = v_want.iter().fold(1e-30, |most: f64, v| most.max(*v));
            let scaled = |v: f64| v / most;
            let v: Vec<f32> = got[2].iter().map(|v| scaled(f64::from(*v)) as f32).collect();
            assert_near(&format!("{set}: v"), &v, &v_want.iter().map(|v| scaled(*v)).collect::<Vec<_>>(), 1e-6);
        });
    }
}

proptest! {
    #![proptest_config(common::cases(60))]
    #[test]
    fn moving_averages_match(len in 1usize..300, decay in 0f64..=1.0) {
        let (w, average) = (values(1, len), values(2, len));
        let to = |(a, w): (&f32, &f32)| decay * f64::from(*a) + (1.0 - decay) * f64::from(*w);
        let want: Vec<f64> = average.iter().zip(&w).map(to).collect();
        let run = || {
            let mut average = average.clone();
            ema::follow(decay, &w, &mut average).unwrap();
            vec![average]
        };
        on_all(run, |set, got| assert_near(&format!("{set}: average"), &got[0], &want, 1e-6));
    }

    #[test]
    fn directions_match(rows in 1usize..40, width in 1usize..70) {
        let (x, grad) = (values(1, rows * width), values(2, rows * width));
        let (mut y_want, mut dx_want) = (vec![], vec![]);
        for (x, g) in wide(&x).chunks(width).zip(wide(&grad).chunks(width)) {
            let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            let along: f64 = x.iter().zip(g).map(|(x, g)| x / norm * g).sum();
            y_want.extend(x.iter().map(|x| x / norm));
            dx_want.extend(x.iter().zip(g).map(|(x, g)| (g - x / norm * along) / norm));
        }
        let run = || {
            let (mut y, mut inverse, mut dx) = (garbage(x.len()), garbage(rows), garbage(x.len()));
            directions::forward(width, 1e-12, &x, &mut y, &mut inverse).unwrap();
            directions::backward(width, &y, &inverse, &grad, &mut dx).unwrap();
            vec![y, dx]
        };
        on_all(run, |set, got| {
            assert_near(&format!("{set}: y"), &got[0], &y_want, 1e-6);
            assert_near(&format!("{set}: dx"), &got[1], &dx_want, 1e-5);
        });
    }

    #[test]
    fn contrast_matches(rows in 1usize..50, factor in 0.5f32..4.0) {
        check_contrast(rows, factor);
    }
}

/// The loss and its gradient against sums, and that of few rows against central differences.
fn check_contrast(rows: usize, factor: f32) {
    let products = values(1, rows * rows);
    // Of every row about two thirds are candidates, and a third of these positives; some rows have none.
    let draws = values(2, rows * rows);
    let closed: Vec<f32> = draws.iter().map(|d| if *d > 0.7 { -1e30 } else { 0.0 }).collect();
    let weights: Vec<f32> = draws
        .iter()
        .map(|d| if *d < -1.0 { 0.1 - d / 10.0 } else { 0.0 })
        .collect();
    let scores: Vec<f32> = products.iter().map(|p| p * factor).collect();
    // The loss of a row and its gradient.
    let of_row = |r: usize, s: &[f64]| -> (f64, Vec<f64>) {
        let at = r * rows..(r + 1) * rows;
        let (w, e) = (wide(&weights[at.clone()]), s.iter().zip(&closed[at]));
        let e: Vec<f64> = e.map(|(s, c)| if *c == 0.0 { s.exp() } else { 0.0 }).collect();
        let (sum, share): (f64, f64) = (e.iter().sum(), w.iter().sum());
        let loss = s
            .iter()
            .zip(&w)
            .filter(|(_, w)| **w > 0.0)
            .map(|(s, w)| w * (sum.ln() - s))
            .sum();
        let slope = e
            .iter()
            .zip(&w)
            .map(|(e, w)| if share > 0.0 { share * e / sum - w } else { 0.0 });
        (loss, slope.collect())
    };
    let (mut want, mut slope) = (0.0, vec![]);
    for (r, s) in scores.chunks(rows).enumerate() {
        let (loss, own) = of_row(r, &wide(s));
        if rows < 12 {
            assert_near(
                "by differences",
                &own.iter().map(|g| *g as f32).collect::<Vec<_>>(),
                &slopes(s, |s| of_row(r, s).0),
                1e-6,
            );
        }
        want += loss;
        slope.extend(own);
    }
    let run = || {
        let (mut s, mut both) = (products.clone(), garbage(rows * rows));
        let loss = contrast::forward(rows, factor, &closed, &weights, &mut s).unwrap();
        contrast::both_ways(rows, 3.0, &s, &mut both).unwrap();
        vec![vec![loss as f32], s, both]
    };
    let both: Vec<f64> = (0..rows * rows)
        .map(|i| 3.0 * (slope[i] + slope[i % rows * rows + i / rows]))
        .collect();
    on_all(run, |set, got| {
        assert_near(&format!("{set}: loss"), &got[0], &[want], 1e-5);
        assert_near(&format!("{set}: slope"), &got[1], &slope, 1e-5);
        assert_near(&format!("{set}: both"), &got[2], &both, 1e-5);
    });
}

/// Enough rows for several threads.
#[test]
fn many_rows_contrast_in_parallel() {
    check_contrast(130, 2.0);
}

#[test]
fn rows_without_candidates_or_direction_have_no_gradient() {
    let mut s = vec![1.0, 2.0, 3.0, 4.0];
    let loss = contrast::forward(2, 1.0, &[-1e30, -1e30, 0.0, 0.0], &[0.0, 0.0, 0.5, 0.0], &mut s).unwrap();
    assert!((loss - 0.5 * (1.0 + 1f64.exp()).ln()).abs() < 1e-6, "{loss}");
    assert_eq!(s[..2], [0.0, 0.0]);
    let (mut y, mut inverse, mut dx) = (vec![9.0; 4], vec![9.0; 2], vec![9.0; 4]);
    directions::forward(2, 1e-12, &[0.0, 0.0, 3.0, 4.0], &mut y, &mut inverse).unwrap();
    assert_eq!(
        (y.as_slice(), inverse.as_slice()),
        (&[0.0, 0.0, 0.6, 0.8][..], &[0.0, 0.2][..])
    );
    directions::backward(2, &y, &inverse, &[1.0; 4], &mut dx).unwrap();
    assert_eq!(dx[..2], [0.0, 0.0]);
    // What is not finite shows.
    directions::forward(2, 1e-12, &[f32::NAN, 0.0, 3.0, 4.0], &mut y, &mut inverse).unwrap();
    assert!(y[0].is_nan() && inverse[0].is_nan());
    let lengths = contrast::forward(2, 1.0, &[0.0; 4], &[0.0; 3], &mut s).unwrap_err();
    assert!(lengths.to_string().contains("weights"), "{lengths}");
    assert!(directions::forward(0, 1e-12, &[], &mut [], &mut []).is_err());
    assert!(ema::follow(0.5, &[1.0], &mut [0.0; 2]).is_err());
}

/// The gradient by central differences.
fn slopes(z: &[f32], value: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const H: f64 = 1e-5;
    let mut at = wide(z);
    (0..z.len())
        .map(|i| {
            let here = at[i];
            at[i] = here + H;
            let above = value(&at);
            at[i] = here - H;
            let below = value(&at);
            at[i] = here;
            (above - below) / (2.0 * H)
        })
        .collect()
}

/// Sizes that no block divides, worth several threads, with rows on both sides of where weights are packed.
#[test]
fn wide_linear_layers_match() {
    let few = (1..).take_while(|&rows| !layer(rows, 1, 1).packs()).count();
    for rows in [1, 2, 3, 4, 7, few, few + 1] {
        check_linear(layer(rows, 1_037, 71), rows % 2 == 0);
    }
}

fn layer(rows: usize, inputs: usize, outputs: usize) -> Linear {
    Linear { rows, inputs, outputs }
}

/// Packed weights give the same bits as packing for one call.
#[test]
fn linear_weights_may_be_packed_before() {
    let many = layer((1..).find(|&rows| layer(rows, 1, 1).packs()).unwrap(), 37, 29);
    let (x, w) = (values(1, many.rows * 37), values(2, 37 * 29));
    let [mut once, mut kept] = [(); 2].map(|()| garbage(many.rows * 29));
    many.forward(&x, &w, None, false, &mut once).unwrap();
    many.forward_packed(&x, &many.pack(&w).unwrap(), None, false, &mut kept)
        .unwrap();
    assert_eq!(once, kept);
}

/// A NaN or infinity reaches its own row and output and no other.
#[test]
fn few_rows_keep_their_infinities_apart() {
    let three = layer(3, 21, 5);
    let (mut x, w, dy) = (values(1, 63), values(2, 105), values(3, 15));
    x[21] = f32::INFINITY;
    let run = || {
        let (mut y, mut dw) = (garbage(15), garbage(105));
        three.forward(&x, &w, None, false, &mut y).unwrap();
        three.backward_weight(&x, &dy, &mut dw).unwrap();
        vec![y, dw]
    };
    on_all(run, |set, got| {
        let wrong = |values: &[f32]| -> Vec<usize> { (0..values.len()).filter(|&i| !values[i].is_finite()).collect() };
        assert_eq!(wrong(&got[0]), [5, 6, 7, 8, 9], "{set}: y");
        assert_eq!(wrong(&got[1]), [0, 21, 42, 63, 84], "{set}: dw");
    });
}

#[test]
fn large_parameters_are_updated_in_parallel() {
    let (len, sgd) = (
        100_003,
        Sgd {
            lr: 0.1,
            momentum: 0.9,
            weight_decay: 0.0,
            nesterov: false,
            clip_scale: 1.0,
        },
    );
    let (w, grad) = (values(1, len), values(2, len));
    let want: Vec<f64> = w
        .iter()
        .zip(&grad)
        .map(|(w, g)| f64::from(*w) - 0.1 * f64::from(*g))
        .collect();
    let square: f64 = grad.iter().map(|g| f64::from(*g).powi(2)).sum();
    let run = || {
        let (mut w, mut buffer) = (w.clone(), garbage(len));
        sgd.step(true, &grad, &mut buffer, &mut w).unwrap();
        vec![w, vec![squared_norm(&grad) as f32]]
    };
    on_all(run, |set, got| {
        assert_near(&format!("{set}: w"), &got[0], &want, 1e-6);
        assert_near(&format!("{set}: norm"), &got[1], &[square], 1e-6);
    });
}

#[test]
fn large_parameters_take_adam_in_parallel() {
    // In the first step each weight moves by the learning rate, against the sign of its gradient.
    let len = 100_003;
    let adam = Adam {
        lr: 0.1,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
        clip_scale: 1.0,
    };
    let (w, grad) = (values(1, len), values(2, len));
    let to = |(w, g): (&f32, &f32)| f64::from(*w) - 0.1 * f64::from(*g) / (f64::from(g.abs()) + 1e-8);
    let want: Vec<f64> = w.iter().zip(&grad).map(to).collect();
    let run = || {
        let (mut w, mut m, mut v) = (w.clone(), vec![0.0; len], vec![0.0; len]);
        adam.step(1, &grad, &mut m, &mut v, &mut w).unwrap();
        vec![w, m, v]
    };
    on_all(run, |set, got| assert_near(&format!("{set}: w"), &got[0], &want, 1e-6));
}

#[test]
fn adam_reports_a_second_moment_that_overflows() {
    let adam = Adam {
        lr: 0.1,
        betas: [0.9, 0.0],
        eps: 1e-8,
        weight_decay: 0.0,
        decoupled: true,
        clip_scale: 1.0,
    };
    let run = |grad: f32| {
        let (mut w, mut m, mut v) = ([1.0], [0.0], [0.0]);
        let finite = adam.step(1, &[grad], &mut m, &mut v, &mut w).unwrap();
        (finite, w[0].is_finite())
    };
    assert_eq!(run(1e19), (true, true));
    // Its square is infinite, and the weight, which the quotient 0 leaves alone, does not show it.
    assert_eq!(run(1e20), (false, true));
    let wrong = adam.step(1, &[1.0], &mut [0.0; 2], &mut [0.0], &mut [0.0]);
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "adam: `first` holds 2 values, but 1 are expected"
    );
}

#[test]
fn losses_survive_extreme_logits_and_empty_masks() {
    let mut grad = garbage(2);
    let loss = cross_entropy(&[1e4, -1e4], 2, &[1], 0.0, None, Some(&mut grad)).unwrap();
    assert_eq!((loss.mean, grad.as_slice()), (2e4, [1.0, -1.0].as_slice()));
    let loss = bce_with_logits(&[1e4, -1e4], &[0.0, 0.0], None, Some(&mut grad)).unwrap();
    assert_eq!((loss.mean, grad.as_slice()), (5e3, [0.5, 0.0].as_slice()));
    // The label of a row that does not count may be anything.
    let loss = cross_entropy(&[1.0, 2.0], 2, &[7], 0.1, Some(&[0.0]), Some(&mut grad)).unwrap();
    assert_eq!(
        (loss.mean, loss.weight, grad.as_slice()),
        (0.0, 0.0, [0.0, 0.0].as_slice())
    );
    assert!(
        cross_entropy(&[f32::NAN, 2.0], 2, &[1], 0.1, None, None)
            .unwrap()
            .mean
            .is_nan()
    );
}

#[test]
fn mistakes_are_errors() {
    let message = cross_entropy(&[0.0; 6], 3, &[0, 3], 0.0, None, None)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("row 1 has label 3, but there are 3 classes"),
        "{message}"
    );
    let message = bce_with_logits(&[0.0], &[1.5], None, None).unwrap_err().to_string();
    assert!(message.contains("target of row 0 is 1.5"), "{message}");
    let message = cross_entropy(&[0.0; 6], 3, &[0, 1], 1.5, None, None)
        .unwrap_err()
        .to_string();
    assert!(message.contains("smoothing of 1.5 is not in [0, 1]"), "{message}");
    let message = cross_entropy(&[0.0; 6], 3, &[0, 1], 0.0, Some(&[1.0, -1.0]), None)
        .unwrap_err()
        .to_string();
    assert!(message.contains("weight") && message.contains("-1"), "{message}");
    let message = dropout(1, 1.0, &[0.0], &mut [0.0]).unwrap_err().to_string();
    assert!(message.contains("probability of 1 is not in [0, 1)"), "{message}");
    let sgd = Sgd {
        lr: 0.1,
        momentum: 0.9,
        weight_decay: 0.0,
        nesterov: false,
        clip_scale: 1.0,
    };
    let few = layer(2, 3, 4);
    let message = few
        .forward(&[0.0; 6], &[0.0; 11], None, false, &mut [0.0; 8])
        .unwrap_err()
        .to_string();
    assert!(message.contains("weights") && message.contains("12"), "{message}");
    // Of which argument, its length, and the right one.
    let length = |found: glad_ops::Result<()>| match found.unwrap_err() {
        Error::Length {
            name, got, expected, ..
        } => (name, got, expected),
        other => panic!("{other}"),
    };
    let found = few.forward(&[0.0; 6], &[0.0; 12], Some(&[0.0; 3]), false, &mut [0.0; 8]);
    assert_eq!(length(found), ("bias", 3, 4));
    let found = few.backward_input(&[0.0; 8], &[0.0; 12], &mut [0.0; 7]);
    assert_eq!(length(found), ("dx", 7, 6));
    let found = few.backward_weight(&[0.0; 6], &[0.0; 7], &mut [0.0; 12]);
    assert_eq!(length(found), ("dy", 7, 8));
    let message = layer(0, 3, 4)
        .forward(&[], &[0.0; 12], None, false, &mut [])
        .unwrap_err()
        .to_string();
    assert!(message.contains("zero"), "{message}");
    let found = sgd.step(true, &[0.0; 3], &mut [0.0; 2], &mut [0.0; 3]).map(|_| ());
    assert_eq!(length(found), ("buffer", 2, 3));
}

#[test]
fn an_update_tells_whether_its_weights_are_finite() {
    let far = 70_000;
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        let sgd = Sgd {
            lr: 1.0,
            momentum,
            weight_decay: 0.0,
            nesterov,
            clip_scale: 1.0,
        };
        let step = |at: usize, weight: f32, grad: f32| {
            let (mut w, mut g) = (vec![0.5; far], vec![0.25; far]);
            (w[at], g[at]) = (weight, grad);
            let finite = sgd.step(true, &g, &mut vec![0.0; far], &mut w).unwrap();
            assert_eq!(finite, w.iter().all(|w| w.is_finite()), "{}", w[at]);
            f32::from(u8::from(finite))
        };
        on_all(
            || {
                let each = |at| [step(at, 3e38, 1e38), step(at, -3e38, 3e38), step(at, 0.0, f32::NAN)];
                vec![[0, 15, 16_384, far - 1].into_iter().flat_map(each).collect()]
            },
            |_, reported| assert_eq!(reported[0], [1.0, 0.0, 0.0].repeat(4)),
        );
    }
}

#[test]
fn dropout_keeps_its_share_by_key_and_index() {
    let x = vec![1.0; 60_000];
    let run = |key: u64, p: f32, len: usize| {
        let mut y = garbage(len);
        dropout(key, p, &x[..len], &mut y).unwrap();
        y
    };
    on_all(
        || {
            vec![
                run(7, 0.3, 60_000),
                run(8, 0.3, 60_000),
                run(7, 0.0, 60_000),
                run(7, 0.3, 1_003),
            ]
        },
        |set, got| {
            let share = got[0].iter().filter(|y| **y > 0.0).count() as f64 / 60_000.0;
            // Five standard deviations.
            assert!((share - 0.7).abs() < 0.0094, "{set}: kept {share}");
            assert!(got[0].iter().all(|&y| y == 0.0 || y == 1.0 / (1.0 - 0.3)));
            assert_ne!(got[0], got[1], "{set}: keys give the same mask");
            assert_eq!(got[2], x, "{set}: p = 0 drops nothing");
            assert_eq!(got[0][..1_003], got[3], "{set}: the length changed the mask");
        },
    );
}
