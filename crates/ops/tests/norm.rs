//! Batch norm against `f64`, with gradients from the closed form of the whole chain.

mod common;
use common::{assert_near, garbage, on_all, values};
use glad_ops::{BatchNorm, Moments, Residual, norm};
use proptest::prelude::*;

#[derive(Clone)]
struct Case {
    rows: usize,
    channels: usize,
    x: Vec<f32>,
    residual: Option<Vec<f32>>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    dy: Vec<f32>,
    relu: bool,
}

impl Case {
    fn new(rows: usize, channels: usize, relu: bool, residual: bool) -> Self {
        let len = rows * channels;
        let mut x = values(1, len);
        for (i, x) in x.iter_mut().enumerate() {
            *x += (i % channels % 5) as f32 * 0.5;
        }
        let mut case = Self {
            rows,
            channels,
            x,
            residual: residual.then(|| values(2, len)),
            gamma: values(3, channels),
            beta: values(4, channels),
            dy: values(5, len),
            relu,
        };
        // Rounding may move a value across the ReLU's kink, so values near it get no gradient.
        for mean_var in [None, Some(&case.fixed())] {
            let [y, ..] = Self {
                relu: false,
                ..case.clone()
            }
            .reference(mean_var);
            case.dy
                .iter_mut()
                .zip(y)
                .filter(|(_, y)| y.abs() < 1e-4)
                .for_each(|(dy, _)| *dy = 0.0);
        }
        case
    }

    /// Fixed statistics.
    fn fixed(&self) -> (Vec<f32>, Vec<f32>) {
        (
            values(7, self.channels),
            values(8, self.channels).iter().map(|v| v.abs() + 0.1).collect(),
        )
    }

    fn channel(&self, c: usize) -> impl Iterator<Item = usize> + Clone {
        (c..self.x.len()).step_by(self.channels)
    }

    /// y, dx, dresidual, dgamma, dbeta, mean, var.
    fn reference(&self, mean_var: Option<&(Vec<f32>, Vec<f32>)>) -> [Vec<f64>; 7] {
        let len = self.x.len();
        let mut out: [Vec<f64>; 7] = std::array::from_fn(|i| vec![0.0; if i < 3 { len } else { self.channels }]);
        let [y, dx, dr, dgamma, dbeta, means, vars] = &mut out;
        let m = self.rows as f64;
        for c in 0..self.channels {
            let x = |i: usize| f64::from(self.x[i]);
            let (mean, var) = match mean_var {
                Some((mean, var)) => (f64::from(mean[c]), f64::from(var[c])),
                None => {
                    let mean = self.channel(c).map(x).sum::<f64>() / m;
                    (mean, self.channel(c).map(|i| (x(i) - mean).powi(2)).sum::<f64>() / m)
                }
            };
            (means[c], vars[c]) = (mean, var);
            let inverse = 1.0 / (var + 1e-5).sqrt();
            let (gamma, beta) = (f64::from(self.gamma[c]), f64::from(self.beta[c]));
            for i in self.channel(c) {
                let v =
                    (x(i) - mean) * inverse * gamma + beta + self.residual.as_ref().map_or(0.0, |r| f64::from(r[i]));
                y[i] = if self.relu { v.max(0.0) } else { v };
                dr[i] = if self.relu && v <= 0.0 {
                    0.0
                } else {
                    f64::from(self.dy[i])
                };
                dbeta[c] += dr[i];
                dgamma[c] += dr[i] * (x(i) - mean) * inverse;
            }
            for i in self.channel(c) {
                let through = if mean_var.is_some() {
                    0.0
                } else {
                    (dbeta[c] + (x(i) - mean) * inverse * dgamma[c]) / m
                };
                dx[i] = gamma * inverse * (dr[i] - through);
            }
        }
        out
    }

