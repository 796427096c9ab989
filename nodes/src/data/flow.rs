//! Optical flow of a listed video: an image for each of its two components.

use super::footage::ListedFootage;
use crate::contract::{Clue, DataError, Defect, Footage, Frame, ImagesStamp, Stated};
use glad_video::Template;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is read of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Modality {
    /// Its pictures.
    Rgb,
    /// The motion from each picture to the next.
    Flow,
}

/// What the file of one component is called, below the folder of a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Component {
    /// The folder of its images, or where its file is; nothing is the video's own.
    folder: String,
    /// A file without a number in its name has all of it.
    name: Name,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Images(Template),
    File(String),
}

impl Component {
    /// Reads `flow_x_%05d.jpg`, `u/frame_%010d.jpg` or `flow_x.mp4`.
    ///
    /// # Errors
    /// What is wrong, as a sentence fragment.
    pub(super) fn parse(text: &str) -> Result<Component, String> {
        let (folder, name) = text.rsplit_once('/').unwrap_or(("", text));
        if name.is_empty() || folder.starts_with('/') || folder.split('/').any(|part| part == "..") {
            return Err(format!("{text:?} names no file below the folder of a video"));
        }
        let name = match name.contains('%') {
            true => Name::Images(Template::parse(name)?),
            false => Name::File(name.to_owned()),
        };
        Ok(Component {
            folder: folder.to_owned(),
            name,
        })
    }

    /// The template of its images, where it has any; another is never looked at.
    pub(super) fn template(&self) -> Option<&Template> {
        match &self.name {
            Name::Images(template) => Some(template),
            Name::File(_) => None,
        }
    }

    /// The folder or file of a video's component.
    pub(super) fn path(&self, video: &Path) -> PathBuf {
        let folder = match self.folder.as_str() {
            "" => video.to_owned(),
            inner => video.join(inner),
        };
        match &self.name {
            Name::Images(_) => folder,
            Name::File(name) => folder.join(name),
        }
    }
}

/// The segment of the images of flow that a segment of a video's frames has, where there is an image for every `stride` frames:
/// image i is the motion from frame i · stride to the next that has one. Those between two frames of the segment; at least one.
pub(super) fn segment(stated: Stated, stride: usize) -> Stated {
    let Some(offset) = stated.offset else {
        // How many frames the whole file has is not relied on.
        return Stated::default();
    };
    let first = offset.div_ceil(stride);
    let frames = stated.frames.map(|n| {
        let last = offset.saturating_add(n.saturating_sub(1)) / stride;
        last.saturating_sub(first).max(1)
    });
    Stated {
        offset: Some(first),
        frames,
    }
}

/// The optical flow of a video: its frames have two channels, the motion across and down, as their images have them.
pub(super) struct FlowFootage {
    /// The folder of both.
    path: PathBuf,
    line: String,
    /// Across and down.
    parts: [ListedFootage; 2],
}

impl FlowFootage {
    pub(super) fn new(path: PathBuf, line: String, parts: [ListedFootage; 2]) -> FlowFootage {
        FlowFootage { path, line, parts }
    }

    /// That there are as many images of both.
    fn paired(&self, across: usize, down: usize) -> Result<usize, String> {
        match across == down {
            true => Ok(across),
            false => Err(format!(
                "{}: its flow has {} across and {down} down",
                self.path.display(),
                if across == 1 {
                    "1 image".into()
                } else {
                    format!("{across} images")
                },
            )),
        }
    }

    fn error(&self, text: String) -> DataError {
        DataError::sample(format!("{}: {text}", self.line))
    }

    /// The first channel of a picture that is grey.
    fn grey(&self, number: usize, frame: &Frame) -> Result<Vec<u8>, DataError> {
        let (pixels, _) = frame.data.as_chunks::<3>();
        match pixels.iter().all(|[r, g, b]| r == g && g == b) {
            true => Ok(pixels.iter().map(|p| p[0]).collect()),
            false => Err(self.error(format!(
                "{}: image {number} of its flow has colours, and optical flow is stored as grey images: look at `flow_template` of \
                 `video_list`",
                self.path.display()
            ))),
        }
    }
}

impl Footage for FlowFootage {
    fn frame_count(&self) -> Result<usize, DataError> {
        let [across, down] = &self.parts;
        self.paired(across.frame_count()?, down.frame_count()?)
            .map_err(|text| self.error(text))
    }

    fn frames(&self, wanted: &[usize]) -> Result<Vec<Frame>, DataError> {
        let mut found = HashMap::with_capacity(wanted.len());
        self.visit(wanted, &mut |i, frame| {
            found.insert(i, frame);
            Ok(())
        })?;
        let frame = |i: &usize| {
            let lost = || self.error(format!("image {i} of its flow did not come"));
            found.get(i).cloned().ok_or_else(lost)
        };
        wanted.iter().map(frame).collect()
    }

    fn visit(
        &self,
        wanted: &[usize],
        take: &mut dyn FnMut(usize, Frame) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        self.frame_count()?;
        let [across, down] = &self.parts;
        let mut first = HashMap::with_capacity(wanted.len());
        across.visit(wanted, &mut |i, frame| {
            first.insert(i, (frame.width, frame.height, self.grey(i, &frame)?));
            Ok(())
        })?;
        down.visit(wanted, &mut |i, frame| {
            let v = self.grey(i, &frame)?;
            let Some((width, height, u)) = first.remove(&i) else {
                return Err(self.error(format!("image {i} of its flow did not come")));
            };
            if (width, height) != (frame.width, frame.height) {
                return Err(self.error(format!(
                    "{}: image {i} of its flow has {width}x{height} pixels across and {}x{} down",
                    self.path.display(),
                    frame.width,
                    frame.height
                )));
            }
            let data = u.into_iter().zip(v).flat_map(<[u8; 2]>::from).collect();
            take(
                i,
                Frame {
                    width,
                    height,
                    data: Arc::new(data),
                },
            )
        })
    }

    fn stated(&self) -> Stated {
        self.parts[0].stated()
    }

    fn backend(&self) -> &'static str {
        self.parts[0].backend()
    }

    fn inspect(&self) -> Result<usize, Defect> {
        let mut counts = [0; 2];
        for (part, count) in self.parts.iter().zip(&mut counts) {
            *count = part.inspect().map_err(|defect| match defect {
                Defect::Missing if self.path.exists() => {
                    Defect::Unreadable(format!("{} is not there", part.path().display()))
                }
                other => other,
            })?;
        }
        self.paired(counts[0], counts[1]).map_err(Defect::Unreadable)
    }

    fn reading(&self) -> String {
        let path = |part: &ListedFootage| format!("{} {}", part.path().display(), part.reading());
        self.parts.each_ref().map(path).join(" ")
    }

    fn remark(&self) -> Option<String> {
        self.parts.iter().find_map(Footage::remark)
    }

    fn clue(&self) -> Option<Clue> {
        self.parts[0].clue()
    }

    fn fps(&self) -> Result<Option<f64>, DataError> {
        self.parts[0].fps()
    }

    fn stamp(&self) -> Option<String> {
        let [across, down] = &self.parts;
        Some(across.stamp()? + "\n" + &down.stamp()?)
    }

    fn images(&self) -> Option<ImagesStamp> {
        let [a, b] = &self.parts;
        let (a, b) = (a.files()?, b.files()?);
        Some(ImagesStamp {
            bytes: a.bytes + b.bytes,
            sizes: a.sizes + &b.sizes,
            times: a.times + &b.times,
        })
    }
}
