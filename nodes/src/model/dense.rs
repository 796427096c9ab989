//! Shared by the heads: a linear layer with its weights, their initialisation, and the name of the output.

use crate::op::linear::LinearOp;
use crate::{Contract, Count, DimScope, Init, ParamProblem, Role, Scope, Step, WeightSpec};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// The kind of a head's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Head {
    /// A feature, on the port `y`.
    #[default]
    Feature,
    /// Scores of classes, on the port `logits`.
    Logits,
}

impl Head {
    /// Adds an output of `outputs` values per row to a contract.
    pub(crate) fn output(self, contract: Contract, outputs: &Count) -> Contract {
        match self {
            Head::Feature => contract.output("y", &format!("Feature[R,{outputs}]"), "a feature"),
            Head::Logits => contract.output("logits", &format!("Logits[R,{outputs}]"), "scores of classes"),
        }
    }
}

/// The initialisation of a head's weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DenseInit {
    /// He: N(0, 2/inputs), the last layer N(0, 0.02²), biases 0. A domain classifier with this initialisation learns within a
    /// short run, where PyTorch's leaves it at chance.
    #[default]
    He,
    /// PyTorch's: U(±1/√inputs), biases too.
    Torch,
}

/// The initialisation of one layer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LayerInit {
    He,
    Normal(f32),
    Torch,
}

impl LayerInit {
    pub(crate) fn of(init: DenseInit, last: bool) -> LayerInit {
        match (init, last) {
            (DenseInit::He, false) => LayerInit::He,
            (DenseInit::He, true) => LayerInit::Normal(0.02),
            (DenseInit::Torch, _) => LayerInit::Torch,
        }
    }
}

/// A linear layer of a head: weights `{name}.weight` `[outputs, inputs]` and `{name}.bias`.
pub(crate) struct Layer {
    op: LinearOp,
    init: LayerInit,
}

impl Layer {
    /// `name` may be empty: the weights are then `weight` and `bias`.
    pub(crate) fn new(name: &str, inputs: usize, outputs: usize, bias: bool, init: LayerInit) -> Layer {
        let at = |what: &str| {
            if name.is_empty() {
                what.to_string()
            } else {
                format!("{name}.{what}")
            }
        };
        Layer {
            op: LinearOp::new(inputs, outputs, at("weight"), bias.then(|| at("bias"))),
            init,
        }
    }

    pub(crate) fn inputs(&self) -> usize {
        self.op.inputs
    }

    pub(crate) fn outputs(&self) -> usize {
        self.op.outputs
    }

    pub(crate) fn weights(&self) -> Vec<WeightSpec> {
        let (inputs, outputs) = (self.op.inputs, self.op.outputs);
        let (weight, bias) = match self.init {
            LayerInit::He => (Init::he(inputs), Init::Constant(0.0)),
            LayerInit::Normal(std) => (Init::Normal(std), Init::Constant(0.0)),
            LayerInit::Torch => (Init::torch(inputs), Init::torch(inputs)),
        };
        let mut all = vec![WeightSpec::new(
            &self.op.weight,
            &[outputs, inputs],
            weight,
            Role::Weight,
        )];
        all.extend(
            self.op
                .bias
                .as_ref()
                .map(|b| WeightSpec::new(b, &[outputs], bias, Role::Bias)),
        );
        all
    }

    /// `x Wᵀ + b` of `[rows, inputs]`, rectified if `relu`.
    pub(crate) fn forward(&self, step: &Step<'_>, x: &Tensor, relu: bool) -> Result<Tensor> {
        self.op.forward(step, &x.contiguous()?, relu)
    }

    /// Adds the gradients of the weights and returns that of `x` if `want`.
    pub(crate) fn backward(
        &self,
        scope: &mut Scope<'_>,
        x: &Tensor,
        dy: &Tensor,
        want: bool,
    ) -> Result<Option<Tensor>> {
        self.op.backward(scope, &x.contiguous()?, dy, want)
    }

    pub(crate) fn macs(&self, rows: usize) -> u64 {
        self.op.macs(rows)
    }
}

/// The gradient before a ReLU with output `y`.
pub(crate) fn relu_backward(dy: &Tensor, y: &Tensor) -> Result<Tensor> {
    Ok((dy * y.gt(0f32)?.to_dtype(dy.dtype())?)?)
}

/// The value of a width parameter.
pub(crate) fn width(name: &str, count: &Count, dims: &DimScope) -> Result<usize, Vec<ParamProblem>> {
    match count.get(dims) {
        Ok(0) => Err(vec![ParamProblem::new(name, "a layer needs at least one value")]),
        Ok(n) => Ok(n),
        Err(p) => Err(vec![ParamProblem { path: name.into(), ..p }]),
    }
}

/// Checks a dropout probability.
pub(crate) fn check_dropout(p: f64) -> Vec<ParamProblem> {
    match (0.0..1.0).contains(&p) {
        true => vec![],
        false => vec![ParamProblem::new("dropout", format!("{p} is not a share in [0, 1)"))],
    }
}
