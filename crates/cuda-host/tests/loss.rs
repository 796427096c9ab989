//! Losses, against the CPU's.

mod common;
use common::{BF16, F32, Host, Kind, kinds, on_host, values};
use glad_cuda::{Memory, loss};
use proptest::prelude::*;

/// Weights of 0, and about 1.
fn weights(seed: u64, rows: usize) -> Vec<f32> {
    values(seed, rows)
        .iter()
        .map(|v| if *v < -0.3 { 0.0 } else { v + 0.5 })
        .collect()
}

/// Loss and gradient of a cross-entropy on the device.
fn cross_entropy(
    kind: Kind,
    z: &[f32],
    classes: usize,
    labels: &[u32],
    smoothing: f32,
    weights: Option<&[f32]>,
) -> [Vec<f32>; 2] {
    on_host(|host| {
        let (z, mut grad) = (kind.put(host, z), kind.room(host, z.len()));
        let (labels, weights) = (host.put(labels), weights.map(|w| F32.put(host, w)));
        let weights = weights.as_ref().map(|w| w.read());
        let (mut mean, mut same) = (F32.room(host, 1), F32.room(host, 1));
        let labels = labels.input();
        loss::cross_entropy(
            host,
            z.read(),
            classes,
            labels,
            smoothing,
            weights,
            mean.write(),
            Some(grad.write()),
        )?;
        loss::cross_entropy(host, z.read(), classes, labels, smoothing, weights, same.write(), None)?;
        assert_eq!(mean.get()[0].to_bits(), same.get()[0].to_bits());
        Ok([mean.get(), grad.get()])
    })
}

