//! The new lists.

use super::rewrite::Coding;
use crate::contract::Video;
use anyhow::{Context, Result, bail};
use glad_video::Checksum;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A rewritten video of a list.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The new file, from the folder of all.
    pub path: PathBuf,
    /// That of the new file.
    pub checksum: Checksum,
    /// First frame and number of frames, where the list names a segment.
    pub segment: Option<(usize, usize)>,
    /// Frames of the file.
    pub frames: usize,
    /// The class.
    pub label: Option<usize>,
    /// Whether a column or row was left out.
    pub cropped: bool,
}

/// Writes the lists that `videos` come from anew, into `out`; `bad` are those that could not be used. Returns lines to report.
///
/// # Errors
/// A list cannot be written, or a file that was made from another list is there.
pub(super) fn write(
    out: &Path,
    coding: &Coding,
    rows: &BTreeMap<String, Row>,
    videos: &[Arc<Video>],
    bad: &[(usize, String)],
) -> Result<Vec<String>> {
    let why: HashMap<usize, &str> = bad.iter().map(|(i, reason)| (*i, reason.as_str())).collect();
    let mut lists: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, video) in videos.iter().enumerate() {
        let (list, _) = video.line.rsplit_once(':').unwrap_or((&video.line, ""));
        lists.entry(list).or_default().push(i);
    }
    let mut printed = vec![];
    for (list, members) in lists {
        let made = |i: &&usize| rows.get(&videos[**i].line).filter(|_| !why.contains_key(i));
        let kept: Vec<&Row> = members.iter().filter_map(|i| made(&i)).collect();
        let segments = kept.iter().any(|r| r.segment.is_some());
        let mut text = head(list, coding);
        for i in &members {
            let video = &videos[*i];
            match made(&i) {
                Some(row) => line(&mut text, row, segments),
                None => {
                    let reason = why.get(i).copied().unwrap_or("it was not reached");
                    let reason: Vec<&str> = reason.split_whitespace().collect();
                    _ = writeln!(
                        text,
                        "# left out: {} ({}): {}",
                        video.path.display(),
                        video.line,
                        reason.join(" ")
                    );
                }
            }
        }
        let place = out.join(Path::new(list).file_name().context("the list has no name")?);
        keep(&place, list, text.as_bytes())?;
        let (left_out, cropped) = (members.len() - kept.len(), kept.iter().filter(|r| r.cropped).count());
        let mut words = format!("{}: {} videos", place.display(), kept.len());
        if left_out > 0 {
            words += &format!(", {left_out} left out (see there)");
        }
        if cropped > 0 {
            words += &format!(", {cropped} of odd size without their last column or row");
        }
        printed.push(words);
    }
    Ok(printed)
}

fn head(list: &str, Coding { short, gop, .. }: &Coding) -> String {
    format!(
        "{}\n# H.264, shorter side {short} at most, a key frame every {gop} frames\n",
        origin(list)
    )
}

/// The first line, by which a list that is there already is known.
fn origin(list: &str) -> String {
    let path = fs::canonicalize(list).unwrap_or_else(|_| PathBuf::from(list));
    format!("# made from {}", path.display())
}

fn line(text: &mut String, row: &Row, segments: bool) {
    // With slashes on every system.
    let parts: Vec<String> = row.path.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    let path = parts.join("/");
    let label = row.label.map_or("-".to_string(), |l| l.to_string());
    let checksum = row.checksum;
    _ = match (segments, row.segment.unwrap_or((0, row.frames))) {
        (true, (first, frames)) => writeln!(text, "{path} {first} {frames} {label} {checksum}"),
        (false, _) => writeln!(text, "{path} {} {label} {checksum}", row.frames),
    };
}

/// Writes the list whole or not at all, unless there is one from another list.
fn keep(place: &Path, list: &str, text: &[u8]) -> Result<()> {
    let attempt = || -> Result<()> {
        let folder = place.parent().context("it has no folder")?;
        fs::create_dir_all(folder)?;
        let there = match glad_video::read_text(place) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            there => Some(there?),
        };
        if there.is_some_and(|t| t.lines().next() != Some(&origin(list))) {
            bail!(
                "the file that is there was not made from {list}; give the streams folders of their own (such as `source.out`)"
            );
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tmp-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist(place)?;
        Ok(())
    };
    attempt().with_context(|| format!("{}: cannot write the list", place.display()))
}
