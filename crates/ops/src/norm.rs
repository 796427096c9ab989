//! Batch normalisation fused with what follows it: `y = relu(γ (x − mean) / √(var + ε) + β + residual)`
//! (Ioffe and Szegedy, 2015).
//!
//! Statistics come from [`moments`], or from the epilogue of the convolution before ([`crate::Epilogue`]), in training;
//! in evaluation they are the running ones. All tensors are `[rows, channels]`.

use crate::conv::Moments;
use crate::error::{Result, check_len, shape};
use crate::isa::{self, per_isa};
use crate::parallel::{self, Shared, chunk_of};
use crate::scratch;

const OP: &str = "batch norm";

/// Values of a chunk; sums within one are `f32`, sums of chunks `f64`.
const CHUNK: usize = 1 << 15;
/// Values of a period at least: long enough for loops over it to be worth vectors.
const PERIOD: usize = 256;

/// Parameters and statistics of a normalisation; every slice is `[channels]`.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm<'a> {
    /// The mean: the batch's in training, the running one in evaluation.
    pub mean: &'a [f32],
    /// The variance; the batch's is the biased one.
    pub var: &'a [f32],
    /// The scale γ.
    pub gamma: &'a [f32],
    /// The offset β.
    pub beta: &'a [f32],
    /// ε, 1e-5 usually.
    pub eps: f32,
    /// Whether negative results become zero.
    pub relu: bool,
}

/// Inputs and outputs of the backward pass where a residual was added.
#[derive(Debug)]
pub struct Residual<'a> {
    /// The output of the forward pass.
    pub y: &'a [f32],
    /// Receives the gradient of `x`.
    pub dx: &'a mut [f32],
}

/// Per-channel values repeated, so that loops over short pixels become loops over long ones.
struct Periods {
    channels: usize,
    period: usize,
    chunk: usize,
}

impl Periods {
    fn new(channels: usize) -> Self {
        // Whole pixels and, for the usual channel counts, whole vectors.
        let unit = if channels.is_multiple_of(16) {
            channels
        } else {
            channels * 16
        };
        let period = unit * PERIOD.div_ceil(unit);
        Self {
            channels,
            period,
            chunk: period * CHUNK.div_ceil(period),
        }
    }

    /// Repeats each list of per-channel values over a period, one period after the other.
    fn expand<const N: usize>(&self, lists: [&dyn Fn(usize) -> f32; N]) -> scratch::Scratch {
        let mut all = scratch::take(N * self.period);
        for (list, part) in lists.iter().zip(all.chunks_exact_mut(self.period)) {
            let (first, rest) = part.split_at_mut(self.channels);
            first.iter_mut().enumerate().for_each(|(c, value)| *value = list(c));
            rest.chunks_exact_mut(self.channels)
                .for_each(|pixel| pixel.copy_from_slice(first));
        }
        all
    }

    /// Two sums per channel over all chunks of `len` values. `sum(at, len, a, b)` adds those of one chunk to the
    /// zeroed periods `a` and `b`.
    fn sums(&self, len: usize, sum: impl Fn(usize, usize, &mut [f32], &mut [f32]) + Sync + Send) -> Vec<[f64; 2]> {
        let chunks = len.div_ceil(self.chunk);
        let mut partial = vec![[0.0f64; 2]; chunks * self.channels];
        let shared = Shared::new(&mut partial);
        parallel::run(chunks, len, |i| {
            let (at, len) = chunk_of(len, self.chunk, i);
            let mut buffer = scratch::take_zeroed(2 * self.period);
            let (a, b) = buffer.split_at_mut(self.period);
            sum(at, len, a, b);
            // SAFETY: chunk `i` alone writes this part of `partial`.
            let mine = unsafe { shared.part(i * self.channels, self.channels) };
            for (a, b) in a.chunks_exact(self.channels).zip(b.chunks_exact(self.channels)) {
                for ((mine, a), b) in mine.iter_mut().zip(a).zip(b) {
                    mine[0] += f64::from(*a);
                    mine[1] += f64::from(*b);
                }
            }
        });
        let mut total = vec![[0.0f64; 2]; self.channels];
        for chunk in partial.chunks_exact(self.channels) {
            for (total, part) in total.iter_mut().zip(chunk) {
                total[0] += part[0];
                total[1] += part[1];
            }
        }
        total
    }

    /// Runs `body(at, len)` on every chunk.
    fn each(&self, len: usize, body: impl Fn(usize, usize) + Sync + Send) {
        parallel::run(len.div_ceil(self.chunk), len, |i| {
            let (at, len) = chunk_of(len, self.chunk, i);
            body(at, len);
        });
    }
}

