//! Formulas of our own kinds: the same values and gradients.

use super::node;
use crate::Args;
use crate::testing::{Probe, close, f64s, labels, normal, ty};
use candle_core::Tensor;
use serde_json::{Value, json};

/// Values and gradients of a node whose first output is a loss.
fn run(mut probe: Probe, args: &Args<Tensor>) -> (Vec<f64>, Vec<Option<Vec<f64>>>) {
    let (outputs, saved) = probe.forward_kept(args).unwrap();
    let one = Tensor::full(0.7f32, (), outputs[0].device()).unwrap();
    let mut cotangents = vec![None; outputs.len()];
    cotangents[0] = Some(one);
    let grads = probe.backward(args, saved, cotangents).unwrap();
    (f64s(&outputs[0]), grads.iter().map(|g| g.as_ref().map(f64s)).collect())
}

/// Compares `formula` with the kind `own`; ports are in the same order.
fn same(own: (&str, Value, &[(&str, &str)]), formula: Value, values: &[Tensor]) {
    let (kind, params, ports) = own;
    let dims = |t: &Tensor| t.dims().iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let types = ports
        .iter()
        .zip(values)
        .map(|((port, head), t)| (*port, vec![ty(head, &dims(t))]));
    let types: Vec<_> = types.collect();
    let args = |names: Vec<&str>| {
        let named = names.into_iter().zip(values);
        named.fold(Args::default(), |args, (name, t)| args.with(name, vec![t.clone()]))
    };
    let probe = Probe::new(kind, params, &types, &[]).unwrap();
    let (value, grads) = run(probe, &args(ports.iter().map(|p| p.0).collect()));
    let axes: Vec<&str> = formula["axes"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let inputs: Vec<(&str, &str, &Tensor)> = axes
        .iter()
        .zip(ports)
        .zip(values)
        .map(|((n, p), t)| (*n, p.1, t))
        .collect();
    let (probe, args) = node(formula.clone(), &inputs).unwrap_or_else(|e| panic!("{e:?}"));
    let (found, found_grads) = run(probe, &args);
    close(kind, &found, &value, 1e-5);
    for (i, (found, want)) in found_grads.iter().zip(&grads).enumerate() {
        match (found, want) {
            (Some(f), Some(w)) => close(&format!("{kind}: gradient {i}"), f, w, 1e-5),
            (f, w) => assert_eq!(f, w, "{kind}: gradient {i}"),
        }
    }
}

#[test]
fn entropy() {
    let formula = json!({ "axes": { "z": "n,k" }, "loss": "-mean(sum(softmax(z, k)*log_softmax(z, k), k))" });
    let z = (normal(3, &[7, 5]) * 3.0).unwrap();
    same(("entropy", json!({}), &[("logits", "Logits")]), formula, &[z]);
}

#[test]
fn mmd() {
    let formula = |b: &str| {
        json!({
            "axes": { "s": "n,d", "t": "m,d" },
            "let": {
                "ss": "sum((s[i,d] - s[j,d])^2, d)",
                "tt": "sum((t[k,d] - t[l,d])^2, d)",
                "st": "sum((s[i,d] - t[k,d])^2, d)",
                "r": "size(n) + size(m)",
                "b": b,
                "u": "exp(-ss/(4*b))", "v": "exp(-tt/(4*b))", "w": "exp(-st/(4*b))",
            },
            "loss": "mean(u + u^2 + u^4 + u^8 + u^16) + mean(v + v^2 + v^4 + v^8 + v^16) \
                     - 2*mean(w + w^2 + w^4 + w^8 + w^16)",
        })
    };
    let ports = [("source", "Feature"), ("target", "Feature")];
    let values = [normal(1, &[6, 9]), (normal(2, &[8, 9]) + 0.5).unwrap()];
    let found = "detach(sum(ss) + sum(tt) + 2*sum(st)) / (r^2 - r)";
    same(("mmd", json!({}), &ports), formula(found), &values);
    let given = json!({ "bandwidth": 9.0 });
    let mut fixed = formula("9");
    fixed["let"].as_object_mut().unwrap().remove("r");
    same(("mmd", given, &ports), fixed, &values);
}

#[test]
fn cross_entropy() {
    let z = (normal(3, &[6, 5]) * 3.0).unwrap();
    let y = labels(&[0, 4, 2, 2, 1, 3]);
    let formula = json!({
        "axes": { "z": "n,k", "y": "Label[n]" },
        "params": { "e": 0.1 },
        "loss": "-mean(sum(((1 - e)*one_hot(y, k) + e/size(k)) * log_softmax(z, k), k))",
    });
    let ports = [("logits", "Logits"), ("label", "Label"), ("mask", "Mask")];
    let params = json!({ "smoothing": 0.1 });
    same(("cross_entropy", params, &ports[..2]), formula, &[z.clone(), y]);
    // A row that does not count may have no label.
    let y = labels(&[0, u32::MAX, 2, 2, 77, 3]);
    let mask = Tensor::new(&[1f32, 0.0, 1.0, 0.0, 0.0, 1.0], &candle_core::Device::Cpu).unwrap();
    let formula = json!({
        "axes": { "z": "n,k", "y": "Label[n]", "m": "Mask[n]" },
        "loss": "-sum(m * sum(one_hot(y, k)*log_softmax(z, k), k)) / maximum(sum(m), 1)",
    });
    same(("cross_entropy", json!({}), &ports), formula, &[z, y, mask]);
}

#[test]
fn domain_bce() {
    let formula = json!({
        "axes": { "z": "n,one", "y": "Label[n]" },
        "let": { "of": "sum(z, one)" },
        "loss": "mean(softplus(of) - of*(y == 1))",
    });
    let z = (normal(3, &[6, 1]) * 3.0).unwrap();
    let y = labels(&[1, 1, 1, 0, 0, 0]);
    let ports = [("logits", "Logits"), ("domain", "Label")];
    same(("domain_bce", json!({}), &ports), formula, &[z, y]);
}
