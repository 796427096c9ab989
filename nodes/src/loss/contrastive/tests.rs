use crate::testing::golden::{Case, near};
use crate::testing::{Probe, device, f64s, labels, mask, normal, rejected, remarks, scalar, ty};
use crate::{Args, Type};
use candle_core::Tensor;
use serde_json::{Value, json};

fn golden(name: &str) -> Case {
    Case::of(include_str!("../../../tests/golden/methods.json"), name)
}

fn types(views: usize, d: usize, marked: [usize; 2]) -> Vec<(&'static str, Vec<Type>)> {
    let mut types = vec![("x", vec![ty("Feature", &format!("B,{d}")); views])];
    for (port, head, n) in [("label", "Label", marked[0]), ("mask", "Mask", marked[1])] {
        if n > 0 {
            types.push((port, vec![ty(head, "B"); n]));
        }
    }
    types
}

/// The loss, and the gradients of the views.
fn run(params: Value, x: &[Tensor], label: &[Tensor], masks: &[Tensor]) -> (Tensor, Vec<Tensor>) {
    let types = types(x.len(), x[0].dim(1).unwrap(), [label.len(), masks.len()]);
    let mut p = Probe::new("contrastive", params, &types, &[]).unwrap();
    let mut args = Args::default().with("x", x.to_vec());
    for (port, given) in [("label", label), ("mask", masks)] {
        if !given.is_empty() {
            args = args.with(port, given.to_vec());
        }
    }
    let (mut out, saved) = p.forward_kept(&args).unwrap();
    let one = Tensor::new(1f32, &device()).unwrap();
    let grads = p.backward(&args, saved, vec![Some(one)]).unwrap();
    (out.remove(0), grads.into_iter().flatten().collect())
}

fn matches(name: &str, params: Value, views: &[&str], marked: [bool; 2]) {
    let case = golden(name);
    let x: Vec<Tensor> = views.iter().map(|v| case.input(v)).collect();
    let label: Vec<Tensor> = marked[0].then(|| labels(&case.given("label"))).into_iter().collect();
    let marks = || mask(&case.given("mask").iter().map(|m| *m as f32).collect::<Vec<_>>());
    let masks: Vec<Tensor> = marked[1].then(marks).into_iter().collect();
    let (loss, grads) = run(params, &x, &label, &masks);
    near(name, &loss, &case.output("loss"));
    assert_eq!(grads.len(), views.len());
    for (view, grad) in views.iter().zip(&grads) {
        near(&format!("{name}: {view}"), grad, &case.grad(view));
    }
}

#[test]
fn golden_values_of_co2a() {
    let params = || json!({ "temperature": 0.5, "normalize": true });
    matches("nce_aug", params(), &["a", "b"], [false, false]);
    matches("nce_label", params(), &["x"], [true, false]);
    matches("nce_label_no_pairs", params(), &["x"], [true, false]);
    matches("nce_selected", params(), &["x"], [true, true]);
    let across = json!({ "temperature": 0.1, "normalize": true, "pairs": "across" });
    matches("nce_two_views_across", across, &["a", "b"], [false, false]);
}

/// CoMix's, whose τ is divided by 0.07.
fn comix() -> Value {
    json!({ "temperature": 0.5, "scale": 0.5 / 0.07 })
}

#[test]
fn golden_values_of_supcon() {
    for (name, labelled) in [("supcon_labels", true), ("supcon_unlabelled", false)] {
        let case = golden(name);
        let f = case.input("f");
        let view = |i: usize| f.narrow(1, i, 1).unwrap().squeeze(1).unwrap().contiguous().unwrap();
        let label: Vec<Tensor> = labelled.then(|| labels(&case.given("label"))).into_iter().collect();
        let (loss, grads) = run(comix(), &[view(0), view(1)], &label, &[]);
        near(name, &loss, &case.output("loss"));
        near(name, &Tensor::stack(&grads, 1).unwrap(), &case.grad("f"));
    }
}

