//! What a run's folder records of the run, so that it can be resumed, and used elsewhere: `run.json` (what the run is)
//! and `inputs.jsonl` (what it reads, a line for each video).

use super::folder::write_whole;
use super::inputs::{Inputs, ListInput, VideoInput, WeightsInput};
use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;

/// The version of a run's folder that this program writes and goes on with. A folder of version 1 has no `run.json`.
pub(super) const FOLDER_FORMAT: u32 = 2;

/// What a run is, in `run.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of the folder.
    pub format: u32,
    /// The program that began it.
    pub program: String,
    /// Names its graph, wherever its files lie.
    pub graph: String,
    /// Names the content of its lists and weights.
    pub inputs: String,
    /// Whether a state has been saved.
    pub saved: bool,
    /// Names of the classes by stream, where they have any.
    pub classes: IndexMap<String, Vec<String>>,
    /// The hash of each file that weights started from, by node.
    pub weights: IndexMap<String, String>,
}

impl RunRecord {
    /// Writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_whole(path, (serde_json::to_string_pretty(self)? + "\n").as_bytes())
    }

    /// Reads it; `None` where there is none, as in a folder of version 1.
    ///
    /// # Errors
    /// It is damaged, or of a version that this program does not know.
    pub fn read(path: &Path) -> Result<Option<RunRecord>> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let text = match glad_video::read_text(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        let parse = || -> Result<RunRecord> {
            let Version { format } = serde_json::from_str(&text)?;
            known_format(format, FOLDER_FORMAT)?;
            Ok(serde_json::from_str(&text)?)
        };
        parse()
            .with_context(|| format!("cannot read {}", path.display()))
            .map(Some)
    }
}

/// An error unless `found` is the format that this program has.
///
/// # Errors
/// It is another one, which is named.
pub(super) fn known_format(found: u32, own: u32) -> Result<()> {
    match found {
        _ if found == own => Ok(()),
        _ if found < own => bail!("it is of format {found}, of an older glad; this one reads format {own}"),
        _ => bail!("it is of format {found}, of a newer glad; this one reads format {own}"),
    }
}

/// The first line of `inputs.jsonl`.
#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    /// Whether the data has been found in another place or with other times since the run began.
    moved: bool,
}

/// A line that begins something, to be read ([`Part`]) or written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PartOf<W, L, S> {
    Weights(W),
    /// As many lines with a video each follow.
    List(L),
    /// The last line: BLAKE3 of all before it.
    End(S),
}

type Part = PartOf<WeightsInput, ListInput, String>;
type PartRef<'a> = PartOf<&'a WeightsInput, &'a ListInput, &'a str>;

/// Writes `inputs.jsonl`.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write_inputs(path: &Path, inputs: &Inputs, moved: bool) -> Result<()> {
    let mut text = vec![];
    let head = Head {
        format: FOLDER_FORMAT,
        moved,
    };
    line(&mut text, &head)?;
    for w in &inputs.weights {
        line(&mut text, &PartRef::Weights(w))?;
    }
    for list in &inputs.lists {
        line(&mut text, &PartRef::List(list))?;
        for video in &list.videos {
            line(&mut text, video)?;
        }
    }
    let sum = blake3::hash(&text).to_hex();
    line(&mut text, &PartRef::End(sum.as_str()))?;
    write_whole(path, &text)
}

fn line<T: Serialize>(text: &mut Vec<u8>, value: &T) -> Result<()> {
    serde_json::to_writer(&mut *text, value)?;
    text.write_all(b"\n")?;
    Ok(())
}

