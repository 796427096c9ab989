//! Losses and their gradients: softmax cross-entropy and binary cross-entropy with logits.
//!
//! Heads are small, so these run on one thread, in `f64` sums.

use crate::error::{Result, check_len, shape};

/// The mean of a loss over the rows that count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// `Σ weight · loss / Σ weight`; zero where no row counts.
    pub mean: f32,
    /// `Σ weight`: with a mask, the number of rows that count.
    pub weight: f32,
}

fn check_weights(op: &'static str, weights: Option<&[f32]>, rows: usize) -> Result<f64> {
    let Some(weights) = weights else { return Ok(rows as f64) };
    check_len(op, "weights", weights.len(), rows)?;
    match weights.iter().position(|&w| !(w >= 0.0 && w.is_finite())) {
        Some(row) => Err(shape(
            op,
            format!(
                "the weight of row {row} is {}, not a number of zero or more",
                weights[row]
            ),
        )),
        None => Ok(weights.iter().map(|&w| f64::from(w)).sum()),
    }
}

/// Cross-entropy of the softmax of `logits` `[rows, classes]` with `labels` `[rows]`, with label smoothing ε:
/// `(1 − ε) · −log p[label] + ε / classes · Σ −log p`, as in PyTorch. `weights` `[rows]` (usually a mask) sets how
/// much each row counts; the label of a row of weight zero is ignored. `grad` receives the gradient of the mean.
///
/// # Errors
/// A label that is no class, a smoothing outside `[0, 1]`, a negative weight, or a buffer's length that does not fit.
pub fn cross_entropy(
    logits: &[f32],
    classes: usize,
    labels: &[u32],
    smoothing: f32,
    weights: Option<&[f32]>,
    mut grad: Option<&mut [f32]>,
) -> Result<Loss> {
    const OP: &str = "cross-entropy";
    let rows = labels.len();
    if classes == 0 {
        return Err(shape(OP, "the number of classes is zero"));
    }
    check_len(OP, "logits", logits.len(), rows * classes)?;
    if let Some(grad) = &mut grad {
        check_len(OP, "grad", grad.len(), logits.len())?;
        grad.fill(0.0);
    }
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(shape(OP, format!("a label smoothing of {smoothing} is not in [0, 1]")));
    }
    let total = check_weights(OP, weights, rows)?;
    let smoothing = f64::from(smoothing);
    let even = smoothing / classes as f64;
    let mut sum = 0.0;
    for (row, (z, &label)) in logits.chunks_exact(classes).zip(labels).enumerate() {
        let weight = weights.map_or(1.0, |weights| f64::from(weights[row]));
        if weight == 0.0 {
            continue;
        }
        let label = label as usize;
        if label >= classes {
            return Err(shape(
                OP,
                format!("row {row} has label {label}, but there are {classes} classes"),
            ));
        }
        let most = f64::from(z.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let log_sum = most + z.iter().map(|&z| (f64::from(z) - most).exp()).sum::<f64>().ln();
        let mean_log = log_sum - z.iter().map(|&z| f64::from(z)).sum::<f64>() / classes as f64;
        sum += weight * ((1.0 - smoothing) * (log_sum - f64::from(z[label])) + smoothing * mean_log);
        if let Some(grad) = &mut grad {
            for (k, (grad, &z)) in grad[row * classes..][..classes].iter_mut().zip(z).enumerate() {
                let target = even + if k == label { 1.0 - smoothing } else { 0.0 };
                *grad = (weight / total * ((f64::from(z) - log_sum).exp() - target)) as f32;
            }
        }
    }
    Ok(mean(sum, total))
}

/// Binary cross-entropy of the sigmoid of `logits` `[rows]` with `targets` in `[0, 1]`. `weights` and `grad` are as in
/// [`cross_entropy`].
///
/// # Errors
/// A target outside `[0, 1]`, a negative weight, or a buffer's length that does not fit.
pub fn bce_with_logits(
    logits: &[f32],
    targets: &[f32],
    weights: Option<&[f32]>,
    mut grad: Option<&mut [f32]>,
) -> Result<Loss> {
    const OP: &str = "binary cross-entropy";
    check_len(OP, "targets", targets.len(), logits.len())?;
    if let Some(grad) = &mut grad {
        check_len(OP, "grad", grad.len(), logits.len())?;
        grad.fill(0.0);
    }
    let total = check_weights(OP, weights, logits.len())?;
    let mut sum = 0.0;
    for (row, (&z, &target)) in logits.iter().zip(targets).enumerate() {
        let weight = weights.map_or(1.0, |weights| f64::from(weights[row]));
        if weight == 0.0 {
            continue;
        }
        if !(0.0..=1.0).contains(&target) {
            return Err(shape(
                OP,
                format!("the target of row {row} is {target}, which is not in [0, 1]"),
            ));
        }
        let (z, target) = (f64::from(z), f64::from(target));
        // log(1 + e^z) without overflow; written so that NaN stays NaN.
        let softplus = if z > 0.0 {
            z + (-z).exp().ln_1p()
        } else {
            z.exp().ln_1p()
        };
        sum += weight * (softplus - z * target);
        if let Some(grad) = &mut grad {
            grad[row] = (weight / total * (1.0 / (1.0 + (-z).exp()) - target)) as f32;
        }
    }
    Ok(mean(sum, total))
}

fn mean(sum: f64, total: f64) -> Loss {
    Loss {
        mean: if total > 0.0 { (sum / total) as f32 } else { 0.0 },
        weight: total as f32,
    }
}
