//! Texts that are wrong, and the message of each: one snapshot to read as a user would.

use super::node;
use crate::testing::{labels, normal};
use candle_core::{Device, Tensor};
use serde_json::{Value, json};
use std::fmt::Write;

/// The text at a problem's path.
fn text_of<'v>(params: &'v Value, path: &str) -> Option<&'v str> {
    let found = path.split('.').try_fold(params, |v, key| v.get(key));
    found.and_then(Value::as_str)
}

/// The problems of a node over `s[n,d]`, `t[m,d]` and labels `y[n]`, with marks below the text.
fn reported(params: &Value) -> String {
    let (s, t) = (normal(1, &[4, 3]), normal(2, &[5, 3]));
    let (y, m) = (
        labels(&[0, 1, 2, 0]),
        Tensor::ones(4, candle_core::DType::F32, &Device::Cpu).unwrap(),
    );
    let all = [
        ("s", "Feature", &s),
        ("t", "Feature", &t),
        ("y", "Label", &y),
        ("mask", "Mask", &m),
    ];
    let axes = params["axes"].as_object().unwrap();
    let inputs: Vec<_> = all.into_iter().filter(|(name, ..)| axes.contains_key(*name)).collect();
    let Err(problems) = node(params.clone(), &inputs) else {
        panic!("accepted: {params}")
    };
    let mut out = String::new();
    for p in problems {
        let text = text_of(params, &p.path);
        if let (Some(text), Some(span)) = (text, &p.span) {
            let shown: String = text.chars().take(90).collect();
            let before = text[..span.start].chars().count();
            let marked = text[span.clone()].chars().count().clamp(1, 90);
            let _ = writeln!(out, "{}: {shown}", p.path);
            let _ = writeln!(
                out,
                "{}{}",
                " ".repeat(p.path.len() + 2 + before.min(90)),
                "^".repeat(marked)
            );
        } else {
            let _ = writeln!(out, "{}:", if p.path.is_empty() { "the node" } else { &p.path });
        }
        let _ = writeln!(out, "  {}", p.message);
        if let Some(help) = &p.help {
            let _ = writeln!(out, "  help: {help}");
        }
    }
    out
}

/// A wrong loss.
fn loss(text: &str) -> Value {
    json!({ "axes": { "s": "n,d", "t": "m,d" }, "loss": text })
}

/// A wrong loss with labels.
fn with_labels(text: &str) -> Value {
    json!({ "axes": { "s": "n,d", "y": "Label[n]" }, "loss": text })
}

/// Wrong parameters next to a right loss.
fn besides(more: Value) -> Value {
    let mut params = json!({ "axes": { "s": "n,d" }, "loss": "sum(s)" });
    params
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    params
}

