use crate::Args;
use crate::testing::golden::{Case, cotangent, near};
use crate::testing::{Probe, close, dense, f64s, mask, normal, rejected, ty};
use candle_core::Tensor;
use serde_json::json;

fn golden(name: &str) -> Case {
    Case::of(include_str!("../../../tests/golden/methods.json"), name)
}

fn probe(n: usize, d: usize, outputs: usize, masked: bool) -> Probe {
    let mut types = vec![("x", vec![ty("Feature", &format!("B,{n},{d}"))])];
    if masked {
        types.push(("keep", vec![ty("Mask", &format!("B,{n}"))]));
    }
    Probe::new("graph_conv", json!({ "outputs": outputs }), &types, &[]).unwrap()
}

/// Golden matrices of layers are `[in, out]`.
fn turned(t: Tensor) -> Tensor {
    t.t().unwrap().contiguous().unwrap()
}

fn with_weights(mut p: Probe, case: &Case, prefix: &str) -> Probe {
    p.set("weight", turned(case.weight(&format!("{prefix}weight"))));
    for name in ["bias", "w_one", "w_two"] {
        p.set(name, case.weight(&format!("{prefix}{name}")));
    }
    p
}

fn gradients_match(p: &Probe, case: &Case, prefix: &str) {
    let at = |name: &str| format!("{prefix}{name}");
    near(
        &at("weight"),
        &turned(p.grad("weight").unwrap()),
        &case.grad(&at("weight")),
    );
    for name in ["bias", "w_one", "w_two"] {
        near(&at(name), &p.grad(name).unwrap(), &case.grad(&at(name)));
    }
}

#[test]
fn golden_values() {
    let case = golden("graph_conv");
    let mut p = with_weights(probe(4, 3, 5, false), &case, "");
    let x = Args::default().with("x", vec![case.input("x")]);
    let (out, saved) = p.forward_kept(&x).unwrap();
    near("y", &out[0], &case.output("y"));
    let dx = p.backward(&x, saved, vec![Some(cotangent(&out[0]))]).unwrap();
    near("dx", dx[0].as_ref().unwrap(), &case.grad("x"));
    gradients_match(&p, &case, "");
}

/// The whole head: in the last layer, whose shares add up to 1 over the clips that the mean is over, W₁ and W₂ have no effect.
#[test]
fn golden_values_of_three_layers() {
    let case = golden("graph_head");
    let widths = [3, 4, 4, 2];
    let mut layers: Vec<Probe> = (0..3)
        .map(|i| {
            with_weights(
                probe(5, widths[i], widths[i + 1], false),
                &case,
                &format!("gc{}_", i + 1),
            )
        })
        .collect();
    let relu = || {
        Probe::new(
            "activation",
            json!({ "form": "relu" }),
            &[("x", vec![ty("Feature", "B,5,4")])],
            &[],
        )
    };
    let (mut first, mut second) = (relu().unwrap(), relu().unwrap());
    let mut mean = Probe::new("mean", json!({}), &[("x", vec![ty("Feature", "B,5,2")])], &[]).unwrap();
    let (a, b) = layers.split_at_mut(1);
    let (b, c) = b.split_at_mut(1);
    let mut chain = [&mut a[0], &mut first, &mut b[0], &mut second, &mut c[0], &mut mean];
    let mut x = case.input("x");
    let mut kept = vec![];
    for p in &mut chain {
        let args = Args::default().with("x", vec![x]);
        let (mut out, saved) = p.forward_kept(&args).unwrap();
        x = out.remove(0);
        kept.push((args, saved));
    }
    near("y", &x, &case.output("y"));
    let mut grad = cotangent(&x);
    for (p, (args, saved)) in chain.iter_mut().zip(kept).rev() {
        grad = p.backward(&args, saved, vec![Some(grad)]).unwrap().remove(0).unwrap();
    }
    near("dx", &grad, &case.grad("x"));
    for (i, p) in layers.iter().enumerate() {
        gradients_match(p, &case, &format!("gc{}_", i + 1));
    }
    for name in ["w_one", "w_two"] {
        let largest = f64s(&layers[2].grad(name).unwrap())
            .iter()
            .fold(0f64, |m, v| m.max(v.abs()));
        assert!(largest < 1e-6, "{name}: {largest}");
    }
}

