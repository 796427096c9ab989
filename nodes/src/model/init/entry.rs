//! A tensor of a file: its name and shape, and the location of its values.

use anyhow::{Context, Result, ensure};
use std::sync::Arc;

/// The number type of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DType {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl DType {
    pub(super) fn of_storage(class: &str) -> Option<DType> {
        Some(match class {
            "DoubleStorage" => DType::F64,
            "FloatStorage" => DType::F32,
            "HalfStorage" => DType::F16,
            "BFloat16Storage" => DType::Bf16,
            "LongStorage" => DType::I64,
            "IntStorage" => DType::I32,
            "ShortStorage" => DType::I16,
            "CharStorage" => DType::I8,
            "ByteStorage" => DType::U8,
            "BoolStorage" => DType::Bool,
            _ => return None,
        })
    }

    /// Of NumPy's code, without the byte order: `f4`.
    pub(super) fn of_numpy(code: &str) -> Option<DType> {
        Some(match code {
            "f8" => DType::F64,
            "f4" => DType::F32,
            "f2" => DType::F16,
            "i8" => DType::I64,
            "i4" => DType::I32,
            "i2" => DType::I16,
            "i1" => DType::I8,
            "u1" => DType::U8,
            "b1" => DType::Bool,
            _ => return None,
        })
    }

    /// Bytes per value.
    pub(super) fn size(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::F16 | DType::Bf16 | DType::I16 => 2,
            DType::I8 | DType::U8 | DType::Bool => 1,
        }
    }

    /// The value of these [`DType::size`] little-endian bytes.
    pub(super) fn number(self, b: &[u8]) -> f32 {
        let mut all = [0; 8];
        all[..b.len()].copy_from_slice(b);
        let bits = u64::from_le_bytes(all);
        match self {
            DType::F64 => f64::from_bits(bits) as f32,
            DType::F32 => f32::from_bits(bits as u32),
            DType::F16 => half::f16::from_bits(bits as u16).to_f32(),
            DType::Bf16 => half::bf16::from_bits(bits as u16).to_f32(),
            DType::I64 => bits as i64 as f32,
            DType::I32 => bits as i32 as f32,
            DType::I16 => bits as i16 as f32,
            DType::I8 => bits as i8 as f32,
            DType::U8 | DType::Bool => bits as u8 as f32,
        }
    }
}

/// Values that several tensors may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    /// Its name in the file.
    pub key: Arc<str>,
    pub dtype: DType,
    /// The number of values.
    pub len: usize,
}

/// A tensor: the location of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: Arc<str>,
    pub shape: Vec<usize>,
    pub storage: Storage,
    /// Index of the first value in the storage, and strides: any layout, including channels-last.
    pub offset: usize,
    pub stride: Vec<usize>,
}

/// More axes than any tensor of a network has.
const MOST_AXES: usize = 8;

impl Entry {
    /// # Errors
    /// It extends past its storage, or is not a valid tensor.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.shape.len() == self.stride.len(),
            "shape {:?} has strides {:?}",
            self.shape,
            self.stride
        );
        ensure!(self.shape.len() <= MOST_AXES, "it has {} axes", self.shape.len());
        let numbers = self.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        numbers
            .filter(|n| *n <= 1 << 40)
            .with_context(|| format!("shape {:?} is too large", self.shape))?;
        let end = self.end().filter(|end| *end <= self.storage.len);
        end.with_context(|| {
            format!(
                "shape {:?} reaches beyond its storage of {} numbers",
                self.shape, self.storage.len
            )
        })?;
        let bytes = self.storage.len.checked_mul(self.storage.dtype.size());
        bytes.map(drop).context("its storage is too large")
    }

    /// The end of the tensor in its storage; `None` on overflow.
    pub(super) fn end(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(self.offset);
        }
        let axes = self.shape.iter().zip(&self.stride);
        let last = axes
            .map(|(n, s)| (n - 1).checked_mul(*s))
            .try_fold(self.offset, |at, step| at.checked_add(step?))?;
        last.checked_add(1)
    }

    /// The values in row-major order, from the bytes of its storage between `offset` and [`Entry::end`].
    ///
    /// # Errors
    /// The bytes end too early.
    pub(super) fn numbers(&self, bytes: &[u8]) -> Result<Vec<f32>> {
        let size = self.storage.dtype.size();
        let len: usize = self.shape.iter().product();
        let mut out = Vec::with_capacity(len.min(1 << 28));
        let mut index = vec![0; self.shape.len()];
        for _ in 0..len {
            let at = index.iter().zip(&self.stride).map(|(i, s)| i * s).sum::<usize>() * size;
            let b = bytes
                .get(at..at + size)
                .with_context(|| format!("the storage of `{}` is cut short", self.name))?;
            out.push(self.storage.dtype.number(b));
            for d in (0..index.len()).rev() {
                index[d] += 1;
                if index[d] < self.shape[d] {
                    break;
                }
                index[d] = 0;
            }
        }
        Ok(out)
    }
}

