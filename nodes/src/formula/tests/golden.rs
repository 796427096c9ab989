//! Losses of published methods as formulas: values and gradients.

use super::node;
use crate::testing::{device, f64s, labels};
use candle_core::Tensor;
use serde_json::{Value, json};

const GOLDEN: &str = include_str!("../../../tests/golden/formula.json");

/// Each shape element by element: `f` of the indices.
fn each(shape: &[usize], f: impl Fn(&[usize]) -> f64) -> Vec<f64> {
    let count: usize = shape.iter().product();
    let at = |mut i: usize| {
        let mut index = vec![0; shape.len()];
        for (d, n) in shape.iter().enumerate().rev() {
            (index[d], i) = (i % n, i / n);
        }
        index
    };
    (0..count).map(|i| f(&at(i))).collect()
}

fn numbers(v: &Value) -> Vec<f64> {
    match v {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        v => vec![v.as_f64().expect("a number")],
    }
}

/// A tensor given by phase and frequencies.
fn tensor(spec: &Value) -> Tensor {
    let list = |key: &str| numbers(&spec[key]);
    let shape: Vec<usize> = list("shape").iter().map(|n| *n as usize).collect();
    let (freqs, one) = (list("freqs"), |key: &str| spec[key].as_f64().expect("a number"));
    let values = each(&shape, |index| {
        let sum: f64 = index.iter().zip(&freqs).map(|(i, f)| *i as f64 * f).sum();
        one("scale") * (one("phase") + sum).sin() + one("shift")
    });
    let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
    Tensor::from_vec(values, shape, &device()).unwrap()
}

fn close(what: &str, found: &[f64], want: &[f64]) {
    assert_eq!(found.len(), want.len(), "{what}");
    let scale = want.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (f, w)) in found.iter().zip(want).enumerate() {
        assert!(
            (f - w).abs() <= 1e-5 * scale,
            "{what}[{i}]: {f}, and {w} is right (scale {scale})"
        );
    }
}

/// Compares a formula with the golden case `name`.
fn check(name: &str, params: Value) {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let case = golden["cases"].as_array().unwrap().iter().find(|c| c["name"] == name);
    let case = case.unwrap_or_else(|| panic!("no case `{name}`"));
    let mut tensors: Vec<(&str, &str, Tensor)> = vec![];
    for (input, spec) in case["inputs"].as_object().unwrap() {
        tensors.push((input, "Feature", tensor(spec)));
    }
    if let Some(given) = case["given"].as_object() {
        for (input, values) in given {
            let values: Vec<u32> = numbers(values).iter().map(|v| *v as u32).collect();
            tensors.push((input, "Label", labels(&values)));
        }
    }
    let inputs: Vec<(&str, &str, &Tensor)> = tensors.iter().map(|(n, h, t)| (*n, *h, t)).collect();
    let (mut probe, args) = node(params, &inputs).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let (outputs, saved) = probe.forward_kept(&args).unwrap();
    let mut cotangents = vec![];
    for (output, value) in probe.contract.outputs.clone().iter().zip(&outputs) {
        close(
            &format!("{name}.{}", output.name),
            &f64s(value),
            &numbers(&case["outputs"][&output.name]),
        );
        let shape = value.dims();
        let cotangent = match shape.is_empty() {
            true => vec![1.0],
            false => each(shape, |index| {
                let freqs = [0.9, 0.35, 0.21, 0.13];
                (0.4 + index.iter().zip(freqs).map(|(i, f)| *i as f64 * f).sum::<f64>()).sin()
            }),
        };
        let cotangent: Vec<f32> = cotangent.into_iter().map(|v| v as f32).collect();
        cotangents.push(Some(Tensor::from_vec(cotangent, shape, &device()).unwrap()));
    }
    let grads = probe.backward(&args, saved, cotangents).unwrap();
    for ((port, _), grad) in args.ports().iter().zip(grads) {
        let want = &case["grads"][port];
        match grad {
            Some(grad) => close(&format!("∂{name}/∂{port}"), &f64s(&grad), &numbers(want)),
            None => assert!(want.is_null(), "{name}: no gradient of {port}"),
        }
    }
}

