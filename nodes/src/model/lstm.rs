//! `lstm`: what a sequence has been so far.

use super::recurrent::{self, Cell};
use crate::op::lstm::{self, State};
use crate::{Body, BuildCx, Contract, Count, Group, Kind, ParamProblem, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// A long short-term memory over the steps of a sequence (Hochreiter and Schmidhuber, 1997), with PyTorch's gates, two biases
/// and start U(±1/√H): `z = W_ih x_t + b_ih + W_hh h + b_hh` holds i, f, g and o; `c = σ(f) c + σ(i) tanh(g)`,
/// `h = σ(o) tanh(c)`, both from 0. `[R,N,D]` becomes `[R,N,H]`, and `[R,N,2H]` in both directions, which then have weights of
/// their own. Layers are nodes, one behind the other.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "outputs": 256 }]))]
pub struct Lstm {
    /// Values of a step's output in each direction, H.
    pub outputs: Count,
    /// Whether a second one walks from the last step to the first; its weights are below `backward`.
    #[serde(default)]
    pub bidirectional: bool,
    /// Whether each step reads the one before, the first one zeros: what is to predict a step must not have read it.
    #[serde(default)]
    pub delayed: bool,
}

impl Kind for Lstm {
    const NAME: &'static str = "lstm";
    const GROUP: Group = Group::Model;

    fn validate(&self) -> Vec<ParamProblem> {
        recurrent::validate(self.bidirectional, self.delayed)
    }

    fn contract(&self, _: &Wiring) -> Contract {
        recurrent::contract(&self.outputs, self.bidirectional)
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        recurrent::build::<Memory>(cx, &self.outputs, self.bidirectional, self.delayed)
    }
}

struct Memory;

impl Cell for Memory {
    const GATES: usize = 4;
    type State = State;

    fn start(like: &Tensor) -> Result<State> {
        State::start(like)
    }

    fn step(z: &Tensor, before: &State) -> Result<State> {
        lstm::step(z, before)
    }

    fn output(state: &State) -> &Tensor {
        &state.h
    }

    fn back(state: &State, before: &State, dh: &Tensor, memory: Option<&Tensor>) -> Result<(Tensor, Option<Tensor>)> {
        let (dz, memory) = lstm::back(state, before, dh, memory)?;
        Ok((dz, Some(memory)))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::{agree, golden};
    use crate::testing::{Probe, dense, f64s, normal, rejected, ty};
    use serde_json::{Value, json};

    fn probe(params: Value, n: usize, d: usize) -> Probe {
        let types = [("x", vec![ty("Feature", &format!("B,{n},{d}"))])];
        Probe::new("lstm", params, &types, &[]).unwrap()
    }

    /// The outputs of one direction for one sequence, in its order, by the equations.
    fn walk(x: &[Vec<f64>], w: &[Vec<f64>], width: usize) -> Vec<Vec<f64>> {
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        let (mut h, mut c) = (vec![0.0; width], vec![0.0; width]);
        let mut all = vec![];
        for x in x {
            let (a, b) = (dense(x, &w[0], &w[1], x.len()), dense(&h, &w[2], &w[3], width));
            let z: Vec<f64> = a.iter().zip(b).map(|(a, b)| a + b).collect();
            for (k, (c, h)) in c.iter_mut().zip(&mut h).enumerate() {
                let [i, f, g, o] = [0, 1, 2, 3].map(|n| z[n * width + k]);
                *c = sigmoid(f) * *c + sigmoid(i) * g.tanh();
                *h = sigmoid(o) * c.tanh();
            }
            all.push(h.clone());
        }
        all
    }

    #[test]
    fn golden_values() {
        let case = golden("lstm");
        let mut p = probe(json!({ "outputs": 2, "bidirectional": true }), 3, 4);
        let names = [("", ""), ("backward.", "back_")].into_iter().flat_map(|(own, of)| {
            [
                ("weight_ih", "w_ih"),
                ("bias_ih", "b_ih"),
                ("weight_hh", "w_hh"),
                ("bias_hh", "b_hh"),
            ]
            .map(|(a, b)| (format!("{own}{a}"), format!("{of}{b}")))
        });
        let names: Vec<_> = names.collect();
        for (own, of) in &names {
            p.set(own, case.input(of));
        }
        case.check(&mut p, &[("x", &["x"])], "y");
        for (own, of) in &names {
            agree(of, &f64s(&p.grad(own).unwrap()), &case.grad(of).unwrap());
        }
        let out = p.forward(&Args::default().with("x", vec![case.input("x")])).unwrap();
        agree("last", &f64s(&out[1]), &case.output("last"));
    }

    #[test]
    fn matches_the_equations() {
        for (rows, n, d, width, both, delayed) in [
            (2, 3, 3, 2, false, false),
            (3, 4, 2, 2, true, false),
            (2, 3, 2, 3, false, true),
            (1, 1, 2, 1, true, false),
            (40, 2, 1, 1, false, false),
        ] {
            let params = json!({ "outputs": width, "bidirectional": both, "delayed": delayed });
            let mut p = probe(params, n, d).unusual_weights();
            let all = if both { 2 * width } else { width };
            let types: Vec<String> = p.outputs.iter().map(ToString::to_string).collect();
            assert_eq!(types, [format!("Feature[B,{n},{all}]"), format!("Feature[B,{all}]")]);
            p.check(&Args::default().with("x", vec![normal(1, &[rows, n, d])]), |x, w| {
                let (mut y, mut last) = (vec![], vec![]);
                for row in x[0].chunks(n * d) {
                    let mut steps: Vec<Vec<f64>> = row.chunks(d).map(<[f64]>::to_vec).collect();
                    if delayed {
                        steps.rotate_right(1);
                        steps[0].fill(0.0);
                    }
                    let forth = walk(&steps, &w[..4], width);
                    let mut back: Vec<Vec<f64>> = vec![vec![]; n];
                    if both {
                        steps.reverse();
                        back = walk(&steps, &w[4..], width);
                    }
                    last.extend([forth[n - 1].clone(), back[n - 1].clone()].concat());
                    back.reverse();
                    y.extend(forth.iter().zip(back).flat_map(|(a, b)| [a.clone(), b].concat()));
                }
                vec![y, last]
            });
        }
    }

    #[test]
    fn one_output_alone_has_its_gradient() {
        let x = Args::default().with("x", vec![normal(1, &[2, 3, 2])]);
        let params = json!({ "outputs": 2, "bidirectional": true });
        let mut sum: Option<Vec<f64>> = None;
        let mut grads = vec![];
        for [y, last] in [[true, true], [true, false], [false, true]] {
            let mut p = probe(params.clone(), 3, 2).unusual_weights();
            let (out, saved) = p.forward_kept(&x).unwrap();
            let given = [(y, &out[0]), (last, &out[1])].map(|(is, out)| is.then(|| normal(5, out.dims())));
            let dx = f64s(p.backward(&x, saved, given.to_vec()).unwrap()[0].as_ref().unwrap());
            grads.push([dx, f64s(&p.grad("backward.weight_hh").unwrap())].concat());
            sum = match sum {
                None => Some(vec![0.0; grads[0].len()]),
                Some(sum) => Some(sum.iter().zip(&grads[grads.len() - 1]).map(|(a, b)| a + b).collect()),
            };
        }
        crate::testing::close("the sum of both", &sum.unwrap(), &grads[0], 1e-5);
    }

    /// Enough rows and values for several threads.
    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut p = probe(json!({ "outputs": 48, "bidirectional": true }), 3, 20);
                let x = Args::default().with("x", vec![normal(1, &[300, 3, 20])]);
                let (out, saved) = p.forward_kept(&x).unwrap();
                let dx = p.backward(&x, saved, vec![Some(out[0].clone()), None]).unwrap();
                [
                    f64s(&out[0]),
                    f64s(dx[0].as_ref().unwrap()),
                    f64s(&p.grad("weight_hh").unwrap()),
                ]
                .concat()
            })
        };
        assert!(bits(1) == bits(3));
    }

    #[test]
    fn starts_as_pytorchs() {
        let p = probe(json!({ "outputs": 16, "bidirectional": true }), 2, 40);
        let names: Vec<&str> = p.specs.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names[..4], ["weight_ih", "bias_ih", "weight_hh", "bias_hh"]);
        assert_eq!(names[4..6], ["backward.weight_ih", "backward.bias_ih"]);
        let w = f64s(&p.weight("weight_ih"));
        assert_eq!(p.weight("weight_ih").dims(), [64, 40]);
        let most = w.iter().fold(0f64, |m, v| m.max(v.abs()));
        assert!(most <= 0.25 && most > 0.24, "{most}");
    }

    #[test]
    fn no_rows_are_no_values() {
        let x = Args::default().with("x", vec![normal(1, &[0, 3, 2])]);
        let mut p = probe(json!({ "outputs": 4, "bidirectional": true }), 3, 2);
        let (out, saved) = p.forward_kept(&x).unwrap();
        assert_eq!((out[0].dims(), out[1].dims()), (&[0, 3, 8][..], &[0, 8][..]));
        let dx = p.backward(&x, saved, vec![None, Some(out[1].clone())]).unwrap();
        assert_eq!(dx[0].as_ref().unwrap().dims(), [0, 3, 2]);
    }

    #[test]
    fn mistakes_are_named() {
        let types = [("x", vec![ty("Feature", "B,3,4")])];
        assert_eq!(
            rejected(
                "lstm",
                json!({ "outputs": 2, "bidirectional": true, "delayed": true }),
                &types
            ),
            ["delayed: the backward direction has read the later steps already"]
        );
        assert_eq!(
            rejected("lstm", json!({ "outputs": 0 }), &types),
            ["outputs: a layer needs at least one value"]
        );
    }
}