per_isa! {
    /// Adds `x − pivot` and its square to periods.
    fn add_moments(x: &[f32], pivot: &[f32], sum: &mut [f32], squares: &mut [f32]) {
        for x in x.chunks(pivot.len()) {
            for (((x, pivot), sum), squares) in x.iter().zip(pivot).zip(sum.iter_mut()).zip(squares.iter_mut()) {
                let d = x - pivot;
                *sum += d;
                *squares += d * d;
            }
        }
    }
}

/// Mean and biased variance of each channel of `x`, `[rows, channels]`.
///
/// # Errors
/// No rows, or lengths that do not fit.
pub fn moments(x: &[f32], channels: usize, moments: Moments) -> Result<()> {
    let rows = rows(x, channels)?;
    check_len(OP, "mean", moments.mean.len(), channels)?;
    check_len(OP, "var", moments.var.len(), channels)?;
    let periods = Periods::new(channels);
    let isa = isa::current();
    // Sums are taken about the first row: a large mean then costs no precision.
    let pivot = periods.expand([&|c| x[c]]);
    let pivot: &[f32] = &pivot;
    let sums = periods.sums(x.len(), |at, len, a, b| add_moments(isa, &x[at..at + len], pivot, a, b));
    for (c, [sum, squares]) in sums.into_iter().enumerate() {
        let mean = sum / rows as f64;
        moments.mean[c] = (f64::from(x[c]) + mean) as f32;
        moments.var[c] = (squares / rows as f64 - mean * mean).max(0.0) as f32;
    }
    Ok(())
}

/// Moves running statistics towards those of a batch of `rows`:
/// `running = (1 − momentum) · running + momentum · batch`, with the variance made unbiased, as in PyTorch.
///
/// # Errors
/// Lengths that do not fit, or no rows.
pub fn update_running(
    mean: &[f32],
    var: &[f32],
    rows: usize,
    momentum: f32,
    running_mean: &mut [f32],
    running_var: &mut [f32],
) -> Result<()> {
    check_len(OP, "var", var.len(), mean.len())?;
    check_len(OP, "running_mean", running_mean.len(), mean.len())?;
    check_len(OP, "running_var", running_var.len(), mean.len())?;
    if rows == 0 {
        return Err(shape(OP, "running statistics of no rows"));
    }
    // One row has no unbiased variance; PyTorch raises an error in training, here the biased one (zero) is used.
    let unbias = rows as f32 / (rows - 1).max(1) as f32;
    for (running, new) in running_mean.iter_mut().zip(mean) {
        *running += momentum * (new - *running);
    }
    for (running, new) in running_var.iter_mut().zip(var) {
        *running += momentum * (new * unbias - *running);
    }
    Ok(())
}

fn rows(x: &[f32], channels: usize) -> Result<usize> {
    if channels == 0 || x.is_empty() || !x.len().is_multiple_of(channels) {
        return Err(shape(
            OP,
            format!("{} values are not rows of {channels} channels", x.len()),
        ));
    }
    Ok(x.len() / channels)
}

/// Negative values become zero; NaN stays NaN.
#[inline(always)]
fn rectify(v: f32) -> f32 {
    if v < 0.0 { 0.0 } else { v }
}

per_isa! {
    /// `y = relu(scale · x + offset + residual)` over periods.
    fn apply(x: &[f32], residual: Option<&[f32]>, scale: &[f32], offset: &[f32], relu: bool, y: &mut [f32]) {
        let period = scale.len();
        match residual {
            None => {
                for (x, y) in x.chunks(period).zip(y.chunks_mut(period)) {
                    let all = x.iter().zip(scale).zip(offset).zip(y);
                    if relu {
                        all.for_each(|(((x, a), b), y)| *y = rectify(x * a + b));
                    } else {
                        all.for_each(|(((x, a), b), y)| *y = x * a + b);
                    }
                }
            }
            Some(residual) => {
                for ((x, r), y) in x.chunks(period).zip(residual.chunks(period)).zip(y.chunks_mut(period)) {
                    let all = x.iter().zip(scale).zip(offset).zip(r).zip(y);
                    if relu {
                        all.for_each(|((((x, a), b), r), y)| *y = rectify(x * a + b + r));
                    } else {
                        all.for_each(|((((x, a), b), r), y)| *y = x * a + b + r);
                    }
                }
            }
        }
    }
}

per_isa! {
    /// The gradient before the ReLU: zero where the output is.
    fn mask(y: &[f32], grad: &mut [f32]) {
        y.iter().zip(grad).for_each(|(y, grad)| *grad = if *y > 0.0 { *grad } else { 0.0 });
    }
}