/// Runs the softmax of each logits, and `loss` on the probabilities; the gradients are those of the logits.
fn on_softmax(logits: &[Tensor], loss: impl FnOnce(&[Tensor]) -> (Tensor, Vec<Tensor>)) -> (Tensor, Vec<Tensor>) {
    let classes = logits[0].dim(1).unwrap();
    let types = [("x", vec![ty("Logits", &format!("B,{classes}"))])];
    let mut p = Probe::new("softmax", json!({}), &types, &[]).unwrap();
    let (mut probabilities, mut kept) = (vec![], vec![]);
    for z in logits {
        let (mut out, saved) = p.forward_kept(&Args::default().with("x", vec![z.clone()])).unwrap();
        probabilities.push(out.remove(0));
        kept.push(saved);
    }
    let (loss, grads) = loss(&probabilities);
    let each = logits.iter().zip(kept).zip(grads);
    let back = each.map(|((z, saved), g)| {
        let args = Args::default().with("x", vec![z.clone()]);
        p.backward(&args, saved, vec![Some(g)]).unwrap().remove(0).unwrap()
    });
    let back = back.collect();
    (loss, back)
}

#[test]
fn golden_values_of_the_background_loss_of_comix() {
    let case = golden("comix_bgm");
    let views = ["fast", "slow", "fast_mix", "slow_mix"];
    let logits = views.map(|v| case.input(v));
    let (loss, grads) = on_softmax(&logits, |p| run(comix(), p, &[], &[]));
    near("loss", &loss, &case.output("loss"));
    for (view, grad) in views.iter().zip(&grads) {
        near(view, grad, &case.grad(view));
    }
}

#[test]
fn golden_values_of_the_pseudo_label_loss_of_comix() {
    let case = golden("comix_tpl");
    let views = ["fast", "slow"];
    let logits = views.map(|v| case.input(v));
    let types = [("logits", vec![ty("Logits", "B,3"); 2])];
    let params = json!({ "threshold": 0.55 });
    let mut p = Probe::new("pseudo_label", params, &types, &[]).unwrap();
    let found = p.forward(&Args::default().with("logits", logits.to_vec())).unwrap();
    assert_eq!(found[0].to_vec1::<u32>().unwrap(), case.numbers("label"));
    near("mask", &found[1], &case.output("mask"));
    let (label, mask) = (&found[..1], &found[1..2]);
    let (loss, grads) = on_softmax(&logits, |p| run(comix(), p, label, mask));
    near("loss", &loss, &case.output("loss"));
    for (view, grad) in views.iter().zip(&grads) {
        near(view, grad, &case.grad(view));
    }
}

struct Reference {
    label: Vec<u32>,
    counts: Vec<f32>,
    clips: usize,
    across: bool,
    keep_self: bool,
    normalize: bool,
}

/// The definition, as sums over rows.
fn reference(x: &[Vec<f64>], d: usize, r: &Reference) -> f64 {
    let view: Vec<usize> = x.iter().enumerate().flat_map(|(v, x)| vec![v; x.len() / d]).collect();
    let place: Vec<usize> = x.iter().flat_map(|x| 0..x.len() / d).collect();
    let z: Vec<Vec<f64>> = x
        .iter()
        .flat_map(|x| x.chunks(d))
        .map(|row| {
            let norm = if r.normalize {
                row.iter().map(|v| v * v).sum::<f64>().sqrt()
            } else {
                1.0
            };
            row.iter().map(|v| v / norm).collect()
        })
        .collect();
    let score = |a: usize, b: usize| z[a].iter().zip(&z[b]).map(|(a, b)| a * b).sum::<f64>() / 0.4;
    let there: Vec<usize> = (0..z.len()).filter(|i| r.counts[*i] == 1.0).collect();
    let mut losses = vec![];
    for &a in &there {
        let open = |b: usize| {
            if a == b {
                return r.keep_self;
            }
            if view[a] != view[b] {
                return true;
            }
            !r.across && (r.clips == 1 || place[a] / r.clips != place[b] / r.clips)
        };
        let candidates: Vec<usize> = there.iter().copied().filter(|b| open(*b)).collect();
        let positives = candidates.iter().filter(|b| **b != a && r.label[**b] == r.label[a]);
        let positives: Vec<usize> = positives.copied().collect();
        if positives.is_empty() {
            continue;
        }
        let log_sum = candidates.iter().map(|c| score(a, *c).exp()).sum::<f64>().ln();
        let sum: f64 = positives.iter().map(|q| log_sum - score(a, *q)).sum();
        losses.push(sum / positives.len() as f64);
    }
    1.5 * losses.iter().sum::<f64>() / losses.len().max(1) as f64
}

