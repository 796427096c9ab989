//! Convolution against a direct sum in `f64`.

mod common;
use common::{assert_near, garbage, on_all, values, wide};
use glad_ops::conv::Source;
use glad_ops::{Conv, Epilogue, Error, Isa, Moments, PackedWeights, conv};
use proptest::prelude::*;

/// Calls `body(output value, input value, weight)` for every product of the convolution.
fn products(c: &Conv, mut body: impl FnMut(usize, usize, usize)) {
    let out = c.output();
    let (ci, co) = (c.ci / c.groups, c.co / c.groups);
    let source = |a: usize, o: usize, k: usize| {
        let at = (o * c.stride[a] + k * c.dilation[a]).checked_sub(c.pad[a])?;
        (at < c.input[a]).then_some(at)
    };
    for row in 0..c.rows() {
        let (x, y) = (row % out[2], row / out[2] % out[1]);
        let (z, n) = (row / out[2] / out[1] % out[0], row / out[2] / out[1] / out[0]);
        for tap in 0..c.taps() {
            let kw = tap % c.kernel[2];
            let (kh, kt) = (tap / c.kernel[2] % c.kernel[1], tap / c.kernel[2] / c.kernel[1]);
            let (Some(sz), Some(sy), Some(sx)) = (source(0, z, kt), source(1, y, kh), source(2, x, kw)) else {
                continue;
            };
            let pixel = ((n * c.input[0] + sz) * c.input[1] + sy) * c.input[2] + sx;
            for o in 0..c.co {
                for i in 0..ci {
                    body(
                        row * c.co + o,
                        pixel * c.ci + o / co * ci + i,
                        (o * ci + i) * c.taps() + tap,
                    );
                }
            }
        }
    }
}

fn check(c: &Conv) {
    c.validate().unwrap();
    let (x, w, dy) = (
        values(1, c.input_len()),
        values(2, c.weight_len()),
        values(3, c.output_len()),
    );
    let (x64, w64, dy64) = (wide(&x), wide(&w), wide(&dy));
    let mut y_want = vec![0.0; c.output_len()];
    let mut dx_want = vec![0.0; c.input_len()];
    let mut dw_want = vec![0.0; c.weight_len()];
    products(c, |o, i, k| {
        y_want[o] += x64[i] * w64[k];
        dx_want[i] += dy64[o] * w64[k];
        dw_want[k] += dy64[o] * x64[i];
    });
    let run = || {
        let packed = PackedWeights::new(c, &w).unwrap();
        let (mut y, mut dx, mut dw) = (garbage(y_want.len()), garbage(dx_want.len()), garbage(dw_want.len()));
        conv::forward(c, &x, &packed, Epilogue::default(), &mut y).unwrap();
        conv::backward_input(c, &dy, &packed, false, &mut dx).unwrap();
        conv::backward_weight(c, &x, &dy, &mut dw).unwrap();
        let mut dx_added = values(4, dx.len());
        conv::backward_input(c, &dy, &packed, true, &mut dx_added).unwrap();
        vec![y, dx, dw, dx_added]
    };
    on_all(run, |set, got| {
        assert_near(&format!("{set}: y"), &got[0], &y_want, 1e-5);
        assert_near(&format!("{set}: dx"), &got[1], &dx_want, 1e-5);
        assert_near(&format!("{set}: dw"), &got[2], &dw_want, 1e-5);
        let added: Vec<f64> = dx_want
            .iter()
            .zip(values(4, dx_want.len()))
            .map(|(a, b)| a + f64::from(b))
            .collect();
        assert_near(&format!("{set}: dx added"), &got[3], &added, 1e-5);
    });
}

prop_compose! {
    fn axis()(
        size in 1usize..9, kernel in 1usize..4, stride in 1usize..4, dilation in 1usize..3, pad in 0usize..3, end in 0usize..3,
    ) -> [usize; 6] {
        // Long enough for the kernel.
        [size.max((dilation * (kernel - 1) + 1).saturating_sub(pad + end)), kernel, stride, pad, end, dilation]
    }
}

prop_compose! {
    fn any_conv()(
        n in 1usize..4, t in axis(), h in axis(), w in axis(), flat: bool, groups in 1usize..4, ci in 1usize..9, co in 1usize..12,
        wide_in in prop_oneof![Just(0usize), Just(16), Just(40)], wide_out in prop_oneof![Just(0usize), Just(20), Just(64)],
    ) -> Conv {
        let t = if flat { [1, 1, 1, 0, 0, 1] } else { t };
        let along = |i: usize| [t[i], h[i], w[i]];
        let groups = if groups == 3 { 1 } else { groups };
        Conv {
            n, input: along(0), kernel: along(1), stride: along(2), pad: along(3), pad_end: along(4), dilation: along(5),
            groups, ci: (ci + wide_in) * groups, co: (co + wide_out) * groups,
        }
    }
}

