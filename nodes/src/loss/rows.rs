//! Rows of a list as numbers, for what is computed over all of them.

use crate::Args;
use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};

/// The rows `[R,D]` at a port.
///
/// # Errors
/// They are not finite, or no rows.
pub(super) fn rows(port: &str, inputs: &Args<Tensor>) -> Result<Vec<Vec<f64>>> {
    let rows = inputs.one(port)?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    ensure!(
        rows.iter().flatten().all(|v| v.is_finite()),
        "`{port}` holds numbers that are not finite"
    );
    Ok(rows)
}

/// The place of the largest number, the first of equals.
pub(super) fn arg_max(row: &[f64]) -> usize {
    (0..row.len())
        .reduce(|a, b| if row[b] > row[a] { b } else { a })
        .unwrap_or(0)
}

/// The softmax of a row.
pub(super) fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = row.iter().map(|v| (v - most).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|e| e / sum).collect()
}
