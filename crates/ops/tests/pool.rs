//! Pooling and the temporal shift against direct loops.

mod common;
use common::{assert_near, garbage, on_all, values};
use glad_ops::{Pool, Shift, pool};
use proptest::prelude::*;

/// For each output pixel, the (tap, input pixel) pairs of its window.
fn windows(p: &Pool) -> Vec<Vec<(usize, usize)>> {
    let out = p.output();
    let mut all = Vec::new();
    for n in 0..p.n {
        for place in 0..out.iter().product::<usize>() {
            let at = [place / out[2] / out[1], place / out[2] % out[1], place % out[2]];
            let mut window = Vec::new();
            for tap in 0..p.kernel.iter().product::<usize>() {
                let k = [
                    tap / p.kernel[2] / p.kernel[1],
                    tap / p.kernel[2] % p.kernel[1],
                    tap % p.kernel[2],
                ];
                let source: Vec<usize> = (0..3)
                    .filter_map(|a| {
                        (at[a] * p.stride[a] + k[a])
                            .checked_sub(p.pad[a])
                            .filter(|&s| s < p.input[a])
                    })
                    .collect();
                if let [z, y, x] = source[..] {
                    window.push((tap, ((n * p.input[0] + z) * p.input[1] + y) * p.input[2] + x));
                }
            }
            all.push(window);
        }
    }
    all
}

fn check(p: &Pool) {
    let c = p.channels;
    let (x, dy) = (values(1, p.input_len()), values(2, p.output_len()));
    let volume = p.kernel.iter().product::<usize>() as f64;
    let (mut max, mut average) = (vec![0.0; dy.len()], vec![0.0; dy.len()]);
    let (mut dmax, mut daverage) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    for (pixel, window) in windows(p).iter().enumerate() {
        for ch in 0..c {
            let value = |at: usize| f64::from(x[at * c + ch]);
            let grad = f64::from(dy[pixel * c + ch]);
            let mut best = window[0].1;
            for &(_, at) in window {
                best = if value(at) > value(best) { at } else { best };
                average[pixel * c + ch] += value(at) / volume;
                daverage[at * c + ch] += grad / volume;
            }
            max[pixel * c + ch] = value(best);
            dmax[best * c + ch] += grad;
        }
    }
    let run = || {
        let (mut y, mut index, mut dx) = (garbage(dy.len()), vec![99; dy.len()], garbage(x.len()));
        pool::max_forward(p, &x, &mut y, &mut index).unwrap();
        pool::max_backward(p, &dy, &index, &mut dx).unwrap();
        let (mut y2, mut dx2) = (garbage(dy.len()), garbage(x.len()));
        pool::average_forward(p, &x, &mut y2).unwrap();
        pool::average_backward(p, &dy, &mut dx2).unwrap();
        vec![y, dx, y2, dx2]
    };
    on_all(run, |set, got| {
        for (i, (name, want)) in [
            ("max", &max),
            ("dmax", &dmax),
            ("average", &average),
            ("daverage", &daverage),
        ]
        .into_iter()
        .enumerate()
        {
            assert_near(&format!("{set}: {name}"), &got[i], want, 2e-6);
        }
    });
}

prop_compose! {
    fn axis()(kernel in 1usize..4, stride in 1usize..4, pad in 0usize..3, end in 0usize..3, size in 1usize..8) -> [usize; 5] {
        let (pad, end) = (pad.min(kernel - 1), end.min(kernel - 1));
        [size.max(kernel.saturating_sub(pad + end)), kernel, stride, pad, end]
    }
}

/// The shift by its definition, and its gradient as the adjoint.
fn check_shift(shift: Shift) {
    let Shift {
        t,
        pixels,
        channels,
        fold,
        ..
    } = shift;
    let (x, dy) = (values(1, shift.numel()), values(2, shift.numel()));
    let f = channels / fold;
    let (mut want, mut dx_want) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    for i in 0..x.len() {
        let (c, frame) = (i % channels, i / channels / pixels % t);
        let by: isize = if c < f {
            1
        } else if c < 2 * f {
            -1
        } else {
            0
        };
        if frame.checked_add_signed(by).is_some_and(|s| s < t) {
            let from = i.checked_add_signed(by * (pixels * channels) as isize).unwrap();
            want[i] = f64::from(x[from]);
            dx_want[from] += f64::from(dy[i]);
        }
    }
    let sum_want: Vec<f64> = dx_want.iter().zip(&x).map(|(dx, x)| dx + f64::from(*x)).collect();
    let run = || {
        let (mut y, mut dx, mut sum) = (garbage(x.len()), garbage(x.len()), x.clone());
        shift.forward(&x, &mut y).unwrap();
        shift.backward(&dy, &mut dx).unwrap();
        shift.backward_add(&dy, &mut sum).unwrap();
        vec![y, dx, sum]
    };
    on_all(run, |set, got| {
        assert_near(&format!("{set}: y"), &got[0], &want, 0.0);
        assert_near(&format!("{set}: dx"), &got[1], &dx_want, 0.0);
        assert_near(&format!("{set}: sum"), &got[2], &sum_want, 1e-6);
    });
}

