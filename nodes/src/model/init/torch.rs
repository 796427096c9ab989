//! The tensors in a pickle of PyTorch's: a state dictionary, plain or inside of a checkpoint.

use super::pickle::{Id, Pickle, Value};
use anyhow::{Context, Result, bail, ensure};

/// The type of a storage's numbers.
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
    fn of_storage(class: &str) -> Option<DType> {
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

    /// Bytes of a number.
    pub fn size(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::F16 | DType::Bf16 | DType::I16 => 2,
            DType::I8 | DType::U8 | DType::Bool => 1,
        }
    }

    /// The number in these little-endian bytes, of which there are [`DType::size`].
    pub fn number(self, b: &[u8]) -> f32 {
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

/// Numbers that several tensors may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    /// Its name in the file.
    pub key: String,
    pub dtype: DType,
    /// How many numbers it has.
    pub len: usize,
}

/// A tensor: where its numbers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    pub shape: Vec<usize>,
    pub storage: Storage,
    /// Index of the first number in the storage, and steps along the dimensions: any layout, channels-last too.
    pub offset: usize,
    pub stride: Vec<usize>,
}

impl Entry {
    /// The numbers in row-major order, from the bytes of the whole storage.
    pub fn numbers(&self, bytes: &[u8]) -> Result<Vec<f32>> {
        let size = self.storage.dtype.size();
        let len: usize = self.shape.iter().product();
        let mut out = Vec::with_capacity(len.min(bytes.len()));
        let mut index = vec![0; self.shape.len()];
        for _ in 0..len {
            let at = self.offset + index.iter().zip(&self.stride).map(|(i, s)| i * s).sum::<usize>();
            let b = bytes
                .chunks_exact(size)
                .nth(at)
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

/// Keys under which checkpoints keep their state dictionary.
const NESTED: [&str; 6] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "network",
    "net",
];

/// The tensors of a state dictionary: of the pickle itself, or of a dictionary inside of it.
pub(super) fn tensors(p: &Pickle) -> Result<Vec<Entry>> {
    let root = p.root();
    if p.call(root).is_some() {
        bail!("the file holds a whole Python object, not a state dictionary: save `model.state_dict()` instead");
    }
    let all = p.dict(root).context("the file holds no state dictionary")?;
    let named = NESTED.iter().filter_map(|key| p.entry(root, key));
    for candidate in [root].into_iter().chain(named).chain(all.iter().map(|(_, v)| *v)) {
        let found = of_dict(p, candidate)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    bail!("the file holds no tensors, neither at its top nor in a dictionary there")
}

fn of_dict(p: &Pickle, dict: Id) -> Result<Vec<Entry>> {
    let mut found = vec![];
    for (key, value) in p.dict(dict).unwrap_or(&[]) {
        if let Some(name) = p.text(*key)
            && let Some(entry) = tensor(p, name, *value).with_context(|| format!("tensor `{name}`"))?
        {
            found.push(entry);
        }
    }
    Ok(found)
}

/// The tensor that a call would rebuild; `None` where the value is something else.
fn tensor(p: &Pickle, name: &str, id: Id) -> Result<Option<Entry>> {
    let Some((function, args)) = p.call(id) else {
        return Ok(None);
    };
    let args = match (function, args) {
        ("torch._utils _rebuild_tensor_v2" | "torch._utils _rebuild_tensor", args) => args,
        ("torch._utils _rebuild_parameter" | "torch._utils _rebuild_parameter_with_state", [inner, ..]) => {
            match p.call(*inner) {
                Some(("torch._utils _rebuild_tensor_v2" | "torch._utils _rebuild_tensor", args)) => args,
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    let [storage, offset, shape, stride, ..] = args else {
        bail!("it has {} of the 4 parts that it needs", args.len());
    };
    let whole = |id: Id| {
        p.int(id)
            .and_then(|n| usize::try_from(n).ok())
            .context("a size is no whole number")
    };
    let list = |id: Id| {
        p.items(id)
            .context("a shape is no list")?
            .iter()
            .map(|i| whole(*i))
            .collect::<Result<Vec<_>>>()
    };
    let (storage, view) = self::storage(p, *storage)?;
    let entry = Entry {
        name: name.to_string(),
        shape: list(*shape)?,
        offset: whole(*offset)?.checked_add(view).context("an offset is too large")?,
        stride: list(*stride)?,
        storage,
    };
    ensure!(
        entry.shape.len() == entry.stride.len(),
        "shape {:?} has strides {:?}",
        entry.shape,
        entry.stride
    );
    let numbers = entry.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    numbers
        .filter(|n| *n <= 1 << 40)
        .with_context(|| format!("shape {:?} is too large", entry.shape))?;
    if !entry.shape.contains(&0) {
        let last = entry
            .shape
            .iter()
            .zip(&entry.stride)
            .try_fold(entry.offset, |at, (n, s)| at.checked_add((n - 1).checked_mul(*s)?));
        let fits = last.is_some_and(|last| last < entry.storage.len);
        ensure!(
            fits,
            "shape {:?} reaches beyond its storage of {} numbers",
            entry.shape,
            entry.storage.len
        );
    }
    Ok(Some(entry))
}

/// A storage, and where in it a view of it begins (old files have such views).
fn storage(p: &Pickle, id: Id) -> Result<(Storage, usize)> {
    let Value::Persistent(parts) = p.get(id) else {
        bail!("its numbers are not in a storage");
    };
    let parts = p.items(*parts).context("its storage has no parts")?;
    let [kind, class, key, _location, len, rest @ ..] = parts else {
        bail!("its storage has {} of the 5 parts that it needs", parts.len());
    };
    ensure!(p.text(*kind) == Some("storage"), "its numbers are not in a storage");
    let Value::Global(class) = p.get(*class) else {
        bail!("its storage has no type");
    };
    let name = class.rsplit(' ').next().unwrap_or(class);
    let dtype = DType::of_storage(name).with_context(|| format!("numbers of type `{name}` are not read"))?;
    let whole = |id: Id| {
        p.int(id)
            .and_then(|n| usize::try_from(n).ok())
            .context("a size is no whole number")
    };
    let view = match rest.first().and_then(|v| p.items(*v)) {
        Some([_, offset, ..]) => whole(*offset)?,
        _ => 0,
    };
    Ok((
        Storage {
            key: p.text(*key).context("its storage has no name")?.to_string(),
            dtype,
            len: whole(*len)?,
        },
        view,
    ))
}

/// All storages that a pickle names, whether a state dictionary needs them or not.
pub(super) fn storages(p: &Pickle) -> Vec<Storage> {
    p.ids().filter_map(|id| storage(p, id).ok()).map(|(s, _)| s).collect()
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
        assert_eq!(entry(&[2], &[1], 4).numbers(&bytes).unwrap(), [4., 5.]);
        assert_eq!(entry(&[], &[], 2).numbers(&bytes).unwrap(), [2.]);
        assert!(entry(&[0], &[1], 0).numbers(&bytes).unwrap().is_empty());
        let e = entry(&[2, 3], &[3, 1], 0).numbers(&bytes[..20]).unwrap_err();
        assert!(e.to_string().contains("cut short"), "{e}");
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