    fn run(&self, mean_var: Option<&(Vec<f32>, Vec<f32>)>) -> Vec<Vec<f32>> {
        let len = self.x.len();
        let (mut mean, mut var) = (garbage(self.channels), garbage(self.channels));
        match mean_var {
            Some(fixed) => (mean, var) = fixed.clone(),
            None => norm::moments(
                &self.x,
                self.channels,
                Moments {
                    mean: &mut mean,
                    var: &mut var,
                },
            )
            .unwrap(),
        }
        let (gamma, beta) = (&self.gamma, &self.beta);
        let bn = BatchNorm {
            mean: &mean,
            var: &var,
            gamma,
            beta,
            eps: 1e-5,
            relu: self.relu,
        };
        let (mut y, mut grad, mut dx) = (garbage(len), self.dy.clone(), garbage(len));
        let (mut dgamma, mut dbeta) = (garbage(self.channels), garbage(self.channels));
        bn.forward(&self.x, self.residual.as_deref(), &mut y).unwrap();
        let residual = self.residual.is_some().then_some(Residual { y: &y, dx: &mut dx });
        bn.backward(
            mean_var.is_none(),
            &self.x,
            &mut grad,
            residual,
            &mut dgamma,
            &mut dbeta,
        )
        .unwrap();
        let (dx, dr) = match self.residual {
            Some(_) => (dx, grad),
            None => (grad, dx),
        };
        vec![y, dx, dr, dgamma, dbeta, mean, var]
    }

    fn check(&self, mean_var: Option<&(Vec<f32>, Vec<f32>)>) {
        let want = self.reference(mean_var);
        on_all(
            || self.run(mean_var),
            |set, got| {
                for (i, name) in ["y", "dx", "dresidual", "dgamma", "dbeta", "mean", "var"]
                    .into_iter()
                    .enumerate()
                {
                    if name != "dresidual" || self.residual.is_some() {
                        assert_near(&format!("{set}: {name}"), &got[i], &want[i], 2e-5);
                    }
                }
            },
        );
    }
}

proptest! {
    #![proptest_config(common::cases(60))]
    #[test]
    fn training_matches(rows in 8usize..40, channels in 1usize..70, relu: bool, residual: bool) {
        Case::new(rows, channels, relu, residual).check(None);
    }

    #[test]
    fn evaluation_matches(rows in 1usize..40, channels in 1usize..70, relu: bool, residual: bool) {
        let case = Case::new(rows, channels, relu, residual);
        case.check(Some(&case.fixed()));
    }
}

#[test]
fn many_rows_match() {
    Case::new(9000, 24, true, true).check(None);
    Case::new(5000, 16, true, false).check(None);
    Case::new(300, 512, true, true).check(None);
}

#[test]
fn a_large_mean_keeps_the_variance() {
    let x: Vec<f32> = values(1, 4000).iter().map(|v| v + 3000.0).collect();
    let mean_want = x.iter().map(|&x| f64::from(x)).sum::<f64>() / 4000.0;
    let var_want = x.iter().map(|&x| (f64::from(x) - mean_want).powi(2)).sum::<f64>() / 4000.0;
    let run = || {
        let (mut mean, mut var) = (garbage(1), garbage(1));
        norm::moments(
            &x,
            1,
            Moments {
                mean: &mut mean,
                var: &mut var,
            },
        )
        .unwrap();
        vec![mean, var]
    };
    on_all(run, |set, got| {
        assert_near(&format!("{set}: mean"), &got[0], &[mean_want], 1e-6);
        assert_near(&format!("{set}: var"), &got[1], &[var_want], 1e-5);
    });
}

#[test]
fn running_statistics_move_as_in_pytorch() {
    // torch: BatchNorm1d(1, momentum=0.1) on [1, 2, 3, 6]: mean 3, biased variance 3.5, unbiased 14 / 3.
    let (mut mean, mut var) = ([0.0], [1.0]);
    norm::update_running(&[3.0], &[3.5], 4, 0.1, &mut mean, &mut var).unwrap();
    assert!((mean[0] - 0.3f32).abs() < 1e-6);
    assert!((var[0] - (0.9 + 0.1 * 14.0 / 3.0) as f32).abs() < 1e-6);
    let message = norm::update_running(&[3.0], &[3.5], 0, 0.1, &mut mean, &mut var)
        .unwrap_err()
        .to_string();
    assert!(message.contains("running statistics of no rows"), "{message}");
}

#[test]
fn channel_sums_match() {
    let x = values(1, 700 * 13);
    let want: Vec<f64> = (0..13)
        .map(|c| x.iter().skip(c).step_by(13).map(|&x| f64::from(x)).sum())
        .collect();
    let run = || {
        let mut sums = garbage(13);
        norm::channel_sums(&x, 13, &mut sums).unwrap();
        vec![sums]
    };
    on_all(run, |set, got| {
        assert_near(&format!("{set}: sums"), &got[0], &want, 1e-6)
    });
    let message = norm::channel_sums(&x, 12, &mut garbage(12)).unwrap_err().to_string();
    assert!(message.contains("9100 values are not rows of 12 channels"), "{message}");
}
