//! Sums of Gaussian kernels of a layer's distances.

use super::super::bounds;
use crate::ParamProblem;
use anyhow::Result;
use candle_core::{DType, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// The kernels of a layer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kernels {
    /// How many kernels are summed; 5 by default.
    #[serde(default)]
    pub kernels: Option<u32>,
    /// The ratio of one bandwidth to the next; 2 by default.
    #[serde(default)]
    pub factor: Option<f64>,
    /// The middle bandwidth; by default it is computed from the features.
    #[serde(default)]
    pub bandwidth: Option<f64>,
    /// Fixed bandwidths, with a kernel for each, in the place of the three above.
    #[serde(default)]
    pub bandwidths: Option<Vec<f64>>,
}

/// The pairs whose mean distance is a bandwidth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mean {
    /// Pairs of different rows of both domains.
    #[default]
    Pairs,
    /// All pairs, the zeros of rows with themselves included: a bandwidth (n − 1)/n as wide.
    All,
}

/// As many kernels as are summed at most.
const MOST: usize = 32;

impl Kernels {
    /// What is wrong, with `prefix` before the names.
    pub(super) fn problems(&self, prefix: &str) -> Vec<ParamProblem> {
        let name = |n: &str| format!("{prefix}{n}");
        let mut problems = vec![];
        if let Some(n) = self.kernels.filter(|n| !(1..=MOST).contains(&(*n as usize))) {
            problems.push(ParamProblem::new(name("kernels"), format!("{n} is not in 1 to {MOST}")));
        }
        for (n, v) in [("factor", self.factor), ("bandwidth", self.bandwidth)] {
            problems.extend(v.and_then(|v| bounds::positive(&name(n), v)));
        }
        let Some(list) = &self.bandwidths else {
            return problems;
        };
        if !(1..=MOST).contains(&list.len()) {
            let text = format!("there are {}, and 1 to {MOST} are allowed", list.len());
            problems.push(ParamProblem::new(name("bandwidths"), text));
        }
        let each = list.iter().enumerate();
        problems.extend(each.filter_map(|(i, v)| bounds::positive(&name(&format!("bandwidths[{i}]")), *v)));
        if self.kernels.is_some() || self.factor.is_some() || self.bandwidth.is_some() {
            problems.push(
                ParamProblem::new(
                    name("bandwidths"),
                    "the kernels are given by this list, and by other keys, too",
                )
                .help("leave `kernels`, `factor` and `bandwidth` out, or the list"),
            );
        }
        problems
    }

    /// Whether nothing is computed from features.
    pub(super) fn fixed(&self) -> bool {
        self.bandwidth.is_some() || self.bandwidths.is_some()
    }

    /// The bandwidths, as multiples of the one that is computed where they are not fixed.
    fn bandwidths(&self) -> Vec<f64> {
        if let Some(list) = &self.bandwidths {
            return list.clone();
        }
        let (n, factor) = (self.kernels.unwrap_or(5) as i32, self.factor.unwrap_or(2.0));
        let middle = self.bandwidth.unwrap_or(1.0);
        (0..n).map(|i| middle * factor.powi(i - n / 2)).collect()
    }

    /// The sum of kernels of squared distances `[rows, rows]`, and its derivative in them.
    pub(super) fn of(&self, distance: &Tensor, mean: Mean) -> Result<(Tensor, Tensor)> {
        let unit = match self.fixed() {
            true => None,
            false => Some(inverse_mean(distance, mean)?),
        };
        let scaled = match &unit {
            None => distance.clone(),
            Some(unit) => distance.broadcast_mul(unit)?,
        };
        let mut kernel = distance.zeros_like()?;
        let mut slope = distance.zeros_like()?;
        for b in self.bandwidths() {
            let k = (&scaled * (-1.0 / b))?.exp()?;
            slope = (slope - (&k * (1.0 / b))?)?;
            kernel = (kernel + k)?;
        }
        let slope = match unit {
            None => slope,
            Some(unit) => slope.broadcast_mul(&unit)?,
        };
        Ok((kernel, slope))
    }
}

/// One over the mean distance; it stays on the device.
fn inverse_mean(distance: &Tensor, mean: Mean) -> Result<Tensor> {
    let n = distance.dim(0)?;
    let pairs = match mean {
        Mean::Pairs => (n * n - n).max(1),
        Mean::All => n * n,
    };
    let mean = (distance.to_dtype(DType::F64)?.sum_all()? / pairs as f64)?.to_dtype(DType::F32)?;
    // All rows equal: every kernel is 1 whatever the bandwidth.
    let none = mean.eq(0f32)?.to_dtype(DType::F32)?;
    Ok((mean + none)?.recip()?)
}