#[test]
fn coral() {
    let axes = json!({ "source": "n,d", "target": "m,d" });
    let moments = json!({
        "cs": "source - mean(source, n)",
        "ct": "target - mean(target, m)",
        "gap": "sum(cs[n,i]*cs[n,j], n)/(size(n)-1) - sum(ct[m,i]*ct[m,j], m)/(size(m)-1)",
    });
    check(
        "coral_paper",
        json!({ "axes": axes, "let": moments, "loss": "sum(gap^2) / (4*size(d)^2)" }),
    );
    let loss = "mean((mean(source, n) - mean(target, m))^2) + mean(gap^2)";
    check("coral_tll", json!({ "axes": axes, "let": moments, "loss": loss }));
}

#[test]
fn entropies() {
    let z = json!({ "logits": "n,k" });
    let h = json!({ "h": "-sum(softmax(logits, k) * log_softmax(logits, k), k)" });
    check("entropy", json!({ "axes": z, "let": h, "loss": "mean(h)" }));
    check(
        "attentive_entropy",
        json!({
            "axes": { "logits": "n,k", "domain": "n,c" },
            "let": {
                "h": "-sum(softmax(logits, k) * log_softmax(logits, k), k)",
                "of_domain": "-sum(softmax(domain, c) * log_softmax(domain, c), c)",
            },
            "loss": "mean((1 + of_domain) * h)",
        }),
    );
    check(
        "information_max",
        json!({
            "axes": z,
            "params": { "eps": 1e-5 },
            "let": { "p": "softmax(logits, k)", "q": "mean(p, n)" },
            "loss": "mean(-sum(p*log(p + eps), k)) + sum(q*log(q + eps))",
        }),
    );
    check(
        "transferable_attention",
        json!({
            "axes": { "x": "n,t,d", "domain": "n,t,c" },
            "let": { "h": "-sum(softmax(domain, c) * log_softmax(domain, c), c)" },
            "outputs": { "y": "Feature[n,t,d] = (2 - h) * x" },
        }),
    );
}

#[test]
fn class_confusion_and_balance() {
    check(
        "mcc",
        json!({
            "axes": { "logits": "n,k" },
            "params": { "t": 2.5, "eps": 1e-5 },
            "let": {
                "p": "softmax(logits / t, k)",
                "u": "1 + exp(sum(p*log(p + eps), k))",
                "w": "detach(u) * size(n) / sum(detach(u))",
                "c": "sum(w*p[n,i]*p[n,j], n)",
            },
            "loss": "sum(where(index(i) == index(j), 0, c / sum(c, i))) / size(k)",
        }),
    );
    check(
        "class_balance",
        json!({
            "axes": { "logits": "n,k" },
            "let": { "q": "mean(softmax(logits, k), n)", "u": "1/size(k)" },
            "loss": "-mean(u*log(q) + (1 - u)*log(1 - q))",
        }),
    );
}

#[test]
fn discrepancies() {
    check(
        "mcd_discrepancy",
        json!({ "axes": { "a": "n,k", "b": "n,k" }, "loss": "mean(abs(softmax(a, k) - softmax(b, k)))" }),
    );
    check(
        "l2_consistency",
        json!({ "axes": { "a": "n,k", "b": "n,k" }, "loss": "mean(sum((softmax(a, k) - softmax(b, k))^2, k))" }),
    );
    check(
        "kl_rows",
        json!({
            "axes": { "student": "n,k", "teacher": "n,k" },
            "let": { "t": "detach(teacher)" },
            "loss": "mean(sum(softmax(t, k) * (log_softmax(t, k) - log_softmax(student, k)), k))",
        }),
    );
    check(
        "mdd",
        json!({
            "axes": { "y_s": "n,k", "a_s": "n,k", "y_t": "m,k", "a_t": "m,k" },
            "params": { "margin": 4.0 },
            "let": {
                "source": "mean(-sum((y_s == max(y_s, k)) * log_softmax(a_s, k), k))",
                "target": "mean(sum((y_t == max(y_t, k)) * log(minimum(1 - softmax(a_t, k) + 1e-6, 1)), k))",
            },
            "loss": "margin*source - target",
        }),
    );
    check(
        "afn_step",
        json!({
            "axes": { "x": "n,d" },
            "params": { "delta": 0.5 },
            "loss": "mean((norm(x, d) - detach(norm(x, d)) - delta)^2)",
        }),
    );
    check(
        "triplet",
        json!({
            "axes": { "a": "r,d", "p": "r,d", "n": "r,d" },
            "params": { "margin": 1.0, "eps": 1e-6 },
            "loss": "mean(relu(norm(a - p + eps, d) - norm(a - n + eps, d) + margin))",
        }),
    );
}

