//! Formulas against golden values, our own kinds, finite differences, and texts that are wrong.

mod golden;
mod kinds;
mod messages;
mod properties;
mod rows;

use super::Formula;
use super::program::Program;
use crate::testing::{Probe, ty};
use crate::{Args, Autodiff, Body, BuildCx, Contract, Group, Kind, ParamProblem, Registry, Type, Wiring};
use candle_core::Tensor;
use serde_json::{Value, json};

/// The types of inputs whose axes are `axes`, for tensors of these shapes.
fn types<'a>(inputs: &'a [(&'a str, &'a str, &'a Tensor)]) -> Vec<(&'a str, Vec<Type>)> {
    let of = |(name, head, tensor): &(&'a str, &'a str, &Tensor)| {
        let dims: Vec<String> = tensor.dims().iter().map(usize::to_string).collect();
        (*name, vec![ty(head, &dims.join(","))])
    };
    inputs.iter().map(of).collect()
}

/// Formulas in Candle's operations, wherever they run.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
struct ByCandle(Formula);

impl Kind for ByCandle {
    const NAME: &'static str = "formula";
    const GROUP: Group = Group::Loss;

    fn validate(&self) -> Vec<ParamProblem> {
        self.0.validate()
    }

    fn contract(&self, wiring: &Wiring) -> Contract {
        self.0.contract(wiring)
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let program = Program::new(self.0.typed()?.clone(), cx)?;
        Ok(Body::Compute(Box::new(Autodiff(program))))
    }
}

/// A node with these parameters, and its inputs: name, head and value.
pub(super) fn node(
    params: Value,
    inputs: &[(&str, &str, &Tensor)],
) -> Result<(Probe, Args<Tensor>), Vec<ParamProblem>> {
    node_of(&crate::registry(), params, inputs)
}

/// [`node`] in Candle's operations.
pub(super) fn by_candle(
    params: Value,
    inputs: &[(&str, &str, &Tensor)],
) -> Result<(Probe, Args<Tensor>), Vec<ParamProblem>> {
    let mut kinds = Registry::default();
    kinds.add::<ByCandle>();
    node_of(&kinds, params, inputs)
}

fn node_of(
    kinds: &Registry,
    params: Value,
    inputs: &[(&str, &str, &Tensor)],
) -> Result<(Probe, Args<Tensor>), Vec<ParamProblem>> {
    // In the contract's order, which is that of `axes`.
    let order = |name: &str| {
        let axes = params["axes"].as_object().expect("a table");
        axes.keys().position(|k| k == name).expect("an input")
    };
    let mut inputs = inputs.to_vec();
    inputs.sort_by_key(|(name, ..)| order(name));
    let probe = Probe::of(kinds, "formula", params.clone(), &types(&inputs), &[("K", 5)])?;
    let args = inputs.iter().fold(Args::default(), |args, (name, _, t)| {
        args.with(name, vec![(*t).clone()])
    });
    Ok((probe, args))
}

/// A node whose only formula is the loss, of `x` with the axes `n,d`.
fn of_x(loss: &str, x: &Tensor) -> (Probe, Args<Tensor>) {
    let params = json!({ "axes": { "x": "n,d" }, "loss": loss });
    node(params, &[("x", "Feature", x)]).unwrap_or_else(|e| panic!("{loss}: {e:?}"))
}

#[test]
fn the_typed_form_is_shown() {
    let params = json!({
        "axes": { "s": "Feature[n,d]", "t": "m,d", "y": "Label[n]" },
        "params": { "tau": 0.5 },
        "let": { "cs": "s - mean(s, n)", "pair": "y[a] == y[b]" },
        "loss": "mean(pair * sum(cs[a,d]*cs[b,d], d)) + sum((cs[n,d] - t[m,d])^2)/tau",
        "outputs": { "p": "Logits[m,n] = sum((s[n,d] - detach(t))^2, d)" },
    });
    let formula: Formula = serde_json::from_value(params).unwrap();
    insta::assert_snapshot!(formula.form().unwrap());
}