/// Reads `inputs.jsonl`: what the run reads, and whether that has moved since the run began.
///
/// # Errors
/// It is not there, damaged, or of another version.
pub(super) fn read_inputs(path: &Path) -> Result<(Inputs, bool)> {
    let parse = || -> Result<(Inputs, bool)> {
        let text = glad_video::read_text(path)?;
        let mut lines = text.split_inclusive('\n');
        let head: Head = serde_json::from_str(lines.next().context("it is empty")?)?;
        known_format(head.format, FOLDER_FORMAT)?;
        let mut inputs = Inputs::default();
        let mut at = 0;
        while let Some(text_line) = lines.next() {
            match serde_json::from_str(text_line)? {
                Part::Weights(w) => inputs.weights.push(w),
                Part::List(mut list) => {
                    for _ in 0..list.count {
                        let video: VideoInput = serde_json::from_str(lines.next().context("it is cut short")?)?;
                        list.videos.push(video);
                    }
                    inputs.lists.push(list);
                }
                Part::End(sum) => {
                    at = text.len() - text_line.len();
                    ensure!(
                        sum == blake3::hash(&text.as_bytes()[..at]).to_hex().as_str(),
                        "it was altered"
                    );
                    ensure!(lines.next().is_none(), "it was altered");
                }
            }
        }
        ensure!(at > 0, "it is cut short");
        Ok((inputs, head.moved))
    };
    parse().with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::inputs::FileInput;

    fn inputs() -> Inputs {
        let file = FileInput {
            bytes: 9,
            parts: None,
            time: Some("17".into()),
            real: Some("/x/b.mp4".into()),
        };
        let list = ListInput {
            used: vec!["main videos@source".into()],
            count: 2,
            videos: vec![
                VideoInput(Some(1), "v/a \"1\".mp4".into(), Some(0), None, None, None),
                VideoInput(Some(3), "v/b.mp4".into(), None, Some(4), Some(5), Some(file)),
            ],
            ..ListInput::default()
        };
        let weights = WeightsInput {
            node: "backbone".into(),
            file: "w.pth".into(),
            hash: "ab".into(),
        };
        Inputs {
            lists: vec![list],
            weights: vec![weights],
        }
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("inputs.jsonl");
        write_inputs(&path, &inputs(), true).unwrap();
        let (read, moved) = read_inputs(&path).unwrap();
        assert_eq!(
            (read.lists, read.weights, moved),
            (inputs().lists, inputs().weights, true)
        );
        let whole = std::fs::read_to_string(&path).unwrap();
        let cut = |n: usize| whole[..n].to_owned();
        let end = whole.trim_end().rfind('\n').unwrap() + 1;
        for (damaged, why) in [
            (whole.replace("v/b.mp4", "v/c.mp4"), "it was altered"),
            (cut(end), "it is cut short"),
            (cut(end - 9), "EOF"),
            (String::new(), "it is empty"),
            (whole.replacen("\"format\":2", "\"format\":3", 1), "of a newer glad"),
            (whole.replacen("\"format\":2", "\"format\":1", 1), "of an older glad"),
            (format!("{whole}{whole}"), "it was altered"),
        ] {
            std::fs::write(&path, damaged).unwrap();
            let e = format!("{:#}", read_inputs(&path).unwrap_err());
            assert!(e.contains("inputs.jsonl") && e.contains(why), "{e}");
        }
    }

    #[test]
    fn a_record_of_another_version_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.json");
        assert_eq!(RunRecord::read(&path).unwrap(), None);
        let record = RunRecord {
            format: FOLDER_FORMAT,
            classes: IndexMap::from([("target".into(), vec!["run".into()])]),
            ..RunRecord::default()
        };
        record.write(&path).unwrap();
        assert_eq!(RunRecord::read(&path).unwrap(), Some(record));
        for (text, why) in [
            ("{\"format\": 9, \"what\": 1}", "of format 9, of a newer glad"),
            ("{\"format\": 2}", "missing field"),
            ("{", "EOF"),
        ] {
            std::fs::write(&path, text).unwrap();
            let e = format!("{:#}", RunRecord::read(&path).unwrap_err());
            assert!(e.contains("run.json") && e.contains(why), "{e}");
        }
    }
}