/// The weight of a temporal scale in ATCoN (Xu et al., ECCV 2022), and its scores: those of the scales, weighted, and those of
/// the weighted sum of their features.
#[test]
fn confident_scales() {
    check(
        "atcon_weight",
        json!({
            "axes": { "logits": "n,k" },
            "let": { "c": "sum(1 + softmax(5*logits, k)*log_softmax(5*logits, k), k)" },
            "outputs": { "y": "c / mean(c)" },
        }),
    );
    let scale = |f: &str| {
        [
            (format!("z{f}"), format!("sum(f{f}[n,d]*w[k,d], d) + b")),
            (
                format!("c{f}"),
                format!("sum(1 + softmax(5*z{f}, k)*log_softmax(5*z{f}, k), k)"),
            ),
            (format!("a{f}"), format!("c{f} / mean(c{f})")),
        ]
    };
    let all: serde_json::Map<String, Value> = ["1", "2"]
        .into_iter()
        .flat_map(scale)
        .chain([("x".into(), "a1*f1 + a2*f2".into())])
        .map(|(name, text)| (name, json!(text)))
        .collect();
    check(
        "atcon_scores",
        json!({
            "axes": { "f1": "n,d", "f2": "n,d", "w": "k,d", "b": "k" },
            "let": all,
            "outputs": { "y": "(a1*z1 + a2*z2)/2 + sum(x[n,d]*w[k,d], d) + b" },
        }),
    );
}

