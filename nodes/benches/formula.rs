//! Formulas beside kinds made by hand, at the sizes of heads: milliseconds of a forward and a backward pass, the best of
//! several turns.
//!
//! ```text
//! cargo bench -p glad-nodes --features testing --bench formula
//! ```

use candle_core::Tensor;
use glad_nodes::Args;
use glad_nodes::testing::{Probe, device, labels, normal, ty};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Turns, of which the best counts.
const TURNS: usize = 30;

/// A pass forward and backward.
fn pass(probe: &mut Probe, args: &Args<Tensor>) -> anyhow::Result<Duration> {
    let since = Instant::now();
    let (outputs, saved) = probe.forward_kept(args)?;
    let mut grads = vec![None; outputs.len()];
    grads[0] = Some(Tensor::full(1f32, (), &device())?);
    probe.backward(args, saved, grads)?;
    Ok(since.elapsed())
}

/// The best time of each of two, in turns.
fn best(pairs: &mut [(Probe, Args<Tensor>); 2]) -> anyhow::Result<[f64; 2]> {
    let mut best = [f64::MAX; 2];
    for _ in 0..TURNS {
        for (best, (probe, args)) in best.iter_mut().zip(pairs.iter_mut()) {
            *best = best.min(pass(probe, args)?.as_secs_f64() * 1e3);
        }
    }
    Ok(best)
}

fn probe(kind: &str, params: Value, ports: &[(&str, &str)], values: &[Tensor]) -> (Probe, Args<Tensor>) {
    let dims = |t: &Tensor| t.dims().iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let types: Vec<_> = ports
        .iter()
        .zip(values)
        .map(|((port, head), t)| (*port, vec![ty(head, &dims(t))]))
        .collect();
    let named = ports.iter().zip(values);
    let args = named.fold(Args::default(), |args, ((port, _), t)| args.with(port, vec![t.clone()]));
    let found = Probe::new(kind, params, &types, &[]).unwrap_or_else(|e| panic!("{kind}: {e:?}"));
    (found, args)
}

/// What is compared: the kind and its ports, the formula, the values.
type Case = (&'static str, Vec<(&'static str, &'static str)>, Value, Vec<Tensor>);

fn cases() -> Vec<Case> {
    let mmd = |rows: usize, width: usize| -> Case {
        let formula = json!({
            "axes": { "source": "n,d", "target": "m,d" },
            "let": {
                "ss": "sum((source[i,d] - source[j,d])^2, d)",
                "tt": "sum((target[k,d] - target[l,d])^2, d)",
                "st": "sum((source[i,d] - target[k,d])^2, d)",
                "r": "size(n) + size(m)",
                "b": "4*detach(sum(ss) + sum(tt) + 2*sum(st)) / (r^2 - r)",
                "u": "exp(-ss/b)", "v": "exp(-tt/b)", "w": "exp(-st/b)",
            },
            "loss": "mean(u + u^2 + u^4 + u^8 + u^16) + mean(v + v^2 + v^4 + v^8 + v^16) \
                     - 2*mean(w + w^2 + w^4 + w^8 + w^16)",
        });
        let values = vec![normal(1, &[rows, width]), normal(2, &[rows, width])];
        (
            "mmd",
            vec![("source", "Feature"), ("target", "Feature")],
            formula,
            values,
        )
    };
    let entropy = |rows: usize, classes: usize| -> Case {
        let loss = "-mean(sum(softmax(logits, k)*log_softmax(logits, k), k))";
        let formula = json!({ "axes": { "logits": "n,k" }, "loss": loss });
        (
            "entropy",
            vec![("logits", "Logits")],
            formula,
            vec![normal(3, &[rows, classes])],
        )
    };
    let cross_entropy = |rows: usize, classes: usize| -> Case {
        let formula = json!({
            "axes": { "logits": "n,k", "label": "Label[n]" },
            "loss": "-mean(sum(one_hot(label, k)*log_softmax(logits, k), k))",
        });
        let label: Vec<u32> = (0..rows).map(|i| (i % classes) as u32).collect();
        let ports = vec![("logits", "Logits"), ("label", "Label")];
        (
            "cross_entropy",
            ports,
            formula,
            vec![normal(4, &[rows, classes]), labels(&label)],
        )
    };
    let domain_bce = |rows: usize| -> Case {
        let formula = json!({
            "axes": { "logits": "n,one", "domain": "Label[n]" },
            "let": { "z": "sum(logits, one)" },
            "loss": "mean(softplus(z) - z*(domain == 1))",
        });
        let label: Vec<u32> = (0..rows).map(|i| u32::from(2 * i < rows)).collect();
        let ports = vec![("logits", "Logits"), ("domain", "Label")];
        (
            "domain_bce",
            ports,
            formula,
            vec![normal(5, &[rows, 1]), labels(&label)],
        )
    };
    vec![
        mmd(16, 512),
        mmd(32, 2048),
        entropy(16, 12),
        entropy(64, 400),
        cross_entropy(16, 12),
        cross_entropy(64, 400),
        domain_bce(64),
    ]
}

fn main() -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{:14} {:>12} {:>9} {:>9} {:>6}",
        "kind", "first input", "by hand", "formula", "ratio"
    )?;
    for (kind, ports, formula, values) in cases() {
        let mut pair = [
            probe(kind, json!({}), &ports, &values),
            probe("formula", formula, &ports, &values),
        ];
        let [hand, formula] = best(&mut pair)?;
        let shape = format!("{:?}", values[0].dims());
        writeln!(
            out,
            "{kind:14} {shape:>12} {hand:9.3} {formula:9.3} {:6.1}",
            formula / hand
        )?;
    }
    Ok(())
}
