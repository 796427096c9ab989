//! Files of weights: their tensors, and the tensors' values.

use super::archive::Archive;
use super::bytes::Bytes;
use super::entry::{Entry, Storage};
use super::header;
use super::pickle::{Pickle, Value};
use super::torch::{self, Dictionary};
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::fs::{File, FileType};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// An open file of weights, or of other tensors.
#[derive(Debug)]
pub(super) struct WeightFile {
    pub dictionaries: Vec<Dictionary>,
    pub(super) file: Bytes,
    pub(super) storages: Storages,
}

/// What finds the tensors in a pickle.
pub(super) type Find = fn(&Pickle) -> Result<Vec<Dictionary>>;

/// The location of the storages' bytes.
#[derive(Debug)]
pub(super) enum Storages {
    /// PyTorch 1.6 and later: an archive with the pickle and one member per storage.
    Archive { archive: Archive, prefix: String },
    /// Earlier: several pickles, followed by the storages. Offset and size of each.
    Legacy(HashMap<Arc<str>, (u64, u64)>),
    /// Safetensors and NumPy: the key is the offset.
    Offsets,
}

/// The magic number of legacy files, as a pickled integer.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const LEGACY_PROTOCOL: i64 = 1001;
/// Maximum bytes of a pickle, including arrays inside it, which are skipped.
pub(super) const LARGEST_PICKLE: u64 = 1 << 28;

/// The kind of a path that is not a file. It is not opened, because opening a pipe would block.
///
/// # Errors
/// It does not exist, or cannot be examined.
fn what(path: &Path) -> Result<Option<&'static str>> {
    let ty = std::fs::metadata(path)?.file_type();
    if ty.is_file() {
        return Ok(None);
    }
    Ok(Some(if ty.is_dir() { "a folder" } else { special(ty) }))
}

#[cfg(unix)]
fn special(ty: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match ty {
        ty if ty.is_fifo() => "a named pipe",
        ty if ty.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
fn special(_: FileType) -> &'static str {
    "no file"
}

/// The kind of a file with this head, if it is a common mistake.
fn mistaken(head: &[u8]) -> &'static str {
    match head {
        [] => "the file is empty",
        _ if head.starts_with(b"version https://git-lfs") => {
            "the file is a pointer of Git LFS: fetch the weights themselves (`git lfs pull`)"
        }
        _ if head.trim_ascii_start().starts_with(b"<") => {
            "the file is a web page: the weights were not downloaded, but a page about them"
        }
        _ if head.starts_with(b"\x89HDF") => {
            "the file is of HDF5 (Keras): only files of PyTorch and safetensors are read"
        }
        _ if head.starts_with(&[0x1f, 0x8b]) => "the file is compressed by gzip: unpack it first",
        _ => "the file is neither PyTorch's nor safetensors",
    }
}

/// Whether a file's first pickle is that of PyTorch's earlier format.
pub(super) fn is_legacy(first: &Pickle) -> bool {
    first.get(first.root()) == &Value::Long(LEGACY_MAGIC[..].into())
}

/// A file at its beginning, its first bytes, and its length.
pub(super) fn opened(path: &Path) -> Result<(BufReader<File>, Vec<u8>, u64)> {
    let mut file = glad_video::open_file(path)?;
    let mut head = vec![];
    Read::by_ref(&mut file).take(32).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    let len = file.metadata()?.len();
    Ok((BufReader::new(file), head, len))
}

impl WeightFile {
    /// Opens a file, whatever its extension.
    ///
    /// # Errors
    /// It cannot be read, or has none of the formats, or its contents contradict themselves.
    pub(super) fn open(path: &Path) -> Result<WeightFile> {
        if let Some(what) = what(path)? {
            bail!("it is {what}, not a file of weights");
        }
        let (file, head, len) = opened(path)?;
        match head.as_slice() {
            [b'P', b'K', ..] => Self::archive(file, torch::dictionaries),
            [0x80, 2..=5, ..] => Self::legacy(file, len, torch::dictionaries),
            [_, _, _, _, _, _, _, _, b'{', ..] => Self::safetensors(file, len),
            head => bail!(mistaken(head)),
        }
    }

