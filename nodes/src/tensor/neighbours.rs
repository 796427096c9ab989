//! `neighbours`: what the nearest rows of a bank say.

use super::bank::places;
use crate::input::{input, known};
use crate::op::linear::product;
use crate::{
    Args, Body, BuildCx, Compute, Contract, Cost, Gradient, Group, Kind, ParamProblem, Precision, Saved, Side, Size,
    Step, Wiring,
};
use anyhow::Result;
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// For each row of `x` the mean of the `values` of its `count` nearest `rows`, those with the largest products ⟨x, row⟩ (cosines
/// where both have length 1; ATDOC, Liang et al., CVPR 2021). The row of the video itself does not count where `index` says which it
/// is, nor does a row that is not `known`. Of equal products the first row counts. With fewer rows than `count` the result is 0. No
/// gradient passes. Which rows are nearest is found on the host, so that a GPU is waited for once a step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "count": 5 }]))]
pub struct Neighbours {
    /// How many neighbours a row has.
    pub count: usize,
}

impl Kind for Neighbours {
    const NAME: &'static str = "neighbours";
    const GROUP: Group = Group::Tensor;

    fn validate(&self) -> Vec<ParamProblem> {
        match self.count {
            0 => vec![ParamProblem::new("count", "no neighbours have no mean").help("5 is usual")],
            _ => vec![],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "Feature[R,D]", "what neighbours are looked for")
            .constant()
            .input("rows", "Feature[V,D]", "the rows among which they are")
            .constant()
            .input("values", "?X[V,*S]", "what each of these says")
            .constant()
            .input(
                "known",
                "Feature[V,1]",
                "1 for a row that counts, 0 for one that does not",
            )
            .optional()
            .constant()
            .input("index", "Index[R,V]", "which of the rows is the video's own")
            .optional()
            .constant()
            .output(
                "y",
                "?X[R,*S]",
                "the mean of the neighbours' values; 0 without enough of them",
            )
            .output("share", "Metric[]", "the share of the rows with as many neighbours")
            .gradient(Gradient::Stops)
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let (rows, columns) = (input(cx, "rows")?.dims.first(), known(input(cx, "x")?, 1)?);
        let own = usize::from(cx.input("index").is_some());
        match rows {
            Some(Size::Known(n)) if *n < self.count.saturating_add(own) => Err(vec![
                ParamProblem::new("count", format!("no row has {} neighbours among {n} rows", self.count)).help(
                    if own == 1 {
                        "the video's own does not count"
                    } else {
                        "ask for fewer"
                    },
                ),
            ]),
            size => {
                let rows = if let Some(Size::Known(n)) = size { *n } else { 0 };
                Ok(Body::Compute(Box::new(Nearest {
                    count: self.count,
                    rows,
                    columns,
                })))
            }
        }
    }
}

struct Nearest {
    count: usize,
    rows: usize,
    columns: usize,
}

impl Nearest {
    /// The nearest rows by products with all of them, the nearest first; `None` where there are too few.
    fn of(&self, products: &[f32], known: Option<&[f32]>, own: Option<u32>) -> Option<Vec<u32>> {
        let counts = |i: &u32| known.is_none_or(|k| k[*i as usize] > 0.0) && own != Some(*i);
        let mut all: Vec<u32> = (0..products.len() as u32).filter(counts).collect();
        if all.len() < self.count {
            return None;
        }
        let nearer = |a: &u32, b: &u32| products[*b as usize].total_cmp(&products[*a as usize]).then(a.cmp(b));
        if all.len() > self.count {
            all.select_nth_unstable_by(self.count, nearer);
            all.truncate(self.count);
        }
        all.sort_by(nearer);
        Some(all)
    }
}

