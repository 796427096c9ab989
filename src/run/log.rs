//! metrics.jsonl and TensorBoard's event file. Both are cut back to the checkpoint when a run is resumed, and neither
//! holds wall-clock text, so a resumed run leaves the same metrics as an uninterrupted one. What the checkpoint counts on
//! must still be there: metrics.jsonl by its hash, and the event file, which holds the same numbers, is written again.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The two logs of a run.
pub(super) struct Log {
    /// Nothing where what is logged is not kept.
    to: Option<Files>,
    step: i64,
}

struct Files {
    metrics: File,
    events: File,
    /// Of all of metrics.jsonl so far.
    hash: blake3::Hasher,
}

/// Where the logs stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// Bytes of metrics.jsonl.
    pub metrics_bytes: u64,
    /// BLAKE3 of these bytes, in hexadecimal.
    pub metrics_hash: String,
    /// Bytes of the event file.
    pub events_bytes: u64,
}

impl Log {
    /// Opens the logs and cuts them back to `end`. Gives what is worth reporting: that the event file was not as long as it
    /// should be and is written again.
    ///
    /// # Errors
    /// metrics.jsonl does not begin with what was logged up to `end`, or a file cannot be opened.
    pub(super) fn open(metrics: &Path, events: &Path, end: &LogEnd) -> Result<(Log, Option<String>)> {
        let (metrics_file, text) = whole_up_to(metrics, end)?;
        let length = events.metadata().map_or(0, |m| m.len());
        let again = end.events_bytes == 0 || length < end.events_bytes;
        let mut hash = blake3::Hasher::new();
        hash.update(text.as_bytes());
        let files = Files {
            metrics: metrics_file,
            events: cut(events, if again { 0 } else { end.events_bytes })?,
            hash,
        };
        let mut log = Log {
            to: Some(files),
            step: 0,
        };
        if !again {
            return Ok((log, None));
        }
        // field 3: file_version
        let mut e = vec![];
        string(&mut e, 3, b"brain.Event:2");
        log.event(e)?;
        for line in text.lines() {
            let Row { head, values } = row(line).with_context(|| format!("cannot read {}", metrics.display()))?;
            let tag = head
                .get("view")
                .or(head.get("phase"))
                .and_then(Value::as_str)
                .unwrap_or_default();
            log.step = head.get("step").and_then(Value::as_i64).unwrap_or(0);
            for (name, v) in values {
                log.scalar(&format!("{tag}/{name}"), v as f32)?;
            }
        }
        let lost = end.events_bytes > 0;
        let report = || {
            let had = if length == 0 {
                "missing".to_owned()
            } else {
                format!("cut to {length} bytes")
            };
            format!("{} was {had} and is written again from metrics.jsonl", events.display())
        };
        Ok((log, lost.then(report)))
    }

    /// A log that is not kept.
    pub(super) fn nowhere() -> Log {
        Log { to: None, step: 0 }
    }

