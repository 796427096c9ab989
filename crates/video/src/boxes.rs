//! Boxes of mp4 and mov files, nested (ISO/IEC 14496-12, 4.2), and their errors.

use std::path::Path;

use shiguredo_mp4::{BoxType, Decode};

use crate::VideoError;

/// One coded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawSample {
    /// Byte of the file at which it begins.
    pub offset: u64,
    pub size: u32,
    /// Decoding time, in ticks of the track.
    pub dts: i64,
    pub duration: u32,
    /// Display time, in ticks of the track.
    pub pts: i64,
    /// Whether the container marks it as a sync sample.
    pub sync: bool,
}

/// A failure inside the file, still without the file's name.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(std::io::Error),
    Malformed(String),
    Unsupported(String),
    Limit { what: &'static str, found: u64, limit: u64 },
}

impl Fault {
    pub(crate) fn of(self, path: &Path) -> VideoError {
        match self {
            Self::Io(e) => VideoError::io(path, e),
            Self::Malformed(reason) => VideoError::malformed(path, reason),
            Self::Unsupported(what) => VideoError::unsupported(path, what),
            Self::Limit { what, found, limit } => VideoError::limit(path, what, found, limit),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(e: std::io::Error) -> Self {
        Self::Io(e)
    }
}

pub(crate) fn malformed<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Malformed(reason.into()))
}

/// A box inside another: its type and all its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Child<'a> {
    pub kind: [u8; 4],
    pub whole: &'a [u8],
    pub payload: &'a [u8],
}

impl Child<'_> {
    /// Decodes the box as one of the library's types.
    pub(crate) fn decode<B: Decode>(&self) -> Result<B, Fault> {
        match B::decode(self.whole) {
            Ok((b, _)) => Ok(b),
            Err(e) => malformed(format!("box {}: {}", name(self.kind), plain(&e))),
        }
    }
}

/// The library's message without its source location.
fn plain(e: &shiguredo_mp4::Error) -> String {
    if e.reason.is_empty() {
        format!("{:?}", e.kind)
    } else {
        e.reason.clone()
    }
}

/// A box type in printable form.
pub(crate) fn name(kind: [u8; 4]) -> String {
    format!("`{}`", BoxType::Normal(kind).as_bytes().escape_ascii())
}

/// The boxes that make up `bytes`. Fewer than eight bytes at the end are padding, as QuickTime
/// writes it.
pub(crate) fn children(mut bytes: &[u8]) -> Result<Vec<Child<'_>>, Fault> {
    let mut out = Vec::new();
    while let Some((head, _)) = bytes.split_first_chunk::<8>() {
        let kind = [head[4], head[5], head[6], head[7]];
        let short = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let (size, header) = match (short, bytes.get(8..16)) {
            (0, _) => (bytes.len() as u64, 8),
            (1, Some(long)) => (long.iter().fold(0u64, |n, &b| n << 8 | u64::from(b)), 16),
            (n, _) => (u64::from(n), 8),
        };
        if size < header || size > bytes.len() as u64 {
            return malformed(format!(
                "box {} claims {size} bytes where {} are left",
                name(kind),
                bytes.len()
            ));
        }
        let (whole, rest) = bytes.split_at(size as usize);
        out.push(Child {
            kind,
            whole,
            payload: &whole[header as usize..],
        });
        bytes = rest;
    }
    Ok(out)
}

/// The first child of that type.
pub(crate) fn find<'a>(boxes: &[Child<'a>], kind: &[u8; 4]) -> Option<Child<'a>> {
    boxes.iter().copied().find(|b| b.kind == *kind)
}

/// The child of that type, or an error that names both.
pub(crate) fn need<'a>(boxes: &[Child<'a>], kind: &[u8; 4], parent: &str) -> Result<Child<'a>, Fault> {
    match find(boxes, kind) {
        Some(b) => Ok(b),
        None => malformed(format!("box `{parent}` has no {}", name(*kind))),
    }
}
