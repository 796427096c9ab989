//! The small graph's network, SGD and Adam once more, in f64 and by hand: nothing here is shared with the program.
//!
//! Both streams go through `embed` (linear); the source's rows through `classify` (linear) into a cross-entropy, all rows
//! through a gradient reversal and `judge` (linear, one output) into a binary cross-entropy.

use super::kinds::{CLASSES, FEATURES, Row, class};
use std::collections::BTreeMap;

/// Outputs of `embed`.
pub(super) const WIDTH: usize = 4;

/// Numbers by weight.
pub(super) type Numbers = BTreeMap<String, Vec<f64>>;

/// What a step's forward and backward pass give.
pub(super) struct Pass {
    pub ce: f64,
    pub adv: f64,
    pub ce_accuracy: f64,
    pub adv_accuracy: f64,
    pub grads: Numbers,
}

/// `W x + b`.
pub(super) fn linear(w: &[f64], b: &[f64], x: &[f64]) -> Vec<f64> {
    let row = |(w, b): (&[f64], &f64)| b + w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    w.chunks(x.len()).zip(b).map(row).collect()
}

/// Adds the gradients of a linear layer's weights, and gives that of its input.
fn linear_back(grads: &mut Numbers, name: &str, w: &[f64], x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; x.len()];
    for (o, d) in dy.iter().enumerate() {
        grads.get_mut(&format!("{name}.bias")).unwrap()[o] += d;
        let row = o * x.len()..(o + 1) * x.len();
        let dw = &mut grads.get_mut(&format!("{name}.weight")).unwrap()[row.clone()];
        for (((dw, dx), x), w) in dw.iter_mut().zip(&mut dx).zip(x).zip(&w[row]) {
            *dw += d * x;
            *dx += d * w;
        }
    }
    dx
}

/// Losses and gradients of the rows of a step, with the weights of the two losses and the strength of the reversal.
pub(super) fn pass(weights: &Numbers, rows: &[Row], of: [f64; 2], reversal: f64) -> Pass {
    let w = |name: &str| weights[name].as_slice();
    let mut out = Pass {
        ce: 0.0,
        adv: 0.0,
        ce_accuracy: 0.0,
        adv_accuracy: 0.0,
        grads: weights.iter().map(|(n, v)| (n.clone(), vec![0.0; v.len()])).collect(),
    };
    let sources = rows.iter().filter(|r| r.stream == 0).count() as f64;
    for row in rows {
        assert_eq!(row.x.len(), FEATURES);
        let h = linear(w("embed.weight"), w("embed.bias"), &row.x);
        let mut dh = vec![0.0; WIDTH];
        if row.stream == 0 {
            let logits = linear(w("classify.weight"), w("classify.bias"), &h);
            let sum: f64 = logits.iter().map(|z| z.exp()).sum();
            let label = class(row.video);
            out.ce += (sum.ln() - logits[label]) / sources;
            let best = (0..CLASSES).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
            out.ce_accuracy += f64::from(u8::from(best == Some(label))) / sources;
            let one = |k: usize| f64::from(u8::from(k == label));
            let dz: Vec<f64> = (0..CLASSES)
                .map(|k| of[0] * (logits[k].exp() / sum - one(k)) / sources)
                .collect();
            dh = linear_back(&mut out.grads, "classify", w("classify.weight"), &h, &dz);
        }
        let z = linear(w("judge.weight"), w("judge.bias"), &h)[0];
        let (t, n) = (if row.stream == 0 { 1.0 } else { 0.0 }, rows.len() as f64);
        out.adv += ((1.0 + z.exp()).ln() - z * t) / n;
        out.adv_accuracy += f64::from(u8::from((z > 0.0) == (t == 1.0))) / n;
        let dz = of[1] * (1.0 / (1.0 + (-z).exp()) - t) / n;
        let back = linear_back(&mut out.grads, "judge", w("judge.weight"), &h, &[dz]);
        dh.iter_mut().zip(back).for_each(|(dh, b)| *dh -= reversal * b);
        linear_back(&mut out.grads, "embed", w("embed.weight"), &row.x, &dh);
    }
    out
}

/// Adam, or AdamW, as their papers define them.
#[derive(Clone, Copy)]
pub(super) struct Adam {
    pub betas: [f64; 2],
    pub eps: f64,
    pub decoupled: bool,
}

/// What an optimiser keeps, by weight: momentum, or the first moment, and the second one.
#[derive(Default)]
pub(super) struct Moments {
    first: Numbers,
    second: Numbers,
}