per_isa! {
    /// Adds `d` and `d · (x − mean)` to periods.
    fn add_grads(x: &[f32], d: &[f32], mean: &[f32], sum: &mut [f32], product: &mut [f32]) {
        let period = mean.len();
        for (x, d) in x.chunks(period).zip(d.chunks(period)) {
            let sums = sum.iter_mut().zip(product.iter_mut());
            for (((x, d), mean), (sum, product)) in x.iter().zip(d).zip(mean).zip(sums) {
                *sum += d;
                *product += d * (x - mean);
            }
        }
    }
}

per_isa! {
    /// The same with a ReLU after it, whose mask is recomputed.
    fn add_grads_relu(x: &[f32], dy: &[f32], factors: [&[f32]; 3], sum: &mut [f32], product: &mut [f32]) {
        let [mean, scale, offset] = factors;
        let period = mean.len();
        for (x, dy) in x.chunks(period).zip(dy.chunks(period)) {
            let sums = sum.iter_mut().zip(product.iter_mut());
            let factors = mean.iter().zip(scale).zip(offset);
            for (((x, dy), ((mean, scale), offset)), (sum, product)) in x.iter().zip(dy).zip(factors).zip(sums) {
                let d = if x * scale + offset > 0.0 { *dy } else { 0.0 };
                *sum += d;
                *product += d * (x - mean);
            }
        }
    }
}

per_isa! {
    /// `dx = scale · d − by_x · (x − mean) − constant`.
    fn input_grad(x: &[f32], d: &[f32], factors: [&[f32]; 4], dx: &mut [f32]) {
        let [mean, scale, by_x, constant] = factors;
        let period = mean.len();
        for ((x, d), dx) in x.chunks(period).zip(d.chunks(period)).zip(dx.chunks_mut(period)) {
            let factors = mean.iter().zip(scale).zip(by_x.iter().zip(constant));
            for (((x, d), ((mean, scale), (by_x, constant))), dx) in x.iter().zip(d).zip(factors).zip(dx) {
                *dx = d * scale - (x - mean) * by_x - constant;
            }
        }
    }
}

per_isa! {
    /// The same in place, with a ReLU after it if `relu`, whose mask is recomputed.
    fn input_grad_in_place(x: &[f32], relu: bool, factors: [&[f32]; 5], grad: &mut [f32]) {
        let [mean, scale, offset, by_x, constant] = factors;
        let period = mean.len();
        for (x, grad) in x.chunks(period).zip(grad.chunks_mut(period)) {
            let factors = mean.iter().zip(scale.iter().zip(offset)).zip(by_x.iter().zip(constant));
            for ((x, grad), ((mean, (scale, offset)), (by_x, constant))) in x.iter().zip(grad).zip(factors) {
                let d = if !relu || x * scale + offset > 0.0 { *grad } else { 0.0 };
                *grad = d * scale - (x - mean) * by_x - constant;
            }
        }
    }
}

