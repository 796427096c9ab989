//! Rows of arrays in files: `.npy`, `.npz`, `.pkl`, `.pth` and `.t7` of PyTorch, `.safetensors`.
//!
//! Untrusted input, under the bounds of weights: nothing is executed, and only what rows need is read.

use super::archive::{Archive, Member};
use super::bytes::Bytes;
use super::entry::Entry;
use super::file::{LARGEST_PICKLE, Storages, WeightFile, is_legacy, opened};
use super::npy;
use super::numpy;
use super::pickle::Pickle;
use super::torch::{self, Dictionary};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// Names that a message shows.
const SHOWN: usize = 6;

/// One array of an open file, as rows of numbers.
#[derive(Debug)]
pub(crate) struct ArrayFile {
    file: WeightFile,
    entry: Entry,
    /// The axes of a row's place; those after the row's own have one element.
    axes: usize,
    rows: usize,
    size: usize,
}

impl ArrayFile {
    /// Opens the array `key` of a file, whatever its extension; without, the only one. Its rows are along the last axis, but
    /// for axes of one element, and of `size` numbers.
    ///
    /// # Errors
    /// The file cannot be read, has none of the formats, no such array, or one of other rows.
    pub(crate) fn open(path: &Path, key: Option<&str>, size: usize) -> Result<ArrayFile, ArrayError> {
        let (file, head, len) = opened(path)?;
        let (mut file, packed) = open(file, &head, len)?;
        let entry = select(std::mem::take(&mut file.dictionaries), key)?;
        if let Some(member) = packed.get(&entry.name) {
            file.file = Bytes::Memory(Cursor::new(member.unpacked(&mut file.file)?));
        }
        let shape = &entry.shape;
        let axes = axes(shape, size).ok_or_else(|| ArrayError::Size {
            shape: shape.clone(),
            size,
        })?;
        let rows = shape[..axes].iter().product();
        Ok(ArrayFile {
            file,
            axes,
            rows,
            size,
            entry,
        })
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Appends row `row` to `to`. Only its own bytes are read.
    ///
    /// # Errors
    /// There is no such row, the file cannot be read, or a number is not finite.
    pub(crate) fn read(&mut self, row: usize, to: &mut Vec<f32>) -> Result<()> {
        ensure!(row < self.rows, "there is no row {row}: it has {}", self.rows);
        let (mut rest, mut offset) = (row, self.entry.offset);
        for (size, stride) in self.entry.shape[..self.axes].iter().zip(&self.entry.stride).rev() {
            offset += rest % size * stride;
            rest /= size;
        }
        let one = Entry {
            shape: vec![self.size],
            stride: vec![self.entry.stride[self.axes]],
            offset,
            ..self.entry.clone()
        };
        let numbers = self.file.numbers(&one)?;
        if let Some(bad) = numbers.iter().find(|x| !x.is_finite()) {
            bail!("row {row} holds {bad}");
        }
        to.extend(numbers);
        Ok(())
    }
}

/// How many axes are before that of a row of `size` numbers: the last but for axes of one element.
fn axes(shape: &[usize], size: usize) -> Option<usize> {
    let used = used(shape);
    // A row of one number has an axis of one element, too.
    (used..=shape.len())
        .find(|n| *n > 0 && shape[n - 1] == size)
        .map(|n| n - 1)
}

/// How many axes there are without the last ones of one element.
fn used(shape: &[usize]) -> usize {
    shape.iter().rposition(|n| *n != 1).map_or(0, |last| last + 1)
}

/// Why an array cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrayError {
    /// Its rows have another size than the parameter says.
    #[error(
        "it has the shape {shape:?}, where rows of {size} numbers are expected (`size`): its last size should be {size}"
    )]
    Size {
        /// The array's.
        shape: Vec<usize>,
        /// The parameter.
        size: usize,
    },
    /// The file has no array of that name, or several without one.
    #[error("{0}")]
    Key(String),
    /// The file is damaged, of another kind, or cannot be read.
    #[error(transparent)]
    File(#[from] anyhow::Error),
}

/// The size of a row, as a shape has it.
pub(crate) fn row_size(shape: &[usize]) -> usize {
    match used(shape) {
        0 => 1,
        used => shape[used - 1],
    }
}

/// Compressed members of an archive, by the names of their arrays: the places of these are in the unpacked bytes.
type Packed = HashMap<Arc<str>, Member>;

