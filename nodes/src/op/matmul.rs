//! Products of batches of matrices, `[n, rows, columns]`. On other devices than the CPU they are Candle's, through the device's
//! library.

use crate::kernel::{floats, tensor};
use anyhow::{Result, ensure};
use candle_core::Tensor;
use glad_ops::{Linear, buffer};

/// `a b` of `[n, i, k]` and `[n, k, j]`.
pub(crate) fn ab(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let ((_, i, k), (_, rows, j)) = (a.dims3()?, b.dims3()?);
    ensure!(k == rows, "matrices of {k} columns and {rows} rows do not multiply");
    if !a.device().is_cpu() {
        return Ok(a.matmul(b)?);
    }
    let shape = Linear {
        rows: i,
        inputs: j,
        outputs: k,
    };
    each(a, b, [i, j], |a, b, y| Ok(shape.backward_input(a, b, y)?))
}

/// `a bᵀ` of `[n, i, k]` and `[n, j, k]`.
pub(crate) fn abt(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let ((_, i, k), (_, j, columns)) = (a.dims3()?, b.dims3()?);
    ensure!(k == columns, "matrices of {k} and {columns} columns do not multiply");
    if !a.device().is_cpu() {
        return Ok(a.matmul(&b.t()?)?);
    }
    let shape = Linear {
        rows: i,
        inputs: k,
        outputs: j,
    };
    each(a, b, [i, j], |a, b, y| Ok(shape.forward(a, b, None, false, y)?))
}

/// `aᵀ b` of `[n, k, i]` and `[n, k, j]`.
pub(crate) fn atb(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let ((_, k, i), (_, rows, j)) = (a.dims3()?, b.dims3()?);
    ensure!(k == rows, "matrices of {k} and {rows} rows do not multiply");
    if !a.device().is_cpu() {
        return Ok(a.t()?.matmul(b)?);
    }
    let shape = Linear {
        rows: k,
        inputs: j,
        outputs: i,
    };
    each(a, b, [i, j], |a, b, y| Ok(shape.backward_weight(b, a, y)?))
}

fn each(
    a: &Tensor,
    b: &Tensor,
    [i, j]: [usize; 2],
    multiply: impl Fn(&[f32], &[f32], &mut [f32]) -> Result<()>,
) -> Result<Tensor> {
    let n = a.dim(0)?;
    ensure!(n == b.dim(0)?, "batches of {n} and {} matrices", b.dim(0)?);
    let mut y = buffer(n * i * j);
    let (left, right) = (floats(a)?, floats(b)?);
    let (of_a, of_b) = (left.len() / n.max(1), right.len() / n.max(1));
    let pairs = left.chunks(of_a.max(1)).zip(right.chunks(of_b.max(1)));
    for ((a, b), y) in pairs.zip(y.chunks_mut((i * j).max(1))) {
        multiply(a, b, y)?;
    }
    tensor(y, (n, i, j), a.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, f64s, normal};

    #[test]
    fn products_match_sums() {
        let (n, i, j, k) = (2, 5, 7, 3);
        let (a, b) = (normal(1, &[n, i, k]), normal(2, &[n, k, j]));
        let (x, y) = (f64s(&a), f64s(&b));
        let mut want = vec![];
        for s in 0..n {
            for r in 0..i {
                for c in 0..j {
                    want.push(
                        (0..k)
                            .map(|m| x[(s * i + r) * k + m] * y[(s * k + m) * j + c])
                            .sum::<f64>(),
                    );
                }
            }
        }
        let turned = |t: &Tensor| t.transpose(1, 2).unwrap().contiguous().unwrap();
        close("a b", &f64s(&ab(&a, &b).unwrap()), &want, 1e-5);
        close("a bᵀ", &f64s(&abt(&a, &turned(&b)).unwrap()), &want, 1e-5);
        close("aᵀ b", &f64s(&atb(&turned(&a), &b).unwrap()), &want, 1e-5);
        let e = ab(&a, &a).unwrap_err().to_string();
        assert!(e.contains("do not multiply"), "{e}");
    }
}
