//! Indices of features: CSV with the columns `file`, `label` and `video`, as `glad-run predict` writes them.

use super::labels::Labels;
use super::rows::{Header, first_row, has, rows};
use super::{BadLine, ListEntry, ListOptions, Origin, Scan};
use std::ops::ControlFlow;

const FILE: &str = "file";
const LABEL: &str = "label";
const SHAPE: &str = "shape";
const VIDEO: &str = "video";
const OFFSET: &str = "offset";
const FRAMES: &str = "frames";

/// Whether the first row names the columns of an index.
pub(super) fn has_header(bytes: &[u8]) -> bool {
    let names = first_row(bytes);
    [FILE, LABEL, SHAPE].iter().all(|n| has(&names, n))
}

/// Reads the valid lines.
pub(super) fn scan(bytes: &[u8], options: &ListOptions) -> Scan {
    let mut found = Scan {
        columns: [FILE, LABEL].join(", "),
        ..Scan::default()
    };
    let labels = Labels::of(options.classes.as_deref());
    let mut header: Option<Header> = None;
    let end = rows(bytes, |line, record| {
        let bad = |reason: String| BadLine { line, reason };
        let Some(columns) = &header else {
            let read = Header::of(record);
            if read.place(FILE).is_none() {
                found.leave_open(bad(format!(
                    "the first row has to name the columns of an index of features, and has no {FILE}; it has {}",
                    read.names.join(", ")
                )));
                return ControlFlow::Break(());
            }
            header = Some(read);
            return ControlFlow::Continue(());
        };
        let entry = || -> Result<ListEntry<'_>, String> {
            if record.len() != columns.names.len() {
                let (has, named) = (record.len(), columns.names.len());
                return Err(format!("has {has} columns where the first row names {named}"));
            }
            let label = match columns.field(record, LABEL)? {
                Some(word) => labels.read(word, &|| format!(" in {LABEL}"))?,
                None => None,
            };
            let number = |name: &str| match columns.field(record, name)?.map(|word| (word, word.parse())) {
                None => Ok(None),
                Some((_, Ok(n))) => Ok(Some(n)),
                Some((word, Err(_))) => Err(format!("{name} {word:?} is not a number of frames")),
            };
            let origin = match columns.field(record, VIDEO)? {
                Some(path) => Some(Origin {
                    path,
                    offset: number(OFFSET)?,
                    frames: number(FRAMES)?,
                }),
                None => None,
            };
            Ok(ListEntry {
                path: columns.field(record, FILE)?.ok_or_else(|| format!("has no {FILE}"))?,
                label,
                frames: None,
                offset: None,
                checksum: None,
                origin,
                line,
            })
        };
        if let Err(reason) = entry().and_then(|entry| found.entries.push(entry)) {
            found.bad.push(bad(reason));
        }
        ControlFlow::Continue(())
    });
    found.bad.extend(end.err());
    found.entries.shrink();
    found.numbered = labels.numbered();
    found
}

#[cfg(test)]
mod tests {
    use super::super::{ListFormat, scan};
    use super::*;

    fn read(text: &str) -> Scan {
        scan(text.as_bytes(), &ListOptions::default()).unwrap()
    }

    #[test]
    fn an_index_is_known_by_its_columns() {
        let found =
            read("video,label,file,shape\n\"a, b.mp4\",3,0000-a.safetensors,5x4\nc.mp4,,0001-c.safetensors,5x4\n");
        assert_eq!(found.format, ListFormat::FeatureIndex);
        let rows: Vec<_> = found.entries.iter().map(|e| (e.line, e.path, e.label)).collect();
        assert_eq!(
            rows,
            [(2, "0000-a.safetensors", Some(3)), (3, "0001-c.safetensors", None)]
        );
        assert!(found.numbered && found.bad.is_empty());
    }

    #[test]
    fn the_video_and_its_segment_are_kept() {
        let found = read(
            "video,label,file,shape,offset,frames\n/v/a.mp4,3,0,1x4,10,20\n/v/a.mp4,3,1,1x4,,\n,3,2,1x4,,\n/v/b.mp4,,3,1x4,7,\n",
        );
        let origin = |path, offset, frames| Some(Origin { path, offset, frames });
        let origins: Vec<_> = found.entries.iter().map(|e| e.origin).collect();
        assert_eq!(
            origins,
            [
                origin("/v/a.mp4", Some(10), Some(20)),
                origin("/v/a.mp4", None, None),
                None,
                origin("/v/b.mp4", Some(7), None),
            ]
        );
        let found = read("video,label,file,shape,offset\na.mp4,1,f,1x4,-1\n");
        assert_eq!(found.bad[0].reason, "offset \"-1\" is not a number of frames");
    }

    #[test]
    fn every_line_that_is_none_is_reported() {
        let found = read("video,label,file,shape\na,1\nb,x y z,f,1\nc,1,,1\nd,0,g,1\n");
        let bad: Vec<_> = found.bad.iter().map(|b| (b.line, b.reason.as_str())).collect();
        assert_eq!(bad[0], (2, "has 2 columns where the first row names 4"));
        assert!(bad[1].0 == 3 && bad[1].1.contains("in label"), "{bad:?}");
        assert_eq!(bad[2], (4, "has no file"));
        assert_eq!(found.entries.len(), 1);
        let options = ListOptions {
            format: ListFormat::FeatureIndex,
            ..ListOptions::default()
        };
        let found = super::super::scan(b"a.npy 3\n", &options).unwrap();
        assert!(
            found.undecided && found.bad[0].reason.contains("has no file"),
            "{:?}",
            found.bad
        );
    }
}
