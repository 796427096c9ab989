//! Annotations of EPIC-KITCHENS: CSV, its columns named by the first row.

use super::labels::Labels;
use super::rows::{Header, first_row, has, rows};
use super::text::segment;
use super::{BadLine, ListEntry, ListOptions, Scan};
use crate::Checksum;
use csv::ByteRecord;
use std::ops::ControlFlow;

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
    let names = first_row(bytes);
    names.len() > 1 && has(&names, START) && has(&names, VIDEO)
}

/// The error of the header, if any.
fn lacks(header: &Header) -> Option<String> {
    let missing: Vec<&str> = [VIDEO, START, STOP]
        .into_iter()
        .filter(|n| header.place(n).is_none())
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "the first row has to name the columns of EPIC-KITCHENS, and has no {}; it has {}",
            missing.join(", "),
            header.names.join(", ")
        )
    })
}

/// Reads the valid lines.
pub(super) fn scan(bytes: &[u8], options: &ListOptions) -> Scan {
    let mut found = Scan {
        columns: [PARTICIPANT, VIDEO, START, STOP, CLASS].join(", "),
        ..Scan::default()
    };
    let labels = Labels::of(options.classes.as_deref());
    let mut header: Option<Header> = None;
    let mut path = String::new();
    let end = rows(bytes, |line, record| {
        let bad = |reason: String| BadLine { line, reason };
        let Some(columns) = &header else {
            let read = Header::of(record);
            if let Some(reason) = lacks(&read) {
                found.leave_open(bad(reason));
                return ControlFlow::Break(());
            }
            header = Some(read);
            return ControlFlow::Continue(());
        };
        let kept =
            row(columns, record, &labels, &mut path).and_then(|entry| found.entries.push(ListEntry { line, ..entry }));
        if let Err(reason) = kept {
            found.bad.push(bad(reason));
        }
        ControlFlow::Continue(())
    });
    found.bad.extend(end.err());
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
    let text = |name: &str| header.field(record, name);
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
        origin: None,
        line: 0,
    })
}
