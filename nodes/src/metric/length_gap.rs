//! `length_gap`: Δ_temp, how far the lengths of two sets of videos are apart.

use crate::{
    Args, Body, BuildCx, Contract, Distribution, Gradient, Group, Kind, Metric, ParamProblem, Scores, Side, Tally,
    Wiring,
};
use anyhow::{Context, Result};
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The temporal distance Δ_temp of two sets of videos (eq. 2): the earth mover's distance of the distributions of their
/// lengths, in frames. It is exact: the integral of |CDF − CDF| over integers is a sum of integers, divided
/// once.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthGap {
    /// Gaps of other pairs, for plotting this one next to them.
    #[serde(default)]
    pub beside: Vec<KnownGap>,
}

/// The gap of a pair of data sets, as published.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownGap {
    /// The pair's name.
    pub name: String,
    /// Videos of both sets.
    pub videos: f64,
    /// Scene distance (eq. 1).
    pub delta_bg: f64,
    /// Temporal distance (eq. 2), in frames.
    pub delta_temp: f64,
}

impl Kind for LengthGap {
    const NAME: &'static str = "length_gap";
    const GROUP: Group = Group::Metric;

    fn validate(&self) -> Vec<ParamProblem> {
        let wrong = |k: &KnownGap| {
            [k.videos, k.delta_bg, k.delta_temp]
                .iter()
                .any(|v| !(v.is_finite() && *v >= 0.0))
        };
        let problem = |(i, k): (usize, &KnownGap)| {
            ParamProblem::new(
                format!("beside[{i}]"),
                format!("`{}` has a number below 0, or none", k.name),
            )
        };
        let known = self.beside.iter().enumerate();
        known.filter(|(_, k)| wrong(k)).map(problem).collect()
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("source", "Length[S]", "lengths of one set")
            .constant()
            .input("target", "Length[T]", "lengths of the other")
            .constant()
            .output("delta_temp", "Metric[]", "the temporal distance, in frames")
            .gradient(Gradient::Stops)
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Metric(Box::new(Gap)))
    }
}

struct Gap;

impl Metric for Gap {
    fn start(&self) -> Box<dyn Tally> {
        Box::new(Lengths::default())
    }
}

const SIDES: [&str; 2] = ["source", "target"];

#[derive(Default)]
struct Lengths([BTreeMap<u32, u64>; 2]);

impl Tally for Lengths {
    fn update(&mut self, inputs: &Args<Tensor>) -> Result<()> {
        for (port, counts) in SIDES.iter().zip(&mut self.0) {
            let Some(lengths) = inputs.get(port) else { continue };
            let lengths = lengths
                .to_vec1::<u32>()
                .with_context(|| format!("lengths of `{port}`"))?;
            for n in lengths {
                *counts.entry(n).or_insert(0) += 1;
            }
        }
        Ok(())
    }

    fn scores(&self) -> Scores {
        let distribution = |(name, counts): (&&str, &BTreeMap<u32, u64>)| Distribution {
            name: name.to_string(),
            counts: counts.clone(),
        };
        let gap = earth_movers_distance(&self.0[0], &self.0[1]);
        Scores {
            values: gap.map(|d| ("delta_temp".into(), d)).into_iter().collect(),
            distributions: SIDES.iter().zip(&self.0).map(distribution).collect(),
            decimals: Some(2),
            ..Scores::default()
        }
    }
}

