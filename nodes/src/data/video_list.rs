//! `video_list`: the videos of a stream, by lists.

mod source;
#[cfg(test)]
mod tests;

use self::source::Listed;
use super::classes::Classes;
use super::flow::{Component, Modality};
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
    /// What is read of a video: its pictures, which are the port `video`, its optical flow, which is the port `flow`, or both.
    #[serde(default = "rgb")]
    pub modalities: Vec<Modality>,
    /// The folder of the optical flow, which has a folder for each video: named as its path in the list, without the ending of a
    /// video file. Without it flow is where the videos are: next to the images of a folder.
    #[serde(default)]
    pub flow_root: Option<String>,
    /// The files of a video's flow, across (x or u) and down (y or v): grey images of a folder, with one number in their names,
    /// or, without a number, two videos. By default `["flow_x_%05d.jpg", "flow_y_%05d.jpg"]`, of EPIC-KITCHENS
    /// `["u/frame_%010d.jpg", "v/frame_%010d.jpg"]`.
    #[serde(default)]
    pub flow_template: Option<[String; 2]>,
    /// The number of the first image of flow; by default that of the videos' images.
    #[serde(default)]
    pub flow_start_index: Option<usize>,
    /// Frames of the video from one image of flow to the next: 2 for the flow of EPIC-KITCHENS. A segment of frames has the flow
    /// between any two of them.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub flow_stride: usize,
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

fn rgb() -> Vec<Modality> {
    vec![Modality::Rgb]
}

fn one() -> usize {
    1
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

    /// Whether videos have this modality.
    fn has(&self, modality: Modality) -> bool {
        self.modalities.contains(&modality)
    }

    /// The files of a video's optical flow, in a list of this format, and which parameter is wrong.
    fn components(&self, format: ListFormat) -> Result<[Component; 2], ParamProblem> {
        let names = match (&self.flow_template, self.to_make()) {
            (Some(names), _) => names.each_ref().map(String::as_str),
            (None, Some(_)) => glad_mini::FLOW_FILES,
            (None, None) => match format {
                ListFormat::EpicKitchens => ["u/frame_%010d.jpg", "v/frame_%010d.jpg"],
                _ => ["flow_x_%05d.jpg", "flow_y_%05d.jpg"],
            },
        };
        let [across, down] = names.map(Component::parse);
        let at = |i: usize| move |e| ParamProblem::new(format!("flow_template[{i}]"), e);
        let both = [across.map_err(at(0))?, down.map_err(at(1))?];
        match both[0] == both[1] {
            true => {
                let p = ParamProblem::new("flow_template", "both components of the flow are the same files");
                Err(p.help("the first is the motion across (x or u), the second down (y or v)"))
            }
            false => Ok(both),
        }
    }

    /// Data to make, where any list is of it.
    fn to_make(&self) -> Option<MiniConfig> {
        let own = |(_, list): &(&str, &str)| Path::new(list).is_absolute();
        let needed = !self.list.distinct().iter().all(own);
        let mini = &self.generate.as_ref().filter(|_| needed)?.mini;
        Some(MiniConfig {
            flow: mini.flow || self.has(Modality::Flow),
            ..mini.clone()
        })
    }
}

impl VideoList {
    /// What is wrong with the parameters of optical flow.
    fn flow_problems(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        let twice = |m: &Modality| self.modalities.iter().filter(|other| *other == m).count() > 1;
        if self.modalities.is_empty() {
            problems.push(
                ParamProblem::new("modalities", "nothing is read of the videos").help("give \"rgb\", \"flow\" or both"),
            );
        } else if self.modalities.iter().any(twice) {
            problems.push(ParamProblem::new("modalities", "names a modality twice"));
        }
        if self.flow_stride == 0 {
            let message = "every image of flow would be of the same frame";
            problems.push(
                ParamProblem::new("flow_stride", message).help("1: an image for each frame; 2: for every second"),
            );
        }
        problems.extend(self.components(self.format).err());
        problems
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
        problems.extend(self.flow_problems());
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
        let mut c = Contract::on(Side::Host);
        if self.has(Modality::Rgb) {
            c = c.output("video", "Video[B]", "the video");
        }
        c = c.output("label", "Label[B]", "its class").supervision();
        if self.has(Modality::Flow) {
            c = c.output("flow", "Flow[B]", "its optical flow");
        }
        c
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Listed::new(self, cx.folder.clone()).map(|l| Body::Source(Box::new(l)))
    }
}
