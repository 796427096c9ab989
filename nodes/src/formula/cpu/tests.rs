//! Loops against Candle's operations on random formulas, bits for any number of threads, and what plans form and share.

use super::graph::{Graph, Kind};
use super::plan::{Plan, Work};
use super::{Backward, Lowered};
use crate::formula::Formula;
use crate::formula::host::Arrived;
use crate::formula::program::Program;
use crate::formula::tests::by_candle;
use crate::testing::{f64s, labels, normal};
use crate::{Args, BuildCx, DimScope};
use candle_core::{Device, Tensor};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// Values and gradients, each as one list.
type Found = Vec<Vec<f64>>;

/// What one implementation makes of a formula, and of another one in `let`; `None` where it is no formula, or has no value.
fn evaluate(loops: bool, formula: &str, of_a: &str, inputs: &[Tensor; 2], progress: f64) -> Option<Found> {
    let params = json!({
        "axes": { "s": "n,d", "t": "m,d", "y": "Label[n]", "w": "Mask[n]" },
        "params": { "tau": 0.7 },
        // The first one gives names to axes. Comparisons use it, which get no gradient.
        "let": { "names": "sum(s[i,d]*s[j,e]) + sum(t[k,d])", "a": of_a },
        "loss": format!("mean(s + {formula})"),
        "outputs": { "all": format!("{formula}"), "rest": "sum(s, d) + sum(t) + (y == 1) + w + (names > 0) + (mean(s + a) > 0)" },
    });
    let rows = inputs[0].dims()[0];
    let y = labels(&(0..rows as u32).map(|i| i / 2).collect::<Vec<_>>());
    let w: Vec<f32> = (0..rows).map(|i| if i == 1 { 0.0 } else { 1.0 }).collect();
    let w = Tensor::from_vec(w, rows, &Device::Cpu).unwrap();
    let ports = [
        ("s", "Feature", &inputs[0]),
        ("t", "Feature", &inputs[1]),
        ("y", "Label", &y),
        ("w", "Mask", &w),
    ];
    let made = match loops {
        true => crate::formula::tests::node(params, &ports),
        false => by_candle(params, &ports),
    };
    let (mut probe, args) = made.ok()?;
    probe.progress = progress;
    let (outputs, saved) = probe.forward_kept(&args).ok()?;
    let given = outputs.iter().enumerate();
    let given = given.map(|(i, o)| Some(normal(70 + i as u64, o.dims())));
    let grads = probe.backward(&args, saved, given.collect()).unwrap();
    assert!(grads[2].is_none() && grads[3].is_none());
    Some(outputs.iter().chain(grads.iter().flatten()).map(f64s).collect())
}

/// Formulas whose values do not jump, of bounded depth.
fn smooth() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "0.5",
        "tau",
        "progress",
        "size(n)",
        "s",
        "t",
        "s[i,d]",
        "s[j,d]",
        "t[k,d]",
        "t[k,e]",
        "s[i,e]",
        "index(n)",
        "(y[i] == y[j])",
        "w",
        "one_hot(y, d)",
        "(y != 1)",
        "a",
        "2",
    ]);
    leaf.prop_map(String::from).prop_recursive(4, 24, 3, |inner| {
        let unary = prop::sample::select(vec![
            "exp(tanh(#))",
            "log(1.5 + #^2)",
            "sqrt(1 + #^2)",
            "abs(#)",
            "relu(#)",
            "sigmoid(#)",
            "log_sigmoid(#)",
            "softplus(#)",
            "tanh(#)",
            "detach(#)",
            "(-#)",
            "#^2",
            "#^3",
            "(2 + tanh(#))^-1.5",
            "(1 + #^2)^progress",
            "(1 + #^2)^-1",
            "sum(# + s)",
            "mean(# + s)",
            "max(# + s)",
            "min(# + s)",
            "logsumexp(# + s)",
            "norm(1 + #^2)",
            "where(index(n) != 1, #, 3)",
        ]);
        let binary = prop::sample::select(vec![
            "(# + @)",
            "(# - @)",
            "(# * @)",
            "(# / (1 + @^2))",
            "maximum(#, @)",
            "minimum(#, @)",
            "sum(# * @ * s, d)",
            "sum((# - @)^2, d)",
            "mean((# - @)^2, d)",
            "sum(# * @ * s, n)",
            "mean(# * @ * t[k,e], e)",
            "where(w > 0, #, @)",
        ]);
        let along = prop::sample::select(vec![
            "sum",
            "mean",
            "max",
            "min",
            "logsumexp",
            "softmax",
            "log_softmax",
            "normalize",
        ]);
        // What has the axis is added to what may not have it.
        let axis = prop::sample::select(vec![
            "# + s, n",
            "# + s, d",
            "t - #, m",
            "# * s[i,d], i",
            "# + s[j,d], j",
            "t[k,e] + #, k",
            "# - t[k,e], e",
        ]);
        prop_oneof![
            (unary, inner.clone()).prop_map(|(f, x)| f.replace('#', &x)),
            (binary, inner.clone(), inner.clone()).prop_map(|(f, a, b)| f.replace('#', &a).replace('@', &b)),
            (along, inner, axis).prop_map(|(f, x, a)| format!("{f}({})", a.replace('#', &x))),
        ]
    })
}

