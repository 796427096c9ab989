//! `rnn`: the plain recurrent layer.

use super::recurrent::{self, Cell};
use crate::{Body, BuildCx, Contract, Count, Group, Kind, ParamProblem, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// A recurrent layer without gates over the steps of a sequence (Elman, 1990), with PyTorch's two biases and start U(±1/√H):
/// `h = tanh(W_ih x_t + b_ih + W_hh h + b_hh)`, from 0. `[R,N,D]` becomes `[R,N,H]`, and `[R,N,2H]` in both directions, which
/// then have weights of their own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "outputs": 256 }]))]
pub struct Rnn {
    /// Values of a step's output in each direction, H.
    pub outputs: Count,
    /// Whether a second one walks from the last step to the first; its weights are below `backward`.
    #[serde(default)]
    pub bidirectional: bool,
    /// Whether each step reads the one before, the first one zeros: what is to predict a step must not have read it.
    #[serde(default)]
    pub delayed: bool,
}

impl Kind for Rnn {
    const NAME: &'static str = "rnn";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        recurrent::validate(self.bidirectional, self.delayed)
    }

    fn contract(&self, _: &Wiring) -> Contract {
        recurrent::contract(&self.outputs, self.bidirectional)
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        recurrent::build::<Plain>(cx, &self.outputs, self.bidirectional, self.delayed)
    }
}

/// Its state is its output.
struct Plain;

impl Cell for Plain {
    const GATES: usize = 1;
    type State = Tensor;

    fn start(like: &Tensor) -> Result<Tensor> {
        Ok(like.zeros_like()?)
    }

    fn step(z: &Tensor, _: &Tensor) -> Result<Tensor> {
        Ok(z.tanh()?)
    }

    fn output(state: &Tensor) -> &Tensor {
        state
    }

    fn back(h: &Tensor, _: &Tensor, dh: &Tensor, _: Option<&Tensor>) -> Result<(Tensor, Option<Tensor>)> {
        Ok(((dh * h.sqr()?.affine(-1.0, 1.0)?)?, None))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, dense, normal, rejected, ty};
    use serde_json::json;

    #[test]
    fn matches_the_equation() {
        let (rows, n, d, width) = (2, 4, 3, 2);
        for both in [false, true] {
            let types = [("x", vec![ty("Feature", &format!("B,{n},{d}"))])];
            let params = json!({ "outputs": width, "bidirectional": both });
            let mut p = Probe::new("rnn", params, &types, &[]).unwrap().unusual_weights();
            p.check(&Args::default().with("x", vec![normal(1, &[rows, n, d])]), |x, w| {
                let walk = |x: &[&[f64]], w: &[Vec<f64>]| -> Vec<Vec<f64>> {
                    let mut h = vec![0.0; width];
                    let step = |x: &&[f64]| {
                        let (a, b) = (dense(x, &w[0], &w[1], d), dense(&h, &w[2], &w[3], width));
                        h = a.iter().zip(b).map(|(a, b)| (a + b).tanh()).collect();
                        h.clone()
                    };
                    x.iter().map(step).collect()
                };
                let (mut y, mut last) = (vec![], vec![]);
                for row in x[0].chunks(n * d) {
                    let mut steps: Vec<&[f64]> = row.chunks(d).collect();
                    let forth = walk(&steps, &w[..4]);
                    steps.reverse();
                    let mut back = if both { walk(&steps, &w[4..]) } else { vec![vec![]; n] };
                    last.extend([forth[n - 1].clone(), back[n - 1].clone()].concat());
                    back.reverse();
                    y.extend(forth.iter().zip(back).flat_map(|(a, b)| [a.clone(), b].concat()));
                }
                vec![y, last]
            });
        }
    }

    #[test]
    fn mistakes_are_named() {
        let types = [("x", vec![ty("Feature", "B,3,4")])];
        assert_eq!(
            rejected(
                "rnn",
                json!({ "outputs": 2, "bidirectional": true, "delayed": true }),
                &types
            ),
            ["delayed: the backward direction has read the later steps already"]
        );
    }
}