proptest! {
    #![proptest_config(common::cases(100))]
    #[test]
    fn any_pooling_matches(n in 1usize..3, t in axis(), h in axis(), w in axis(), channels in 1usize..40) {
        let along = |i: usize| [t[i], h[i], w[i]];
        let p = Pool { n, input: along(0), channels, kernel: along(1), stride: along(2), pad: along(3), pad_end: along(4) };
        check(&p);
    }

    #[test]
    fn global_mean_matches(n in 1usize..5, positions in 1usize..30, channels in 1usize..40) {
        let (x, dy) = (values(1, n * positions * channels), values(2, n * channels));
        let at = |i: usize| (i / channels / positions) * channels + i % channels;
        let mut want = vec![0.0; n * channels];
        (0..x.len()).for_each(|i| want[at(i)] += f64::from(x[i]) / positions as f64);
        let dx_want: Vec<f64> = (0..x.len()).map(|i| f64::from(dy[at(i)]) / positions as f64).collect();
        let run = || {
            let (mut y, mut dx) = (garbage(want.len()), garbage(x.len()));
            pool::global_mean(n, positions, channels, &x, &mut y).unwrap();
            pool::global_mean_backward(n, positions, channels, &dy, &mut dx).unwrap();
            vec![y, dx]
        };
        on_all(run, |set, got| {
            assert_near(&format!("{set}: y"), &got[0], &want, 2e-6);
            assert_near(&format!("{set}: dx"), &got[1], &dx_want, 2e-6);
        });
    }

    #[test]
    fn the_shift_moves_folds_and_its_gradient_is_its_adjoint(
        n in 1usize..4, t in 1usize..6, pixels in 1usize..9, channels in 1usize..40, fold in 2usize..9,
    ) {
        check_shift(Shift { n, t, pixels, channels, fold });
    }

    /// Folds that are whole vectors, and some that are not quite.
    #[test]
    fn wide_shifts_match(t in 1usize..5, pixels in 1usize..30, eights in 1usize..20, fold in 2usize..9, odd in 0usize..2) {
        check_shift(Shift { n: 2, t, pixels, channels: eights * 8 * fold + odd * 4, fold });
    }
}

#[test]
fn the_pools_of_real_networks_match() {
    check(&Pool::new(3, [1, 30, 31], 64, [1, 3, 3], [1, 2, 2], [0, 1, 1]));
    check(&Pool::new(1, [4, 9, 9], 20, [1, 3, 3], [2, 2, 2], [0, 1, 1]));
    check(&Pool::new(2, [8, 4, 4], 33, [2, 1, 1], [2, 1, 1], [0; 3]));
}

#[test]
fn the_maximum_of_minus_infinities_and_of_no_numbers_has_a_place() {
    let p = Pool::new(1, [1, 1, 4], 1, [1, 1, 2], [1, 1, 2], [0; 3]);
    let (mut y, mut index, mut dx) = (garbage(2), vec![9; 2], garbage(4));
    let x = [f32::NEG_INFINITY, f32::NEG_INFINITY, 1.0, f32::NAN];
    pool::max_forward(&p, &x, &mut y, &mut index).unwrap();
    assert!(y[0] == f32::NEG_INFINITY && y[1].is_nan());
    pool::max_backward(&p, &[1.0, 2.0], &index, &mut dx).unwrap();
    assert_eq!(dx, [1.0, 0.0, 0.0, 2.0]);
}

#[test]
fn mistakes_are_errors() {
    let p = Pool::new(1, [1, 4, 4], 2, [1, 2, 2], [1, 2, 2], [0, 2, 0]);
    let message = p.validate().unwrap_err().to_string();
    assert!(message.contains("less than the window"), "{message}");
    let shift = Shift {
        n: 1,
        t: 2,
        pixels: 3,
        channels: 8,
        fold: 1,
    };
    let message = shift.forward(&[0.0; 48], &mut [0.0; 48]).unwrap_err().to_string();
    assert!(message.contains("fold must be 2 or more"), "{message}");
    let message = pool::global_mean(0, 1, 1, &[], &mut []).unwrap_err().to_string();
    assert!(message.contains("is empty"), "{message}");
}