/// The largest number of a list.
fn scale(of: &[f64]) -> f64 {
    of.iter()
        .filter(|x| x.is_finite())
        .fold(1.0, |most, x| most.max(x.abs()))
}

/// The largest difference of numbers of two lists; infinite where one of two is no number.
fn gap(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b).filter(|(a, b)| !(a == b || a.is_nan() && b.is_nan()));
    pairs
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |most, x| if x.is_nan() { f64::INFINITY } else { most.max(x) })
}

#[test]
fn loops_find_what_candle_finds() {
    let mut runner = TestRunner::deterministic();
    let strategy = (smooth(), smooth(), 0usize..4, 1usize..4);
    let (mut compared, mut empty) = (0, 0);
    for case in 0..1000u64 {
        let (formula, of_a, rows, width) = strategy.new_tree(&mut runner).unwrap().current();
        let inputs = [normal(2 * case, &[rows, width]), normal(2 * case + 1, &[3, width])];
        let of = |loops, inputs: &[Tensor; 2]| evaluate(loops, &formula, &of_a, inputs, 0.4);
        let Some(want) = of(false, &inputs) else {
            assert!(of(true, &inputs).is_none(), "{formula}: only Candle has no value");
            continue;
        };
        let found = of(true, &inputs).unwrap_or_else(|| panic!("{formula}: only Candle has a value"));
        // How much inputs that differ by rounding change: what sums cancel has few digits.
        let nudged = |sign: f64| inputs.clone().map(|t| (t * (1.0 + sign * 3e-6)).unwrap());
        let moved = [1.0, -1.0].map(|sign| of(false, &nudged(sign)).unwrap());
        for (i, (found, want)) in found.iter().zip(&want).enumerate() {
            let sensitive = moved.iter().map(|m| gap(&m[i], want)).fold(0.0, f64::max);
            let allowed = 2e-5 * scale(want) + 10.0 * sensitive;
            let error = gap(found, want);
            assert!(
                error <= allowed,
                "{formula}\na = {of_a}\n{rows} rows of {width}, list {i}: {error} of {allowed}\n{found:?}\n{want:?}"
            );
        }
        compared += 1;
        empty += usize::from(rows == 0);
    }
    assert!(
        compared > 400 && empty > 50,
        "{compared} formulas were compared, {empty} without rows"
    );
}

