//! 3-D networks in plain `f64`, as a reference for the backbones.

use crate::testing::{Probe, close, f64s, normal, ty};
use crate::{Args, Key, Role, WeightSpec};
use serde_json::Value;
use std::collections::HashMap;

/// Weights by name.
pub(super) type Weights = HashMap<String, Vec<f64>>;

/// `[n, t, h, w, c]`.
#[derive(Clone)]
pub(super) struct Volume {
    pub n: usize,
    pub size: [usize; 3],
    pub c: usize,
    pub v: Vec<f64>,
}

/// Kernel, stride, leading and trailing padding.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub front: [usize; 3],
    pub behind: [usize; 3],
}

impl Window {
    pub(super) fn padded(kernel: [usize; 3], stride: [usize; 3], pad: [usize; 3]) -> Window {
        Window {
            kernel,
            stride,
            front: pad,
            behind: pad,
        }
    }

    /// TensorFlow's "same", by its definition: `⌈size / stride⌉` outputs.
    pub(super) fn same(size: [usize; 3], kernel: [usize; 3], stride: [usize; 3]) -> Window {
        let total = |a: usize| {
            let outputs = size[a].div_ceil(stride[a]);
            ((outputs - 1) * stride[a] + kernel[a]).saturating_sub(size[a])
        };
        Window {
            kernel,
            stride,
            front: std::array::from_fn(|a| total(a) / 2),
            behind: std::array::from_fn(|a| total(a) - total(a) / 2),
        }
    }

    fn output(&self, size: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|a| (size[a] + self.front[a] + self.behind[a] - self.kernel[a]) / self.stride[a] + 1)
    }
}

impl Volume {
    fn positions(&self) -> usize {
        self.size.iter().product()
    }

    pub(super) fn map(&self, window: Window, co: usize, value: impl Fn(&mut [f64], &[(usize, &[f64])])) -> Volume {
        let size = window.output(self.size);
        let [kt, kh, kw] = window.kernel;
        let mut v = vec![];
        for n in 0..self.n {
            for place in 0..size.iter().product() {
                let at = [place / size[2] / size[1], place / size[2] % size[1], place % size[2]];
                let mut taps = vec![];
                for tap in 0..kt * kh * kw {
                    let k = [tap / kw / kh, tap / kw % kh, tap % kw];
                    let p: [usize; 3] =
                        std::array::from_fn(|a| (at[a] * window.stride[a] + k[a]).wrapping_sub(window.front[a]));
                    if (0..3).all(|a| p[a] < self.size[a]) {
                        let i = ((n * self.size[0] + p[0]) * self.size[1] + p[1]) * self.size[2] + p[2];
                        taps.push((tap, &self.v[i * self.c..][..self.c]));
                    }
                }
                let mut out = vec![0.0; co];
                value(&mut out, &taps);
                v.extend(out);
            }
        }
        Volume {
            n: self.n,
            size,
            c: co,
            v,
        }
    }

    pub(super) fn conv(&self, weight: &[f64], window: Window) -> Volume {
        let taps: usize = window.kernel.iter().product();
        let co = weight.len() / taps / self.c;
        self.map(window, co, |out, pixels| {
            for (tap, pixel) in pixels {
                for (o, out) in out.iter_mut().enumerate() {
                    *out += pixel
                        .iter()
                        .enumerate()
                        .map(|(c, v)| v * weight[(o * self.c + c) * taps + tap])
                        .sum::<f64>();
                }
            }
        })
    }

    pub(super) fn max_pool(&self, window: Window) -> Volume {
        self.map(window, self.c, |out, pixels| {
            out.fill(f64::MIN);
            for (_, pixel) in pixels {
                out.iter_mut().zip(*pixel).for_each(|(m, v)| *m = m.max(*v));
            }
        })
    }

    pub(super) fn relu(mut self) -> Volume {
        self.v.iter_mut().for_each(|v| *v = v.max(0.0));
        self
    }

    pub(super) fn add(mut self, other: &Volume) -> Volume {
        self.v.iter_mut().zip(&other.v).for_each(|(a, b)| *a += b);
        self
    }

