//! The lists that a graph reads, and what their files are like.

use crate::program::Checked;
use crate::program::{Program, ProgramKind};
use crate::run::{Progress, make_data};
use anyhow::Result;
use glad_nodes::{Body, Defect, FileFault, Head, ListScan, Size, Source, SourceError, Stated, Video};
use indexmap::IndexMap;
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A list, with all that reads it.
pub struct Listed {
    /// The node that names it.
    pub node: String,
    /// The stream whose list it is.
    pub stream: String,
    /// The splits that it is the list of, and that are read.
    pub splits: Vec<String>,
    /// Whether a phase trains on it.
    pub trains: bool,
    /// Its lines; what is wrong with the list as a whole.
    pub scan: Result<ListScan, String>,
    /// The file that is to blame where the list cannot be read, if it is one.
    pub fault: Option<FileFault>,
    /// Names of the classes, where known.
    pub classes: Option<Vec<String>>,
    /// How many classes there are: as many as have names, else as many as the scores distinguish that its labels are compared with.
    pub class_count: Option<usize>,
    /// How many classes these scores distinguish, at least.
    pub scored: Option<usize>,
    /// Losses that need a label of every video.
    pub trained_on: Vec<String>,
    /// The frames of the longest clip that is taken of a video.
    pub clip: Option<usize>,
    /// What each video of the scan is like, in its order.
    pub looks: Vec<Look>,
}

/// What a video's file is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The number of frames, or what is wrong.
    pub frames: Result<usize, Defect>,
    /// Why a frame that was tried could not be decoded.
    pub damage: Option<String>,
    /// What is unusual about the file.
    pub remark: Option<String>,
    /// The file, by its path without links; of features that of the video that they were computed from.
    pub real: PathBuf,
    /// What the file of its other modality is like.
    pub other: Option<Box<Look>>,
}

impl Look {
    /// Whether the file is of no use.
    pub(super) fn is_bad(&self) -> bool {
        self.frames.is_err() || self.damage.is_some()
    }
}

/// What a video is among others: its file, and its segment where it is one.
pub(super) type Segment<'a> = (&'a Path, Option<(usize, Option<usize>)>);

impl Listed {
    /// The list's name: its file, else its node.
    pub fn name(&self) -> String {
        match &self.scan {
            Ok(ListScan { file: Some(f), .. }) => f.display().to_string(),
            _ => format!("`{}`", self.node),
        }
    }

    /// The stream, and the splits.
    pub fn whose(&self) -> String {
        format!("{}: {}", self.stream, self.splits.join(", "))
    }

    /// The videos of the list, each with what it is among others.
    pub(super) fn segments(&self) -> impl Iterator<Item = (Segment<'_>, &Video)> {
        let videos = self.scan.iter().flat_map(|s| &s.videos);
        videos.zip(&self.looks).map(|(video, look)| {
            let stated = video.footage.origin().map_or(video.footage.stated(), |o| o.stated);
            let segment = stated.offset.map(|from| (from, stated.frames));
            ((look.real.as_path(), segment), video.as_ref())
        })
    }

    /// The name of a class, or its number.
    pub fn class(&self, label: usize) -> String {
        let name = self.classes.as_ref().and_then(|c| c.get(label));
        name.cloned().unwrap_or_else(|| label.to_string())
    }

    /// Videos of each label.
    pub fn per_class(&self) -> Vec<usize> {
        let labels = self.scan.iter().flat_map(|s| &s.videos).filter_map(|v| v.label);
        let mut counts = vec![0; self.class_count.unwrap_or(0)];
        for label in labels {
            // A label that is far out is a finding of its own, not a table of millions of rows.
            if label >= counts.len() && self.class_count.is_none() && label < 10_000 {
                counts.resize(label + 1, 0);
            }
            if let Some(n) = counts.get_mut(label) {
                *n += 1;
            }
        }
        counts
    }
}

/// Reads all lists of all phases and views, and looks at every file once, on all threads. With `decode`, the first, the
/// middle and the last frame of each file are decoded, too, and all images of a folder.
///
/// # Errors
/// Data that is generated cannot be made. What is wrong with a list is in its [`Listed`].
pub fn lists(checked: &Checked, decode: bool, progress: &Progress) -> Result<Vec<Listed>> {
    let mut all: IndexMap<Key, Listed> = IndexMap::new();
    for program in checked.phases.values().chain(checked.views.values()) {
        make_data(program, progress)?;
        for call in 0..program.calls.len() {
            if let Body::Source(source) = &program.bodies[program.calls[call].body] {
                read(program, call, source.as_ref(), &mut all);
            }
        }
    }
    let mut all: Vec<Listed> = all.into_values().collect();
    look(&mut all, decode, progress);
    Ok(all)
}