/// SGD as PyTorch defines it, or Adam, and how the small graph is trained.
pub(super) struct Training {
    /// The learning rate of each step.
    pub lr: Vec<f64>,
    pub momentum: f64,
    pub nesterov: bool,
    /// Instead of SGD.
    pub adam: Option<Adam>,
    pub clip: Option<f64>,
    /// What a weight's learning rate is multiplied with, and its decay.
    pub group: fn(&str) -> (f64, f64),
    /// Whether a weight is trained.
    pub trains: fn(&str) -> bool,
    /// Weights of the two losses.
    pub losses: [f64; 2],
    /// What these are multiplied with at step `k`.
    pub grow: fn(usize) -> [f64; 2],
    /// Strength of the gradient reversal at each step.
    pub reversal: Vec<f64>,
}

impl Training {
    /// These learning rates, and nothing else.
    pub(super) fn plain(lr: &[f64]) -> Training {
        Training {
            lr: lr.to_vec(),
            momentum: 0.0,
            nesterov: false,
            adam: None,
            clip: None,
            group: |_| (1.0, 0.0),
            trains: |_| true,
            losses: [1.0, 0.5],
            grow: |_| [1.0; 2],
            reversal: vec![1.0; lr.len()],
        }
    }

    /// Takes step `k` on these rows. Gives what is logged: the losses, their accuracies, the total and the gradient's norm.
    pub(super) fn step(
        &self,
        k: usize,
        weights: &mut Numbers,
        kept: &mut Moments,
        rows: &[Row],
    ) -> Vec<(&'static str, f64)> {
        let grown = (self.grow)(k);
        let losses = [self.losses[0] * grown[0], self.losses[1] * grown[1]];
        let mut found = pass(weights, rows, losses, self.reversal[k]);
        found.grads.retain(|name, _| (self.trains)(name));
        let times = |_: &str| k + 1;
        let norm = self.update(self.lr[k], &found.grads, weights, kept, times);
        vec![
            ("ce", found.ce),
            ("adv", found.adv),
            ("ce.accuracy", found.ce_accuracy),
            ("adv.accuracy", found.adv_accuracy),
            ("loss", losses[0] * found.ce + losses[1] * found.adv),
            ("grad_norm", norm),
            ("lr", self.lr[k]),
        ]
    }

    /// Moves weights at a rate `lr`, and gives the norm of their gradient: `times` is how often a weight has been moved with
    /// this.
    pub(super) fn update(
        &self,
        lr: f64,
        grads: &Numbers,
        weights: &mut Numbers,
        kept: &mut Moments,
        mut times: impl FnMut(&str) -> usize,
    ) -> f64 {
        let norm = grads.values().flatten().map(|g| g * g).sum::<f64>().sqrt();
        let clip = match self.clip {
            Some(most) => (most / (norm + 1e-6)).min(1.0),
            None => 1.0,
        };
        for (name, grad) in grads {
            let (scale, decay) = (self.group)(name);
            let w = weights.get_mut(name).unwrap();
            let rate = scale * lr;
            let d: Vec<f64> = match self.adam {
                Some(Adam { decoupled: true, .. }) => {
                    w.iter_mut().for_each(|w| *w -= rate * decay * *w);
                    grad.iter().map(|g| clip * g).collect()
                }
                _ => grad.iter().zip(&*w).map(|(g, w)| clip * g + decay * w).collect(),
            };
            let updates = match self.adam {
                Some(adam) => adam.updates(times(name), &d, kept, name),
                None => self.sgd(&d, &mut kept.first, name),
            };
            w.iter_mut().zip(updates).for_each(|(w, u)| *w -= rate * u);
        }
        norm
    }

    /// What a weight moves by, of a learning rate of 1.
    fn sgd(&self, d: &[f64], momentum: &mut Numbers, name: &str) -> Vec<f64> {
        let buffer = match momentum.get_mut(name) {
            Some(b) => {
                b.iter_mut().zip(d).for_each(|(b, d)| *b = self.momentum * *b + d);
                b
            }
            None => momentum.entry(name.to_owned()).or_insert(d.to_vec()),
        };
        let update = |(d, b): (&f64, &f64)| match self.nesterov {
            true => d + self.momentum * b,
            false => *b,
        };
        d.iter().zip(&*buffer).map(update).collect()
    }
}

impl Adam {
    /// What a weight moves by when it is moved for the `t`-th time, of a learning rate of 1.
    fn updates(&self, t: usize, d: &[f64], kept: &mut Moments, name: &str) -> Vec<f64> {
        let [b1, b2] = self.betas;
        let zeros = || vec![0.0; d.len()];
        let first = kept.first.entry(name.to_owned()).or_insert_with(zeros);
        let second = kept.second.entry(name.to_owned()).or_insert_with(zeros);
        let t = t as i32;
        let update = |((d, m), v): ((&f64, &mut f64), &mut f64)| {
            *m = b1 * *m + (1.0 - b1) * d;
            *v = b2 * *v + (1.0 - b2) * d * d;
            (*m / (1.0 - b1.powi(t))) / ((*v / (1.0 - b2.powi(t))).sqrt() + self.eps)
        };
        d.iter().zip(first).zip(second).map(update).collect()
    }
}