    /// The mean over positions, `[n, c]`.
    pub(super) fn mean(&self) -> Vec<f64> {
        let positions = self.positions();
        self.v
            .chunks(positions * self.c)
            .flat_map(|clip| {
                let mean = |c: usize| clip.iter().skip(c).step_by(self.c).sum::<f64>() / positions as f64;
                (0..self.c).map(mean).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Concatenates the channels of several volumes.
    pub(super) fn beside(parts: &[Volume]) -> Volume {
        let c = parts.iter().map(|p| p.c).sum();
        let rows = parts[0].v.len() / parts[0].c;
        let v = (0..rows)
            .flat_map(|i| parts.iter().flat_map(move |p| p.v[i * p.c..][..p.c].to_vec()))
            .collect();
        Volume {
            n: parts[0].n,
            size: parts[0].size,
            c,
            v,
        }
    }
}

/// Batch norms of a network, by the batch or by running statistics.
#[derive(Clone, Copy)]
pub(super) struct Norms<'a> {
    pub weights: &'a Weights,
    pub batch: bool,
    pub eps: f64,
}

impl Norms<'_> {
    pub(super) fn weight(&self, name: &str) -> &[f64] {
        self.weights.get(name).unwrap_or_else(|| panic!("no weight {name}"))
    }

    /// The batch norm `name` of `y`.
    pub(super) fn apply(&self, name: &str, mut y: Volume) -> Volume {
        let w = |what: &str| self.weight(&format!("{name}.{what}"));
        let (co, rows) = (y.c, (y.v.len() / y.c) as f64);
        for c in 0..co {
            let values = || y.v.iter().skip(c).step_by(co);
            let (mean, var) = match self.batch {
                false => (w("running_mean")[c], w("running_var")[c]),
                true => {
                    let mean = values().sum::<f64>() / rows;
                    (mean, values().map(|v| (v - mean).powi(2)).sum::<f64>() / rows)
                }
            };
            let (gamma, beta) = (w("weight")[c], w("bias")[c]);
            let values = y.v.iter_mut().skip(c).step_by(co);
            values.for_each(|v| *v = (*v - mean) / (var + self.eps).sqrt() * gamma + beta);
        }
        y
    }
}

/// Compares output, some of each weight's gradient and some of the input's to `reference`, a function of the weights and the
/// clips that returns all features.
pub(super) fn check(
    kind: &str,
    params: Value,
    training: bool,
    rows: usize,
    clips: [usize; 4],
    reference: impl Fn(&Weights, &Volume) -> Vec<f64>,
) {
    let [n, t, h, w] = clips;
    let clip = ty("Clip", &format!("B,{n},{t},{h},{w},3"));
    let mut p = Probe::new(kind, params, &[("clips", vec![clip])], &[])
        .unwrap()
        .unusual_weights();
    p.training = training;
    if !training {
        // Running statistics that keep values in range, as those of a trained network do.
        for spec in p.specs.clone().iter().filter(|s| s.name.ends_with("running_var")) {
            p.set(&spec.name, (p.weight(&spec.name) * 16.0).unwrap());
        }
    }
    let x = normal(5, &[rows, n, t, h, w, 3]);
    let args = Args::default().with("clips", vec![x.clone()]);
    let before: Weights = p
        .specs
        .iter()
        .map(|s| (s.name.clone(), f64s(&p.weight(&s.name))))
        .collect();
    let run = |weights: &Weights, x: &[f64]| {
        reference(
            weights,
            &Volume {
                n: rows * n,
                size: [t, h, w],
                c: 3,
                v: x.to_vec(),
            },
        )
    };
    let (out, saved) = p.forward_kept(&args).unwrap();
    close("feature", &f64s(&out[0]), &run(&before, &f64s(&x)), 2e-4);

    let seed = normal(6, out[0].dims());
    let dx = p.backward(&args, saved, vec![Some(seed.clone())]).unwrap();
    let seed = f64s(&seed);
    let objective = |weights: &Weights, x: &[f64]| run(weights, x).iter().zip(&seed).map(|(a, b)| a * b).sum::<f64>();
    let step = 1e-6;
    let compare = |what: &str, i: usize, found: &[f64], at: &dyn Fn(f64) -> f64| {
        let scale = found.iter().fold(1e-2f64, |m, v| m.max(v.abs()));
        let numeric = (at(step) - at(-step)) / (2.0 * step);
        let error = (found[i] - numeric).abs() / scale;
        assert!(
            error < 2e-3,
            "{what}[{i}]: {} and {numeric} is right (scale {scale})",
            found[i]
        );
    };
    // All weights of convolutions, and every third of the norms'.
    let looked_at = |(i, s): &(usize, &WeightSpec)| s.role == Role::Weight || s.role != Role::Buffer && i % 3 == 0;
    for (_, spec) in p.specs.iter().enumerate().filter(looked_at) {
        let found = f64s(
            &p.grad(&spec.name)
                .unwrap_or_else(|| panic!("no gradient of {}", spec.name)),
        );
        let i = Key::new(0).name(&spec.name).rng().below(found.len());
        compare(&spec.name, i, &found, &|d| {
            let mut w = before.clone();
            w.get_mut(&spec.name).unwrap()[i] += d;
            objective(&w, &f64s(&x))
        });
    }
    let found = f64s(dx[0].as_ref().unwrap());
    for pick in 0..4 {
        let i = Key::new(pick).name("clips").rng().below(found.len());
        compare("clips", i, &found, &|d| {
            let mut v = f64s(&x);
            v[i] += d;
            objective(&before, &v)
        });
    }
}
