//! Random texts: whatever they are, there is a value or a message, never a panic.

use super::node;
use crate::testing::{labels, normal};
use candle_core::{Device, Tensor};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Types a loss, and where it is right evaluates it, forward and backward.
fn run(lets: Value, loss: &str, rows: usize) -> bool {
    let params = json!({
        "axes": { "s": "n,d", "t": "m,d", "y": "Label[n]", "w": "Mask[n]" },
        "params": { "tau": 0.5 },
        "let": lets,
        "loss": loss,
        // So that every input is used.
        "outputs": { "all": "sum(s, d) + sum(t) + (y == 1) + w" },
    });
    let (s, t) = (normal(1, &[rows, 3]), normal(2, &[2, 3]));
    let y = labels(&(0..rows as u32).collect::<Vec<_>>());
    let w = Tensor::ones(rows, candle_core::DType::F32, &Device::Cpu).unwrap();
    let inputs = [
        ("s", "Feature", &s),
        ("t", "Feature", &t),
        ("y", "Label", &y),
        ("w", "Mask", &w),
    ];
    let problems = match node(params.clone(), &inputs) {
        Ok((mut probe, args)) => {
            if let Ok((outputs, saved)) = probe.forward_kept(&args) {
                let cotangents = outputs.iter().map(|o| Some(o.clone())).collect();
                let _ = probe.backward(&args, saved, cotangents);
            }
            return true;
        }
        Err(problems) => problems,
    };
    for p in problems {
        // Every span can be shown.
        let text = p
            .path
            .split('.')
            .try_fold(&params, |v, key| v.get(key))
            .and_then(Value::as_str);
        if let (Some(text), Some(span)) = (text, p.span) {
            assert!(text.get(span.clone()).is_some(), "{span:?} of {text:?}");
        }
        assert!(!p.message.is_empty());
    }
    false
}

const LEAVES: [&str; 20] = [
    "1",
    "0.5",
    "tau",
    "progress",
    "size(n)",
    "size(K)",
    "s",
    "t",
    "s[i,d]",
    "s[j,d]",
    "t[k,d]",
    "t[k,e]",
    "s[i,e]",
    "index(n)",
    "index(d)",
    "(y[i] == y[j])",
    "w",
    "one_hot(y, d)",
    "(y != 1)",
    "a",
];

/// Right formulas for the most part: numbers, matrices and comparisons, of bounded depth.
fn formula(leaves: &'static [&'static str]) -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(leaves);
    leaf.prop_map(String::from).prop_recursive(5, 40, 3, |inner| {
        let unary = prop::sample::select(vec![
            "exp",
            "log",
            "sqrt",
            "abs",
            "relu",
            "sigmoid",
            "log_sigmoid",
            "softplus",
            "tanh",
            "detach",
            "-",
            "!",
            "sum",
            "mean",
            "max",
            "min",
            "norm",
            "logsumexp",
        ]);
        let binary = prop::sample::select(vec!["+", "-", "*", "/", "^", "<", ">=", "==", "&", "|"]);
        let over = prop::sample::select(vec![
            "sum",
            "mean",
            "max",
            "norm",
            "logsumexp",
            "softmax",
            "log_softmax",
            "normalize",
        ]);
        let axis = prop::sample::select(vec!["n", "d", "m", "i", "j", "k", "e"]);
        prop_oneof![
            (unary, inner.clone()).prop_map(|(f, x)| format!("{f}({x})")),
            (inner.clone(), binary, inner.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            (over, inner.clone(), axis).prop_map(|(f, x, a)| format!("{f}({x}, {a})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(c, a, b)| format!("where({c} > 0, maximum({a}, {b}), minimum({b}, {a}))")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("sum(({a} - {b})^2, d)")),
        ]
    })
}

/// Any order of words of the language.
fn soup() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "sum", "where", "(", ")", "[", "]", ",", "s", "t", "y", "n", "d", "i", "+", "-", "*", "^", "==", "=", "!", "&",
        "1", "1e", ".", "é", "$", "softmax", "one_hot", "size", "index", " ", "<", "a",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_formulas_have_a_value_or_a_message(
        a in formula(&LEAVES[..19]),
        loss in formula(&LEAVES),
        rows in 0usize..3,
    ) {
        let _ = run(json!({ "a": a }), &format!("mean(s[i,d] + {loss})"), rows);
    }

    #[test]
    fn random_words_have_a_message(loss in soup(), a in soup()) {
        let _ = run(json!({ "a": a }), &loss, 2);
    }

    #[test]
    fn random_texts_have_a_message(loss in ".{0,40}", axes in ".{0,12}") {
        let _ = run(json!({}), &loss, 2);
        let params = json!({ "axes": { "s": axes }, "loss": "sum(s)" });
        let types = [("s", vec![crate::testing::ty("Feature", "2,3")])];
        let registry = crate::registry();
        let entry = registry.get("formula").unwrap();
        if let Ok(node) = entry.parse(&params) {
            let _ = (node.contract(&crate::Wiring::default()), node.form(), &types);
        }
    }
}

#[test]
fn most_random_formulas_that_are_meant_to_be_right_are() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let right = |_: &usize| {
        let text = formula(&LEAVES).new_tree(&mut runner).unwrap().current();
        run(json!({ "a": "tau" }), &format!("mean(s[i,d] + {text})"), 2)
    };
    let count = (0..200usize).filter(right).count();
    assert!(count > 40, "{count} of 200");
}
