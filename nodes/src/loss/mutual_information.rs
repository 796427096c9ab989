//! `mutual_information`: what two codes of a video have in common.

use super::scalar::{Found, Scalar, Term};
use crate::op::matmul::{ab, abt, atb};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::{DType, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;
use std::f64::consts::TAU;

/// The mutual information of a static code `f` of each video and a dynamic one `z` of each of its steps, estimated from the
/// rows of the batch by minibatch weighting (Chen et al., NeurIPS 2018), as TranSVAE lowers it (Wei et al., NeurIPS 2023):
/// the mean over rows i and steps t of `max(0, ln q(f,z) − ln q(f) − ln q(z))`, each of the three
/// `ln Σ_j N(· | μ_j, σ_j) − ln(R·videos)` over all R rows. Codes are the means of their own distributions, `f_i = μ_i`, so
/// nothing is drawn. In nats; every code and every deviation gets its gradient.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "videos": 2000 }]))]
pub struct MutualInformation {
    /// How many videos the training lists of these rows have.
    pub videos: u32,
}

impl Kind for MutualInformation {
    const NAME: &'static str = "mutual_information";
    const GROUP: Group = Group::Loss;

    fn validate(&self) -> Vec<ParamProblem> {
        match self.videos {
            0 => vec![ParamProblem::new(
                "videos",
                "the estimate needs the number of training videos, which is not 0",
            )],
            _ => vec![],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("f", "?F[R,D]", "the static code of each row")
            .input("f_log_std", "?G[R,D]", "logarithms of its standard deviations")
            .input("z", "?Z[R,N,E]", "the dynamic codes of each row's steps")
            .input("z_log_std", "?Y[R,N,E]", "logarithms of their standard deviations")
            .output("loss", "Loss[]", "the mean over rows and steps, in nats")
            .whole_step()
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

/// Normal distributions around rows, `[N, R, D]`, with their precisions σ⁻².
struct Around {
    x: Tensor,
    log_std: Tensor,
    precision: Tensor,
}

impl Around {
    /// The means of columns move to 0, where squares lose least; densities stay.
    fn new(x: &Tensor, log_std: &Tensor) -> Result<Around> {
        let precision = (log_std * -2.0)?.exp()?.contiguous()?;
        Ok(Around {
            x: x.broadcast_sub(&x.mean_keepdim(1)?)?.contiguous()?,
            log_std: log_std.contiguous()?,
            precision,
        })
    }

    /// `ln N(x_i | x_j, σ_j)` at `[n, i, j]`.
    fn densities(&self) -> Result<Tensor> {
        let weighted = (&self.x * &self.precision)?;
        let of_j = (&weighted * &self.x)?.sum_keepdim(2)?.transpose(1, 2)?;
        let squares = abt(&self.x.sqr()?, &self.precision)?;
        let gaps = (squares - (abt(&self.x, &weighted)? * 2.0)?)?.broadcast_add(&of_j)?;
        // Of equal rows it may be below 0 by rounding.
        let gaps = gaps.relu()?;
        let constant = self.x.dim(2)? as f64 * TAU.ln();
        let spread = (self.log_std.sum_keepdim(2)?.transpose(1, 2)? * 2.0)?;
        Ok((gaps.broadcast_add(&spread)? + constant)?.affine(-0.5, 0.0)?)
    }

    /// The gradients of `x` and of the deviations, from that of the densities.
    fn gradients(&self, g: &Tensor) -> Result<(Tensor, Tensor)> {
        let (x, precision) = (&self.x, &self.precision);
        // As what is observed: −Σ_j g_ij (x_i − x_j) σ_j⁻².
        let own = (ab(g, &(x * precision)?)? - (x * ab(g, precision)?)?)?;
        // As a mean: Σ_i g_ij (x_i − x_j) σ_j⁻².
        let all = g.sum_keepdim(1)?.transpose(1, 2)?.contiguous()?;
        let seen = atb(g, x)?;
        let mean = (seen.sub(&x.broadcast_mul(&all)?)? * precision)?;
        // Of ln σ_j: Σ_i g_ij ((x_i − x_j)² σ_j⁻² − 1).
        let squares = ((atb(g, &x.sqr()?)? - ((x * seen)? * 2.0)?)? + x.sqr()?.broadcast_mul(&all)?)?;
        let spread = (squares * precision)?.broadcast_sub(&all)?;
        Ok(((own + mean)?, spread))
    }
}

/// `ln Σ_j e^x` `[N, R, 1]`, and the share of each term.
fn log_sum(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let most = x.max_keepdim(2)?;
    let each = x.broadcast_sub(&most)?.exp()?;
    let sum = each.sum_keepdim(2)?;
    Ok(((sum.log()? + most)?, each.broadcast_div(&sum)?))
}

impl Term for MutualInformation {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let (f, f_log_std) = (inputs.one("f")?, inputs.one("f_log_std")?);
        let (z, z_log_std) = (inputs.one("z")?, inputs.one("z_log_std")?);
        let (rows, steps, _) = z.dims3()?;
        if rows == 0 {
            return Found::nothing(step, inputs, 1);
        }
        let by_step = |t: &Tensor| t.transpose(0, 1);
        let f = Around::new(&f.unsqueeze(0)?, &f_log_std.unsqueeze(0)?)?;
        let z = Around::new(&by_step(z)?, &by_step(z_log_std)?)?;
        let (of_f, of_z) = (f.densities()?, z.densities()?);
        let (ln_f, share_f) = log_sum(&of_f)?;
        let (ln_z, share_z) = log_sum(&of_z)?;
        let (ln_both, share_both) = log_sum(&of_z.broadcast_add(&of_f)?)?;
        let constant = (rows as f64 * f64::from(self.videos)).ln();
        let each = ((ln_both - ln_z)?.broadcast_sub(&ln_f)? + constant)?;
        let loss = each.relu()?.mean_all()?;
        let counts = (each.gt(0f32)?.to_dtype(DType::F32)? / (rows * steps) as f64)?;
        let through = |own: &Tensor| share_both.broadcast_sub(own)?.broadcast_mul(&counts);
        let g_f = through(&share_f)?.sum_keepdim(0)?.contiguous()?;
        let g_z = through(&share_z)?.contiguous()?;
        let ((df, df_log_std), (dz, dz_log_std)) = (f.gradients(&g_f)?, z.gradients(&g_z)?);
        let by_row = |t: Tensor| t.transpose(0, 1)?.contiguous();
        let grads = [df.squeeze(0)?, df_log_std.squeeze(0)?, by_row(dz)?, by_row(dz_log_std)?];
        Ok(Found::loss(loss, grads.into_iter().map(Some).collect()))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, f64s, normal, rejected, scalar, ty};
    use candle_core::Tensor;
    use serde_json::json;

    const PORTS: [&str; 4] = ["f", "f_log_std", "z", "z_log_std"];

    fn types(d: usize, n: usize, e: usize) -> [(&'static str, Vec<crate::Type>); 4] {
        let (f, z) = (format!("B,{d}"), format!("B,{n},{e}"));
        let dims = [&f, &f, &z, &z];
        [0, 1, 2, 3].map(|i| (PORTS[i], vec![ty("Feature", dims[i])]))
    }

    fn probe(videos: u32, d: usize, n: usize, e: usize) -> Probe {
        Probe::new("mutual_information", json!({ "videos": videos }), &types(d, n, e), &[]).unwrap()
    }

    fn args(rows: usize, d: usize, n: usize, e: usize, shift: f64) -> Args<Tensor> {
        let (f, z) = ([rows, d], [rows, n, e]);
        let code = |seed: u64, shape: &[usize]| vec![(normal(seed, shape) + shift).unwrap()];
        let std = |seed: u64, shape: &[usize]| vec![(normal(seed, shape) * 0.3).unwrap()];
        let x = Args::default().with("f", code(1, &f)).with("f_log_std", std(2, &f));
        x.with("z", code(3, &z)).with("z_log_std", std(4, &z))
    }

    #[test]
    fn golden_values() {
        let ports: [(&str, &[&str]); 4] = [
            ("f", &["f"]),
            ("f_log_std", &["f_logvar"]),
            ("z", &["z"]),
            ("z_log_std", &["z_logvar"]),
        ];
        golden("transvae_mi").check(&mut probe(100, 3, 2, 3), &ports, "loss");
    }

    /// By densities and their sums, without logarithms of sums.
    fn reference(x: &[Vec<f64>], videos: f64, [rows, d, n, e]: [usize; 4]) -> f64 {
        let density = |x: &[f64], m: &[f64], s: &[f64]| -> f64 {
            let each = x.iter().zip(m).zip(s).map(|((x, m), s)| {
                let sigma = s.exp();
                (-0.5 * ((x - m) / sigma).powi(2)).exp() / (sigma * (2.0 * std::f64::consts::PI).sqrt())
            });
            each.product()
        };
        let f = |i: usize, of: usize| &x[of][i * d..(i + 1) * d];
        let z = |i: usize, t: usize, of: usize| &x[of][(i * n + t) * e..(i * n + t + 1) * e];
        let mut sum = 0.0;
        for i in 0..rows {
            for t in 0..n {
                let (mut q_f, mut q_z, mut both) = (0.0, 0.0, 0.0);
                for j in 0..rows {
                    let of_f = density(f(i, 0), f(j, 0), f(j, 1));
                    let of_z = density(z(i, t, 2), z(j, t, 2), z(j, t, 3));
                    (q_f, q_z, both) = (q_f + of_f, q_z + of_z, both + of_f * of_z);
                }
                let all = rows as f64 * videos;
                sum += ((both / all) / (q_f / all * (q_z / all))).ln().max(0.0);
            }
        }
        sum / (rows * n) as f64
    }

    #[test]
    fn matches_the_reference() {
        for [rows, d, n, e] in [[3, 2, 2, 3], [4, 1, 3, 2], [1, 2, 1, 1]] {
            let mut p = probe(5, d, n, e);
            p.check(&args(rows, d, n, e, 0.0), |x, _| {
                vec![vec![reference(x, 5.0, [rows, d, n, e])]]
            });
        }
    }

    /// Far from 0 squares are large, and their differences as small as ever.
    #[test]
    fn where_codes_are_does_not_matter() {
        let of = |shift: f64| f64s(&probe(50, 3, 2, 3).forward(&args(5, 3, 2, 3, shift)).unwrap()[0])[0];
        assert!((of(0.0) - of(100.0)).abs() < 1e-3, "{} {}", of(0.0), of(100.0));
    }

    #[test]
    fn equal_rows_share_what_the_estimate_adds() {
        let zeros = |shape: &[usize]| vec![normal(1, shape).zeros_like().unwrap()];
        let x = Args::default()
            .with("f", zeros(&[2, 1]))
            .with("f_log_std", zeros(&[2, 1]));
        let x = x.with("z", zeros(&[2, 1, 1])).with("z_log_std", zeros(&[2, 1, 1]));
        // ln Σ_j over two equal rows is ln 2 more: ln 2 − 2 ln 2 + ln(2·1) = 0.
        let found = scalar(&probe(1, 1, 1, 1).forward(&x).unwrap()[0]);
        assert!(found.abs() < 1e-6, "{found}");
        assert!((scalar(&probe(7, 1, 1, 1).forward(&x).unwrap()[0]) - 7f64.ln()).abs() < 1e-6);
        assert_eq!(
            scalar(&probe(7, 2, 2, 2).forward(&args(0, 2, 2, 2, 0.0)).unwrap()[0]),
            0.0
        );
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            rejected("mutual_information", json!({ "videos": 0 }), &types(2, 2, 2)),
            ["videos: the estimate needs the number of training videos, which is not 0"]
        );
    }
}