proptest! {
    #![proptest_config(common::cases(120))]
    #[test]
    fn any_shape_matches_the_direct_sum(c in any_conv()) {
        check(&c);
    }
}

#[test]
fn the_layers_of_real_networks_match() {
    for c in [
        Conv::new_2d(9, [20, 24], 3, 16, 5, 2, 2),
        Conv::new_2d(7, [24, 24], 16, 24, 3, 2, 1),
        Conv::new_2d(5, [12, 12], 24, 24, 3, 1, 1),
        Conv::new_2d(5, [12, 12], 24, 32, 1, 2, 0),
        Conv::new_2d(30, [6, 6], 48, 64, 3, 2, 1),
        Conv::new_2d(1, [30, 34], 3, 64, 7, 2, 3),
        Conv::new_2d(2, [7, 7], 160, 96, 3, 1, 1),
        Conv::new_2d(2, [7, 7], 600, 130, 1, 1, 0),
        // Weight gradients with filters and channels exchanged: of few rows, and of many in several sums.
        Conv::new_2d(1, [7, 7], 160, 90, 1, 1, 0),
        Conv::new_2d(4, [20, 24], 32, 90, 1, 1, 0),
        // A third of what is read is padding along time, for whole blocks of rows.
        Conv::new_3d(1, [2, 24, 24], 20, 34, [3, 1, 1], [1; 3], [1, 0, 0]),
        Conv::new_3d(1, [4, 7, 9], 40, 32, [3, 1, 1], [1, 1, 1], [1, 0, 0]),
        Conv::new_3d(1, [8, 13, 14], 3, 20, [5, 7, 7], [2, 2, 2], [2, 3, 3]),
        Conv {
            pad_end: [0, 1, 1],
            ..Conv::new_2d(1, [8, 8], 8, 8, 3, 2, 0)
        },
        Conv {
            groups: 24,
            ..Conv::new_2d(1, [9, 9], 24, 48, 3, 2, 1)
        },
    ] {
        check(&c);
    }
}

#[test]
fn kernels_of_three_match() {
    // Those that use Winograd's filtering: whole and cut tiles, any padding, channels that fill no vector, kernels along
    // time with a stride or alone, several blocks.
    for c in [
        Conv::new_2d(3, [13, 10], 40, 36, 3, 1, 1),
        Conv::new_2d(2, [9, 8], 17, 70, 3, 1, 0),
        Conv::new_2d(1, [6, 7], 24, 24, 3, 1, 2),
        Conv::new_2d(20, [12, 12], 32, 48, 3, 1, 1),
        Conv::new_3d(1, [4, 8, 8], 20, 33, [3; 3], [1; 3], [1; 3]),
        Conv::new_3d(2, [5, 9, 8], 16, 20, [3; 3], [2, 1, 1], [1; 3]),
        Conv::new_3d(1, [3, 8, 4], 16, 16, [2, 3, 3], [1; 3], [0, 1, 1]),
        Conv::new_3d(2, [4, 7, 9], 40, 36, [3, 1, 1], [1; 3], [1, 0, 0]),
        Conv::new_3d(1, [9, 5, 6], 70, 33, [3, 1, 1], [1; 3], [1, 0, 0]),
        Conv::new_3d(1, [6, 20, 20], 32, 64, [3, 1, 1], [1; 3], [0; 3]),
        Conv {
            pad_end: [0, 2, 0],
            ..Conv::new_2d(2, [8, 11], 32, 32, 3, 1, 1)
        },
    ] {
        check(&c);
    }
}