fn wrong() -> Vec<Value> {
    let long = format!("sum(s) + {}", "1 + ".repeat(1200));
    let deep = format!("{}s{}", "(".repeat(60), ")".repeat(60));
    let many = format!("sum(s){}", " + 1".repeat(500));
    let chain: serde_json::Map<String, Value> = (0..60)
        .map(|i| {
            (
                format!("a{i}"),
                format!(
                    "exp(exp(exp({})))",
                    if i == 0 { "s".into() } else { format!("a{}", i - 1) }
                )
                .into(),
            )
        })
        .collect();
    let mut all: Vec<Value> = [
        "",
        "sum(s",
        "sum(s) )",
        "sum(s[n,d)",
        "sum(s) + ",
        "sum(s) + * 2",
        "2 sum(s)",
        "2s + 1",
        "sum(s) § 2",
        "sum(s**2)",
        "sum(s) · 2",
        "$tau * sum(s)",
        "sum(s > 0 && s < 1)",
        "x = sum(s)",
        "1.2.3 * sum(s)",
        "1e999 * sum(s)",
        "sum(u)",
        "sum(source)",
        "sum(S) + progres",
        "sum(n)",
        "sum(exp)",
        "sofmax(s, d)",
        "entropy(s)",
        "s(n)",
        "exp(s, d)",
        "softmax(s)",
        "where(s > 0, s)",
        "sum(s, m)",
        "sum(s, dd)",
        "sum(s, d, d)",
        "max(s, 0)",
        "max(1, 2)",
        "mean(size(n))",
        "sum(s[i])",
        "sum(s[m,d])",
        "sum(s[i,d] * t[i,d])",
        "sum(s[i,i])",
        "sum(s[i,2])",
        "sum(index(i) * s)",
        "sum(s) + sum(t) + size(Q)",
        "sum(s) + sum(t) + size(2)",
        "s",
        "mean(s - mean(s, n), n)",
        "2 * size(n)",
        "sum(where(s, 1, 0))",
        "sum(s & t)",
        "sum(!s)",
        "sum(0 < s < 1)",
        "sum(2^s)",
        "sum(one_hot(s, d))",
        "sum(s[a,b]*t[c,e]*s[f,g]*t[h,i])",
        &long,
        &deep,
        &many,
    ]
    .iter()
    .map(|text| loss(text))
    .collect();
    all.extend(
        [
            "sum(s) + y",
            "sum(y * s)",
            "sum(s == y)",
            "sum(one_hot(y, k) * s)",
            "sum(one_hot(y, n))",
            "sum(one_hot(y) * s)",
            "sum(y[i,j] * s)",
            "y",
        ]
        .iter()
        .map(|text| with_labels(text)),
    );
    all.extend([
        json!({ "axes": { "s": "n,d", "t": "m,d" }, "loss": "sum(s)" }),
        json!({ "axes": { "s": "n,d" } }),
        json!({ "axes": { "s": "n d" }, "loss": "sum(s)" }),
        json!({ "axes": { "s": "n,n" }, "loss": "sum(s)" }),
        json!({ "axes": { "s": "n,2" }, "loss": "sum(s)" }),
        json!({ "axes": { "s": "n,é" }, "loss": "sum(s)" }),
        json!({ "axes": { "s": "Feature[n,d" }, "loss": "sum(s)" }),
        json!({ "axes": { "s": "n,d", "y": "n" }, "loss": "sum(s) + sum(y)" }),
        json!({ "axes": { "s": "n,d", "mask": "n" }, "loss": "sum(s*mask)" }),
        besides(json!({ "let": { "a": "sum(s) + b", "b": "2*a" }, "loss": "a" })),
        besides(json!({ "let": { "a": "s +", "b": "exp(a)" }, "loss": "sum(b)" })),
        besides(json!({ "let": { "s": "1", "exp": "2", "2a": "3" } })),
        besides(json!({ "params": { "progress": 1, "s": 2 } })),
        besides(json!({ "outputs": { "loss": "s" } })),
        besides(json!({ "outputs": { "y": "sum(s)" } })),
        besides(json!({ "outputs": { "y": "Metric[] = s" } })),
        besides(json!({ "outputs": { "y": "Feature[d] = s" } })),
        besides(json!({ "outputs": { "y": "Feature[n,k] = s" } })),
        besides(json!({ "outputs": { "y": "Label[n] = sum(s, d)" } })),
        besides(json!({ "outputs": { "y": "Feature(n) = s" } })),
        besides(json!({ "let": chain, "loss": "sum(a59)" })),
        besides(json!({ "params": { "tau": "0.5" } })),
        besides(json!({ "los": "sum(s)" })),
    ]);
    all
}

#[test]
fn each_is_reported() {
    let all = wrong();
    assert!(all.len() > 75);
    let pages: Vec<String> = all.iter().map(reported).collect();
    insta::assert_snapshot!(pages.join("\n"));
}

#[test]
fn sizes_that_fit_into_no_memory_are_refused() {
    use crate::testing::{body, ty};
    let params = json!({ "axes": { "s": "n,d" }, "loss": "sum(exp(s[i,d] + s[j,d] + s[i,e]))" });
    let types = [("s", vec![ty("Feature", "100000,4000")])];
    let problems = body("formula", params, &types, &[]).err().unwrap();
    assert_eq!(
        problems[0].message,
        "[i,d,j] would be Feature[100000,4000,100000], which fits into no memory"
    );
}

#[test]
fn unused_names_are_remarked_on() {
    use super::super::Formula;
    use crate::Kind;
    let params = json!({
        "axes": { "s": "n,d" }, "let": { "a": "exp(s)", "b": "1" }, "params": { "tau": 1 }, "loss": "sum(a)",
    });
    let formula: Formula = serde_json::from_value(params).unwrap();
    let found: Vec<String> = formula
        .remarks()
        .into_iter()
        .map(|p| format!("{}: {}", p.path, p.message))
        .collect();
    assert_eq!(
        found,
        [
            "let.b: no formula uses this name",
            "params.tau: no formula uses this name"
        ]
    );
}
