//! Batch norm, against the CPU's.

mod common;
use common::{BF16, F32, Host, Kind, channels, kinds, on_host, values};
use glad_cuda::{Number, norm};
use glad_ops::conv::Moments;
use glad_ops::{BatchNorm, Residual};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
struct Case {
    rows: usize,
    channels: usize,
    kind: Kind,
    relu: bool,
    residual: bool,
    batch: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    // Enough rows for several blocks, with few channels to stay fast.
    let few = prop_oneof![1usize..9, Just(16usize)];
    let sizes = prop_oneof![2 => (1usize..300, channels()), 1 => (1000usize..5000, few)];
    (sizes, kinds(), any::<bool>(), any::<u64>()).prop_map(|((rows, channels), kind, batch, seed)| Case {
        rows,
        channels,
        kind,
        relu: false,
        residual: false,
        batch,
        seed,
    })
}

impl Case {
    /// The same with and without ReLU and residual, in both types.
    fn all(self) -> impl Iterator<Item = Case> {
        (0..8).map(move |i| {
            let number = if i & 1 == 0 { Number::F32 } else { Number::Bf16 };
            Case {
                kind: Kind { number, ..self.kind },
                relu: i & 2 != 0,
                residual: i & 4 != 0,
                ..self
            }
        })
    }

    fn len(&self) -> usize {
        self.rows * self.channels
    }

    /// Activations with a different mean in every channel, large compared to their spread.
    fn x(&self) -> Vec<f32> {
        let mut x = values(self.seed, self.len());
        for (i, x) in x.iter_mut().enumerate() {
            *x += (i % self.channels % 5) as f32 * 3.0;
        }
        self.kind.rounded(x)
    }