#[test]
fn mean_discrepancies() {
    check(
        "mmd_linear_kernel",
        json!({
            "axes": { "source": "n,d", "target": "m,d" },
            "loss": "sum((mean(source, n) - mean(target, m))^2)",
        }),
    );
    let distances = json!({
        "ss": "sum((source[i,d] - source[j,d])^2, d)",
        "tt": "sum((target[k,d] - target[l,d])^2, d)",
        "st": "sum((source[i,d] - target[k,d])^2, d)",
        "all": "detach(sum(ss) + sum(tt) + 2*sum(st))",
    });
    let with = |more: Value| {
        let mut all = distances.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    // Of the kernels each is the square of the next wider one.
    check(
        "mmd_biased",
        json!({
            "axes": { "source": "n,d", "target": "m,d" },
            "let": with(json!({
                "r": "size(n) + size(m)",
                "b": "4 * all / (r^2 - r)",
                "a": "exp(-ss/b)", "c": "exp(-tt/b)", "e": "exp(-st/b)",
            })),
            "loss": "mean(a + a^2 + a^4 + a^8 + a^16) + mean(c + c^2 + c^4 + c^8 + c^16) \
                     - 2*mean(e + e^2 + e^4 + e^8 + e^16)",
        }),
    );
    let unbiased = json!({
        "b": "4 * all / (2*size(n))^2",
        "a": "exp(-ss/b)", "c": "exp(-tt/b)", "e": "exp(-st/b)",
        "ka": "a + a^2 + a^4 + a^8 + a^16", "kc": "c + c^2 + c^4 + c^8 + c^16", "ke": "e + e^2 + e^4 + e^8 + e^16",
    });
    check(
        "dan_tll",
        json!({
            "axes": { "source": "n,d", "target": "m,d" },
            "let": with(unbiased.clone()),
            "loss": "sum(where(index(i) == index(j), 0, ka)) / (size(n)*(size(n) - 1)) \
                     + sum(where(index(k) == index(l), 0, kc)) / (size(m)*(size(m) - 1)) \
                     - 2*mean(ke) + 2/(size(n) - 1)",
        }),
    );
    let mut joint = with(unbiased);
    let own = joint.as_object_mut().unwrap();
    own["ss"] = json!("sum((s1[i,d] - s1[j,d])^2, d)");
    own["tt"] = json!("sum((t1[k,d] - t1[l,d])^2, d)");
    own["st"] = json!("sum((s1[i,d] - t1[k,d])^2, d)");
    own.insert("ps".into(), json!("softmax(s2, c)"));
    own.insert("pt".into(), json!("softmax(t2, c)"));
    own.insert(
        "pa".into(),
        json!("ka * exp(-sum((ps[i,c] - ps[j,c])^2, c) / (2*sigma^2))"),
    );
    own.insert(
        "pc".into(),
        json!("kc * exp(-sum((pt[k,c] - pt[l,c])^2, c) / (2*sigma^2))"),
    );
    own.insert(
        "pe".into(),
        json!("ke * exp(-sum((ps[i,c] - pt[k,c])^2, c) / (2*sigma^2))"),
    );
    // `c` is an axis here, too: names of values and of axes do not meet.
    check(
        "jan_tll",
        json!({
            "axes": { "s1": "n,d", "t1": "m,d", "s2": "n,c", "t2": "m,c" },
            "params": { "sigma": 0.92 },
            "let": joint,
            "loss": "sum(where(index(i) == index(j), 0, pa)) / (size(n)*(size(n) - 1)) \
                     + sum(where(index(k) == index(l), 0, pc)) / (size(m)*(size(m) - 1)) \
                     - 2*mean(pe) + 2/(size(n) - 1)",
        }),
    );
}

#[test]
fn contrastive_losses() {
    let supcon = |axes: Value, positive: &str| {
        json!({
            "axes": axes,
            "params": { "tau": 0.5, "base": 0.07 },
            "let": {
                "z": "sum(f[i,v,d]*f[j,w,d], d) / tau",
                "same": "index(i) == index(j) & index(v) == index(w)",
                "log_p": "z - logsumexp(where(same, -1e30, z), j, w)",
                "positive": positive,
            },
            "loss": "-(tau/base) * mean(sum(positive * log_p, j, w) / sum(positive, j, w))",
        })
    };
    check(
        "supcon_labels",
        supcon(
            json!({ "f": "n,v,d", "label": "Label[n]" }),
            "label[i] == label[j] & !same",
        ),
    );
    check(
        "supcon_unlabelled",
        supcon(json!({ "f": "n,v,d" }), "index(i) == index(j) & index(v) != index(w)"),
    );
    check(
        "nce_label",
        json!({
            "axes": { "x": "n,d", "label": "Label[n]" },
            "params": { "tau": 0.5 },
            "let": {
                "f": "normalize(x, d)",
                "z": "sum(f[i,d]*f[j,d], d) / tau",
                "other": "index(i) != index(j)",
                "log_p": "z - logsumexp(where(other, z, -1e30), j)",
                "positive": "label[i] == label[j] & other",
                "count": "sum(positive, j)",
            },
            "loss": "-sum(sum(positive*log_p, j) / maximum(count, 1)) / sum(count > 0)",
        }),
    );
    check(
        "nce_two_views_across",
        json!({
            "axes": { "a": "n,d", "b": "n,d" },
            "params": { "tau": 0.1 },
            "let": {
                "f": "normalize(a, d)", "g": "normalize(b, d)",
                "z": "sum(f[i,d]*g[j,d], d) / tau",
                "pair": "index(i) == index(j)",
            },
            "loss": "-mean(sum(where(pair, log_softmax(z, j) + log_softmax(z, i), 0), j)) / 2",
        }),
    );
    check(
        "nce_aug",
        json!({
            "axes": { "a": "n,d", "b": "n,d" },
            "params": { "tau": 0.5 },
            "let": {
                "f": "normalize(a, d)", "g": "normalize(b, d)",
                "fg": "sum(f[i,d]*g[j,d], d) / tau",
                "ff": "sum(f[i,d]*f[j,d], d) / tau",
                "gg": "sum(g[i,d]*g[j,d], d) / tau",
                "other": "index(i) != index(j)",
                "of_f": "log(sum(exp(fg), j) + sum(where(other, exp(ff), 0), j))",
                "of_g": "log(sum(exp(fg[j,i]), j) + sum(where(other, exp(gg), 0), j))",
            },
            "loss": "mean(of_f + of_g)/2 - mean(sum(where(other, 0, fg), j))",
        }),
    );
}

#[test]
fn with_labels() {
    check(
        "cross_entropy_smooth",
        json!({
            "axes": { "logits": "n,k", "label": "Label[n]" },
            "params": { "smoothing": 0.1 },
            "let": { "target": "(1 - smoothing)*one_hot(label, k) + smoothing/size(k)" },
            "loss": "-mean(sum(target*log_softmax(logits, k), k))",
        }),
    );
    check(
        "fixmatch",
        json!({
            "axes": { "strong": "n,k", "weak": "n,k" },
            "params": { "threshold": 0.6 },
            "let": {
                "p": "detach(softmax(weak, k))",
                "sure": "max(p, k) > threshold",
            },
            "loss": "-mean(sure * sum((p == max(p, k)) * log_softmax(strong, k), k))",
        }),
    );
    check(
        "normalize_rows",
        json!({ "axes": { "x": "n,d" }, "outputs": { "y": "normalize(x, d)" } }),
    );
}