    pub(super) fn archive(mut file: BufReader<File>, find: Find) -> Result<WeightFile> {
        let mut archive = Archive::read(file.get_ref())?;
        // The outermost of several.
        let pickle = archive
            .names()?
            .into_iter()
            .filter(|n| n == "data.pkl" || n.ends_with("/data.pkl"))
            .min_by_key(|n| (n.len(), n.clone()))
            .context("the archive has no data.pkl: it is no file of PyTorch's")?;
        let prefix = pickle.trim_end_matches("data.pkl").to_string();
        if let Some((at, size)) = archive.find(&format!("{prefix}byteorder"))? {
            let mut text = String::new();
            file.seek(SeekFrom::Start(at))?;
            Read::by_ref(&mut file).take(size.min(16)).read_to_string(&mut text)?;
            ensure!(text == "little", "numbers in the byte order `{text}` are not read");
        }
        let (at, size) = archive.find(&pickle)?.context("the archive is damaged")?;
        file.seek(SeekFrom::Start(at))?;
        ensure!(
            size <= LARGEST_PICKLE,
            "its pickle has {size} bytes: it is no state dictionary"
        );
        let p = Pickle::read(&mut Read::by_ref(&mut file).take(size))?;
        Ok(WeightFile {
            dictionaries: find(&p)?,
            file: file.into(),
            storages: Storages::Archive { archive, prefix },
        })
    }

    pub(super) fn legacy(mut file: BufReader<File>, len: u64, find: Find) -> Result<WeightFile> {
        let mut pickle = || Pickle::read(&mut Read::by_ref(&mut file).take(LARGEST_PICKLE));
        let magic = pickle()?;
        ensure!(is_legacy(&magic), "the file is a pickle, but not one of PyTorch's");
        let version = pickle()?;
        let version = version.int(version.root());
        ensure!(
            version == Some(LEGACY_PROTOCOL),
            "the file is of a version of PyTorch's format that is not read"
        );
        let system = pickle()?;
        let little = system.entry(system.root(), "little_endian").map(|v| system.get(v));
        ensure!(
            little != Some(&Value::Bool(false)),
            "numbers in big-endian order are not read"
        );
        let object = pickle()?;
        let dictionaries = find(&object)?;
        let named: HashMap<Arc<str>, Storage> = torch::storages(&object).map(|s| (s.key.clone(), s)).collect();
        drop(object);
        let keys = pickle()?;
        let mut places = HashMap::new();
        for key in keys.items(keys.root()).context("the file names no storages")? {
            let key = keys.text(*key).context("a storage has no name")?;
            let storage = named
                .get(key)
                .with_context(|| format!("storage `{key}` is of a type that is not read"))?;
            let mut numbers = [0; 8];
            file.read_exact(&mut numbers)
                .context("the file ends before its storages do")?;
            let numbers = u64::from_le_bytes(numbers);
            ensure!(
                numbers == storage.len as u64,
                "storage `{key}` has {numbers} numbers, and its tensors say {}",
                storage.len
            );
            let at = file.stream_position()?;
            let bytes = numbers.checked_mul(storage.dtype.size() as u64);
            let bytes = bytes
                .filter(|n| at.checked_add(*n).is_some_and(|end| end <= len))
                .context("the file ends before its storages do")?;
            places.insert(key.clone(), (at, bytes));
            file.seek(SeekFrom::Start(at + bytes))?;
        }
        Ok(WeightFile {
            dictionaries,
            file: file.into(),
            storages: Storages::Legacy(places),
        })
    }

    pub(super) fn safetensors(mut file: BufReader<File>, len: u64) -> Result<WeightFile> {
        Ok(WeightFile {
            dictionaries: vec![header::read(&mut file, len)?],
            file: file.into(),
            storages: Storages::Offsets,
        })
    }

    /// The offset of a tensor's storage.
    ///
    /// # Errors
    /// It is missing, or shorter than the tensor needs.
    pub(super) fn place(&mut self, entry: &Entry) -> Result<u64> {
        let Storage { key, dtype, .. } = &entry.storage;
        let needed = entry.end().and_then(|n| n.checked_mul(dtype.size()));
        let needed = needed.context("it is too large")? as u64;
        let (at, there) = match &mut self.storages {
            Storages::Archive { archive, prefix } => archive
                .find(&format!("{prefix}data/{key}"))?
                .with_context(|| format!("the archive has no storage `{key}`"))?,
            Storages::Legacy(places) => *places
                .get(key)
                .with_context(|| format!("the file has no storage `{key}`"))?,
            // Checked when the header was read.
            Storages::Offsets => (key.parse()?, needed),
        };
        ensure!(needed <= there, "the storage of `{}` is cut short", entry.name);
        Ok(at)
    }

    /// The values of a tensor, in row-major order. Only its own bytes are read.
    ///
    /// # Errors
    /// The file cannot be read, or is truncated.
    pub(super) fn numbers(&mut self, entry: &Entry) -> Result<Vec<f32>> {
        let size = entry.storage.dtype.size() as u64;
        let at = self.place(entry)? + entry.offset as u64 * size;
        let len = entry.end().unwrap_or(entry.offset) - entry.offset;
        let mut bytes = vec![];
        self.file.seek(SeekFrom::Start(at))?;
        Read::by_ref(&mut self.file)
            .take(len as u64 * size)
            .read_to_end(&mut bytes)?;
        entry.numbers(&bytes)
    }
}

#[cfg(test)]
mod tests;
