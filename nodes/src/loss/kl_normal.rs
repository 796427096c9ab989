//! `kl_normal`: how far a normal distribution is from its prior.

use super::scalar::{Found, Scalar, Term, total};
use crate::{Args, Body, BuildCx, Contract, Group, Kind, ParamProblem, Side, Step, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// The Kullback–Leibler divergence `KL(N(μ, σ²) ‖ N(m, s²))` of normal distributions of independent numbers, with the
/// logarithms of variances `l = ln σ²` and `k = ln s²`: `½ Σ (k − l + e^(l − k) + (μ − m)² e^(−k) − 1)`, summed over
/// everything but the rows, and its mean over rows (Kingma and Welling, ICLR 2014, appendix B). Without a prior it is
/// N(0, 1). A prior gets its gradient, too: one that is learned follows what it is compared with.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KlNormal {}

impl Kind for KlNormal {
    const NAME: &'static str = "kl_normal";
    const GROUP: Group = Group::Loss;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("mean", "?A[R,*S]", "means of each row")
            .input("log_var", "?B[R,*S]", "logarithms of their variances")
            .input("prior_mean", "?C[R,*S]", "means of the prior; by default 0")
            .optional()
            .input(
                "prior_log_var",
                "?D[R,*S]",
                "logarithms of the prior's variances; by default 0, which is a variance of 1",
            )
            .optional()
            .output("loss", "Loss[]", "the mean over rows of the divergence, in nats")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let here = |port: &str| cx.input(port).is_some();
        for (one, other) in [("prior_mean", "prior_log_var"), ("prior_log_var", "prior_mean")] {
            if here(one) && !here(other) {
                return Err(vec![
                    ParamProblem::new("", format!("`{one}` is connected, and `{other}` is not"))
                        .help("a prior has both; without either it is N(0, 1)"),
                ]);
            }
        }
        Ok(Body::Compute(Box::new(Scalar(self.clone()))))
    }
}

impl Term for KlNormal {
    fn term(&self, step: &Step<'_>, inputs: &Args<Tensor>) -> Result<Found> {
        let (mean, log_var) = (inputs.one("mean")?, inputs.one("log_var")?);
        if mean.elem_count() == 0 {
            return Found::nothing(step, inputs, 1);
        }
        let rows = mean.dim(0)? as f64;
        let prior = match (inputs.all("prior_mean"), inputs.all("prior_log_var")) {
            ([m], [k]) => Some((m, k)),
            _ => None,
        };
        // (μ − m), (l − k) and e^(−k)
        let (gap, ratio) = match prior {
            Some((m, k)) => ((mean - m)?, (log_var - k)?),
            None => (mean.clone(), log_var.clone()),
        };
        let precision = prior.map(|(_, k)| k.neg()?.exp()).transpose()?;
        let scaled = match &precision {
            Some(p) => (&gap * p)?,
            None => gap.clone(),
        };
        let spread = ratio.exp()?;
        let distance = (&gap * &scaled)?;
        let each = ((&spread - &ratio)? + &distance)?.affine(1.0, -1.0)?;
        let loss = (total(&each)? * (0.5 / rows))?;
        let d_mean = (scaled / rows)?;
        let d_log_var = spread.affine(0.5 / rows, -0.5 / rows)?;
        let mut grads = vec![Some(d_mean.clone()), Some(d_log_var.clone())];
        if prior.is_some() {
            let d_prior = (d_log_var.neg()? - (distance * (0.5 / rows))?)?;
            grads.extend([Some(d_mean.neg()?), Some(d_prior)]);
        }
        Ok(Found::loss(loss, grads))
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::losses_golden::golden;
    use crate::testing::{Probe, normal, rejected, scalar, ty};
    use serde_json::json;

    const PORTS: [&str; 4] = ["mean", "log_var", "prior_mean", "prior_log_var"];

    fn probe(dims: &str, ports: usize) -> Probe {
        let types: Vec<_> = PORTS[..ports].iter().map(|p| (*p, vec![ty("Feature", dims)])).collect();
        Probe::new("kl_normal", json!({}), &types, &[]).unwrap()
    }

    #[test]
    fn golden_values() {
        let case = golden("vae_terms");
        let f: [(&str, &[&str]); 2] = [("mean", &["f_mean"]), ("log_var", &["f_logvar"])];
        case.check(&mut probe("B,3", 2), &f, "kld_f");
        let z: [(&str, &[&str]); 4] = [
            ("mean", &["z_mean"]),
            ("log_var", &["z_logvar"]),
            ("prior_mean", &["p_mean"]),
            ("prior_log_var", &["p_logvar"]),
        ];
        case.check(&mut probe("B,3,3", 4), &z, "kld_z");
    }

    #[test]
    fn matches_the_reference() {
        for (ports, rows) in [(2, 3), (4, 2)] {
            let mut x = Args::default();
            for (i, port) in PORTS[..ports].iter().enumerate() {
                x.push(*port, vec![normal(i as u64, &[rows, 2, 2])]);
            }
            probe("B,2,2", ports).check(&x, |x, _| {
                let zero = vec![0.0; x[0].len()];
                let (m, k) = (x.get(2).unwrap_or(&zero), x.get(3).unwrap_or(&zero));
                let each = |i: usize| {
                    let (v, s) = (x[1][i].exp(), k[i].exp());
                    0.5 * ((s / v).ln() + (v + (x[0][i] - m[i]).powi(2)) / s - 1.0)
                };
                vec![vec![(0..zero.len()).map(each).sum::<f64>() / rows as f64]]
            });
        }
    }

    #[test]
    fn the_prior_itself_and_no_rows_are_no_loss() {
        let x = |rows: usize| {
            let of = |seed: u64| vec![normal(seed, &[rows, 3])];
            let x = Args::default().with("mean", of(1)).with("log_var", of(2));
            x.with("prior_mean", of(1)).with("prior_log_var", of(2))
        };
        for rows in [2, 0] {
            assert_eq!(scalar(&probe("B,3", 4).forward(&x(rows)).unwrap()[0]), 0.0);
        }
    }

    #[test]
    fn half_a_prior_is_an_error() {
        let types = ["mean", "log_var", "prior_log_var"].map(|p| (p, vec![ty("Feature", "B,3")]));
        assert_eq!(
            rejected("kl_normal", json!({}), &types),
            ["`prior_log_var` is connected, and `prior_mean` is not"]
        );
    }
}
