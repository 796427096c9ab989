//! Annotations of EPIC-KITCHENS: CSV, its columns named by the first row.

use super::labels::Labels;
use super::text::segment;
use super::{BadLine, ListEntry, ListOptions, Scan};
use crate::Checksum;
use csv::{ByteRecord, ReaderBuilder};

/// Frames are `frame_0000000001.jpg` and so on.
const FIRST: usize = 1;
const START: &str = "start_frame";
const STOP: &str = "stop_frame";
const VIDEO: &str = "video_id";
const PARTICIPANT: &str = "participant_id";
const CLASS: &str = "verb_class";
const NAME: &str = "verb";

/// Whether the first row names the required columns.
pub(super) fn has_header(bytes: &[u8]) -> bool {
    let first = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let names = String::from_utf8_lossy(first).to_ascii_lowercase();
    let names: Vec<&str> = names
        .split([',', '\t', ';'])
        .map(|n| n.trim().trim_matches('"'))
        .collect();
    names.len() > 1 && names.contains(&START) && names.contains(&VIDEO)
}

/// The positions of the columns.
struct Header {
    names: Vec<String>,
}

impl Header {
    fn of(record: &ByteRecord) -> Self {
        let name = |n: &[u8]| String::from_utf8_lossy(n).trim().to_ascii_lowercase();
        Self {
            names: record.iter().map(name).collect(),
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }

    /// The error of the header, if any.
    fn lacks(&self) -> Option<String> {
        let missing: Vec<&str> = [VIDEO, START, STOP]
            .into_iter()
            .filter(|n| self.place(n).is_none())
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "the first row has to name the columns of EPIC-KITCHENS, and has no {}; it has {}",
                missing.join(", "),
                self.names.join(", ")
            )
        })
    }
}

/// Reads the valid lines.
pub(super) fn scan(bytes: &[u8], options: &ListOptions) -> Scan {
    let mut found = Scan {
        columns: [PARTICIPANT, VIDEO, START, STOP, CLASS].join(", "),
        ..Scan::default()
    };
    let first = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let delimiter = [b',', b'\t', b';']
        .into_iter()
        .max_by_key(|d| (first.iter().filter(|b| *b == d).count(), *d == b','))
        .unwrap_or(b',');
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .has_headers(false)
        .from_reader(bytes);
    let labels = Labels::of(options.classes.as_deref());
    let mut header: Option<Header> = None;
    let mut record = ByteRecord::new();
    let mut path = String::new();
    // The line of the byte `from`.
    let (mut line, mut from) = (1, 0);
    loop {
        let outcome = reader.read_byte_record(&mut record);
        if let Some(p) = record.position() {
            // The reader's own count is one too low if lines end in two bytes.
            let begins = |at: &usize| !matches!(bytes.get(*at), Some(b'\r' | b'\n'));
            let to = (p.byte() as usize..bytes.len()).find(begins).unwrap_or(bytes.len());
            line += bytes[from..to].iter().filter(|b| **b == b'\n').count();
            from = to;
        }
        let bad = |reason: String| BadLine { line, reason };
        match outcome {
            Ok(false) => break,
            Err(e) => {
                found.bad.push(bad(format!("is not CSV: {e}")));
                break;
            }
            Ok(true) => {}
        }
        let Some(columns) = &header else {
            let read = Header::of(&record);
            if let Some(reason) = read.lacks() {
                found.leave_open(bad(reason));
                break;
            }
            header = Some(read);
            continue;
        };
        let kept =
            row(columns, &record, &labels, &mut path).and_then(|entry| found.entries.push(ListEntry { line, ..entry }));
        if let Err(reason) = kept {
            found.bad.push(bad(reason));
        }
    }
    found.entries.shrink();
    found.numbered = labels.numbered();
    found
}

/// An entry, whose path is written to `path`.
fn row<'p>(
    header: &Header,
    record: &ByteRecord,
    labels: &Labels<'_>,
    path: &'p mut String,
) -> Result<ListEntry<'p>, String> {
    let last = record
        .iter()
        .next_back()
        .and_then(|field| std::str::from_utf8(field).ok());
    let checksum = last.map(str::trim).filter(|word| Checksum::is_meant(word));
    // The header need not name it.
    let unnamed = usize::from(checksum.is_some() && record.len() == header.names.len() + 1);
    if record.len() - unnamed != header.names.len() {
        return Err(format!(
            "has {} columns where the first row names {}",
            record.len(),
            header.names.len()
        ));
    }
    let text = |name: &str| -> Result<Option<&str>, String> {
        let Some(field) = header.place(name).and_then(|i| record.get(i)) else {
            return Ok(None);
        };
        let field = std::str::from_utf8(field).map_err(|_| format!("{name} is not UTF-8 text"))?;
        Ok(Some(field.trim()).filter(|t| !t.is_empty()))
    };
    let needed = |name: &str| text(name)?.ok_or_else(|| format!("has no {name}"));
    let frame = |name: &str| {
        let word = needed(name)?;
        // pandas writes integers of a column with gaps as 12.0
        let whole = word.strip_suffix(".0").unwrap_or(word);
        whole
            .parse::<usize>()
            .map_err(|_| format!("{name} {word:?} is not the number of a frame"))
    };
    let video = needed(VIDEO)?;
    let participant = match text(PARTICIPANT)? {
        Some(p) => p,
        None => match video.split_once('_') {
            Some((p, _)) => p,
            None => {
                return Err(format!(
                    "has no {PARTICIPANT}, and {VIDEO} {video:?} does not say it (P01_01)"
                ));
            }
        },
    };
    let (offset, frames) = segment(frame(START)?, frame(STOP)?, FIRST)?;
    let label = match (text(CLASS)?, text(NAME)?) {
        (Some(class), _) => labels.read(class, &|| format!(" in {CLASS}"))?,
        (None, Some(name)) if header.place(CLASS).is_none() => labels.read(name, &|| format!(" in {NAME}"))?,
        _ => None,
    };
    path.clear();
    path.extend([participant, "/", video]);
    Ok(ListEntry {
        path,
        label,
        frames: Some(frames),
        offset: Some(offset),
        checksum: checksum.map(str::parse).transpose()?,
        line: 0,
    })
}
