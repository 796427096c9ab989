//! `formula`: a loss or tensors from a text.
//!
//! A text becomes tokens (`lex`), an expression (`parse`), typed operations with named axes (`declare`, `typing`,
//! `typed`). On the CPU it is evaluated by loops of its own (`cpu`); on other devices in Candle's operations, whose
//! differentiation is the backward pass (`eval`). `program` chooses.

mod contraction;
mod cpu;
mod declare;
mod eval;
mod fault;
mod functions;
mod host;
mod lex;
mod numbers;
mod numeric;
mod parse;
mod program;
mod show;
#[cfg(test)]
mod tests;
mod typed;
mod typing;

use crate::{Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Wiring};
use indexmap::IndexMap;
use program::{Evaluated, Program};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::OnceLock;
use typed::Typed;

/// A loss, or tensors, from a formula: the equation of a paper without code. Its gradient is that of automatic
/// differentiation.
///
/// Every input has named axes (`axes = { s = "n,d", t = "m,d" }`); one name has one size. Operations match axes by name,
/// so `s - mean(s, n)` subtracts from each row the mean over rows, and `s[i,d]` is `s` with its rows under another name:
/// `sum(s[i,d]*s[j,d], d)` are the products of all pairs of rows, computed as a matrix product. Operators: `+ - * / ^`,
/// comparisons (1 where true, else 0), `&`, `|`, `!`. Functions: exp, log, sqrt, abs, relu, sigmoid, log_sigmoid, softplus,
/// tanh, maximum, minimum, where, sum, mean, max, min, norm, logsumexp (over the named axes, or all), softmax, log_softmax,
/// normalize (along axes), one_hot, detach, size, index. `size(n)` is the size of an axis or one of the graph's `dims`;
/// `progress` is the share of the phase that is done. Over no rows sums, means, maxima and norms are 0.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "axes": { "s": "n,d", "t": "m,d" }, "loss": "sum((mean(s, n) - mean(t, m))^2)" }]))]
pub struct Formula {
    /// The axes of each input, by its name: `s = "n,d"`. With what has to arrive: `z = "Logits[n,k]"`; labels and masks
    /// need that: `y = "Label[n]"`.
    pub axes: IndexMap<String, String>,
    /// Numbers that the formulas use by name, such as a temperature. A phase may give others.
    #[serde(default)]
    pub params: IndexMap<String, f64>,
    /// Formulas with a name, which others use; each is computed once.
    #[serde(default, rename = "let")]
    pub lets: IndexMap<String, String>,
    /// The loss, one number: output `loss`.
    #[serde(default)]
    pub loss: Option<String>,
    /// Further outputs by name. Each is a `Feature` with the axes of its value, in their order, unless it begins with what
    /// it is: `y = "Logits[n,k] = z / 2"`, `share = "Metric[] = mean(z > 0)"`.
    #[serde(default)]
    pub outputs: IndexMap<String, String>,
    #[serde(skip)]
    #[schemars(skip)]
    typed: OnceLock<Result<Typed, Vec<ParamProblem>>>,
}

impl Formula {
    fn typed(&self) -> Result<&Typed, Vec<ParamProblem>> {
        self.typed
            .get_or_init(|| declare::typed(self))
            .as_ref()
            .map_err(Clone::clone)
    }
}

impl Kind for Formula {
    const NAME: &'static str = "formula";
    const GROUP: Group = Group::Loss;

    fn validate(&self) -> Vec<ParamProblem> {
        self.typed().err().unwrap_or_default()
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        let unused = self.typed().map(|t| t.unused.clone()).unwrap_or_default();
        let unused = unused.into_iter();
        unused
            .map(|path| ParamProblem::new(path, "no formula uses this name"))
            .collect()
    }

    fn contract(&self, _: &Wiring) -> Contract {
        let contract = Contract::on(Side::Device);
        let Ok(typed) = self.typed() else { return contract };
        let axes = |axes: &[usize]| {
            let names: Vec<&str> = axes.iter().map(|a| typed.axes.name(typed.axes.of(*a))).collect();
            names.join(",")
        };
        let inputs = typed.inputs.iter().zip(typed.differentiable());
        let contract = inputs.enumerate().fold(contract, |c, (i, (input, differentiable))| {
            let head = input.head.clone().unwrap_or_else(|| format!("?X{i}"));
            let ty = format!("{head}[{}]", axes(&input.axes));
            let c = c.input(input.name.as_str(), &ty, "a value of the formulas");
            let c = if differentiable { c } else { c.constant() };
            if input.is_label() { c.labelled() } else { c }
        });
        typed.outputs.iter().fold(contract, |c, output| {
            let ty = format!("{}[{}]", output.head, axes(&output.axes));
            c.output(output.name.as_str(), &ty, "the value of its formula")
        })
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let program = Program::new(self.typed()?.clone(), cx)?;
        Ok(Body::Compute(Box::new(Evaluated::new(program))))
    }

    fn form(&self) -> Option<String> {
        self.typed().ok().map(show::form)
    }
}
