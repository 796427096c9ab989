//! Products of batches of matrices, `[n, rows, columns]`. On other devices than the CPU they are Candle's, through the device's
//! library.

use crate::kernel::{floats, tensor};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use glad_ops::{Linear, buffer};

/// A product of two matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// `a b` of `[n, i, k]` and `[n, k, j]`.
    Ab,
    /// `a bᵀ` of `[n, i, k]` and `[n, j, k]`.
    Abt,
    /// `aᵀ b` of `[n, k, i]` and `[n, k, j]`.
    Atb,
}

impl Form {
    /// `[n, i, k, j]` of the two shapes.
    fn sizes(self, a: &[usize], b: &[usize]) -> Result<[usize; 4]> {
        let (&[n, a0, a1], &[m, b0, b1]) = (a, b) else {
            bail!("products are of batches of matrices, not of {a:?} and {b:?}");
        };
        let ([i, k], [l, j]) = match self {
            Form::Ab => ([a0, a1], [b0, b1]),
            Form::Abt => ([a0, a1], [b1, b0]),
            Form::Atb => ([a1, a0], [b0, b1]),
        };
        ensure!(k == l, "matrices of {k} columns and {l} rows do not multiply");
        ensure!(n == m, "batches of {n} and {m} matrices");
        Ok([n, i, k, j])
    }

    /// The product by the CPU's kernels.
    pub(crate) fn multiply(self, [n, i, k, j]: [usize; 4], a: &[f32], b: &[f32]) -> Result<Vec<f32>> {
        let mut y = buffer(n * i * j);
        let pairs = a.chunks((i * k).max(1)).zip(b.chunks((k * j).max(1)));
        for ((a, b), y) in pairs.zip(y.chunks_mut((i * j).max(1))) {
            let of = |rows, inputs, outputs| Linear { rows, inputs, outputs };
            match self {
                Form::Ab => of(i, j, k).backward_input(a, b, y)?,
                Form::Abt => of(i, k, j).forward(a, b, None, false, y)?,
                Form::Atb => of(k, j, i).backward_weight(b, a, y)?,
            }
        }
        Ok(y)
    }

    /// The product, on any device.
    fn of(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let sizes = self.sizes(a.dims(), b.dims())?;
        if !a.device().is_cpu() {
            return self.by_candle(a, b);
        }
        let y = self.multiply(sizes, &floats(a)?, &floats(b)?)?;
        tensor(y, (sizes[0], sizes[1], sizes[3]), a.device())
    }

    fn by_candle(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Form::Ab => a.matmul(b)?,
            Form::Abt => a.matmul(&b.t()?)?,
            Form::Atb => a.t()?.matmul(b)?,
        })
    }
}

/// `a b` of `[n, i, k]` and `[n, k, j]`.
pub(crate) fn ab(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Form::Ab.of(a, b)
}

/// `a bᵀ` of `[n, i, k]` and `[n, j, k]`.
pub(crate) fn abt(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Form::Abt.of(a, b)
}

/// `aᵀ b` of `[n, k, i]` and `[n, k, j]`.
pub(crate) fn atb(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Form::Atb.of(a, b)
}

/// A product that Candle differentiates. On the CPU it is still that of our kernels, whose bits do not depend on the number
/// of threads.
pub(crate) fn differentiable(form: Form, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match a.device().is_cpu() {
        true => Ok(a.apply_op2(b, OnCpu(form))?),
        false => form.by_candle(a, b),
    }
}

struct OnCpu(Form);

impl OnCpu {
    fn forward(&self, s: [(&CpuStorage, &Layout); 2]) -> Result<(CpuStorage, Shape)> {
        fn values<'s>((storage, layout): (&'s CpuStorage, &Layout)) -> Result<&'s [f32]> {
            let CpuStorage::F32(values) = storage else {
                bail!("products are of f32")
            };
            let (from, to) = layout.contiguous_offsets().context("a factor is not contiguous")?;
            Ok(&values[from..to])
        }
        let sizes = self.0.sizes(s[0].1.dims(), s[1].1.dims())?;
        let y = self.0.multiply(sizes, values(s[0])?, values(s[1])?)?;
        Ok((CpuStorage::F32(y), Shape::from((sizes[0], sizes[1], sizes[3]))))
    }

    /// With `y = a b` and `g` what arrives, `∂a = g bᵀ` and `∂b = aᵀ g`; the other forms alike.
    fn backward(&self, a: &Tensor, b: &Tensor, g: &Tensor) -> Result<(Tensor, Tensor)> {
        let (a, b, g) = (a.detach(), b.detach(), g.contiguous()?);
        Ok(match self.0 {
            Form::Ab => (abt(&g, &b)?, atb(&a, &g)?),
            Form::Abt => (ab(&g, &b)?, atb(&g, &a)?),
            Form::Atb => (abt(&b, &g)?, ab(&a, &g)?),
        })
    }
}

impl CustomOp2 for OnCpu {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        self.forward([(s1, l1), (s2, l2)]).map_err(candle_core::Error::wrap)
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (da, db) = self.backward(a, b, g).map_err(candle_core::Error::wrap)?;
        Ok((Some(da), Some(db)))
    }
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
