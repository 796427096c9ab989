//! The header of NumPy's own format, `.npy`.
//!
//! NumPy Enhancement Proposal 1: a magic text, a version, the length of the header, and the header, a Python dictionary of
//! which three keys are read; nothing is executed.

use super::entry::{DType, Entry, Storage, column_major, row_major};
use anyhow::{Context, Result, bail, ensure};
use std::io::Read;
use std::sync::Arc;

/// What files begin with.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// Maximum bytes of a header; those of plain arrays have 118.
const LARGEST: usize = 1 << 16;
/// Bytes from which the largest header that is read follows.
pub(super) const LARGEST_HEAD: usize = 12 + LARGEST;

/// The array of a file or member whose `len` bytes begin at `begin` of the whole file, where `from` is.
///
/// # Errors
/// The header is damaged, contradicts the length, or describes something else than an array of numbers.
pub(super) fn read(from: &mut impl Read, name: &Arc<str>, begin: u64, len: u64) -> Result<Entry> {
    let mut first = [0; 8];
    from.read_exact(&mut first).context("the array has no header")?;
    ensure!(
        first.starts_with(MAGIC),
        "the array does not begin as those of NumPy do"
    );
    let (prefix, n) = match first[6] {
        1 => {
            let mut n = [0; 2];
            from.read_exact(&mut n)?;
            (10, usize::from(u16::from_le_bytes(n)))
        }
        2 | 3 => {
            let mut n = [0; 4];
            from.read_exact(&mut n)?;
            (12, u32::from_le_bytes(n) as usize)
        }
        v => bail!("version {v} of NumPy's format is not read"),
    };
    ensure!(n <= LARGEST, "its header has {n} bytes: it is no array of numbers");
    let mut text = vec![0; n];
    from.read_exact(&mut text).context("the file ends in its header")?;
    let text = String::from_utf8_lossy(&text);
    let code = value(&text, "descr")?;
    let code = quoted(code).context("it is an array of records, not of numbers")?;
    let dtype = dtype(code)?;
    let fortran = value(&text, "fortran_order")?.starts_with("True");
    let shape = shape(value(&text, "shape")?)?;
    let numbers = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    let bytes = numbers.and_then(|n| n.checked_mul(dtype.size()));
    let bytes = bytes.with_context(|| format!("shape {shape:?} is too large"))? as u64;
    let at = prefix + n as u64;
    ensure!(
        at.checked_add(bytes).is_some_and(|end| end <= len),
        "the file ends before its {bytes} bytes of numbers do: it was not copied or downloaded whole"
    );
    let entry = Entry {
        name: name.clone(),
        stride: strides(&shape, fortran)?,
        storage: Storage {
            key: (begin + at).to_string().into(),
            dtype,
            len: bytes as usize / dtype.size(),
        },
        shape,
        offset: 0,
    };
    entry.check()?;
    Ok(entry)
}

/// The strides of an array, of which NumPy has two orders.
pub(super) fn strides(shape: &[usize], fortran: bool) -> Result<Vec<usize>> {
    let strides = if fortran { column_major(shape) } else { row_major(shape) };
    strides.with_context(|| format!("shape {shape:?} is too large"))
}

/// The type of numbers that NumPy's code with its byte order means, such as `<f4`.
pub(super) fn dtype(code: &str) -> Result<DType> {
    let bare = match code.as_bytes().first() {
        Some(b'<' | b'|' | b'=') => &code[1..],
        Some(b'>') => bail!("numbers in big-endian order are not read"),
        _ => code,
    };
    DType::of_numpy(bare).with_context(|| format!("numbers of type `{}` are not read", shown(bare)))
}

/// Not much of a text of the file.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// What follows a key of the dictionary.
fn value<'a>(text: &'a str, key: &str) -> Result<&'a str> {
    let after = ['\'', '"']
        .iter()
        .find_map(|q| text.split_once(&format!("{q}{key}{q}")));
    let value = after.and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    Ok(value
        .with_context(|| format!("its header has no `{key}`"))?
        .trim_start())
}

fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| "'\"".contains(*c))?;
    Some(text[1..].split_once(quote)?.0)
}

/// `(3, 4)`; Python 2 wrote `(3L, 4L)`.
fn shape(text: &str) -> Result<Vec<usize>> {
    let damaged = || format!("its header has the shape `{}`", shown(text));
    let inside = text.strip_prefix('(').and_then(|t| t.split_once(')'));
    let sizes = inside.with_context(damaged)?.0.split(',').map(str::trim);
    let sizes = sizes.filter(|s| !s.is_empty());
    let sizes: Option<Vec<usize>> = sizes.map(|s| s.strip_suffix('L').unwrap_or(s).parse().ok()).collect();
    sizes.with_context(damaged)
}