/// The definition, as sums over clips.
fn reference(x: &[f64], w: &[Vec<f64>], n: usize, d: usize, keep: &[f64]) -> Vec<f64> {
    let e = w[1].len();
    let videos = x.chunks(n * d).zip(keep.chunks(n));
    let of = |(x, keep): (&[f64], &[f64])| {
        let values = dense(x, &w[0], &vec![0.0; e], d);
        let (to, from) = (dense(x, &w[2], &vec![0.0; d], d), dense(x, &w[3], &vec![0.0; d], d));
        let score = |i: usize, j: usize| (0..d).map(|k| to[i * d + k] * from[j * d + k]).sum::<f64>();
        let mut y = vec![0.0; n * e];
        for i in (0..n).filter(|i| keep[*i] == 1.0) {
            for k in 0..e {
                y[i * e + k] = w[1][k];
            }
            for j in (0..n).filter(|j| keep[*j] == 1.0) {
                let sum: f64 = (0..n).filter(|i| keep[*i] == 1.0).map(|i| score(i, j).exp()).sum();
                for k in 0..e {
                    y[i * e + k] += score(i, j).exp() / sum * values[j * e + k];
                }
            }
        }
        y
    };
    videos.flat_map(of).collect()
}

#[test]
fn matches_the_definition() {
    for (rows, n, d, e) in [(2, 3, 4, 2), (1, 1, 2, 3), (3, 4, 1, 1)] {
        let mut p = probe(n, d, e, false).unusual_weights();
        assert_eq!(p.outputs[0].to_string(), format!("Feature[B,{n},{e}]"));
        p.check(&Args::default().with("x", vec![normal(1, &[rows, n, d])]), |x, w| {
            vec![reference(&x[0], w, n, d, &vec![1.0; rows * n])]
        });
    }
}

#[test]
fn absent_clips_give_and_take_nothing() {
    let keep = [1f32, 0., 1., 0., 0., 0., 1., 1., 1., 0., 0., 1.];
    let mut p = probe(3, 2, 4, true).unusual_weights();
    let x = normal(1, &[4, 3, 2]);
    let marks = mask(&keep).reshape((4, 3)).unwrap();
    let args = |x: &Tensor| {
        Args::default()
            .with("x", vec![x.clone()])
            .with("keep", vec![marks.clone()])
    };
    p.check(&args(&x), |x, w| vec![reference(&x[0], w, 3, 2, &x[1])]);
    // As if the kept clips were all.
    let y = f64s(&p.forward(&args(&x)).unwrap()[0]);
    let mut few = probe(2, 2, 4, false).unusual_weights();
    let two = Tensor::cat(
        &[
            x.get(0).unwrap().narrow(0, 0, 1).unwrap(),
            x.get(0).unwrap().narrow(0, 2, 1).unwrap(),
        ],
        0,
    );
    let two = two.unwrap().unsqueeze(0).unwrap();
    let alone = f64s(&few.forward(&Args::default().with("x", vec![two])).unwrap()[0]);
    close("kept clips", &[&y[0..4], &y[8..12]].concat(), &alone, 1e-5);
    assert!(y[4..8].iter().all(|v| *v == 0.0));
}

#[test]
fn no_videos_have_no_gradient() {
    let mut p = probe(3, 2, 4, false);
    let x = Args::default().with("x", vec![normal(1, &[0, 3, 2])]);
    let (out, saved) = p.forward_kept(&x).unwrap();
    assert_eq!(out[0].dims(), [0, 3, 4]);
    let dx = p.backward(&x, saved, vec![Some(out[0].clone())]).unwrap();
    assert_eq!(dx[0].as_ref().unwrap().dims(), [0, 3, 2]);
    assert!(p.grad("weight").is_none());
}

#[test]
fn weights_start_as_released() {
    let p = probe(2, 100, 25, false);
    let largest = |name: &str| f64s(&p.weight(name)).iter().fold(0f64, |m, v| m.max(v.abs()));
    for (name, bound) in [("weight", 0.2), ("bias", 0.2), ("w_one", 0.1), ("w_two", 0.1)] {
        assert!(
            (0.85 * bound..=bound).contains(&largest(name)),
            "{name}: {}",
            largest(name)
        );
    }
}

#[test]
fn scores_are_logits() {
    let types = [("x", vec![ty("Feature", "B,4,3")])];
    let p = Probe::new("graph_conv", json!({ "outputs": 5, "head": "Logits" }), &types, &[]).unwrap();
    assert_eq!(p.outputs[0].to_string(), "Logits[B,4,5]");
    assert_eq!(p.contract.outputs[0].name, "logits");
    assert_eq!(
        rejected("graph_conv", json!({ "outputs": 0 }), &types),
        ["outputs: a layer needs at least one value"]
    );
}
