//! The header of a safetensors file.

use super::entry::{DType, Entry, Storage, row_major};
use super::torch::{Dictionary, MOST_TENSORS};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use std::fmt;
use std::io::Read;

/// Maximum bytes of a header; a tensor has about 100.
const LARGEST: u64 = 1 << 24;
/// Bytes in front of the header: its length.
pub(super) const PREFIX: u64 = 8;

#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

struct Header(Vec<(String, Info)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a table of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut all = vec![];
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        all.push((name, map.next_value()?));
                    }
                    if all.len() > MOST_TENSORS {
                        let message = format!("more than {MOST_TENSORS} tensors: it is no network's");
                        return Err(serde::de::Error::custom(message));
                    }
                }
                Ok(Header(all))
            }
        }
        from.deserialize_map(Entries)
    }
}

/// The tensors of a file of `len` bytes, positioned at its start. The key of a storage is the offset of its bytes;
/// none overlaps another or extends past the file.
///
/// # Errors
/// The header is damaged or contradicts itself or the file's length.
pub(super) fn read(from: &mut impl Read, len: u64) -> Result<Dictionary> {
    let mut n = [0; PREFIX as usize];
    from.read_exact(&mut n)?;
    let n = u64::from_le_bytes(n);
    ensure!(n <= LARGEST, "a header of {n} bytes: it is no file of safetensors");
    let begin = PREFIX + n;
    ensure!(
        begin <= len,
        "the file ends in its header: it was not copied or downloaded whole"
    );
    let mut text = vec![];
    from.take(n).read_to_end(&mut text)?;
    let Header(mut all) = serde_json::from_slice(&text).context("the header is damaged")?;
    drop(text);
    all.sort_by_key(|(_, info)| info.data_offsets);
    let mut found = Dictionary::default();
    let mut at = 0;
    for (name, info) in all {
        let (start, end) = info.data_offsets;
        ensure!(
            start == at && end >= start,
            "`{name}` has the bytes {start} to {end}, and those up to {at} are taken: the header is damaged"
        );
        at = end;
        let name = name.into();
        match entry(&name, &info, begin) {
            Ok(e) => found.tensors.push(e),
            Err(e) => found.unread.push((name, format!("{e:#}").chars().take(200).collect())),
        }
    }
    ensure!(
        begin.checked_add(at) == Some(len),
        "the file has {len} bytes, and its header says {}: it was not copied or downloaded whole",
        begin.saturating_add(at)
    );
    // The format has no order.
    found.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn entry(name: &std::sync::Arc<str>, info: &Info, begin: u64) -> Result<Entry> {
    let dtype = number_type(&info.dtype).with_context(|| format!("numbers of type `{}` are not read", info.dtype))?;
    let (start, end) = info.data_offsets;
    let bytes = usize::try_from(end - start).context("it is too large")?;
    let entry = Entry {
        name: name.clone(),
        stride: row_major(&info.shape).context("its shape is too large")?,
        shape: info.shape.clone(),
        storage: Storage {
            key: (begin + start).to_string().into(),
            dtype,
            len: bytes / dtype.size(),
        },
        offset: 0,
    };
    let exact = entry.end() == Some(bytes / dtype.size()) && bytes.is_multiple_of(dtype.size());
    ensure!(
        exact || entry.shape.contains(&0),
        "shape {:?} has {bytes} bytes",
        entry.shape
    );
    entry.check()?;
    Ok(entry)
}

fn number_type(name: &str) -> Option<DType> {
    Some(match name {
        "F64" => DType::F64,
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::Bf16,
        "I64" => DType::I64,
        "I32" => DType::I32,
        "I16" => DType::I16,
        "I8" => DType::I8,
        "U8" => DType::U8,
        "BOOL" => DType::Bool,
        _ => return None,
    })
}
