//! `match_rows`: to each row one of another stream with the same class.

use crate::kernel::{labels, tensor};
use crate::op::matmul::{ab, atb};
use crate::tensor::parts::nothing;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Group, Kind, ParamProblem, Saved, Side, Step, Wiring, arrived, kept,
};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;

/// Pairs rows of two streams by class, as TCoN pairs videos (Pan et al., AAAI 2020): for each class that is wanted a row of `x`
/// with this label, usually of the source for the pseudo labels of the target. Where a class is wanted several times, its rows
/// take turns in the order of the batch. A class that `x` lacks gives a row of zeros, which `mask` leaves out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchRows {}

impl Kind for MatchRows {
    const NAME: &'static str = "match_rows";
    const GROUP: Group = Group::Align;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[S,*D]", "rows to choose from")
            .input("label", "Label[S]", "their classes")
            .constant()
            .input("want", "Label[Q]", "the class that each row of the output is to have")
            .constant()
            .output("y", "?X[Q,*D]", "a row of this class for each")
            .output("mask", "Mask[Q]", "1 where there is one, 0 where there is not")
            .from(&["label", "want"])
            .output("share", "Metric[]", "the share of rows that have one")
            .from(&["label", "want"])
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

/// The row that each gets.
fn choose(labels: &[u32], want: &[u32]) -> Vec<Option<usize>> {
    let mut of_class: HashMap<u32, Vec<usize>> = HashMap::new();
    for (row, label) in labels.iter().enumerate() {
        of_class.entry(*label).or_default().push(row);
    }
    let mut turns: HashMap<u32, usize> = HashMap::new();
    let one = |class: &u32| {
        let rows = of_class.get(class)?;
        let turn = turns.entry(*class).or_default();
        *turn += 1;
        Some(rows[(*turn - 1) % rows.len()])
    };
    want.iter().map(one).collect()
}

/// Which row of `x` each row of the output is, `[1, Q, S]`; none without rows.
type Chosen = Option<Tensor>;

impl Compute for MatchRows {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        let chosen = choose(&labels(inputs.one("label")?)?, &labels(inputs.one("want")?)?);
        let shape = [&[chosen.len()], &x.dims()[1..]].concat();
        let there: Vec<f32> = chosen.iter().map(|c| f32::from(u8::from(c.is_some()))).collect();
        let share = Tensor::new(there.iter().sum::<f32>() / there.len().max(1) as f32, &Device::Cpu)?;
        let mask = Tensor::from_vec(there, chosen.len(), &Device::Cpu)?;
        if chosen.is_empty() {
            return Ok((
                vec![nothing(x, shape)?, mask, share],
                Box::new(None::<Tensor> as Chosen),
            ));
        }
        let rows = x.dim(0)?;
        if rows == 0 {
            let none = Tensor::zeros(shape, DType::F32, step.device)?;
            return Ok((vec![none, mask, share], Box::new(None::<Tensor> as Chosen)));
        }
        let mut one_hot = vec![0f32; chosen.len() * rows];
        for (row, from) in chosen.iter().enumerate() {
            if let Some(from) = from {
                one_hot[row * rows + from] = 1.0;
            }
        }
        let one_hot = tensor(one_hot, (1, chosen.len(), rows), step.device)?;
        // A product, since what adds rows up by their numbers has no order on a GPU.
        let y = ab(&one_hot, &x.contiguous()?.reshape((1, rows, ()))?)?;
        Ok((vec![y.reshape(shape)?, mask, share], Box::new(Some(one_hot))))
    }

    fn backward(&self, _: &mut Step<'_>, saved: Saved, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let (Some(one_hot), Some(dy)) = (*kept::<Chosen>(saved)?, arrived(&mut grads, 0)) else {
            return Ok(vec![None; 3]);
        };
        let (_, wanted, rows) = one_hot.dims3()?;
        let shape = [&[rows], &dy.dims()[1..]].concat();
        let dx = atb(&one_hot, &dy.contiguous()?.reshape((1, wanted, ()))?)?;
        Ok(vec![Some(dx.reshape(shape)?), None, None])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, f64s, labels, normal, ty};
    use candle_core::Tensor;
    use serde_json::json;

    fn probe() -> Probe {
        let types = [
            ("x", vec![ty("Feature", "B,2,3")]),
            ("label", vec![ty("Label", "B")]),
            ("want", vec![ty("Label", "B")]),
        ];
        Probe::new("match_rows", json!({}), &types, &[]).unwrap()
    }

    fn args(label: &[u32], want: &[u32]) -> Args<Tensor> {
        let x = Args::default().with("x", vec![normal(1, &[label.len(), 2, 3])]);
        x.with("label", vec![labels(label)]).with("want", vec![labels(want)])
    }

    #[test]
    fn rows_of_a_class_take_turns() {
        // The rows that are expected, by their number; none where the class is not there. u32::MAX is no label.
        for (label, want, rows) in [
            (
                &[4, 1, 4][..],
                &[4, 1, 4, 4, 2][..],
                &[Some(0), Some(1), Some(2), Some(0), None][..],
            ),
            (&[u32::MAX, 0], &[0, 0, 1], &[Some(1), Some(1), None]),
        ] {
            probe().check(&args(label, want), |x, _| {
                let of = |row: &Option<usize>| row.map_or(vec![0.0; 6], |r| x[0][r * 6..(r + 1) * 6].to_vec());
                let mask: Vec<f64> = rows.iter().map(|r| f64::from(u8::from(r.is_some()))).collect();
                let share = mask.iter().sum::<f64>() / rows.len() as f64;
                vec![rows.iter().flat_map(of).collect(), mask, vec![share]]
            });
        }
    }

    #[test]
    fn without_rows_there_is_nothing() {
        let out = probe().forward(&args(&[], &[1, 2])).unwrap();
        assert_eq!((f64s(&out[0]), f64s(&out[1])), (vec![0.0; 12], vec![0.0; 2]));
        let out = probe().forward(&args(&[1], &[])).unwrap();
        assert_eq!((out[0].dims(), f64s(&out[2])), (&[0, 2, 3][..], vec![0.0]));
    }
}