impl BatchNorm<'_> {
    fn check(&self, x: &[f32]) -> Result<usize> {
        let channels = self.gamma.len();
        check_len(OP, "mean", self.mean.len(), channels)?;
        check_len(OP, "var", self.var.len(), channels)?;
        check_len(OP, "beta", self.beta.len(), channels)?;
        rows(x, channels)
    }

    fn inverse(&self, c: usize) -> f64 {
        1.0 / (f64::from(self.var[c]) + f64::from(self.eps)).sqrt()
    }

    fn scale(&self, c: usize) -> f32 {
        (f64::from(self.gamma[c]) * self.inverse(c)) as f32
    }

    fn offset(&self, c: usize) -> f32 {
        (f64::from(self.beta[c]) - f64::from(self.mean[c]) * f64::from(self.scale(c))) as f32
    }

    /// `y = relu(γ (x − mean) / √(var + ε) + β + residual)`.
    ///
    /// # Errors
    /// Lengths that do not fit.
    pub fn forward(&self, x: &[f32], residual: Option<&[f32]>, y: &mut [f32]) -> Result<()> {
        self.check(x)?;
        check_len(OP, "y", y.len(), x.len())?;
        if let Some(residual) = residual {
            check_len(OP, "residual", residual.len(), x.len())?;
        }
        let periods = Periods::new(self.gamma.len());
        let isa = isa::current();
        let expanded = periods.expand([&|c| self.scale(c), &|c| self.offset(c)]);
        let (scale, offset) = expanded.split_at(periods.period);
        let y = Shared::new(y);
        periods.each(x.len(), |at, len| {
            // SAFETY: chunks are disjoint, and `y` is as long as `x`.
            let y = unsafe { y.part(at, len) };
            apply(
                isa,
                &x[at..at + len],
                residual.map(|r| &r[at..at + len]),
                scale,
                offset,
                self.relu,
                y,
            );
        });
        Ok(())
    }

    /// The gradients. `grad` is that of the output, and becomes that of `x`; with a residual it becomes that of the
    /// residual, and `residual.dx` takes that of `x`. With `batch` the mean and the variance are those of `x` and carry
    /// gradient (training); without they are constants (evaluation, frozen statistics).
    ///
    /// # Errors
    /// Lengths that do not fit.
    pub fn backward(
        &self,
        batch: bool,
        x: &[f32],
        grad: &mut [f32],
        residual: Option<Residual>,
        dgamma: &mut [f32],
        dbeta: &mut [f32],
    ) -> Result<()> {
        let rows = self.check(x)?;
        let channels = self.gamma.len();
        check_len(OP, "grad", grad.len(), x.len())?;
        check_len(OP, "dgamma", dgamma.len(), channels)?;
        check_len(OP, "dbeta", dbeta.len(), channels)?;
        if let Some(residual) = &residual {
            check_len(OP, "residual.y", residual.y.len(), x.len())?;
            check_len(OP, "residual.dx", residual.dx.len(), x.len())?;
        }
        let isa = isa::current();
        let periods = Periods::new(channels);
        let period = periods.period;
        let expanded = periods.expand([&|c| self.mean[c], &|c| self.scale(c), &|c| self.offset(c)]);
        let (mean, rest) = expanded.split_at(period);
        let (scale, offset) = rest.split_at(period);

        // The gradient before the ReLU: with a residual it is stored, otherwise recomputed from `x` each time.
        let grad = Shared::new(grad);
        let (y, dx) = match residual {
            Some(Residual { y, dx }) => (Some(y), Some(Shared::new(dx))),
            None => (None, None),
        };
        let sums = periods.sums(x.len(), |at, len, a, b| {
            // SAFETY: chunks are disjoint, and the gradient is as long as `x`.
            let (x, grad) = (&x[at..at + len], unsafe { grad.part(at, len) });
            match y {
                None if self.relu => return add_grads_relu(isa, x, grad, [mean, scale, offset], a, b),
                Some(y) if self.relu => mask(isa, &y[at..at + len], grad),
                _ => {}
            }
            add_grads(isa, x, grad, mean, a, b);
        });
        for (c, [sum, product]) in sums.iter().enumerate() {
            dbeta[c] = *sum as f32;
            dgamma[c] = (product * self.inverse(c)) as f32;
        }
        let share = if batch { 1.0 / rows as f64 } else { 0.0 };
        let by_x = |c: usize| {
            let inverse = self.inverse(c);
            (f64::from(self.gamma[c]) * inverse * inverse * inverse * sums[c][1] * share) as f32
        };
        let constant = |c: usize| (f64::from(self.gamma[c]) * self.inverse(c) * sums[c][0] * share) as f32;
        let factors = periods.expand([&by_x, &constant]);
        let (by_x, constant) = factors.split_at(period);
        periods.each(x.len(), |at, len| {
            // SAFETY: chunks are disjoint, and the gradients are as long as `x`.
            let (x, grad) = (&x[at..at + len], unsafe { grad.part(at, len) });
            match dx {
                // SAFETY: as above.
                Some(dx) => input_grad(isa, x, grad, [mean, scale, by_x, constant], unsafe { dx.part(at, len) }),
                None => input_grad_in_place(isa, x, self.relu, [mean, scale, offset, by_x, constant], grad),
            }
        });
        Ok(())
    }
}

/// The sum of each channel of `x` `[rows, channels]`: the gradient of a bias.
///
/// # Errors
/// No rows, or lengths that do not fit.
pub fn channel_sums(x: &[f32], channels: usize, sums: &mut [f32]) -> Result<()> {
    rows(x, channels)?;
    check_len(OP, "sums", sums.len(), channels)?;
    let periods = Periods::new(channels);
    let isa = isa::current();
    let totals = periods.sums(x.len(), |at, len, a, _| add_values(isa, &x[at..at + len], a));
    for (sum, total) in sums.iter_mut().zip(totals) {
        *sum = total[0] as f32;
    }
    Ok(())
}

per_isa! {
    fn add_values(x: &[f32], sum: &mut [f32]) {
        for x in x.chunks(sum.len()) {
            sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
        }
    }
}
