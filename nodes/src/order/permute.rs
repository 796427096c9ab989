//! `permute`: clips in a random order.

use super::permutation::{factorial, nth};
use crate::input::{input, known};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Shuffles the clip features of each video, φ̃ = (φ_σ(n)), and outputs which of the N! orders σ it was (Sec. 4.2, temporal
/// order learning). `order` is σ's index in lexicographic order: for N = 3, 012 021 102 120 201 210.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permute {}

/// The most clips whose orders are classes: 8! is 40 320.
const MOST: usize = 8;

/// Checks the number of clips `n`.
pub(super) fn check_clips(n: usize) -> Result<(), Vec<ParamProblem>> {
    match n {
        0 | 1 => Err(vec![
            ParamProblem::new("", format!("the order of {n} clips is not defined"))
                .help("temporal order learning needs at least 2 clips: raise the number of clips, or drop the loss"),
        ]),
        n if n > MOST => Err(vec![
            ParamProblem::new("", format!("{n} clips have more orders than a head can tell apart"))
                .help(format!("use at most {MOST} clips")),
        ]),
        _ => Ok(()),
    }
}

impl Kind for Permute {
    const NAME: &'static str = "permute";
    const GROUP: Group = Group::Order;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,N,D]", "clip features in time order")
            .output("x", "?X[R,N,D]", "the same in a random order, for each row its own")
            .output("order", "Label[R]", "which of the N! orders")
            .random()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let clips = known(input(cx, "x")?, 1)?;
        check_clips(clips)?;
        Ok(Body::Compute(Box::new(Shuffle { clips })))
    }
}

struct Shuffle {
    clips: usize,
}

impl Compute for Shuffle {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        let rows = x.dim(0)?;
        let n = self.clips;
        let orders: Vec<usize> = (0..rows)
            .map(|r| step.key.index(r as u64).rng().below(factorial(n)))
            .collect();
        let mut forth = vec![0u32; rows * n];
        let mut back = vec![0u32; rows * n];
        for (row, order) in orders.iter().enumerate() {
            for (to, from) in nth(n, *order).into_iter().enumerate() {
                forth[row * n + to] = (row * n + from) as u32;
                back[row * n + from] = (row * n + to) as u32;
            }
        }
        let index = |v: Vec<u32>| Tensor::from_vec(v, rows * n, step.device);
        let y = gather(x, &index(forth)?)?;
        let order = Tensor::from_vec(orders.iter().map(|o| *o as u32).collect(), rows, &Device::Cpu)?;
        Ok((vec![y, order], Box::new(index(back)?)))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let back = kept::<Tensor>(saved)?;
        Ok(vec![match arrived(&mut grads, 0) {
            Some(g) => Some(gather(&g, &back)?),
            None => None,
        }])
    }
}

/// Selects the clips `index` of all clips of the batch.
fn gather(x: &Tensor, index: &Tensor) -> Result<Tensor> {
    let clips = x.flatten(0, 1)?.contiguous()?;
    Ok(clips.index_select(index, 0)?.reshape(x.shape())?)
}

#[cfg(test)]
mod tests {
    use crate::order::permutation::nth;
    use crate::testing::{Probe, f64s, normal, rejected, ty};
    use crate::{Args, Key};
    use proptest::prelude::*;
    use serde_json::json;

    fn probe(n: usize, d: usize) -> Probe {
        Probe::new(
            "permute",
            json!({}),
            &[("x", vec![ty("Feature", &format!("B,{n},{d}"))])],
            &[],
        )
        .unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_label_names_the_order_and_the_gradient_undoes_it(rows in 1usize..6, n in 2usize..6, d in 1usize..4, seed: u64) {
            let mut p = probe(n, d);
            p.key = Key::new(seed);
            let x = Args::default().with("x", vec![normal(seed, &[rows, n, d])]);
            let (out, saved) = p.forward_kept(&x).unwrap();
            let (before, after) = (f64s(x.one("x").unwrap()), f64s(&out[0]));
            for (row, label) in out[1].to_vec1::<u32>().unwrap().into_iter().enumerate() {
                for (to, from) in nth(n, label as usize).into_iter().enumerate() {
                    let at = |clip: usize| (row * n + clip) * d;
                    prop_assert_eq!(&after[at(to)..at(to) + d], &before[at(from)..at(from) + d]);
                }
            }
            let back = p.backward(&x, saved, vec![Some(out[0].clone()), None]).unwrap();
            prop_assert_eq!(f64s(back[0].as_ref().unwrap()), before);
        }
    }

    #[test]
    fn all_orders_occur_and_depend_on_the_key_alone() {
        let mut p = probe(3, 1);
        let x = Args::default().with("x", vec![normal(1, &[600, 3, 1])]);
        let first = p.forward(&x).unwrap()[1].to_vec1::<u32>().unwrap();
        assert_eq!(first, p.forward(&x).unwrap()[1].to_vec1::<u32>().unwrap());
        for order in 0..6 {
            let count = first.iter().filter(|o| **o == order).count();
            assert!((60..150).contains(&count), "order {order}: {count} of 600");
        }
        p.key = Key::new(12);
        assert_ne!(first, p.forward(&x).unwrap()[1].to_vec1::<u32>().unwrap());
    }

    #[test]
    fn one_clip_has_no_order() {
        let e = Probe::new("permute", json!({}), &[("x", vec![ty("Feature", "B,1,4")])], &[])
            .err()
            .unwrap();
        assert!(e[0].message.contains("order of 1 clips"), "{}", e[0].message);
    }

    #[test]
    fn many_clips_have_too_many_orders() {
        let of = |n: usize| rejected("permute", json!({}), &[("x", vec![ty("Feature", &format!("B,{n},4"))])]);
        assert_eq!(of(8), [""; 0]);
        assert_eq!(of(9), ["9 clips have more orders than a head can tell apart"]);
    }
}
