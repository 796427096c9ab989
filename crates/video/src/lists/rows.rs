//! Rows of a table (CSV) whose first row names the columns.

use super::BadLine;
use csv::{ByteRecord, ReaderBuilder};
use std::ops::ControlFlow;

/// The names in the first row, in lower case.
pub(super) fn first_row(bytes: &[u8]) -> Vec<String> {
    let first = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let names = String::from_utf8_lossy(first).to_ascii_lowercase();
    let name = |n: &str| n.trim().trim_matches('"').to_owned();
    names.split([',', '\t', ';']).map(name).collect()
}

/// Whether a column of this name is among them.
pub(super) fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|n| n == name)
}

/// The positions of the columns.
pub(super) struct Header {
    pub(super) names: Vec<String>,
}

impl Header {
    pub(super) fn of(record: &ByteRecord) -> Self {
        let name = |n: &[u8]| String::from_utf8_lossy(n).trim().to_ascii_lowercase();
        Self {
            names: record.iter().map(name).collect(),
        }
    }

    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }

    /// The field of a row in the column of this name, if there is one and it is not empty.
    pub(super) fn field<'r>(&self, record: &'r ByteRecord, name: &str) -> Result<Option<&'r str>, String> {
        let Some(field) = self.place(name).and_then(|i| record.get(i)) else {
            return Ok(None);
        };
        let field = std::str::from_utf8(field).map_err(|_| format!("{name} is not UTF-8 text"))?;
        Ok(Some(field.trim()).filter(|t| !t.is_empty()))
    }
}

/// Passes each row, the first included, to `take` with its line, from 1.
///
/// # Errors
/// The line from which on the bytes are no table.
pub(super) fn rows(bytes: &[u8], mut take: impl FnMut(usize, &ByteRecord) -> ControlFlow<()>) -> Result<(), BadLine> {
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
    let mut record = ByteRecord::new();
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
        match outcome {
            Ok(false) => return Ok(()),
            Err(e) => {
                return Err(BadLine {
                    line,
                    reason: format!("is not CSV: {e}"),
                });
            }
            Ok(true) => {}
        }
        if take(line, &record).is_break() {
            return Ok(());
        }
    }
}