/// Strides of a tensor in row-major order; `None` on overflow.
pub(super) fn row_major(shape: &[usize]) -> Option<Vec<usize>> {
    let mut stride = vec![1usize; shape.len()];
    for d in (1..shape.len()).rev() {
        stride[d - 1] = stride[d].checked_mul(shape[d])?;
    }
    Some(stride)
}

/// Strides of a tensor in column-major order, NumPy's `fortran_order`; `None` on overflow.
pub(super) fn column_major(shape: &[usize]) -> Option<Vec<usize>> {
    let turned: Vec<usize> = shape.iter().rev().copied().collect();
    Some(row_major(&turned)?.into_iter().rev().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(shape: &[usize], stride: &[usize], offset: usize) -> Entry {
        Entry {
            name: "x".into(),
            shape: shape.to_vec(),
            storage: Storage {
                key: "0".into(),
                dtype: DType::F32,
                len: 6,
            },
            offset,
            stride: stride.to_vec(),
        }
    }

    #[test]
    fn any_layout_becomes_row_major() {
        let bytes: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        assert_eq!(
            entry(&[2, 3], &[3, 1], 0).numbers(&bytes).unwrap(),
            [0., 1., 2., 3., 4., 5.]
        );
        assert_eq!(
            entry(&[3, 2], &[1, 3], 0).numbers(&bytes).unwrap(),
            [0., 3., 1., 4., 2., 5.]
        );
        assert_eq!(entry(&[2], &[1], 4).numbers(&bytes[16..]).unwrap(), [4., 5.]);
        assert_eq!(entry(&[], &[], 2).numbers(&bytes[8..12]).unwrap(), [2.]);
        assert_eq!(entry(&[2, 2], &[0, 1], 0).numbers(&bytes).unwrap(), [0., 1., 0., 1.]);
        assert!(entry(&[0], &[1], 0).numbers(&bytes).unwrap().is_empty());
        let e = entry(&[2, 3], &[3, 1], 0).numbers(&bytes[..20]).unwrap_err();
        assert!(e.to_string().contains("cut short"), "{e}");
    }

    #[test]
    fn strides_of_both_orders() {
        assert_eq!(row_major(&[2, 3, 4]).unwrap(), [12, 4, 1]);
        assert_eq!(column_major(&[2, 3, 4]).unwrap(), [1, 2, 6]);
        assert_eq!(column_major(&[usize::MAX, 3, 4]), None);
    }

    #[test]
    fn a_tensor_beyond_its_storage_is_an_error() {
        for (shape, stride, offset, printed) in [
            (&[2, 3][..], &[3, 1][..], 1, "reaches beyond its storage of 6 numbers"),
            (&[2, 3], &[4, 1], 0, "reaches beyond"),
            (&[2, 2], &[usize::MAX, 1], 0, "reaches beyond"),
            (&[2], &[1], usize::MAX, "reaches beyond"),
            (&[1 << 30, 1 << 30], &[0, 0], 0, "too large"),
            (&[2, 3], &[1], 0, "strides"),
            (&[1; 9], &[1; 9], 0, "9 axes"),
        ] {
            let e = entry(shape, stride, offset).check().unwrap_err().to_string();
            assert!(e.contains(printed), "{e}");
        }
        entry(&[2, 3], &[3, 1], 0).check().unwrap();
        entry(&[0, 3], &[3, 1], 6).check().unwrap();
    }

    #[test]
    fn numbers_of_all_types() {
        assert_eq!(DType::F64.number(&1.5f64.to_le_bytes()), 1.5);
        assert_eq!(DType::F16.number(&half::f16::from_f32(-0.25).to_le_bytes()), -0.25);
        assert_eq!(DType::Bf16.number(&half::bf16::from_f32(3.0).to_le_bytes()), 3.0);
        assert_eq!(DType::I64.number(&(-7i64).to_le_bytes()), -7.0);
        assert_eq!(DType::I32.number(&(-7i32).to_le_bytes()), -7.0);
        assert_eq!(DType::I16.number(&(-7i16).to_le_bytes()), -7.0);
        assert_eq!(DType::I8.number(&(-7i8).to_le_bytes()), -7.0);
        assert_eq!(DType::U8.number(&[200]), 200.0);
    }
}