fn bce(kind: Kind, z: &[f32], targets: &[f32], weights: Option<&[f32]>) -> [Vec<f32>; 2] {
    on_host(|host| {
        let (z, mut grad) = (kind.put(host, z), kind.room(host, z.len()));
        let (targets, weights) = (F32.put(host, targets), weights.map(|w| F32.put(host, w)));
        let weights = weights.as_ref().map(|w| w.read());
        let (mut mean, mut same) = (F32.room(host, 1), F32.room(host, 1));
        loss::bce_with_logits(
            host,
            z.read(),
            targets.read(),
            weights,
            mean.write(),
            Some(grad.write()),
        )?;
        loss::bce_with_logits(host, z.read(), targets.read(), weights, same.write(), None)?;
        assert_eq!(mean.get()[0].to_bits(), same.get()[0].to_bits());
        Ok([mean.get(), grad.get()])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn cross_entropies(
        rows in 0usize..80, classes in 1usize..120, weighted: bool,
        smoothing in prop_oneof![Just(0.0f32), Just(1.0f32), 0.0f32..1.0],
        size in prop_oneof![Just(1.0f32), Just(30.0f32)], kind in kinds(), seed: u64,
    ) {
        let z = kind.rounded(values(seed, rows * classes).iter().map(|v| v * size).collect());
        let weights = weighted.then(|| weights(seed ^ 1, rows));
        let labels: Vec<u32> =
            values(seed ^ 2, rows).iter().map(|v| ((v + 1.0) / 2.0 * classes as f32) as u32 % classes as u32).collect();
        let mut grad = vec![0.0; z.len()];
        let on_cpu =
            glad_ops::loss::cross_entropy(&z, classes, &labels, smoothing, weights.as_deref(), Some(&mut grad)).unwrap();
        let got = cross_entropy(kind, &z, classes, &labels, smoothing, weights.as_deref());
        F32.assert_near("loss", &got[0], &[on_cpu.mean], 1.0);
        kind.assert_near("grad", &got[1], &grad, 1.0 / rows.max(1) as f32);
    }

    #[test]
    fn binary_cross_entropies(
        rows in prop_oneof![0usize..40, 300usize..1000], weighted: bool,
        size in prop_oneof![Just(1.0f32), Just(200.0f32)], kind in kinds(), seed: u64,
    ) {
        let z = kind.rounded(values(seed, rows).iter().map(|v| v * size).collect());
        let weights = weighted.then(|| weights(seed ^ 1, rows));
        let targets: Vec<f32> = values(seed ^ 2, rows).iter().map(|v| (v + 0.5).clamp(0.0, 1.0)).collect();
        let mut grad = vec![0.0; rows];
        let on_cpu = glad_ops::loss::bce_with_logits(&z, &targets, weights.as_deref(), Some(&mut grad)).unwrap();
        let got = bce(kind, &z, &targets, weights.as_deref());
        F32.assert_near("loss", &got[0], &[on_cpu.mean], 1.0);
        kind.assert_near("grad", &got[1], &grad, 1.0 / rows.max(1) as f32);
    }
}

/// More rows than all blocks handle in one iteration.
#[test]
fn many_rows() {
    let (rows, classes) = (1100, 12);
    let z = values(1, rows * classes);
    let labels: Vec<u32> = (0..rows).map(|row| (row * 7 % classes) as u32).collect();
    let mut grad = vec![0.0; z.len()];
    let on_cpu = glad_ops::loss::cross_entropy(&z, classes, &labels, 0.1, None, Some(&mut grad)).unwrap();
    let got = cross_entropy(F32, &z, classes, &labels, 0.1, None);
    F32.assert_near("loss", &got[0], &[on_cpu.mean], 1.0);
    F32.assert_near("grad", &got[1], &grad, 1.0 / rows as f32);
}

#[test]
fn no_row_that_counts_is_a_loss_of_zero() {
    let [loss, grad] = cross_entropy(F32, &[1.0; 4], 2, &[7, 9], 0.1, Some(&[0.0; 2]));
    assert_eq!((loss, grad), (vec![0.0], vec![0.0; 4]));
    let [loss, grad] = bce(BF16, &[1.0; 2], &[7.0; 2], Some(&[0.0; 2]));
    assert_eq!((loss, grad), (vec![0.0], vec![0.0; 2]));
    assert_eq!(cross_entropy(F32, &[], 5, &[], 0.0, None)[0], [0.0]);
}

/// Invalid values are an error on the CPU; a device can only return NaN, and reads nothing outside of its operands.
#[test]
fn what_the_cpu_refuses_gives_nan() {
    for label in [2, 100, u32::MAX] {
        let [loss, grad] = cross_entropy(F32, &[1.0, 2.0, 3.0, 4.0], 2, &[1, label], 0.0, None);
        assert!(
            loss[0].is_nan() && grad[2].is_nan() && grad[0].is_finite(),
            "{label}: {loss:?} {grad:?}"
        );
    }
    for weight in [-1.0, f32::NAN, f32::INFINITY] {
        let [loss, _] = cross_entropy(F32, &[1.0, 2.0], 2, &[1], 0.0, Some(&[weight]));
        assert!(loss[0].is_nan(), "{weight}: {loss:?}");
        assert!(bce(F32, &[1.0, 2.0], &[0.0; 2], Some(&[1.0, weight]))[0][0].is_nan());
    }
    for target in [-0.1, 1.1, f32::NAN] {
        assert!(bce(F32, &[1.0, 2.0], &[0.5, target], None)[0][0].is_nan(), "{target}");
    }
    for bad in [f32::NAN, f32::INFINITY] {
        assert!(
            cross_entropy(F32, &[1.0, bad], 2, &[0], 0.0, None)[0][0].is_nan(),
            "{bad}"
        );
        assert!(bce(F32, &[bad], &[1.0], None)[0][0].is_nan(), "{bad}");
    }
}

#[test]
fn mistakes_are_reported() {
    let host = Host::new();
    let (z, labels) = (F32.room(&host, 6), host.put(&[0u32; 2]));
    let printed = |classes, smoothing, results| {
        let mut mean = F32.room(&host, results);
        let labels = labels.input();
        let e = loss::cross_entropy(&host, z.read(), classes, labels, smoothing, None, mean.write(), None);
        e.unwrap_err().to_string()
    };
    assert_eq!(printed(0, 0.0, 1), "cross-entropy: the number of classes is zero");
    assert_eq!(
        printed(4, 0.0, 1),
        "cross-entropy: `logits` holds 6 values, but 8 are expected"
    );
    assert_eq!(
        printed(3, 1.5, 1),
        "cross-entropy: a label smoothing of 1.5 is not in [0, 1]"
    );
    assert_eq!(
        printed(3, 0.5, 2),
        "cross-entropy: `loss` holds 2 values, but 1 are expected"
    );
}