#[test]
fn what_is_no_number_is_none_in_both() {
    let of = |formula: &str, x: f32| {
        let s = Tensor::new(&[[x, 1.0, -2.0], [0.5, x, 0.0]], &Device::Cpu).unwrap();
        [true, false].map(|loops| evaluate(loops, formula, "1", &[s.clone(), normal(1, &[2, 3])], 0.4).unwrap())
    };
    let formulas = [
        "log(s)",
        "sqrt(s)",
        "1/s",
        "exp(100*s)",
        "s^0.5",
        "s^-2",
        "abs(s)",
        "relu(s)",
        "sigmoid(s)",
        "softplus(s)",
        "tanh(s)",
        "maximum(s, 0)",
        "minimum(0, s)",
        "where(s > 0, sqrt(s), 1)",
        "sum(s, d)",
        "norm(s, d)",
        "softmax(s, d)",
        "log_softmax(s, n)",
        "normalize(s, d)",
        "(s > 0) + (s != 1)",
        "sum(s[i,d]*s[j,d], d)",
        "sum((s[i,d] - t[k,d])^2, d)",
        "0*s",
    ];
    for formula in formulas {
        for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0] {
            let [loops, candle] = of(formula, x);
            for (i, (a, b)) in loops.iter().zip(&candle).enumerate() {
                // Candle's operations make ∞ − ∞ of these two functions at −∞, where loops have the value.
                let exact = x.is_infinite() && ["sigmoid(s)", "softplus(s)"].contains(&formula);
                let same = |(a, b): (&f64, &f64)| a.is_finite() == b.is_finite() || exact && a.is_finite();
                let same = a.iter().zip(b).all(same);
                assert!(same, "{formula} of {x}, list {i}: {a:?} and {b:?}");
            }
        }
    }
}

/// A formula lowered for inputs of these shapes, and its gradients.
fn lowered(formula: &Value, shapes: &[(&str, &[usize])]) -> (Lowered, Backward) {
    let formula: Formula = serde_json::from_value(formula.clone()).unwrap();
    let dims = DimScope::default();
    let cx = BuildCx {
        inputs: Default::default(),
        outputs: vec![],
        dims: &dims,
        folder: ".".into(),
    };
    let program = Program::new(formula.typed().unwrap().clone(), &cx).unwrap();
    let named = shapes.iter();
    let args = named.fold(Args::default(), |args, (name, shape)| {
        args.with(name, vec![normal(1, shape)])
    });
    let wants = vec![true; shapes.len()];
    let lowered = Lowered::new(&program, &Arrived::new(&program, &args).unwrap(), &wants).unwrap();
    let given = vec![true; lowered.outputs.len()];
    let backward = Backward::new(&program, &lowered, &wants, &given).unwrap();
    (lowered, backward)
}

/// The elements of each value that a plan gives memory of its own.
fn formed(graph: &Graph, plan: &Plan) -> Vec<usize> {
    let mut formed = vec![];
    for (work, _) in &plan.steps {
        match work {
            Work::Product(_, _, _, _, v) => formed.push(graph.elements(graph.axes(*v))),
            Work::Loop(l) => {
                formed.extend(l.stores.iter().map(|_| l.len));
                formed.extend(l.folds.iter().map(|f| f.len));
            }
        }
    }
    formed
}

#[test]
fn products_over_three_axes_are_never_formed() {
    let formula = json!({
        "axes": { "s": "n,d", "t": "m,d" },
        "let": { "cs": "s - mean(s, n)", "w": "norm(s, d)" },
        "loss": "mean(sum(w*cs[n,i]*cs[n,j], n)^2) + mean(exp(-sum((s[n,d] - t[m,d])^2, d))) + mean(w*t)",
    });
    let (lowered, backward) = lowered(&formula, &[("s", &[40, 30]), ("t", &[50, 30])]);
    let (forward, back) = (
        formed(&lowered.graph, &lowered.forward),
        formed(&backward.graph, &backward.plan),
    );
    assert!(
        forward.iter().chain(&back).all(|n| *n <= 40 * 50),
        "{forward:?} {back:?}"
    );
}

#[test]
fn what_formulas_share_is_computed_once() {
    let formula = json!({
        "axes": { "z": "n,k" },
        "loss": "-mean(sum(softmax(z, k)*log_softmax(z, k), k))",
    });
    let (lowered, backward) = lowered(&formula, &[("z", &[16, 12])]);
    let exponents = |graph: &Graph| {
        let exp = |kind: &Kind| matches!(kind, Kind::Unary(glad_ops::elementwise::Unary::Exp, _));
        graph.nodes.iter().filter(|n| exp(&n.kind)).count()
    };
    assert_eq!([exponents(&lowered.graph), exponents(&backward.graph)], [1, 1]);
    assert!(lowered.forward.steps.len() <= 6, "{:#?}", lowered.forward);
    assert!(backward.plan.steps.len() <= 3, "{:#?}", backward.plan);
}