#[test]
fn kernels_of_four_and_strided_ones_of_seven_match() {
    // With Winograd's filtering in tiles of 3×3: whole and cut tiles, any padding, odd sizes, several blocks.
    for c in [
        Conv::new_2d(3, [12, 10], 40, 36, 4, 1, 1),
        Conv::new_2d(2, [9, 11], 17, 70, 4, 1, 2),
        Conv::new_3d(1, [3, 9, 8], 20, 33, [2, 4, 4], [1; 3], [1, 0, 2]),
        // Folded first.
        Conv::new_3d(1, [4, 20, 22], 3, 64, [5, 7, 7], [2; 3], [2, 3, 3]),
        Conv::new_3d(2, [3, 17, 15], 3, 40, [5, 7, 7], [1, 2, 2], [2, 3, 3]),
        Conv::new_3d(1, [7, 13, 16], 2, 35, [7, 7, 8], [2; 3], [3, 2, 4]),
        Conv::new_3d(1, [6, 40, 40], 3, 32, [5, 7, 7], [2; 3], [2, 0, 3]),
        Conv {
            pad_end: [3, 2, 4],
            ..Conv::new_3d(1, [4, 15, 14], 12, 17, [7, 7, 7], [2; 3], [2, 3, 2])
        },
        // An input for which tiles are not worth their cost.
        Conv::new_3d(1, [1, 3, 2], 12, 20, [1, 7, 7], [1, 2, 2], [0, 3, 3]),
    ] {
        check(&c);
    }
}

#[test]
fn many_rows_are_split_and_still_match() {
    // Rows enough for several blocks, chunks and splits.
    check(&Conv::new_2d(40, [12, 12], 5, 18, 3, 1, 1));
}

#[test]
fn the_epilogue_adds_rectifies_and_measures() {
    let grouped = Conv {
        groups: 2,
        ..Conv::new_2d(40, [12, 11], 6, 42, 3, 1, 1)
    };
    check_epilogue(grouped);
    // With Winograd's filtering.
    check_epilogue(Conv::new_2d(40, [12, 11], 18, 42, 3, 1, 1));
    check_epilogue(Conv::new_3d(2, [6, 21, 20], 3, 42, [5, 7, 7], [2; 3], [2, 3, 3]));
}

fn check_epilogue(c: Conv) {
    let (x, w) = (values(1, c.input_len()), values(2, c.weight_len()));
    // A large bias: the moments must not lose the variance to it.
    let bias: Vec<f32> = values(3, c.co).iter().map(|b| b + 300.0).collect();
    for relu in [false, true] {
        let bias: Vec<f32> = bias.iter().map(|b| if relu { b - 300.0 } else { *b }).collect();
        let mut want = vec![0.0; c.output_len()];
        products(&c, |o, i, k| want[o] += f64::from(x[i]) * f64::from(w[k]));
        for (i, want) in want.iter_mut().enumerate() {
            *want += f64::from(bias[i % c.co]);
            *want = if relu { want.max(0.0) } else { *want };
        }
        let rows = c.rows() as f64;
        let channel = |o: usize| want.iter().skip(o).step_by(c.co).copied();
        let mean_want: Vec<f64> = (0..c.co).map(|o| channel(o).sum::<f64>() / rows).collect();
        let var_want: Vec<f64> = (0..c.co)
            .map(|o| channel(o).map(|v| (v - mean_want[o]).powi(2)).sum::<f64>() / rows)
            .collect();
        let run = || {
            let packed = PackedWeights::forward_only(&c, &w).unwrap();
            let (mut y, mut mean, mut var) = (garbage(want.len()), garbage(c.co), garbage(c.co));
            let moments = Some(Moments {
                mean: &mut mean,
                var: &mut var,
            });
            conv::forward(
                &c,
                &x,
                &packed,
                Epilogue {
                    bias: Some(&bias),
                    relu,
                    moments,
                },
                &mut y,
            )
            .unwrap();
            vec![y, mean, var]
        };
        on_all(run, |set, got| {
            assert_near(&format!("{set}: y"), &got[0], &want, 1e-5);
            assert_near(&format!("{set}: mean"), &got[1], &mean_want, 1e-6);
            assert_near(&format!("{set}: var"), &got[2], &var_want, 1e-5);
        });
    }
}

#[test]
fn a_part_of_the_taps_is_packed() {
    // The middle frame of a kernel of three, and its first two rows.
    let whole = Conv::new_3d(1, [3, 5, 6], 20, 36, [3; 3], [1; 3], [0; 3]);
    let source = Source {
        kernel: [3; 3],
        first: [1, 0, 0],
    };
    let used = Conv::new_3d(1, [1, 5, 6], 20, 36, [1, 2, 3], [1; 3], [0, 1, 1]);
    check_part(&whole, source, &used, 9..15);
    // The first four frames of a stem that is folded.
    let whole = Conv::new_3d(1, [3, 14, 14], 3, 20, [7; 3], [2; 3], [3; 3]);
    let first = Source {
        kernel: [7; 3],
        first: [0; 3],
    };
    let used = Conv {
        kernel: [4, 7, 7],
        ..whole
    };
    check_part(&whole, first, &used, 0..4 * 49);
    let beyond = Source {
        first: [1, 2, 0],
        ..source
    };
    let w = values(1, 36 * 20 * 27);
    let message = PackedWeights::part(&used, beyond, false, &w).err().unwrap().to_string();
    assert!(message.contains("has not all taps of the kernel"), "{message}");
}

