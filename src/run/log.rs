//! metrics.jsonl and TensorBoard's event file. Both are cut back to the checkpoint when a run is resumed, and neither
//! holds wall-clock text, so a resumed run leaves the same metrics as an uninterrupted one.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The two logs of a run.
pub struct Log {
    /// Nothing where what is logged is not kept.
    to: Option<Files>,
    step: i64,
}

struct Files {
    metrics: File,
    events: File,
}

impl Log {
    /// Opens the logs, cut to the given lengths.
    pub fn open(metrics: &Path, events: &Path, metrics_bytes: u64, events_bytes: u64) -> Result<Log> {
        let files = Files {
            metrics: cut(metrics, metrics_bytes)?,
            events: cut(events, events_bytes)?,
        };
        let mut log = Log {
            to: Some(files),
            step: 0,
        };
        if events_bytes == 0 {
            // field 3: file_version
            let mut e = vec![];
            string(&mut e, 3, b"brain.Event:2");
            log.event(e)?;
        }
        Ok(log)
    }

    /// A log that is not kept.
    pub fn nowhere() -> Log {
        Log { to: None, step: 0 }
    }

    /// Lengths so far, with everything on the disk.
    pub fn lengths(&mut self) -> Result<(u64, u64)> {
        let Some(Files { metrics, events }) = &mut self.to else {
            return Ok((0, 0));
        };
        metrics.sync_data()?;
        events.sync_data()?;
        Ok((metrics.stream_position()?, events.stream_position()?))
    }

    /// One line of metrics.jsonl, and each of `values` as a TensorBoard scalar `tag/name` at `at`.
    pub fn write(&mut self, head: Map<String, Value>, tag: &str, at: u64, values: &[(String, f64)]) -> Result<()> {
        let Some(files) = &mut self.to else {
            return Ok(());
        };
        let mut line = head;
        for (name, v) in values {
            line.insert(name.clone(), json!(v));
        }
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        files.metrics.write_all(text.as_bytes())?;
        self.step = at as i64;
        for (name, v) in values {
            self.scalar(&format!("{tag}/{name}"), *v as f32)?;
        }
        Ok(())
    }

    fn scalar(&mut self, tag: &str, value: f32) -> Result<()> {
        // Summary.Value { tag = 1, simple_value = 2 }, Summary { value = 1 }, Event { step = 2, summary = 5 }
        let mut v = vec![];
        string(&mut v, 1, tag.as_bytes());
        v.push(2 << 3 | 5);
        v.extend(value.to_le_bytes());
        let mut summary = vec![];
        string(&mut summary, 1, &v);
        let mut e = vec![2 << 3];
        varint(&mut e, self.step as u64);
        string(&mut e, 5, &summary);
        self.event(e)
    }

    /// A TFRecord: length, its masked CRC, the event, its masked CRC.
    fn event(&mut self, mut body: Vec<u8>) -> Result<()> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |d| d.as_secs_f64());
        let mut event = vec![1 << 3 | 1];
        event.extend(now.to_le_bytes());
        event.append(&mut body);
        let length = (event.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(&event);
        record.extend(masked_crc(&event).to_le_bytes());
        if let Some(files) = &mut self.to {
            files.events.write_all(&record)?;
        }
        Ok(())
    }
}

fn cut(path: &Path, length: u64) -> Result<File> {
    let open = || -> std::io::Result<File> {
        let mut f = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .open(path)?;
        f.set_len(length)?;
        f.seek(SeekFrom::End(0))?;
        Ok(f)
    };
    open().with_context(|| format!("cannot open {}", path.display()))
}

fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn string(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// CRC-32C, rotated and offset as TFRecord wants it.
fn masked_crc(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for b in bytes {
        crc ^= *b as u32;
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_standard() {
        // RFC 3720 B.4: CRC-32C of 32 zero bytes is 0x8a9136aa; unmask to compare.
        let unmasked = masked_crc(&[0; 32]).wrapping_sub(0xa282_ead8).rotate_left(15);
        assert_eq!(unmasked, 0x8a91_36aa);
    }

    #[test]
    fn logs_are_cut_back() {
        let dir = tempfile::tempdir().unwrap();
        let (m, e) = (dir.path().join("m"), dir.path().join("e"));
        let row = |log: &mut Log, i: u64| log.write(Map::new(), "main", i, &[("ce".into(), i as f64)]).unwrap();
        let mut log = Log::open(&m, &e, 0, 0).unwrap();
        row(&mut log, 0);
        let (a, b) = log.lengths().unwrap();
        row(&mut log, 1);
        let whole = (std::fs::read(&m).unwrap(), std::fs::metadata(&e).unwrap().len());
        let mut log = Log::open(&m, &e, a, b).unwrap();
        row(&mut log, 1);
        assert_eq!(
            whole,
            (std::fs::read(&m).unwrap(), std::fs::metadata(&e).unwrap().len())
        );
    }
}