#[test]
fn matches_the_definition() {
    let (places, classes) = ([0, 1, 2, 3, 0, 1, 2, 3], [0, 1, 1, 2, 2, 1, 0, 3]);
    let (all, some) = ([1f32; 8], [1f32, 1., 0., 1., 1., 0., 1., 1.]);
    for (label, counts, clips, across, keep_self, normalize) in [
        (None, all, 1, false, false, false),
        (Some(classes), some, 1, false, false, true),
        (Some(classes), some, 1, true, false, true),
        (Some(classes), all, 1, true, true, false),
        (None, all, 2, false, true, true),
        (None, some, 4, false, true, false),
        (Some(classes), some, 2, false, false, true),
    ] {
        let masked = counts != all;
        let params = json!({
            "temperature": 0.4, "scale": 1.5, "normalize": normalize, "keep_self": keep_self, "clips": clips,
            "pairs": if across { "across" } else { "all" },
        });
        let mut types = vec![("x", vec![ty("Feature", "4*B,3"); 2])];
        let mut x = Args::default().with("x", vec![normal(1, &[4, 3]), normal(2, &[4, 3])]);
        if let Some(l) = label {
            types.push(("label", vec![ty("Label", "4*B"); 2]));
            x = x.with("label", vec![labels(&l[..4]), labels(&l[4..])]);
        }
        if masked {
            types.push(("mask", vec![ty("Mask", "4*B"); 2]));
            x = x.with("mask", vec![mask(&counts[..4]), mask(&counts[4..])]);
        }
        let r = Reference {
            label: label.unwrap_or(places).to_vec(),
            counts: counts.to_vec(),
            clips,
            across,
            keep_self,
            normalize,
        };
        let mut p = Probe::new("contrastive", params, &types, &[]).unwrap();
        p.check(&x, |x, _| vec![vec![reference(&x[..2], 3, &r)]]);
    }
}

#[test]
fn views_of_different_sizes_have_labels_each() {
    for sizes in [[2, 3], [0, 3], [0, 0]] {
        let label: Vec<u32> = (0..sizes[0] + sizes[1]).map(|i| i as u32 % 2).collect();
        let x = Args::default()
            .with("x", vec![normal(1, &[sizes[0], 2]), normal(2, &[sizes[1], 2])])
            .with("label", vec![labels(&label[..sizes[0]]), labels(&label[sizes[0]..])]);
        let r = Reference {
            counts: vec![1.0; label.len()],
            label,
            clips: 1,
            across: false,
            keep_self: false,
            normalize: true,
        };
        let params = json!({ "temperature": 0.4, "scale": 1.5, "normalize": true });
        let mut p = Probe::new("contrastive", params, &types(2, 2, [2, 0]), &[]).unwrap();
        p.check(&x, |x, _| vec![vec![reference(&x[..2], 2, &r)]]);
    }
}

#[test]
fn one_pair_of_rows_is_no_loss() {
    // Each is the only candidate of the other.
    let x = [normal(1, &[1, 3]), normal(2, &[1, 3])];
    let (loss, grads) = run(json!({ "temperature": 0.5 }), &x, &[], &[]);
    assert_eq!(scalar(&loss), 0.0);
    assert!(grads.iter().flat_map(f64s).all(|g| g == 0.0));
}

