//! The singular value decomposition of a small matrix, on the host in float64.
//!
//! One-sided Jacobi: pairs of columns are rotated, in a fixed order, until all are orthogonal. Unlike the eigenvalues of a Gram
//! matrix it loses nothing of small singular values, whose vectors the gradient of a nuclear norm needs like all others;
//! it is short, and has the same bits everywhere. A sweep takes `columns² · rows` steps, and ten are many.

use anyhow::Result;
use candle_core::{DType, Tensor};

/// Singular values in descending order, with their vectors.
pub(crate) struct Svd {
    /// The singular values: as many as the smaller side has.
    pub values: Vec<f64>,
    /// For each value the left vector, `rows` long; not meaningful where the value is 0.
    pub left: Vec<Vec<f64>>,
    /// For each value the right vector, `columns` long; likewise.
    pub right: Vec<Vec<f64>>,
}

/// As many sweeps as are made at most; what has not converged then is not finite.
const SWEEPS: usize = 60;

/// The decomposition of `a` `[rows, columns]`.
pub(crate) fn svd(a: &[f64], rows: usize, columns: usize) -> Svd {
    if rows < columns {
        let turned: Vec<f64> = (0..rows * columns).map(|i| a[i % rows * columns + i / rows]).collect();
        let Svd { values, left, right } = svd(&turned, columns, rows);
        return Svd {
            values,
            left: right,
            right: left,
        };
    }
    let mut w: Vec<Vec<f64>> = (0..columns)
        .map(|j| (0..rows).map(|i| a[i * columns + j]).collect())
        .collect();
    let mut v: Vec<Vec<f64>> = (0..columns)
        .map(|j| (0..columns).map(|i| f64::from(u8::from(i == j))).collect())
        .collect();
    let noise = 1e-31 * a.iter().map(|v| v * v).sum::<f64>();
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for i in 0..columns {
            for j in i + 1..columns {
                let (p, q, r) = (dot(&w[i], &w[i]), dot(&w[j], &w[j]), dot(&w[i], &w[j]));
                if r.abs() <= 1e-15 * (p * q).sqrt() + noise {
                    continue;
                }
                rotated = true;
                let zeta = (q - p) / (2.0 * r);
                let t = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cosine = 1.0 / t.hypot(1.0);
                rotate(&mut w, i, j, cosine, cosine * t);
                rotate(&mut v, i, j, cosine, cosine * t);
            }
        }
        if !rotated {
            break;
        }
    }
    let lengths: Vec<f64> = w.iter().map(|c| dot(c, c).sqrt()).collect();
    let mut order: Vec<usize> = (0..columns).collect();
    order.sort_by(|a, b| lengths[*b].total_cmp(&lengths[*a]));
    let unit = |j: usize| w[j].iter().map(|x| x / lengths[j].max(f64::MIN_POSITIVE)).collect();
    Svd {
        values: order.iter().map(|j| lengths[*j]).collect(),
        left: order.iter().map(|j| unit(*j)).collect(),
        right: order.iter().map(|j| v[*j].clone()).collect(),
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn rotate(columns: &mut [Vec<f64>], i: usize, j: usize, cosine: f64, sine: f64) {
    let (head, tail) = columns.split_at_mut(j);
    for (a, b) in head[i].iter_mut().zip(&mut tail[0]) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

/// The values of a matrix with elements, read from its device.
pub(crate) fn on_host(a: &Tensor) -> Result<Vec<f64>> {
    Ok(a.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, f64s, normal};

    fn check(a: &[f64], rows: usize, columns: usize) -> Svd {
        let found = svd(a, rows, columns);
        let n = rows.min(columns);
        assert_eq!(found.values.len(), n);
        assert!(found.values.windows(2).all(|v| v[0] >= v[1]), "{:?}", found.values);
        let mut again = vec![0.0; rows * columns];
        for k in 0..n {
            for (i, x) in again.iter_mut().enumerate() {
                *x += found.values[k] * found.left[k][i / columns] * found.right[k][i % columns];
            }
        }
        close("U S Vᵀ", &again, a, 1e-13);
        for k in (0..n).filter(|k| found.values[*k] > 1e-10) {
            for l in (0..n).filter(|l| found.values[*l] > 1e-10) {
                let one = f64::from(u8::from(k == l));
                assert!((dot(&found.left[k], &found.left[l]) - one).abs() < 1e-12);
                assert!((dot(&found.right[k], &found.right[l]) - one).abs() < 1e-12);
            }
        }
        found
    }

    #[test]
    fn vectors_and_values_make_the_matrix() {
        for (rows, columns) in [(1, 1), (5, 3), (3, 5), (1, 4), (12, 12), (40, 7)] {
            let a = f64s(&normal(rows as u64, &[rows, columns]));
            check(&a, rows, columns);
        }
    }

    #[test]
    fn known_values() {
        // [[3, 0], [4, 5]]: √45 and √5.
        let found = check(&[3., 0., 4., 5.], 2, 2);
        close("values", &found.values, &[45f64.sqrt(), 5f64.sqrt()], 1e-14);
        // Rank 1, rank 0, and a value that a Gram matrix in float64 would lose.
        let found = check(&[1., 2., 2., 4., 3., 6.], 3, 2);
        close("values", &found.values, &[70f64.sqrt(), 0.0], 1e-13);
        assert_eq!(check(&[0.; 6], 2, 3).values, [0.0, 0.0]);
        let found = check(&[1., 1., 1e-9, 0., 0., 1e-9], 3, 2);
        assert!((found.values[1] / 1e-9 - 1.0).abs() < 1e-6, "{:?}", found.values);
    }

    #[test]
    fn what_is_not_finite_ends() {
        assert!(svd(&[f64::NAN, 1., 1., 2.], 2, 2).values[0].is_nan());
    }
}
