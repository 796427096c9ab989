//! `video_list`: the videos of a stream, by lists.

mod source;
#[cfg(test)]
mod tests;

use self::source::Listed;
use super::classes::Classes;
use super::listing;
use super::lists::Lists;
use crate::contract::*;
use glad_mini::MiniConfig;
use glad_video::lists::ListFormat;
use glad_video::{DecoderChoice, Template};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::Path;

/// The videos of a stream, from annotation lists with a line for each video, and their labels.
///
/// A line is `path label`, `path frames label` (frames of the file), `path offset frames label` (a segment of the
/// file) or a bare path; which one, `format` says, or most lines tell. Labels are numbers from 0, or names of
/// `classes`, which may have several words; `-` and `-1` are none. After all columns of any list a word `b3:` with 64
/// hexadecimal digits may stand, the BLAKE3 of the file (`transcode` writes it): a file that is another one is a bad video.
/// Blank lines are passed over, and comments: lines that begin with `#` and a blank. Columns are separated by blanks, or all
/// by tabs, commas or semicolons, and a first line may name them. A path is a video file, or a folder of images, one a
/// frame; `~/` at its beginning is the home folder. Frames are upright: a video is turned by its display matrix, an image by
/// its EXIF orientation. They are counted when a video is opened: what a list says of whole
/// files is not relied on. `glad-run lint` goes through all lists of a graph.
///
/// Relative paths of parameters are meant from the folder of the graph file that gives them, of the command line from
/// the current folder, or, with `generate`, from the folder of the data that is made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoList {
    /// The list, one for all splits, or a table of lists by split: `{ train = "a.txt", test = "b.txt" }`.
    pub list: Lists,
    /// The folder that the paths in a list are relative to; without, the list's own.
    #[serde(default)]
    pub root: Option<String>,
    /// What kind of lists these are.
    #[serde(default)]
    pub format: ListFormat,
    /// The columns of the lists, where the lines leave it open, such as `"path offset frames label"` or `"path start
    /// stop label"` (frames by their numbers, the last included); `_` is a column to pass over.
    #[serde(default)]
    pub columns: Option<String>,
    /// File names of folders of images, with one number; by default `"img_%05d.jpg"`, of EPIC-KITCHENS
    /// `"frame_%010d.jpg"`.
    #[serde(default)]
    pub template: Option<String>,
    /// The number of a folder's first image; by default 0, of EPIC-KITCHENS 1. Without it, a folder whose images begin one
    /// later, or earlier, is a bad video.
    #[serde(default)]
    pub start_index: Option<usize>,
    /// Names of the classes, in order: a list, or a file with one on each line.
    #[serde(default)]
    pub classes: Option<Classes>,
    /// What decodes the files.
    #[serde(default)]
    pub backend: DecoderChoice,
    /// Minutes without a frame after which a video is taken for hanging: the run ends then, and names it. How long a video
    /// takes never makes it bad.
    #[serde(default = "ten")]
    pub stall_minutes: f64,
    /// Data to make on first use, in the cache folder (`GLAD_CACHE`, else the system's). Where all lists are given by
    /// absolute paths, or by the command line, none is made.
    #[serde(default)]
    pub generate: Option<Generate>,
}

fn ten() -> f64 {
    10.0
}

/// The longest time that can be asked for, in minutes.
const YEAR: f64 = 60.0 * 24.0 * 365.0;

/// Data that can be made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// The small procedural stand-in for Kinetics→BABEL; its settings. Lists: `source_train.txt`, `source_test.txt`,
    /// `target_train.txt`, `target_val.txt`, `target_test.txt`, `auxiliary_train.txt`, `auxiliary_test.txt`; class
    /// names: `classes.txt`, `auxiliary_classes.txt`.
    pub mini: MiniConfig,
}

impl VideoList {
    /// File names of a folder's images, in a list of this format.
    fn template(&self, format: ListFormat) -> Result<Template, String> {
        Template::parse(self.template.as_deref().unwrap_or(format.template()))
    }

    /// Data to make, where any list is of it.
    fn to_make(&self) -> Option<&MiniConfig> {
        let own = |(_, list): &(&str, &str)| Path::new(list).is_absolute();
        let needed = !self.list.distinct().iter().all(own);
        self.generate.as_ref().map(|g| &g.mini).filter(|_| needed)
    }
}

impl Kind for VideoList {
    const NAME: &'static str = "video_list";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = listing::problems(self.columns.as_deref(), self.format);
        if self.format == ListFormat::FeatureIndex {
            problems.push(
                ParamProblem::new("format", "`feature_index` lists files of features, not videos")
                    .help("`kind = \"feature_list\"` reads them"),
            );
        }
        if let Err(e) = self.template(self.format) {
            problems.push(ParamProblem::new("template", e));
        }
        if !(self.stall_minutes > 0.0 && self.stall_minutes <= YEAR) {
            let message = "`stall_minutes` must be above 0, and no more than a year";
            problems.push(ParamProblem::new("stall_minutes", message));
        }
        if !self.backend.is_built() {
            problems.push(ParamProblem::new(
                "backend",
                "this program was built without FFmpeg: build it with `--features ffmpeg`, or take `auto`",
            ));
        }
        if let Some(Classes::Names(names)) = &self.classes {
            problems.extend(Classes::mistakes(names).map(|e| ParamProblem::new("classes", e)));
        }
        if let Some(Generate { mini }) = &self.generate
            && let Err(e) = mini.check()
        {
            problems.push(ParamProblem::new("generate.mini", e.to_string()));
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Host)
            .output("video", "Video[B]", "the video")
            .output("label", "Label[B]", "its class")
            .supervision()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Listed::new(self, cx.folder.clone()).map(|l| Body::Source(Box::new(l)))
    }
}
