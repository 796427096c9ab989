//! The text of a list in any common encoding, and files that are not lists.

use crate::sniff::{HEAD, Kind, sniff};
use std::borrow::Cow;

/// The text of a file.
pub(super) struct Text<'a> {
    /// Lines end in `\n`, possibly with an `\r` before it. Bytes that are not UTF-8 are left as they are.
    pub bytes: Cow<'a, [u8]>,
    /// The encoding, if it was not plain UTF-8.
    pub note: Option<&'static str>,
}

/// What a file is meant to be, for advice.
pub(super) struct Meant {
    /// `a list`.
    pub what: &'static str,
    /// `a line for each video`.
    pub each: &'static str,
    /// All that has to be written.
    pub form: &'static str,
}

/// A list of videos.
pub(super) const LIST: Meant = Meant {
    what: "a list",
    each: "a line for each video",
    form: "write a line for each video, `path label`; of segments, such as BABEL's, `path offset frames label`",
};

/// Reads a file as text: UTF-8 with or without a byte order mark, UTF-16, line ends of every system.
///
/// # Errors
/// A fragment that says what the file is and what to do, if it is not text or another kind of document.
pub(super) fn text<'b>(bytes: &'b [u8], meant: &Meant) -> Result<Text<'b>, String> {
    if let Some(what) = binary(bytes, meant) {
        return Err(what);
    }
    let (bytes, note): (Cow<'_, [u8]>, _) = match utf16(bytes) {
        Some(text) => (text.into_bytes().into(), Some("is UTF-16 text, and was read as such")),
        None => (bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).into(), None),
    };
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        let line = 1 + bytes[..at].iter().filter(|b| **b == b'\n').count();
        return Err(format!(
            "is not text: line {line} holds a zero byte; save it as plain text (UTF-8)"
        ));
    }
    let bytes = line_ends(bytes);
    match document(&bytes, meant) {
        Some(what) => Err(what),
        None => Ok(Text { bytes, note }),
    }
}

/// UTF-16 with a byte order mark, or with every other byte zero as for Latin letters.
fn utf16(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(512) & !1];
    let zeros = |at: usize| head.iter().skip(at).step_by(2).filter(|b| **b == 0).count();
    let most = |n: usize| head.len() >= 4 && n * 10 >= head.len() / 2 * 7;
    type Unit = fn([u8; 2]) -> u16;
    let (bytes, read): (&[u8], Unit) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => (rest, u16::from_be_bytes),
        _ if most(zeros(1)) && zeros(0) == 0 => (bytes, u16::from_le_bytes),
        _ if most(zeros(0)) && zeros(1) == 0 => (bytes, u16::from_be_bytes),
        _ => return None,
    };
    let units = bytes.chunks_exact(2).map(|c| read([c[0], c[1]]));
    let decoded = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    Some(decoded.collect())
}

/// Old Macintosh files end their lines in `\r` alone.
fn line_ends(bytes: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let alone = |i: usize| bytes[i] == b'\r' && !matches!(bytes.get(i + 1), Some(b'\n' | b'\r') | None);
    if !(0..bytes.len()).any(alone) {
        return bytes;
    }
    let ends = (0..bytes.len()).map(|i| if alone(i) { b'\n' } else { bytes[i] });
    ends.collect::<Vec<u8>>().into()
}

/// First bytes of binary files, and their kinds, with the words WHAT and EACH for those of [`Meant`].
const BINARY: [(&[u8], &str); 17] = [
    (b"\x1f\x8b", "is compressed (gzip): unpack it (`gunzip`)"),
    (b"BZh", "is compressed (bzip2): unpack it (`bunzip2`)"),
    (b"\xfd7zXZ", "is compressed (xz): unpack it (`unxz`)"),
    (b"\x28\xb5\x2f\xfd", "is compressed (zstd): unpack it (`unzstd`)"),
    (b"7z\xbc\xaf", "is an archive (7z): unpack it"),
    (b"Rar!", "is an archive (RAR): unpack it"),
    (
        b"PK\x03\x04",
        "is a zip archive, or a workbook or document of an office program: unpack it, or save the table as text (CSV)",
    ),
    (
        b"\xd0\xcf\x11\xe0",
        "is a workbook or document of an office program: save the table as text (CSV)",
    ),
    (b"%PDF", "is a PDF document: WHAT is plain text, EACH"),
    (b"\x93NUMPY", "is an array of NumPy: write it as text, EACH"),
    (
        b"PAR1",
        "is a table in Parquet: write it as text (`to_csv(…, index=False)`)",
    ),
    (b"\x89HDF", "is an HDF5 file: write the table as text, EACH"),
    (
        b"SQLite format 3",
        "is a database (SQLite): write the table as text, EACH",
    ),
    (b"\x80\x02", "is a pickle of Python: write it as text, EACH"),
    (b"\x80\x03", "is a pickle of Python: write it as text, EACH"),
    (b"\x80\x04", "is a pickle of Python: write it as text, EACH"),
    (b"\x80\x05", "is a pickle of Python: write it as text, EACH"),
];

