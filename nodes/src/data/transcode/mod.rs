//! `transcode`: videos rewritten for random access.

mod listing;
mod rewrite;
#[cfg(test)]
mod tests;

use super::footage::ListedFootage;
use crate::contract::*;
use anyhow::Context;
use glad_video::ops::Filter;
use glad_video::{Checksum, OpenOptions, Watch, write};
use listing::Row;
use rewrite::Coding;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Rewrites each video, once, into a form made for drawing clips from it: H.264 in mp4 with small pictures and a key
/// frame every few frames. Frame *i* of the new file is frame *i* of the old one.
///
/// A file is written whole or not at all, and one that is there already is taken as it is: what was killed goes on
/// where it was. Its name holds what it was made from (path, size and time of the old file, and these parameters).
/// Where a list names segments of files, the whole file is rewritten once and the segments stay as they are.
///
/// At the end of a view that gives `video`, the list is written, too, with the new paths and its own name, and with the
/// BLAKE3 of each file as its last column, `b3:HEX`, which `video_list` checks; what could not be rewritten is a comment in
/// it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "out": "prepared" }]))]
pub struct Transcode {
    /// The folder for the new files and lists. A relative path is meant from the folder of the graph file.
    pub out: String,
    /// Pixels of the shorter side; smaller videos keep their size. Sides are made even, as the format wants them: by
    /// rounding where the video is resized, else by leaving out its last column or row.
    #[serde(default = "short")]
    pub short: usize,
    /// How pixels are made where a video is resized; as in `resize`.
    #[serde(default)]
    pub filter: Filter,
    /// Frames from one key frame to the next: what has to be decoded to reach a frame.
    #[serde(default = "gop")]
    pub gop: u32,
    /// The quantiser, 0 (best) to 51.
    #[serde(default = "qp")]
    pub qp: u8,
}

fn short() -> usize {
    256
}

fn gop() -> u32 {
    12
}

fn qp() -> u8 {
    18
}

impl Kind for Transcode {
    const NAME: &'static str = "transcode";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        if self.out.is_empty() {
            problems.push(ParamProblem::new("out", "`out` must name a folder"));
        }
        if self.short < 2 {
            problems.push(ParamProblem::new("short", "`short` must be at least 2"));
        }
        if self.gop == 0 {
            problems.push(ParamProblem::new("gop", "`gop` must be at least 1"));
        }
        if self.qp > 51 {
            problems.push(ParamProblem::new("qp", "`qp` must be 0 to 51"));
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Host).input("video", "Video[B]", "the video").output(
            "video",
            "Video[B]",
            "the video, from its new file",
        )
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Stage(Box::new(Transcoder {
            out: cx.folder.join(&self.out),
            coding: Coding {
                short: self.short,
                filter: self.filter,
                gop: self.gop,
                qp: self.qp,
            },
            rows: Mutex::default(),
            busy: Mutex::default(),
            swept: Mutex::default(),
        })))
    }
}

/// Goes up whenever the same video and parameters give another file.
const VERSION: u32 = 1;

struct Transcoder {
    out: PathBuf,
    coding: Coding,
    /// What was made, by line of a list.
    rows: Mutex<BTreeMap<String, Row>>,
    /// A lock for each file: several segments of one are rewritten by one thread.
    busy: Mutex<HashMap<PathBuf, Arc<Mutex<()>>>>,
    /// Folders that were looked through for what killed runs have left.
    swept: Mutex<HashSet<PathBuf>>,
}

impl Stage for Transcoder {
    fn run(&self, _: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let video = inputs.video("video")?;
        let (whole, first) = match video.footage.whole() {
            Some((whole, first)) => (whole, Some(first)),
            None => (video.footage.clone(), None),
        };
        let segment = match first {
            Some(first) => Some((first, video.footage.frame_count()?)),
            None => None,
        };
        let relative = self.place(&video.path, whole.as_ref());
        let target = self.out.join(&relative);
        let own = lock(&self.busy).entry(target.clone()).or_default().clone();
        let held = lock(&own);
        let cropped = self
            .ensure(whole.as_ref(), &target)
            .map_err(|e| e.context(format!("{}: {}", video.line, video.path.display())))?;
        drop(held);
        let checksum = Checksum::of(&target).map_err(|e| DataError::fatal(format!("{}: {e}", target.display())))?;
        let row = Row {
            path: relative,
            checksum,
            segment,
            frames: whole.frame_count()?,
            label: video.label,
            cropped,
        };
        lock(&self.rows).insert(video.line.clone(), row);
        let options = OpenOptions {
            offset: segment.map_or(0, |(first, _)| first),
            frames: segment.map(|(_, frames)| frames),
            ..OpenOptions::default()
        };
        let footage = ListedFootage::new(
            target.clone(),
            video.line.clone(),
            options,
            Stated::default(),
            Watch::default(),
        );
        Ok(vec![HostValue::Video(Arc::new(Video {
            path: target,
            footage: Arc::new(footage),
            ..Video::clone(video)
        }))])
    }

    fn finish(&self, videos: &[Arc<Video>], bad: &[(usize, String)]) -> Result<Vec<String>, DataError> {
        let rows = lock(&self.rows);
        Ok(listing::write(&self.out, &self.coding, &rows, videos, bad)?)
    }
}

impl Transcoder {
    /// Where the new file is, from the folder of all: under the name of its class or whatever folder the old one is in.
    fn place(&self, path: &Path, whole: &dyn Footage) -> PathBuf {
        let Coding { short, filter, gop, qp } = self.coding;
        let stamp = whole.stamp().unwrap_or_else(|| path.display().to_string());
        let made = format!("transcode {VERSION}\n{short} {filter:?} {gop} {qp}\n{stamp}");
        let name = |p: Option<&std::ffi::OsStr>| p.map_or(String::new(), |n| n.to_string_lossy().into_owned());
        let folder = name(path.parent().and_then(Path::file_name));
        let stem = match path.is_dir() {
            true => name(path.file_name()),
            false => name(path.file_stem()),
        };
        let hash = blake3::hash(made.as_bytes()).to_hex();
        Path::new("videos")
            .join(folder)
            .join(format!("{stem}-{}.mp4", &hash[..10]))
    }

    /// Makes the file, if it is not there. Says whether a column or row was left out.
    fn ensure(&self, whole: &dyn Footage, target: &Path) -> Result<bool, DataError> {
        let frames = whole.frame_count()?;
        let first = whole.frames(&[0])?.remove(0);
        let size = self.coding.size(first.width, first.height);
        let folder = target.parent().context("it has no folder")?;
        let first = lock(&self.swept).insert(folder.to_path_buf());
        // Another thread that came first may not have made it yet.
        std::fs::create_dir_all(folder)
            .and_then(|()| if first { write::sweep(folder) } else { Ok(()) })
            .map_err(|e| DataError::fatal(format!("{}: cannot work in the folder: {e}", folder.display())))?;
        let there = glad_video::Video::open(target, &OpenOptions::default());
        if !there.is_ok_and(|v| v.frame_count() == frames && (v.width(), v.height()) == (size.width, size.height)) {
            rewrite::rewrite(whole, target, &self.coding, size)?;
        }
        Ok(size.cropped)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