    /// Where the logs stand, with everything on the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn end(&mut self) -> Result<LogEnd> {
        let Some(Files { metrics, events, hash }) = &mut self.to else {
            return Ok(LogEnd::default());
        };
        metrics.sync_data()?;
        events.sync_data()?;
        Ok(LogEnd {
            metrics_bytes: metrics.stream_position()?,
            metrics_hash: hash.finalize().to_hex().to_string(),
            events_bytes: events.stream_position()?,
        })
    }

    /// One line of metrics.jsonl, and each of `values` as a TensorBoard scalar `tag/name` at `at`.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn write(
        &mut self,
        head: Map<String, Value>,
        tag: &str,
        at: u64,
        values: &[(String, f64)],
    ) -> Result<()> {
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
        files.hash.update(text.as_bytes());
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

/// A line of metrics.jsonl, apart.
pub(super) struct Row {
    /// Where it belongs: phase or view, step, epoch.
    pub head: Map<String, Value>,
    /// The numbers, by name.
    pub values: Vec<(String, f64)>,
}

/// Reads a line of metrics.jsonl.
///
/// # Errors
/// It is no JSON object.
pub(super) fn row(line: &str) -> Result<Row> {
    let all: Map<String, Value> = serde_json::from_str(line)?;
    let (mut head, mut values) = (Map::new(), vec![]);
    for (name, v) in all {
        match v.as_f64() {
            Some(x) if !matches!(name.as_str(), "step" | "epoch") => values.push((name, x)),
            _ => {
                head.insert(name, v);
            }
        }
    }
    Ok(Row { head, values })
}

/// Opens metrics.jsonl, cut back to `end`, with its text up to there.
fn whole_up_to(path: &Path, end: &LogEnd) -> Result<(File, String)> {
    let begins_well = |file: &mut File| -> std::io::Result<Result<String, String>> {
        let length = file.metadata()?.len();
        if length < end.metrics_bytes {
            let is = if length == 0 {
                "it is missing or empty".to_owned()
            } else {
                format!("it has {length} bytes")
            };
            return Ok(Err(format!(
                "{is}, and had {} when the state was saved",
                end.metrics_bytes
            )));
        }
        let mut bytes = vec![];
        file.seek(SeekFrom::Start(0))?;
        file.take(end.metrics_bytes).read_to_end(&mut bytes)?;
        let same = end.metrics_bytes == 0 || blake3::hash(&bytes).to_hex().as_str() == end.metrics_hash;
        Ok(match String::from_utf8(bytes) {
            Ok(text) if same => Ok(text),
            _ => Err("it was altered since the state was saved".into()),
        })
    };
    if end.metrics_bytes > 0 {
        let found = glad_video::open_file(path).and_then(|mut file| begins_well(&mut file));
        let damage = match found {
            Ok(Ok(text)) => return Ok((cut(path, end.metrics_bytes)?, text)),
            Ok(Err(damage)) => damage,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => "it is missing".to_owned(),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        bail!(
            "{} is not the log that the saved state goes on with: {damage}\n  put the file back; or begin anew in another \
             folder (the weights so far can still be used by `eval` and `predict`)",
            path.display()
        );
    }
    Ok((cut(path, 0)?, String::new()))
}

fn cut(path: &Path, length: u64) -> Result<File> {
    let open = || -> std::io::Result<File> {
        glad_video::may_be_written(path)?;
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

    /// Logs steps `from` to `to`.
    fn steps(log: &mut Log, range: std::ops::Range<u64>) {
        for i in range {
            let head = Map::from_iter([("phase".into(), json!("main")), ("step".into(), json!(i))]);
            log.write(head, "main", i, &[("ce".into(), 0.1 * i as f64)]).unwrap();
        }
    }

    /// The events without their times.
    fn events(path: &Path) -> Vec<Vec<u8>> {
        let all = std::fs::read(path).unwrap();
        let (mut at, mut found) = (0, vec![]);
        while at < all.len() {
            let n = u64::from_le_bytes(all[at..at + 8].try_into().unwrap()) as usize;
            found.push(all[at + 12 + 9..at + 12 + n].to_vec());
            at += 16 + n;
        }
        found
    }

    #[test]
    fn logs_are_cut_back() {
        let dir = tempfile::tempdir().unwrap();
        let (m, e) = (dir.path().join("m"), dir.path().join("e"));
        let (mut log, printed) = Log::open(&m, &e, &LogEnd::default()).unwrap();
        assert_eq!(printed, None);
        steps(&mut log, 0..2);
        let end = log.end().unwrap();
        steps(&mut log, 2..5);
        let whole = (std::fs::read(&m).unwrap(), events(&e), log.end().unwrap());
        let (mut log, printed) = Log::open(&m, &e, &end).unwrap();
        assert_eq!(printed, None);
        steps(&mut log, 2..5);
        assert_eq!(whole, (std::fs::read(&m).unwrap(), events(&e), log.end().unwrap()));
    }

    #[test]
    fn events_that_are_lost_are_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let (m, e) = (dir.path().join("m"), dir.path().join("e"));
        let (mut log, _) = Log::open(&m, &e, &LogEnd::default()).unwrap();
        steps(&mut log, 0..3);
        let head = Map::from_iter([
            ("view".into(), json!("test")),
            ("phase".into(), json!("main")),
            ("step".into(), json!(3)),
        ]);
        log.write(head, "test", 3, &[("top1".into(), 0.5)]).unwrap();
        let end = log.end().unwrap();
        let whole = events(&e);
        assert_eq!(whole.len(), 5);
        for length in [0, 40] {
            let bytes = std::fs::read(&e).unwrap();
            std::fs::write(&e, &bytes[..length]).unwrap();
            let (mut log, printed) = Log::open(&m, &e, &end).unwrap();
            assert!(printed.unwrap().contains("written again"));
            assert_eq!((events(&e), log.end().unwrap()), (whole.clone(), end.clone()));
        }
    }

    #[test]
    fn metrics_that_are_lost_are_reported() {
        let dir = tempfile::tempdir().unwrap();
        let (m, e) = (dir.path().join("m"), dir.path().join("e"));
        let (mut log, _) = Log::open(&m, &e, &LogEnd::default()).unwrap();
        steps(&mut log, 0..3);
        let end = log.end().unwrap();
        let whole = std::fs::read(&m).unwrap();
        let mut digit = whole.clone();
        digit[30] ^= 1;
        let cases = [
            (None, "it is missing"),
            (Some(&whole[..0]), "it is missing or empty"),
            (Some(&whole[..20]), "it has 20 bytes"),
            (Some(&digit[..]), "it was altered"),
        ];
        for (bytes, why) in cases {
            match bytes {
                Some(bytes) => std::fs::write(&m, bytes).unwrap(),
                None => std::fs::remove_file(&m).unwrap(),
            }
            let Err(error) = Log::open(&m, &e, &end) else {
                panic!("{why}")
            };
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(std::fs::read(&m).ok().as_deref(), bytes, "{why}: the file was touched");
            std::fs::write(&m, &whole).unwrap();
        }
    }
}