#[test]
fn large_products_have_room() {
    let x = [
        (normal(1, &[3, 4]) * 300.0).unwrap(),
        (normal(2, &[3, 4]) * 300.0).unwrap(),
    ];
    let (loss, grads) = run(json!({ "temperature": 0.1 }), &x, &[], &[]);
    assert!(scalar(&loss).is_finite() && scalar(&loss) >= 0.0);
    assert!(grads.iter().flat_map(f64s).all(f64::is_finite));
}

#[test]
fn a_video_without_a_label_is_refused() {
    let mut p = Probe::new("contrastive", comix(), &types(1, 2, [1, 1]), &[]).unwrap();
    let x = |m: [f32; 2]| {
        Args::default()
            .with("x", vec![normal(1, &[2, 2])])
            .with("label", vec![labels(&[0, u32::MAX])])
            .with("mask", vec![mask(&m)])
    };
    assert_eq!(
        p.forward(&x([1., 1.])).unwrap_err().to_string(),
        "a video without a label reached a loss: add labels to the list of its stream, or leave the stream out of this loss"
    );
    assert_eq!(scalar(&p.forward(&x([1., 0.])).unwrap()[0]), 0.0);
}

#[test]
fn mistakes_are_named() {
    let of = |params, types: &[(&str, Vec<Type>)]| rejected("contrastive", params, types);
    let two = types(2, 3, [0, 0]);
    assert_eq!(
        of(json!({ "temperature": 0.0, "scale": -1.0 }), &two),
        [
            "temperature: 0 is not a number above zero",
            "scale: -1 is not a number of zero or more"
        ]
    );
    assert_eq!(of(comix(), &types(3, 3, [2, 0])), ["`x` has 3 values and `label` 2"]);
    assert_eq!(of(comix(), &types(3, 3, [1, 2])), ["`x` has 3 values and `mask` 2"]);
    assert_eq!(
        of(comix(), &types(1, 3, [0, 0])),
        ["no row has a positive: `x` is one view, and there are no labels"]
    );
    assert_eq!(
        of(json!({ "temperature": 0.5, "pairs": "across" }), &types(1, 3, [1, 0])),
        ["pairs: rows of one view have no candidates across views"]
    );
    let clips = |n: usize| of(json!({ "temperature": 0.5, "clips": n }), &two);
    assert_eq!(clips(0), ["clips: a video has at least one clip"]);
    assert_eq!(
        clips(2),
        ["clips: the rows of `Feature[B,3]` are not 2 clips for each video"]
    );
    let params = json!({ "temperature": 0.5, "pairs": "across", "clips": 4, "scale": 0.0 });
    assert_eq!(
        remarks("contrastive", params),
        [
            "scale: with 0 the loss trains nothing",
            "clips: nothing of the own view is a candidate across views, with `clips` or without"
        ]
    );
}

#[test]
fn what_is_one_for_all_views_needs_as_many_rows_in_each() {
    let node = crate::registry();
    let node = node
        .get("contrastive")
        .unwrap()
        .parse(&json!({ "temperature": 0.5 }))
        .unwrap();
    let rows = |views: usize, labels: usize, masks: usize| {
        let mut wiring = crate::Wiring::default();
        for (port, count) in [("x", views), ("label", labels), ("mask", masks)] {
            wiring.count.insert(port.into(), count);
        }
        let contract = node.contract(&wiring);
        let x = contract.inputs.iter().find(|i| i.name == "x").unwrap();
        x.types[0].to_string()
    };
    for (labels, masks) in [(2, 0), (2, 2)] {
        assert_eq!(rows(2, labels, masks), "any[R1,D]", "{labels} {masks}");
    }
    for (views, labels, masks) in [(2, 1, 0), (2, 0, 0), (2, 2, 1), (2, 0, 2), (1, 1, 0)] {
        assert_eq!(rows(views, labels, masks), "any[R,D]", "{views} {labels} {masks}");
    }
}