impl Compute for Nearest {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let (x, rows, values) = (inputs.one("x")?, inputs.one("rows")?, inputs.one("values")?);
        let (n, all) = (x.dim(0)?, rows.dim(0)?);
        let mut shape = values.dims().to_vec();
        shape[0] = n;
        if n == 0 {
            let y = values.narrow(0, 0, 0)?;
            return Ok((vec![y, Tensor::new(0f32, &Device::Cpu)?], Box::new(())));
        }
        let products = product(&x.contiguous()?, &rows.contiguous()?)?;
        let products = products.flatten_all()?.to_vec1::<f32>()?;
        let known = match inputs.get("known") {
            Some(known) => Some(known.flatten_all()?.to_vec1::<f32>()?),
            None => None,
        };
        let own = inputs.get("index").map(|index| places(index, all)).transpose()?;
        let (mut nearest, mut found) = (vec![], vec![]);
        for (r, products) in products.chunks(all).enumerate() {
            let of_row = self.of(products, known.as_deref(), own.as_ref().map(|own| own[r]));
            found.push(if of_row.is_some() { 1f32 } else { 0.0 });
            nearest.extend(of_row.unwrap_or_else(|| vec![0; self.count]));
        }
        // Products that are not finite have no order: the step's numbers are to show them.
        let share = match products.iter().all(|p| p.is_finite()) {
            true => found.iter().sum::<f32>() / n as f32,
            false => f32::NAN,
        };
        let nearest = Tensor::from_vec(nearest, n * self.count, step.device)?;
        let each = values.flatten_from(1)?.contiguous()?.index_select(&nearest, 0)?;
        let mean = (each.reshape((n, self.count, ()))?.sum(1)? / self.count as f64)?;
        let found = Tensor::from_vec(found, (n, 1), step.device)?;
        let y = mean.broadcast_mul(&found)?.reshape(shape)?;
        Ok((vec![y, Tensor::new(share, &Device::Cpu)?], Box::new(())))
    }

    fn backward(&self, step: &mut Step<'_>, _: Saved, _: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None; step.wants.len()])
    }

    fn cost(&self, batch: usize, _: Precision) -> Cost {
        let products = batch.saturating_mul(self.rows);
        Cost {
            macs: products.saturating_mul(self.columns) as u64,
            kept: 0,
            scratch: 4 * products.saturating_add(self.rows.saturating_mul(self.columns)) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Probe, device, f64s, normal, rejected, scalar, ty};
    use crate::{Args, Gradient};
    use candle_core::{Device, Tensor};
    use serde_json::json;

    fn probe(count: usize, all: usize, ports: &[&str]) -> Probe {
        let types = [
            ("x", ty("Feature", "B,3")),
            ("rows", ty("Feature", &format!("{all},3"))),
            ("values", ty("Feature", &format!("{all},2"))),
            ("known", ty("Feature", &format!("{all},1"))),
            ("index", ty("Index", &format!("B,{all}"))),
        ];
        let types: Vec<_> = types
            .into_iter()
            .filter(|(port, _)| ["x", "rows", "values"].contains(port) || ports.contains(port))
            .map(|(port, ty)| (port, vec![ty]))
            .collect();
        Probe::new("neighbours", json!({ "count": count }), &types, &[]).unwrap()
    }

    /// The mean of the values of the rows with the largest products, by a full sort in f64.
    fn reference(
        x: &Tensor,
        rows: &Tensor,
        values: &Tensor,
        count: usize,
        counts: impl Fn(usize, usize) -> bool,
    ) -> Vec<f64> {
        let (x, rows, values) = (f64s(x), f64s(rows), f64s(values));
        let of = |(r, x): (usize, &[f64])| -> Vec<f64> {
            let mut all: Vec<(f64, usize)> = rows
                .chunks(3)
                .enumerate()
                .filter(|(i, _)| counts(r, *i))
                .map(|(i, row)| (row.iter().zip(x).map(|(a, b)| a * b).sum(), i))
                .collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mean = |k: usize| all[..count].iter().map(|(_, i)| values[2 * i + k]).sum::<f64>() / count as f64;
            vec![mean(0), mean(1)]
        };
        x.chunks(3).enumerate().flat_map(of).collect()
    }

    #[test]
    fn values_are_the_mean_of_the_nearest() {
        let (x, rows, values) = (normal(1, &[4, 3]), normal(2, &[20, 3]), normal(3, &[20, 2]));
        let args = || {
            Args::default()
                .with("x", vec![x.clone()])
                .with("rows", vec![rows.clone()])
                .with("values", vec![values.clone()])
        };
        let close = |found: &[Tensor], right: Vec<f64>| {
            assert!(
                f64s(&found[0]).iter().zip(&right).all(|(a, b)| (a - b).abs() < 1e-6),
                "{found:?} {right:?}"
            );
            assert_eq!(scalar(&found[1]), 1.0);
        };
        let mut plain = probe(5, 20, &[]);
        assert_eq!(plain.contract.gradient, Gradient::Stops);
        close(
            &plain.forward(&args()).unwrap(),
            reference(&x, &rows, &values, 5, |_, _| true),
        );
        // Without the own row, and without those that are not known.
        let known: Vec<f32> = (0..20).map(|i| f32::from(u8::from(i % 3 > 0))).collect();
        let own = [4u32, 19, 4, 7];
        let with = args()
            .with("known", vec![Tensor::from_slice(&known, (20, 1), &device()).unwrap()])
            .with("index", vec![Tensor::from_slice(&own, 4, &Device::Cpu).unwrap()]);
        let counts = |r: usize, i: usize| !i.is_multiple_of(3) && i != own[r] as usize;
        close(
            &probe(3, 20, &["known", "index"]).forward(&with).unwrap(),
            reference(&x, &rows, &values, 3, counts),
        );
    }

    #[test]
    fn equal_rows_count_in_their_order_and_too_few_are_none() {
        let rows = Tensor::ones((3, 3), candle_core::DType::F32, &device()).unwrap();
        let values = Tensor::new(&[[1f32, 0.], [2., 0.], [4., 0.]], &device()).unwrap();
        let args = |known: [f32; 3]| {
            Args::default()
                .with("x", vec![normal(1, &[1, 3]).abs().unwrap()])
                .with("rows", vec![rows.clone()])
                .with("values", vec![values.clone()])
                .with("known", vec![Tensor::from_slice(&known, (3, 1), &device()).unwrap()])
        };
        let mut p = probe(2, 3, &["known"]);
        let mut of = |known| {
            p.forward(&args(known))
                .map(|out| (f64s(&out[0]), scalar(&out[1])))
                .unwrap()
        };
        assert_eq!(of([1., 1., 1.]), (vec![1.5, 0.], 1.));
        assert_eq!(of([1., 0., 1.]), (vec![2.5, 0.], 1.));
        assert_eq!(of([0., 0., 1.]), (vec![0., 0.], 0.));
    }

    #[test]
    fn no_rows_have_no_neighbours() {
        let args = Args::default()
            .with("x", vec![normal(1, &[0, 3])])
            .with("rows", vec![normal(2, &[4, 3])])
            .with("values", vec![normal(3, &[4, 2])]);
        let out = probe(2, 4, &[]).forward(&args).unwrap();
        assert_eq!((out[0].dims(), scalar(&out[1])), (&[0, 2][..], 0.0));
    }

    #[test]
    fn mistakes_are_named() {
        let types = |own: bool| {
            let mut all = vec![
                ("x", vec![ty("Feature", "B,3")]),
                ("rows", vec![ty("Feature", "4,3")]),
                ("values", vec![ty("Feature", "4,2")]),
            ];
            if own {
                all.push(("index", vec![ty("Index", "B,4")]));
            }
            all
        };
        let of = |count: usize, own| rejected("neighbours", json!({ "count": count }), &types(own));
        assert_eq!(of(0, false), ["count: no neighbours have no mean"]);
        assert_eq!(of(5, false), ["count: no row has 5 neighbours among 4 rows"]);
        assert_eq!(of(4, true), ["count: no row has 4 neighbours among 4 rows"]);
    }
}