fn binary(bytes: &[u8], meant: &Meant) -> Option<String> {
    if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") {
        return Some("is UTF-32 text: save it as UTF-8".into());
    }
    if let Some((_, what)) = BINARY.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(what.replace("WHAT", meant.what).replace("EACH", meant.each));
    }
    let tar = bytes.get(257..262) == Some(b"ustar");
    if tar {
        return Some("is an archive (tar): unpack it".into());
    }
    // Containers of video have zero bytes early; a text that begins like one does not.
    let zeros = bytes.iter().take(64).any(|b| *b == 0);
    let what = match sniff(&bytes[..bytes.len().min(HEAD as usize)]) {
        Kind::Mp4 if zeros => "a video (mp4 or mov)",
        Kind::Other(what) | Kind::NoVideo(what) if zeros => what,
        _ => return None,
    };
    let what = what.split(';').next().unwrap_or(what);
    let Meant { what: wanted, each, .. } = meant;
    Some(format!("is {what}, not {wanted}: {wanted} is text, with {each}"))
}

/// Documents of other kinds, by the beginning of their text.
fn document(bytes: &[u8], meant: &Meant) -> Option<String> {
    let Meant { what: wanted, form, .. } = meant;
    let text = bytes.trim_ascii();
    let begins = |start: &str| {
        text.get(..start.len())
            .is_some_and(|t| t.eq_ignore_ascii_case(start.as_bytes()))
    };
    if begins("version https://git-lfs.github.com/spec/") {
        return Some("is a pointer of Git LFS, not the file: fetch it (`git lfs pull`)".into());
    }
    if text.len() < 4096 && !text.contains(&b'\n') && text.windows(15).any(|w| w == b"/annex/objects/") {
        return Some("is a pointer of git-annex, not the file: fetch it (`git annex get`)".into());
    }
    if begins("<!doctype html") || begins("<html") || begins("<head") || begins("<body") {
        return Some(format!(
            "is a web page (HTML), not {wanted}: perhaps one that was saved in the file's place, such as a page to log in \
             or of an error; fetch the file itself"
        ));
    }
    if begins("<?xml") || begins("<!") || text.starts_with(b"<") && text.ends_with(b">") {
        return Some(format!("is XML, not {wanted}: {form}"));
    }
    if begins("{\\rtf") {
        return Some(
            "is rich text (RTF), not plain text: save it as plain text (TextEdit: Format, Make Plain Text)".into(),
        );
    }
    if is_json(text) {
        return Some(format!("is JSON, not {wanted}: {form}"));
    }
    let mut lines = text.split(|b| *b == b'\n').map(|l| l.trim_ascii());
    let first = lines.next().unwrap_or_default();
    let key = first.strip_prefix(b"- ").unwrap_or(first);
    let colon = key
        .iter()
        .position(|b| *b == b':')
        .filter(|at| *at > 0 && key[..*at].iter().all(u8::is_ascii_alphabetic));
    let yaml = first == b"---" || colon.is_some_and(|at| key.len() == at + 1 || first.len() > key.len());
    if yaml {
        return Some(format!("is YAML, not {wanted}: {form}"));
    }
    None
}

/// Objects or arrays, in JSON or as Python prints them, together or one a line.
fn is_json(text: &[u8]) -> bool {
    let (Some(first), Some(last)) = (text.first(), text.last()) else {
        return false;
    };
    let after = text[1..].trim_ascii_start().first();
    match first {
        b'{' => matches!(after, Some(b'"' | b'\'' | b'}')) && matches!(last, b'}' | b']' | b','),
        b'[' => matches!(after, Some(b'{' | b'"' | b'\'' | b'[' | b']')) && matches!(last, b'}' | b']' | b','),
        _ => false,
    }
}