/// ∫ |CDF_p − CDF_q| of the distributions with these counts; `None` if one is empty.
fn earth_movers_distance(p: &BTreeMap<u32, u64>, q: &BTreeMap<u32, u64>) -> Option<f64> {
    let all = |counts: &BTreeMap<u32, u64>| counts.values().map(|n| u128::from(*n)).sum::<u128>();
    let (of_p, of_q) = (all(p), all(q));
    if of_p == 0 || of_q == 0 {
        return None;
    }
    let mut lengths: Vec<u32> = p.keys().chain(q.keys()).copied().collect();
    lengths.sort_unstable();
    lengths.dedup();
    let count = |counts: &BTreeMap<u32, u64>, x| u128::from(counts.get(&x).copied().unwrap_or(0));
    // Both distribution functions, times both numbers of videos, between one length and the next: integers.
    let (mut below_p, mut below_q, mut area) = (0, 0, 0);
    for pair in lengths.windows(2) {
        below_p += count(p, pair[0]);
        below_q += count(q, pair[0]);
        area += u128::abs_diff(below_p * of_q, below_q * of_p) * u128::from(pair[1] - pair[0]);
    }
    let unit = of_p * of_q;
    Some((area / unit) as f64 + (area % unit) as f64 / unit as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use proptest::prelude::*;

    fn tally(batches: &[(&[u32], &[u32])]) -> Scores {
        let mut t = Gap.start();
        for (source, target) in batches {
            let mut inputs = Args::default();
            // An exhausted stream has no value.
            for (port, lengths) in SIDES.iter().zip([source, target]) {
                let value = || Tensor::from_slice(lengths, lengths.len(), &Device::Cpu).unwrap();
                inputs.push(*port, if lengths.is_empty() { vec![] } else { vec![value()] });
            }
            t.update(&inputs).unwrap();
        }
        t.scores()
    }

    fn gap(source: &[u32], target: &[u32]) -> f64 {
        tally(&[(source, target)]).values[0].1
    }

    #[test]
    fn lengths_of_lists_that_differ_in_length() {
        // CDFs differ by 1 from 10 to 20, by 1/2 from 20 to 40
        assert_eq!(gap(&[10], &[20, 40]), 20.0);
        let scores = tally(&[(&[10, 300], &[20]), (&[300], &[]), (&[10], &[])]);
        assert_eq!(scores.values, [("delta_temp".to_string(), 5.0 + 140.0)]);
        assert_eq!(scores.decimals, Some(2));
        let source = &scores.distributions[0];
        assert_eq!(
            (source.name.as_str(), &source.counts),
            ("source", &BTreeMap::from([(10, 2), (300, 2)]))
        );
        assert_eq!(tally(&[(&[10], &[])]).values, []);
        // numbers whose products exceed 64 bits
        assert_eq!(gap(&[0, u32::MAX], &[u32::MAX]), f64::from(u32::MAX) / 2.0);
    }

    #[test]
    fn wrong_numbers_beside_are_reported() {
        let known = |videos| KnownGap {
            name: "a".into(),
            videos,
            delta_bg: 0.1,
            delta_temp: 3.0,
        };
        let kind = LengthGap {
            beside: vec![known(3.0), known(-3.0)],
        };
        assert_eq!(kind.validate()[0].path, "beside[1]");
    }

    /// With equally many of both, the cheapest way to move lengths is from the i-th shortest to the i-th
    /// shortest: every length of one is repeated as often as the other has videos, and frames are counted one by one.
    fn by_pairs(p: &[u32], q: &[u32]) -> f64 {
        let repeat = |values: &[u32], times: usize| {
            let mut all: Vec<u32> = values.iter().flat_map(|v| std::iter::repeat_n(*v, times)).collect();
            all.sort_unstable();
            all
        };
        let (a, b) = (repeat(p, q.len()), repeat(q, p.len()));
        let moved: u64 = a.iter().zip(&b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        moved as f64 / a.len() as f64
    }

    /// The integral computed literally, one integer after the other.
    fn by_integral(p: &[u32], q: &[u32]) -> f64 {
        let share = |values: &[u32], x: u32| values.iter().filter(|v| **v <= x).count() as f64 / values.len() as f64;
        let most = *p.iter().chain(q).max().unwrap();
        (0..most).map(|x| (share(p, x) - share(q, x)).abs()).sum()
    }

    proptest! {
        #[test]
        fn is_what_the_definitions_say(
            p in prop::collection::vec(1u32..400, 1..40),
            q in prop::collection::vec(1u32..400, 1..40),
        ) {
            let found = gap(&p, &q);
            let pairs = by_pairs(&p, &q);
            prop_assert!((found - pairs).abs() <= 1e-12 * pairs.max(1.0), "{found}, {pairs}");
            let integral = by_integral(&p, &q);
            prop_assert!((found - integral).abs() <= 1e-9 * integral.max(1.0), "{found}, {integral}");
            prop_assert_eq!(found, gap(&q, &p));
            prop_assert_eq!(gap(&p, &p), 0.0);
            let later: Vec<u32> = p.iter().map(|n| n + 17).collect();
            prop_assert_eq!(gap(&p, &later), 17.0);
        }
    }
}