/// Numbers of very different sizes, each of which also occurs with the other sign: their sums are what is lost by rounding, so
/// that their bits are those of the order in which they are made.
fn cancelling(rows: usize, width: usize) -> Tensor {
    let of = |seed| f64s(&normal(seed, &[rows / 2 * width]));
    let numbers = of(3).into_iter().zip(of(4)).map(|(x, e)| (x * (12.0 * e).exp()) as f32);
    let numbers: Vec<f32> = numbers.collect();
    let others = numbers.chunks(width).rev().flatten().map(|x| -x);
    let all = numbers.iter().copied().chain(others).collect();
    Tensor::from_vec(all, (rows, width), &Device::Cpu).unwrap()
}

#[test]
fn parts_and_threads_change_no_bit() {
    let params = json!({
        "axes": { "s": "n,d", "t": "m,d", "u": "n,d" },
        "let": { "p": "softmax(s, d)", "g": "sum(s[i,d]*t[m,d], d)" },
        "loss": "sum(mean(p, n)^2) + mean(max(s, n)*min(s, n)) + norm(s) + logsumexp(g) + mean(max(g, m))",
        "outputs": { "q": "p * tanh(s) / max(s, d)", "c": "sum(s[n,d]*s[n,e], n)", "all": "Metric[] = sum(u)", "rows": "sum(u, n)" },
    });
    let inputs = [normal(1, &[210, 370]), normal(2, &[90, 370]), cancelling(210, 370)];
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let names = ["s", "t", "u"].iter().zip(&inputs);
            let ports: Vec<_> = names.map(|(name, t)| (*name, "Feature", t)).collect();
            let (mut probe, args) = crate::formula::tests::node(params.clone(), &ports).unwrap();
            let (outputs, saved) = probe.forward_kept(&args).unwrap();
            let given = outputs.iter().map(|o| Some(normal(5, o.dims()))).collect();
            let grads = probe.backward(&args, saved, given).unwrap();
            let all = grads.iter().flatten().chain(&outputs).flat_map(f64s);
            all.map(f64::to_bits).collect::<Vec<u64>>()
        })
    };
    let one = run(1);
    for threads in [2, 3, 4] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

/// The gradients of `a` and `b` of a formula.
fn of_both(loops: bool, axes: &str, formula: &str, inputs: [&Tensor; 2]) -> Found {
    let params = json!({ "axes": { "a": axes, "b": axes }, "loss": formula });
    let head = if axes == "Loss[]" { "Loss" } else { "Feature" };
    let ports = [("a", head, inputs[0]), ("b", head, inputs[1])];
    let made = match loops {
        true => crate::formula::tests::node(params, &ports),
        false => by_candle(params, &ports),
    };
    let (mut probe, args) = made.unwrap();
    let (_, saved) = probe.forward_kept(&args).unwrap();
    let one = Tensor::full(1f32, (), &Device::Cpu).unwrap();
    let grads = probe.backward(&args, saved, vec![Some(one)]).unwrap();
    grads.iter().map(|g| f64s(g.as_ref().unwrap())).collect()
}

#[test]
fn inputs_whose_gradient_is_the_same_get_it_both() {
    let (a, b) = (normal(1, &[3, 4]), normal(2, &[3, 4]));
    let scalars = [a.get(0).unwrap().get(0).unwrap(), b.get(0).unwrap().get(0).unwrap()];
    let worst = "log(exp(a + b) + exp(2*(a + b)))";
    for (axes, formula, inputs) in [
        ("n,d", "sum((a + b)^2)", [&a, &b]),
        ("n,d", "sum(a + b)", [&a, &b]),
        ("n,d", "exp(mean(a) + mean(b))", [&a, &b]),
        ("Loss[]", worst, [&scalars[0], &scalars[1]]),
    ] {
        let (found, want) = (
            of_both(true, axes, formula, inputs),
            of_both(false, axes, formula, inputs),
        );
        assert_eq!(found[0], found[1], "{formula}");
        assert!(
            gap(&found[0], &want[0]) < 1e-6,
            "{formula}: {:?} {:?}",
            found[0],
            want[0]
        );
    }
}
