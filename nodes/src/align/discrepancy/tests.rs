use crate::Args;
use crate::testing::losses_golden::golden;
use crate::testing::{Probe, f64s, log_softmax, normal, rejected, scalar, ty};
use serde_json::{Value, json};

fn types(k: usize) -> [(&'static str, Vec<crate::Type>); 2] {
    ["a", "b"].map(|p| (p, vec![ty("Logits", &format!("B,{k}"))]))
}

fn probe(params: Value, k: usize) -> Probe {
    Probe::new("discrepancy", params, &types(k), &[]).unwrap()
}

fn inputs(rows: usize, k: usize) -> Args<candle_core::Tensor> {
    Args::default()
        .with("a", vec![(normal(1, &[rows, k]) * 2.0).unwrap()])
        .with("b", vec![(normal(2, &[rows, k]) * 2.0).unwrap()])
}

#[test]
fn golden_values() {
    let ports: [(&str, &[&str]); 2] = [("a", &["a"]), ("b", &["b"])];
    golden("mcd_discrepancy").check(&mut probe(json!({}), 5), &ports, "loss");
    golden("l2_consistency").check(&mut probe(json!({ "form": "l2" }), 3), &ports, "loss");
    let ports: [(&str, &[&str]); 2] = [("a", &["student"]), ("b", &["teacher"])];
    golden("kl_rows").check(&mut probe(json!({ "form": "kl" }), 3), &ports, "loss");
}

#[test]
fn matches_the_reference() {
    for form in ["l1", "l2", "kl"] {
        for (rows, k) in [(3, 4), (1, 2)] {
            probe(json!({ "form": form }), k).check(&inputs(rows, k), |x, _| {
                let of = |z: &[f64]| log_softmax(z, k).iter().map(|l| l.exp()).collect::<Vec<_>>();
                let (p, q) = (of(&x[0]), of(&x[1]));
                let terms = p.iter().zip(&q).map(|(p, q)| match form {
                    "l1" => (p - q).abs() / k as f64,
                    "l2" => (p - q) * (p - q),
                    _ => q * (q / p).ln(),
                });
                vec![vec![terms.sum::<f64>() / rows as f64]]
            });
        }
    }
}

/// Against sorted projections, with the node's own directions.
#[test]
fn sliced_matches_the_reference() {
    for (rows, k, count) in [(4, 3, 7), (1, 2, 1)] {
        let mut p = probe(json!({ "form": "swd", "projections": count }), k);
        assert!(p.contract.random);
        let directions = f64s(&super::sliced::directions(p.key, count, k, &crate::testing::device()).unwrap());
        p.check(&inputs(rows, k), |x, _| {
            let along = |z: &[f64], d: &[f64]| {
                let p: Vec<f64> = log_softmax(z, k).iter().map(|l| l.exp()).collect();
                let dot = |p: &[f64]| p.iter().zip(d).map(|(p, d)| p * d).sum::<f64>();
                let mut v: Vec<f64> = p.chunks(k).map(dot).collect();
                v.sort_by(f64::total_cmp);
                v
            };
            let gaps = directions.chunks(k).flat_map(|d| {
                let (a, b) = (along(&x[0], d), along(&x[1], d));
                a.into_iter().zip(b).map(|(a, b)| (a - b) * (a - b)).collect::<Vec<_>>()
            });
            vec![vec![gaps.sum::<f64>() / (rows * count) as f64]]
        });
    }
}

#[test]
fn equal_predictions_are_not_apart() {
    for form in ["l1", "l2", "kl", "swd"] {
        let z = normal(1, &[3, 4]);
        let x = Args::default().with("a", vec![z.clone()]).with("b", vec![z]);
        let mut p = probe(json!({ "form": form }), 4);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert_eq!(scalar(&out[0]), 0.0, "{form}");
        let g = p.backward(&x, saved, vec![Some(out[0].ones_like().unwrap())]).unwrap();
        assert!(
            g.iter()
                .all(|g| f64s(g.as_ref().unwrap()).iter().all(|v| v.abs() < 1e-6)),
            "{form}"
        );
    }
}

#[test]
fn no_rows_are_no_loss() {
    for form in ["l1", "kl", "swd"] {
        let mut p = probe(json!({ "form": form }), 3);
        assert_eq!(scalar(&p.forward(&inputs(0, 3)).unwrap()[0]), 0.0);
    }
}

#[test]
fn mistakes_are_named() {
    assert_eq!(
        rejected("discrepancy", json!({ "projections": 3 }), &types(3)),
        ["projections: only the form `swd` has projections"]
    );
    assert_eq!(
        rejected("discrepancy", json!({ "form": "swd", "projections": 0 }), &types(3)),
        ["projections: 0 is not in 1 to 4096"]
    );
    assert_eq!(
        rejected("discrepancy", json!({ "form": "wasserstein" }), &types(3)),
        ["form: unknown variant `wasserstein`, expected one of `l1`, `l2`, `kl`, `swd`"]
    );
}