    fn of_channels(&self, which: u64) -> Vec<f32> {
        values(self.seed ^ which, self.channels)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn moments_and_channel_sums(case in cases()) {
        let Case { rows, channels, kind, .. } = case;
        let x = case.x();
        let mut expected = [(); 5].map(|()| vec![0.0; channels]);
        let [mean, var, running_mean, running_var, sums] = &mut expected;
        glad_ops::norm::moments(&x, channels, Moments { mean, var }).unwrap();
        running_mean.copy_from_slice(&case.of_channels(1));
        running_var.fill(1.0);
        glad_ops::norm::update_running(mean, var, rows, 0.1, running_mean, running_var).unwrap();
        glad_ops::norm::channel_sums(&x, channels, sums).unwrap();
        let got = on_host(|host| {
            let x = kind.put(host, &x);
            let [mut mean, mut var, mut sums] = [(); 3].map(|()| F32.room(host, channels));
            let (mut running_mean, mut running_var) =
                (F32.put(host, &case.of_channels(1)), F32.put(host, &vec![1.0; channels]));
            norm::moments(host, x.read(), channels, mean.write(), var.write())?;
            norm::update_running(
                host, mean.read(), var.read(), rows, 0.1, running_mean.write(), running_var.write(),
            )?;
            norm::channel_sums(host, x.read(), channels, sums.write())?;
            Ok([mean, var, running_mean, running_var, sums].map(|o| o.get()))
        });
        for (i, name) in ["mean", "var", "running mean", "running var"].into_iter().enumerate() {
            F32.assert_near(name, &got[i], &expected[i], 1.0);
        }
        F32.assert_near("sums", &got[4], &expected[4], rows as f32);
    }

    #[test]
    fn forward(case in cases()) {
        case.all().for_each(check_forward);
    }

    #[test]
    fn backward(case in cases()) {
        case.all().for_each(check_backward);
    }
}

fn check_forward(case: Case) {
    let Case { kind, relu, .. } = case;
    let (x, residual) = (case.x(), kind.rounded(values(case.seed ^ 9, case.len())));
    let residual = case.residual.then_some(residual);
    let [mean, gamma, beta] = [1, 2, 3].map(|i| case.of_channels(i));
    let var: Vec<f32> = case.of_channels(4).iter().map(|v| v.abs() + 0.1).collect();
    let mut expected = vec![0.0; case.len()];
    BatchNorm {
        mean: &mean,
        var: &var,
        gamma: &gamma,
        beta: &beta,
        eps: 1e-5,
        relu,
    }
    .forward(&x, residual.as_deref(), &mut expected)
    .unwrap();
    let [y] = on_host(|host| {
        let (x, mut y) = (kind.put(host, &x), kind.room(host, case.len()));
        let residual = residual.as_ref().map(|r| kind.put(host, r));
        let [mean, var, gamma, beta] = [&mean, &var, &gamma, &beta].map(|v| F32.put(host, v));
        norm::BatchNorm {
            mean: mean.read(),
            var: var.read(),
            gamma: gamma.read(),
            beta: beta.read(),
            eps: 1e-5,
            relu,
        }
        .forward(host, x.read(), residual.as_ref().map(|r| r.read()), y.write())?;
        Ok([y.get()])
    });
    kind.assert_near("y", &y, &expected, 20.0);
}

fn check_backward(case: Case) {
    let Case {
        channels,
        kind,
        relu,
        batch,
        ..
    } = case;
    let x = case.x();
    let [gamma, beta] = [2, 3].map(|i| case.of_channels(i));
    let (mut mean, mut var) = (case.of_channels(1), vec![0.7; channels]);
    if batch {
        glad_ops::norm::moments(
            &x,
            channels,
            Moments {
                mean: &mut mean,
                var: &mut var,
            },
        )
        .unwrap();
    }
    let on_cpu = BatchNorm {
        mean: &mean,
        var: &var,
        gamma: &gamma,
        beta: &beta,
        eps: 1e-3,
        relu,
    };
    let residual = case.residual.then(|| kind.rounded(values(case.seed ^ 9, case.len())));
    let (mut y, mut before) = (vec![0.0; case.len()], vec![0.0; case.len()]);
    on_cpu.forward(&x, residual.as_deref(), &mut y).unwrap();
    BatchNorm { relu: false, ..on_cpu }
        .forward(&x, residual.as_deref(), &mut before)
        .unwrap();
    let y = kind.rounded(y);
    // Rounding may move a value across the ReLU's kink, so values near it get no gradient.
    let mut dy = kind.rounded(values(case.seed ^ 5, case.len()));
    dy.iter_mut()
        .zip(&before)
        .filter(|(_, y)| y.abs() < 1e-4)
        .for_each(|(dy, _)| *dy = 0.0);

    let mut expected = [
        dy.clone(),
        vec![0.0; case.len()],
        vec![0.0; channels],
        vec![0.0; channels],
    ];
    let [grad, dx, dgamma, dbeta] = &mut expected;
    let more = case.residual.then_some(Residual { y: &y, dx });
    on_cpu.backward(batch, &x, grad, more, dgamma, dbeta).unwrap();
    let got = on_host(|host| {
        let [x, y] = [&x, &y].map(|v| kind.put(host, v));
        let (mut grad, mut dx) = (kind.put(host, &dy), kind.room(host, case.len()));
        let [mut dgamma, mut dbeta] = [(); 2].map(|()| F32.room(host, channels));
        let [mean, var, gamma, beta] = [&mean, &var, &gamma, &beta].map(|v| F32.put(host, v));
        let residual = case.residual.then(|| norm::Residual {
            y: y.read(),
            dx: dx.write(),
        });
        norm::BatchNorm {
            mean: mean.read(),
            var: var.read(),
            gamma: gamma.read(),
            beta: beta.read(),
            eps: 1e-3,
            relu,
        }
        .backward(
            host,
            batch,
            x.read(),
            grad.write(),
            residual,
            dgamma.write(),
            dbeta.write(),
        )?;
        Ok([grad.get(), dx.get(), dgamma.get(), dbeta.get()])
    });
    // The size of the sums' terms: with fixed statistics, x − mean is up to 13.
    let rows = case.rows as f32;
    let inverse = var.iter().fold(0f32, |m, v| m.max(1.0 / (v + 1e-3).sqrt()));
    F32.assert_near("dgamma", &got[2], &expected[2], rows * 14.0);
    F32.assert_near("dbeta", &got[3], &expected[3], rows);
    kind.assert_near("grad", &got[0], &expected[0], 20.0 * inverse.powi(3));
    if case.residual {
        kind.assert_near("dx", &got[1], &expected[1], 20.0 * inverse.powi(3));
    }
}

/// Enough rows that every thread loops, with the maximum number of blocks; and rows wider than a block.
#[test]
fn large() {
    for (rows, channels, kind) in [(20_000, 64, F32), (40_000, 64, BF16), (9, 2056, F32), (50, 4104, BF16)] {
        let x = kind.rounded(values(3, rows * channels));
        let (mut mean, mut var) = (vec![0.0; channels], vec![0.0; channels]);
        let moments = Moments {
            mean: &mut mean,
            var: &mut var,
        };
        glad_ops::norm::moments(&x, channels, moments).unwrap();
        let got = on_host(|host| {
            let x = kind.put(host, &x);
            let [mut mean, mut var] = [(); 2].map(|()| F32.room(host, channels));
            norm::moments(host, x.read(), channels, mean.write(), var.write())?;
            Ok([mean.get(), var.get()])
        });
        F32.assert_near("mean", &got[0], &mean, 0.1);
        F32.assert_near("var", &got[1], &var, 0.1);
    }
}

/// The spread of numbers about a mean that is ten thousand times as large.
#[test]
fn a_large_mean_costs_no_precision() {
    let x: Vec<f32> = values(1, 3000).iter().map(|v| 10_000.0 + v).collect();
    let (mut mean, mut var) = ([0.0], [0.0]);
    let of = x.iter().map(|x| f64::from(*x)).sum::<f64>() / 3000.0;
    let spread = x.iter().map(|x| (f64::from(*x) - of).powi(2)).sum::<f64>() / 3000.0;
    let host = Host::new();
    let (x, mut a, mut b) = (F32.put(&host, &x), F32.room(&host, 1), F32.room(&host, 1));
    norm::moments(&host, x.read(), 1, a.write(), b.write()).unwrap();
    (mean[0], var[0]) = (a.get()[0], b.get()[0]);
    assert_eq!(mean[0], of as f32);
    assert!(
        (f64::from(var[0]) - spread).abs() < 1e-6 * spread,
        "{} {spread}",
        var[0]
    );
}

#[test]
fn mistakes_are_reported() {
    let host = Host::new();
    let (x, mut few, mut of_3) = (F32.put(&host, &[1.0; 6]), F32.room(&host, 2), F32.room(&host, 3));
    let printed = |r: glad_cuda::Result<()>| r.unwrap_err().to_string();
    assert_eq!(
        printed(norm::channel_sums(&host, x.read(), 4, few.write())),
        "batch norm: 6 values are not rows of 4 channels"
    );
    assert_eq!(
        printed(norm::channel_sums(&host, x.read(), 3, few.write())),
        "batch norm: `sums` holds 2 values, but 3 are expected"
    );
    let empty = F32.put(&host, &[]);
    assert!(printed(norm::channel_sums(&host, empty.read(), 3, of_3.write())).contains("0 values are not rows"));
    let mut narrow = BF16.room(&host, 3);
    assert_eq!(
        printed(norm::channel_sums(&host, x.read(), 3, narrow.write())),
        "batch norm: `sums` holds Bf16, and F32 is needed"
    );
}