/// A part of the taps, those at `taps` of each filter, packed from all or from themselves alone.
fn check_part(whole: &Conv, source: Source, used: &Conv, taps: std::ops::Range<usize>) {
    let w = values(1, whole.weight_len());
    let filters = w.chunks(whole.taps());
    let taken: Vec<f32> = filters.flat_map(|filter| filter[taps.clone()].to_vec()).collect();
    let (x, dy) = (values(2, used.input_len()), values(3, used.output_len()));
    let run = |packed: [PackedWeights; 2]| {
        let (mut y, mut dx) = (garbage(used.output_len()), garbage(used.input_len()));
        conv::forward(used, &x, &packed[0], Epilogue::default(), &mut y).unwrap();
        conv::backward_input(used, &dy, &packed[1], false, &mut dx).unwrap();
        (y, dx)
    };
    for set in Isa::available() {
        glad_ops::isa::with(set, || {
            let part = [false, true].map(|backward| PackedWeights::part(used, source, backward, &w).unwrap());
            let plain = [
                PackedWeights::forward_only(used, &taken).unwrap(),
                PackedWeights::backward_only(used, &taken).unwrap(),
            ];
            assert_eq!(run(part), run(plain), "{set}");
        });
    }
}

#[test]
fn repacking_replaces_the_weights() {
    let c = Conv::new_2d(2, [6, 5], 7, 9, 3, 2, 1);
    let (x, w) = (values(1, c.input_len()), values(2, c.weight_len()));
    let output = |packed: &PackedWeights| {
        let mut y = garbage(c.output_len());
        conv::forward(&c, &x, packed, Epilogue::default(), &mut y).unwrap();
        y
    };
    let mut packed = PackedWeights::new(&c, &values(3, c.weight_len())).unwrap();
    let before = output(&packed);
    packed.repack(&w).unwrap();
    let fresh = output(&PackedWeights::new(&c, &w).unwrap());
    assert_eq!(output(&packed), fresh);
    assert_ne!(before, fresh);
}

#[test]
fn mistakes_are_errors() {
    let c = Conv::new_2d(1, [6, 6], 4, 8, 3, 1, 1);
    let packed = PackedWeights::forward_only(&c, &values(0, c.weight_len())).unwrap();
    let (x, mut y, mut dx) = (
        values(1, c.input_len()),
        garbage(c.output_len()),
        garbage(c.input_len()),
    );
    let short = conv::forward(&c, &x[1..], &packed, Epilogue::default(), &mut y).unwrap_err();
    assert_eq!(
        short,
        Error::Length {
            op: "convolution",
            name: "x",
            got: 143,
            expected: 144
        }
    );
    let other = Conv { stride: [1, 2, 1], ..c };
    let message = conv::forward(&other, &x, &packed, Epilogue::default(), &mut y)
        .unwrap_err()
        .to_string();
    assert!(message.contains("another convolution"), "{message}");
    let message = conv::backward_input(&c, &y, &packed, false, &mut dx)
        .unwrap_err()
        .to_string();
    assert!(message.contains("forward pass only"), "{message}");
    let message = PackedWeights::new(&c, &x).err().unwrap().to_string();
    assert!(message.contains("`weights` holds"), "{message}");
}

#[test]
fn what_is_not_a_number_is_not_hidden() {
    let c = Conv::new_2d(1, [3, 3], 2, 3, 1, 1, 0);
    let mut x = values(1, c.input_len());
    x[4] = f32::NAN;
    let w = values(2, c.weight_len());
    let run = || {
        let mut y = vec![0.0; c.output_len()];
        let epilogue = Epilogue {
            relu: true,
            ..Epilogue::default()
        };
        conv::forward(&c, &x, &PackedWeights::new(&c, &w).unwrap(), epilogue, &mut y).unwrap();
        vec![y]
    };
    on_all(run, |set, got| {
        assert!(got[0][6..9].iter().all(|y| y.is_nan()), "{set}: {:?}", got[0])
    });
}