fn open(mut file: BufReader<File>, head: &[u8], len: u64) -> Result<(WeightFile, Packed)> {
    let at_offsets = |dictionaries, file: BufReader<File>| WeightFile {
        dictionaries,
        file: file.into(),
        storages: Storages::Offsets,
    };
    let found = match head {
        [b'P', b'K', ..] => {
            let archive = Archive::read(file.get_ref())?;
            if archive.names()?.iter().all(|n| !n.ends_with(".npy")) {
                return Ok((WeightFile::archive(file, torch::tensors)?, Packed::new()));
            }
            let (members, packed) = npz(&mut file, archive)?;
            return Ok((at_offsets(vec![members], file), packed));
        }
        [0x80, 2..=5, ..] => {
            let first = Pickle::read(&mut Read::by_ref(&mut file).take(LARGEST_PICKLE))?;
            if is_legacy(&first) {
                file.seek(SeekFrom::Start(0))?;
                return Ok((WeightFile::legacy(file, len, torch::tensors)?, Packed::new()));
            }
            at_offsets(numpy::arrays(&first)?, file)
        }
        [_, _, _, _, _, _, _, _, b'{', ..] if !head.starts_with(npy::MAGIC) => WeightFile::safetensors(file, len)?,
        _ if head.starts_with(npy::MAGIC) => {
            let one = npy::read(&mut file, &"".into(), 0, len)?;
            let dictionary = Dictionary {
                tensors: vec![one],
                ..Dictionary::default()
            };
            at_offsets(vec![dictionary], file)
        }
        [] => bail!("the file is empty"),
        _ if head.starts_with(b"version https://git-lfs") => {
            bail!("the file is a pointer of Git LFS: fetch the features themselves (`git lfs pull`)")
        }
        _ => bail!(
            "the file holds no arrays: .npy, .npz, .pkl (protocol 2 and later), .pth, .t7 of PyTorch and .safetensors are read"
        ),
    };
    Ok((found, Packed::new()))
}

/// The arrays of an archive of NumPy's, `.npz`: of compressed ones only the beginning is unpacked.
fn npz(file: &mut BufReader<File>, mut archive: Archive) -> Result<(Dictionary, Packed)> {
    let mut packed = Packed::new();
    let mut found = Dictionary::default();
    let mut names = archive.names()?;
    names.sort();
    ensure!(
        names.len() <= torch::MOST_TENSORS,
        "the archive has more than {} members",
        torch::MOST_TENSORS
    );
    for member in names {
        let Some(name) = member.strip_suffix(".npy") else {
            continue;
        };
        let name: Arc<str> = name.into();
        let mut array = || {
            let member = archive.member(&member)?.context("the archive is damaged")?;
            if member.compressed {
                packed.insert(name.clone(), member);
                let head = member.head(file, npy::LARGEST_HEAD)?;
                return npy::read(&mut &head[..], &name, 0, member.size);
            }
            file.seek(SeekFrom::Start(member.at))?;
            npy::read(&mut Read::by_ref(file).take(member.size), &name, member.at, member.size)
        };
        match array() {
            Ok(entry) => found.tensors.push(entry),
            Err(e) => found.unread.push((name, format!("{e:#}"))),
        }
    }
    Ok((found, packed))
}

/// The array that is meant.
fn select(all: Vec<Dictionary>, key: Option<&str>) -> Result<Entry, ArrayError> {
    let (mut found, mut unread) = (vec![], vec![]);
    for dictionary in all {
        let full = |name: &str| match dictionary.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        found.extend(dictionary.tensors.iter().map(|t| (full(&t.name), t.clone())));
        unread.extend(dictionary.unread.iter().map(|(n, why)| (full(n), why.clone())));
    }
    let names = || {
        let all = found.iter().map(|(n, _)| n).chain(unread.iter().map(|(n, _)| n));
        let mut shown: Vec<String> = all
            .clone()
            .take(SHOWN)
            .map(|n| format!("`{}`", npy::shown(n)))
            .collect();
        if all.count() > SHOWN {
            shown.push("…".into());
        }
        shown.join(", ")
    };
    let why = |why: &String| why.clone();
    match (key, found.as_slice(), unread.as_slice()) {
        // A file of one array without a name has the one that any key means.
        (_, [(name, one)], []) if name.is_empty() || key.is_none_or(|k| k == name) => Ok(one.clone()),
        (None, [], [(_, reason)]) => Err(anyhow!(why(reason)).into()),
        (None, [], []) => Err(anyhow!("it holds no arrays").into()),
        (None, ..) => Err(ArrayError::Key(format!(
            "it holds several arrays, {}: say which by `key`",
            names()
        ))),
        (Some(key), ..) => {
            if let Some((_, one)) = found.iter().find(|(n, _)| n == key) {
                return Ok(one.clone());
            }
            if let Some((_, reason)) = unread.iter().find(|(n, _)| n == key) {
                return Err(anyhow!(why(reason)).into());
            }
            Err(ArrayError::Key(format!(
                "it holds no array `{key}` (`key`), only {}",
                names()
            )))
        }
    }
}

#[cfg(test)]
mod tests;