/// What makes a list another one: the node and stream, the file, and what decodes its videos, which a phase may choose.
type Key = (String, String, PathBuf, &'static str);

/// Adds the list that a source call reads in `program`, or notes one more that reads it.
fn read(program: &Program, call: usize, source: &dyn Source, all: &mut IndexMap<Key, Listed>) {
    let info = &program.calls[call];
    let name = info
        .outputs
        .iter()
        .flatten()
        .next()
        .map(|id| &program.values[id.0].name);
    let stream = name.and_then(|n| n.split_once('@')).map_or("", |(_, s)| s).to_string();
    let scan = source.scan(&program.split);
    let fault = match &scan {
        Err(SourceError::File(fault)) => Some(fault.clone()),
        _ => None,
    };
    let scan = scan.map_err(|e| format!("{e:#}"));
    // Splits without a list are distinguished by their names.
    let file = match (&scan, &fault) {
        (Ok(ListScan { file: Some(f), .. }), _) => f.clone(),
        (_, Some(fault)) => fault.file.clone(),
        _ => Path::new("split").join(&program.split),
    };
    let classes = source.classes().ok().flatten();
    let first = scan.iter().flat_map(|s| &s.videos).next();
    let backend = first.map_or("", |v| v.footage.backend());
    let listed = all
        .entry((info.node.clone(), stream.clone(), file, backend))
        .or_insert_with(|| Listed {
            node: info.node.clone(),
            stream,
            splits: vec![],
            trains: false,
            scan,
            fault,
            class_count: classes.as_ref().map(Vec::len),
            classes,
            scored: None,
            trained_on: vec![],
            clip: None,
            looks: vec![],
        });
    if !listed.splits.contains(&program.split) {
        listed.splits.push(program.split.clone());
    }
    listed.trains |= program.kind == ProgramKind::Phase;
    let at = program.streams.iter().position(|s| *s == listed.stream);
    for value in program.values.iter().filter(|v| v.stream == at && at.is_some()) {
        if let (Head::FrameIndex, Some(Size::Known(frames))) = (&value.ty.head, value.ty.dims.last()) {
            listed.clip = listed.clip.max(Some(*frames));
        }
    }
    for label in program.labels.iter().filter(|l| Some(l.stream) == at) {
        let n = label.classes(program);
        listed.scored = listed.scored.into_iter().chain(n).min();
        if listed.classes.is_none() {
            listed.class_count = listed.class_count.max(n);
        }
        if label.needed && !label.masked {
            for loss in &label.losses {
                if !listed.trained_on.contains(loss) {
                    listed.trained_on.push(loss.clone());
                }
            }
        }
    }
}

/// What makes a look at a video another one: its file and segment, what decodes it, and how.
type Identity = (PathBuf, Stated, &'static str, String);

fn identity(video: &Video) -> Identity {
    let footage = &video.footage;
    (
        video.path.clone(),
        footage.stated(),
        footage.backend(),
        footage.reading(),
    )
}

fn look(all: &mut [Listed], decode: bool, progress: &Progress) {
    let mut once: IndexMap<Identity, Arc<Video>> = IndexMap::new();
    for video in all.iter().flat_map(|l| l.scan.iter().flat_map(|s| &s.videos)) {
        once.entry(identity(video)).or_insert_with(|| video.clone());
    }
    progress.begin("files", 0, once.len() as u64);
    let done = AtomicU64::new(0);
    let once: Vec<(Identity, Arc<Video>)> = once.into_iter().collect();
    let looked: HashMap<&Identity, Look> = once
        .par_iter()
        .with_max_len(1)
        .map(|(id, video)| {
            let look = Look {
                other: video.footage.other().map(|other| Box::new(look_at(other, decode))),
                ..look_at(video, decode)
            };
            progress.at(done.fetch_add(1, Ordering::Relaxed) + 1, Vec::new);
            (id, look)
        })
        .collect();
    progress.end("");
    for listed in all {
        let videos = listed.scan.iter().flat_map(|s| &s.videos);
        listed.looks = videos.map(|v| looked[&identity(v)].clone()).collect();
    }
}

fn look_at(video: &Video, decode: bool) -> Look {
    let frames = video.footage.inspect();
    let damage = match &frames {
        Ok(n) if decode => try_frames(video, *n),
        _ => None,
    };
    let path = video.footage.origin().map_or(&video.path, |o| &o.path);
    Look {
        frames,
        damage,
        remark: video.footage.remark(),
        real: path.canonicalize().unwrap_or_else(|_| path.clone()),
        other: None,
    }
}

fn try_frames(video: &Video, count: usize) -> Option<String> {
    // Each image of a folder may be damaged by itself.
    let wanted: Vec<usize> = match video.path.is_dir() {
        true => (0..count).collect(),
        false => vec![0, count / 2, count.saturating_sub(1)],
    };
    // A parser may panic on damaged bytes; that is damage, too.
    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| video.footage.probe(&wanted)));
    match tried {
        Ok(Ok(())) => None,
        // Several lists may have the video: the line is that of each, not the one of this video.
        Ok(Err(e)) => {
            let text = format!("{e:#}");
            let own = text.strip_prefix(&format!("{}: ", video.line));
            Some(own.unwrap_or(&text).to_string())
        }
        Err(_) => Some(format!("{}: the decoder failed on it", video.path.display())),
    }
}
